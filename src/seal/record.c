#include "seal/record.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "dek.h"
#include "envelope.h"

/* 'M' ver alg flags, epoch, then the envelope. */
#define RECORD_EPOCH_AT 4
#define RECORD_ENVELOPE_AT 8
#define RECORD_AAD_SIZE (ENVELOPE_LABEL_SIZE + RECORD_ENVELOPE_AT + 3 * ID_SIZE + 3 * 4 + 8)
static_assert(RECORD_ENVELOPE_AT + ENVELOPE_OVERHEAD == SEAL_RECORD_OVERHEAD, "SECURITY.md");
static_assert(SEAL_COMMITMENT_SIZE == ENVELOPE_COMMITMENT_SIZE, "one commitment");

static const uint8_t RECORD_HEADER[RECORD_EPOCH_AT] = {'M', ENVELOPE_VERSION, ENVELOPE_ALGORITHM, 0};

#define PAD_STEP 256
#define PAD_STEPS_END 4096
#define PAD_MARK 0x80
/* Far beyond any message that the server takes, and small enough that no length here can overflow. */
#define RECORD_MAX_TEXT ((size_t)256 << 20)

static unsigned floor_log2(size_t n) {
	return 63U - (unsigned)__builtin_clzll(n);
}

/* The size that `length` bytes and their mark are padded to. Above 4 KiB: PADMÉ (Nikitin et al., "Reducing Metadata
 * Leakage from Encrypted Files and Communication with PURBs", 2019), which leaks O(log log length) bits for at most 12
 * % more bytes. */
static size_t padded_size(size_t length) {
	size_t marked = length + 1;
	if (marked <= PAD_STEPS_END) {
		return (marked + PAD_STEP - 1) / PAD_STEP * PAD_STEP;
	}
	unsigned exponent = floor_log2(marked);
	unsigned kept = floor_log2(exponent) + 1;
	size_t mask = ((size_t)1 << (exponent - kept)) - 1;
	return (marked + mask) & ~mask;
}

/* Finds the length of the text within its padding: the mark is the last byte that is not zero. */
static int unpadded_length(const uint8_t *padded, size_t size, size_t *length) {
	size_t at = size;
	while (at > 0 && padded[at - 1] == 0) {
		at--;
	}
	if (at == 0 || padded[at - 1] != PAD_MARK || padded_size(at - 1) != size) {
		return -1;
	}
	*length = at - 1;
	return 0;
}

static struct envelope_aad record_aad(const uint8_t *header, const struct seal_record_binding *binding,
				      uint8_t bytes[static RECORD_AAD_SIZE]) {
	uint8_t *at = envelope_put_label(bytes, "sluice/record/v1");
	at = envelope_put_bytes(at, header, RECORD_ENVELOPE_AT);
	at = envelope_put_id(at, binding->owner);
	at = envelope_put_id(at, binding->thread);
	at = envelope_put_id(at, binding->response);
	at = envelope_put_u32(at, binding->number);
	at = envelope_put_u32(at, binding->kind);
	at = envelope_put_u32(at, binding->schema);
	at = envelope_put_u64(at, (uint64_t)binding->created_ms);
	assert(at == bytes + RECORD_AAD_SIZE);
	return (struct envelope_aad){bytes, RECORD_AAD_SIZE};
}

int seal_record(const struct seal_dek *dek, uint32_t epoch, const struct seal_record_binding *binding, struct str text,
		struct buf *out, struct err *err) {
	if (text.length > RECORD_MAX_TEXT) {
		return err_set(err, ERR_LIMIT, "a text of %zu bytes is too long to seal", text.length);
	}
	size_t padded = padded_size(text.length);
	if (!buf_reserve(out, SEAL_RECORD_OVERHEAD + padded)) {
		return err_set(err, ERR_MEMORY, "no memory to seal %zu bytes", text.length);
	}
	uint8_t aad[RECORD_AAD_SIZE];
	uint8_t *record = (uint8_t *)out->data + out->length;
	uint8_t *sealed = record + RECORD_ENVELOPE_AT;
	uint8_t *at = sealed + ENVELOPE_TEXT_AT;
	if (text.length > 0) {
		at = envelope_put_bytes(at, (const uint8_t *)text.data, text.length);
	}
	*at++ = PAD_MARK;
	memset(at, 0, padded - text.length - 1);
	envelope_put_u32(envelope_put_bytes(record, RECORD_HEADER, sizeof RECORD_HEADER), epoch);
	envelope_seal(dek->key, record_aad(record, binding, aad), sealed, padded);
	out->length += SEAL_RECORD_OVERHEAD + padded;
	return 0;
}

static int record_check(struct str sealed, struct err *err) {
	if (sealed.length < SEAL_RECORD_OVERHEAD + PAD_STEP ||
	    memcmp(sealed.data, RECORD_HEADER, sizeof RECORD_HEADER) != 0) {
		return err_set(err, ERR_CORRUPT, "not a sealed record of this version");
	}
	return 0;
}

int seal_record_open(const struct seal_dek *dek, const struct seal_record_binding *binding, struct str sealed,
		     struct buf *out, struct err *err) {
	if (record_check(sealed, err) != 0) {
		return -1;
	}
	uint8_t aad[RECORD_AAD_SIZE];
	const uint8_t *record = (const uint8_t *)sealed.data;
	size_t padded = sealed.length - SEAL_RECORD_OVERHEAD;
	size_t length;
	if (!buf_reserve(out, padded)) {
		return err_set(err, ERR_MEMORY, "no memory to open %zu bytes", padded);
	}
	uint8_t *text = (uint8_t *)out->data + out->length;
	if (envelope_open(dek->key, record_aad(record, binding, aad), record + RECORD_ENVELOPE_AT, padded, text) != 0) {
		return err_set(err, ERR_CORRUPT, "a sealed record does not open");
	}
	if (unpadded_length(text, padded, &length) != 0) {
		sodium_memzero(text, padded);
		return err_set(err, ERR_CORRUPT, "a sealed record is wrongly padded");
	}
	out->length += length;
	return 0;
}

int seal_record_epoch(struct str sealed, uint32_t *epoch, struct err *err) {
	if (record_check(sealed, err) != 0) {
		return -1;
	}
	*epoch = envelope_get_u32((const uint8_t *)sealed.data + RECORD_EPOCH_AT);
	return 0;
}

int seal_record_commitment(struct str sealed, uint8_t commitment[static SEAL_COMMITMENT_SIZE], struct err *err) {
	if (record_check(sealed, err) != 0) {
		return -1;
	}
	memcpy(commitment, sealed.data + RECORD_ENVELOPE_AT + ENVELOPE_NONCE_SIZE, SEAL_COMMITMENT_SIZE);
	return 0;
}
