/* The data keys of one thread, opened, and the texts sealed under them. Also the kinds of record that a response is kept
 * as. Private to the conversation layer. */
#ifndef SLUICE_CONVERSATION_VAULT_H
#define SLUICE_CONVERSATION_VAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "seal/keyring.h"
#include "seal/record.h"
#include "store/store.h"

#define VAULT_MAX_EPOCHS 16
#define VAULT_SCHEMA 1 /* of the texts below; stored in each record's binding */

enum record_kind {
	RECORD_SETTINGS = 1, /* request_settings_write */
	RECORD_INPUT = 2,    /* item_write, one record an item */
	RECORD_OUTPUT = 3,   /* item_write, one record an item */
	RECORD_EVENTS = 4,   /* the event log, opaque */
	RECORD_ERROR = 5,    /* the error message of a failed response */
	RECORD_SEGMENT = 6,  /* a part of a response that streams; numbered within it, and on no chain */
	RECORD_METADATA = 7, /* of the conversation, and no response's: a JSON object. At most one a thread */
};

struct vault {
	char owner[ID_SIZE];
	char thread[ID_SIZE];
	struct seal_dek *keys[VAULT_MAX_EPOCHS]; /* by epoch - 1; the newest seals, all open */
	uint32_t epochs;
};

/* A new thread's vault: one fresh key, wrapped into `row`, which is to be stored before the first record. */
int vault_make(struct vault *vault, const struct seal_keyring *keyring, const char *owner, const char *thread,
	       struct store_dek *row, struct err *err);
/* Opens the keys that a snapshot brought for this thread. ERR_NOT_FOUND when there are none (it is being erased), ERR_CORRUPT
 * when one does not open. */
int vault_open(struct vault *vault, const struct seal_keyring *keyring, const char *owner, const char *thread,
	       const struct store_snapshot *snapshot, struct err *err);
void vault_close(struct vault *vault);

/* Seals `text` as record `number` into `record`, which the caller frees (record->sealed). */
int vault_seal(const struct vault *vault, const char *response, enum record_kind kind, uint32_t number, int64_t now_ms,
	       struct str text, struct store_record *record, struct err *err);
/* Appends the text of a record to `out`. */
int vault_unseal(const struct vault *vault, const struct store_record *record, struct buf *out, struct err *err);

/* The key that heads and chains are made with: the first epoch's, for as long as the thread lives. */
static inline const struct seal_dek *vault_head_key(const struct vault *vault) {
	return vault->keys[0];
}

#endif
