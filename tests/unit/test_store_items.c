/* Records by the item they hold, one record taken out, the line of a thread's last response; and databases from before
 * records knew their items. */
#include <sqlite3.h>

#include "store_test.h"

struct migration {
	const char *name;
	int version;
	const char *sql;
};

static const struct migration MIGRATIONS[] = {
#include "migrations.inc"
};

static void put_item(struct store_write *write, const char *thread, const char *response, uint32_t number,
		     const char *item) {
	struct store_record record = make_record(thread, response, number, 2);
	strcpy(record.item, item);
	assert_int_equal(store_put_record(write, &record), 0);
}

/* A turn with one item more, as record 3 of three. */
static void write_thread(struct fixture *f, const char *owner, const char *thread, const char *response,
			 const char *item) {
	struct store_write *write = turn(owner, thread, response, "", 0);
	struct store_thread row = make_thread(owner, thread, 3);
	strcpy(row.last_response, response);
	assert_int_equal(commit(f, write), ERR_NONE);
	write = store_write_new();
	assert_int_equal(store_put_thread(write, &row, 2), 0);
	put_item(write, thread, response, 3, item);
	assert_int_equal(commit(f, write), ERR_NONE);
}

static void an_item_brings_its_record_thread_and_key(void **state) {
	struct fixture *f = *state;
	write_thread(f, "user_a", "conv_1", "resp_1", "msg_1");
	write_thread(f, "user_a", "conv_2", "resp_2", "msg_2");
	for (int again = 0; again < 2; again++) {
		struct store_snapshot *s = read_one(f, STORE_READ_ITEM, "user_a", "msg_2");
		assert_non_null(s);
		assert_int_equal(s->thread_count, 1);
		assert_string_equal(s->threads[0].id, "conv_2");
		assert_int_equal(s->dek_count, 1);
		assert_string_equal(s->deks[0].thread, "conv_2");
		assert_int_equal(s->record_count, 1);
		assert_record_is(&s->records[0], "resp_2", 3, 2);
		assert_string_equal(s->records[0].item, "msg_2");
		store_snapshot_free(&s);
		fixture_reopen(f);
	}
	assert_int_equal(read_code(f, STORE_READ_ITEM, "user_a", "msg_3"), ERR_NOT_FOUND);
	assert_int_equal(read_code(f, STORE_READ_ITEM, "user_b", "msg_2"), ERR_NOT_FOUND);
	/* What is no item has no id to be found by. */
	assert_int_equal(read_code(f, STORE_READ_ITEM, "user_a", ""), ERR_NOT_FOUND);
}

static void of_one_id_the_newest_of_the_owner_comes(void **state) {
	struct fixture *f = *state;
	write_thread(f, "user_a", "conv_1", "resp_1", "msg_1");
	write_thread(f, "user_a", "conv_2", "resp_2", "msg_1");
	write_thread(f, "user_b", "conv_3", "resp_3", "msg_1");
	struct store_snapshot *s = read_one(f, STORE_READ_ITEM, "user_a", "msg_1");
	assert_non_null(s);
	assert_string_equal(s->threads[0].id, "conv_2");
	assert_int_equal(s->record_count, 1);
	assert_string_equal(s->records[0].thread, "conv_2");
	store_snapshot_free(&s);
	/* Within one thread too. */
	struct store_write *write = store_write_new();
	struct store_thread row = make_thread("user_a", "conv_1", 4);
	assert_int_equal(store_put_thread(write, &row, 3), 0);
	put_item(write, "conv_1", "resp_1", 4, "msg_1");
	assert_int_equal(commit(f, write), ERR_NONE);
	s = read_one(f, STORE_READ_ITEM, "user_a", "msg_1");
	assert_non_null(s);
	assert_int_equal(s->record_count, 1);
	assert_record_is(&s->records[0], "resp_1", 4, 2);
	store_snapshot_free(&s);
}

static void a_record_is_taken_out_alone(void **state) {
	struct fixture *f = *state;
	write_thread(f, "user_a", "conv_1", "resp_1", "msg_1");
	write_thread(f, "user_a", "conv_2", "resp_2", "msg_2");
	struct store_write *write = store_write_new();
	assert_int_equal(store_delete_record(write, "conv_1", 3), 0);
	assert_int_equal(commit(f, write), ERR_NONE);
	assert_int_equal(read_code(f, STORE_READ_ITEM, "user_a", "msg_1"), ERR_NOT_FOUND);
	assert_int_equal(read_code(f, STORE_READ_ITEM, "user_a", "msg_2"), ERR_NONE);
	struct store_snapshot *s = read_one(f, STORE_READ_THREAD, "user_a", "conv_1");
	assert_int_equal(s->record_count, 2);
	assert_int_equal(s->link_count, 2);
	store_snapshot_free(&s);
	/* One that is not there is somebody else's doing: the whole write fails. */
	write = store_write_new();
	assert_int_equal(store_delete_record(write, "conv_1", 2), 0);
	assert_int_equal(store_delete_record(write, "conv_1", 3), 0);
	assert_int_equal(commit(f, write), ERR_CONFLICT);
	s = read_one(f, STORE_READ_THREAD, "user_a", "conv_1");
	assert_int_equal(s->record_count, 2);
	store_snapshot_free(&s);
	/* One that goes makes room for one that comes, in whichever order they are told. */
	write = store_write_new();
	put_item(write, "conv_1", "resp_1", 2, "msg_new");
	assert_int_equal(store_delete_record(write, "conv_1", 2), 0);
	assert_int_equal(commit(f, write), ERR_NONE);
	assert_int_equal(read_code(f, STORE_READ_ITEM, "user_a", "msg_new"), ERR_NONE);
}

static void latest_brings_the_line_of_the_last_response(void **state) {
	struct fixture *f = *state;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_fork", "resp_1", 2)), ERR_NONE);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_2", "resp_1", 4)), ERR_NONE);
	struct store_snapshot *s = read_one(f, STORE_READ_LATEST, "user_a", "conv_1");
	assert_non_null(s);
	assert_string_equal(s->threads[0].last_response, "resp_2");
	assert_int_equal(s->response_count, 2);
	assert_string_equal(s->responses[0].id, "resp_1");
	assert_string_equal(s->responses[1].id, "resp_2");
	assert_int_equal(s->record_count, 4);
	assert_int_equal(s->link_count, 6);
	assert_int_equal(s->dek_count, 1);
	store_snapshot_free(&s);
	assert_int_equal(read_code(f, STORE_READ_LATEST, "user_b", "conv_1"), ERR_NOT_FOUND);
	struct store_query query = query_of(STORE_READ_LATEST, "user_a", "conv_1");
	query.max_bytes = 2 * RECORD_SIZE;
	enum err_code code;
	assert_null(read_query(f, &query, &code));
	assert_int_equal(code, ERR_LIMIT);
	/* One that is gone brings nothing, and is no error. */
	struct store_write *write = store_write_new();
	assert_int_equal(store_delete_response(write, "user_a", "resp_2"), 0);
	assert_int_equal(commit(f, write), ERR_NONE);
	s = read_one(f, STORE_READ_LATEST, "user_a", "conv_1");
	assert_non_null(s);
	assert_int_equal(s->response_count + s->record_count, 0);
	assert_int_equal(s->link_count, 4);
	store_snapshot_free(&s);
}

static void a_chain_brings_the_first_record_of_each_kind_asked_for(void **state) {
	struct fixture *f = *state;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_2", "resp_1", 2)), ERR_NONE);
	struct store_query query = query_of(STORE_READ_CHAIN, "user_a", "conv_1");
	for (uint32_t asked = 0; asked < 4; asked++) {
		query.record_kinds[0] = asked & 1 ? 1 : 0;
		query.record_kinds[1] = asked & 2 ? 2 : 0;
		struct store_snapshot *s = read_query(f, &query, NULL);
		assert_non_null(s);
		assert_int_equal(s->response_count, 2);
		assert_int_equal(s->link_count, 4);
		assert_int_equal(s->record_count, (asked & 1) + (asked >> 1));
		for (size_t i = 0; i < s->record_count; i++) {
			uint32_t kind = asked == 2 ? 2 : (uint32_t)i + 1;
			assert_record_is(&s->records[i], "resp_1", kind, kind);
		}
		store_snapshot_free(&s);
	}
}

/* --- what an older program wrote ------------------------------------------------------------------------------------ */

static void run_sql(const char *path, const char *sql) {
	char *message = NULL;
	sqlite3 *db;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
		fail_msg("%s: %s", sql, message);
	}
	sqlite3_close(db);
}

/* The data file of this schema, with one turn in it as its program wrote it. */
static void make_version(const struct fixture *f, int version) {
	char path[128];
	char sql[1024];
	snprintf(path, sizeof path, "%s/sluice.db", f->dir);
	for (size_t i = 0; i < sizeof MIGRATIONS / sizeof MIGRATIONS[0]; i++) {
		if (strcmp(MIGRATIONS[i].name, "sluice") == 0 && MIGRATIONS[i].version <= version) {
			run_sql(path, MIGRATIONS[i].sql);
		}
	}
	snprintf(sql, sizeof sql,
		 "PRAGMA application_id = 0x736c6462; PRAGMA user_version = %d;"
		 " INSERT INTO thread VALUES (1, 'conv_1', 'user_a', 1, 2, 'resp_1', 2, 2, zeroblob(32), zeroblob(32));"
		 " INSERT INTO response VALUES (1, 'resp_1', 1, '', 'demo', 'completed', '', 1, 2, 3, 4, 5, 6);"
		 " INSERT INTO record VALUES (1, 1, 1, 1, 2, 7, zeroblob(32), zeroblob(336));"
		 " INSERT INTO record VALUES (2, 1, 2, 1, 3, 8, zeroblob(32), zeroblob(336))",
		 version);
	run_sql(path, sql);
}

static int64_t schema_of(const struct fixture *f) {
	char path[128];
	sqlite3 *db;
	sqlite3_stmt *statement;
	snprintf(path, sizeof path, "%s/sluice.db", f->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	int64_t version = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return version;
}

static void older_schemas_are_found_complete_and_go_on(void **state) {
	struct fixture *f = *state;
	char path[128];
	snprintf(path, sizeof path, "%s/sluice.db", f->dir);
	for (int version = 1; version <= 3; version++) {
		make_version(f, version);
		fixture_open(f);
		assert_true(schema_of(f) >= 4);
		struct store_snapshot *s = read_one(f, STORE_READ_THREAD, "user_a", "conv_1");
		assert_non_null(s);
		assert_int_equal(s->response_count, 1);
		assert_string_equal(s->responses[0].status, "completed");
		assert_int_equal(s->link_count, 2);
		assert_int_equal(s->record_count, 2);
		for (uint32_t i = 0; i < 2; i++) {
			assert_int_equal(s->records[i].number, i + 1);
			assert_int_equal(s->records[i].kind, i + 2);
			assert_string_equal(s->records[i].item, "");
			assert_int_equal(s->records[i].sealed.length, RECORD_SIZE);
		}
		store_snapshot_free(&s);
		/* It is written on as any other. */
		struct store_write *write = store_write_new();
		struct store_thread row = make_thread("user_a", "conv_1", 3);
		assert_int_equal(store_put_thread(write, &row, 2), 0);
		put_item(write, "conv_1", "resp_1", 3, "msg_1");
		assert_int_equal(commit(f, write), ERR_NONE);
		assert_int_equal(read_code(f, STORE_READ_ITEM, "user_a", "msg_1"), ERR_NONE);
		fixture_close(f);
		assert_int_equal(unlink(path), 0);
	}
}

static void every_allocation_may_fail(void **state) {
	struct fixture *f = *state;
	write_thread(f, "user_a", "conv_1", "resp_1", "msg_1");
	struct store_write *write = store_write_new();
	mem_fail_after(1, true);
	assert_int_equal(store_delete_record(write, "conv_1", 1), -1);
	mem_fail_after(0, false);
	store_write_free(&write);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_item_brings_its_record_thread_and_key, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(of_one_id_the_newest_of_the_owner_comes, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(a_record_is_taken_out_alone, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(latest_brings_the_line_of_the_last_response, setup_store,
						teardown_store),
		cmocka_unit_test_setup_teardown(a_chain_brings_the_first_record_of_each_kind_asked_for, setup_store,
						teardown_store),
		cmocka_unit_test_setup_teardown(older_schemas_are_found_complete_and_go_on, setup_folder,
						teardown_store),
		cmocka_unit_test_setup_teardown(every_allocation_may_fail, setup_store, teardown_store),
	};
	return cmocka_run_group_tests_name("store_items", tests, NULL, NULL);
}
