/* Who holds the keys. The key-encryption key (KEK) comes from a credential or a 0600 file and stays in guarded memory;
 * data keys (DEK) exist in the open only inside a `struct seal_dek`. The only layer that includes libsodium.
 *
 * After seal_init, any thread; one keyring is read-only once opened. */
#ifndef SLUICE_SEAL_KEYRING_H
#define SLUICE_SEAL_KEYRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"

#define SEAL_KEY_SIZE 32
#define SEAL_KEY_ID_SIZE 8
#define SEAL_WRAPPED_DEK_SIZE 116
#define SEAL_SUBKEY_SIZE 32

struct seal_keyring;
struct seal_dek; /* one thread's data key for one epoch, in guarded memory */

/* Starts libsodium; forbids core dumps of this process (RLIMIT_CORE 0, PR_SET_DUMPABLE 0). */
int seal_init(struct err *err);

/* Whether a key file is at `path`. */
bool seal_key_file_exists(const char *path);
/* Makes a new random KEK file: mode 0600, O_EXCL, fsynced with its folder. 64 hex digits and a newline. */
int seal_key_file_make(const char *path, struct err *err);
/* Reads a KEK: 64 hex digits with an optional newline, or exactly 32 raw bytes. Refuses a file that group or others can
 * read, unless `credential` is set (systemd already guards that folder). ERR_NOT_FOUND when it is missing, ERR_DENIED,
 * ERR_INVALID. The caller frees. */
struct seal_keyring *seal_keyring_open(const char *path, bool credential, struct err *err);
void seal_keyring_free(struct seal_keyring **keyring); /* no DEK of it is left */

/* First 8 bytes of BLAKE2b(KEK, "sluice/kek-id/v1"): names the key without telling it. */
void seal_keyring_id(const struct seal_keyring *keyring, uint8_t id[static SEAL_KEY_ID_SIZE]);
/* A key for one purpose, derived from the KEK: BLAKE2b-256(key = KEK, purpose). */
void seal_subkey(const struct seal_keyring *keyring, const char *purpose, uint8_t key[static SEAL_SUBKEY_SIZE]);

/* What a wrapped DEK is bound to. */
struct seal_dek_binding {
	char owner[ID_SIZE];
	char thread[ID_SIZE];
	uint32_t epoch;
};

/* A new random DEK, in a guarded page that it shares with other DEKs of the keyring: kept out of dumps, and out of swap as
 * far as RLIMIT_MEMLOCK reaches. It ends before the keyring does. NULL when guarded memory is out. */
struct seal_dek *seal_dek_new(const struct seal_keyring *keyring);
void seal_dek_free(struct seal_dek **dek); /* wipes it */
/* SECURITY.md "wrapped DEK, 116": 'K' ver alg 0, kek_id, nonce, commitment, ciphertext, tag. */
int seal_dek_wrap(const struct seal_keyring *keyring, const struct seal_dek *dek,
		  const struct seal_dek_binding *binding, uint8_t out[static SEAL_WRAPPED_DEK_SIZE], struct err *err);
/* ERR_CORRUPT when it does not open under this binding, ERR_NOT_FOUND when another KEK wrapped it. */
struct seal_dek *seal_dek_unwrap(const struct seal_keyring *keyring, const uint8_t *wrapped, size_t length,
				 const struct seal_dek_binding *binding, struct err *err);

#endif
