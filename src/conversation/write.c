#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "codec.h"
#include "module.h"

struct conversations *conversations_new(const struct conversation_deps *deps, struct err *err) {
	struct conversations *module = mem_zalloc(sizeof *module);
	if (module) {
		module->deps = *deps;
		module->open = map_new();
	}
	if (!module || !module->open) {
		mem_free(module);
		err_set(err, ERR_MEMORY, "no memory for conversations");
		return NULL;
	}
	return module;
}

void conversations_free(struct conversations **module) {
	if (*module) {
		map_free(&(*module)->open);
		mem_free(*module);
		*module = NULL;
	}
}

int conversations_health(const struct conversations *module, struct err *err) {
	return store_health(module->deps.store, err);
}

/* Writes run to their end whether or not somebody waits: the thread's head must know how they went. */
static void on_written(void *owner, const struct err *err) {
	struct conversation_op *op = owner;
	op->store_op = NULL;
	if (err) {
		/* A conversation that was deleted meanwhile is nobody's fault. */
		log_at(op->module->deps.log, err->code == ERR_CONFLICT ? LOG_INFO : LOG_ERROR, "transcript not written",
		       LOG_S("id", op->id), LOG_ERR(err));
		thread_forget(op->conversation);
	}
	if (op->done.written) {
		op->done.written(op->arg, err);
	}
	op_free(&op);
}

/* Failing costs a fraction of a second of text after a kill, no more: the thread's head knows nothing of segments. */
static void on_checkpoint(void *owner, const struct err *err) {
	struct conversation_op *op = owner;
	op->store_op = NULL;
	if (err) {
		log_warn(op->module->deps.log, "checkpoint not written", LOG_S("id", op->id), LOG_ERR(err));
	}
	if (op->done.written) {
		op->done.written(op->arg, err);
	}
	op_free(&op);
}

struct conversation_op *conversation_checkpoint(struct conversation *c, const struct conversation_segment *segment,
						conversation_written_fn *done, void *arg) {
	struct store_write *write = store_write_new();
	struct conversation_op *op = op_new(c->module, c->owner, segment->response_id, arg);
	struct err err = {0};
	if (!write || !op ||
	    codec_write_segment(&c->vault, segment, clock_wall_ms(c->module->deps.clock), write, &err)) {
		goto give_up;
	}
	op->conversation = conversation_hold(c);
	op->done.written = done;
	op->store_op = store_commit(c->module->deps.store, &write, on_checkpoint, op);
	if (op->store_op) {
		return op;
	}

give_up:
	op_free(&op);
	store_write_free(&write);
	return NULL;
}

static int add_changes(struct conversation *c, const struct conversation_entry *entry, struct store_write *write,
		       struct err *err) {
	int64_t now_ms = clock_wall_ms(c->module->deps.clock);
	struct codec_writer writer = {&c->vault, &c->head, write, entry->response_id, now_ms};
	struct store_response row;
	codec_response_row(entry, c->owner, c->id, &row);
	if (c->new_key.epoch && store_put_dek(write, &c->new_key)) {
		return err_set(err, ERR_MEMORY, "no memory for a data key");
	}
	bool begins = entry->status == RESPONSE_IN_PROGRESS;
	if (begins ? codec_write_begin(&writer, entry, err) : codec_write_finish(&writer, entry, err)) {
		return -1;
	}
	if (!begins && store_delete_segments(write, entry->response_id)) {
		return err_set(err, ERR_MEMORY, "no memory for a response");
	}
	if ((entry->claim && claim_put(entry, write)) ||
	    (entry->frees_claim && store_delete_idempotency(write, entry->response_id))) {
		return err_set(err, ERR_MEMORY, "no memory for an idempotency key");
	}
	/* The response refers to its thread, the records to their response. */
	if (thread_put(c, write, entry->response_id, now_ms) || store_put_response(write, &row)) {
		return err_set(err, ERR_MEMORY, "no memory for a response");
	}
	return 0;
}

static struct conversation_op *write_entry(struct conversation *c, const struct conversation_entry *entry,
					   conversation_written_fn *done, void *arg) {
	const struct seal_head head = c->head;
	const struct store_thread row = c->row;
	struct store_write *write = store_write_new();
	struct conversation_op *op = op_new(c->module, c->owner, entry->response_id, arg);
	struct err err = {0};
	if (!write || !op || add_changes(c, entry, write, &err)) {
		goto give_up;
	}
	op->conversation = conversation_hold(c);
	op->done.written = done;
	op->store_op = store_commit(c->module->deps.store, &write, on_written, op);
	if (!op->store_op) {
		goto give_up;
	}
	c->new_key.epoch = 0;
	return op;

give_up:
	c->head = head;
	c->row = row;
	log_error(c->module->deps.log, "transcript not sealed", LOG_S("conversation", c->id), LOG_ERR(&err));
	op_free(&op);
	store_write_free(&write);
	return NULL;
}

struct conversation_op *conversation_begin(struct conversation *conversation, const struct conversation_entry *entry,
					   conversation_written_fn *done, void *arg) {
	return write_entry(conversation, entry, done, arg);
}

struct conversation_op *conversation_finish(struct conversation *conversation, const struct conversation_entry *entry,
					    conversation_written_fn *done, void *arg) {
	return write_entry(conversation, entry, done, arg);
}

void conversation_cancel(struct conversation_op **op) {
	struct conversation_op *o = *op;
	*op = NULL;
	if (!o) {
		return;
	}
	if (o->conversation) {
		o->done.written = NULL;
		return;
	}
	store_cancel(&o->store_op);
	op_free(&o);
}
