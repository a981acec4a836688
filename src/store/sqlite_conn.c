#include "sqlite_conn.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define SETTINGS                                                                                                       \
	"PRAGMA synchronous = FULL;"                                                                                   \
	"PRAGMA trusted_schema = OFF;"                                                                                 \
	"PRAGMA foreign_keys = ON;"                                                                                    \
	"PRAGMA secure_delete = ON;"                                                                                   \
	"PRAGMA temp_store = MEMORY;"                                                                                  \
	"PRAGMA cell_size_check = ON;"                                                                                 \
	"PRAGMA mmap_size = 0;"                                                                                        \
	"PRAGMA journal_size_limit = 16777216;"

static enum err_code code_of(sqlite3 *db) {
	int extended = sqlite3_extended_errcode(db);
	int system = sqlite3_system_errno(db);
	switch (extended & 0xff) {
	case SQLITE_FULL:
		return ERR_FULL;
	case SQLITE_NOMEM:
		return ERR_MEMORY;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR_TIMEOUT;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return ERR_CORRUPT;
	case SQLITE_CONSTRAINT:
		return extended == SQLITE_CONSTRAINT_CHECK ? ERR_INVALID : ERR_CONFLICT;
	case SQLITE_TOOBIG:
		return ERR_LIMIT;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return ERR_DENIED;
	case SQLITE_CANTOPEN:
		return system == ENOENT ? ERR_NOT_FOUND : ERR_IO;
	case SQLITE_IOERR:
		if (extended == SQLITE_IOERR_NOMEM) {
			return ERR_MEMORY;
		}
		return system == ENOSPC || system == EDQUOT ? ERR_FULL : ERR_IO;
	default:
		return ERR_IO;
	}
}

int sqlite_conn_fail(const struct sqlite_conn *conn, struct err *err) {
	return err_set(err, code_of(conn->db), "%s: %s (%d)", conn->role->file, sqlite3_errmsg(conn->db),
		       sqlite3_extended_errcode(conn->db));
}

static int on_commit(void *argument, sqlite3 *db, const char *name, int pages) {
	struct sqlite_conn *conn = argument;
	(void)db;
	(void)name;
	conn->wal_pages = pages;
	return SQLITE_OK;
}

/* Switches off what a file from elsewhere could use against the process that opens it. */
static int harden(sqlite3 *db) {
	static const struct {
		int option;
		int value;
	} options[] = {
		{SQLITE_DBCONFIG_DEFENSIVE, 1},   {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
		{SQLITE_DBCONFIG_ENABLE_VIEW, 0}, {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
		{SQLITE_DBCONFIG_DQS_DML, 0},     {SQLITE_DBCONFIG_DQS_DDL, 0},
	};
	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
		int status = sqlite3_db_config(db, options[i].option, options[i].value, (int *)NULL);
		if (status != SQLITE_OK) {
			return status;
		}
	}
	sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
	return SQLITE_OK;
}

int sqlite_conn_open(struct sqlite_conn *conn, const struct sqlite_role *role, const char *dir, int busy_timeout_ms,
		     struct err *err) {
	char path[PATH_MAX];
	assert(role->statement_count <= SQLITE_CONN_STATEMENTS);
	memset(conn, 0, sizeof *conn);
	conn->role = role;
	int length = snprintf(path, sizeof path, "%s/%s", dir, role->file);
	if (length < 0 || (size_t)length >= sizeof path) {
		return err_set(err, ERR_INVALID, "the path of %s is too long", role->file);
	}
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
		    (role->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
	if (sqlite3_open_v2(path, &conn->db, flags, NULL) != SQLITE_OK) {
		if (!conn->db) {
			return err_set(err, ERR_MEMORY, "no memory to open %s", path);
		}
		goto fail;
	}
	sqlite3_busy_timeout(conn->db, busy_timeout_ms);
	if (harden(conn->db) != SQLITE_OK) {
		goto fail;
	}
	/* In place of automatic checkpoints, which would run in the middle of answering: see upkeep. */
	sqlite3_wal_hook(conn->db, on_commit, conn);
	if (role->read_only && sqlite3_db_config(conn->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) != SQLITE_OK) {
		goto fail;
	}
	if (sqlite3_exec(conn->db, SETTINGS, NULL, NULL, NULL) != SQLITE_OK) {
		goto fail;
	}
	return 0;

fail:
	sqlite_conn_fail(conn, err);
	sqlite_conn_close(conn);
	return -1;
}

void sqlite_conn_close(struct sqlite_conn *conn) {
	for (size_t i = 0; i < SQLITE_CONN_STATEMENTS; i++) {
		sqlite3_finalize(conn->prepared[i]);
		conn->prepared[i] = NULL;
	}
	sqlite3_close(conn->db);
	conn->db = NULL;
}

int sqlite_conn_use_wal(struct sqlite_conn *conn, struct err *err) {
	return sqlite_conn_exec(conn, "PRAGMA journal_mode = WAL", err);
}

int sqlite_conn_exec(struct sqlite_conn *conn, const char *sql, struct err *err) {
	return sqlite3_exec(conn->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : sqlite_conn_fail(conn, err);
}

int sqlite_conn_number(struct sqlite_conn *conn, const char *sql, int64_t *out, struct err *err) {
	sqlite3_stmt *statement = NULL;
	if (sqlite3_prepare_v2(conn->db, sql, -1, &statement, NULL) != SQLITE_OK ||
	    sqlite3_step(statement) != SQLITE_ROW) {
		sqlite_conn_fail(conn, err);
		sqlite3_finalize(statement);
		return -1;
	}
	*out = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return 0;
}

int sqlite_conn_checkpoint(struct sqlite_conn *conn, int mode, struct err *err) {
	int status = sqlite3_wal_checkpoint_v2(conn->db, NULL, mode, NULL, NULL);
	if ((status & 0xff) == SQLITE_BUSY) {
		return 1;
	}
	return status == SQLITE_OK ? 0 : sqlite_conn_fail(conn, err);
}

static int bind_value(sqlite3_stmt *statement, int at, const struct sqlite_value *value) {
	switch (value->type) {
	case SQL_IS_TEXT:
		return sqlite3_bind_text(statement, at, value->bytes, -1, SQLITE_STATIC);
	case SQL_IS_INT:
		return sqlite3_bind_int64(statement, at, value->number);
	case SQL_IS_BLOB:
		return sqlite3_bind_blob64(statement, at, value->bytes, value->length, SQLITE_STATIC);
	}
	return SQLITE_MISUSE;
}

sqlite3_stmt *sqlite_conn_bind(struct sqlite_conn *conn, size_t which, const struct sqlite_value *values, size_t count,
			       struct err *err) {
	assert(which < conn->role->statement_count);
	sqlite3_stmt **prepared = &conn->prepared[which];
	if (!*prepared && sqlite3_prepare_v3(conn->db, conn->role->statements[which], -1, SQLITE_PREPARE_PERSISTENT,
					     prepared, NULL) != SQLITE_OK) {
		sqlite_conn_fail(conn, err);
		return NULL;
	}
	assert((size_t)sqlite3_bind_parameter_count(*prepared) == count);
	for (size_t i = 0; i < count; i++) {
		if (bind_value(*prepared, (int)i + 1, &values[i]) != SQLITE_OK) {
			sqlite_conn_fail(conn, err);
			sqlite3_reset(*prepared);
			return NULL;
		}
	}
	return *prepared;
}

int sqlite_conn_step(struct sqlite_conn *conn, sqlite3_stmt *statement, struct err *err) {
	int status = sqlite3_step(statement);
	if (status == SQLITE_ROW) {
		return 1;
	}
	if (status != SQLITE_DONE) {
		sqlite_conn_fail(conn, err);
	}
	sqlite3_reset(statement);
	return status == SQLITE_DONE ? 0 : -1;
}

int sqlite_conn_run(struct sqlite_conn *conn, size_t which, const struct sqlite_value *values, size_t count,
		    struct err *err) {
	sqlite3_stmt *statement = sqlite_conn_bind(conn, which, values, count, err);
	if (!statement || sqlite_conn_step(conn, statement, err) < 0) {
		return -1;
	}
	return sqlite3_changes(conn->db);
}
