/* How the SQLite driver does it: by indices, in groups, with a WAL that does not grow without end. */
#include <sqlite3.h>

#include "store_test.h"

#include "sqlite_change.h"
#include "sqlite_read.h"

/* --- plans -------------------------------------------------------------------------------------------------------- */

/* Tables of which every row is wanted, or one in any place; and what a WITH clause calls its own. */
static bool may_scan(const char *sql, const char *detail) {
	const char *wanted[][2] = {
		{"SELECT id, name, created_ms FROM user ORDER BY id", "SCAN user"},
		{"SELECT id, kind, user, name, hash", "SCAN credential"},
		{"SELECT 1 FROM credential LIMIT 1", "SCAN credential"},
		{"SELECT thread, owner, epoch, wrapped FROM dek LIMIT 1", "SCAN dek"},
		{"WITH RECURSIVE line", "SCAN line"},
		{"UPDATE probe", "SCAN probe"},
		/* what checkpoints have of responses that run: as much as is kept of it lies together */
		{"SELECT m.number, m.kind, m.created_ms, m.sealed, '', ?2, max(m.key) FROM checkpoint m", "SCAN m"},
		{"SELECT m.number, m.kind, m.created_ms, m.sealed, '', r.id, max(m.key) FROM checkpoint m", "SCAN m"},
		{"SELECT 1 FROM checkpoint LIMIT 1", "SCAN checkpoint"},
		{"DELETE FROM checkpoint", "SCAN checkpoint"},
		{"DELETE FROM checkpoint", "SCAN response USING INDEX response_in_flight"},
		{"INSERT OR REPLACE INTO segment", "SCAN c"},
		/* the partial index of what is in flight, whose every row is wanted */
		{"UPDATE response SET status = 'incomplete'", "SCAN response USING INDEX response_in_flight"},
	};
	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
		if (strncmp(sql, wanted[i][0], strlen(wanted[i][0])) == 0 &&
		    strncmp(detail, wanted[i][1], strlen(wanted[i][1])) == 0) {
			return true;
		}
	}
	return false;
}

/* Sorting is for small rows that a covering index brings in another order, and for a line of ancestors. */
static bool may_sort(const char *sql) {
	return strstr(sql, "SELECT number, commitment") || strstr(sql, "WITH RECURSIVE line") ||
	       strstr(sql, "FROM checkpoint m");
}

static size_t check_plan(sqlite3 *db, const char *sql) {
	char explain[4096];
	sqlite3_stmt *statement;
	size_t steps = 0;
	snprintf(explain, sizeof explain, "EXPLAIN QUERY PLAN %s", sql);
	if (sqlite3_prepare_v2(db, explain, -1, &statement, NULL) != SQLITE_OK) {
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	}
	while (sqlite3_step(statement) == SQLITE_ROW) {
		const char *detail = (const char *)sqlite3_column_text(statement, 3);
		steps++;
		if (strncmp(detail, "SCAN", 4) == 0 && !may_scan(sql, detail)) {
			fail_msg("%s\nreads a whole table: %s", sql, detail);
		}
		if (strstr(sql, "SELECT number, commitment") && strncmp(detail, "SEARCH", 6) == 0 &&
		    !strstr(detail, "COVERING INDEX")) {
			fail_msg("%s\nreads the texts: %s", sql, detail);
		}
		if (strstr(detail, "TEMP B-TREE") && !may_sort(sql)) {
			fail_msg("%s\nsorts: %s", sql, detail);
		}
	}
	sqlite3_finalize(statement);
	return steps;
}

static void no_statement_reads_a_whole_table(void **state) {
	struct fixture *f = *state;
	const struct sqlite_role *roles[] = {&sqlite_data_reader, &sqlite_keys_reader, &sqlite_data_writer,
					     &sqlite_keys_writer};
	size_t steps = 0;
	for (size_t i = 0; i < 4; i++) {
		char path[128];
		sqlite3 *db;
		snprintf(path, sizeof path, "%s/%s", f->dir, roles[i]->file);
		assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
		for (size_t n = 0; n < roles[i]->statement_count; n++) {
			steps += check_plan(db, roles[i]->statements[n]);
		}
		sqlite3_close(db);
	}
	assert_true(steps > 30);
}

/* --- connections -------------------------------------------------------------------------------------------------- */

static void connections_are_set_up_as_the_design_says(void **state) {
	struct fixture *f = *state;
	const struct sqlite_role *roles[] = {&sqlite_data_writer, &sqlite_keys_writer, &sqlite_data_reader,
					     &sqlite_keys_reader};
	const struct {
		const char *pragma;
		int64_t value;
	} settings[] = {
		{"PRAGMA synchronous", 2},   {"PRAGMA trusted_schema", 0},     {"PRAGMA foreign_keys", 1},
		{"PRAGMA secure_delete", 1}, {"PRAGMA temp_store", 2},         {"PRAGMA cell_size_check", 1},
		{"PRAGMA mmap_size", 0},     {"PRAGMA wal_autocheckpoint", 0}, {"PRAGMA busy_timeout", 321},
	};
	for (size_t i = 0; i < 4; i++) {
		struct sqlite_conn conn;
		struct err err = {0};
		assert_int_equal(sqlite_conn_open(&conn, roles[i], f->dir, 321, NULL), 0);
		for (size_t s = 0; s < sizeof settings / sizeof settings[0]; s++) {
			int64_t value = -1;
			if (strstr(settings[s].pragma, "mmap") &&
			    sqlite_conn_number(&conn, settings[s].pragma, &value, NULL) != 0) {
				continue; /* built without */
			}
			assert_int_equal(sqlite_conn_number(&conn, settings[s].pragma, &value, NULL), 0);
			if (value != settings[s].value) {
				fail_msg("%s of %s: %d", settings[s].pragma, roles[i]->file, (int)value);
			}
		}
		/* Defensive: the schema can't be written to by hand, by nobody. */
		assert_int_equal(sqlite_conn_exec(&conn, "PRAGMA writable_schema = ON", NULL), 0);
		assert_int_equal(sqlite_conn_exec(&conn, "DELETE FROM sqlite_schema", &err), -1);
		if (roles[i]->read_only) {
			assert_int_equal(sqlite_conn_exec(&conn, "PRAGMA user_version = 9", &err), -1);
			assert_int_equal(err.code, ERR_DENIED);
		}
		sqlite_conn_close(&conn);
		sqlite_conn_close(&conn); /* closed is fine */
	}
}

/* --- groups ------------------------------------------------------------------------------------------------------- */

static uint64_t metric(const struct fixture *f, const char *name) {
	struct buf text = BUF_INIT;
	char line[64];
	metrics_render(f->metrics, &text);
	snprintf(line, sizeof line, "\n%s ", name);
	const char *at = strstr(buf_text(&text), line);
	assert_non_null(at);
	uint64_t value = strtoull(at + strlen(line), NULL, 10);
	buf_free(&text);
	return value;
}

#define BURST 500

static void a_burst_shares_commits(void **state) {
	struct fixture *f = *state;
	static struct answer answers[BURST];
	memset(answers, 0, sizeof answers);
	for (unsigned i = 0; i < BURST; i++) {
		char thread[ID_SIZE];
		char response[ID_SIZE];
		snprintf(thread, sizeof thread, "conv_%u", i);
		snprintf(response, sizeof response, "resp_%u", i);
		struct store_write *write = turn("user_a", thread, response, "", 0);
		if (i % 10 == 9) {
			put_record(write, thread, "resp_none", 3, 1); /* fails when all else of it is in place */
		}
		store_commit(f->store, &write, on_written, &answers[i]);
	}
	for (unsigned i = 0; i < BURST; i++) {
		wait_for(f, &answers[i]);
		/* Every tenth conflicts; its neighbours in the same transaction do not suffer. */
		assert_int_equal(answers[i].err.code, i % 10 == 9 ? ERR_CONFLICT : ERR_NONE);
	}
	assert_int_equal(metric(f, "sluice_store_writes_total"), BURST);
	assert_int_equal(metric(f, "sluice_store_write_failures_total"), BURST / 10);
	assert_int_equal(metric(f, "sluice_store_queue"), 0);
	uint64_t commits = metric(f, "sluice_store_commits_total");
	assert_true(commits > 0 && commits < BURST / 4);
	assert_int_equal(metric(f, "sluice_store_commit_seconds_count"), commits);
	for (unsigned i = 0; i < BURST; i++) {
		char response[ID_SIZE];
		snprintf(response, sizeof response, "resp_%u", i);
		assert_int_equal(read_code(f, STORE_READ_CONTEXT, "user_a", response),
				 i % 10 == 9 ? ERR_NOT_FOUND : ERR_NONE);
	}
}

/* Of many that race to be the next turn of one thread, one wins each round. */
static void of_racing_turns_one_wins(void **state) {
	struct fixture *f = *state;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_first", "", 0)), ERR_NONE);
	for (uint32_t round = 0; round < 5; round++) {
		struct answer answers[8] = {{0}};
		unsigned won = 0;
		for (unsigned i = 0; i < 8; i++) {
			char response[ID_SIZE];
			snprintf(response, sizeof response, "resp_%u_%u", round, i);
			struct store_write *write = turn("user_a", "conv_1", response, "", 2 + 2 * round);
			store_commit(f->store, &write, on_written, &answers[i]);
		}
		for (unsigned i = 0; i < 8; i++) {
			wait_for(f, &answers[i]);
			won += answers[i].err.code == ERR_NONE;
			assert_true(answers[i].err.code == ERR_NONE || answers[i].err.code == ERR_CONFLICT);
		}
		assert_int_equal(won, 1);
	}
	struct store_snapshot *s = read_one(f, STORE_READ_THREAD, "user_a", "conv_1");
	assert_int_equal(s->response_count, 6);
	assert_int_equal(s->record_count, 12);
	store_snapshot_free(&s);
}

/* --- size --------------------------------------------------------------------------------------------------------- */

static off_t size_of(const struct fixture *f, const char *file) {
	char path[128];
	struct stat st;
	snprintf(path, sizeof path, "%s/%s", f->dir, file);
	return stat(path, &st) == 0 ? st.st_size : 0;
}

static void the_wal_does_not_grow_without_end(void **state) {
	struct fixture *f = *state;
	off_t largest = 0;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	for (uint32_t i = 0; i < 120; i++) {
		struct store_write *write = store_write_new();
		struct store_record record = make_record("conv_1", "resp_1", 3 + i, 1);
		assert_true(buf_reserve(&record.sealed, 200000));
		memset(record.sealed.data + record.sealed.length, 7, 200000);
		record.sealed.length += 200000;
		assert_int_equal(store_put_record(write, &record), 0);
		assert_int_equal(commit(f, write), ERR_NONE);
		assert_int_equal(read_code(f, STORE_READ_RESPONSE, "user_b", "resp_1"), ERR_NOT_FOUND);
		off_t size = size_of(f, "sluice.db-wal");
		largest = size > largest ? size : largest;
	}
	assert_true(size_of(f, "sluice.db") > 20000000); /* 24 MB went through it */
	assert_true(largest > 3000000);
	assert_true(largest < 6000000);
}

#define LINE 2000

static void a_long_line_of_ancestors_is_read_whole(void **state) {
	struct fixture *f = *state;
	static struct answer answers[LINE];
	memset(answers, 0, sizeof answers);
	char parent[ID_SIZE] = "";
	for (uint32_t i = 0; i < LINE; i++) {
		char response[ID_SIZE];
		snprintf(response, sizeof response, "resp_%u", i);
		struct store_write *write = turn("user_a", "conv_1", response, parent, 2 * i);
		store_commit(f->store, &write, on_written, &answers[i]);
		strcpy(parent, response);
	}
	for (uint32_t i = 0; i < LINE; i++) {
		wait_for(f, &answers[i]);
		assert_int_equal(answers[i].err.code, ERR_NONE);
	}
	struct store_snapshot *s = read_one(f, STORE_READ_CONTEXT, "user_a", parent);
	assert_non_null(s);
	assert_int_equal(s->response_count, LINE);
	assert_int_equal(s->record_count, 2 * LINE);
	assert_int_equal(s->link_count, 2 * LINE);
	for (uint32_t i = 0; i < 2 * LINE; i++) {
		assert_int_equal(s->records[i].number, i + 1);
		assert_int_equal(s->links[i].number, i + 1);
	}
	store_snapshot_free(&s);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(no_statement_reads_a_whole_table, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(connections_are_set_up_as_the_design_says, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(a_burst_shares_commits, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(of_racing_turns_one_wins, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(the_wal_does_not_grow_without_end, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(a_long_line_of_ancestors_is_read_whole, setup_store, teardown_store),
	};
	return cmocka_run_group_tests_name("store_sqlite", tests, NULL, NULL);
}
