#include "base/buf.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define FIRST_CAPACITY 64

void buf_free(struct buf *b) {
	mem_free(b->data);
	*b = BUF_INIT;
}

void buf_clear(struct buf *b) {
	b->length = 0;
	b->failed = false;
}

/* To `better`, or as far as it takes. */
static bool grow(struct buf *b, size_t more, size_t better) {
	if (more > SIZE_MAX / 2 - b->length) {
		b->failed = true;
		return false;
	}
	size_t needed = b->length + more;
	size_t capacity = better > FIRST_CAPACITY ? better : FIRST_CAPACITY;
	if (capacity < needed) {
		capacity = needed;
	}
	char *data = mem_realloc(b->data, capacity);
	if (!data) {
		b->failed = true;
		return false;
	}
	b->data = data;
	b->capacity = capacity;
	return true;
}

bool buf_reserve(struct buf *b, size_t more) {
	if (b->failed) {
		return false;
	}
	return more <= b->capacity - b->length || grow(b, more, b->capacity * 2);
}

bool buf_reserve_tight(struct buf *b, size_t more) {
	if (b->failed) {
		return false;
	}
	return more <= b->capacity - b->length || grow(b, more, b->capacity + b->capacity / 4);
}

void buf_append(struct buf *b, const void *bytes, size_t length) {
	if (length == 0 || !buf_reserve(b, length)) {
		return;
	}
	memcpy(b->data + b->length, bytes, length);
	b->length += length;
}

void buf_append_str(struct buf *b, struct str s) {
	buf_append(b, s.data, s.length);
}

void buf_append_text(struct buf *b, const char *text) {
	buf_append(b, text, strlen(text));
}

void buf_append_char(struct buf *b, char c) {
	if (buf_reserve(b, 1)) {
		b->data[b->length++] = c;
	}
}

void buf_append_u64(struct buf *b, uint64_t value) {
	char digits[20];
	size_t at = sizeof digits;
	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	buf_append(b, digits + at, sizeof digits - at);
}

void buf_append_i64(struct buf *b, int64_t value) {
	/* All or nothing, as any append. */
	if (!buf_reserve(b, 20)) {
		return;
	}
	if (value < 0) {
		buf_append_char(b, '-');
	}
	buf_append_u64(b, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void buf_printf(struct buf *b, const char *format, ...) {
	va_list args;
	va_start(args, format);
	int length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (length < 0) {
		b->failed = true;
		return;
	}
	/* One more for the NUL that vsnprintf writes. */
	if (!buf_reserve(b, (size_t)length + 1)) {
		return;
	}
	va_start(args, format);
	vsnprintf(b->data + b->length, (size_t)length + 1, format, args);
	va_end(args);
	b->length += (size_t)length;
}

void buf_consume(struct buf *b, size_t count) {
	if (count >= b->length) {
		b->length = 0;
		return;
	}
	if (count > 0) {
		memmove(b->data, b->data + count, b->length - count);
		b->length -= count;
	}
}

struct str buf_str(const struct buf *b) {
	return (struct str){b->data, b->length};
}

char *buf_text(struct buf *b) {
	if (!buf_reserve(b, 1)) {
		return NULL;
	}
	b->data[b->length] = '\0';
	return b->data;
}

char *buf_take_text(struct buf *b) {
	char *text = buf_text(b);
	if (!text) {
		buf_free(b);
		return NULL;
	}
	*b = BUF_INIT;
	return text;
}
