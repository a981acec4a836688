/* The store: an asynchronous interface over a driver (SQLite first).
 *
 * Called on the loop thread only. Work runs on the store's own threads: one that writes (every write that waits becomes
 * one transaction: group commit) and one that reads. Completions run on the loop thread, never inside the call that
 * started the work, in the order in which writes were committed. After store_cancel a completion never runs. */
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
	const char *dir;       /* holds sluice.db and keys.db; made with mode 0700 if missing */
	int busy_timeout_ms;   /* how long a lock held by another process is waited for */
	bool read_only;        /* no writes, no migrations, no lock */
};

struct store_deps {
	uv_loop_t *loop;
	const struct clock *clock;
	const struct log *log;
	struct metrics *metrics;
};

/* Blocks: takes the folder's lock (flock on DIR/lock; ERR_CONFLICT when another process has it), opens or makes both
 * databases, applies the migrations they lack, each in a transaction (ERR_CONFLICT when the schema is newer than this
 * program), marks responses found in_progress as incomplete with reason server_restart, starts the threads. */
struct store *store_open(const struct store_options *options, const struct store_deps *deps, struct err *err);
/* Waits until every write that was handed over is committed and its completion has run or was cancelled. */
void store_close(struct store **store);
/* Whether the store holds anything that is sealed (a wrapped DEK or a credential): a lost KEK must then not be replaced. */
bool store_is_empty(const struct store *store);
/* 0 while the last write went well, else -1 with its error: for /readyz. */
int store_health(const struct store *store, struct err *err);

/* --- writing ----------------------------------------------------------------------------------------------------- */
struct store_write *store_write_new(void); /* NULL when memory is out */
void store_write_free(struct store_write **write);

/* Each adds a change, copying what it is given (sealed bytes are moved out of the record); 0 or -1 when memory is out.
 * Keys are written (and synced) before the data that needs them, and deleted before it. */
int store_put_dek(struct store_write *write, const struct store_dek *dek);
/* Inserts, or updates if the row's last_number is still `expected_last` (else the write fails with ERR_CONFLICT). */
int store_put_thread(struct store_write *write, const struct store_thread *thread, uint32_t expected_last);
int store_put_response(struct store_write *write, const struct store_response *response); /* insert or replace */
int store_put_record(struct store_write *write, struct store_record *record);
int store_delete_response(struct store_write *write, const char *owner, const char *id); /* with its records */
int store_delete_thread(struct store_write *write, const char *owner, const char *id);   /* DEKs, responses, records */
int store_put_user(struct store_write *write, const struct store_user *user);
int store_put_credential(struct store_write *write, const struct store_credential *credential); /* insert or replace */
int store_delete_credential(struct store_write *write, const char *id);
/* Deletes a credential that must still be there: of two writes that race for it one fails with ERR_CONFLICT. */
int store_consume_credential(struct store_write *write, const char *id);

/* `err` is NULL when it is durable (synchronous=FULL). ERR_FULL: no space. ERR_OUTCOME_UNKNOWN: the commit itself
 * failed, so the write may be there after a restart. Anything else: nothing was written. */
typedef void store_written_fn(void *owner, const struct err *err);
/* Takes the write over. On failure to start (memory) `done` runs later with ERR_MEMORY all the same. Not cancellable:
 * a write that was handed over happens; store_cancel only stops the completion. Returns the operation, for that. */
struct store_op *store_commit(struct store *store, struct store_write **write, store_written_fn *done, void *owner);

/* --- reading ------------------------------------------------------------------------------------------------------ */
/* `snapshot` belongs to the callee (free it); NULL with an error (ERR_NOT_FOUND: no such row of this owner). */
typedef void store_read_fn(void *owner, struct store_snapshot *snapshot, const struct err *err);

enum store_read_kind {
	/* the response, its thread, its DEKs, the records of the response */
	STORE_READ_RESPONSE,
	/* as above, and all ancestors of the response, oldest first, with their records; links of the whole thread */
	STORE_READ_CONTEXT,
	/* the thread, DEKs, its responses and records in number order, links */
	STORE_READ_THREAD,
	/* threads of the owner, newest updated first, with DEKs and each thread's lowest-numbered record of kind `record_kind` */
	STORE_READ_THREADS,
	/* all users and credentials; owner and id are ignored */
	STORE_READ_IDENTITIES,
};

struct store_query {
	enum store_read_kind kind;
	char owner[ID_SIZE];
	char id[ID_SIZE];    /* of the response or thread; for THREADS: start behind this thread, "" from the start */
	uint32_t limit;      /* THREADS: how many */
	bool ascending;      /* THREADS: oldest first */
	uint32_t record_kind; /* THREADS: which record comes along */
};

struct store_op *store_read(struct store *store, const struct store_query *query, store_read_fn *done, void *owner);

/* After this the completion never runs; a result is freed by the store. Sets *op to NULL; NULL is fine. */
void store_cancel(struct store_op **op);

#endif
