/* Rows of SQLite into a snapshot. */
#ifndef SLUICE_STORE_SQLITE_ROWS_H
#define SLUICE_STORE_SQLITE_ROWS_H

#include "sqlite_read.h"

/* The responses from a thread's last to its first, newest first. */
struct sqlite_line {
	int64_t *keys; /* falling */
	size_t count, room;
	char parent[ID_SIZE]; /* of the one that was added last */
	size_t at;            /* where the item is that was looked for; `count`: nowhere */
};

/* One read on its way: where it reads, what it was asked and what it has. */
struct sqlite_read {
	struct sqlite_reader *reader;
	const struct store_query *query;
	struct store_snapshot *out;
	struct err *err;
	int64_t thread_key;   /* of the thread read last */
	size_t bytes;         /* of sealed records so far */
	int64_t response_key; /* of the response read last */
	size_t records;       /* of responses, segments aside */
	uint32_t lowest;      /* number of the records of responses, segments aside; 0: none yet */
	struct store_dek *sample;
	struct sqlite_line line;
};

/* The columns of each table, in the order in which the functions below take them. */
#define THREAD_COLUMNS                                                                                                 \
	"t.key, t.id, t.owner, t.created_ms, t.updated_ms, t.last_response, t.last_number, t.count, t.chain, t.head"
#define RESPONSE_COLUMNS                                                                                               \
	"r.key, r.id, r.parent, r.model, r.status, r.reason, r.created_ms, r.completed_ms, r.input_tokens,"            \
	" r.cached_tokens, r.output_tokens, r.reasoning_tokens"
#define RECORD_COLUMNS "m.number, m.kind, m.created_ms, m.sealed, coalesce(m.item, '')"
#define SEGMENT_COLUMNS "m.number, m.kind, m.created_ms, m.sealed, ''"

/* Each adds one row to the snapshot; -1 with an error: memory is out, or the row was not written by us. */
int sqlite_row_thread(struct sqlite_read *read, sqlite3_stmt *statement);
int sqlite_row_response(struct sqlite_read *read, sqlite3_stmt *statement);
/* RECORD_COLUMNS and the id of its response. ERR_LIMIT when it is more than the query wants. */
int sqlite_row_record(struct sqlite_read *read, sqlite3_stmt *statement);
int sqlite_row_link(struct sqlite_read *read, sqlite3_stmt *statement);
/* The one from which the links go on. */
int sqlite_row_waypoint(struct sqlite_read *read, sqlite3_stmt *statement);
int sqlite_row_dek(struct sqlite_read *read, sqlite3_stmt *statement);
int sqlite_row_idempotency(struct sqlite_read *read, sqlite3_stmt *statement);
int sqlite_row_user(struct sqlite_read *read, sqlite3_stmt *statement);
int sqlite_row_credential(struct sqlite_read *read, sqlite3_stmt *statement);
/* A wrapped key to try a KEK on: into read->sample. */
int sqlite_row_sample(struct sqlite_read *read, sqlite3_stmt *statement);

/* The thread that the snapshot got last. */
const struct store_thread *sqlite_row_last_thread(const struct sqlite_read *read);
int sqlite_row_no_memory(struct sqlite_read *read);

#endif
