/* The store: an asynchronous interface over a driver (SQLite first).
 *
 * A struct store is one loop's handle on it, used by that loop's thread alone. Work runs on the store's own threads, shared
 * by all handles: one that writes (every write that waits, up to 256 or 4 MiB, whichever loop's, becomes one transaction:
 * group commit) and one that reads. Completions run on the loop that asked, never inside the call that started the work, in
 * the order in which writes were committed. What a completion reports as written is seen by every read that is started
 * afterwards, on whatever handle. After store_cancel a completion never runs. The loop is kept alive while something of its
 * own is under way, and not by an idle store. */
#ifndef SLUICE_STORE_STORE_H
#define SLUICE_STORE_STORE_H

#include <uv.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/metrics.h"
#include "store/record.h"

struct store;
struct store_op;    /* work under way */
struct store_write; /* a list of changes that happen together or not at all */

struct store_options {
	const char *dir;     /* holds sluice.db and keys.db; made with mode 0700 if missing (its parent is not) */
	int busy_timeout_ms; /* how long a lock held by another process is waited for; 0: 5,000 */
	bool read_only;      /* no lock, no migrations; a write fails with ERR_DENIED */
};

struct store_deps {
	uv_loop_t *loop; /* of the first handle */
	const struct clock *clock;
	const struct log *log;
	struct metrics *metrics; /* outlives the store; not NULL */
};

/* Blocks: takes the folder's lock (flock on DIR/lock; ERR_CONFLICT when another process has it), opens or makes both
 * databases, applies the migrations they lack, each in a transaction (ERR_CONFLICT when the schema is newer than this
 * program; ERR_INVALID when a file is another program's), marks responses found in_progress or queued as incomplete
 * with reason server_restart, starts the threads. The options are not kept; the deps are. */
struct store *store_open(const struct store_options *options, const struct store_deps *deps, struct err *err);
/* A further handle on the same store, for another loop: called on the thread that opened it, and before that loop's thread
 * runs. Every handle is closed; the order does not matter. */
struct store *store_share(struct store *store, uv_loop_t *loop, struct err *err);
/* On the handle's loop. Blocks until all that was started on this handle is done, and runs its completions (which may start
 * more: that is done too); with the last handle the threads end and the databases are closed. Not from a completion. The
 * loop must run once more before it is closed: the store's wake-up handle is let go there. NULL is fine. */
void store_close(struct store **store);
/* True while the store holds nothing that needs the KEK (no wrapped DEK, no credential), as found when it was opened
 * and as handed over since: only then may a missing KEK be made anew. */
bool store_is_empty(const struct store *store);
/* One of the wrapped keys that were there when the store was opened, to try a KEK on; NULL if there was none. */
const struct store_dek *store_sample_dek(const struct store *store);
/* 0 while the store takes writes, else -1 with the last failure: for /readyz. A conflict is the asker's failure and not
 * the store's. After a failure of the store's own, it tries once a second whether writing works again. */
int store_health(const struct store *store, struct err *err);

/* --- writing ----------------------------------------------------------------------------------------------------- */
struct store_write *store_write_new(void); /* NULL when memory is out */
void store_write_free(struct store_write **write);

/* Each adds a change, copying what it is given (sealed bytes are moved out of the record); 0, or -1 when memory is out:
 * the write is then spoilt and can only be freed (store_commit would answer ERR_MEMORY). The order in which changes are
 * added does not matter. Keys are written (and synced) before the data that needs them, and deleted before it. */

/* Adds a key. ERR_CONFLICT when the thread has another key for this epoch. */
int store_put_dek(struct store_write *write, const struct store_dek *dek);
/* Inserts, or updates if the row's last_number is still `expected_last`, else ERR_CONFLICT: also when the thread was
 * deleted meanwhile (an insert needs a DEK of the thread, in this write or before). Id, owner and created_ms never
 * change. A change that rewrites the chain without a new record should use up a number all the same, so that others
 * notice. */
int store_put_thread(struct store_write *write, const struct store_thread *thread, uint32_t expected_last);
/* The write happens only if the thread still is as `thread` says, in its last_number and its chain, else ERR_CONFLICT: to
 * delete no more than what was read, and to put a row behind nothing but what it was made for (of two writers that go on
 * from one row both may reach the same number). */
int store_expect_thread(struct store_write *write, const struct store_thread *thread);
/* Inserts or replaces. ERR_CONFLICT when its thread is not there or is another than before. */
int store_put_response(struct store_write *write, const struct store_response *response);
/* Inserts, or replaces the record of this number if it is the same response's. ERR_CONFLICT when the thread or response
 * is not there, or the number is another's. `sealed` must be a sealed record (ERR_INVALID). */
int store_put_record(struct store_write *write, struct store_record *record);
/* Takes a record out of its thread; the caller writes the thread's new chain. ERR_CONFLICT when it is not there. */
int store_delete_record(struct store_write *write, const char *thread, uint32_t number);
/* Inserts or replaces a waypoint of a thread, which is put in the same write or was before. */
int store_put_waypoint(struct store_write *write, const char *thread, const struct store_waypoint *waypoint);
/* All of a thread, before those that are put: for a chain that is made anew. */
int store_delete_waypoints(struct store_write *write, const char *thread);
/* Inserts or replaces a part of a response that is in progress: `number` counts within the response, and nothing is chained.
 * The sealed bytes are moved. ERR_CONFLICT when the response is not in progress. Reads give segments back among the records,
 * behind those. */
int store_put_segment(struct store_write *write, struct store_record *segment);
/* Of a response that has ended or ends in this write. */
int store_delete_segments(struct store_write *write, const char *response);
/* The response is put in the same write or was before. ERR_CONFLICT when it is not there, or the key stands for another one
 * since after `expired_ms`. Takes some of those along that are as old as that. */
int store_put_idempotency(struct store_write *write, const struct store_idempotency *idempotency, int64_t expired_ms);
/* Frees the key that began this response; none is no error. */
int store_delete_idempotency(struct store_write *write, const char *response);
/* With its records; what it was the parent of stays. ERR_NOT_FOUND when it is not there or not this owner's. */
int store_delete_response(struct store_write *write, const char *owner, const char *id);
/* With its DEKs, responses and records. ERR_NOT_FOUND likewise. */
int store_delete_thread(struct store_write *write, const char *owner, const char *id);
/* Inserts or renames. ERR_CONFLICT when another user has the name. */
int store_put_user(struct store_write *write, const struct store_user *user);
/* Inserts or replaces. ERR_CONFLICT when the user is not there. */
int store_put_credential(struct store_write *write, const struct store_credential *credential);
/* One that is not there is no error. */
int store_delete_credential(struct store_write *write, const char *id);
/* Deletes a credential that must still be there: of two writes that race for it one fails with ERR_CONFLICT. */
int store_consume_credential(struct store_write *write, const char *id);

/* `err` is NULL when it is durable (synchronous=FULL). ERR_FULL: no space. ERR_TIMEOUT: another process holds a lock.
 * ERR_OUTCOME_UNKNOWN: the commit itself failed, so the write may be there after a restart. Anything else: nothing was
 * written. One write's conflict does not touch those it shared a transaction with. */
typedef void store_written_fn(void *owner, const struct err *err);
/* Takes the write over. On failure to start (memory) `done` runs later with ERR_MEMORY all the same. Not cancellable:
 * a write that was handed over happens; store_cancel only stops the completion. Returns the operation, for that. */
struct store_op *store_commit(struct store *store, struct store_write **write, store_written_fn *done, void *owner);

/* Writes that are handed over between these two begin together, so that they share a transaction as far as its bounds reach.
 * Both within one turn of the loop. */
void store_gather(struct store *store);
void store_gathered(struct store *store);

/* --- reading ------------------------------------------------------------------------------------------------------ */
/* `snapshot` belongs to the callee (free it); NULL with an error (ERR_NOT_FOUND: no such row of this owner). */
typedef void store_read_fn(void *owner, struct store_snapshot *snapshot, const struct err *err);

enum store_read_kind {
	/* the response, its thread, its DEKs (none: an erasure was cut short), the records of the response; links of the
	 * whole thread if the query wants them */
	STORE_READ_RESPONSE,
	/* as above, and before the response its ancestors (100,000 at most), oldest first, with their records of
	 * `record_kinds`; links from a waypoint before the lowest of those records to the end. With `enough_bytes` it ends
	 * with the response whose records bring it there, and snapshot.more tells that others were before it: then the
	 * thread's first response is there too, in front, if it is the first of a conversation. */
	STORE_READ_CONTEXT,
	/* the same of a thread's last response; no response and no record when it has none, or that is gone. With `item` or
	 * `ascending` it is a part of this line, in whole responses: from the one with the item's record (if there are
	 * several, the first when ascending, else the last), else from the line's start or end, until `enough_records`
	 * come with the further ones. Where no record of the line has the item, the whole line. */
	STORE_READ_LATEST,
	/* the thread, DEKs, its responses and records in number order, links */
	STORE_READ_THREAD,
	/* the thread, DEKs, its responses, links, and the thread's lowest-numbered record of each of `record_kinds` */
	STORE_READ_CHAIN,
	/* the thread and its DEKs */
	STORE_READ_HEAD,
	/* threads of the owner, newest updated first, with DEKs and each thread's lowest-numbered record of each of
	 * `record_kinds`; snapshot.more when there are more than `limit` */
	STORE_READ_THREADS,
	/* the record of the item that was written last of those with this id, its thread and DEKs. Items written before
	 * records had an item's id are not found. */
	STORE_READ_ITEM,
	/* what the key of hash `hash` stands for since after `expired_ms`; id is ignored */
	STORE_READ_IDEMPOTENCY,
	/* all users and credentials; owner and id are ignored */
	STORE_READ_IDENTITIES,
};

#define STORE_QUERY_KINDS 2

struct store_query {
	enum store_read_kind kind;
	char owner[ID_SIZE];
	char id[ID_SIZE]; /* of the response, thread or item; for THREADS: start behind this thread, "" from the start */
	char item[ID_SIZE];                       /* LATEST: where to begin; "": not said */
	uint32_t limit;                           /* THREADS: how many */
	bool ascending;                           /* THREADS, LATEST: oldest first */
	uint32_t record_kinds[STORE_QUERY_KINDS]; /* CHAIN, THREADS: which records come along; 0: none. CONTEXT, LATEST:
						     which, with segments; none given: all */
	bool links;                               /* RESPONSE: links of the whole thread come along */
	size_t enough_bytes;                      /* CONTEXT, LATEST: of sealed records; 0: no bound */
	uint32_t enough_records;       /* LATEST: the same by their number, without a first response in front */
	size_t max_bytes;              /* of sealed records; more is ERR_LIMIT. 0: no bound */
	uint8_t hash[STORE_HASH_SIZE]; /* IDEMPOTENCY: of the key */
	int64_t expired_ms;            /* IDEMPOTENCY: rows made then or before count for nothing */
};

/* NULL when memory is out: `done` then never runs. */
struct store_op *store_read(struct store *store, const struct store_query *query, store_read_fn *done, void *owner);

/* Processor time that the completion which runs now has used so far, together with those in which the operations that led to
 * it were started; microseconds. 0 outside of a completion. */
int64_t store_completion_us(const struct store *store);

/* After this the completion never runs; a result is freed by the store. Sets *op to NULL; NULL is fine. An operation is
 * over when its completion starts: from there on its pointer must not be used. */
void store_cancel(struct store_op **op);

#endif
