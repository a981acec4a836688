/* What the gate and the writer share: finding the next byte of a string that needs a closer look. Pure. */
#ifndef SLUICE_BASE_JSON_SCAN_H
#define SLUICE_BASE_JSON_SCAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "utf8.h"

#define JSON_SCAN_EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Whether a word of eight bytes holds a quote, a backslash, a control character or anything beyond ASCII. */
static inline int json_scan_special(uint64_t word) {
	uint64_t quote = word ^ JSON_SCAN_EACH('"');
	uint64_t backslash = word ^ JSON_SCAN_EACH('\\');
	/* (x - n) & ~x has the high bit of some byte set exactly if some byte of x is below n. */
	uint64_t found = (quote - JSON_SCAN_EACH(1)) & ~quote;
	found |= (backslash - JSON_SCAN_EACH(1)) & ~backslash;
	found |= (word - JSON_SCAN_EACH(0x20)) & ~word;
	found |= word;
	return (found & JSON_SCAN_EACH(0x80)) != 0;
}

/* The number of bytes at the front that a JSON string holds as they are: printable ASCII but '"' and '\'. */
static inline size_t json_scan_plain(const unsigned char *at, size_t left) {
	size_t i = 0;
	uint64_t word;
	while (left - i >= sizeof word) {
		memcpy(&word, at + i, sizeof word);
		if (json_scan_special(word)) {
			break;
		}
		i += sizeof word;
	}
	while (i < left && at[i] >= 0x20 && at[i] < 0x80 && at[i] != '"' && at[i] != '\\') {
		i++;
	}
	return i;
}

/* The same, going on over valid UTF-8 sequences. */
static inline size_t json_scan_text(const unsigned char *at, size_t left) {
	size_t i = 0;
	for (;;) {
		i += json_scan_plain(at + i, left - i);
		if (i == left || at[i] < 0x80) {
			return i;
		}
		size_t bad;
		size_t length = utf8_sequence(at + i, left - i, &bad);
		if (length == 0) {
			return i;
		}
		i += length;
	}
}

#endif
