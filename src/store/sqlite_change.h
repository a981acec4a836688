/* What each change means in SQL. */
#ifndef SLUICE_STORE_SQLITE_CHANGE_H
#define SLUICE_STORE_SQLITE_CHANGE_H

#include "sqlite_conn.h"
#include "sqlite_running.h"
#include "write.h"

/* The statements that both writing connections have, under the same numbers. */
enum transaction {
	TRANSACTION_BEGIN,
	TRANSACTION_COMMIT,
	TRANSACTION_UNDO,
	TRANSACTION_SAVEPOINT,
	TRANSACTION_RELEASE,
	TRANSACTION_UNDO_TO,
	OWN_STATEMENTS, /* each connection's own follow */
};

extern const struct sqlite_role sqlite_data_writer;
extern const struct sqlite_role sqlite_keys_writer;

/* The writing connections. */
struct sqlite_files {
	struct sqlite_conn data;
	struct sqlite_conn keys;
	struct sqlite_running *running; /* borrowed */
};

/* Applies one change within the transactions that are open on the files it touches. */
int sqlite_change_apply(struct sqlite_files *files, const struct change *change, struct err *err);
/* Marks the responses that no process works on any more as incomplete, with what checkpoints have of them; how many, or -1. */
int sqlite_change_sweep(struct sqlite_files *files, int64_t now_ms, struct err *err);
/* Deletes the checkpoints of responses that are not in progress, in a transaction of its own if none is open. */
int sqlite_change_purge(struct sqlite_files *files, struct err *err);
int sqlite_change_probe(struct sqlite_files *files, int64_t now_ms, struct err *err);

#endif
