/* Disks that are full, that fail, that lie; memory that ends. Nothing is acknowledged that is not durable, and the
 * store lives on. */
#include "fault_vfs.h"
#include "store_test.h"

#include <sys/mount.h>

static int setup_faults(void **state) {
	fault_reset();
	return setup_store(state);
}

static int teardown_faults(void **state) {
	fault_reset();
	return teardown_store(state);
}

static void assert_integrity(const struct fixture *f) {
	const char *files[] = {"sluice.db", "keys.db"};
	for (size_t i = 0; i < 2; i++) {
		char path[128];
		sqlite3 *db;
		sqlite3_stmt *statement;
		snprintf(path, sizeof path, "%s/%s", f->dir, files[i]);
		assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
		assert_string_equal((const char *)sqlite3_column_text(statement, 0), "ok");
		sqlite3_finalize(statement);
		sqlite3_close(db);
	}
}

static struct store_write *deletion(const char *thread) {
	struct store_write *write = store_write_new();
	assert_int_equal(store_delete_thread(write, "user_a", thread), 0);
	return write;
}

/* Several writes in one group fail alike, none is there, and the next goes well. */
static void assert_all_fail(struct fixture *f, const char *file, enum err_code expected) {
	struct answer answers[4] = {{0}};
	for (size_t i = 0; i < 4; i++) {
		char thread[ID_SIZE];
		char response[ID_SIZE];
		snprintf(thread, sizeof thread, "conv_%s_%zu", file, i);
		snprintf(response, sizeof response, "resp_%s_%zu", file, i);
		struct store_write *write = turn("user_a", thread, response, "", 0);
		store_commit(f->store, &write, on_written, &answers[i]);
	}
	for (size_t i = 0; i < 4; i++) {
		wait_for(f, &answers[i]);
		assert_int_equal(answers[i].err.code, expected);
	}
	assert_true(fault_hits() > 0);
	struct err err = {0};
	assert_int_equal(store_health(f->store, &err), -1);
	assert_int_equal(err.code, expected);
	for (size_t i = 0; i < 4; i++) {
		char response[ID_SIZE];
		snprintf(response, sizeof response, "resp_%s_%zu", file, i);
		assert_int_equal(read_code(f, STORE_READ_RESPONSE, "user_a", response), ERR_NOT_FOUND);
	}
}

static void a_full_disk_fails_writes_and_no_reads(void **state) {
	struct fixture *f = *state;
	const char *files[] = {"sluice.db-wal", "keys.db-wal"};
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	for (size_t i = 0; i < 2; i++) {
		fault_set(FAULT_WRITE, files[i], SQLITE_FULL, 0);
		assert_all_fail(f, files[i], ERR_FULL);
		assert_int_equal(read_code(f, STORE_READ_CONTEXT, "user_a", "resp_1"), ERR_NONE);
		fault_reset();
		assert_int_equal(
			commit(f, turn("user_a", "conv_1", i ? "resp_3" : "resp_2", "resp_1", 2 + 2 * (unsigned)i)),
			ERR_NONE);
		assert_int_equal(store_health(f->store, NULL), 0);
	}
	assert_integrity(f);
}

static void a_full_disk_that_is_freed_is_noticed(void **state) {
	struct fixture *f = *state;
	fault_set(FAULT_WRITE, "sluice.db-wal", SQLITE_FULL, 0);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_FULL);
	unsigned hits = fault_hits();
	while (fault_hits() == hits) { /* it tries by itself, and fails again */
		usleep(10000);
	}
	assert_int_equal(store_health(f->store, NULL), -1);
	fault_reset();
	while (store_health(f->store, NULL) != 0) {
		usleep(10000);
	}
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
}

/* After a failed sync nobody knows what is on the disk: not acknowledged, and not denied either. */
static void a_failed_sync_leaves_the_outcome_open(void **state) {
	struct fixture *f = *state;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	fault_set(FAULT_SYNC, "sluice.db-wal", SQLITE_IOERR_FSYNC, 0);
	assert_all_fail(f, "sluice.db-wal", ERR_OUTCOME_UNKNOWN);
	pthread_mutex_lock(&fault.mutex);
	assert_true(fault.opens > 0); /* the database was opened anew */
	pthread_mutex_unlock(&fault.mutex);
	fault_reset();
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_2", "resp_1", 2)), ERR_NONE);
	assert_int_equal(store_health(f->store, NULL), 0);
	fixture_reopen(f);
	assert_int_equal(read_code(f, STORE_READ_RESPONSE, "user_a", "resp_1"), ERR_NONE);
	assert_int_equal(read_code(f, STORE_READ_RESPONSE, "user_a", "resp_2"), ERR_NONE);
	assert_integrity(f);
}

static void keys_that_may_be_written_leave_the_outcome_open(void **state) {
	struct fixture *f = *state;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	fault_set(FAULT_SYNC, "keys.db-wal", SQLITE_IOERR_FSYNC, 0);
	assert_all_fail(f, "keys.db-wal", ERR_OUTCOME_UNKNOWN);
	fault_reset();
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_2", "resp_1", 2)), ERR_NONE);
	assert_integrity(f);
}

static void a_write_error_is_told_for_what_it_is(void **state) {
	struct fixture *f = *state;
	fault_set(FAULT_WRITE, "sluice.db-wal", SQLITE_IOERR_WRITE, 0);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_OUTCOME_UNKNOWN);
	fault_reset();
	/* Its key may be left; a later start of the thread is not hindered by it. */
	struct store_write *write = turn("user_a", "conv_1", "resp_1", "", 0);
	assert_int_equal(commit(f, write), ERR_NONE);
	assert_integrity(f);
}

static void a_read_error_fails_the_read_alone(void **state) {
	struct fixture *f = *state;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	fixture_reopen(f); /* nothing in memory, all in the file */
	fault_set(FAULT_READ, "sluice.db", SQLITE_IOERR_READ, 0);
	assert_int_equal(read_code(f, STORE_READ_CONTEXT, "user_a", "resp_1"), ERR_IO);
	fault_reset();
	assert_int_equal(read_code(f, STORE_READ_CONTEXT, "user_a", "resp_1"), ERR_NONE);
}

/* --- keys before data --------------------------------------------------------------------------------------------- */

static void keys_are_durable_before_their_data(void **state) {
	struct fixture *f = *state;
	fault_reset();
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	assert_int_not_equal(fault_first_sync("keys.db-wal"), SIZE_MAX);
	assert_int_not_equal(fault_first_sync("sluice.db-wal"), SIZE_MAX);
	assert_true(fault_first_sync("keys.db-wal") < fault_first_sync("sluice.db-wal"));

	fault_reset();
	assert_int_equal(commit(f, deletion("conv_1")), ERR_NONE);
	assert_true(fault_first_sync("keys.db-wal") < fault_first_sync("sluice.db-wal"));

	/* A turn that brings no key costs keys.db nothing. */
	assert_int_equal(commit(f, turn("user_a", "conv_2", "resp_2", "", 0)), ERR_NONE);
	fault_reset();
	assert_int_equal(commit(f, turn("user_a", "conv_2", "resp_3", "resp_2", 2)), ERR_NONE);
	assert_int_equal(fault_first_sync("keys.db-wal"), SIZE_MAX);
}

/* The disk gives up between the two commits of a deletion: the keys are gone, the rows may be; told so, and finished by
 * asking again. */
static void a_deletion_cut_short_is_finished_later(void **state) {
	struct fixture *f = *state;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	fault_set(FAULT_WRITE, "sluice.db-wal", SQLITE_FULL, 0);
	assert_int_equal(commit(f, deletion("conv_1")), ERR_OUTCOME_UNKNOWN);
	fault_reset();
	struct store_snapshot *s = read_one(f, STORE_READ_THREAD, "user_a", "conv_1");
	assert_non_null(s);
	assert_int_equal(s->dek_count, 0);
	store_snapshot_free(&s);
	assert_int_equal(commit(f, deletion("conv_1")), ERR_NONE);
	assert_int_equal(read_code(f, STORE_READ_THREAD, "user_a", "conv_1"), ERR_NOT_FOUND);
}

/* --- remnants ----------------------------------------------------------------------------------------------------- */

static const uint8_t *needle;
static size_t needle_length;
static size_t needles_found;

static int count_needles(const char *path, const struct stat *st, int type, struct FTW *place) {
	(void)place;
	if (type == FTW_F && st->st_size > 0) {
		char *content = malloc((size_t)st->st_size);
		FILE *file = fopen(path, "r");
		assert_non_null(file);
		size_t length = fread(content, 1, (size_t)st->st_size, file);
		fclose(file);
		const char *at = content;
		while ((at = memmem(at, length - (size_t)(at - content), needle, needle_length))) {
			needles_found++;
			at++;
		}
		free(content);
	}
	return 0;
}

static size_t find_in_folder(const struct fixture *f, const void *bytes, size_t length) {
	needle = bytes;
	needle_length = length;
	needles_found = 0;
	assert_int_equal(nftw(f->dir, count_needles, 16, FTW_PHYS), 0);
	return needles_found;
}

/* Bytes that are nowhere else. */
static void fill_random(void *to, size_t length) {
	FILE *file = fopen("/dev/urandom", "r");
	assert_int_equal(fread(to, 1, length, file), length);
	fclose(file);
}

static void nothing_of_what_was_deleted_is_left(void **state) {
	struct fixture *f = *state;
	struct store_dek dek = make_dek("user_a", "conv_gone", 1);
	fill_random(dek.wrapped, sizeof dek.wrapped);
	uint8_t text[20000];
	fill_random(text, sizeof text);
	for (unsigned i = 0; i < 30; i++) { /* among others, so that pages are shared */
		char thread[ID_SIZE];
		char response[ID_SIZE];
		snprintf(thread, sizeof thread, "conv_%u", i);
		snprintf(response, sizeof response, "resp_%u", i);
		assert_int_equal(commit(f, turn("user_a", thread, response, "", 0)), ERR_NONE);
	}
	struct store_write *write = store_write_new();
	struct store_thread thread = make_thread("user_a", "conv_gone", 2);
	struct store_response response = make_response("user_a", "conv_gone", "resp_gone", "");
	struct store_record record = make_record("conv_gone", "resp_gone", 1, 1);
	struct store_record big = make_record("conv_gone", "resp_gone", 2, 1);
	buf_clear(&record.sealed);
	buf_append(&record.sealed, text, 300);
	buf_clear(&big.sealed);
	buf_append(&big.sealed, text, sizeof text);
	assert_int_equal(store_put_dek(write, &dek), 0);
	assert_int_equal(store_put_thread(write, &thread, 0), 0);
	assert_int_equal(store_put_response(write, &response), 0);
	assert_int_equal(store_put_record(write, &record), 0);
	assert_int_equal(store_put_record(write, &big), 0);
	assert_int_equal(commit(f, write), ERR_NONE);
	const size_t pieces[] = {0, 64, 256, 5000, 12000, 19900};
	assert_true(find_in_folder(f, dek.wrapped, 32) > 0);
	for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
		assert_true(find_in_folder(f, text + pieces[i], 32) > 0);
	}

	assert_int_equal(commit(f, deletion("conv_gone")), ERR_NONE);
	for (size_t at = 0; at + 16 <= sizeof dek.wrapped; at += 4) {
		assert_int_equal(find_in_folder(f, dek.wrapped + at, 16), 0);
	}
	for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
		assert_int_equal(find_in_folder(f, text + pieces[i], 32), 0);
	}
	assert_int_equal(find_in_folder(f, "conv_gone", 9), 0);
	assert_int_equal(find_in_folder(f, "resp_gone", 9), 0);
}

/* Somebody reads for long: the deletion is acknowledged, and the WAL emptied when the reader has gone. */
static void a_reader_delays_the_emptying_of_the_wal(void **state) {
	struct fixture *f = *state;
	struct store_dek dek = make_dek("user_a", "conv_1", 1);
	char path[128];
	sqlite3 *db;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	snprintf(path, sizeof path, "%s/keys.db", f->dir);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN; SELECT count(*) FROM dek", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(commit(f, deletion("conv_1")), ERR_NONE);
	assert_true(find_in_folder(f, dek.wrapped, sizeof dek.wrapped) > 0);
	sqlite3_close(db);
	while (find_in_folder(f, dek.wrapped, sizeof dek.wrapped) > 0) {
		usleep(10000);
	}
}

/* --- other processes, other disks --------------------------------------------------------------------------------- */

static void a_lock_held_elsewhere_is_waited_for_and_then_told(void **state) {
	struct fixture *f = *state;
	char path[128];
	sqlite3 *db;
	snprintf(path, sizeof path, "%s/sluice.db", f->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_TIMEOUT);
	assert_int_equal(store_health(f->store, NULL), -1);
	assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
}

static int teardown_small_disk(void **state) {
	const struct fixture *f = *state;
	umount2(f->dir, MNT_DETACH); /* where the test has failed before it could */
	return teardown_faults(state);
}

/* The same with a real file system of 2 MiB, where there is one to be had. */
static void a_small_disk_fills_and_recovers(void **state) {
	struct fixture *f = *state;
	if (mount("none", f->dir, "tmpfs", 0, "size=2m,mode=0700") != 0) {
		printf("skipped: no tmpfs may be mounted here (%s)\n", strerror(errno));
		skip();
	}
	fixture_open(f);
	enum err_code code = ERR_NONE;
	unsigned written = 0;
	while (code == ERR_NONE && written < 1000) {
		char thread[ID_SIZE];
		char response[ID_SIZE];
		snprintf(thread, sizeof thread, "conv_%u", written);
		snprintf(response, sizeof response, "resp_%u", written);
		struct store_write *write = turn("user_a", thread, response, "", 0);
		struct store_record big = make_record(thread, response, 3, 1);
		assert_true(buf_reserve(&big.sealed, 50000));
		memset(big.sealed.data + big.sealed.length, 7, 50000);
		big.sealed.length += 50000;
		assert_int_equal(store_put_record(write, &big), 0);
		code = commit(f, write);
		written += code == ERR_NONE;
	}
	assert_int_equal(code, ERR_FULL);
	assert_true(written > 3);
	for (unsigned i = 0; i < written; i++) {
		char response[ID_SIZE];
		snprintf(response, sizeof response, "resp_%u", i);
		assert_int_equal(read_code(f, STORE_READ_CONTEXT, "user_a", response), ERR_NONE);
	}
	assert_int_equal(mount("none", f->dir, "tmpfs", MS_REMOUNT, "size=16m"), 0);
	assert_int_equal(commit(f, turn("user_a", "conv_last", "resp_last", "", 0)), ERR_NONE);
	assert_integrity(f);
	fixture_close(f);
	assert_int_equal(umount(f->dir), 0);
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static void every_allocation_may_fail_in_a_read(void **state) {
	struct fixture *f = *state;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_2", "resp_1", 2)), ERR_NONE);
	const enum store_read_kind kinds[] = {STORE_READ_RESPONSE, STORE_READ_CONTEXT, STORE_READ_THREAD,
					      STORE_READ_CHAIN,    STORE_READ_THREADS, STORE_READ_IDENTITIES};
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		bool failed = true;
		for (uint64_t nth = 2; failed; nth++) { /* the first is the operation itself */
			struct store_query query =
				query_of(kinds[i], "user_a",
					 kinds[i] == STORE_READ_THREAD || kinds[i] == STORE_READ_CHAIN ? "conv_1"
					 : kinds[i] == STORE_READ_THREADS                              ? ""
												       : "resp_2");
			query.limit = 10;
			query.record_kinds[0] = 1;
			enum err_code code;
			mem_fail_after(nth, false);
			uint64_t before = mem_alloc_count();
			struct store_snapshot *s = read_query(f, &query, &code);
			failed = mem_alloc_count() - before >= nth;
			mem_fail_after(0, false);
			assert_int_equal(code, failed ? ERR_MEMORY : ERR_NONE);
			store_snapshot_free(&s);
		}
	}
	assert_int_equal(read_code(f, STORE_READ_CONTEXT, "user_a", "resp_2"), ERR_NONE);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_full_disk_fails_writes_and_no_reads, setup_faults, teardown_faults),
		cmocka_unit_test_setup_teardown(a_full_disk_that_is_freed_is_noticed, setup_faults, teardown_faults),
		cmocka_unit_test_setup_teardown(a_failed_sync_leaves_the_outcome_open, setup_faults, teardown_faults),
		cmocka_unit_test_setup_teardown(keys_that_may_be_written_leave_the_outcome_open, setup_faults,
						teardown_faults),
		cmocka_unit_test_setup_teardown(a_write_error_is_told_for_what_it_is, setup_faults, teardown_faults),
		cmocka_unit_test_setup_teardown(a_read_error_fails_the_read_alone, setup_faults, teardown_faults),
		cmocka_unit_test_setup_teardown(keys_are_durable_before_their_data, setup_faults, teardown_faults),
		cmocka_unit_test_setup_teardown(a_deletion_cut_short_is_finished_later, setup_faults, teardown_faults),
		cmocka_unit_test_setup_teardown(nothing_of_what_was_deleted_is_left, setup_faults, teardown_faults),
		cmocka_unit_test_setup_teardown(a_reader_delays_the_emptying_of_the_wal, setup_faults, teardown_faults),
		cmocka_unit_test_setup_teardown(a_lock_held_elsewhere_is_waited_for_and_then_told, setup_faults,
						teardown_faults),
		cmocka_unit_test_setup_teardown(a_small_disk_fills_and_recovers, setup_folder, teardown_small_disk),
		cmocka_unit_test_setup_teardown(every_allocation_may_fail_in_a_read, setup_faults, teardown_faults),
	};
	return cmocka_run_group_tests_name("store_faults", tests, fault_install, NULL);
}
