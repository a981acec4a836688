#include "seal/blob.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "envelope.h"
#include "padding.h"

/* 'B' ver alg 0, the id of the key-encryption key, then the envelope. */
#define BLOB_HEADER_SIZE 4
#define BLOB_ENVELOPE_AT (BLOB_HEADER_SIZE + SEAL_KEY_ID_SIZE)
#define BLOB_OVERHEAD (BLOB_ENVELOPE_AT + ENVELOPE_OVERHEAD)
#define BLOB_AAD_SIZE (ENVELOPE_LABEL_SIZE + BLOB_ENVELOPE_AT + ID_SIZE + SEAL_BLOB_PURPOSE_SIZE)
#define BLOB_BASE64 sodium_base64_VARIANT_URLSAFE_NO_PADDING

static const uint8_t BLOB_HEADER[BLOB_HEADER_SIZE] = {'B', ENVELOPE_VERSION, ENVELOPE_ALGORITHM, 0};

static void blob_key(const struct seal_keyring *keyring, uint8_t key[static SEAL_SUBKEY_SIZE]) {
	seal_subkey(keyring, "sluice/blob-key/v1", key);
}

static struct envelope_aad blob_aad(const uint8_t *blob, const struct seal_blob_binding *binding,
				    uint8_t bytes[static BLOB_AAD_SIZE]) {
	char purpose[SEAL_BLOB_PURPOSE_SIZE] = {0};
	memcpy(purpose, binding->purpose, strnlen(binding->purpose, sizeof purpose));
	uint8_t *at = envelope_put_label(bytes, "sluice/blob/v1");
	at = envelope_put_bytes(at, blob, BLOB_ENVELOPE_AT);
	at = envelope_put_id(at, binding->owner);
	at = envelope_put_bytes(at, (const uint8_t *)purpose, sizeof purpose);
	assert(at == bytes + BLOB_AAD_SIZE);
	return (struct envelope_aad){bytes, BLOB_AAD_SIZE};
}

static int append_base64(const struct buf *binary, struct buf *out, struct err *err) {
	size_t size = sodium_base64_encoded_len(binary->length, BLOB_BASE64);
	if (!buf_reserve(out, size)) {
		return err_set(err, ERR_MEMORY, "no memory for a sealed text");
	}
	sodium_bin2base64(out->data + out->length, size, (const uint8_t *)binary->data, binary->length, BLOB_BASE64);
	out->length += size - 1;
	return 0;
}

int seal_blob(const struct seal_keyring *keyring, const struct seal_blob_binding *binding, struct str text,
	      struct buf *out, struct err *err) {
	if (text.length > PADDING_MAX_TEXT) {
		return err_set(err, ERR_LIMIT, "a text of %zu bytes is too long to seal", text.length);
	}
	struct buf binary = BUF_INIT;
	size_t padded = padding_size(text.length);
	if (!buf_reserve(&binary, BLOB_OVERHEAD + padded)) {
		return err_set(err, ERR_MEMORY, "no memory to seal %zu bytes", text.length);
	}
	uint8_t key[SEAL_SUBKEY_SIZE];
	uint8_t aad[BLOB_AAD_SIZE];
	uint8_t *blob = (uint8_t *)binary.data;
	seal_keyring_id(keyring, envelope_put_bytes(blob, BLOB_HEADER, sizeof BLOB_HEADER));
	padding_put(blob + BLOB_ENVELOPE_AT + ENVELOPE_TEXT_AT, text);
	blob_key(keyring, key);
	envelope_seal(key, blob_aad(blob, binding, aad), blob + BLOB_ENVELOPE_AT, padded);
	sodium_memzero(key, sizeof key);
	binary.length = BLOB_OVERHEAD + padded;
	int result = append_base64(&binary, out, err);
	buf_free(&binary);
	return result;
}

/* libsodium takes some bytes beyond ASCII for characters of base64. */
static bool is_base64url(struct str text) {
	for (size_t i = 0; i < text.length; i++) {
		char c = text.data[i];
		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
		      c == '_')) {
			return false;
		}
	}
	return true;
}

/* Takes the base64 off. -1 with ERR_CORRUPT for anything but the one text that the bytes have. */
static int read_base64(struct str text, struct buf *binary, struct err *err) {
	size_t length = 0;
	if (text.length == 0 || !is_base64url(text)) {
		return err_set(err, ERR_CORRUPT, "a sealed text is not base64url");
	}
	if (!buf_reserve(binary, text.length)) {
		return err_set(err, ERR_MEMORY, "no memory to open %zu bytes", text.length);
	}
	if (sodium_base642bin((uint8_t *)binary->data, text.length, text.data, text.length, NULL, &length, NULL,
			      BLOB_BASE64) != 0) {
		return err_set(err, ERR_CORRUPT, "a sealed text is not base64url");
	}
	binary->length = length;
	return 0;
}

static int check_header(const struct seal_keyring *keyring, struct str blob, struct err *err) {
	uint8_t id[SEAL_KEY_ID_SIZE];
	seal_keyring_id(keyring, id);
	if (blob.length < BLOB_OVERHEAD + PADDING_STEP || memcmp(blob.data, BLOB_HEADER, sizeof BLOB_HEADER) != 0) {
		return err_set(err, ERR_CORRUPT, "not a sealed text of this version");
	}
	if (memcmp(blob.data + BLOB_HEADER_SIZE, id, sizeof id) != 0) {
		return err_set(err, ERR_NOT_FOUND, "sealed under another key");
	}
	return 0;
}

static int open_binary(const struct seal_keyring *keyring, const struct seal_blob_binding *binding, struct str binary,
		       struct buf *out, struct err *err) {
	uint8_t key[SEAL_SUBKEY_SIZE];
	uint8_t aad[BLOB_AAD_SIZE];
	if (check_header(keyring, binary, err) != 0) {
		return -1;
	}
	const uint8_t *blob = (const uint8_t *)binary.data;
	size_t padded = binary.length - BLOB_OVERHEAD;
	size_t length;
	if (!buf_reserve(out, padded)) {
		return err_set(err, ERR_MEMORY, "no memory to open %zu bytes", padded);
	}
	uint8_t *text = (uint8_t *)out->data + out->length;
	blob_key(keyring, key);
	int opened = envelope_open(key, blob_aad(blob, binding, aad), blob + BLOB_ENVELOPE_AT, padded, text);
	sodium_memzero(key, sizeof key);
	if (opened != 0) {
		return err_set(err, ERR_CORRUPT, "a sealed text does not open");
	}
	if (padding_length(text, padded, &length) != 0) {
		sodium_memzero(text, padded);
		return err_set(err, ERR_CORRUPT, "a sealed text is wrongly padded");
	}
	out->length += length;
	return 0;
}

int seal_blob_open(const struct seal_keyring *keyring, const struct seal_blob_binding *binding, struct str blob,
		   struct buf *out, struct err *err) {
	struct buf binary = BUF_INIT;
	int result = read_base64(blob, &binary, err);
	if (result == 0) {
		result = open_binary(keyring, binding, buf_str(&binary), out, err);
	}
	buf_free(&binary);
	return result;
}
