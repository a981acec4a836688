/* However an event stream is cut into reads, its events are the same. The first byte says how. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "upstream/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_event(void *owner, struct str data) {
	struct buf *events = owner;
	buf_append_u64(events, data.length);
	buf_append_char(events, ':');
	buf_append_str(events, data);
	return 0;
}

static int read_in_pieces(struct str input, size_t piece, struct buf *events) {
	struct sse_parser parser;
	struct err err = {0};
	int result = 0;
	sse_init(&parser, 100);
	while (result == 0 && input.length > 0) {
		size_t length = piece < input.length ? piece : input.length;
		/* A block of its own: a view must not outlive its read. */
		char *copy = malloc(length);
		if (!copy) {
			abort();
		}
		memcpy(copy, input.data, length);
		result = sse_feed(&parser, (struct str){copy, length}, on_event, events, &err);
		free(copy);
		input = str_skip(input, length);
	}
	if (result != 0 && err.code != ERR_LIMIT) {
		abort();
	}
	sse_free(&parser);
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	if (size < 2) {
		return 0;
	}
	struct str input = {(const char *)data + 1, size - 1};
	struct buf whole = BUF_INIT;
	struct buf pieces = BUF_INIT;
	int first = read_in_pieces(input, input.length, &whole);
	int second = read_in_pieces(input, 1 + data[0] % 32, &pieces);
	if (first != second || !str_equal(buf_str(&whole), buf_str(&pieces))) {
		abort();
	}
	buf_free(&whole);
	buf_free(&pieces);
	return 0;
}
