/* Wrapped keys, sealed records, blobs and tokens as a stranger may have left them: bytes of any kind must be refused without a
 * crash, a sealed record that differs in one byte must not open, and what was sealed must come back. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "seal/blob.h"
#include "seal/keyring.h"
#include "seal/record.h"
#include "seal/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct seal_keyring *keyring;
static struct seal_dek *dek;

static const struct seal_record_binding RECORD = {
	.owner = "user_a", .thread = "conv_a", .response = "resp_a", .number = 1, .kind = 1, .schema = 1};
static const struct seal_blob_binding BLOB = {.owner = "user_a", .purpose = "reasoning"};
static const struct seal_dek_binding KEY = {.owner = "user_a", .thread = "conv_a", .epoch = 1};

static void must(bool holds) {
	if (!holds) {
		abort();
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
	(void)argc;
	(void)argv;
	char path[] = "/tmp/sluice-fuzz-XXXXXX";
	uint8_t key[SEAL_KEY_SIZE];
	memset(key, 1, sizeof key);
	must(seal_init(NULL) == 0);
	int fd = mkstemp(path);
	must(fd >= 0 && write(fd, key, sizeof key) == (ssize_t)sizeof key);
	close(fd);
	keyring = seal_keyring_open(path, false, NULL);
	unlink(path);
	must(keyring != NULL);
	dek = seal_dek_new(keyring);
	must(dek != NULL);
	return 0;
}

static void read_strange_bytes(struct str input) {
	struct buf out = BUF_INIT;
	uint8_t commitment[SEAL_COMMITMENT_SIZE];
	char id[SEAL_TOKEN_ID_SIZE];
	uint32_t epoch;
	/* Nobody without the keys makes something that opens. */
	must(seal_record_open(dek, &RECORD, input, &out, NULL) != 0);
	must(seal_blob_open(keyring, &BLOB, input, &out, NULL) != 0);
	must(out.length == 0);
	must(seal_dek_unwrap(keyring, (const uint8_t *)input.data, input.length, &KEY, NULL) == NULL);
	must((seal_record_epoch(input, &epoch, NULL) == 0) == (seal_record_commitment(input, commitment, NULL) == 0));
	seal_token_id(input, "sk", id);
	buf_free(&out);
}

static void seal_and_open(struct str text) {
	struct buf sealed = BUF_INIT;
	struct buf out = BUF_INIT;
	must(seal_record(dek, 1, &RECORD, text, &sealed, NULL) == 0);
	must(seal_record_open(dek, &RECORD, buf_str(&sealed), &out, NULL) == 0);
	must(str_equal(buf_str(&out), text));
	buf_clear(&sealed);
	buf_clear(&out);
	must(seal_blob(keyring, &BLOB, text, &sealed, NULL) == 0);
	must(seal_blob_open(keyring, &BLOB, buf_str(&sealed), &out, NULL) == 0);
	must(str_equal(buf_str(&out), text));
	buf_free(&out);
	buf_free(&sealed);
}

/* The first two bytes say where, the third what. */
static void seal_and_damage(struct str text) {
	struct buf sealed = BUF_INIT;
	struct buf out = BUF_INIT;
	if (text.length < 3 || text.data[2] == 0) {
		return;
	}
	must(seal_record(dek, 1, &RECORD, text, &sealed, NULL) == 0);
	size_t at = ((size_t)(uint8_t)text.data[0] << 8 | (uint8_t)text.data[1]) % sealed.length;
	sealed.data[at] = (char)(sealed.data[at] ^ text.data[2]);
	must(seal_record_open(dek, &RECORD, buf_str(&sealed), &out, NULL) != 0);
	must(out.length == 0);
	buf_clear(&sealed);
	must(seal_blob(keyring, &BLOB, text, &sealed, NULL) == 0);
	at %= sealed.length;
	sealed.data[at] = (char)(sealed.data[at] ^ text.data[2]);
	must(seal_blob_open(keyring, &BLOB, buf_str(&sealed), &out, NULL) != 0);
	must(out.length == 0);
	buf_free(&out);
	buf_free(&sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	const struct str input = {(const char *)data, size};
	read_strange_bytes(input);
	seal_and_open(input);
	seal_and_damage(input);
	return 0;
}
