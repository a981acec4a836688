#include "siphash.h"

static uint64_t load_le(const uint8_t *at, size_t count) {
	uint64_t word = 0;
	for (size_t i = 0; i < count; i++) {
		word |= (uint64_t)at[i] << (8 * i);
	}
	return word;
}

static uint64_t rotate_left(uint64_t x, unsigned by) {
	return x << by | x >> (64 - by);
}

static void sip_rounds(uint64_t v[4], int count) {
	while (count-- > 0) {
		v[0] += v[1];
		v[1] = rotate_left(v[1], 13) ^ v[0];
		v[0] = rotate_left(v[0], 32);
		v[2] += v[3];
		v[3] = rotate_left(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotate_left(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotate_left(v[1], 17) ^ v[2];
		v[2] = rotate_left(v[2], 32);
	}
}

static void absorb(uint64_t v[4], uint64_t word) {
	v[3] ^= word;
	sip_rounds(v, 2);
	v[0] ^= word;
}

uint64_t siphash(const uint8_t key[static SIPHASH_KEY_SIZE], const void *bytes, size_t length) {
	uint64_t k0 = load_le(key, 8);
	uint64_t k1 = load_le(key + 8, 8);
	/* "somepseudorandomlygeneratedbytes" */
	uint64_t v[4] = {
		k0 ^ UINT64_C(0x736f6d6570736575),
		k1 ^ UINT64_C(0x646f72616e646f6d),
		k0 ^ UINT64_C(0x6c7967656e657261),
		k1 ^ UINT64_C(0x7465646279746573),
	};
	const uint8_t *at = bytes;
	size_t left = length;
	for (; left >= 8; left -= 8, at += 8) {
		absorb(v, load_le(at, 8));
	}
	absorb(v, load_le(at, left) | (uint64_t)length << 56);
	v[2] ^= 0xFF;
	sip_rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
