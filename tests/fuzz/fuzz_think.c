/* Reasoning and text are told apart in the same way whatever the pieces. The first byte says how
 * long they are. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "upstream/chat.h"

#include "../../src/upstream/think.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
	struct buf reasoning, text;
};

static void require(bool truth) {
	if (!truth) {
		abort();
	}
}

static int hear(void *owner, bool reasoning, struct str piece) {
	struct heard *heard = owner;
	require(piece.length > 0);
	require(!reasoning || heard->text.length == 0);
	buf_append_str(reasoning ? &heard->reasoning : &heard->text, piece);
	return 0;
}

static void heard_free(struct heard *heard) {
	buf_free(&heard->reasoning);
	buf_free(&heard->text);
}

static void compare(struct str input, size_t piece, enum chat_think mode) {
	struct think whole;
	struct think split;
	struct heard once = {0};
	struct heard pieces = {0};
	think_init(&whole, mode);
	think_init(&split, mode);
	require(think_feed(&whole, input, hear, &once) == 0 && think_end(&whole, hear, &once) == 0);
	while (input.length > 0) {
		size_t length = piece < input.length ? piece : input.length;
		require(think_feed(&split, (struct str){input.data, length}, hear, &pieces) == 0);
		require(split.held_length < sizeof split.held);
		input = str_skip(input, length);
	}
	require(think_end(&split, hear, &pieces) == 0);
	require(str_equal(buf_str(&once.reasoning), buf_str(&pieces.reasoning)));
	require(str_equal(buf_str(&once.text), buf_str(&pieces.text)));
	struct str reasoning = buf_str(&once.reasoning);
	require(!reasoning.data || !memmem(reasoning.data, reasoning.length, "</think>", 8));
	heard_free(&once);
	heard_free(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	for (enum chat_think mode = CHAT_THINK_OFF; size > 0 && mode <= CHAT_THINK_OPEN; mode++) {
		compare((struct str){(const char *)data + 1, size - 1}, 1 + data[0] % 16, mode);
	}
	return 0;
}
