#include "base/base64.h"

#include <stdint.h>

#define NOT_A_DIGIT 64

static uint32_t digit(char c) {
	if (c >= 'A' && c <= 'Z') {
		return (uint32_t)(c - 'A');
	}
	if (c >= 'a' && c <= 'z') {
		return (uint32_t)(c - 'a') + 26;
	}
	if (c >= '0' && c <= '9') {
		return (uint32_t)(c - '0') + 52;
	}
	return c == '+' ? 62 : c == '/' ? 63 : NOT_A_DIGIT;
}

/* How many `=` the text ends with: at most two count as padding. */
static size_t padding(struct str text) {
	size_t count = 0;
	while (count < 2 && count < text.length && text.data[text.length - 1 - count] == '=') {
		count++;
	}
	return count;
}

bool base64_is_valid(struct str text) {
	if (text.length % 4 != 0) {
		return false;
	}
	size_t digits = text.length - padding(text);
	for (size_t i = 0; i < digits; i++) {
		if (digit(text.data[i]) == NOT_A_DIGIT) {
			return false;
		}
	}
	return true;
}

int base64_decode(struct str text, struct buf *out) {
	if (!base64_is_valid(text)) {
		return -1;
	}
	size_t padded = padding(text);
	if (text.length == 0 || !buf_reserve(out, text.length / 4 * 3)) {
		return 0;
	}
	unsigned char *to = (unsigned char *)out->data + out->length;
	for (size_t i = 0; i < text.length; i += 4) {
		uint32_t group = 0;
		for (size_t j = 0; j < 4; j++) {
			char c = text.data[i + j];
			group = group << 6 | (c == '=' ? 0 : digit(c));
		}
		*to++ = (unsigned char)(group >> 16);
		*to++ = (unsigned char)(group >> 8);
		*to++ = (unsigned char)group;
	}
	out->length += text.length / 4 * 3 - padded;
	return 0;
}
