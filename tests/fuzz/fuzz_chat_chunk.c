/* What the scanner takes for a plain chunk, the JSON gate and the tree read in the same way; and whatever the chunks of an
 * answer are (a line of the input each), what comes out keeps the promises of chat.h. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "upstream/chat.h"

#include "../../src/upstream/chunk_frame.h"
#include "../../src/upstream/chunk_parse.h"
#include "../../src/upstream/chunk_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What one answer has handed on. */
struct heard {
	uint32_t calls;
	struct buf said; /* kinds and texts */
};

static void require(bool truth) {
	if (!truth) {
		abort();
	}
}

static void require_json(const char *open, struct str json, const char *close) {
	struct buf whole = BUF_INIT;
	buf_append_text(&whole, open);
	buf_append_str(&whole, json);
	buf_append_text(&whole, close);
	struct err err = {0};
	/* A list of logprobs may have more tokens than the gate allows for a document. */
	require(json_check(buf_str(&whole), &err) == 0 || whole.length > 10000);
	buf_free(&whole);
}

static void require_call(struct heard *heard, const struct chat_delta *delta) {
	require(delta->call_begins ? delta->call == heard->calls : delta->call < heard->calls);
	heard->calls += delta->call_begins;
	require(delta->call_begins || delta->text.length > 0);
	require(delta->call_name.length >= 1 && delta->call_name.length <= 64 && delta->call_id.length <= 64);
	for (size_t i = 0; i < delta->call_id.length; i++) {
		require(delta->call_id.data[i] > 0x20 && delta->call_id.data[i] < 0x7F);
	}
}

static int hear(void *owner, const struct chat_delta *delta) {
	struct heard *heard = owner;
	require(str_is_utf8(delta->text) && str_is_utf8(delta->logprobs));
	if (delta->kind == CHAT_DELTA_CALL) {
		require_call(heard, delta);
	} else {
		require(delta->text.length > 0 || delta->logprobs.length > 0);
	}
	if (delta->kind == CHAT_DELTA_ANNOTATION) {
		require_json("", delta->text, "");
	}
	if (delta->logprobs.length > 0) {
		require(delta->kind == CHAT_DELTA_TEXT);
		require_json("[", delta->logprobs, "]");
	}
	buf_append_char(&heard->said, (char)('0' + delta->kind));
	buf_append_str(&heard->said, delta->text);
	return 0;
}

static void compare(struct str chunk) {
	struct buf scratch = BUF_INIT;
	struct chunk_plain plain;
	if (chunk_scan(chunk, &scratch, &plain)) {
		struct heard parsed = {0};
		struct heard scanned = {0};
		struct answer answer;
		struct chat_chunk by_tree = {0};
		struct chat_chunk by_reader;
		struct chat_reader_options options = {CHAT_THINK_OFF, &scratch, hear, &scanned};
		struct chat_reader *reader = chat_reader_new(&options, NULL);
		require(chat_reader_read(reader, chunk, &by_reader, NULL) == 0);
		options.owner = &parsed;
		answer_init(&answer, &options);
		require(chunk_parse(chunk, &answer, &by_tree, NULL) == 0);
		require(str_equal(buf_str(&parsed.said), buf_str(&scanned.said)));
		require(memcmp(&by_reader, &by_tree, sizeof by_tree) == 0);
		answer_free(&answer);
		chat_reader_free(&reader);
		buf_free(&parsed.said);
		buf_free(&scanned.said);
	}
	buf_free(&scratch);
}

/* What was remembered of earlier chunks changes nothing. */
static void compare_framed(struct str chunks) {
	struct chunk_frame frame = {0};
	struct buf one = BUF_INIT;
	struct buf other = BUF_INIT;
	while (chunks.data) {
		struct str chunk = str_cut(&chunks, '\n');
		struct chunk_plain plain;
		struct chunk_plain framed;
		bool known = chunk_scan(chunk, &one, &plain);
		require(chunk_frame_scan(&frame, chunk, &other, &framed) == known);
		if (known) {
			require(str_equal(plain.text, framed.text) && str_equal(plain.reasoning, framed.reasoning));
		}
	}
	chunk_frame_free(&frame);
	buf_free(&one);
	buf_free(&other);
}

static void read_answer(struct str chunks, enum chat_think think) {
	struct heard heard = {0};
	struct buf scratch = BUF_INIT;
	const struct chat_reader_options options = {think, &scratch, hear, &heard};
	struct chat_reader *reader = chat_reader_new(&options, NULL);
	for (bool going = true; going && chunks.data;) {
		struct chat_chunk chunk;
		going = chat_reader_read(reader, str_cut(&chunks, '\n'), &chunk, NULL) == 0;
		if (going) {
			require(str_is_utf8(str_of(chunk.error_text)) && str_is_utf8(str_of(chunk.error_code)));
			require(strspn(chunk.service_tier, "abcdefghijklmnopqrstuvwxyz_") < 16);
			require(!chunk.done || chunk.finish == CHAT_FINISH_NONE);
		}
	}
	chat_reader_free(&reader);
	buf_free(&scratch);
	buf_free(&heard.said);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct str input = {(const char *)data, size};
	for (struct str rest = input; rest.data;) {
		compare(str_cut(&rest, '\n'));
	}
	compare_framed(input);
	for (enum chat_think think = CHAT_THINK_OFF; think <= CHAT_THINK_OPEN; think++) {
		read_answer(input, think);
	}
	char message[40];
	char code[8];
	chat_error_read(input, message, sizeof message, code, sizeof code);
	require(str_is_utf8(str_of(message)) && str_is_utf8(str_of(code)));
	return 0;
}
