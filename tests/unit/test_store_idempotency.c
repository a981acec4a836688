/* Which response a key began: the row, how long it counts, and what takes it along. */
#include "store_test.h"

#include <sqlite3.h>

static struct store_idempotency make_row(unsigned key, unsigned body, const char *response, int64_t created_ms) {
	struct store_idempotency row = {.created_ms = created_ms};
	strcpy(row.response, response);
	fill(row.key, sizeof row.key, key);
	fill(row.body, sizeof row.body, body);
	return row;
}

static void put(struct store_write *write, unsigned key, unsigned body, const char *response, int64_t created_ms,
		int64_t expired_ms) {
	struct store_idempotency row = make_row(key, body, response, created_ms);
	assert_int_equal(store_put_idempotency(write, &row, expired_ms), 0);
}

/* A response of a thread of its own, begun with a key at `created_ms`. */
static enum err_code begin(struct fixture *f, const char *id, unsigned key, int64_t created_ms, int64_t expired_ms) {
	char thread[ID_SIZE];
	snprintf(thread, sizeof thread, "conv_%s", id);
	struct store_write *write = turn("user_a", thread, id, "", 0);
	put(write, key, key + 500, id, created_ms, expired_ms);
	return commit(f, write);
}

static struct store_snapshot *look(struct fixture *f, const char *owner, unsigned key, int64_t expired_ms) {
	struct store_query query = query_of(STORE_READ_IDEMPOTENCY, owner, "");
	enum err_code code;
	fill(query.hash, sizeof query.hash, key);
	query.expired_ms = expired_ms;
	struct store_snapshot *snapshot = read_query(f, &query, &code);
	assert_int_equal(code, snapshot ? ERR_NONE : ERR_NOT_FOUND);
	return snapshot;
}

static void assert_is(struct fixture *f, unsigned key, const char *response) {
	struct store_snapshot *s = look(f, "user_a", key, 0);
	assert_non_null(s);
	assert_int_equal(s->idempotency_count, 1);
	assert_string_equal(s->idempotency[0].response, response);
	struct store_idempotency row = make_row(key, key + 500, response, s->idempotency[0].created_ms);
	assert_memory_equal(s->idempotency[0].key, row.key, sizeof row.key);
	assert_memory_equal(s->idempotency[0].body, row.body, sizeof row.body);
	store_snapshot_free(&s);
}

static void assert_free(struct fixture *f, const char *owner, unsigned key, int64_t expired_ms) {
	struct store_snapshot *s = look(f, owner, key, expired_ms);
	assert_null(s);
}

static int64_t rows(struct fixture *f) {
	char path[128];
	sqlite3 *db = NULL;
	sqlite3_stmt *statement = NULL;
	snprintf(path, sizeof path, "%s/sluice.db", f->dir);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM idempotency", -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	int64_t count = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return count;
}

static void a_key_leads_to_its_response(void **state) {
	struct fixture *f = *state;
	assert_int_equal(begin(f, "resp_1", 1, 1000, 0), ERR_NONE);
	assert_int_equal(begin(f, "resp_2", 2, 1000, 0), ERR_NONE);
	assert_is(f, 1, "resp_1");
	assert_is(f, 2, "resp_2");
	assert_free(f, "user_a", 3, 0);
	assert_free(f, "user_b", 1, 0);
	fixture_reopen(f);
	assert_is(f, 1, "resp_1");
}

/* Of two that begin with one key, one does, and of the other there is nothing. */
static void a_key_that_is_taken_is_a_conflict(void **state) {
	struct fixture *f = *state;
	assert_int_equal(begin(f, "resp_1", 1, 1000, 0), ERR_NONE);
	assert_int_equal(begin(f, "resp_2", 1, 1001, 999), ERR_CONFLICT);
	assert_is(f, 1, "resp_1");
	assert_int_equal(read_code(f, STORE_READ_RESPONSE, "user_a", "resp_2"), ERR_NOT_FOUND);
	struct store_write *write = store_write_new();
	put(write, 2, 502, "resp_none", 1000, 0);
	assert_int_equal(commit(f, write), ERR_CONFLICT);
}

static void an_old_key_counts_for_nothing(void **state) {
	struct fixture *f = *state;
	assert_int_equal(begin(f, "resp_1", 1, 1000, 0), ERR_NONE);
	struct store_snapshot *s = look(f, "user_a", 1, 999);
	assert_non_null(s);
	store_snapshot_free(&s);
	assert_free(f, "user_a", 1, 1000);
	assert_int_equal(begin(f, "resp_2", 1, 2000, 1000), ERR_NONE);
	assert_is(f, 1, "resp_2");
	assert_int_equal(read_code(f, STORE_READ_RESPONSE, "user_a", "resp_1"), ERR_NONE);
	assert_int_equal(rows(f), 1);
}

static void old_rows_go_a_few_at_a_time(void **state) {
	struct fixture *f = *state;
	for (unsigned i = 0; i < 40; i++) {
		char id[ID_SIZE];
		snprintf(id, sizeof id, "resp_%u", i);
		assert_int_equal(begin(f, id, 100 + i, 1000 + i, 0), ERR_NONE);
	}
	assert_int_equal(rows(f), 40);
	/* Those of 1000 to 1029 are too old. */
	assert_int_equal(begin(f, "resp_new", 1, 5000, 1029), ERR_NONE);
	assert_int_equal(rows(f), 40 + 1 - 16);
	assert_int_equal(begin(f, "resp_newer", 2, 5001, 1029), ERR_NONE);
	assert_int_equal(rows(f), 10 + 2);
	assert_int_equal(begin(f, "resp_newest", 3, 5002, 1029), ERR_NONE);
	assert_int_equal(rows(f), 10 + 3);
	assert_is(f, 130, "resp_30");
}

static void they_go_with_what_they_lead_to(void **state) {
	struct fixture *f = *state;
	assert_int_equal(begin(f, "resp_1", 1, 1000, 0), ERR_NONE);
	assert_int_equal(begin(f, "resp_2", 2, 1000, 0), ERR_NONE);
	assert_int_equal(begin(f, "resp_3", 3, 1000, 0), ERR_NONE);
	assert_int_equal(begin(f, "resp_4", 4, 1000, 0), ERR_NONE);
	struct store_write *write = store_write_new();
	assert_int_equal(store_delete_response(write, "user_a", "resp_1"), 0);
	assert_int_equal(store_delete_thread(write, "user_a", "conv_resp_2"), 0);
	assert_int_equal(store_delete_idempotency(write, "resp_3"), 0);
	assert_int_equal(store_delete_idempotency(write, "resp_none"), 0);
	assert_int_equal(commit(f, write), ERR_NONE);
	for (unsigned key = 1; key <= 3; key++) {
		assert_free(f, "user_a", key, 0);
	}
	assert_int_equal(read_code(f, STORE_READ_RESPONSE, "user_a", "resp_3"), ERR_NONE);
	assert_is(f, 4, "resp_4");
	assert_int_equal(rows(f), 1);
	assert_int_equal(begin(f, "resp_5", 3, 1001, 0), ERR_NONE);
	assert_is(f, 3, "resp_5");
}

static void every_allocation_may_fail(void **state) {
	struct fixture *f = *state;
	assert_int_equal(begin(f, "resp_1", 1, 1000, 0), ERR_NONE);
	struct store_query query = query_of(STORE_READ_IDEMPOTENCY, "user_a", "");
	fill(query.hash, sizeof query.hash, 1);
	bool clean = false;
	for (uint64_t n = 1; !clean; n++) {
		struct answer answer = {0};
		uint64_t before = mem_alloc_count();
		mem_fail_after(n, false);
		if (store_read(f->store, &query, on_read, &answer)) {
			wait_for(f, &answer);
			assert_true(answer.snapshot || answer.err.code == ERR_MEMORY);
		}
		mem_fail_after(0, false);
		clean = mem_alloc_count() - before < n;
		store_snapshot_free(&answer.snapshot);
	}
	struct store_write *write = store_write_new();
	const struct store_idempotency row = make_row(2, 502, "resp_1", 1000);
	mem_fail_after(1, false);
	assert_int_equal(store_put_idempotency(write, &row, 0), -1);
	mem_fail_after(0, false);
	assert_int_equal(commit(f, write), ERR_MEMORY);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_key_leads_to_its_response, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(a_key_that_is_taken_is_a_conflict, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(an_old_key_counts_for_nothing, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(old_rows_go_a_few_at_a_time, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(they_go_with_what_they_lead_to, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(every_allocation_may_fail, setup_store, teardown_store),
	};
	return cmocka_run_group_tests_name("store_idempotency", tests, NULL, NULL);
}
