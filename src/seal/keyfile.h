/* Key files: reading, for the keyring. Making and looking for one stands in seal/keyring.h. */
#ifndef SLUICE_SEAL_KEYFILE_H
#define SLUICE_SEAL_KEYFILE_H

#include "seal/keyring.h"

/* Reads the key that seal_keyring_open describes. `key` may be partly written on failure. */
int keyfile_read(const char *path, bool credential, uint8_t key[static SEAL_KEY_SIZE], struct err *err);

#endif
