/* The asynchronous part alone, over a driver that the test holds in its hands: it stops where it is told to. */
#include <pthread.h>

#include "store_test.h"

#include "driver.h"
#include "snapshot.h"
#include "write.h"

#define MAX_GROUPS 4096

/* A driver that does nothing, but only when it may. */
struct store_backend {
	uv_mutex_t mutex;
	uv_cond_t changed;
	bool held;      /* writes and reads wait */
	size_t entered; /* writes and reads that have begun */
	size_t probes;
	size_t groups;
	size_t sizes[MAX_GROUPS];
	enum err_code write_code; /* what becomes of the last write of each group */
	enum err_code probe_code;
	bool closed;
};

static void enter(struct store_backend *b) {
	uv_mutex_lock(&b->mutex);
	b->entered++;
	uv_cond_broadcast(&b->changed);
	while (b->held) {
		uv_cond_wait(&b->changed, &b->mutex);
	}
	uv_mutex_unlock(&b->mutex);
}

static void set_held(struct store_backend *b, bool held) {
	uv_mutex_lock(&b->mutex);
	b->held = held;
	uv_cond_broadcast(&b->changed);
	uv_mutex_unlock(&b->mutex);
}

static void wait_entered(struct store_backend *b, size_t count) {
	uv_mutex_lock(&b->mutex);
	while (b->entered < count) {
		uv_cond_wait(&b->changed, &b->mutex);
	}
	uv_mutex_unlock(&b->mutex);
}

static struct store_backend *fake; /* what the next fake_open hands out */

static struct store_backend *fake_open(const struct store_options *options, const struct store_deps *deps,
				       struct err *err) {
	(void)options;
	(void)deps;
	(void)err;
	return fake;
}

static void fake_close(struct store_backend **backend) {
	(*backend)->closed = true;
	*backend = NULL;
}

static bool fake_is_empty(struct store_backend *backend, struct store_dek *sample) {
	(void)backend;
	(void)sample;
	return true;
}

static int fake_write(struct store_backend *b, struct store_write *const *writes, size_t count) {
	enter(b);
	uv_mutex_lock(&b->mutex);
	assert_true(b->groups < MAX_GROUPS);
	b->sizes[b->groups++] = count;
	writes[count - 1]->op.err.code = b->write_code;
	uv_mutex_unlock(&b->mutex);
	return 0;
}

static int fake_probe(struct store_backend *b, struct err *err) {
	uv_mutex_lock(&b->mutex);
	b->probes++;
	err->code = b->probe_code;
	uv_mutex_unlock(&b->mutex);
	return err->code == ERR_NONE ? 0 : -1;
}

static bool fake_upkeep(struct store_backend *backend) {
	(void)backend;
	return false;
}

static struct store_snapshot *fake_read(struct store_backend *b, const struct store_query *query, struct err *err) {
	(void)query;
	enter(b);
	struct store_snapshot *snapshot = snapshot_new();
	if (!snapshot) {
		err_set(err, ERR_MEMORY, "none");
	}
	return snapshot;
}

static const struct store_driver fake_driver = {
	.open = fake_open,
	.close = fake_close,
	.is_empty = fake_is_empty,
	.write = fake_write,
	.probe = fake_probe,
	.upkeep = fake_upkeep,
	.read = fake_read,
};

static int setup_fake(void **state) {
	struct fixture *f = fixture_new();
	fake = calloc(1, sizeof *fake);
	uv_mutex_init(&fake->mutex);
	uv_cond_init(&fake->changed);
	const struct store_options options = {.dir = f->dir};
	const struct store_deps deps = {
		.loop = &f->loop, .clock = clock_system(), .log = &f->log, .metrics = f->metrics};
	f->store = store_open_driver(&fake_driver, &options, &deps, NULL);
	assert_non_null(f->store);
	*state = f;
	return 0;
}

static int teardown_fake(void **state) {
	fixture_free(*state);
	assert_true(fake->closed);
	uv_cond_destroy(&fake->changed);
	uv_mutex_destroy(&fake->mutex);
	free(fake);
	return 0;
}

static struct store_write *a_write(void) {
	struct store_write *write = store_write_new();
	assert_non_null(write);
	assert_int_equal(store_delete_credential(write, "cred_a"), 0);
	return write;
}

static struct store_op *start_write(struct fixture *f, struct answer *answer) {
	struct store_write *write = a_write();
	return store_commit(f->store, &write, on_written, answer);
}

static struct store_op *start_read(struct fixture *f, struct answer *answer) {
	const struct store_query query = {.kind = STORE_READ_IDENTITIES};
	return store_read(f->store, &query, on_read, answer);
}

static void what_waits_becomes_one_group(void **state) {
	struct fixture *f = *state;
	struct answer answers[100] = {{0}};
	set_held(fake, true);
	start_write(f, &answers[0]);
	wait_entered(fake, 1);
	for (size_t i = 1; i < 100; i++) {
		start_write(f, &answers[i]);
	}
	set_held(fake, false);
	for (size_t i = 0; i < 100; i++) {
		wait_for(f, &answers[i]);
		assert_int_equal(answers[i].err.code, ERR_NONE);
	}
	assert_int_equal(fake->groups, 2);
	assert_int_equal(fake->sizes[0], 1);
	assert_int_equal(fake->sizes[1], 99);
}

static void a_group_has_at_most_256_writes(void **state) {
	struct fixture *f = *state;
	static struct answer answers[601];
	memset(answers, 0, sizeof answers);
	set_held(fake, true);
	start_write(f, &answers[0]);
	wait_entered(fake, 1);
	for (size_t i = 1; i < 601; i++) {
		start_write(f, &answers[i]);
	}
	set_held(fake, false);
	for (size_t i = 0; i < 601; i++) {
		wait_for(f, &answers[i]);
	}
	assert_int_equal(fake->groups, 4);
	assert_int_equal(fake->sizes[1], 256);
	assert_int_equal(fake->sizes[2], 256);
	assert_int_equal(fake->sizes[3], 88);
}

static void start_big(struct fixture *f, struct answer *answer, size_t bytes) {
	struct store_write *write = store_write_new();
	struct store_record record = {.number = 1};
	assert_true(buf_reserve(&record.sealed, bytes));
	memset(record.sealed.data, 1, bytes);
	record.sealed.length = bytes;
	assert_int_equal(store_put_record(write, &record), 0);
	store_commit(f->store, &write, on_written, answer);
}

static void a_group_has_at_most_4_mebibytes(void **state) {
	struct fixture *f = *state;
	struct answer answers[6] = {{0}};
	set_held(fake, true);
	start_write(f, &answers[0]);
	wait_entered(fake, 1);
	start_big(f, &answers[1], 5 << 20); /* more than a group may have: alone */
	start_big(f, &answers[2], 2 << 20);
	start_big(f, &answers[3], 1 << 20);
	start_big(f, &answers[4], 2 << 20);
	start_big(f, &answers[5], 1);
	set_held(fake, false);
	for (size_t i = 0; i < 6; i++) {
		wait_for(f, &answers[i]);
	}
	assert_int_equal(fake->groups, 4);
	assert_int_equal(fake->sizes[1], 1);
	assert_int_equal(fake->sizes[2], 2);
	assert_int_equal(fake->sizes[3], 2);
}

/* --- order -------------------------------------------------------------------------------------------------------- */

struct sequence {
	size_t next;
};

struct numbered {
	struct sequence *sequence;
	size_t number;
};

static void on_numbered(void *owner, const struct err *err) {
	struct numbered *numbered = owner;
	assert_null(err);
	assert_int_equal(numbered->sequence->next, numbered->number);
	numbered->sequence->next++;
}

static void completions_keep_the_order_of_writes(void **state) {
	struct fixture *f = *state;
	static struct numbered numbered[1000];
	struct sequence sequence = {0};
	for (size_t i = 0; i < 1000; i++) {
		struct store_write *write = a_write();
		numbered[i] = (struct numbered){&sequence, i};
		store_commit(f->store, &write, on_numbered, &numbered[i]);
		if (i % 37 == 0) {
			uv_run(&f->loop, UV_RUN_NOWAIT);
		}
	}
	uv_run(&f->loop, UV_RUN_DEFAULT); /* ends when nothing is under way */
	assert_int_equal(sequence.next, 1000);
}

static void reads_do_not_wait_for_writes(void **state) {
	struct fixture *f = *state;
	struct answer write = {0};
	struct answer read = {0};
	set_held(fake, true);
	start_write(f, &write);
	wait_entered(fake, 1);
	start_read(f, &read);
	wait_entered(fake, 2); /* both at once */
	set_held(fake, false);
	wait_for(f, &write);
	wait_for(f, &read);
	store_snapshot_free(&read.snapshot);
}

/* --- cancelling --------------------------------------------------------------------------------------------------- */

static void a_cancelled_write_happens_and_says_nothing(void **state) {
	struct fixture *f = *state;
	struct answer answers[3] = {{0}};
	set_held(fake, true);
	struct store_op *running = start_write(f, &answers[0]);
	wait_entered(fake, 1);
	struct store_op *waiting = start_write(f, &answers[1]);
	start_write(f, &answers[2]);
	store_cancel(&running);
	store_cancel(&waiting);
	assert_null(running);
	assert_null(waiting);
	store_cancel(&running); /* NULL is fine */
	set_held(fake, false);
	wait_for(f, &answers[2]);
	assert_false(answers[0].came);
	assert_false(answers[1].came);
	assert_int_equal(fake->groups, 2);
	assert_int_equal(fake->sizes[1], 2);
}

static void a_cancelled_read_says_nothing(void **state) {
	struct fixture *f = *state;
	struct answer answers[3] = {{0}};
	set_held(fake, true);
	struct store_op *running = start_read(f, &answers[0]);
	wait_entered(fake, 1);
	struct store_op *waiting = start_read(f, &answers[1]);
	start_read(f, &answers[2]);
	store_cancel(&running);
	store_cancel(&waiting);
	set_held(fake, false);
	wait_for(f, &answers[2]);
	store_snapshot_free(&answers[2].snapshot);
	assert_false(answers[0].came);
	assert_false(answers[1].came);
	assert_int_equal(fake->entered, 2); /* one that waits is not even begun */
}

/* Two results wait; the completion of the first cancels the second. */
struct canceller {
	struct store_op *other;
	bool came;
};

static void on_read_cancel_other(void *owner, struct store_snapshot *snapshot, const struct err *err) {
	struct canceller *canceller = owner;
	assert_null(err);
	canceller->came = true;
	store_cancel(&canceller->other);
	store_snapshot_free(&snapshot);
}

static void a_result_that_waits_can_be_cancelled(void **state) {
	struct fixture *f = *state;
	const struct store_query query = {.kind = STORE_READ_IDENTITIES};
	struct canceller first = {0};
	struct answer second = {0};
	struct answer third = {0};
	store_read(f->store, &query, on_read_cancel_other, &first);
	first.other = start_read(f, &second);
	start_read(f, &third);
	wait_entered(fake, 3); /* the loop has not run since: all results wait for it */
	wait_for(f, &third);
	store_snapshot_free(&third.snapshot);
	assert_true(first.came);
	assert_false(second.came);
}

/* --- health ------------------------------------------------------------------------------------------------------- */

static void a_conflict_fails_alone_and_is_no_illness(void **state) {
	struct fixture *f = *state;
	struct answer answers[3] = {{0}};
	set_held(fake, true);
	start_write(f, &answers[0]);
	wait_entered(fake, 1);
	start_write(f, &answers[1]);
	start_write(f, &answers[2]);
	fake->write_code = ERR_CONFLICT;
	set_held(fake, false);
	for (size_t i = 0; i < 3; i++) {
		wait_for(f, &answers[i]);
	}
	assert_int_equal(answers[0].err.code, ERR_CONFLICT);
	assert_int_equal(answers[1].err.code, ERR_NONE);
	assert_int_equal(answers[2].err.code, ERR_CONFLICT);
	assert_int_equal(store_health(f->store, NULL), 0);
}

static void an_ill_store_says_so_until_it_is_well(void **state) {
	struct fixture *f = *state;
	struct answer answer = {0};
	struct err err = {0};
	fake->write_code = ERR_FULL;
	start_write(f, &answer);
	wait_for(f, &answer);
	assert_int_equal(answer.err.code, ERR_FULL);
	assert_int_equal(store_health(f->store, &err), -1);
	assert_int_equal(err.code, ERR_FULL);

	fake->write_code = ERR_NONE;
	memset(&answer, 0, sizeof answer);
	start_write(f, &answer);
	wait_for(f, &answer);
	assert_int_equal(store_health(f->store, &err), 0);
}

static void an_ill_store_finds_by_itself_that_it_is_well(void **state) {
	struct fixture *f = *state;
	struct answer answer = {0};
	fake->write_code = ERR_IO;
	start_write(f, &answer);
	wait_for(f, &answer);
	assert_int_equal(store_health(f->store, NULL), -1);
	while (store_health(f->store, NULL) != 0) { /* asked again about once a second */
		usleep(10000);
	}
	assert_int_equal(fake->probes, 1);
}

/* --- closing ------------------------------------------------------------------------------------------------------ */

struct chain {
	struct fixture *f;
	unsigned left;
	unsigned done;
};

static void on_chained(void *owner, const struct err *err) {
	struct chain *chain = owner;
	assert_null(err);
	chain->done++;
	if (chain->left > 0) {
		chain->left--;
		struct store_write *write = a_write();
		store_commit(chain->f->store, &write, on_chained, chain);
	}
}

static void closing_waits_for_all_that_was_started(void **state) {
	struct fixture *f = *state;
	struct answer writes[50] = {{0}};
	struct answer reads[50] = {{0}};
	struct chain chain = {.f = f, .left = 5};
	set_held(fake, true);
	struct store_write *write = a_write();
	store_commit(f->store, &write, on_chained, &chain);
	for (size_t i = 0; i < 50; i++) {
		struct store_op *op = start_write(f, &writes[i]);
		if (i == 7) {
			store_cancel(&op);
		}
		start_read(f, &reads[i]);
	}
	set_held(fake, false);
	store_close(&f->store);
	assert_null(f->store);
	for (size_t i = 0; i < 50; i++) {
		assert_int_equal(writes[i].came, i != 7);
		assert_true(reads[i].came);
		store_snapshot_free(&reads[i].snapshot);
	}
	assert_int_equal(chain.done, 6); /* those that completions started are done too */
}

static void an_idle_store_lets_the_loop_end(void **state) {
	struct fixture *f = *state;
	struct answer answer = {0};
	assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
	start_write(f, &answer);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_true(answer.came);
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static void a_write_without_memory_answers_all_the_same(void **state) {
	struct fixture *f = *state;
	struct store_write *write = a_write();
	mem_fail_after(1, false);
	assert_int_equal(store_delete_credential(write, "cred_b"), -1);
	mem_fail_after(1, true); /* handing it over needs none */
	struct answer answer = {0};
	assert_non_null(store_commit(f->store, &write, on_written, &answer));
	mem_fail_after(0, false);
	assert_false(answer.came);
	wait_for(f, &answer);
	assert_int_equal(answer.err.code, ERR_MEMORY);
	assert_int_equal(fake->groups, 0); /* what is incomplete is not written */

	mem_fail_after(1, false);
	assert_null(store_write_new());
	mem_fail_after(0, false);
}

/* A read whose completion works and then reads once more. */
struct worker {
	struct store *store;
	struct answer answer;
	int64_t works_us, used_us;
	int left;
};

static void on_work(void *owner, struct store_snapshot *snapshot, const struct err *err) {
	struct worker *worker = owner;
	const struct store_query query = query_of(STORE_READ_HEAD, "u", "t");
	int64_t begun_us = clock_thread_us();
	store_snapshot_free(&snapshot);
	while (clock_thread_us() - begun_us < worker->works_us) {
	}
	if (--worker->left > 0) {
		assert_non_null(store_read(worker->store, &query, on_work, worker));
		return;
	}
	worker->used_us = store_completion_us(worker->store);
	on_read(&worker->answer, NULL, err);
}

/* What was used by the completions that led to this one counts, and what others used does not. */
static void a_completion_knows_what_it_has_used(void **state) {
	struct fixture *f = *state;
	const struct store_query query = query_of(STORE_READ_HEAD, "u", "t");
	struct worker busy = {.store = f->store, .works_us = 20000, .left = 3};
	struct worker modest = {.store = f->store, .left = 3};
	assert_non_null(store_read(f->store, &query, on_work, &busy));
	assert_non_null(store_read(f->store, &query, on_work, &modest));
	wait_for(f, &busy.answer);
	wait_for(f, &modest.answer);
	assert_true(busy.used_us >= 60000);
	assert_true(modest.used_us < 20000);
	assert_int_equal(store_completion_us(f->store), 0);
}

static void a_read_without_memory_is_not_started(void **state) {
	struct fixture *f = *state;
	struct answer answer = {0};
	mem_fail_after(1, false);
	assert_null(start_read(f, &answer));
	mem_fail_after(0, false);
	assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
	assert_false(answer.came);
}

static void every_put_says_when_memory_is_out(void **state) {
	(void)state;
	struct store_write *write = store_write_new();
	struct store_dek dek = make_dek("user_a", "conv_1", 1);
	struct store_thread thread = make_thread("user_a", "conv_1", 1);
	struct store_response response = make_response("user_a", "conv_1", "resp_1", "");
	struct store_record record = make_record("conv_1", "resp_1", 1, 1);
	struct store_user user = {.id = "user_a"};
	struct store_credential credential = {.id = "cred_a"};
	mem_fail_after(1, true);
	assert_int_equal(store_put_dek(write, &dek), -1);
	assert_int_equal(store_put_thread(write, &thread, 0), -1);
	assert_int_equal(store_put_response(write, &response), -1);
	assert_int_equal(store_put_record(write, &record), -1);
	assert_int_equal(store_put_user(write, &user), -1);
	assert_int_equal(store_put_credential(write, &credential), -1);
	assert_int_equal(store_delete_response(write, "user_a", "resp_1"), -1);
	assert_int_equal(store_delete_thread(write, "user_a", "conv_1"), -1);
	assert_int_equal(store_delete_credential(write, "cred_a"), -1);
	assert_int_equal(store_consume_credential(write, "cred_a"), -1);
	mem_fail_after(0, false);
	assert_non_null(record.sealed.data); /* still the caller's */
	buf_free(&record.sealed);
	record.sealed.failed = true; /* what was sealed into no memory is no record */
	assert_int_equal(store_put_record(write, &record), -1);
	store_write_free(&write);
	assert_null(write);
	store_write_free(&write);
}

/* The threads block all signals; the thread that opened the store blocks what it blocked before. */
static void signals_stay_with_the_loop_thread(void **state) {
	(void)state;
	sigset_t mask;
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	assert_false(sigismember(&mask, SIGTERM));
	sigset_t pending;
	sigset_t user;
	sigemptyset(&user);
	sigaddset(&user, SIGUSR1);
	/* Blocked here and sent to the process: were it open in another thread, it would end the program. */
	pthread_sigmask(SIG_BLOCK, &user, NULL);
	kill(getpid(), SIGUSR1);
	sigpending(&pending);
	assert_true(sigismember(&pending, SIGUSR1));
	int taken;
	assert_int_equal(sigwait(&user, &taken), 0);
	pthread_sigmask(SIG_UNBLOCK, &user, NULL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_waits_becomes_one_group, setup_fake, teardown_fake),
		cmocka_unit_test_setup_teardown(a_group_has_at_most_256_writes, setup_fake, teardown_fake),
		cmocka_unit_test_setup_teardown(a_group_has_at_most_4_mebibytes, setup_fake, teardown_fake),
		cmocka_unit_test_setup_teardown(completions_keep_the_order_of_writes, setup_fake, teardown_fake),
		cmocka_unit_test_setup_teardown(reads_do_not_wait_for_writes, setup_fake, teardown_fake),
		cmocka_unit_test_setup_teardown(a_cancelled_write_happens_and_says_nothing, setup_fake, teardown_fake),
		cmocka_unit_test_setup_teardown(a_cancelled_read_says_nothing, setup_fake, teardown_fake),
		cmocka_unit_test_setup_teardown(a_result_that_waits_can_be_cancelled, setup_fake, teardown_fake),
		cmocka_unit_test_setup_teardown(a_conflict_fails_alone_and_is_no_illness, setup_fake, teardown_fake),
		cmocka_unit_test_setup_teardown(an_ill_store_says_so_until_it_is_well, setup_fake, teardown_fake),
		cmocka_unit_test_setup_teardown(an_ill_store_finds_by_itself_that_it_is_well, setup_fake,
						teardown_fake),
		cmocka_unit_test_setup_teardown(closing_waits_for_all_that_was_started, setup_fake, teardown_fake),
		cmocka_unit_test_setup_teardown(an_idle_store_lets_the_loop_end, setup_fake, teardown_fake),
		cmocka_unit_test_setup_teardown(a_write_without_memory_answers_all_the_same, setup_fake, teardown_fake),
		cmocka_unit_test_setup_teardown(a_completion_knows_what_it_has_used, setup_fake, teardown_fake),
		cmocka_unit_test_setup_teardown(a_read_without_memory_is_not_started, setup_fake, teardown_fake),
		cmocka_unit_test(every_put_says_when_memory_is_out),
		cmocka_unit_test_setup_teardown(signals_stay_with_the_loop_thread, setup_fake, teardown_fake),
	};
	return cmocka_run_group_tests_name("store_async", tests, NULL, NULL);
}
