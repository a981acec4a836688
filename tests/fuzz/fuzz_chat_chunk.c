/* What the scanner takes for a plain chunk, the JSON gate and the tree read in the same way; and no text that is not
 * UTF-8 comes out of either. */
#include <stdint.h>
#include <stdlib.h>

#include "upstream/chat.h"

#include "../../src/upstream/chunk_parse.h"
#include "../../src/upstream/chunk_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth) {
	if (!truth) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct str input = {(const char *)data, size};
	struct buf scan_scratch = BUF_INIT;
	struct buf parse_scratch = BUF_INIT;
	struct str text;
	struct chat_chunk chunk = {0};
	bool scanned = chunk_scan(input, &scan_scratch, &text);
	int failed = chunk_parse(input, &parse_scratch, &chunk, NULL);
	if (scanned) {
		require(!failed && str_equal(text, chunk.text));
		require(chunk.finish == CHAT_FINISH_NONE && !chunk.usage.known && !chunk.is_error && !chunk.done);
	}
	if (!failed) {
		require(str_is_utf8(chunk.text) && str_is_utf8(str_of(chunk.error_text)));
	}
	char message[40];
	char code[8];
	chat_error_read(input, message, sizeof message, code, sizeof code);
	require(str_is_utf8(str_of(message)) && str_is_utf8(str_of(code)));
	buf_free(&scan_scratch);
	buf_free(&parse_scratch);
	return 0;
}
