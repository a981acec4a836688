/* One store, several loops: each has a handle, its completions run there, and what one has written another reads. */
#include <assert.h>
#include <stdatomic.h>

#include "store_test.h"

#define LOOPS 3
#define ROUNDS 200

struct worker {
	uv_loop_t loop;
	struct store *store;
	uv_thread_t thread;
	size_t number;
	struct scene *scene;
};

struct scene {
	struct fixture *f;
	struct worker workers[LOOPS];
	atomic_uint users[LOOPS]; /* that each loop was told are written */
};

static int setup_scene(void **state) {
	struct err err = {0};
	struct scene *scene = calloc(1, sizeof *scene);
	scene->f = fixture_new();
	fixture_open(scene->f);
	for (size_t i = 0; i < LOOPS; i++) {
		struct worker *w = &scene->workers[i];
		assert_int_equal(uv_loop_init(&w->loop), 0);
		w->number = i;
		w->scene = scene;
		w->store = store_share(scene->f->store, &w->loop, &err);
		assert_non_null(w->store);
	}
	*state = scene;
	return 0;
}

static void close_worker(struct worker *w) {
	store_close(&w->store);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	int busy = uv_loop_close(&w->loop);
	assert(busy == 0);
}

static int teardown_scene(void **state) {
	struct scene *scene = *state;
	fixture_free(scene->f);
	free(scene);
	return 0;
}

static struct store_write *user_write(size_t loop, unsigned number) {
	struct store_user user = {.created_ms = 1};
	struct store_write *write = store_write_new();
	snprintf(user.id, sizeof user.id, "user_%zu_%u", loop, number);
	snprintf(user.name, sizeof user.name, "%zu.%u", loop, number);
	int result = store_put_user(write, &user);
	assert(result == 0);
	return write;
}

static void wait_here(struct worker *w, const struct answer *answer) {
	while (!answer->came) {
		uv_run(&w->loop, UV_RUN_ONCE);
	}
	assert(answer->err.code == ERR_NONE);
}

static unsigned count_users(const struct store_snapshot *snapshot, size_t loop) {
	char prefix[16];
	unsigned count = 0;
	int length = snprintf(prefix, sizeof prefix, "user_%zu_", loop);
	for (size_t i = 0; i < snapshot->user_count; i++) {
		count += strncmp(snapshot->users[i].id, prefix, (size_t)length) == 0;
	}
	return count;
}

/* Everything that anybody was told is written by now must be in what is read from now on. */
static void read_all(struct worker *w) {
	unsigned told[LOOPS];
	for (size_t i = 0; i < LOOPS; i++) {
		told[i] = atomic_load(&w->scene->users[i]);
	}
	const struct store_query query = {.kind = STORE_READ_IDENTITIES};
	struct answer answer = {0};
	store_read(w->store, &query, on_read, &answer);
	wait_here(w, &answer);
	for (size_t i = 0; i < LOOPS; i++) {
		assert(count_users(answer.snapshot, i) >= told[i]);
	}
	store_snapshot_free(&answer.snapshot);
}

static void write_and_read(void *argument) {
	struct worker *w = argument;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct answer answer = {0};
		struct store_write *write = user_write(w->number, i);
		store_commit(w->store, &write, on_written, &answer);
		wait_here(w, &answer);
		atomic_fetch_add(&w->scene->users[w->number], 1);
		const struct store_query query = {.kind = STORE_READ_IDENTITIES};
		struct answer never = {0};
		struct store_op *op = store_read(w->store, &query, on_read, &never);
		store_cancel(&op);
		read_all(w);
		assert(!never.came && store_health(w->store, NULL) == 0);
	}
	/* What is under way is waited for. */
	struct answer last = {0};
	struct store_write *write = user_write(w->number, ROUNDS);
	store_commit(w->store, &write, on_written, &last);
	close_worker(w);
	assert(last.came && last.err.code == ERR_NONE);
}

static void loops_read_what_others_wrote(void **state) {
	struct scene *scene = *state;
	for (size_t i = 0; i < LOOPS; i++) {
		assert_int_equal(uv_thread_create(&scene->workers[i].thread, write_and_read, &scene->workers[i]), 0);
	}
	for (size_t i = 0; i < LOOPS; i++) {
		uv_thread_join(&scene->workers[i].thread);
	}
	const struct store_query query = {.kind = STORE_READ_IDENTITIES};
	struct store_snapshot *snapshot = read_query(scene->f, &query, NULL);
	for (size_t i = 0; i < LOOPS; i++) {
		assert_int_equal(count_users(snapshot, i), ROUNDS + 1);
	}
	store_snapshot_free(&snapshot);
}

/* The first handle may go before the others; the last one closes the folder. */
static void handles_go_in_any_order(void **state) {
	struct scene *scene = *state;
	fixture_close(scene->f);
	close_worker(&scene->workers[1]);
	struct answer answer = {0};
	struct store_write *write = user_write(0, 0);
	store_commit(scene->workers[0].store, &write, on_written, &answer);
	wait_here(&scene->workers[0], &answer);
	struct err err = {0};
	assert_null(fixture_try_open(scene->f, false, &err));
	assert_int_equal(err.code, ERR_CONFLICT);
	close_worker(&scene->workers[0]);
	close_worker(&scene->workers[2]);
	fixture_open(scene->f);
}

static void a_key_of_any_loop_counts(void **state) {
	struct scene *scene = *state;
	struct answer answer = {0};
	struct store_write *write = turn("user_a", "conv_1", "resp_1", "", 0);
	assert_true(store_is_empty(scene->workers[1].store));
	store_commit(scene->workers[0].store, &write, on_written, &answer);
	assert_false(store_is_empty(scene->workers[1].store));
	for (size_t i = 0; i < LOOPS; i++) {
		close_worker(&scene->workers[i]);
	}
}

/* Of two that go on from one row, and reach the same number, the second is told so. */
static void a_write_expects_a_thread(void **state) {
	struct fixture *f = *state;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	struct store_thread row = make_thread("user_a", "conv_1", 2);
	struct store_write *write = turn("user_a", "conv_1", "resp_2", "resp_1", 2);
	assert_int_equal(store_expect_thread(write, &row), 0);
	assert_int_equal(commit(f, write), ERR_NONE);
	row = make_thread("user_a", "conv_1", 4);
	row.chain[0] ^= 1;
	write = turn("user_a", "conv_1", "resp_3", "resp_2", 4);
	assert_int_equal(store_expect_thread(write, &row), 0);
	assert_int_equal(commit(f, write), ERR_CONFLICT);
	write = store_write_new();
	assert_int_equal(store_delete_thread(write, "user_a", "conv_1"), 0);
	assert_int_equal(store_expect_thread(write, &row), 0);
	assert_int_equal(commit(f, write), ERR_CONFLICT);
	struct store_snapshot *snapshot = read_one(f, STORE_READ_THREAD, "user_a", "conv_1");
	assert_int_equal(snapshot->dek_count, 1);
	assert_int_equal(snapshot->response_count, 2);
	store_snapshot_free(&snapshot);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(loops_read_what_others_wrote, setup_scene, teardown_scene),
		cmocka_unit_test_setup_teardown(handles_go_in_any_order, setup_scene, teardown_scene),
		cmocka_unit_test_setup_teardown(a_key_of_any_loop_counts, setup_scene, teardown_scene),
		cmocka_unit_test_setup_teardown(a_write_expects_a_thread, setup_store, teardown_store),
	};
	return cmocka_run_group_tests_name("store_loops", tests, NULL, NULL);
}
