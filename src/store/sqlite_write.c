#include "sqlite_write.h"

/* A WAL of about 4 MiB is carried over into the database. */
#define CHECKPOINT_PAGES 1024
/* How long a deletion and the closing of a file wait for readers to leave the WAL. */
#define TRUNCATE_WAIT_MS 100

/* --- connections -------------------------------------------------------------------------------------------------- */

static void close_files(struct sqlite_files *files) {
	if (files->running) {
		sqlite_running_forget(files->running);
	}
	sqlite_conn_close(&files->keys);
	sqlite_conn_close(&files->data);
}

int sqlite_writer_open(struct sqlite_writer *writer, struct err *err) {
	struct sqlite_files *files = &writer->files;
	if (!files->running && !(files->running = sqlite_running_new())) {
		return err_set(err, ERR_MEMORY, "no memory for the store");
	}
	if (sqlite_conn_open(&files->data, &sqlite_data_writer, writer->dir, writer->busy_timeout_ms, err) != 0 ||
	    sqlite_conn_open(&files->keys, &sqlite_keys_writer, writer->dir, writer->busy_timeout_ms, err) != 0) {
		close_files(files);
		return -1;
	}
	return 0;
}

/* After a commit that failed, what a connection believes of its file may be wrong: start from what is there. When that
 * fails too, the next transaction tries again. */
static void reopen(struct sqlite_writer *writer) {
	struct err err = {0};
	close_files(&writer->files);
	if (sqlite_writer_open(writer, &err) != 0) {
		log_error(writer->log, "store could not be reopened", LOG_ERR(&err));
	} else {
		log_warn(writer->log, "store reopened");
	}
}

static bool truncate_wal(struct sqlite_writer *writer, struct sqlite_conn *conn, int wait_ms) {
	struct err err = {0};
	sqlite3_busy_timeout(conn->db, wait_ms);
	int result = sqlite_conn_checkpoint(conn, SQLITE_CHECKPOINT_TRUNCATE, &err);
	sqlite3_busy_timeout(conn->db, writer->busy_timeout_ms);
	if (result < 0) {
		log_warn(writer->log, "store checkpoint failed", LOG_ERR(&err));
	}
	return result == 0;
}

void sqlite_writer_close(struct sqlite_writer *writer) {
	if (writer->files.data.db) {
		truncate_wal(writer, &writer->files.keys, TRUNCATE_WAIT_MS);
		truncate_wal(writer, &writer->files.data, TRUNCATE_WAIT_MS);
	}
	close_files(&writer->files);
	sqlite_running_free(&writer->files.running);
}

/* --- transactions ------------------------------------------------------------------------------------------------- */

/* The transactions of one group: `keys` says whether keys.db takes part. */
struct group {
	struct sqlite_writer *writer;
	struct store_write *const *writes;
	size_t count;
	bool keys;
};

static int run(struct sqlite_conn *conn, enum transaction which, struct err *err) {
	return sqlite_conn_run(conn, which, NULL, 0, err) < 0 ? -1 : 0;
}

/* SQLite itself may have rolled back already. */
static void undo(struct sqlite_conn *conn) {
	if (conn->db && !sqlite3_get_autocommit(conn->db)) {
		run(conn, TRANSACTION_UNDO, NULL);
	}
}

static void group_undo(struct group *group) {
	sqlite_running_forget(group->writer->files.running);
	undo(&group->writer->files.keys);
	undo(&group->writer->files.data);
}

/* Opens again what reopen() could not. */
static int ensure_open(struct sqlite_writer *writer, struct err *err) {
	if (writer->files.data.db || sqlite_writer_open(writer, err) == 0) {
		return 0;
	}
	err->code = ERR_IO; /* a file that is missing now was there before */
	return -1;
}

static int group_begin(struct group *group, struct err *err) {
	struct sqlite_files *files = &group->writer->files;
	if (ensure_open(group->writer, err) != 0) {
		return -1;
	}
	if (run(&files->data, TRANSACTION_BEGIN, err) != 0 ||
	    (group->keys && run(&files->keys, TRANSACTION_BEGIN, err) != 0)) {
		group_undo(group);
		return -1;
	}
	return 0;
}

/* Fails those that did not fail for a reason of their own. */
static void group_fail(struct group *group, const struct err *err) {
	for (size_t i = 0; i < group->count; i++) {
		if (group->writes[i]->op.err.code == ERR_NONE) {
			group->writes[i]->op.err = *err;
		}
	}
}

static bool touches_keys(const struct store_write *write) {
	return write->puts_keys || write->deletes_keys;
}

static int apply_changes(struct sqlite_files *files, struct store_write *write) {
	for (size_t kind = 0; kind < CHANGE_KINDS; kind++) {
		list_each(node, after, &write->changes[kind]) {
			if (sqlite_change_apply(files, container_of(node, struct change, node), &write->op.err) != 0) {
				return -1;
			}
		}
	}
	return 0;
}

static int on_both(struct sqlite_files *files, bool keys, enum transaction which, struct err *err) {
	return run(&files->data, which, err) == 0 && (!keys || run(&files->keys, which, err) == 0) ? 0 : -1;
}

/* A checkpoint is one statement, which SQLite does whole or not at all. */
static bool is_checkpoint(const struct store_write *write) {
	return write->count == 1 && !list_empty(&write->changes[CHANGE_PUT_SEGMENT]);
}

/* One write within the group's transactions, whole or not at all. -1: the transactions themselves are lost. */
static int apply_write(struct sqlite_files *files, struct store_write *write) {
	bool keys = touches_keys(write);
	struct err *err = &write->op.err;
	if (is_checkpoint(write)) {
		return apply_changes(files, write) != 0 && write_is_ill(err) ? -1 : 0;
	}
	if (on_both(files, keys, TRANSACTION_SAVEPOINT, err) != 0) {
		return -1;
	}
	if (apply_changes(files, write) != 0) {
		struct err undone = {0};
		if (write_is_ill(err)) {
			return -1;
		}
		sqlite_running_forget(files->running);
		if (on_both(files, keys, TRANSACTION_UNDO_TO, &undone) != 0) {
			*err = undone;
			return -1;
		}
	}
	struct err released = {0};
	if (on_both(files, keys, TRANSACTION_RELEASE, &released) != 0) {
		*err = released;
		return -1;
	}
	return 0;
}

/* What a failed COMMIT means. Out of space or locked out, SQLite has refused before the commit could count; after any
 * other failure only the next start can tell. A write whose keys were committed, or may have been, is in doubt in any
 * case if it was to delete them. */
static void group_commit_failed(struct group *group, const struct err *err, bool keys_committed) {
	bool refused = err->code == ERR_FULL || err->code == ERR_TIMEOUT;
	for (size_t i = 0; i < group->count; i++) {
		struct store_write *write = group->writes[i];
		if (write->op.err.code != ERR_NONE) {
			continue;
		}
		bool in_doubt = keys_committed ? !refused || write->deletes_keys : !refused && touches_keys(write);
		write->op.err = *err;
		if (in_doubt) {
			write->op.err.code = ERR_OUTCOME_UNKNOWN;
			err_wrap(&write->op.err, "commit");
		}
	}
	group_undo(group);
	if (!refused) {
		reopen(group->writer);
	}
}

/* Keys first, and durably, before the data that needs them; gone, and durably, before the data that they opened. */
static int group_commit(struct group *group) {
	struct sqlite_files *files = &group->writer->files;
	struct err err = {0};
	if (group->keys && run(&files->keys, TRANSACTION_COMMIT, &err) != 0) {
		group_commit_failed(group, &err, false);
		return -1;
	}
	if (run(&files->data, TRANSACTION_COMMIT, &err) != 0) {
		group_commit_failed(group, &err, true);
		return -1;
	}
	return 0;
}

/* 0 when what was deleted is out of the WALs. */
static int forget(struct sqlite_writer *writer, int wait_ms) {
	if (writer->keys_linger && truncate_wal(writer, &writer->files.keys, wait_ms)) {
		writer->keys_linger = false;
	}
	if (writer->data_lingers && truncate_wal(writer, &writer->files.data, wait_ms)) {
		writer->data_lingers = false;
	}
	return writer->keys_linger || writer->data_lingers ? -1 : 0;
}

int sqlite_writer_write(struct sqlite_writer *writer, struct store_write *const *writes, size_t count) {
	struct group group = {.writer = writer, .writes = writes, .count = count};
	struct err err = {0};
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		group.keys = group.keys || touches_keys(writes[i]);
	}
	if (group_begin(&group, &err) != 0) {
		group_fail(&group, &err);
		return -1;
	}
	for (size_t i = 0; i < count; i++) {
		if (apply_write(&writer->files, writes[i]) != 0) {
			group_undo(&group);
			err = writes[i]->op.err;
			group_fail(&group, &err);
			return -1;
		}
		if (writes[i]->op.err.code == ERR_NONE) {
			kept++;
			writer->keys_linger = writer->keys_linger || writes[i]->deletes_keys;
			writer->data_lingers = writer->data_lingers || writes[i]->deletes_data;
		}
	}
	if (kept == 0) {
		group_undo(&group);
		return -1;
	}
	if (group_commit(&group) != 0) {
		return -1;
	}
	/* Before the outcome is told: a deletion that is confirmed should be one. */
	forget(writer, TRUNCATE_WAIT_MS);
	return 0;
}

int sqlite_writer_probe(struct sqlite_writer *writer, struct err *err) {
	if (ensure_open(writer, err) != 0) {
		return -1;
	}
	return sqlite_change_probe(&writer->files, clock_wall_ms(writer->clock), err);
}

static void checkpoint(struct sqlite_writer *writer, struct sqlite_conn *conn) {
	struct err err = {0};
	if (conn->wal_pages < CHECKPOINT_PAGES) {
		return;
	}
	if (sqlite_conn_checkpoint(conn, SQLITE_CHECKPOINT_PASSIVE, &err) < 0) {
		log_warn(writer->log, "store checkpoint failed", LOG_ERR(&err));
	}
	conn->wal_pages = 0; /* until the next commit counts anew */
}

static void purge(struct sqlite_writer *writer) {
	struct err err = {0};
	if (sqlite_running_is_crowded(writer->files.running) && sqlite_change_purge(&writer->files, &err) != 0) {
		log_warn(writer->log, "old checkpoints could not be deleted", LOG_ERR(&err));
	}
}

bool sqlite_writer_upkeep(struct sqlite_writer *writer) {
	if (!writer->files.data.db) {
		return false;
	}
	purge(writer);
	checkpoint(writer, &writer->files.keys);
	checkpoint(writer, &writer->files.data);
	return forget(writer, 0) != 0;
}
