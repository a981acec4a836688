#include "base/mem.h"
#include "module.h"

static struct conversation_op *edit_new(struct conversations *module, const struct conversation_edit *edit,
					const char *thread, conversation_written_fn *done, void *arg) {
	struct conversation_op *op = op_new(module, edit->owner, thread, arg);
	if (op && !(op->draft = draft_new_edit(edit, thread, clock_wall_ms(module->deps.clock)))) {
		op_free(&op);
	}
	if (op) {
		op->done.written = done;
	}
	return op;
}

struct conversation_op *conversation_create(struct conversation *c, const struct conversation_edit *edit,
					    conversation_written_fn *done, void *arg) {
	struct err err = {0};
	struct conversation_op *op = edit_new(c->module, edit, c->id, done, arg);
	if (!op) {
		return NULL;
	}
	op->conversation = conversation_hold(c);
	if (write_edit(op, NULL, &err)) {
		log_error(c->module->deps.log, "conversation not sealed", LOG_S("conversation", c->id), LOG_ERR(&err));
		op_free(&op);
	}
	return op;
}

static void give_up(struct conversation_op *op, const struct err *err) {
	if (err->code == ERR_CORRUPT) {
		log_error(op->module->deps.log, "conversation does not verify", LOG_S("id", op->id), LOG_ERR(err));
	}
	if (op->done.written) {
		op->done.written(op->arg, err);
	}
	op_free(&op);
}

static void on_read_to_edit(void *owner, struct store_snapshot *snapshot, const struct err *read_err) {
	struct conversation_op *op = owner;
	struct err err = {0};
	op->store_op = NULL;
	if (read_err) {
		give_up(op, read_err);
		return;
	}
	op->conversation = thread_open(op->module, snapshot, &err);
	if (!op->conversation || write_edit(op, snapshot, &err)) {
		give_up(op, &err);
	}
	store_snapshot_free(&snapshot);
}

struct conversation_op *conversation_edit(struct conversations *module, const struct conversation_edit *edit,
					  conversation_written_fn *done, void *arg) {
	struct conversation_op *op = edit_new(module, edit, edit->id, done, arg);
	if (!op) {
		return NULL;
	}
	struct store_query query;
	op_query(&query, STORE_READ_CHAIN, edit->owner, edit->id);
	query.record_kinds[0] = RECORD_METADATA;
	return op_read(&op, &query, on_read_to_edit) ? NULL : op;
}
