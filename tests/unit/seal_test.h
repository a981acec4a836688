/* What the tests of seal share. */
#ifndef SLUICE_TEST_SEAL_H
#define SLUICE_TEST_SEAL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "seal/keyring.h"
#include "seal/record.h"
#include "seal/token.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline int start_seal(void **state) {
	(void)state;
	return seal_init(NULL);
}

/* A file of these bytes and this mode in /tmp; the caller unlinks. */
static inline void make_file(char path[static 64], const void *bytes, size_t length, unsigned mode) {
	strcpy(path, "/tmp/sluice-key-XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	FILE *file = fdopen(fd, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, length, file), length);
	assert_int_equal(fchmod(fd, mode), 0);
	fclose(file);
}

/* A keyring over 32 bytes that all have the value `byte`. */
static inline struct seal_keyring *keyring_of(uint8_t byte) {
	uint8_t key[SEAL_KEY_SIZE];
	char path[64];
	memset(key, byte, sizeof key);
	make_file(path, key, sizeof key, 0600);
	struct seal_keyring *keyring = seal_keyring_open(path, false, NULL);
	assert_non_null(keyring);
	unlink(path);
	return keyring;
}

/* For tests to which only the DEK matters: of a keyring that lives as long as the program. */
static struct seal_keyring *any_keyring;

static inline void close_any_keyring(void) {
	seal_keyring_free(&any_keyring);
}

static inline struct seal_dek *any_dek(void) {
	if (!any_keyring) {
		any_keyring = keyring_of(0x77);
		atexit(close_any_keyring);
	}
	return seal_dek_new(any_keyring);
}

static inline struct seal_dek_binding dek_binding(void) {
	/* Filled from end to end, so that a field read past its NUL or not at all shows. */
	struct seal_dek_binding binding;
	memset(&binding, 0x5a, sizeof binding);
	strcpy(binding.owner, "user_a");
	strcpy(binding.thread, "conv_a");
	binding.epoch = 7;
	return binding;
}

static inline struct seal_record_binding record_binding(void) {
	struct seal_record_binding binding;
	memset(&binding, 0x5a, sizeof binding);
	strcpy(binding.owner, "user_a");
	strcpy(binding.thread, "conv_a");
	strcpy(binding.response, "resp_a");
	binding.number = 5;
	binding.kind = 2;
	binding.schema = 1;
	binding.created_ms = 1700000000123;
	return binding;
}

/* For known answers: the layout of SECURITY.md, written down a second time. */
static inline uint8_t *lay(uint8_t *at, const void *bytes, size_t length) {
	memcpy(at, bytes, length);
	return at + length;
}

static inline uint8_t *lay_text(uint8_t *at, const char *text, size_t size) {
	memset(at, 0, size);
	memcpy(at, text, strlen(text));
	return at + size;
}

static inline uint8_t *lay_number(uint8_t *at, uint64_t value, size_t size) {
	for (size_t i = 0; i < size; i++) {
		at[i] = (uint8_t)(value >> 8 * (size - 1 - i));
	}
	return at + size;
}

/* okm = BLAKE2b-512(key, label || nonce || aad). */
static inline void known_okm(const uint8_t key[static 32], const char *label, const uint8_t nonce[static 24],
			     const uint8_t *aad, size_t aad_length, uint8_t okm[static 64]) {
	uint8_t text[16 + 24 + 512];
	uint8_t *at = lay_text(text, label, 16);
	at = lay(at, nonce, 24);
	at = lay(at, aad, aad_length);
	assert_int_equal(crypto_generichash(okm, 64, text, (size_t)(at - text), key, 32), 0);
}

#endif
