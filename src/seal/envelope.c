#include "envelope.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

static_assert(ENVELOPE_NONCE_SIZE == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce");
static_assert(ENVELOPE_TAG_SIZE == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag");
static_assert(SEAL_KEY_SIZE == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key");

/* Key material for one envelope: the first half encrypts, the second is stored and commits to the key. */
struct envelope_keys {
	uint8_t encryption[SEAL_KEY_SIZE];
	uint8_t commitment[ENVELOPE_COMMITMENT_SIZE];
};
static_assert(sizeof(struct envelope_keys) == crypto_generichash_BYTES_MAX, "BLAKE2b-512 fills both halves");

uint8_t *envelope_put_bytes(uint8_t *at, const uint8_t *bytes, size_t length) {
	memcpy(at, bytes, length);
	return at + length;
}

static uint8_t *put_padded(uint8_t *at, const char *text, size_t size) {
	size_t length = strnlen(text, size);
	memcpy(at, text, length);
	memset(at + length, 0, size - length);
	return at + size;
}

uint8_t *envelope_put_label(uint8_t *at, const char *label) {
	return put_padded(at, label, ENVELOPE_LABEL_SIZE);
}

uint8_t *envelope_put_id(uint8_t *at, const char *id) {
	return put_padded(at, id, ID_SIZE);
}

uint8_t *envelope_put_u32(uint8_t *at, uint32_t value) {
	for (int shift = 24; shift >= 0; shift -= 8) {
		*at++ = (uint8_t)(value >> shift);
	}
	return at;
}

uint8_t *envelope_put_u64(uint8_t *at, uint64_t value) {
	at = envelope_put_u32(at, (uint32_t)(value >> 32));
	return envelope_put_u32(at, (uint32_t)value);
}

uint32_t envelope_get_u32(const uint8_t *at) {
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* BLAKE2b-512(key, label || nonce || aad). */
static void envelope_derive(const uint8_t key[static SEAL_KEY_SIZE], struct envelope_aad aad, const uint8_t *nonce,
			    struct envelope_keys *keys) {
	crypto_generichash_state state;
	crypto_generichash_init(&state, key, SEAL_KEY_SIZE, sizeof *keys);
	crypto_generichash_update(&state, aad.bytes, ENVELOPE_LABEL_SIZE);
	crypto_generichash_update(&state, nonce, ENVELOPE_NONCE_SIZE);
	crypto_generichash_update(&state, aad.bytes, aad.length);
	crypto_generichash_final(&state, (uint8_t *)keys, sizeof *keys);
	sodium_memzero(&state, sizeof state);
}

void envelope_seal(const uint8_t key[static SEAL_KEY_SIZE], struct envelope_aad aad, uint8_t *sealed, size_t length) {
	struct envelope_keys keys;
	uint8_t *text = sealed + ENVELOPE_TEXT_AT;
	randombytes_buf(sealed, ENVELOPE_NONCE_SIZE);
	envelope_derive(key, aad, sealed, &keys);
	memcpy(sealed + ENVELOPE_NONCE_SIZE, keys.commitment, ENVELOPE_COMMITMENT_SIZE);
	crypto_aead_xchacha20poly1305_ietf_encrypt(text, NULL, text, length, aad.bytes, aad.length, NULL, sealed,
						   keys.encryption);
	sodium_memzero(&keys, sizeof keys);
}

int envelope_open(const uint8_t key[static SEAL_KEY_SIZE], struct envelope_aad aad, const uint8_t *sealed,
		  size_t length, uint8_t *text) {
	struct envelope_keys keys;
	envelope_derive(key, aad, sealed, &keys);
	/* The cipher alone does not commit to its key, so the commitment is looked at first. */
	int result = sodium_memcmp(keys.commitment, sealed + ENVELOPE_NONCE_SIZE, ENVELOPE_COMMITMENT_SIZE);
	if (result == 0) {
		result = crypto_aead_xchacha20poly1305_ietf_decrypt(text, NULL, NULL, sealed + ENVELOPE_TEXT_AT,
								    length + ENVELOPE_TAG_SIZE, aad.bytes, aad.length,
								    sealed, keys.encryption);
	}
	sodium_memzero(&keys, sizeof keys);
	return result == 0 ? 0 : -1;
}
