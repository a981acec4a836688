#include <sodium.h>
#include <string.h>

#include "dek.h"
#include "envelope.h"
#include "seal/record.h"

/* BLAKE2b-256(key = DEK, purpose): the chain and its head are hashed under keys of their own. */
static void head_key(const struct seal_dek *dek, const char *purpose, uint8_t key[static SEAL_SUBKEY_SIZE]) {
	crypto_generichash(key, SEAL_SUBKEY_SIZE, (const uint8_t *)purpose, strlen(purpose), dek->key, sizeof dek->key);
}

static int extend(struct seal_head *head, const uint8_t key[static SEAL_SUBKEY_SIZE], uint32_t number,
		  const uint8_t commitment[static SEAL_COMMITMENT_SIZE], struct err *err) {
	uint8_t link[SEAL_HEAD_SIZE + 4 + SEAL_COMMITMENT_SIZE];
	if (number <= head->last_number) {
		return err_set(err, ERR_INVALID, "record %u can't stand behind record %u", number, head->last_number);
	}
	uint8_t *at = envelope_put_bytes(link, head->chain, SEAL_HEAD_SIZE);
	at = envelope_put_u32(at, number);
	envelope_put_bytes(at, commitment, SEAL_COMMITMENT_SIZE);
	crypto_generichash(head->chain, SEAL_HEAD_SIZE, link, sizeof link, key, SEAL_SUBKEY_SIZE);
	head->last_number = number;
	head->count++;
	return 0;
}

int seal_head_extend(struct seal_head *head, const struct seal_dek *dek, uint32_t number,
		     const uint8_t commitment[static SEAL_COMMITMENT_SIZE], struct err *err) {
	uint8_t key[SEAL_SUBKEY_SIZE];
	head_key(dek, "sluice/chain/v1", key);
	int result = extend(head, key, number, commitment, err);
	sodium_memzero(key, sizeof key);
	return result;
}

int seal_head_extend_many(struct seal_head *head, const struct seal_dek *dek, const struct seal_link *links,
			  size_t count, struct err *err) {
	uint8_t key[SEAL_SUBKEY_SIZE];
	int result = 0;
	head_key(dek, "sluice/chain/v1", key);
	for (size_t i = 0; i < count && result == 0; i++) {
		result = extend(head, key, links[i].number, links[i].commitment, err);
	}
	sodium_memzero(key, sizeof key);
	return result;
}

void seal_head_mac(const struct seal_head *head, const struct seal_dek *dek, const char *thread,
		   uint8_t mac[static SEAL_HEAD_SIZE]) {
	uint8_t text[ID_SIZE + 4 + 4 + SEAL_HEAD_SIZE];
	uint8_t key[SEAL_SUBKEY_SIZE];
	uint8_t *at = envelope_put_id(text, thread);
	at = envelope_put_u32(at, head->last_number);
	at = envelope_put_u32(at, head->count);
	envelope_put_bytes(at, head->chain, SEAL_HEAD_SIZE);
	head_key(dek, "sluice/head/v1", key);
	crypto_generichash(mac, SEAL_HEAD_SIZE, text, sizeof text, key, sizeof key);
	sodium_memzero(key, sizeof key);
}

int seal_equal32(const uint8_t a[static 32], const uint8_t b[static 32]) {
	return sodium_memcmp(a, b, 32);
}
