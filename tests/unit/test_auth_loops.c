/* Users and credentials of several loops: one table, whichever loop a change was made on. */
#include <assert.h>
#include <stdatomic.h>

#include "auth_test.h"

#define LOOPS 2
#define ROUNDS 60

struct worker {
	uv_loop_t loop;
	struct store *store;
	struct auth *auth;
	uv_thread_t thread;
	struct scene *scene;
	struct outcome outcome;
};

struct scene {
	struct fixture *f;
	struct worker workers[LOOPS];
	uv_barrier_t barrier;
	struct seal_token signins[ROUNDS];
	atomic_int redeemed[ROUNDS];
	struct seal_token key; /* before the barrier one writes it, behind it the others read it */
	char key_id[ID_SIZE];
};

static int setup_scene(void **state) {
	struct err err = {0};
	struct scene *scene = calloc(1, sizeof *scene);
	void *fixture;
	setup_auth(&fixture);
	scene->f = fixture;
	assert_int_equal(uv_barrier_init(&scene->barrier, LOOPS), 0);
	for (size_t i = 0; i < LOOPS; i++) {
		struct worker *w = &scene->workers[i];
		assert_int_equal(uv_loop_init(&w->loop), 0);
		w->scene = scene;
		w->store = store_share(scene->f->store, &w->loop, &err);
		assert_non_null(w->store);
		w->auth = auth_share(scene->f->auth, w->store, &err);
		assert_non_null(w->auth);
		assert_int_equal(auth_load(w->auth, take_done, &w->outcome, &err), -1);
		assert_int_equal(err.code, ERR_CONFLICT);
	}
	*state = scene;
	return 0;
}

static int teardown_scene(void **state) {
	struct scene *scene = *state;
	void *fixture = scene->f;
	uv_barrier_destroy(&scene->barrier);
	teardown_auth(&fixture);
	free(scene);
	return 0;
}

static void close_worker(struct worker *w) {
	auth_free(&w->auth);
	store_close(&w->store);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	int busy = uv_loop_close(&w->loop);
	assert(busy == 0);
}

static void run_workers(struct scene *scene, uv_thread_cb run) {
	for (size_t i = 0; i < LOOPS; i++) {
		assert_int_equal(uv_thread_create(&scene->workers[i].thread, run, &scene->workers[i]), 0);
	}
	for (size_t i = 0; i < LOOPS; i++) {
		uv_thread_join(&scene->workers[i].thread);
	}
}

static void wait_here(struct worker *w) {
	while (w->outcome.calls == 0) {
		uv_run(&w->loop, UV_RUN_ONCE);
	}
}

/* --- one sign-in address, two loops --------------------------------------------------------------------------------- */

static void redeem_all(void *argument) {
	struct worker *w = argument;
	for (size_t i = 0; i < ROUNDS; i++) {
		struct principal who;
		struct err err = {0};
		uv_barrier_wait(&w->scene->barrier);
		w->outcome = (struct outcome){0};
		if (auth_redeem_signin(w->auth, str_of(w->scene->signins[i].text), take_token, &w->outcome, &err)) {
			assert(err.code == ERR_DENIED);
			continue;
		}
		wait_here(w);
		assert(w->outcome.code == ERR_NONE || w->outcome.code == ERR_DENIED);
		if (w->outcome.code == ERR_NONE) {
			atomic_fetch_add(&w->scene->redeemed[i], 1);
			int valid = auth_check_session(w->auth, str_of(w->outcome.token.text), &who);
			assert(valid == 0);
		}
	}
	close_worker(w);
}

static void of_two_loops_one_redeems(void **state) {
	struct scene *scene = *state;
	for (size_t i = 0; i < ROUNDS; i++) {
		scene->signins[i] = create_signin(scene->f, "ada").token;
	}
	run_workers(scene, redeem_all);
	for (size_t i = 0; i < ROUNDS; i++) {
		assert_int_equal(scene->redeemed[i], 1);
	}
}

/* --- what one loop was told is in force on the other ----------------------------------------------------------------- */

static void take_turns(void *argument) {
	struct worker *w = argument;
	struct scene *scene = w->scene;
	struct principal who;
	for (size_t i = 0; i < ROUNDS; i++) {
		bool changes = (i % LOOPS) == (size_t)(w - scene->workers);
		char user[32];
		snprintf(user, sizeof user, "user%zu", i / 2); /* new to both in turn */
		if (changes) {
			w->outcome = (struct outcome){0};
			int started = auth_create_key(w->auth, user, "", take_token, &w->outcome, NULL);
			assert(started == 0);
			wait_here(w);
			assert(w->outcome.code == ERR_NONE);
			scene->key = w->outcome.token;
			memcpy(scene->key_id, w->outcome.who.credential, sizeof scene->key_id);
		}
		uv_barrier_wait(&scene->barrier);
		int valid = auth_check_key(w->auth, str_of(scene->key.text), &who);
		assert(valid == 0 && strcmp(who.name, user) == 0);
		uv_barrier_wait(&scene->barrier);
		if (!changes) {
			w->outcome = (struct outcome){0};
			int started = auth_revoke_key(w->auth, scene->key_id, take_done, &w->outcome, NULL);
			assert(started == 0);
			wait_here(w);
			assert(w->outcome.code == ERR_NONE);
		}
		uv_barrier_wait(&scene->barrier);
		int known = auth_recheck(w->auth, &who);
		assert(known != 0 && auth_check_key(w->auth, str_of(scene->key.text), &who) != 0);
		uv_barrier_wait(&scene->barrier);
	}
	close_worker(w);
}

static void a_change_is_in_force_everywhere(void **state) {
	struct scene *scene = *state;
	run_workers(scene, take_turns);
}

/* --- everything at once ----------------------------------------------------------------------------------------------- */

static void count_key(void *owner, const struct auth_key_info *key) {
	(void)key;
	++*(size_t *)owner;
}

static void make_keys(void *argument) {
	struct worker *w = argument;
	struct principal who;
	for (size_t i = 0; i < ROUNDS; i++) {
		size_t keys = 0;
		w->outcome = (struct outcome){0};
		int started = i % 2 ? auth_create_signin(w->auth, "ada", take_token, &w->outcome, NULL)
				    : auth_create_key(w->auth, "bob", "", take_token, &w->outcome, NULL);
		assert(started == 0);
		auth_each_key(w->auth, count_key, &keys);
		wait_here(w);
		assert(w->outcome.code == ERR_NONE);
		int valid = i % 2 ? 0 : auth_check_key(w->auth, str_of(w->outcome.token.text), &who);
		assert(valid == 0);
	}
	close_worker(w);
}

static void loops_make_keys_at_once(void **state) {
	struct scene *scene = *state;
	size_t keys = 0;
	run_workers(scene, make_keys);
	auth_each_key(scene->f->auth, count_key, &keys);
	assert_int_equal(keys, LOOPS * ROUNDS / 2);
	reopen_auth(scene->f);
	keys = 0;
	auth_each_key(scene->f->auth, count_key, &keys);
	assert_int_equal(keys, LOOPS * ROUNDS / 2);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(of_two_loops_one_redeems, setup_scene, teardown_scene),
		cmocka_unit_test_setup_teardown(a_change_is_in_force_everywhere, setup_scene, teardown_scene),
		cmocka_unit_test_setup_teardown(loops_make_keys_at_once, setup_scene, teardown_scene),
	};
	return cmocka_run_group_tests_name("auth_loops", tests, NULL, NULL);
}
