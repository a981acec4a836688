#include "seal/record.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "dek.h"
#include "envelope.h"
#include "padding.h"

/* 'M' ver alg flags, epoch, then the envelope. */
#define RECORD_EPOCH_AT 4
#define RECORD_ENVELOPE_AT 8
#define RECORD_AAD_SIZE (ENVELOPE_LABEL_SIZE + RECORD_ENVELOPE_AT + 3 * ID_SIZE + 3 * 4 + 8)
static_assert(RECORD_ENVELOPE_AT + ENVELOPE_OVERHEAD == SEAL_RECORD_OVERHEAD, "SECURITY.md");
static_assert(SEAL_COMMITMENT_SIZE == ENVELOPE_COMMITMENT_SIZE, "one commitment");

static const uint8_t RECORD_HEADER[RECORD_EPOCH_AT] = {'M', ENVELOPE_VERSION, ENVELOPE_ALGORITHM, 0};

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
	if (text.length > PADDING_MAX_TEXT) {
		return err_set(err, ERR_LIMIT, "a text of %zu bytes is too long to seal", text.length);
	}
	size_t padded = padding_size(text.length);
	if (!buf_reserve(out, SEAL_RECORD_OVERHEAD + padded)) {
		return err_set(err, ERR_MEMORY, "no memory to seal %zu bytes", text.length);
	}
	uint8_t aad[RECORD_AAD_SIZE];
	uint8_t *record = (uint8_t *)out->data + out->length;
	uint8_t *sealed = record + RECORD_ENVELOPE_AT;
	padding_put(sealed + ENVELOPE_TEXT_AT, text);
	envelope_put_u32(envelope_put_bytes(record, RECORD_HEADER, sizeof RECORD_HEADER), epoch);
	envelope_seal(dek->key, record_aad(record, binding, aad), sealed, padded);
	out->length += SEAL_RECORD_OVERHEAD + padded;
	return 0;
}

static int record_check(struct str sealed, struct err *err) {
	if (sealed.length < SEAL_RECORD_OVERHEAD + PADDING_STEP ||
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
	if (padding_length(text, padded, &length) != 0) {
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
