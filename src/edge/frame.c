#include "frame.h"

#include <string.h>

#define FINAL_TEXT 0x81
#define FINAL_CLOSE 0x88
/* The header of most events, with a 16-bit length; shorter and longer ones move the payload. */
#define ROOM 4

size_t frame_begin(struct buf *out) {
	size_t start = out->length;
	buf_append(out, "\0\0\0\0", ROOM);
	return start;
}

static void put_length(unsigned char *at, uint64_t length, size_t bytes) {
	for (size_t i = 0; i < bytes; i++) {
		at[i] = (unsigned char)(length >> (8 * (bytes - 1 - i)));
	}
}

void frame_end(struct buf *out, size_t start) {
	if (out->failed) {
		return;
	}
	size_t length = out->length - start - ROOM;
	size_t header = length < 126 ? 2 : length < 65536 ? 4 : 10;
	if (header > ROOM && !buf_reserve(out, header - ROOM)) {
		return;
	}
	unsigned char *at = (unsigned char *)out->data + start;
	memmove(at + header, at + ROOM, length);
	out->length = start + header + length;
	at[0] = FINAL_TEXT;
	if (header == 2) {
		at[1] = (unsigned char)length;
	} else {
		at[1] = header == 4 ? 126 : 127;
		put_length(at + 2, length, header - 2);
	}
}

void frame_drop(struct buf *out, size_t start) {
	if (!out->failed) {
		out->length = start;
	}
}

void frame_close(struct buf *out, uint16_t code, const char *reason) {
	size_t length = strlen(reason);
	if (length > 123) {
		length = 123;
	}
	const unsigned char head[4] = {FINAL_CLOSE, (unsigned char)(length + 2), (unsigned char)(code >> 8),
				       (unsigned char)code};
	buf_append(out, head, sizeof head);
	buf_append(out, reason, length);
}
