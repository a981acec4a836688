#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "codec.h"
#include "module.h"
#include "peers.h"

/* How often a write is sealed anew after it lost against others of its thread. Each time one of them was written, so this is no
 * circle; but beside a loop that writes without a pause another may lose some dozens of times in a row. */
#define MAX_LOSSES 1000

struct conversations *conversations_new(const struct conversation_deps *deps, struct err *err) {
	struct conversations *module = mem_zalloc(sizeof *module);
	if (module) {
		module->deps = *deps;
		module->open = map_new();
		list_init(&module->loads);
	}
	if (!module || !module->open) {
		mem_free(module);
		err_set(err, ERR_MEMORY, "no memory for conversations");
		return NULL;
	}
	peers_join(module);
	return module;
}

void conversations_free(struct conversations **module) {
	if (*module) {
		peers_leave(*module);
		map_free(&(*module)->open);
		mem_free(*module);
		*module = NULL;
	}
}

int conversations_health(const struct conversations *module, struct err *err) {
	return store_health(module->deps.store, err);
}

/* --- checkpoints -------------------------------------------------------------------------------------------------- */

void conversations_gather(struct conversations *module) {
	store_gather(module->deps.store);
}

void conversations_gathered(struct conversations *module) {
	store_gathered(module->deps.store);
}

/* Failing costs a fraction of a second of text after a kill, no more: the thread's head knows nothing of segments. */
static void on_checkpoint(void *owner, const struct err *err) {
	struct conversation_op *op = owner;
	op->store_op = NULL;
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

/* --- writes of a turn --------------------------------------------------------------------------------------------- */

/* Tells whoever waits, and ends the operation. */
static void finish(struct conversation_op *op, const struct err *err) {
	if (err) {
		/* A conversation that was deleted meanwhile is nobody's fault. */
		bool gone = err->code == ERR_CONFLICT || err->code == ERR_NOT_FOUND;
		log_at(op->module->deps.log, gone ? LOG_INFO : LOG_ERROR, "transcript not written", LOG_S("id", op->id),
		       LOG_ERR(err));
	}
	if (op->done.written) {
		op->done.written(op->arg, err);
	}
	op_free(&op);
}

static void wake(struct conversation *c);

/* Puts it on the list of those that wait for the head. */
static void queue(struct conversation *c, struct conversation_op *op) {
	list_each(node, after, &c->waiting) {
		const struct conversation_op *before = container_of(node, struct conversation_op, link);
		op->behind_begin = op->behind_begin || (draft_begins(before->draft) && strcmp(before->id, op->id) == 0);
	}
	list_append(&c->waiting, &op->link);
}

/* Whether a conflict may be another loop's write, or one that failed before it. Of a thread that is new no other loop knows. */
static bool may_be_repeated(const struct conversation_op *op) {
	return op->done.written && op->draft && op->expected_last && op->losses < MAX_LOSSES;
}

/* Writes run to their end whether or not somebody waits: the thread's head must know how they went. One that lost against
 * another, as all do that were sealed behind one that failed, is sealed anew at the head that is there. */
static void on_written(void *owner, const struct err *err) {
	struct conversation_op *op = owner;
	struct conversation *c = conversation_hold(op->conversation);
	op->store_op = NULL;
	c->pending--;
	c->stale = c->stale || err;
	if (err && err->code == ERR_CONFLICT && may_be_repeated(op)) {
		op->losses++;
		queue(c, op);
	} else {
		finish(op, err);
	}
	wake(c);
	conversation_release(&c);
}

static const struct store_record *metadata_of(const struct store_snapshot *snapshot) {
	for (size_t i = 0; i < snapshot->record_count; i++) {
		if (snapshot->records[i].kind == RECORD_METADATA) {
			return &snapshot->records[i];
		}
	}
	return NULL;
}

/* Where an edit goes: behind the latest response, which must have ended, and in the place of the metadata so far. */
static int make_room(struct conversation *c, struct draft *draft, const struct store_snapshot *snapshot,
		     struct store_write *write, struct err *err) {
	const struct store_response *running = snapshot_running(snapshot);
	const struct store_record *old = draft_has_metadata(draft) ? metadata_of(snapshot) : NULL;
	if (draft_response(draft)[0]) {
		/* Any that runs: its end will be the conversation's latest. */
		if (running) {
			return err_set(err, ERR_CONFLICT, "%s is in progress", running->id);
		}
		draft_follow(draft, c->row.last_response);
	}
	if (!old) {
		return 0;
	}
	if (store_delete_record(write, c->id, old->number)) {
		return err_set(err, ERR_MEMORY, "no memory for an edit");
	}
	return thread_head_without(c, snapshot, &old->number, 1, &c->head, err);
}

/* `snapshot` is NULL unless it is an edit of a thread that is there. */
static int add_changes(struct conversation_op *op, const struct store_snapshot *snapshot, struct store_write *write,
		       struct err *err) {
	struct conversation *c = op->conversation;
	int64_t now_ms = clock_wall_ms(c->module->deps.clock);
	const struct draft_writer writer = {&c->vault, &c->head, write, now_ms};
	if (c->new_key.epoch && store_put_dek(write, &c->new_key)) {
		return err_set(err, ERR_MEMORY, "no memory for a data key");
	}
	if ((snapshot && make_room(c, op->draft, snapshot, write, err)) || draft_seal(op->draft, &writer, err)) {
		return -1;
	}
	const char *response = draft_response(op->draft);
	const char *last = response[0] ? response : c->row.last_response;
	return thread_put(c, write, last, now_ms) ? err_set(err, ERR_MEMORY, "no memory for a conversation") : 0;
}

/* `row` is what the thread must be like for it to be written. */
static void hand_over(struct conversation_op *op, const struct store_thread *row, struct store_write **write) {
	struct conversation *c = op->conversation;
	op->expected_last = row->last_number;
	memcpy(op->expected_chain, row->chain, sizeof op->expected_chain);
	op->store_op = store_commit(c->module->deps.store, write, on_written, op);
	c->pending++;
}

/* Seals the draft at the thread's head and hands it over. On failure the head is as it was. */
static int write_draft(struct conversation_op *op, const struct store_snapshot *snapshot, struct err *err) {
	struct conversation *c = op->conversation;
	const struct seal_head head = c->head;
	const struct store_thread row = c->row;
	struct store_write *write = store_write_new();
	if (!write) {
		return err_set(err, ERR_MEMORY, "no memory for a write");
	}
	if (add_changes(op, snapshot, write, err)) {
		c->head = head;
		c->row = row;
		store_write_free(&write);
		return -1;
	}
	hand_over(op, &row, &write);
	c->new_key.epoch = 0;
	return 0;
}

/* The end is there already: an earlier write whose outcome was unknown has landed. It stands, and is durable once its row
 * has been written again as it is. The thread's goes with it, so that nothing comes back that is deleted meanwhile. */
static int confirm(struct conversation_op *op, const struct store_response *row, struct err *err) {
	struct conversation *c = op->conversation;
	const struct seal_head head = c->head;
	const struct store_thread before = c->row;
	struct store_write *write = store_write_new();
	if (!write || store_put_response(write, row) || thread_put(c, write, before.last_response, before.updated_ms)) {
		c->head = head;
		store_write_free(&write);
		return err_set(err, ERR_MEMORY, "no memory for a write");
	}
	hand_over(op, &before, &write);
	return 0;
}

/* What was resumed before it may have moved the head on: then it waits for that to be written. */
static int resume_edit(struct conversation_op *op, const struct store_snapshot *snapshot, struct err *err) {
	struct conversation *c = op->conversation;
	if (thread_is_current(c, snapshot)) {
		return write_draft(op, snapshot, err);
	}
	c->stale = true;
	list_append(&c->waiting, &op->link);
	return 0;
}

/* Whether the thread is as the write expected it, so that it was something else that it lost against. */
static bool was_expected(const struct conversation_op *op, const struct store_thread *row) {
	return op->losses > 0 && op->expected_last == row->last_number &&
	       memcmp(op->expected_chain, row->chain, sizeof row->chain) == 0;
}

/* The head is known again. */
static int resume(struct conversation_op *op, const struct store_snapshot *snapshot, struct err *err) {
	if (was_expected(op, &snapshot->threads[0])) {
		return err_set(err, ERR_CONFLICT, "%s could not be written", op->id);
	}
	if (draft_edits(op->draft)) {
		return resume_edit(op, snapshot, err);
	}
	const struct store_response *row = snapshot_response(snapshot, op->id);
	/* An end whose beginning has just failed was cancelled with it. */
	if (draft_begins(op->draft) || (op->behind_begin && op->done.written)) {
		return write_draft(op, NULL, err);
	}
	if (!row) {
		return err_set(err, ERR_NOT_FOUND, "no response %s", op->id);
	}
	bool ended = strcmp(row->status, response_status_name(RESPONSE_IN_PROGRESS)) != 0;
	return ended ? confirm(op, row, err) : write_draft(op, NULL, err);
}

/* Those that put themselves on the list meanwhile wait for the next reading. */
static void resume_all(struct conversation *c, const struct store_snapshot *snapshot, const struct err *failure) {
	struct list now;
	list_init(&now);
	while (!list_empty(&c->waiting)) {
		struct list *node = c->waiting.next;
		list_remove(node);
		list_append(&now, node);
	}
	while (!list_empty(&now)) {
		struct conversation_op *op = container_of(now.next, struct conversation_op, link);
		struct err err = failure ? *failure : (struct err){0};
		list_remove(&op->link);
		if (failure || resume(op, snapshot, &err)) {
			finish(op, &err);
		}
	}
}

static void on_head(void *owner, struct store_snapshot *snapshot, const struct err *read_err) {
	struct conversation *c = owner;
	struct err err = {0};
	c->reading = NULL;
	if (read_err) {
		err = *read_err;
	} else if (thread_refresh(c, snapshot, &err) == 0) {
		resume_all(c, snapshot, NULL);
	}
	if (err.code != ERR_NONE) {
		resume_all(c, NULL, &err);
	}
	store_snapshot_free(&snapshot);
	conversation_release(&c);
}

/* Reads the head of a stale thread, unless that is under way, or must wait for writes that are. */
static int read_head(struct conversation *c) {
	struct store_query query;
	if (c->reading || c->pending) {
		return 0;
	}
	op_query(&query, STORE_READ_CHAIN, c->owner, c->id);
	query.record_kinds[0] = RECORD_METADATA;
	c->reading = store_read(c->module->deps.store, &query, on_head, c);
	if (!c->reading) {
		return -1;
	}
	conversation_hold(c);
	return 0;
}

static void wake(struct conversation *c) {
	if (!list_empty(&c->waiting) && read_head(c)) {
		const struct err no_memory = {.code = ERR_MEMORY};
		resume_all(c, NULL, &no_memory);
	}
}

void write_over(struct conversation *c, const struct err *err) {
	c->pending--;
	c->stale = c->stale || err;
	wake(c);
}

/* Waits for the head to be read. */
static int wait_for_head(struct conversation *c, struct conversation_op *op) {
	if (read_head(c)) {
		return -1;
	}
	queue(c, op);
	return 0;
}

int write_edit(struct conversation_op *op, const struct store_snapshot *snapshot, struct err *err) {
	struct conversation *c = op->conversation;
	if (!snapshot || thread_is_current(c, snapshot)) {
		return write_draft(op, snapshot, err);
	}
	/* Others must not write before the head is read, or that reading would take it back. */
	c->stale = true;
	return wait_for_head(c, op) ? err_set(err, ERR_MEMORY, "no memory for an edit") : 0;
}

static struct conversation_op *write_entry(struct conversation *c, const struct conversation_entry *entry,
					   conversation_written_fn *done, void *arg) {
	struct err err = {.code = ERR_MEMORY};
	struct conversation_op *op = op_new(c->module, c->owner, entry->response_id, arg);
	if (!op || !(op->draft = draft_new(entry, c->owner, c->id))) {
		goto give_up;
	}
	op->conversation = conversation_hold(c);
	op->done.written = done;
	if (c->stale ? wait_for_head(c, op) : write_draft(op, NULL, &err)) {
		goto give_up;
	}
	return op;

give_up:
	log_error(c->module->deps.log, "transcript not sealed", LOG_S("conversation", c->id), LOG_ERR(&err));
	op_free(&op);
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

struct conversation_op *conversation_finish_again(struct conversation *conversation,
						  const struct conversation_entry *entry, conversation_written_fn *done,
						  void *arg) {
	/* Somebody else may have read the head since, with what the first write left. */
	conversation->stale = true;
	return write_entry(conversation, entry, done, arg);
}

void conversation_cancel(struct conversation_op **op) {
	struct conversation_op *o = *op;
	*op = NULL;
	if (!o) {
		return;
	}
	if (o->conversation && !o->sent) {
		o->done.written = NULL;
		return;
	}
	peers_forget(o);
	store_cancel(&o->store_op);
	op_free(&o);
}
