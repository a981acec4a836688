/* What checkpoints leave: in the order of time while a response runs, beside it once a server was killed, gone otherwise. */
#include <sqlite3.h>

#include "store_test.h"

static int64_t sql(struct fixture *f, const char *text) {
	char path[128];
	sqlite3 *db;
	sqlite3_stmt *statement;
	int64_t number = 0;
	snprintf(path, sizeof path, "%s/sluice.db", f->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &statement, NULL), SQLITE_OK);
	int status = sqlite3_step(statement);
	assert_true(status == SQLITE_ROW || status == SQLITE_DONE);
	if (status == SQLITE_ROW) {
		number = sqlite3_column_int64(statement, 0);
	}
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return number;
}

static int64_t kept(struct fixture *f) {
	return sql(f, "SELECT count(*) FROM checkpoint");
}

static enum err_code put_status(struct fixture *f, const char *thread, const char *id, const char *status) {
	struct store_write *write = store_write_new();
	struct store_response response = make_response("user_a", thread, id, "");
	strcpy(response.status, status);
	assert_int_equal(store_put_response(write, &response), 0);
	if (strcmp(status, "in_progress") != 0) {
		assert_int_equal(store_delete_segments(write, id), 0);
	}
	return commit(f, write);
}

/* A response on a thread of its own, in progress. */
static void begin(struct fixture *f, const char *thread, const char *id) {
	assert_int_equal(commit(f, turn("user_a", thread, id, "", 0)), ERR_NONE);
	assert_int_equal(put_status(f, thread, id, "in_progress"), ERR_NONE);
}

static enum err_code put_segment(struct fixture *f, const char *thread, const char *id, uint32_t number,
				 uint32_t seed) {
	struct store_write *write = store_write_new();
	struct store_record segment = make_record(thread, id, seed, 6);
	segment.number = number;
	assert_int_equal(store_put_segment(write, &segment), 0);
	return commit(f, write);
}

/* The response's two records, then these segments; a seed of 0 ends the list. */
static void assert_segments(struct fixture *f, const char *id, const uint32_t *seeds) {
	struct store_snapshot *s = read_one(f, STORE_READ_RESPONSE, "user_a", id);
	size_t count = 2;
	for (uint32_t i = 0; seeds[i]; i++, count++) {
		uint8_t sealed[RECORD_SIZE];
		fill(sealed, sizeof sealed, seeds[i]);
		assert_true(s->record_count > count);
		assert_int_equal(s->records[count].number, i);
		assert_int_equal(s->records[count].kind, 6);
		assert_memory_equal(s->records[count].sealed.data, sealed, sizeof sealed);
	}
	assert_int_equal(s->record_count, count);
	store_snapshot_free(&s);
}

static void a_kill_leaves_them_beside_their_response(void **state) {
	struct fixture *f = *state;
	begin(f, "conv_1", "resp_1");
	begin(f, "conv_2", "resp_2");
	assert_int_equal(put_segment(f, "conv_1", "resp_1", 0, 70), ERR_NONE);
	assert_int_equal(put_segment(f, "conv_2", "resp_2", 0, 80), ERR_NONE);
	assert_int_equal(put_segment(f, "conv_1", "resp_1", 1, 71), ERR_NONE);
	assert_int_equal(put_segment(f, "conv_1", "resp_1", 1, 72), ERR_NONE); /* said again */
	assert_segments(f, "resp_1", (const uint32_t[]){70, 72, 0});
	assert_int_equal(put_status(f, "conv_2", "resp_2", "completed"), ERR_NONE);
	fixture_reopen(f);
	assert_segments(f, "resp_1", (const uint32_t[]){70, 72, 0});
	assert_segments(f, "resp_2", (const uint32_t[]){0});
	assert_int_equal(kept(f), 0);
	assert_int_equal(put_segment(f, "conv_1", "resp_1", 2, 73), ERR_CONFLICT); /* it is incomplete now */
	fixture_reopen(f);
	assert_segments(f, "resp_1", (const uint32_t[]){70, 72, 0});
}

static void the_last_to_end_takes_them_all(void **state) {
	struct fixture *f = *state;
	begin(f, "conv_1", "resp_1");
	begin(f, "conv_2", "resp_2");
	assert_int_equal(put_segment(f, "conv_1", "resp_1", 0, 70), ERR_NONE);
	assert_int_equal(put_segment(f, "conv_2", "resp_2", 0, 80), ERR_NONE);
	assert_int_equal(put_status(f, "conv_1", "resp_1", "completed"), ERR_NONE);
	assert_segments(f, "resp_1", (const uint32_t[]){0});
	assert_segments(f, "resp_2", (const uint32_t[]){80, 0});
	assert_int_equal(put_segment(f, "conv_1", "resp_1", 1, 71), ERR_CONFLICT);
	assert_int_equal(put_status(f, "conv_2", "resp_2", "failed"), ERR_NONE);
	assert_int_equal(kept(f), 0);
}

/* What is erased is not left in an old checkpoint, though others run. */
static void erasing_takes_them_along(void **state) {
	struct fixture *f = *state;
	begin(f, "conv_live", "resp_live");
	for (uint32_t way = 0; way < 3; way++) {
		assert_int_equal(put_segment(f, "conv_live", "resp_live", way, 60 + way), ERR_NONE);
		begin(f, "conv_1", "resp_1");
		assert_int_equal(put_segment(f, "conv_1", "resp_1", 0, 70), ERR_NONE);
		assert_int_equal(put_status(f, "conv_1", "resp_1", "completed"), ERR_NONE);
		assert_int_equal(kept(f), way + 2);
		struct store_write *write = store_write_new();
		if (way == 0) {
			store_delete_record(write, "conv_1", 2);
		} else if (way == 1) {
			store_delete_response(write, "user_a", "resp_1");
		}
		if (way < 2) {
			assert_int_equal(commit(f, write), ERR_NONE);
			assert_int_equal(kept(f), way + 1);
			write = store_write_new();
		}
		store_delete_thread(write, "user_a", "conv_1");
		assert_int_equal(commit(f, write), ERR_NONE);
		assert_int_equal(kept(f), way + 1);
	}
	assert_int_equal(put_segment(f, "conv_live", "resp_live", 3, 63), ERR_NONE);
	assert_segments(f, "resp_live", (const uint32_t[]){60, 61, 62, 63, 0});
}

/* An end that was rolled back was none: what was known of its response is found again. */
static void an_end_that_conflicts_ends_nothing(void **state) {
	struct fixture *f = *state;
	begin(f, "conv_1", "resp_1");
	assert_int_equal(put_segment(f, "conv_1", "resp_1", 0, 70), ERR_NONE);
	struct store_write *write = store_write_new();
	struct store_response response = make_response("user_a", "conv_1", "resp_1", "");
	struct store_thread thread = make_thread("user_a", "conv_1", 9);
	assert_int_equal(store_put_response(write, &response), 0);
	assert_int_equal(store_delete_segments(write, "resp_1"), 0);
	assert_int_equal(store_put_thread(write, &thread, 1), 0); /* it is further on */
	put_record(write, "conv_9", "resp_1", 3, 1);
	assert_int_equal(commit(f, write), ERR_CONFLICT);
	assert_int_equal(put_segment(f, "conv_1", "resp_1", 1, 71), ERR_NONE);
	assert_segments(f, "resp_1", (const uint32_t[]){70, 71, 0});
	assert_int_equal(put_status(f, "conv_1", "resp_1", "completed"), ERR_NONE);
	assert_int_equal(kept(f), 0);
}

/* They are not left to grow while something always runs. */
static void the_dead_are_deleted_in_between(void **state) {
	struct fixture *f = *state;
	begin(f, "conv_live", "resp_live");
	assert_int_equal(put_segment(f, "conv_live", "resp_live", 0, 60), ERR_NONE);
	begin(f, "conv_1", "resp_1");
	struct answer answers[2100] = {0};
	for (uint32_t i = 0; i < 2100; i++) {
		struct store_write *write = store_write_new();
		struct store_record segment = make_record("conv_1", "resp_1", 70, 6);
		segment.number = i;
		assert_int_equal(store_put_segment(write, &segment), 0);
		assert_non_null(store_commit(f->store, &write, on_written, &answers[i]));
	}
	wait_for(f, &answers[2099]);
	assert_int_equal(kept(f), 2101);
	assert_int_equal(put_status(f, "conv_1", "resp_1", "completed"), ERR_NONE);
	/* Upkeep comes before the next write. */
	assert_int_equal(put_segment(f, "conv_live", "resp_live", 1, 61), ERR_NONE);
	assert_int_equal(kept(f), 2);
	assert_segments(f, "resp_live", (const uint32_t[]){60, 61, 0});
}

/* The version before kept them where this one puts what a killed server left. */
static void an_earlier_version_left_some(void **state) {
	struct fixture *f = *state;
	begin(f, "conv_1", "resp_1");
	begin(f, "conv_2", "resp_2");
	assert_int_equal(put_segment(f, "conv_1", "resp_1", 0, 70), ERR_NONE);
	fixture_close(f);
	sql(f, "INSERT INTO segment SELECT response, number, kind, created_ms, sealed FROM checkpoint");
	sql(f, "DROP TABLE checkpoint");
	sql(f, "DROP TABLE waypoint");
	sql(f, "PRAGMA user_version = 4");
	fixture_open(f);
	assert_segments(f, "resp_1", (const uint32_t[]){70, 0});
	assert_segments(f, "resp_2", (const uint32_t[]){0});
	assert_int_equal(sql(f, "SELECT count(*) FROM response WHERE reason = 'server_restart'"), 2);
	begin(f, "conv_3", "resp_3");
	assert_int_equal(put_segment(f, "conv_3", "resp_3", 0, 90), ERR_NONE);
	assert_segments(f, "resp_3", (const uint32_t[]){90, 0});
}

static uint64_t commits_so_far(struct fixture *f) {
	struct buf text = BUF_INIT;
	metrics_render(f->metrics, &text);
	const char *line = strstr(buf_text(&text), "\nsluice_store_commits_total ");
	assert_non_null(line);
	uint64_t count = strtoull(line + strlen("\nsluice_store_commits_total "), NULL, 10);
	buf_free(&text);
	return count;
}

/* Gathered writes are one transaction. */
static void what_is_gathered_shares_a_commit(void **state) {
	struct fixture *f = *state;
	struct answer answers[100] = {0};
	begin(f, "conv_1", "resp_1");
	uint64_t before = commits_so_far(f);
	store_gather(f->store);
	for (uint32_t i = 0; i < 100; i++) {
		struct store_write *write = store_write_new();
		struct store_record segment = make_record("conv_1", "resp_1", 70, 6);
		segment.number = i;
		assert_int_equal(store_put_segment(write, &segment), 0);
		assert_non_null(store_commit(f->store, &write, on_written, &answers[i]));
	}
	store_gathered(f->store);
	wait_for(f, &answers[99]);
	assert_int_equal(commits_so_far(f) - before, 1);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_kill_leaves_them_beside_their_response, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(the_last_to_end_takes_them_all, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(erasing_takes_them_along, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(an_end_that_conflicts_ends_nothing, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(the_dead_are_deleted_in_between, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(an_earlier_version_left_some, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(what_is_gathered_shares_a_commit, setup_store, teardown_store),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
