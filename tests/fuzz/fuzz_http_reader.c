/* However an answer is cut into reads, it is the same answer, and never more than it has said. The first byte says how. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/upstream/http_reader.h"
#include "upstream/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	struct buf body;
	int status;
	enum http_read last;
	size_t left;
	bool ends;
};

static void require(bool truth) {
	if (!truth) {
		abort();
	}
}

/* Until all is used, or the answer is over. */
static void feed(struct http_reader *reader, struct str *bytes, struct outcome *outcome) {
	for (;;) {
		struct str before = *bytes;
		struct str body = STR_NONE;
		outcome->last = http_reader_next(reader, bytes, &body);
		require(bytes->length <= before.length);
		if (outcome->last == HTTP_READ_HEAD) {
			require(outcome->status == 0 && reader->status >= 200 && reader->status <= 999);
			outcome->status = reader->status;
		} else if (outcome->last == HTTP_READ_BODY) {
			require(body.length > 0 && body.data >= before.data && body.data + body.length == bytes->data);
			buf_append_str(&outcome->body, body);
		} else {
			require(outcome->last != HTTP_READ_MORE || bytes->length == 0);
			return;
		}
	}
}

static void read_in_pieces(struct str input, size_t piece, struct outcome *outcome) {
	struct http_reader reader = {0};
	*outcome = (struct outcome){.last = HTTP_READ_MORE};
	while (outcome->last == HTTP_READ_MORE && input.length > 0) {
		size_t length = piece < input.length ? piece : input.length;
		char *copy = malloc(length);
		require(copy != NULL);
		memcpy(copy, input.data, length);
		struct str bytes = {copy, length};
		feed(&reader, &bytes, outcome);
		input = str_skip(input, length - bytes.length);
		free(copy);
	}
	outcome->left = input.length;
	outcome->ends = http_reader_ends(&reader);
	http_reader_free(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	if (size < 2) {
		return 0;
	}
	struct str input = {(const char *)data + 1, size - 1};
	struct outcome whole, pieces;
	read_in_pieces(input, input.length, &whole);
	read_in_pieces(input, 1 + data[0] % 32, &pieces);
	require(whole.last == pieces.last && whole.status == pieces.status);
	require(whole.last == HTTP_READ_BAD || (whole.left == pieces.left && whole.ends == pieces.ends));
	require(str_equal(buf_str(&whole.body), buf_str(&pieces.body)));
	buf_free(&whole.body);
	buf_free(&pieces.body);
	return 0;
}
