#include "padding.h"

#include <string.h>

#define STEPS_END 4096
#define MARK 0x80

static unsigned floor_log2(size_t n) {
	return 63U - (unsigned)__builtin_clzll(n);
}

/* Above 4 KiB: PADMÉ (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", 2019),
 * which leaks O(log log length) bits for at most 12 % more bytes. */
size_t padding_size(size_t length) {
	size_t marked = length + 1;
	if (marked <= STEPS_END) {
		return (marked + PADDING_STEP - 1) / PADDING_STEP * PADDING_STEP;
	}
	unsigned exponent = floor_log2(marked);
	unsigned kept = floor_log2(exponent) + 1;
	size_t mask = ((size_t)1 << (exponent - kept)) - 1;
	return (marked + mask) & ~mask;
}

void padding_put(uint8_t *at, struct str text) {
	if (text.length > 0) {
		memcpy(at, text.data, text.length);
	}
	at[text.length] = MARK;
	memset(at + text.length + 1, 0, padding_size(text.length) - text.length - 1);
}

/* The mark is the last byte that is not zero. */
int padding_length(const uint8_t *padded, size_t size, size_t *length) {
	size_t at = size;
	while (at > 0 && padded[at - 1] == 0) {
		at--;
	}
	if (at == 0 || padded[at - 1] != MARK || padding_size(at - 1) != size) {
		return -1;
	}
	*length = at - 1;
	return 0;
}
