/* Secrets that a caller presents: API keys, session cookies, sign-in tokens. Their form is PREFIX_id_secret: 16
 * lower-case base32 characters that name the row, and 43 base64url characters (256 random bits) that prove possession.
 * Only a keyed BLAKE2b-256 of the whole text is stored. Any thread. */
#ifndef SLUICE_SEAL_TOKEN_H
#define SLUICE_SEAL_TOKEN_H

#include <stdint.h>

#include "base/str.h"
#include "seal/keyring.h"

#define SEAL_TOKEN_SIZE 80    /* text with a NUL; prefix at most 8 characters of [a-z] */
#define SEAL_TOKEN_ID_SIZE 17 /* 16 characters and a NUL */
#define SEAL_TOKEN_HASH_SIZE 32

struct seal_token {
	char text[SEAL_TOKEN_SIZE]; /* wipe with seal_wipe once handed out */
	char id[SEAL_TOKEN_ID_SIZE];
};

void seal_token_make(struct seal_token *token, const char *prefix);
/* Takes a presented text apart; -1 when its form or prefix is wrong. `id` is then empty. */
int seal_token_id(struct str text, const char *prefix, char id[static SEAL_TOKEN_ID_SIZE]);
/* BLAKE2b-256(key, text). `key` is a seal_subkey for the purpose. */
void seal_token_hash(const uint8_t key[static SEAL_SUBKEY_SIZE], struct str text,
		     uint8_t hash[static SEAL_TOKEN_HASH_SIZE]);
void seal_wipe(void *memory, size_t length);
void seal_random(void *out, size_t length);

#endif
