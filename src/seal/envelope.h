/* What wrapped keys and sealed records have in common: nonce, commitment, ciphertext and tag, in that order, and the
 * fixed forms in which the additional data is laid out. SECURITY.md "Sealing". Pure but for the random nonce. */
#ifndef SLUICE_SEAL_ENVELOPE_H
#define SLUICE_SEAL_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "seal/keyring.h"

#define ENVELOPE_VERSION 1
#define ENVELOPE_ALGORITHM 1 /* XChaCha20-Poly1305 under a BLAKE2b-derived key, with commitment */

#define ENVELOPE_LABEL_SIZE 16
#define ENVELOPE_NONCE_SIZE 24
#define ENVELOPE_COMMITMENT_SIZE 32
#define ENVELOPE_TAG_SIZE 16
#define ENVELOPE_TEXT_AT (ENVELOPE_NONCE_SIZE + ENVELOPE_COMMITMENT_SIZE)
#define ENVELOPE_OVERHEAD (ENVELOPE_TEXT_AT + ENVELOPE_TAG_SIZE)

/* Additional data: always of one length per label, so that no two bindings can be written as the same bytes. It starts
 * with the label, zero-padded. */
struct envelope_aad {
	const uint8_t *bytes;
	size_t length;
};

/* Each writes at `at` and returns what is behind it. */
uint8_t *envelope_put_label(uint8_t *at, const char *label); /* ENVELOPE_LABEL_SIZE bytes, zero-padded */
uint8_t *envelope_put_id(uint8_t *at, const char *id);       /* ID_SIZE bytes, zero-padded */
uint8_t *envelope_put_bytes(uint8_t *at, const uint8_t *bytes, size_t length);
uint8_t *envelope_put_u32(uint8_t *at, uint32_t value); /* big-endian, as all numbers here */
uint8_t *envelope_put_u64(uint8_t *at, uint64_t value);
uint32_t envelope_get_u32(const uint8_t *at);

/* Encrypts in place: the text of `length` bytes lies at sealed + ENVELOPE_TEXT_AT, with room for the tag behind it. */
void envelope_seal(const uint8_t key[static SEAL_KEY_SIZE], struct envelope_aad aad, uint8_t *sealed, size_t length);
/* `length` is that of the text. -1 when it does not open; `text` is then zeroed or untouched. */
int envelope_open(const uint8_t key[static SEAL_KEY_SIZE], struct envelope_aad aad, const uint8_t *sealed,
		  size_t length, uint8_t *text);

#endif
