/* Things that are found without their conversation: an item by its id, the text of a blob. */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "codec.h"
#include "module.h"
#include "seal/blob.h"

/* --- items ---------------------------------------------------------------------------------------------------------- */

static int open_found(const struct conversation_op *op, const struct store_snapshot *snapshot, struct item *item,
		      struct err *err) {
	struct vault vault;
	if (snapshot->thread_count != 1 || snapshot->record_count != 1) {
		return err_set(err, ERR_CORRUPT, "item %s is not there once", op->id);
	}
	if (vault_open(&vault, op->module->deps.keyring, op->owner, snapshot->threads[0].id, snapshot, err)) {
		return -1;
	}
	int result = codec_read_item(&vault, &snapshot->records[0], item, err);
	vault_close(&vault);
	/* The id beside the record stands in the open, where anybody who can write the file could change it. */
	if (result == 0 && strcmp(item->id, op->id) != 0) {
		item_free(item);
		result = err_set(err, ERR_CORRUPT, "the record of item %s holds another", op->id);
	}
	return result;
}

static void on_found(void *owner, struct store_snapshot *snapshot, const struct err *read_err) {
	struct conversation_op *op = owner;
	struct item item = {0};
	struct err err = {0};
	if (!read_err && open_found(op, snapshot, &item, &err)) {
		read_err = &err;
		if (err.code == ERR_CORRUPT) {
			log_error(op->module->deps.log, "item does not open", LOG_S("id", op->id), LOG_ERR(&err));
		}
	}
	store_snapshot_free(&snapshot);
	op->done.item(op->arg, read_err ? NULL : &item, read_err);
	item_free(&item);
	op_free(&op);
}

struct conversation_op *conversation_find_item(struct conversations *module, const char *owner, const char *item_id,
					       conversation_item_fn *done, void *arg) {
	struct conversation_op *op = op_new(module, owner, item_id, arg);
	if (!op) {
		return NULL;
	}
	op->done.item = done;
	struct store_query query;
	op_query(&query, STORE_READ_ITEM, owner, item_id);
	return op_read(&op, &query, on_found) ? NULL : op;
}

/* --- blobs ---------------------------------------------------------------------------------------------------------- */

static struct seal_blob_binding blob_binding(const char *owner, const char *purpose) {
	struct seal_blob_binding binding = {0};
	str_copy_cut(binding.owner, sizeof binding.owner, str_of(owner));
	str_copy_cut(binding.purpose, sizeof binding.purpose, str_of(purpose));
	return binding;
}

int conversation_seal_blob(const struct conversations *module, const char *owner, const char *purpose, struct str text,
			   struct buf *out) {
	const struct seal_blob_binding binding = blob_binding(owner, purpose);
	return seal_blob(module->deps.keyring, &binding, text, out, NULL);
}

int conversation_open_blob(const struct conversations *module, const char *owner, const char *purpose, struct str blob,
			   struct buf *text, struct err *err) {
	const struct seal_blob_binding binding = blob_binding(owner, purpose);
	return seal_blob_open(module->deps.keyring, &binding, blob, text, err);
}
