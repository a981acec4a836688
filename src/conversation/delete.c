#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "codec.h"
#include "module.h"
#include "peers.h"
#include "seal/record.h"

/* Adds what is deleted to the write, and moves head and row on; on failure the caller puts those back. */
typedef int changes_fn(struct conversation_op *op, const struct store_snapshot *snapshot, struct store_write *write,
		       struct err *err);

/* --- one response --------------------------------------------------------------------------------------------------- */

/* The head over what is left once the records of one response are gone. */
static int head_without_response(struct conversation *c, const struct store_snapshot *snapshot, const char *response,
				 struct seal_head *head, struct err *err) {
	uint32_t *numbers = mem_zarray(snapshot->record_count + 1, sizeof *numbers);
	size_t count = 0;
	if (!numbers) {
		return err_set(err, ERR_MEMORY, "no memory for a deletion");
	}
	for (size_t i = 0; i < snapshot->record_count; i++) {
		const struct store_record *record = &snapshot->records[i];
		if (record->kind != RECORD_SEGMENT && strcmp(record->response, response) == 0) {
			numbers[count++] = record->number;
		}
	}
	int result = thread_head_without(c, snapshot, numbers, count, head, err);
	mem_free(numbers);
	return result;
}

static int response_changes(struct conversation_op *op, const struct store_snapshot *snapshot,
			    struct store_write *write, struct err *err) {
	struct conversation *c = op->conversation;
	const struct store_response *row = snapshot_response(snapshot, op->id);
	struct seal_head head = {0};
	if (!row) {
		return err_set(err, ERR_NOT_FOUND, "no response %s", op->id);
	}
	if (response_row_runs(row)) {
		return err_set(err, ERR_CONFLICT, "%s is in progress", op->id);
	}
	if (head_without_response(c, snapshot, op->id, &head, err)) {
		return -1;
	}
	if (head.count == 0) {
		if (store_expect_thread(write, &snapshot->threads[0]) || store_delete_thread(write, c->owner, c->id)) {
			return err_set(err, ERR_MEMORY, "no memory");
		}
		thread_forget(c);
		return 0;
	}
	c->head = head;
	bool newest = strcmp(c->row.last_response, op->id) == 0;
	if (store_delete_response(write, c->owner, op->id) ||
	    thread_put(c, write, newest ? row->parent : c->row.last_response, c->row.updated_ms)) {
		return err_set(err, ERR_MEMORY, "no memory");
	}
	return 0;
}

/* --- one item ------------------------------------------------------------------------------------------------------- */

/* Whether a record holds the item: 1, 0, or -1 with an error. The id beside it stands in the open and is not believed; where
 * there is none, as there was none before the store knew items, only opening tells. */
static int holds(const struct vault *vault, const struct store_record *record, const char *id, struct err *err) {
	struct item item = {0};
	if ((record->kind != RECORD_INPUT && record->kind != RECORD_OUTPUT) ||
	    (record->item[0] && strcmp(record->item, id) != 0)) {
		return 0;
	}
	if (codec_read_item(vault, record, &item, err)) {
		return -1;
	}
	bool same = strcmp(item.id, id) == 0;
	item_free(&item);
	return same ? 1 : record->item[0] ? err_set(err, ERR_CORRUPT, "the record of item %s holds another", id) : 0;
}

/* The newest record of the item; `found` is NULL when there is none. */
static int find_record(const struct vault *vault, const struct store_snapshot *snapshot, const char *id,
		       const struct store_record **found, struct err *err) {
	*found = NULL;
	for (size_t i = snapshot->record_count; i-- > 0;) {
		int here = holds(vault, &snapshot->records[i], id, err);
		if (here != 0) {
			*found = here > 0 ? &snapshot->records[i] : NULL;
			return here > 0 ? 0 : -1;
		}
	}
	return 0;
}

/* The event log of a response tells its answer too. */
static const struct store_record *events_of(const struct store_snapshot *snapshot, const char *response) {
	for (size_t i = 0; i < snapshot->record_count; i++) {
		const struct store_record *record = &snapshot->records[i];
		if (record->kind == RECORD_EVENTS && strcmp(record->response, response) == 0) {
			return record;
		}
	}
	return NULL;
}

static int delete_record(struct conversation *c, const struct store_snapshot *snapshot,
			 const struct store_record *record, struct store_write *write, struct err *err) {
	const struct store_record *events =
		record->kind == RECORD_OUTPUT ? events_of(snapshot, record->response) : NULL;
	uint32_t numbers[2] = {record->number};
	size_t count = 1;
	if (events) {
		bool before = events->number < record->number;
		numbers[before ? 1 : 0] = record->number;
		numbers[before ? 0 : 1] = events->number;
		count = 2;
	}
	for (size_t i = 0; i < count; i++) {
		if (store_delete_record(write, c->id, numbers[i])) {
			return err_set(err, ERR_MEMORY, "no memory for a deletion");
		}
	}
	return thread_head_without(c, snapshot, numbers, count, &c->head, err);
}

/* What checkpoints kept of a response that never finished goes with the item, but for its other items, which become records. */
static int settle_remains(const struct conversation_op *op, const char *response, const struct item_list *remains,
			  struct store_write *write, struct err *err) {
	struct conversation *c = op->conversation;
	const struct draft_writer writer = {&c->vault, &c->head, write, clock_wall_ms(op->module->deps.clock)};
	for (size_t i = 0; i < remains->count; i++) {
		if (strcmp(remains->items[i].id, op->item) != 0 &&
		    draft_put_item(&writer, response, RECORD_OUTPUT, &remains->items[i], err)) {
			return -1;
		}
	}
	return store_delete_segments(write, response) ? err_set(err, ERR_MEMORY, "no memory for a deletion") : 0;
}

static bool has_item(const struct item_list *list, const char *id) {
	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->items[i].id, id) == 0) {
			return true;
		}
	}
	return false;
}

/* The item may be of a response that a killed server left: it then stands in no record, but in checkpoints. */
static int delete_from_remains(const struct conversation_op *op, const struct store_snapshot *snapshot,
			       struct store_write *write, struct err *err) {
	for (size_t i = snapshot->response_count; i-- > 0;) {
		const char *response = snapshot->responses[i].id;
		struct item_list remains = {0};
		int result = codec_read_remains(&op->conversation->vault, snapshot, response, &remains, NULL, err);
		bool here = result == 0 && has_item(&remains, op->item);
		if (here) {
			result = settle_remains(op, response, &remains, write, err);
		}
		item_list_free(&remains);
		if (here || result) {
			return result;
		}
	}
	return err_set(err, ERR_NOT_FOUND, "no item %s in %s", op->item, op->id);
}

static int item_changes(struct conversation_op *op, const struct store_snapshot *snapshot, struct store_write *write,
			struct err *err) {
	struct conversation *c = op->conversation;
	const struct store_response *running = snapshot_running(snapshot);
	const struct store_record *record = NULL;
	if (running) {
		return err_set(err, ERR_CONFLICT, "%s is in progress", running->id);
	}
	if (find_record(&c->vault, snapshot, op->item, &record, err) ||
	    (record ? delete_record(c, snapshot, record, write, err) : delete_from_remains(op, snapshot, write, err))) {
		return -1;
	}
	return thread_put(c, write, c->row.last_response, c->row.updated_ms) ? err_set(err, ERR_MEMORY, "no memory")
									     : 0;
}

/* --- carrying it out ------------------------------------------------------------------------------------------------ */

static void report(struct conversation_op *op, const struct err *err) {
	if (err) {
		log_warn(op->module->deps.log, "not deleted", LOG_S("id", op->id), LOG_ERR(err));
	}
	if (op->done.written) {
		op->done.written(op->arg, err);
	}
	op_free(&op);
}

static void report_success(struct conversation_op *op) {
	report(op, NULL);
}

/* Before it is reported every loop knows, so that nobody goes on from what is gone. */
static void on_deleted(void *owner, const struct err *err) {
	struct conversation_op *op = owner;
	struct conversation *c = op->conversation;
	op->store_op = NULL;
	if (!err) {
		thread_deleted(op->module, c->owner, c->id);
	}
	write_over(c, err);
	if (err || !peers_tell(op, report_success)) {
		report(op, err);
	}
}

/* -1 with head and row as they were. */
static int write_changes(struct conversation_op *op, const struct store_snapshot *snapshot, changes_fn *add_changes,
			 struct err *err) {
	struct conversation *c = op->conversation;
	const struct seal_head head = c->head;
	const struct store_thread row = c->row;
	struct store_write *write = store_write_new();
	if (!write) {
		return err_set(err, ERR_MEMORY, "no memory for a deletion");
	}
	if (add_changes(op, snapshot, write, err)) {
		c->head = head;
		c->row = row;
		store_write_free(&write);
		return -1;
	}
	op->store_op = store_commit(op->module->deps.store, &write, on_deleted, op);
	c->pending++;
	c->deletions++;
	return 0;
}

static int delete_part(struct conversation_op *op, const struct store_snapshot *snapshot, changes_fn *add_changes,
		       struct err *err) {
	struct conversation *c = op->conversation = thread_open(op->module, snapshot, err);
	if (!c || (c->stale && !c->pending && !c->reading && thread_refresh(c, snapshot, err))) {
		return -1;
	}
	/* A write under way has moved the head on since the read: the links at hand are not all of them. */
	if (!thread_is_current(c, snapshot)) {
		return err_set(err, ERR_CONFLICT, "%s is being written", c->id);
	}
	return write_changes(op, snapshot, add_changes, err);
}

static void on_read(struct conversation_op *op, struct store_snapshot *snapshot, const struct err *read_err,
		    changes_fn *add_changes) {
	struct err err = {0};
	op->store_op = NULL;
	if (read_err) {
		report(op, read_err);
	} else if (delete_part(op, snapshot, add_changes, &err)) {
		report(op, &err);
	}
	store_snapshot_free(&snapshot);
}

static void on_response_read(void *owner, struct store_snapshot *snapshot, const struct err *read_err) {
	on_read(owner, snapshot, read_err, response_changes);
}

static void on_thread_read(void *owner, struct store_snapshot *snapshot, const struct err *read_err) {
	on_read(owner, snapshot, read_err, item_changes);
}

static struct conversation_op *op_new_deletion(struct conversations *module, const char *owner, const char *id,
					       conversation_written_fn *done, void *arg) {
	struct conversation_op *op = op_new(module, owner, id, arg);
	if (op && peers_prepare(op)) {
		op_free(&op);
	}
	if (op) {
		op->done.written = done;
	}
	return op;
}

struct conversation_op *conversation_delete_response(struct conversations *module, const char *owner, const char *id,
						     conversation_written_fn *done, void *arg) {
	struct conversation_op *op = op_new_deletion(module, owner, id, done, arg);
	if (!op) {
		return NULL;
	}
	struct store_query query;
	op_query(&query, STORE_READ_RESPONSE, owner, id);
	query.links = true;
	return op_read(&op, &query, on_response_read) ? NULL : op;
}

struct conversation_op *conversation_delete_item(struct conversations *module, const struct conversation_place *place,
						 conversation_written_fn *done, void *arg) {
	struct conversation_op *op = op_new_deletion(module, place->owner, place->id, done, arg);
	if (!op) {
		return NULL;
	}
	str_copy_cut(op->item, sizeof op->item, str_of(place->item));
	struct store_query query;
	op_query(&query, STORE_READ_THREAD, place->owner, place->id);
	return op_read(&op, &query, on_thread_read) ? NULL : op;
}

/* --- whole conversations ------------------------------------------------------------------------------------------ */

static int delete_thread(struct conversation_op *op, const struct store_snapshot *snapshot, struct err *err) {
	const struct store_response *running = snapshot_running(snapshot);
	if (running) {
		return err_set(err, ERR_CONFLICT, "%s is in progress", running->id);
	}
	op->conversation = thread_open(op->module, snapshot, err);
	if (!op->conversation) {
		return -1;
	}
	struct store_write *write = store_write_new();
	/* A turn that began since it was read is not to go with it. */
	if (!write || store_expect_thread(write, &snapshot->threads[0]) ||
	    store_delete_thread(write, op->owner, op->id)) {
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

static void on_whole_read_to_delete(void *owner, struct store_snapshot *snapshot, const struct err *read_err) {
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
	struct conversation_op *op = op_new_deletion(module, owner, id, done, arg);
	if (!op) {
		return NULL;
	}
	struct store_query query;
	op_query(&query, STORE_READ_THREAD, owner, id);
	return op_read(&op, &query, on_whole_read_to_delete) ? NULL : op;
}
