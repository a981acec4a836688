#include "base/str.h"

#include <string.h>

#include "utf8.h"

struct str str_of(const char *text) {
	return text ? (struct str){text, strlen(text)} : STR_NONE;
}

bool str_equal(struct str a, struct str b) {
	return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

bool str_is(struct str a, const char *text) {
	return str_equal(a, str_of(text));
}

static char lower(char c) {
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool str_equal_nocase(struct str a, struct str b) {
	if (a.length != b.length) {
		return false;
	}
	for (size_t i = 0; i < a.length; i++) {
		if (lower(a.data[i]) != lower(b.data[i])) {
			return false;
		}
	}
	return true;
}

bool str_starts(struct str a, const char *prefix) {
	size_t length = strlen(prefix);
	return a.length >= length && (length == 0 || memcmp(a.data, prefix, length) == 0);
}

static bool is_blank(char c) {
	return c == ' ' || c == '\t';
}

struct str str_trim(struct str a) {
	while (a.length > 0 && is_blank(a.data[0])) {
		a = str_skip(a, 1);
	}
	while (a.length > 0 && is_blank(a.data[a.length - 1])) {
		a.length--;
	}
	return a;
}

struct str str_skip(struct str a, size_t count) {
	if (count > a.length) {
		count = a.length;
	}
	return count > 0 ? (struct str){a.data + count, a.length - count} : a;
}

struct str str_cut(struct str *rest, char separator) {
	struct str whole = *rest;
	size_t at;
	if (str_find_char(whole, separator, &at) != 0) {
		*rest = STR_NONE;
		return whole;
	}
	*rest = str_skip(whole, at + 1);
	return (struct str){whole.data, at};
}

int str_find_char(struct str a, char c, size_t *at) {
	const char *found = a.length > 0 ? memchr(a.data, c, a.length) : NULL;
	if (!found) {
		return -1;
	}
	*at = (size_t)(found - a.data);
	return 0;
}

int str_copy(char *to, size_t size, struct str from) {
	if (size == 0) {
		return -1;
	}
	to[0] = '\0';
	size_t at;
	if (from.length >= size || str_find_char(from, '\0', &at) == 0) {
		return -1;
	}
	if (from.length > 0) {
		memcpy(to, from.data, from.length);
	}
	to[from.length] = '\0';
	return 0;
}

void str_copy_cut(char *to, size_t size, struct str from) {
	if (size == 0) {
		return;
	}
	size_t at;
	if (str_find_char(from, '\0', &at) == 0) {
		from.length = at;
	}
	from.length = str_utf8_prefix(from, size - 1);
	if (from.length > 0) {
		memcpy(to, from.data, from.length);
	}
	to[from.length] = '\0';
}

int str_to_u64(struct str a, uint64_t *out) {
	if (a.length == 0) {
		return -1;
	}
	uint64_t value = 0;
	for (size_t i = 0; i < a.length; i++) {
		if (a.data[i] < '0' || a.data[i] > '9') {
			return -1;
		}
		uint64_t digit = (uint64_t)(a.data[i] - '0');
		if (value > (UINT64_MAX - digit) / 10) {
			return -1;
		}
		value = value * 10 + digit;
	}
	*out = value;
	return 0;
}

int str_to_i64(struct str a, int64_t *out) {
	bool negative = a.length > 0 && a.data[0] == '-';
	uint64_t magnitude;
	if (str_to_u64(negative ? str_skip(a, 1) : a, &magnitude) != 0) {
		return -1;
	}
	if (magnitude <= INT64_MAX) {
		*out = negative ? -(int64_t)magnitude : (int64_t)magnitude;
		return 0;
	}
	if (negative && magnitude == (uint64_t)INT64_MAX + 1) {
		*out = INT64_MIN;
		return 0;
	}
	return -1;
}

bool str_is_utf8(struct str a) {
	const unsigned char *bytes = (const unsigned char *)a.data;
	size_t i = 0;
	while (i < a.length) {
		/* Most text is ASCII: eight bytes at a time while none has its high bit set. */
		uint64_t word;
		if (a.length - i >= sizeof word) {
			memcpy(&word, bytes + i, sizeof word);
			if ((word & UTF8_HIGH_BITS) == 0) {
				i += sizeof word;
				continue;
			}
		}
		size_t bad;
		size_t length = utf8_sequence(bytes + i, a.length - i, &bad);
		if (length == 0) {
			return false;
		}
		i += length;
	}
	return true;
}

size_t str_utf8_prefix(struct str a, size_t limit) {
	if (limit >= a.length) {
		return a.length;
	}
	/* A character has at most three bytes behind its first; more of them in a row are not UTF-8 and have no
	 * boundary to respect. */
	for (size_t back = 0; back <= 3 && back <= limit; back++) {
		if (((unsigned char)a.data[limit - back] & 0xC0) != 0x80) {
			return limit - back;
		}
	}
	return limit;
}

void str_to_hex(char *to, const uint8_t *bytes, size_t length) {
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < length; i++) {
		to[2 * i] = digits[bytes[i] >> 4];
		to[2 * i + 1] = digits[bytes[i] & 0x0F];
	}
	to[2 * length] = '\0';
}

static int hex_digit(char c) {
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c = lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int str_from_hex(uint8_t *to, size_t length, struct str from) {
	if (length > SIZE_MAX / 2 || from.length != 2 * length) {
		return -1;
	}
	/* Looked at before the first byte is written, so that a refusal leaves `to` as it was. */
	for (size_t i = 0; i < from.length; i++) {
		if (hex_digit(from.data[i]) < 0) {
			return -1;
		}
	}
	for (size_t i = 0; i < length; i++) {
		unsigned high = (unsigned)hex_digit(from.data[2 * i]);
		unsigned low = (unsigned)hex_digit(from.data[2 * i + 1]);
		to[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}
