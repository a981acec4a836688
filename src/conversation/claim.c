#include <string.h>

#include "base/str.h"
#include "module.h"
#include "seal/record.h"
#include "seal/token.h"

/* BLAKE2b under a key of this purpose alone: over the owner and the idempotency key, and, so that equal requests do not
 * show, over that hash and what was asked. */
static int hash_claim(const uint8_t key[static SEAL_SUBKEY_SIZE], const char *owner, const struct request *request,
		      struct conversation_claim *claim) {
	struct buf text = BUF_INIT;
	buf_append_text(&text, owner);
	buf_append_char(&text, ' ');
	buf_append_text(&text, request->idempotency_key);
	if (!text.failed) {
		seal_token_hash(key, buf_str(&text), claim->key);
		buf_clear(&text);
		buf_append(&text, (const char *)claim->key, sizeof claim->key);
		request_write_asked(&text, request);
	}
	int result = text.failed ? -1 : 0;
	if (result == 0) {
		seal_token_hash(key, buf_str(&text), claim->body);
	}
	buf_free(&text);
	return result;
}

int conversation_claim_make(const struct conversations *module, const char *owner, const struct request *request,
			    struct conversation_claim *claim) {
	uint8_t key[SEAL_SUBKEY_SIZE];
	seal_subkey(module->deps.keyring, "sluice/idempotency/v1", key);
	int result = hash_claim(key, owner, request, claim);
	seal_wipe(key, sizeof key);
	return result;
}

static void on_found(void *owner, struct store_snapshot *snapshot, const struct err *err) {
	struct conversation_op *op = owner;
	const struct store_idempotency *row = err ? NULL : &snapshot->idempotency[0];
	op->done.claim(op->arg, row ? row->response : NULL, row && seal_equal32(row->body, op->body) == 0, err);
	store_snapshot_free(&snapshot);
	op_free(&op);
}

struct conversation_op *conversation_find_claim(struct conversations *module, const char *owner,
						const struct conversation_claim *claim, int64_t now_ms,
						conversation_claim_fn *done, void *arg) {
	struct conversation_op *op = op_new(module, owner, NULL, arg);
	if (!op) {
		return NULL;
	}
	op->done.claim = done;
	memcpy(op->body, claim->body, sizeof op->body);
	struct store_query query;
	op_query(&query, STORE_READ_IDEMPOTENCY, owner, NULL);
	memcpy(query.hash, claim->key, sizeof query.hash);
	query.expired_ms = now_ms - CONVERSATION_CLAIM_MS;
	return op_read(&op, &query, on_found) ? NULL : op;
}
