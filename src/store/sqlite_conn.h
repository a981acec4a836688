/* One connection to one SQLite file, with its prepared statements. Used by one thread at a time. */
#ifndef SLUICE_STORE_SQLITE_CONN_H
#define SLUICE_STORE_SQLITE_CONN_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SQLITE_CONN_STATEMENTS 40

/* What a connection is for: the file, and the statements that will run on it. */
struct sqlite_role {
	const char *file; /* its name within the folder; also what errors call it */
	bool read_only;
	const char *const *statements; /* SQL by number, prepared at first use */
	size_t statement_count;        /* at most SQLITE_CONN_STATEMENTS */
};

struct sqlite_conn {
	const struct sqlite_role *role;
	sqlite3 *db; /* NULL while closed */
	sqlite3_stmt *prepared[SQLITE_CONN_STATEMENTS];
	int wal_pages; /* in the WAL after the last commit; a writer's own count */
};

/* Opens the file in `dir`, which must be there (ERR_NOT_FOUND), and sets what every connection of ours has set. A file
 * that is new is not yet in WAL mode: sqlite_conn_use_wal. */
int sqlite_conn_open(struct sqlite_conn *conn, const struct sqlite_role *role, const char *dir, int busy_timeout_ms,
		     struct err *err);
/* A closed connection is fine. */
void sqlite_conn_close(struct sqlite_conn *conn);
int sqlite_conn_use_wal(struct sqlite_conn *conn, struct err *err);

/* Fills `err` from the connection's last failure; returns -1. */
int sqlite_conn_fail(const struct sqlite_conn *conn, struct err *err);

/* SQL without values or rows. */
int sqlite_conn_exec(struct sqlite_conn *conn, const char *sql, struct err *err);
/* A single number; -1 is -1 with an error. */
int sqlite_conn_number(struct sqlite_conn *conn, const char *sql, int64_t *out, struct err *err);
/* Checkpoints with SQLITE_CHECKPOINT_PASSIVE or _TRUNCATE; 1 when someone was in the way. */
int sqlite_conn_checkpoint(struct sqlite_conn *conn, int mode, struct err *err);

/* A value for a statement. Texts and blobs must stay until the statement is reset. */
struct sqlite_value {
	enum { SQL_IS_TEXT, SQL_IS_INT, SQL_IS_BLOB } type;
	const void *bytes;
	size_t length;
	int64_t number;
};

#define SQL_TEXT(text) ((struct sqlite_value){.type = SQL_IS_TEXT, .bytes = (text)})
#define SQL_INT(value) ((struct sqlite_value){.type = SQL_IS_INT, .number = (int64_t)(value)})
#define SQL_BLOB(pointer, size) ((struct sqlite_value){.type = SQL_IS_BLOB, .bytes = (pointer), .length = (size)})
#define SQL_VALUES(...)                                                                                                \
	(const struct sqlite_value[]){__VA_ARGS__},                                                                    \
		sizeof((const struct sqlite_value[]){__VA_ARGS__}) / sizeof(struct sqlite_value)

/* Statement number `which` with its values bound, to be stepped with sqlite_conn_step; NULL with an error. */
sqlite3_stmt *sqlite_conn_bind(struct sqlite_conn *conn, size_t which, const struct sqlite_value *values, size_t count,
			       struct err *err);
/* 1: a row; 0: the end; -1 with an error. At the end and on an error the statement is reset. */
int sqlite_conn_step(struct sqlite_conn *conn, sqlite3_stmt *statement, struct err *err);
/* Runs a statement that gives no rows; how many rows it changed, or -1 with an error. */
int sqlite_conn_run(struct sqlite_conn *conn, size_t which, const struct sqlite_value *values, size_t count,
		    struct err *err);

#endif
