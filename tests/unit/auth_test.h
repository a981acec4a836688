/* What the tests of auth share: users and credentials over a store in a fresh folder, on a loop of their own, and calls
 * that wait for their answer. */
#ifndef SLUICE_TESTS_AUTH_TEST_H
#define SLUICE_TESTS_AUTH_TEST_H

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "auth/auth.h"
#include "base/mem.h"
#include "base/metrics.h"

#define START_MS INT64_C(1700000000000)
#define SESSION_MS INT64_C(100000)
#define SIGNIN_MS INT64_C(5000)

struct fixture {
	char dir[64];
	char key_file[96];
	uv_loop_t loop;
	struct clock_fake clock;
	struct log log;
	struct metrics *metrics;
	struct store *store;
	struct seal_keyring *keyring;
	struct auth *auth;
};

/* What a completion brought. */
struct outcome {
	int calls;
	enum err_code code;
	struct seal_token token;
	struct principal who;
};

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *place) {
	(void)st;
	(void)type;
	(void)place;
	return remove(path);
}

static inline void take_done(void *owner, const struct err *err) {
	struct outcome *outcome = owner;
	outcome->calls++;
	outcome->code = err ? err->code : ERR_NONE;
}

static inline void take_token(void *owner, const struct seal_token *token, const struct principal *who,
			      const struct err *err) {
	struct outcome *outcome = owner;
	take_done(owner, err);
	assert_true((token == NULL) == (err != NULL));
	if (token) {
		outcome->token = *token;
		outcome->who = *who;
	}
}

static inline void wait_for(struct fixture *f, const struct outcome *outcome) {
	while (outcome->calls == 0) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
	assert_int_equal(outcome->calls, 1);
}

static inline void open_auth(struct fixture *f) {
	struct err err = {0};
	struct outcome loaded = {0};
	const struct store_options options = {.dir = f->dir, .busy_timeout_ms = 200};
	const struct store_deps store_deps = {
		.loop = &f->loop, .clock = &f->clock.clock, .log = &f->log, .metrics = f->metrics};
	f->store = store_open(&options, &store_deps, &err);
	if (!f->store) {
		fail_msg("store_open: %s", err.text);
	}
	const struct auth_options auth_options = {.session_lifetime_ms = SESSION_MS, .signin_lifetime_ms = SIGNIN_MS};
	const struct auth_deps deps = {
		.store = f->store, .keyring = f->keyring, .clock = &f->clock.clock, .log = &f->log};
	f->auth = auth_new(&auth_options, &deps, &err);
	assert_non_null(f->auth);
	assert_int_equal(auth_load(f->auth, take_done, &loaded, &err), 0);
	assert_int_equal(loaded.calls, 0);
	wait_for(f, &loaded);
	assert_int_equal(loaded.code, ERR_NONE);
}

static inline void close_auth(struct fixture *f) {
	auth_free(&f->auth);
	assert_null(f->auth);
	store_close(&f->store);
	assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
}

static inline void reopen_auth(struct fixture *f) {
	close_auth(f);
	open_auth(f);
}

static inline void advance_ms(struct fixture *f, int64_t by_ms) {
	clock_fake_advance_us(&f->clock, by_ms * 1000);
}

static inline int setup_auth(void **state) {
	struct err err = {0};
	struct fixture *f = calloc(1, sizeof *f);
	assert_non_null(f);
	*state = f;
	assert_int_equal(seal_init(&err), 0);
	strcpy(f->dir, "/tmp/sluice-auth-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->key_file, sizeof f->key_file, "%s/kek", f->dir);
	assert_int_equal(seal_key_file_make(f->key_file, &err), 0);
	f->keyring = seal_keyring_open(f->key_file, false, &err);
	assert_non_null(f->keyring);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	clock_fake_init(&f->clock, 1000000, START_MS);
	f->metrics = metrics_new();
	open_auth(f);
	return 0;
}

static inline int teardown_auth(void **state) {
	struct fixture *f = *state;
	mem_fail_after(0, false);
	close_auth(f);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	seal_keyring_free(&f->keyring);
	metrics_free(&f->metrics);
	nftw(f->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static inline struct outcome create_key(struct fixture *f, const char *user, const char *label) {
	struct outcome outcome = {0};
	assert_int_equal(auth_create_key(f->auth, user, label, take_token, &outcome, NULL), 0);
	assert_int_equal(outcome.calls, 0);
	wait_for(f, &outcome);
	assert_int_equal(outcome.code, ERR_NONE);
	return outcome;
}

static inline struct outcome create_signin(struct fixture *f, const char *user) {
	struct outcome outcome = {0};
	assert_int_equal(auth_create_signin(f->auth, user, take_token, &outcome, NULL), 0);
	wait_for(f, &outcome);
	assert_int_equal(outcome.code, ERR_NONE);
	return outcome;
}

static inline struct outcome redeem(struct fixture *f, const char *token) {
	struct outcome outcome = {0};
	assert_int_equal(auth_redeem_signin(f->auth, str_of(token), take_token, &outcome, NULL), 0);
	wait_for(f, &outcome);
	return outcome;
}

static inline struct outcome open_session(struct fixture *f, const char *user) {
	struct outcome signin = create_signin(f, user);
	struct outcome session = redeem(f, signin.token.text);
	assert_int_equal(session.code, ERR_NONE);
	return session;
}

#endif
