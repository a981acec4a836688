#include "chunk_frame.h"

#include <string.h>

#include "base/mem.h"

/* More than this around a token is not what is meant. */
#define FRAME_MAX 1024
/* Where every chunk is of another form (some servers fill each up with chance), looking is given up. */
#define MISSES_MAX 16

void chunk_frame_free(struct chunk_frame *frame) {
	mem_free(frame->bytes);
	*frame = (struct chunk_frame){0};
}

static bool match(const struct chunk_frame *frame, struct str data, struct buf *scratch, struct chunk_plain *plain) {
	struct chunk_plain found = {.text = STR_NONE};
	struct str rest = data;
	if (!frame->bytes || data.length < (size_t)frame->head + frame->tail ||
	    memcmp(data.data, frame->bytes, frame->head) != 0) {
		return false;
	}
	rest = str_skip(rest, frame->head);
	if (!chunk_scan_string(&rest, scratch, frame->reasons ? &found.reasoning : &found.text) ||
	    rest.length != frame->tail || memcmp(rest.data, frame->bytes + frame->head, frame->tail) != 0) {
		return false;
	}
	*plain = found;
	return true;
}

/* Without memory nothing is remembered. */
static void remember(struct chunk_frame *frame, struct str data, const struct chunk_plain *plain) {
	struct str head = {data.data, (size_t)(plain->quoted.data - data.data)};
	const char *behind = plain->quoted.data + plain->quoted.length + 1;
	struct str tail = {behind, (size_t)(data.data + data.length - behind)};
	if (head.length + tail.length > FRAME_MAX) {
		return;
	}
	char *bytes = mem_realloc(frame->bytes, head.length + tail.length);
	if (!bytes) {
		return;
	}
	memcpy(bytes, head.data, head.length);
	memcpy(bytes + head.length, tail.data, tail.length);
	frame->bytes = bytes;
	frame->head = (uint16_t)head.length;
	frame->tail = (uint16_t)tail.length;
	frame->reasons = plain->reasoning.length > 0;
}

bool chunk_frame_scan(struct chunk_frame *frame, struct str data, struct buf *scratch, struct chunk_plain *plain) {
	if (match(frame, data, scratch, plain)) {
		frame->misses = 0;
		return true;
	}
	if (!chunk_scan(data, scratch, plain)) {
		return false;
	}
	if (plain->quoted.length > 0 && frame->misses < MISSES_MAX) {
		frame->misses++;
		remember(frame, data, plain);
	}
	return true;
}
