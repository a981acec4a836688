#include <string.h>

#include "base/str.h"
#include "module.h"
#include "seal/record.h"

/* The chain over what is left once the records of one response are gone. A link belongs to it if a record with its number
 * does. */
static int chain_without(struct conversation *c, const struct store_snapshot *snapshot, const char *response,
			 struct seal_head *head, struct err *err) {
	*head = (struct seal_head){0};
	size_t r = 0;
	for (size_t i = 0; i < snapshot->link_count; i++) {
		const struct store_link *link = &snapshot->links[i];
		while (r < snapshot->record_count && (snapshot->records[r].number < link->number ||
						      strcmp(snapshot->records[r].response, response) != 0)) {
			r++;
		}
		if (r < snapshot->record_count && snapshot->records[r].number == link->number) {
			continue;
		}
		if (seal_head_extend(head, vault_head_key(&c->vault), link->number, link->commitment, err)) {
			return -1;
		}
	}
	head->last_number = c->row.last_number;
	return 0;
}

static int delete_changes(struct conversation_op *op, const struct store_snapshot *snapshot, struct store_write *write,
			  struct err *err) {
	struct conversation *c = op->conversation;
	const struct store_response *row = snapshot_response(snapshot, op->id);
	struct seal_head head;
	if (!row) {
		return err_set(err, ERR_NOT_FOUND, "no response %s", op->id);
	}
	if (strcmp(row->status, response_status_name(RESPONSE_IN_PROGRESS)) == 0) {
		return err_set(err, ERR_CONFLICT, "%s is in progress", op->id);
	}
	if (chain_without(c, snapshot, op->id, &head, err)) {
		return -1;
	}
	if (head.count == 0) {
		thread_forget(c);
		return store_delete_thread(write, c->owner, c->id) ? err_set(err, ERR_MEMORY, "no memory") : 0;
	}
	c->head = head;
	bool newest = strcmp(c->row.last_response, op->id) == 0;
	if (store_delete_response(write, c->owner, op->id) ||
	    thread_put(c, write, newest ? row->parent : c->row.last_response, c->row.updated_ms)) {
		return err_set(err, ERR_MEMORY, "no memory");
	}
	return 0;
}

static void report(struct conversation_op *op, const struct err *err) {
	if (err) {
		log_warn(op->module->deps.log, "not deleted", LOG_S("id", op->id), LOG_ERR(err));
	}
	if (op->done.written) {
		op->done.written(op->arg, err);
	}
	op_free(&op);
}

static void on_deleted(void *owner, const struct err *err) {
	struct conversation_op *op = owner;
	op->store_op = NULL;
	write_over(op->conversation, err);
	report(op, err);
}

static void on_read_to_delete(void *owner, struct store_snapshot *snapshot, const struct err *read_err) {
	struct conversation_op *op = owner;
	struct err err = {0};
	op->store_op = NULL;
	if (read_err) {
		report(op, read_err);
		return;
	}
	struct store_write *write = NULL;
	op->conversation = thread_open(op->module, snapshot, &err);
	if (!op->conversation) {
		goto fail;
	}
	struct conversation *c = op->conversation;
	if (c->stale && !c->pending && !c->reading && thread_refresh(c, snapshot, &err)) {
		goto fail;
	}
	const struct seal_head head = c->head;
	const struct store_thread row = c->row;
	write = store_write_new();
	if (!write) {
		err_set(&err, ERR_MEMORY, "no memory for a deletion");
		goto fail;
	}
	/* A write under way has moved the head on since the read: the links at hand are not all of them. */
	if (c->stale || snapshot->threads[0].last_number != row.last_number ||
	    snapshot->threads[0].count != row.count) {
		err_set(&err, ERR_CONFLICT, "%s is being written", c->id);
		goto fail;
	}
	if (delete_changes(op, snapshot, write, &err)) {
		c->head = head;
		c->row = row;
		goto fail;
	}
	op->store_op = store_commit(op->module->deps.store, &write, on_deleted, op);
	if (!op->store_op) {
		c->head = head;
		c->row = row;
		err_set(&err, ERR_MEMORY, "no memory for a deletion");
		goto fail;
	}
	c->pending++;
	c->deletions++;
	store_snapshot_free(&snapshot);
	return;

fail:
	store_write_free(&write);
	store_snapshot_free(&snapshot);
	report(op, &err);
}

struct conversation_op *conversation_delete_response(struct conversations *module, const char *owner, const char *id,
						     conversation_written_fn *done, void *arg) {
	struct conversation_op *op = op_new(module, owner, id, arg);
	if (!op) {
		return NULL;
	}
	op->done.written = done;
	struct store_query query;
	op_query(&query, STORE_READ_CONTEXT, owner, id);
	return op_read(&op, &query, on_read_to_delete) ? NULL : op;
}

/* --- whole conversations ------------------------------------------------------------------------------------------ */

static int delete_thread(struct conversation_op *op, const struct store_snapshot *snapshot, struct err *err) {
	for (size_t i = 0; i < snapshot->response_count; i++) {
		if (strcmp(snapshot->responses[i].status, response_status_name(RESPONSE_IN_PROGRESS)) == 0) {
			return err_set(err, ERR_CONFLICT, "%s is in progress", snapshot->responses[i].id);
		}
	}
	op->conversation = thread_open(op->module, snapshot, err);
	if (!op->conversation) {
		return -1;
	}
	struct store_write *write = store_write_new();
	if (!write || store_delete_thread(write, op->owner, op->id)) {
		goto no_memory;
	}
	op->store_op = store_commit(op->module->deps.store, &write, on_deleted, op);
	if (!op->store_op) {
		goto no_memory;
	}
	op->conversation->pending++;
	op->conversation->deletions++;
	thread_forget(op->conversation);
	return 0;

no_memory:
	store_write_free(&write);
	return err_set(err, ERR_MEMORY, "no memory for a deletion");
}

static void on_thread_read_to_delete(void *owner, struct store_snapshot *snapshot, const struct err *read_err) {
	struct conversation_op *op = owner;
	struct err err = {0};
	op->store_op = NULL;
	if (read_err) {
		report(op, read_err);
		return;
	}
	if (delete_thread(op, snapshot, &err)) {
		report(op, &err);
	}
	store_snapshot_free(&snapshot);
}

struct conversation_op *conversation_delete(struct conversations *module, const char *owner, const char *id,
					    conversation_written_fn *done, void *arg) {
	struct conversation_op *op = op_new(module, owner, id, arg);
	if (!op) {
		return NULL;
	}
	op->done.written = done;
	struct store_query query;
	op_query(&query, STORE_READ_THREAD, owner, id);
	return op_read(&op, &query, on_thread_read_to_delete) ? NULL : op;
}
