/* Where the key-encryption key comes from: the same for the server and for sluicectl. */
#ifndef SLUICE_ADMIN_KEYRING_H
#define SLUICE_ADMIN_KEYRING_H

#include "base/err.h"
#include "base/log.h"
#include "seal/keyring.h"
#include "store/store.h"

/* $CREDENTIALS_DIRECTORY/kek wins (unless it is too short for a key: a unit's placeholder), then `key_file`. A missing key
 * file is made, but only while the store holds nothing that is sealed: a new key could not open what an old one sealed.
 * Blocks. NULL with an error that says what to do. seal_init comes first; the caller frees. */
struct seal_keyring *keyring_obtain(const char *key_file, const struct store *store, const struct log *log,
				    struct err *err);

#endif
