#include "seal/token.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#define SECRET_BYTES 32
#define SECRET_CHARS 43 /* base64url without padding */
#define ID_CHARS (SEAL_TOKEN_ID_SIZE - 1)
#define MAX_PREFIX 8
static_assert(MAX_PREFIX + 1 + ID_CHARS + 1 + SECRET_CHARS + 1 <= SEAL_TOKEN_SIZE, "a token fits its text");

/* RFC 4648 section 6, in lower case: without the digits that look like letters. */
static const char BASE32[] = "abcdefghijklmnopqrstuvwxyz234567";

static bool is_base32(char c) {
	return (c >= 'a' && c <= 'z') || (c >= '2' && c <= '7');
}

static bool is_base64url(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

void seal_token_make(struct seal_token *token, const char *prefix) {
	uint8_t id[ID_CHARS];
	uint8_t secret[SECRET_BYTES];
	char *at = token->text;
	size_t length = strlen(prefix);
	assert(length > 0 && length <= MAX_PREFIX);
	randombytes_buf(id, sizeof id);
	randombytes_buf(secret, sizeof secret);
	for (size_t i = 0; i < ID_CHARS; i++) {
		token->id[i] = BASE32[id[i] & 31];
	}
	token->id[ID_CHARS] = '\0';
	memcpy(at, prefix, length);
	at += length;
	*at++ = '_';
	memcpy(at, token->id, ID_CHARS);
	at += ID_CHARS;
	*at++ = '_';
	sodium_bin2base64(at, SECRET_CHARS + 1, secret, sizeof secret, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(secret, sizeof secret);
}

/* `rest` is what follows the prefix: _id_secret. */
static bool has_form(struct str rest) {
	if (rest.length != 1 + ID_CHARS + 1 + SECRET_CHARS || rest.data[0] != '_' || rest.data[1 + ID_CHARS] != '_') {
		return false;
	}
	for (size_t i = 0; i < ID_CHARS; i++) {
		if (!is_base32(rest.data[1 + i])) {
			return false;
		}
	}
	for (size_t i = 0; i < SECRET_CHARS; i++) {
		if (!is_base64url(rest.data[2 + ID_CHARS + i])) {
			return false;
		}
	}
	return true;
}

int seal_token_id(struct str text, const char *prefix, char id[static SEAL_TOKEN_ID_SIZE]) {
	id[0] = '\0';
	if (!str_starts(text, prefix)) {
		return -1;
	}
	struct str rest = str_skip(text, strlen(prefix));
	if (!has_form(rest)) {
		return -1;
	}
	memcpy(id, rest.data + 1, ID_CHARS);
	id[ID_CHARS] = '\0';
	return 0;
}

void seal_token_hash(const uint8_t key[static SEAL_SUBKEY_SIZE], struct str text,
		     uint8_t hash[static SEAL_TOKEN_HASH_SIZE]) {
	crypto_generichash(hash, SEAL_TOKEN_HASH_SIZE, (const uint8_t *)text.data, text.length, key, SEAL_SUBKEY_SIZE);
}

void seal_wipe(void *memory, size_t length) {
	sodium_memzero(memory, length);
}

void seal_random(void *out, size_t length) {
	randombytes_buf(out, length);
}
