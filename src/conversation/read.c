#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "codec.h"
#include "module.h"

#define SEALED_SLACK (1024 * 1024)
#define LISTED_CONTEXTS 8 /* a conversation may be listed that is too long to go on */

/* What a context is of. */
static void query_items(struct store_query *query) {
	query->record_kinds[0] = RECORD_INPUT;
	query->record_kinds[1] = RECORD_OUTPUT;
}

/* The bytes of sealed records that surely hold more than so many contexts: padding at most doubles a text of some size, and
 * settings and event boundaries come on top. */
static size_t sealed_bound(const struct conversations *module, size_t contexts) {
	return module->deps.max_context ? 4 * contexts * module->deps.max_context + SEALED_SLACK : 0;
}

/* --- context -------------------------------------------------------------------------------------------------------- */

/* The items of one response of a chain, while its turn is being built. */
struct slot {
	struct item_list input;
	struct item_list output;
	bool segments; /* it never finished: its output is what checkpoints kept */
};

static void slots_free(struct slot **slots, size_t count) {
	for (size_t i = 0; *slots && i < count; i++) {
		item_list_free(&(*slots)[i].input);
		item_list_free(&(*slots)[i].output);
	}
	mem_free(*slots);
	*slots = NULL;
}

static int fill_slot(const struct vault *vault, const struct store_record *record, struct slot *slot, struct err *err) {
	struct item_list *list = record->kind == RECORD_INPUT    ? &slot->input
				 : record->kind == RECORD_OUTPUT ? &slot->output
								 : NULL;
	struct item item = {0};
	if (!list) {
		slot->segments = slot->segments || record->kind == RECORD_SEGMENT;
		return 0;
	}
	if (codec_read_item(vault, record, &item, err)) {
		return -1;
	}
	if (item_list_add(list, &item)) {
		item_free(&item);
		return err_set(err, ERR_MEMORY, "no memory for an item");
	}
	return 0;
}

/* Opens every record once and sorts the items to their responses. `chain[i]` belongs to `slots[i]`. */
static struct slot *fill_slots(const struct vault *vault, const struct store_snapshot *snapshot,
			       const struct store_response *const *chain, size_t count, struct err *err) {
	struct slot *slots = mem_zarray(count, sizeof *slots);
	struct map *by_id = map_new();
	if (!slots || !by_id) {
		err_set(err, ERR_MEMORY, "no memory for a context");
		goto fail;
	}
	for (size_t i = 0; i < count; i++) {
		if (map_put(by_id, str_of(chain[i]->id), &slots[i])) {
			err_set(err, ERR_MEMORY, "no memory for a context");
			goto fail;
		}
	}
	for (size_t i = 0; i < snapshot->record_count; i++) {
		struct slot *slot = map_get(by_id, str_of(snapshot->records[i].response));
		if (slot && fill_slot(vault, &snapshot->records[i], slot, err)) {
			goto fail;
		}
	}
	for (size_t i = 0; i < count; i++) {
		if (slots[i].segments && slots[i].output.count == 0 &&
		    codec_read_remains(vault, snapshot, chain[i]->id, &slots[i].output, NULL, err)) {
			goto fail;
		}
	}
	map_free(&by_id);
	return slots;

fail:
	map_free(&by_id);
	slots_free(&slots, count);
	return NULL;
}

/* Where a snapshot was cut, its first response may be the conversation's, which stays in front. */
static const struct store_response *front_of(const struct store_snapshot *snapshot,
					     const struct store_response *oldest) {
	const struct store_response *first = &snapshot->responses[0];
	return snapshot->more && first != oldest && !first->parent[0] ? first : NULL;
}

/* The path from the first turn to `last`, oldest first. Where a turn on it is gone (deleted, or never stored), it begins
 * behind that, or, if it must be whole, fails with ERR_NOT_FOUND. What was cut off is not gone. */
static const struct store_response **chain_to(const struct store_snapshot *snapshot, const char *last, bool whole,
					      size_t *count, struct err *err) {
	const struct store_response **chain = mem_zarray(snapshot->response_count + 1, sizeof *chain);
	struct map *by_id = map_new();
	size_t length = 0;
	if (!chain || !by_id) {
		err_set(err, ERR_MEMORY, "no memory for a context");
		goto fail;
	}
	for (size_t i = 0; i < snapshot->response_count; i++) {
		if (map_put(by_id, str_of(snapshot->responses[i].id), &snapshot->responses[i])) {
			err_set(err, ERR_MEMORY, "no memory for a context");
			goto fail;
		}
	}
	for (const char *id = last; id[0]; id = chain[length - 1]->parent) {
		const struct store_response *row = map_get(by_id, str_of(id));
		if (!row && length && (!whole || snapshot->more)) {
			break;
		}
		if (!row || length == snapshot->response_count) {
			err_set(err, row ? ERR_CORRUPT : ERR_NOT_FOUND, "%s: the turn %s before it %s", last, id,
				row ? "comes twice" : "is not kept");
			goto fail;
		}
		chain[length++] = row;
	}
	const struct store_response *front = length ? front_of(snapshot, chain[length - 1]) : NULL;
	if (front) {
		chain[length++] = front;
	}
	for (size_t i = 0; i < length / 2; i++) {
		const struct store_response *swap = chain[i];
		chain[i] = chain[length - 1 - i];
		chain[length - 1 - i] = swap;
	}
	map_free(&by_id);
	*count = length;
	return chain;

fail:
	map_free(&by_id);
	mem_free(chain);
	return NULL;
}

/* The turns along the path to `last`; the caller holds the newest. */
static struct turn *build_turns(const struct vault *vault, const struct store_snapshot *snapshot, const char *last,
				bool whole, struct err *err) {
	size_t count = 0;
	struct turn *turn = NULL;
	const struct store_response **chain = chain_to(snapshot, last, whole, &count, err);
	struct slot *slots = chain ? fill_slots(vault, snapshot, chain, count, err) : NULL;
	for (size_t i = 0; slots && i < count; i++) {
		struct turn *next = turn_new(turn, chain[i]->id, &slots[i].input, &slots[i].output);
		turn_release(&turn);
		turn = next;
		if (!turn) {
			err_set(err, ERR_MEMORY, "no memory for a context");
			break;
		}
		turn->cut = strcmp(chain[i]->status, response_status_name(RESPONSE_COMPLETED)) != 0;
	}
	slots_free(&slots, count);
	mem_free(chain);
	return turn;
}

/* Bytes of text of the items that a model is surely shown. */
static size_t text_of(const struct item_list *list) {
	size_t size = 0;
	for (size_t i = 0; i < list->count; i++) {
		const struct item *item = &list->items[i];
		for (size_t p = 0; item->kind != ITEM_REASONING && p < item->part_count; p++) {
			size += item->parts[p].kind == PART_ENCRYPTED ? 0 : item->parts[p].length;
		}
	}
	return size;
}

/* Whether the turns, but for the conversation's first, fill a context. */
static bool fills_context(const struct conversations *module, const struct turn *turn) {
	size_t size = 0;
	for (; turn->parent && size < module->deps.max_context; turn = turn->parent) {
		size += text_of(&turn->input) + text_of(&turn->output);
	}
	return size >= module->deps.max_context;
}

static size_t most_of(const struct conversation_op *op) {
	return sealed_bound(op->module, 1);
}

/* Whether more has to be read, because what was cut off would have fitted: then it is asked for. */
static bool reads_on(struct conversation_op *op, const struct store_snapshot *snapshot, const struct turn *turn) {
	if (!snapshot->more || op->enough >= most_of(op) || fills_context(op->module, turn)) {
		return false;
	}
	op->enough = 4 * op->enough < most_of(op) ? 4 * op->enough : most_of(op);
	return true;
}

static int open_context(struct conversation_op *op, const struct store_snapshot *snapshot,
			struct conversation **conversation, struct turn **turn, struct err *err) {
	const struct store_response *row = snapshot_response(snapshot, op->id);
	if (!row) {
		return err_set(err, ERR_NOT_FOUND, "no response %s", op->id);
	}
	if (response_row_runs(row)) {
		return err_set(err, ERR_CONFLICT, "%s is in progress", op->id);
	}
	*conversation = thread_open(op->module, snapshot, err);
	*turn = *conversation ? build_turns(&(*conversation)->vault, snapshot, op->id, true, err) : NULL;
	return *turn ? 0 : -1;
}

static void log_failure(const struct conversation_op *op, const struct err *err) {
	if (err->code == ERR_CORRUPT) {
		log_error(op->module->deps.log, "transcript does not verify", LOG_S("id", op->id), LOG_ERR(err));
	}
}

/* Whether a response is being written that the store may not have yet: its thread knows of it first. */
static bool is_being_written(const struct conversation *conversation, const struct store_thread *row) {
	list_each(node, after, &conversation->waiting) {
		const struct conversation_op *op = container_of(node, struct conversation_op, link);
		if (draft_response(op->draft)[0]) {
			return true;
		}
	}
	/* Where a write has failed and none is under way, the store's word counts. */
	bool ahead = conversation->pending > 0 || !conversation->stale;
	return ahead && strcmp(conversation->row.last_response, row->last_response) != 0;
}

static int check_latest(const struct conversation *conversation, const struct store_thread *row,
			const struct store_response *last, struct err *err) {
	if (last && response_row_runs(last)) {
		return err_set(err, ERR_CONFLICT, "%s is in progress", last->id);
	}
	return is_being_written(conversation, row) ? err_set(err, ERR_CONFLICT, "%s is being written", conversation->id)
						   : 0;
}

static int open_latest(struct conversation_op *op, const struct store_snapshot *snapshot,
		       struct conversation **conversation, struct turn **turn, struct err *err) {
	*conversation = thread_open(op->module, snapshot, err);
	if (!*conversation) {
		return -1;
	}
	const struct store_thread *row = &snapshot->threads[0];
	const struct store_response *last = snapshot_response(snapshot, row->last_response);
	if (check_latest(*conversation, row, last, err)) {
		return -1;
	}
	*turn = last ? build_turns(&(*conversation)->vault, snapshot, last->id, false, err) : NULL;
	return last && !*turn ? -1 : 0;
}

typedef int open_fn(struct conversation_op *op, const struct store_snapshot *snapshot,
		    struct conversation **conversation, struct turn **turn, struct err *err);

static void read_context(struct conversation_op *op);

static void on_read(struct conversation_op *op, struct store_snapshot *snapshot, const struct err *read_err,
		    open_fn *open) {
	struct conversation *conversation = NULL;
	struct turn *turn = NULL;
	struct err err = {0};
	op->store_op = NULL;
	/* What was read may hold what has been deleted since, and was reported so: then it is read once more. */
	bool again = !read_err && op->outdated;
	bool opened = !read_err && !again && open(op, snapshot, &conversation, &turn, &err) == 0;
	again = again || (opened && turn && reads_on(op, snapshot, turn));
	if (opened && !again && snapshot->more && !op->may_cut) {
		err_set(&err, ERR_LIMIT, "the turns before are more than a context may be");
	}
	if (err.code != ERR_NONE) {
		read_err = &err;
		log_failure(op, &err);
	}
	store_snapshot_free(&snapshot);
	if (again || read_err) {
		turn_release(&turn);
		conversation_release(&conversation);
	}
	if (again) {
		read_context(op);
	} else {
		op->done.context(op->arg, conversation, turn, read_err);
		op_free(&op);
	}
}

static void on_context(void *owner, struct store_snapshot *snapshot, const struct err *read_err) {
	on_read(owner, snapshot, read_err, open_context);
}

static void on_latest(void *owner, struct store_snapshot *snapshot, const struct err *read_err) {
	on_read(owner, snapshot, read_err, open_latest);
}

static void start_reading(struct conversation_op *op) {
	struct store_query query;
	op->outdated = false;
	op_query(&query, op->latest ? STORE_READ_LATEST : STORE_READ_CONTEXT, op->owner, op->id);
	query_items(&query);
	query.enough_bytes = op->enough;
	query.max_bytes = 2 * most_of(op);
	op->store_op = store_read(op->module->deps.store, &query, op->latest ? on_latest : on_context, op);
}

static void read_context(struct conversation_op *op) {
	const struct err no_memory = {.code = ERR_MEMORY};
	start_reading(op);
	if (!op->store_op) {
		op->done.context(op->arg, NULL, NULL, &no_memory);
		op_free(&op);
	}
}

/* Half as much again as fits: most of what is sealed is text. */
static struct conversation_op *load(struct conversations *module, const struct conversation_wish *wish, bool latest,
				    conversation_context_fn *done, void *arg) {
	struct conversation_op *op = op_new(module, wish->owner, wish->id, arg);
	if (!op) {
		return NULL;
	}
	size_t most = module->deps.max_context;
	op->done.context = done;
	op->may_cut = wish->may_cut;
	op->latest = latest;
	op->enough = most ? most + most / 2 + SEALED_SLACK / 16 : 0;
	op->loads = true;
	list_append(&op->module->loads, &op->link);
	start_reading(op);
	if (!op->store_op) {
		op_free(&op);
	}
	return op;
}

struct conversation_op *conversation_load(struct conversations *module, const struct conversation_wish *wish,
					  conversation_context_fn *done, void *arg) {
	return load(module, wish, false, done, arg);
}

struct conversation_op *conversation_load_latest(struct conversations *module, const struct conversation_wish *wish,
						 conversation_context_fn *done, void *arg) {
	return load(module, wish, true, done, arg);
}

/* --- one response ---------------------------------------------------------------------------------------------------- */

void stored_response_free(struct stored_response **stored) {
	struct stored_response *s = *stored;
	*stored = NULL;
	if (s) {
		request_settings_free(&s->settings);
		item_list_free(&s->input);
		item_list_free(&s->output);
		mem_free(s->error_message);
		buf_free(&s->events);
		mem_free(s);
	}
}

void stored_response_view(const struct stored_response *stored, struct response_view *view) {
	*view = (struct response_view){
		.id = stored->id,
		.conversation = stored->conversation,
		.previous_response_id = stored->parent,
		.model = stored->model,
		.settings = &stored->settings,
		.created_s = stored->created_ms / 1000,
		.completed_s = stored->completed_ms / 1000,
		.status = stored->status,
		.incomplete_reason = stored->reason,
		.error_code = stored->reason,
		.error_message = stored->error_message ? stored->error_message : "",
		.output = stored->output.items,
		.output_count = stored->output.count,
		.usage = stored->usage,
	};
}

static struct stored_response *open_response(struct conversation_op *op, const struct store_snapshot *snapshot,
					     struct err *err) {
	const struct store_response *row = snapshot_response(snapshot, op->id);
	if (!row) {
		err_set(err, ERR_NOT_FOUND, "no response %s", op->id);
		return NULL;
	}
	struct vault vault;
	struct stored_response *stored = mem_zalloc(sizeof *stored);
	if (!stored) {
		err_set(err, ERR_MEMORY, "no memory for a response");
		return NULL;
	}
	if (vault_open(&vault, op->module->deps.keyring, op->owner, row->thread, snapshot, err)) {
		stored_response_free(&stored);
		return NULL;
	}
	if (codec_read(&vault, snapshot, row, stored, err)) {
		stored_response_free(&stored);
	}
	vault_close(&vault);
	return stored;
}

static void on_response(void *owner, struct store_snapshot *snapshot, const struct err *read_err) {
	struct conversation_op *op = owner;
	struct stored_response *stored = NULL;
	struct err err = {0};
	if (!read_err) {
		stored = open_response(op, snapshot, &err);
		if (!stored) {
			read_err = &err;
			log_failure(op, &err);
		}
	}
	store_snapshot_free(&snapshot);
	op->done.response(op->arg, stored, read_err);
	op_free(&op);
}

struct conversation_op *conversation_read_response(struct conversations *module, const char *owner, const char *id,
						   conversation_response_fn *done, void *arg) {
	struct conversation_op *op = op_new(module, owner, id, arg);
	if (!op) {
		return NULL;
	}
	op->done.response = done;
	struct store_query query;
	op_query(&query, STORE_READ_RESPONSE, owner, id);
	return op_read(&op, &query, on_response) ? NULL : op;
}

/* --- items of a conversation ----------------------------------------------------------------------------------------- */

static size_t count_items(const struct turn *turn) {
	size_t count = 0;
	for (; turn; turn = turn->parent) {
		count += turn->input.count + turn->output.count;
	}
	return count;
}

/* From the newest turn back, so that the array fills from its end. */
static struct conversation_item *list_items(const struct turn *turn, size_t count) {
	struct conversation_item *items = mem_zarray(count + 1, sizeof *items);
	size_t at = count;
	for (; items && turn; turn = turn->parent) {
		for (size_t i = turn->output.count; i-- > 0;) {
			items[--at] = (struct conversation_item){&turn->output.items[i], turn->response_id};
		}
		for (size_t i = turn->input.count; i-- > 0;) {
			items[--at] = (struct conversation_item){&turn->input.items[i], turn->response_id};
		}
	}
	return items;
}

/* The turns that are listed; a thread may have none (NULL). */
static int open_items(struct conversation_op *op, const struct store_snapshot *snapshot,
		      struct conversation **conversation, struct turn **turn, struct err *err) {
	*conversation = thread_open(op->module, snapshot, err);
	if (!*conversation) {
		return -1;
	}
	if (snapshot->response_count == 0) {
		return 0;
	}
	const struct store_response *last = &snapshot->responses[snapshot->response_count - 1];
	*turn = build_turns(&(*conversation)->vault, snapshot, last->id, false, err);
	return *turn ? 0 : -1;
}

static void on_items(void *owner, struct store_snapshot *snapshot, const struct err *read_err) {
	struct conversation_op *op = owner;
	struct conversation *conversation = NULL;
	struct turn *turn = NULL;
	struct conversation_item *items = NULL;
	size_t count = 0;
	struct err err = {0};
	if (!read_err && open_items(op, snapshot, &conversation, &turn, &err) == 0) {
		count = count_items(turn);
		items = list_items(turn, count);
		if (!items) {
			err_set(&err, ERR_MEMORY, "no memory for a list");
		}
	}
	if (!read_err && err.code != ERR_NONE) {
		read_err = &err;
		log_failure(op, &err);
	}
	store_snapshot_free(&snapshot);
	op->done.items(op->arg, items, read_err ? 0 : count, read_err);
	mem_free(items);
	turn_release(&turn);
	conversation_release(&conversation);
	op_free(&op);
}

struct conversation_op *conversation_items(struct conversations *module, const struct conversation_page *page,
					   conversation_items_fn *done, void *arg) {
	struct conversation_op *op = op_new(module, page->owner, page->id, arg);
	if (!op) {
		return NULL;
	}
	op->done.items = done;
	struct store_query query;
	op_query(&query, STORE_READ_LATEST, page->owner, page->id);
	query_items(&query);
	str_copy_cut(query.item, sizeof query.item, str_of(page->item ? page->item : ""));
	query.ascending = page->ascending;
	query.enough_records = page->most;
	query.max_bytes = sealed_bound(module, LISTED_CONTEXTS);
	return op_read(&op, &query, on_items) ? NULL : op;
}

/* --- whether it is there --------------------------------------------------------------------------------------------- */

static void on_head(void *owner, struct store_snapshot *snapshot, const struct err *err) {
	struct conversation_op *op = owner;
	store_snapshot_free(&snapshot);
	op->done.written(op->arg, err);
	op_free(&op);
}

struct conversation_op *conversation_find(struct conversations *module, const char *owner, const char *id,
					  conversation_written_fn *done, void *arg) {
	struct conversation_op *op = op_new(module, owner, id, arg);
	if (!op) {
		return NULL;
	}
	op->done.written = done;
	struct store_query query;
	op_query(&query, STORE_READ_HEAD, owner, id);
	return op_read(&op, &query, on_head) ? NULL : op;
}
