#include "seal/keyring.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "dek.h"
#include "envelope.h"
#include "key_pages.h"
#include "keyfile.h"

/* 'K' ver alg 0, the id of the wrapping key, then the envelope. */
#define WRAP_HEADER_SIZE 4
#define WRAP_ENVELOPE_AT (WRAP_HEADER_SIZE + SEAL_KEY_ID_SIZE)
#define WRAP_AAD_SIZE (ENVELOPE_LABEL_SIZE + WRAP_ENVELOPE_AT + ID_SIZE + ID_SIZE + 4)
static_assert(WRAP_ENVELOPE_AT + ENVELOPE_OVERHEAD + SEAL_KEY_SIZE == SEAL_WRAPPED_DEK_SIZE, "SECURITY.md");

static const uint8_t WRAP_HEADER[WRAP_HEADER_SIZE] = {'K', ENVELOPE_VERSION, ENVELOPE_ALGORITHM, 0};

struct seal_keyring {
	uint8_t kek[SEAL_KEY_SIZE]; /* the whole struct lies in guarded memory, read-only once opened */
	uint8_t id[SEAL_KEY_ID_SIZE];
	struct key_pages *pages; /* where data keys lie */
};

int seal_init(struct err *err) {
	const struct rlimit none = {0, 0};
	if (sodium_init() < 0) {
		return err_set(err, ERR_IO, "libsodium did not start");
	}
	if (setrlimit(RLIMIT_CORE, &none) != 0) {
		return err_set(err, ERR_IO, "core dumps could not be forbidden: %s", strerror(errno));
	}
	if (prctl(PR_SET_DUMPABLE, 0) != 0) {
		return err_set(err, ERR_IO, "the process could not be made undumpable: %s", strerror(errno));
	}
	return 0;
}

struct seal_keyring *seal_keyring_open(const char *path, bool credential, struct err *err) {
	struct seal_keyring *keyring = sodium_malloc(sizeof *keyring);
	if (!keyring) {
		err_set(err, ERR_MEMORY, "no guarded memory for the key");
		return NULL;
	}
	keyring->pages = key_pages_new();
	if (!keyring->pages) {
		err_set(err, ERR_MEMORY, "no memory for data keys");
		goto fail_keyring;
	}
	if (keyfile_read(path, credential, keyring->kek, err) != 0) {
		goto fail_pages;
	}
	uint8_t digest[SEAL_SUBKEY_SIZE];
	seal_subkey(keyring, "sluice/kek-id/v1", digest);
	memcpy(keyring->id, digest, sizeof keyring->id);
	sodium_memzero(digest, sizeof digest);
	if (sodium_mprotect_readonly(keyring) != 0) {
		err_set(err, ERR_IO, "the key's memory could not be protected: %s", strerror(errno));
		goto fail_pages;
	}
	return keyring;

fail_pages:
	key_pages_free(&keyring->pages);
fail_keyring:
	sodium_free(keyring);
	return NULL;
}

void seal_keyring_free(struct seal_keyring **keyring) {
	if (*keyring) {
		struct key_pages *pages = (*keyring)->pages;
		key_pages_free(&pages);
		sodium_free(*keyring); /* wipes */
		*keyring = NULL;
	}
}

void seal_keyring_id(const struct seal_keyring *keyring, uint8_t id[static SEAL_KEY_ID_SIZE]) {
	memcpy(id, keyring->id, SEAL_KEY_ID_SIZE);
}

void seal_subkey(const struct seal_keyring *keyring, const char *purpose, uint8_t key[static SEAL_SUBKEY_SIZE]) {
	crypto_generichash(key, SEAL_SUBKEY_SIZE, (const uint8_t *)purpose, strlen(purpose), keyring->kek,
			   sizeof keyring->kek);
}

struct seal_dek *seal_dek_new(const struct seal_keyring *keyring) {
	struct seal_dek *dek = key_pages_take(keyring->pages);
	if (dek) {
		randombytes_buf(dek->key, sizeof dek->key);
	}
	return dek;
}

void seal_dek_free(struct seal_dek **dek) {
	if (*dek) {
		key_pages_give_back(*dek);
		*dek = NULL;
	}
}

static struct envelope_aad wrap_aad(const uint8_t *wrapped, const struct seal_dek_binding *binding,
				    uint8_t bytes[static WRAP_AAD_SIZE]) {
	uint8_t *at = envelope_put_label(bytes, "sluice/dek/v1");
	at = envelope_put_bytes(at, wrapped, WRAP_ENVELOPE_AT);
	at = envelope_put_id(at, binding->owner);
	at = envelope_put_id(at, binding->thread);
	at = envelope_put_u32(at, binding->epoch);
	assert(at == bytes + WRAP_AAD_SIZE);
	return (struct envelope_aad){bytes, WRAP_AAD_SIZE};
}

int seal_dek_wrap(const struct seal_keyring *keyring, const struct seal_dek *dek,
		  const struct seal_dek_binding *binding, uint8_t out[static SEAL_WRAPPED_DEK_SIZE], struct err *err) {
	(void)err; /* libsodium's sealing can't fail; the parameter stays for a KEK that lives elsewhere */
	uint8_t aad[WRAP_AAD_SIZE];
	uint8_t *at = envelope_put_bytes(out, WRAP_HEADER, WRAP_HEADER_SIZE);
	at = envelope_put_bytes(at, keyring->id, SEAL_KEY_ID_SIZE);
	memcpy(at + ENVELOPE_TEXT_AT, dek->key, sizeof dek->key);
	envelope_seal(keyring->kek, wrap_aad(out, binding, aad), at, sizeof dek->key);
	return 0;
}

struct seal_dek *seal_dek_unwrap(const struct seal_keyring *keyring, const uint8_t *wrapped, size_t length,
				 const struct seal_dek_binding *binding, struct err *err) {
	uint8_t aad[WRAP_AAD_SIZE];
	if (length != SEAL_WRAPPED_DEK_SIZE || memcmp(wrapped, WRAP_HEADER, WRAP_HEADER_SIZE) != 0) {
		err_set(err, ERR_CORRUPT, "not a wrapped key of this version");
		return NULL;
	}
	if (memcmp(wrapped + WRAP_HEADER_SIZE, keyring->id, SEAL_KEY_ID_SIZE) != 0) {
		err_set(err, ERR_NOT_FOUND, "wrapped under another key");
		return NULL;
	}
	struct seal_dek *dek = key_pages_take(keyring->pages);
	if (!dek) {
		err_set(err, ERR_MEMORY, "no guarded memory for a data key");
		return NULL;
	}
	if (envelope_open(keyring->kek, wrap_aad(wrapped, binding, aad), wrapped + WRAP_ENVELOPE_AT, sizeof dek->key,
			  dek->key) != 0) {
		err_set(err, ERR_CORRUPT, "a wrapped key does not open");
		seal_dek_free(&dek);
	}
	return dek;
}
