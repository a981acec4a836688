/* One UTF-8 sequence at a time (RFC 3629; Unicode 15, table 3-7). Pure, any thread. */
#ifndef SLUICE_BASE_UTF8_H
#define SLUICE_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Whether all of eight bytes are ASCII, loaded as one word in any byte order. */
#define UTF8_HIGH_BITS UINT64_C(0x8080808080808080)

/* Looks at the sequence that starts at `at`, with `left` > 0 bytes to read. Returns its length, 1 to 4, when it is
 * valid; else 0, with the number of bytes to skip in `*bad`: the longest part that could still have become valid, so
 * that each is replaced by one U+FFFD, as browsers do. */
static inline size_t utf8_sequence(const unsigned char *at, size_t left, size_t *bad) {
	unsigned char lead = at[0];
	if (lead < 0x80) {
		return 1;
	}
	*bad = 1;
	if (lead < 0xC2 || lead > 0xF4) {
		return 0;
	}
	size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
	/* The second byte's range shuts out overlong forms, surrogates and what lies beyond U+10FFFF. */
	unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
	unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
	if (left < 2 || at[1] < low || at[1] > high) {
		return 0;
	}
	for (size_t i = 2; i < length; i++) {
		*bad = i;
		if (i >= left || (at[i] & 0xC0) != 0x80) {
			return 0;
		}
	}
	return length;
}

#endif
