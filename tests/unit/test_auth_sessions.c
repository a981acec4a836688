/* Sign-in addresses, the sessions they are traded for, and what happens when either is late, raced or in trouble. */
#include "auth_test.h"

static void a_signin_becomes_a_session(void **state) {
	struct fixture *f = *state;
	struct outcome signin = create_signin(f, "ada");
	assert_int_equal(signin.who.expires_ms, START_MS + SIGNIN_MS);
	assert_true(str_starts(str_of(signin.token.text), AUTH_SIGNIN_PREFIX "_"));
	struct outcome session = redeem(f, signin.token.text);
	assert_int_equal(session.code, ERR_NONE);
	assert_true(str_starts(str_of(session.token.text), AUTH_SESSION_PREFIX "_"));
	assert_int_equal(session.who.expires_ms, START_MS + SESSION_MS);

	struct principal who;
	assert_int_equal(auth_check_session(f->auth, str_of(session.token.text), &who), 0);
	assert_string_equal(who.name, "ada");
	assert_string_equal(who.user, signin.who.user);
	assert_int_equal(auth_check_session(f->auth, str_of(signin.token.text), &who), -1);
	reopen_auth(f);
	assert_int_equal(auth_check_session(f->auth, str_of(session.token.text), &who), 0);
}

static void a_signin_is_good_once(void **state) {
	struct fixture *f = *state;
	struct outcome signin = create_signin(f, "ada");
	struct outcome never = {0};
	struct err err;
	redeem(f, signin.token.text);
	assert_int_equal(auth_redeem_signin(f->auth, str_of(signin.token.text), take_token, &never, &err), -1);
	assert_int_equal(err.code, ERR_DENIED);
	reopen_auth(f);
	assert_int_equal(auth_redeem_signin(f->auth, str_of(signin.token.text), take_token, &never, &err), -1);
	assert_int_equal(err.code, ERR_DENIED);
	assert_int_equal(never.calls, 0);
}

static void of_two_that_race_one_wins(void **state) {
	struct fixture *f = *state;
	struct outcome signin = create_signin(f, "ada");
	struct outcome first = {0};
	struct outcome second = {0};
	struct principal who;
	assert_int_equal(auth_redeem_signin(f->auth, str_of(signin.token.text), take_token, &first, NULL), 0);
	assert_int_equal(auth_redeem_signin(f->auth, str_of(signin.token.text), take_token, &second, NULL), 0);
	wait_for(f, &first);
	wait_for(f, &second);
	assert_int_equal(first.code, ERR_NONE);
	assert_int_equal(second.code, ERR_DENIED);
	assert_string_equal(second.token.text, "");
	assert_int_equal(auth_check_session(f->auth, str_of(first.token.text), &who), 0);
}

static void a_late_signin_is_refused(void **state) {
	struct fixture *f = *state;
	struct outcome signin = create_signin(f, "ada");
	struct outcome never = {0};
	struct err err;
	advance_ms(f, SIGNIN_MS);
	assert_int_equal(auth_redeem_signin(f->auth, str_of(signin.token.text), take_token, &never, &err), -1);
	assert_int_equal(err.code, ERR_DENIED);
	assert_int_equal(auth_redeem_signin(f->auth, STR("in_x"), take_token, &never, &err), -1);
	assert_int_equal(err.code, ERR_DENIED);

	signin = create_signin(f, "ada");
	advance_ms(f, SIGNIN_MS - 1);
	assert_int_equal(redeem(f, signin.token.text).code, ERR_NONE);
}

static void a_session_ends_in_time(void **state) {
	struct fixture *f = *state;
	struct outcome session = open_session(f, "ada");
	struct principal who;
	advance_ms(f, SESSION_MS - 1);
	assert_int_equal(auth_check_session(f->auth, str_of(session.token.text), &who), 0);
	advance_ms(f, 1);
	assert_int_equal(auth_check_session(f->auth, str_of(session.token.text), &who), -1);
	assert_int_equal(auth_recheck(f->auth, &who), -1);
}

static void a_session_ends_when_told(void **state) {
	struct fixture *f = *state;
	struct outcome session = open_session(f, "ada");
	struct outcome other = open_session(f, "ada");
	struct outcome key = create_key(f, "ada", "");
	struct outcome ended = {0};
	struct principal who;
	struct err err;
	assert_int_equal(auth_end_session(f->auth, session.who.credential, take_done, &ended, NULL), 0);
	wait_for(f, &ended);
	assert_int_equal(ended.code, ERR_NONE);
	assert_int_equal(auth_recheck(f->auth, &session.who), -1);
	assert_int_equal(auth_check_session(f->auth, str_of(session.token.text), &who), -1);
	assert_int_equal(auth_check_session(f->auth, str_of(other.token.text), &who), 0);
	assert_int_equal(auth_end_session(f->auth, session.who.credential, take_done, &ended, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	/* Signing out takes no key away. */
	assert_int_equal(auth_end_session(f->auth, key.who.credential, take_done, &ended, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	reopen_auth(f);
	assert_int_equal(auth_check_session(f->auth, str_of(session.token.text), &who), -1);
	assert_int_equal(auth_check_session(f->auth, str_of(other.token.text), &who), 0);
}

struct counted {
	int calls;
	size_t credentials;
};

static void count_credentials(void *owner, struct store_snapshot *snapshot, const struct err *err) {
	struct counted *counted = owner;
	assert_null(err);
	counted->calls++;
	counted->credentials = snapshot->credential_count;
	store_snapshot_free(&snapshot);
}

static size_t stored_credentials(struct fixture *f) {
	struct counted counted = {0};
	const struct store_query query = {.kind = STORE_READ_IDENTITIES};
	assert_non_null(store_read(f->store, &query, count_credentials, &counted));
	while (!counted.calls) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
	return counted.credentials;
}

static void what_expired_is_forgotten_at_the_load(void **state) {
	struct fixture *f = *state;
	open_session(f, "ada");
	create_signin(f, "ada");
	create_key(f, "ada", "");
	assert_int_equal(stored_credentials(f), 3);
	advance_ms(f, SIGNIN_MS);
	reopen_auth(f);
	reopen_auth(f); /* closing waits until the removal is written */
	assert_int_equal(stored_credentials(f), 2);
	advance_ms(f, SESSION_MS);
	reopen_auth(f);
	reopen_auth(f);
	assert_int_equal(stored_credentials(f), 1);
}

static void signins_do_not_pile_up(void **state) {
	struct fixture *f = *state;
	for (int i = 0; i < 20; i++) {
		create_signin(f, "ada");
		advance_ms(f, SIGNIN_MS);
	}
	create_signin(f, "ada");
	assert_true(stored_credentials(f) <= 2);
}

static void who_is_forgotten_hears_nothing(void **state) {
	struct fixture *f = *state;
	struct outcome signin = create_signin(f, "ada");
	struct outcome gone = {0};
	struct outcome stays = {0};
	struct outcome never = {0};
	struct err err;
	assert_int_equal(auth_redeem_signin(f->auth, str_of(signin.token.text), take_token, &gone, NULL), 0);
	assert_int_equal(auth_create_key(f->auth, "ada", "", take_token, &stays, NULL), 0);
	auth_forget(f->auth, &gone);
	wait_for(f, &stays);
	assert_int_equal(gone.calls, 0);
	/* The change itself happened. */
	assert_int_equal(auth_redeem_signin(f->auth, str_of(signin.token.text), take_token, &never, &err), -1);
	assert_int_equal(err.code, ERR_DENIED);
}

static void freeing_stops_what_is_under_way(void **state) {
	struct fixture *f = *state;
	struct outcome never = {0};
	for (int i = 0; i < 5; i++) {
		assert_int_equal(auth_create_key(f->auth, "ada", "", take_token, &never, NULL), 0);
	}
	reopen_auth(f);
	/* A load too. */
	auth_free(&f->auth);
	const struct auth_options options = {.session_lifetime_ms = SESSION_MS, .signin_lifetime_ms = SIGNIN_MS};
	const struct auth_deps deps = {
		.store = f->store, .keyring = f->keyring, .clock = &f->clock.clock, .log = &f->log};
	f->auth = auth_new(&options, &deps, NULL);
	assert_int_equal(auth_load(f->auth, take_done, &never, NULL), 0);
	reopen_auth(f);
	assert_int_equal(never.calls, 0);
}

/* Every allocation of a sign-in fails in turn: an error or a session, and the address is good until it was traded. */
static void memory_runs_out_at_every_point(void **state) {
	struct fixture *f = *state;
	bool clean = false;
	for (uint64_t nth = 1; !clean; nth++) {
		assert_true(nth < 1000);
		struct outcome signin = create_signin(f, "ada");
		struct outcome session = {0};
		struct principal who;
		uint64_t before = mem_alloc_count();
		mem_fail_after(nth, false);
		if (auth_redeem_signin(f->auth, str_of(signin.token.text), take_token, &session, NULL) == 0) {
			wait_for(f, &session);
		}
		mem_fail_after(0, false);
		clean = mem_alloc_count() - before < nth;
		if (session.calls && session.code == ERR_NONE) {
			assert_int_equal(auth_check_session(f->auth, str_of(session.token.text), &who), 0);
		} else {
			assert_false(clean);
			/* Durable but out of memory to say so, or not done at all: never half. */
			struct outcome again = {0};
			struct err err;
			if (auth_redeem_signin(f->auth, str_of(signin.token.text), take_token, &again, &err) == 0) {
				wait_for(f, &again);
				assert_int_equal(again.code, ERR_NONE);
			} else {
				assert_int_equal(err.code, ERR_DENIED);
			}
		}
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_signin_becomes_a_session, setup_auth, teardown_auth),
		cmocka_unit_test_setup_teardown(a_signin_is_good_once, setup_auth, teardown_auth),
		cmocka_unit_test_setup_teardown(of_two_that_race_one_wins, setup_auth, teardown_auth),
		cmocka_unit_test_setup_teardown(a_late_signin_is_refused, setup_auth, teardown_auth),
		cmocka_unit_test_setup_teardown(a_session_ends_in_time, setup_auth, teardown_auth),
		cmocka_unit_test_setup_teardown(a_session_ends_when_told, setup_auth, teardown_auth),
		cmocka_unit_test_setup_teardown(what_expired_is_forgotten_at_the_load, setup_auth, teardown_auth),
		cmocka_unit_test_setup_teardown(signins_do_not_pile_up, setup_auth, teardown_auth),
		cmocka_unit_test_setup_teardown(who_is_forgotten_hears_nothing, setup_auth, teardown_auth),
		cmocka_unit_test_setup_teardown(freeing_stops_what_is_under_way, setup_auth, teardown_auth),
		cmocka_unit_test_setup_teardown(memory_runs_out_at_every_point, setup_auth, teardown_auth),
	};
	return cmocka_run_group_tests_name("auth_sessions", tests, NULL, NULL);
}
