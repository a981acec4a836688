/* Opening: the folder, its lock, whose files these are, schemas, and what the last process left behind. */
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>

#include "store_test.h"

static void path_in(const struct fixture *f, const char *file, char path[static 128]) {
	snprintf(path, 128, "%s/%s", f->dir, file);
}

/* Runs SQL on a file of the folder, as somebody else would. */
static void run_sql(const struct fixture *f, const char *file, const char *sql) {
	char path[128];
	char *message = NULL;
	sqlite3 *db;
	path_in(f, file, path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
		fail_msg("%s: %s", sql, message);
	}
	sqlite3_close(db);
}

static int64_t ask_sql(const struct fixture *f, const char *file, const char *sql) {
	char path[128];
	sqlite3 *db;
	sqlite3_stmt *statement;
	path_in(f, file, path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	int64_t value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return value;
}

static enum err_code open_code(struct fixture *f) {
	struct err err = {0};
	f->store = fixture_try_open(f, false, &err);
	assert_int_equal(f->store == NULL, err.code != ERR_NONE);
	fixture_close(f);
	return err.code;
}

static void folder_and_files_are_their_owners_alone(void **state) {
	struct fixture *f = *state;
	struct stat st;
	char path[128];
	mode_t before = umask(0);
	assert_int_equal(rmdir(f->dir), 0);
	fixture_open(f);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	umask(before);
	assert_int_equal(stat(f->dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	const char *files[] = {"sluice.db",   "sluice.db-wal", "sluice.db-shm", "keys.db",
			       "keys.db-wal", "keys.db-shm",   "lock"};
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		path_in(f, files[i], path);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
}

static void a_missing_parent_is_an_error(void **state) {
	struct fixture *f = *state;
	struct err err = {0};
	const struct store_options options = {.dir = "/nonexistent/folder/store"};
	const struct store_deps deps = {
		.loop = &f->loop, .clock = &f->clock.clock, .log = &f->log, .metrics = f->metrics};
	assert_null(store_open(&options, &deps, &err));
	assert_int_equal(err.code, ERR_NOT_FOUND);
}

/* A state folder is a link where systemd gives a service a user of its own; a database that is one is somebody's
 * trap. */
static void the_folder_may_be_a_link_and_its_files_may_not(void **state) {
	struct fixture *f = *state;
	char real[128];
	char path[128];
	path_in(f, "real", real);
	path_in(f, "link", path);
	assert_int_equal(mkdir(real, 0700), 0);
	assert_int_equal(symlink("real", path), 0);
	char plain[sizeof f->dir];
	strcpy(plain, f->dir);
	strcat(f->dir, "/link");
	fixture_open(f);
	fixture_close(f);
	strcpy(f->dir, plain);
	path_in(f, "real/sluice.db", path);
	assert_int_equal(access(path, F_OK), 0);

	path_in(f, "sluice.db", path);
	assert_int_equal(symlink("real/sluice.db", path), 0);
	assert_int_equal(open_code(f), ERR_IO);
}

static void closing_leaves_no_wal(void **state) {
	struct fixture *f = *state;
	char path[128];
	fixture_open(f);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	fixture_close(f);
	path_in(f, "sluice.db-wal", path);
	assert_int_equal(access(path, F_OK), -1);
	path_in(f, "keys.db-wal", path);
	assert_int_equal(access(path, F_OK), -1);
}

static void a_folder_in_use_is_refused(void **state) {
	struct fixture *f = *state;
	struct err err = {0};
	fixture_open(f);
	assert_null(fixture_try_open(f, false, &err));
	assert_int_equal(err.code, ERR_CONFLICT);
	/* From another process too, and the first goes on unharmed. */
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		uv_loop_t loop;
		uv_loop_init(&loop);
		const struct store_options options = {.dir = f->dir};
		const struct store_deps deps = {
			.loop = &loop, .clock = clock_system(), .log = &f->log, .metrics = f->metrics};
		_exit(!store_open(&options, &deps, &err) && err.code == ERR_CONFLICT ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	fixture_reopen(f);
}

static void a_folder_that_others_may_write_is_refused(void **state) {
	struct fixture *f = *state;
	const mode_t modes[] = {0777, 0770, 0702};
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
		assert_int_equal(chmod(f->dir, modes[i]), 0);
		assert_int_equal(open_code(f), ERR_DENIED);
	}
	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_int_equal(open_code(f), ERR_NONE);
	assert_int_equal(chmod(f->dir, 0700), 0);
}

static void a_newer_schema_is_refused(void **state) {
	struct fixture *f = *state;
	const char *files[] = {"sluice.db", "keys.db"};
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(open_code(f), ERR_NONE);
		int64_t version = ask_sql(f, files[i], "PRAGMA user_version");
		char sql[64];
		snprintf(sql, sizeof sql, "PRAGMA user_version = %d", (int)version + 1);
		run_sql(f, files[i], sql);
		assert_int_equal(open_code(f), ERR_CONFLICT);
		snprintf(sql, sizeof sql, "PRAGMA user_version = %d", (int)version);
		run_sql(f, files[i], sql);
	}
	assert_int_equal(open_code(f), ERR_NONE);
}

static void another_programs_database_is_refused(void **state) {
	struct fixture *f = *state;
	char path[128];
	run_sql(f, "sluice.db", "CREATE TABLE song (title TEXT)");
	assert_int_equal(open_code(f), ERR_INVALID);
	assert_int_equal(ask_sql(f, "sluice.db", "SELECT count(*) FROM sqlite_schema"), 1); /* left as it was */
	path_in(f, "sluice.db", path);
	unlink(path);
	run_sql(f, "keys.db", "PRAGMA application_id = 7");
	assert_int_equal(open_code(f), ERR_INVALID);
	path_in(f, "keys.db", path);
	unlink(path);
	assert_int_equal(open_code(f), ERR_NONE);
}

static void swapped_files_are_refused(void **state) {
	struct fixture *f = *state;
	char data[128];
	char keys[128];
	char other[128];
	assert_int_equal(open_code(f), ERR_NONE);
	path_in(f, "sluice.db", data);
	path_in(f, "keys.db", keys);
	path_in(f, "other", other);
	assert_int_equal(rename(data, other), 0);
	assert_int_equal(rename(keys, data), 0);
	assert_int_equal(rename(other, keys), 0);
	assert_int_equal(open_code(f), ERR_INVALID);
}

static void what_is_no_database_is_refused(void **state) {
	struct fixture *f = *state;
	char path[128];
	path_in(f, "sluice.db", path);
	FILE *file = fopen(path, "w");
	for (int i = 0; i < 1000; i++) {
		fputs("no database at all\n", file);
	}
	fclose(file);
	assert_int_equal(open_code(f), ERR_CORRUPT);
}

static void put_status(struct fixture *f, const char *id, const char *status) {
	struct store_response response = make_response("user_a", "conv_1", id, "");
	struct store_write *write = store_write_new();
	strcpy(response.status, status);
	response.completed_ms = 0;
	assert_int_equal(store_put_response(write, &response), 0);
	assert_int_equal(commit(f, write), ERR_NONE);
}

static void assert_status(struct fixture *f, const char *id, const char *status, const char *reason,
			  int64_t completed) {
	struct store_snapshot *s = read_one(f, STORE_READ_RESPONSE, "user_a", id);
	assert_non_null(s);
	assert_string_equal(s->responses[0].status, status);
	assert_string_equal(s->responses[0].reason, reason);
	assert_int_equal(s->responses[0].completed_ms, completed);
	store_snapshot_free(&s);
}

static void what_was_in_flight_is_found_incomplete(void **state) {
	struct fixture *f = *state;
	fixture_open(f);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_done", "", 0)), ERR_NONE);
	put_status(f, "resp_live", "in_progress");
	put_status(f, "resp_waits", "queued");
	put_status(f, "resp_failed", "failed");
	clock_fake_advance_us(&f->clock, 5000000);
	fixture_reopen(f);
	assert_status(f, "resp_live", "incomplete", "server_restart", f->clock.now_wall_ms);
	assert_status(f, "resp_waits", "incomplete", "server_restart", f->clock.now_wall_ms);
	assert_status(f, "resp_done", "completed", "", 3000);
	assert_status(f, "resp_failed", "failed", "", 0);
}

/* Writes turns and tells of each on `fd` when it is acknowledged, until it is killed. Some wait in a group together. */
static void write_until_killed(struct fixture *f, int fd, unsigned from) {
	uv_loop_init(&f->loop);
	fixture_open(f);
	for (unsigned number = from;; number += 4) {
		struct answer answers[4] = {{0}};
		for (unsigned i = 0; i < 4; i++) {
			char thread[ID_SIZE];
			char response[ID_SIZE];
			snprintf(thread, sizeof thread, "conv_%u", number + i);
			snprintf(response, sizeof response, "resp_%u", number + i);
			struct store_write *write = turn("user_a", thread, response, "", 0);
			store_commit(f->store, &write, on_written, &answers[i]);
		}
		for (unsigned i = 0; i < 4; i++) {
			wait_for(f, &answers[i]);
			unsigned acknowledged = number + i;
			if (answers[i].err.code != ERR_NONE ||
			    write(fd, &acknowledged, sizeof acknowledged) != sizeof acknowledged) {
				_exit(1);
			}
		}
	}
}

static void what_was_acknowledged_outlives_a_kill(void **state) {
	struct fixture *f = *state;
	const char *given = getenv("SLUICE_TEST_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)getpid();
	printf("SLUICE_TEST_SEED=%u\n", seed);
	srand(seed);
	unsigned acknowledged = 0;
	unsigned last = 0;
	for (int round = 0; round < 10; round++) {
		int ends[2];
		assert_int_equal(pipe(ends), 0);
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			close(ends[0]);
			write_until_killed(f, ends[1],
					   round == 0 ? 0 : last + 8); /* some may be there unacknowledged */
		}
		close(ends[1]);
		unsigned first = round == 0 ? 0 : last + 8;
		for (int wanted = 1 + rand() % 60; wanted > 0; wanted--) {
			assert_int_equal(read(ends[0], &last, sizeof last), sizeof last);
		}
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		while (read(ends[0], &last, sizeof last) == sizeof last) {
			continue; /* acknowledged before the kill hit */
		}
		close(ends[0]);
		fixture_open(f);
		for (unsigned i = first; i <= last; i++, acknowledged++) {
			char response[ID_SIZE];
			snprintf(response, sizeof response, "resp_%u", i);
			struct store_snapshot *s = read_one(f, STORE_READ_CONTEXT, "user_a", response);
			assert_non_null(s);
			assert_int_equal(s->record_count, 2);
			assert_int_equal(s->dek_count, 1);
			store_snapshot_free(&s);
		}
		fixture_close(f);
		assert_int_equal(ask_sql(f, "sluice.db",
					 "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"),
				 1);
	}
	assert_true(acknowledged >= 10);
}

/* A reader beside the server must not think that the server's responses are dead. */
static void reading_only_changes_nothing(void **state) {
	struct fixture *f = *state;
	struct err err = {0};
	assert_null(fixture_try_open(f, true, &err));
	assert_int_equal(err.code, ERR_NOT_FOUND);
	char path[128];
	path_in(f, "sluice.db", path);
	assert_int_equal(access(path, F_OK), -1);

	fixture_open(f);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	put_status(f, "resp_live", "in_progress");
	struct store *first = f->store;
	f->store = fixture_try_open(f, true, &err);
	assert_non_null(f->store);
	assert_false(store_is_empty(f->store));
	assert_status(f, "resp_live", "in_progress", "", 0);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_2", "", 2)), ERR_DENIED);
	store_close(&f->store);
	f->store = first;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_2", "", 2)), ERR_NONE);
}

static void empty_means_that_no_key_is_needed(void **state) {
	struct fixture *f = *state;
	fixture_open(f);
	assert_true(store_is_empty(f->store));
	fixture_reopen(f);
	assert_true(store_is_empty(f->store));

	struct store_user user = {.id = "user_a", .name = "a"};
	struct store_write *write = store_write_new();
	assert_int_equal(store_put_user(write, &user), 0);
	assert_int_equal(commit(f, write), ERR_NONE);
	fixture_reopen(f);
	assert_true(store_is_empty(f->store));

	struct store_credential credential = {.id = "cred_a", .user = "user_a", .kind = STORE_API_KEY};
	write = store_write_new();
	assert_int_equal(store_put_credential(write, &credential), 0);
	assert_int_equal(commit(f, write), ERR_NONE);
	assert_false(store_is_empty(f->store));
	fixture_reopen(f);
	assert_false(store_is_empty(f->store));

	write = store_write_new();
	assert_int_equal(store_delete_credential(write, "cred_a"), 0);
	assert_int_equal(commit(f, write), ERR_NONE);
	fixture_reopen(f);
	assert_true(store_is_empty(f->store));
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	assert_false(store_is_empty(f->store));
	fixture_reopen(f);
	assert_false(store_is_empty(f->store));
}

static void every_allocation_may_fail_at_opening(void **state) {
	struct fixture *f = *state;
	bool failed = true;
	for (uint64_t nth = 1; failed; nth++) {
		struct err err = {0};
		uint64_t before = mem_alloc_count();
		mem_fail_after(nth, false);
		f->store = fixture_try_open(f, false, &err);
		failed = mem_alloc_count() - before >= nth;
		mem_fail_after(0, false);
		/* Without a metric of its own a store still works. */
		assert_int_equal(err.code, f->store ? ERR_NONE : ERR_MEMORY);
		assert_true(failed || f->store);
		fixture_close(f);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(folder_and_files_are_their_owners_alone, setup_folder, teardown_store),
		cmocka_unit_test_setup_teardown(a_missing_parent_is_an_error, setup_folder, teardown_store),
		cmocka_unit_test_setup_teardown(the_folder_may_be_a_link_and_its_files_may_not, setup_folder,
						teardown_store),
		cmocka_unit_test_setup_teardown(closing_leaves_no_wal, setup_folder, teardown_store),
		cmocka_unit_test_setup_teardown(a_folder_in_use_is_refused, setup_folder, teardown_store),
		cmocka_unit_test_setup_teardown(a_folder_that_others_may_write_is_refused, setup_folder,
						teardown_store),
		cmocka_unit_test_setup_teardown(a_newer_schema_is_refused, setup_folder, teardown_store),
		cmocka_unit_test_setup_teardown(another_programs_database_is_refused, setup_folder, teardown_store),
		cmocka_unit_test_setup_teardown(swapped_files_are_refused, setup_folder, teardown_store),
		cmocka_unit_test_setup_teardown(what_is_no_database_is_refused, setup_folder, teardown_store),
		cmocka_unit_test_setup_teardown(what_was_in_flight_is_found_incomplete, setup_folder, teardown_store),
		cmocka_unit_test_setup_teardown(what_was_acknowledged_outlives_a_kill, setup_folder, teardown_store),
		cmocka_unit_test_setup_teardown(reading_only_changes_nothing, setup_folder, teardown_store),
		cmocka_unit_test_setup_teardown(empty_means_that_no_key_is_needed, setup_folder, teardown_store),
		cmocka_unit_test_setup_teardown(every_allocation_may_fail_at_opening, setup_folder, teardown_store),
	};
	return cmocka_run_group_tests_name("store_open", tests, NULL, NULL);
}
