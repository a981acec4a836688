#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "module.h"
#include "seal/record.h"

struct conversation_op *op_new(struct conversations *module, const char *owner, const char *id, void *arg) {
	struct conversation_op *op = mem_zalloc(sizeof *op);
	if (op) {
		op->module = module;
		op->arg = arg;
		str_copy_cut(op->owner, sizeof op->owner, str_of(owner));
		str_copy_cut(op->id, sizeof op->id, str_of(id));
		module->under_way++;
	}
	return op;
}

void op_free(struct conversation_op **op) {
	if (!*op) {
		return;
	}
	(*op)->module->under_way--;
	if ((*op)->loads) {
		list_remove(&(*op)->link);
	}
	mem_free((*op)->notice);
	conversation_release(&(*op)->conversation);
	draft_free(&(*op)->draft);
	mem_free(*op);
	*op = NULL;
}

void op_query(struct store_query *query, enum store_read_kind kind, const char *owner, const char *id) {
	*query = (struct store_query){.kind = kind};
	str_copy_cut(query->owner, sizeof query->owner, str_of(owner));
	str_copy_cut(query->id, sizeof query->id, str_of(id));
}

int64_t conversation_used_us(const struct conversations *module) {
	return store_completion_us(module->deps.store);
}

int op_read(struct conversation_op **op, const struct store_query *query, store_read_fn *done) {
	(*op)->store_op = store_read((*op)->module->deps.store, query, done, *op);
	if (!(*op)->store_op) {
		op_free(op);
		return -1;
	}
	return 0;
}

const struct store_response *snapshot_response(const struct store_snapshot *snapshot, const char *id) {
	for (size_t i = 0; i < snapshot->response_count; i++) {
		if (strcmp(snapshot->responses[i].id, id) == 0) {
			return &snapshot->responses[i];
		}
	}
	return NULL;
}

bool response_row_runs(const struct store_response *row) {
	return strcmp(row->status, response_status_name(RESPONSE_IN_PROGRESS)) == 0;
}

const struct store_response *snapshot_running(const struct store_snapshot *snapshot) {
	for (size_t i = 0; i < snapshot->response_count; i++) {
		if (response_row_runs(&snapshot->responses[i])) {
			return &snapshot->responses[i];
		}
	}
	return NULL;
}

/* --- open threads ------------------------------------------------------------------------------------------------- */

static struct conversation *thread_new(struct conversations *module, const char *owner, const char *id) {
	struct conversation *conversation = mem_zalloc(sizeof *conversation);
	if (!conversation) {
		return NULL;
	}
	conversation->references = 1;
	conversation->module = module;
	list_init(&conversation->waiting);
	str_copy_cut(conversation->id, sizeof conversation->id, str_of(id));
	str_copy_cut(conversation->owner, sizeof conversation->owner, str_of(owner));
	return conversation;
}

void thread_forget(struct conversation *conversation) {
	struct map *open = conversation->module->open;
	if (map_get(open, str_of(conversation->id)) == conversation) {
		map_remove(open, str_of(conversation->id));
	}
}

static void thread_free(struct conversation *conversation) {
	thread_forget(conversation);
	vault_close(&conversation->vault);
	mem_free(conversation->waypoints);
	mem_free(conversation);
}

struct conversation *conversation_hold(struct conversation *conversation) {
	if (conversation) {
		conversation->references++;
	}
	return conversation;
}

void conversation_release(struct conversation **conversation) {
	struct conversation *c = *conversation;
	*conversation = NULL;
	if (c && --c->references == 0) {
		thread_free(c);
	}
}

const char *conversation_id(const struct conversation *conversation) {
	return conversation->id;
}

uint32_t conversation_deletions(const struct conversation *conversation) {
	return conversation->deletions;
}

struct conversation *conversation_start(struct conversations *module, const char *owner, struct err *err) {
	int64_t now_ms = clock_wall_ms(module->deps.clock);
	char id[ID_SIZE];
	id_make(id, "conv", now_ms);
	struct conversation *c = thread_new(module, owner, id);
	if (!c) {
		err_set(err, ERR_MEMORY, "no memory for a conversation");
		return NULL;
	}
	if (vault_make(&c->vault, module->deps.keyring, owner, id, &c->new_key, err)) {
		goto free_thread;
	}
	if (map_put(module->open, str_of(id), c)) {
		err_set(err, ERR_MEMORY, "no memory for a conversation");
		goto free_thread;
	}
	memcpy(c->row.id, c->id, sizeof c->row.id);
	memcpy(c->row.owner, c->owner, sizeof c->row.owner);
	c->row.created_ms = now_ms;
	return c;

free_thread:
	thread_free(c);
	return NULL;
}

/* --- the chain ------------------------------------------------------------------------------------------------------ */

/* So many records lie between two waypoints, about: what is verified beyond what is read, for 32 bytes kept for so many. */
#define WAYPOINT_RECORDS 64

/* Links on their way into a chain. */
struct run {
	struct conversation *conversation;
	struct seal_head head;
	struct seal_link links[WAYPOINT_RECORDS];
	size_t count;
	bool marks; /* waypoints are made, into the conversation */
};

static void drop_waypoints(struct conversation *c) {
	mem_free(c->waypoints);
	c->waypoints = NULL;
	c->waypoint_count = 0;
	c->rewrites = false;
}

/* Waypoints only spare work: without memory for them there are none. */
static void mark(struct run *run) {
	struct conversation *c = run->conversation;
	struct store_waypoint *grown = mem_realloc(c->waypoints, (c->waypoint_count + 1) * sizeof *c->waypoints);
	if (grown) {
		struct store_waypoint *waypoint = &grown[c->waypoint_count++];
		waypoint->number = run->head.last_number;
		memcpy(waypoint->chain, run->head.chain, sizeof waypoint->chain);
		c->waypoints = grown;
		c->marked = run->head.count;
	}
}

static int run_flush(struct run *run, struct err *err) {
	const struct seal_dek *key = vault_head_key(&run->conversation->vault);
	if (seal_head_extend_many(&run->head, key, run->links, run->count, err)) {
		return err_wrap(err, "records of %s", run->conversation->id);
	}
	if (run->marks && run->count == WAYPOINT_RECORDS) {
		mark(run);
	}
	run->count = 0;
	return 0;
}

static int run_add(struct run *run, const struct store_link *link, struct err *err) {
	struct seal_link *to = &run->links[run->count++];
	to->number = link->number;
	memcpy(to->commitment, link->commitment, sizeof to->commitment);
	return run->count == WAYPOINT_RECORDS ? run_flush(run, err) : 0;
}

/* Runs the chain over the links and compares with what the row keeps: a record that is missing, added or changed behind the
 * waypoint shows. So does a waypoint that is not ours, because no other chain ends at this head. */
static int verify_head(struct conversation *c, const struct store_snapshot *snapshot, struct err *err) {
	const struct store_waypoint *from = &snapshot->from;
	struct run run = {.conversation = c, .head.last_number = from->number, .marks = from->number == 0};
	memcpy(run.head.chain, from->chain, sizeof run.head.chain);
	drop_waypoints(c);
	c->marked = 0;
	for (size_t i = 0; i < snapshot->link_count; i++) {
		if (run_add(&run, &snapshot->links[i], err)) {
			return -1;
		}
	}
	if (run_flush(&run, err)) {
		return -1;
	}
	struct seal_head head = run.head;
	head.last_number = c->row.last_number; /* the highest may have been deleted; the row's own is under the hash */
	if (from->number) {
		head.count = c->row.count; /* likewise: here only a part was counted */
		c->marked = head.count - run.head.count;
	}
	if (head.count < run.head.count || head.count != c->row.count ||
	    memcmp(head.chain, c->row.chain, sizeof head.chain) != 0) {
		return err_set(err, ERR_CORRUPT, "records of %s do not fit their chain: %u there, %u expected", c->id,
			       run.head.count, c->row.count);
	}
	uint8_t mac[SEAL_HEAD_SIZE];
	seal_head_mac(&head, vault_head_key(&c->vault), c->id, mac);
	if (seal_equal32(mac, c->row.head)) {
		return err_set(err, ERR_CORRUPT, "head of %s does not verify", c->id);
	}
	c->head = head;
	return 0;
}

int thread_refresh(struct conversation *c, const struct store_snapshot *snapshot, struct err *err) {
	const struct store_thread before = c->row;
	c->row = snapshot->threads[0];
	if (verify_head(c, snapshot, err)) {
		c->row = before;
		return -1;
	}
	c->stale = false;
	return 0;
}

/* Where the store is ahead, another loop has written. What waits for the head, or is under way, sees to it by itself. */
static int catch_up(struct conversation *c, const struct store_snapshot *snapshot, struct err *err) {
	if (snapshot->threads[0].last_number <= c->row.last_number) {
		return 0;
	}
	c->stale = true;
	return c->pending || c->reading ? 0 : thread_refresh(c, snapshot, err);
}

struct conversation *thread_open(struct conversations *module, const struct store_snapshot *snapshot, struct err *err) {
	if (snapshot->thread_count != 1) {
		err_set(err, ERR_CORRUPT, "a response without its conversation");
		return NULL;
	}
	const struct store_thread *row = &snapshot->threads[0];
	struct conversation *c = map_get(module->open, str_of(row->id));
	if (c && strcmp(c->owner, row->owner) == 0) {
		return catch_up(c, snapshot, err) ? NULL : conversation_hold(c);
	}
	c = thread_new(module, row->owner, row->id);
	if (!c) {
		err_set(err, ERR_MEMORY, "no memory for a conversation");
		return NULL;
	}
	c->row = *row;
	if (vault_open(&c->vault, module->deps.keyring, row->owner, row->id, snapshot, err) ||
	    verify_head(c, snapshot, err)) {
		goto free_thread;
	}
	if (map_put(module->open, str_of(c->id), c)) {
		err_set(err, ERR_MEMORY, "no memory for a conversation");
		goto free_thread;
	}
	return c;

free_thread:
	thread_free(c);
	return NULL;
}

bool thread_is_current(const struct conversation *c, const struct store_snapshot *snapshot) {
	const struct store_thread *row = &snapshot->threads[0];
	return !c->stale && row->last_number == c->row.last_number && row->count == c->row.count &&
	       memcmp(row->chain, c->row.chain, sizeof row->chain) == 0;
}

int thread_head_without(struct conversation *c, const struct store_snapshot *snapshot, const uint32_t *numbers,
			size_t count, struct seal_head *head, struct err *err) {
	struct run run = {.conversation = c, .marks = true};
	size_t n = 0;
	drop_waypoints(c);
	c->marked = 0;
	c->rewrites = true;
	for (size_t i = 0; i < snapshot->link_count; i++) {
		const struct store_link *link = &snapshot->links[i];
		while (n < count && numbers[n] < link->number) {
			n++;
		}
		if (!(n < count && numbers[n] == link->number) && run_add(&run, link, err)) {
			return -1;
		}
	}
	if (run_flush(&run, err)) {
		return -1;
	}
	run.head.last_number = c->row.last_number;
	*head = run.head;
	return 0;
}

void thread_deleted(struct conversations *module, const char *owner, const char *id) {
	struct conversation *c = map_get(module->open, str_of(id));
	if (c && strcmp(c->owner, owner) == 0) {
		c->deletions++;
	}
	/* Which conversation is read is not known yet: any of the same owner is read once more. */
	list_each(node, after, &module->loads) {
		struct conversation_op *op = container_of(node, struct conversation_op, link);
		op->outdated = op->outdated || strcmp(op->owner, owner) == 0;
	}
}

/* What was made of a chain that was run from its beginning, and the next one when it is due. */
static int put_waypoints(struct conversation *c, struct store_write *write) {
	if (c->rewrites && store_delete_waypoints(write, c->id)) {
		return -1;
	}
	for (size_t i = 0; i < c->waypoint_count; i++) {
		if (store_put_waypoint(write, c->id, &c->waypoints[i])) {
			return -1;
		}
	}
	drop_waypoints(c);
	if (c->head.count < c->marked || c->head.count - c->marked < WAYPOINT_RECORDS) {
		return 0;
	}
	struct store_waypoint waypoint = {.number = c->head.last_number};
	memcpy(waypoint.chain, c->head.chain, sizeof waypoint.chain);
	c->marked = c->head.count;
	return store_put_waypoint(write, c->id, &waypoint);
}

int thread_put(struct conversation *c, struct store_write *write, const char *last_response, int64_t now_ms) {
	uint32_t expected = c->row.last_number;
	struct store_thread row = c->row;
	if (expected && store_expect_thread(write, &c->row)) {
		return -1;
	}
	/* What adds no record uses up a number too, so that whoever goes on from the old row notices. */
	if (c->head.last_number == expected) {
		c->head.last_number++;
	}
	row.updated_ms = now_ms;
	row.last_number = c->head.last_number;
	row.count = c->head.count;
	memcpy(row.chain, c->head.chain, sizeof row.chain);
	seal_head_mac(&c->head, vault_head_key(&c->vault), c->id, row.head);
	str_copy_cut(row.last_response, sizeof row.last_response, str_of(last_response));
	if (store_put_thread(write, &row, expected) || put_waypoints(c, write)) {
		return -1;
	}
	c->row = row;
	return 0;
}
