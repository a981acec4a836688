/* API keys: made, checked, listed, revoked; and what is no key. */
#include "auth_test.h"

static void a_key_proves_its_user(void **state) {
	struct fixture *f = *state;
	struct outcome key = create_key(f, "ada", "laptop");
	struct principal who;
	assert_true(str_starts(str_of(key.token.text), AUTH_KEY_PREFIX "_"));
	assert_int_equal(auth_check_key(f->auth, str_of(key.token.text), &who), 0);
	assert_string_equal(who.name, "ada");
	assert_true(id_is(str_of(who.user), "user"));
	assert_string_equal(who.credential, key.token.id);
	assert_int_equal(who.expires_ms, 0);
	assert_int_equal(auth_recheck(f->auth, &who), 0);
}

static void a_key_outlives_a_restart(void **state) {
	struct fixture *f = *state;
	struct outcome key = create_key(f, "ada", "");
	struct principal before;
	struct principal after;
	assert_int_equal(auth_check_key(f->auth, str_of(key.token.text), &before), 0);
	reopen_auth(f);
	assert_int_equal(auth_check_key(f->auth, str_of(key.token.text), &after), 0);
	assert_string_equal(after.user, before.user);
	/* The user of a name stays the same one. */
	struct outcome second = create_key(f, "ada", "");
	assert_string_equal(second.who.user, before.user);
}

static void nothing_else_is_a_key(void **state) {
	struct fixture *f = *state;
	struct outcome key = create_key(f, "ada", "");
	struct outcome other = create_key(f, "bob", "");
	struct outcome session = open_session(f, "ada");
	struct principal who;

	/* Each character of the secret counts, and each of the id. */
	size_t length = strlen(key.token.text);
	for (size_t i = 0; i < length; i++) {
		struct seal_token wrong = key.token;
		wrong.text[i] = wrong.text[i] == 'a' ? 'b' : 'a';
		assert_int_equal(auth_check_key(f->auth, str_of(wrong.text), &who), -1);
	}
	/* One's id with another's secret. */
	struct seal_token mixed = key.token;
	memcpy(mixed.text + strlen("sk_"), other.token.text + strlen("sk_"), 16);
	assert_int_equal(auth_check_key(f->auth, str_of(mixed.text), &who), -1);

	for (size_t cut = 0; cut < length; cut++) {
		assert_int_equal(auth_check_key(f->auth, (struct str){key.token.text, cut}, &who), -1);
	}
	char longer[SEAL_TOKEN_SIZE + 8];
	snprintf(longer, sizeof longer, "%sx", key.token.text);
	assert_int_equal(auth_check_key(f->auth, str_of(longer), &who), -1);
	assert_int_equal(auth_check_key(f->auth, STR_NONE, &who), -1);

	assert_int_equal(auth_check_key(f->auth, str_of(session.token.text), &who), -1);
	assert_int_equal(auth_check_session(f->auth, str_of(key.token.text), &who), -1);
	assert_int_equal(auth_check_key(f->auth, str_of(key.token.text), &who), 0);
}

static void nothing_is_proved_before_the_load(void **state) {
	struct fixture *f = *state;
	struct outcome key = create_key(f, "ada", "");
	struct outcome never = {0};
	struct principal who;
	struct err err = {0};
	auth_free(&f->auth);
	const struct auth_options options = {.session_lifetime_ms = SESSION_MS, .signin_lifetime_ms = SIGNIN_MS};
	const struct auth_deps deps = {
		.store = f->store, .keyring = f->keyring, .clock = &f->clock.clock, .log = &f->log};
	f->auth = auth_new(&options, &deps, &err);
	assert_int_equal(auth_check_key(f->auth, str_of(key.token.text), &who), -1);
	/* A change now could make a second user of the same name. */
	assert_int_equal(auth_create_key(f->auth, "ada", "", take_token, &never, &err), -1);
	assert_int_equal(err.code, ERR_CONFLICT);

	struct outcome loaded = {0};
	assert_int_equal(auth_load(f->auth, take_done, &loaded, &err), 0);
	wait_for(f, &loaded);
	assert_int_equal(auth_check_key(f->auth, str_of(key.token.text), &who), 0);
	assert_int_equal(never.calls, 0);
}

static void a_revoked_key_proves_nothing(void **state) {
	struct fixture *f = *state;
	struct outcome key = create_key(f, "ada", "");
	struct outcome kept = create_key(f, "ada", "");
	struct outcome revoked = {0};
	struct principal who;
	struct err err;
	assert_int_equal(auth_check_key(f->auth, str_of(key.token.text), &who), 0);

	assert_int_equal(auth_revoke_key(f->auth, key.token.id, take_done, &revoked, &err), 0);
	/* In effect once it is durable, not before. */
	assert_int_equal(auth_recheck(f->auth, &who), 0);
	wait_for(f, &revoked);
	assert_int_equal(revoked.code, ERR_NONE);
	assert_int_equal(auth_recheck(f->auth, &who), -1);
	assert_int_equal(auth_check_key(f->auth, str_of(key.token.text), &who), -1);
	assert_int_equal(auth_check_key(f->auth, str_of(kept.token.text), &who), 0);

	reopen_auth(f);
	assert_int_equal(auth_check_key(f->auth, str_of(key.token.text), &who), -1);
	assert_int_equal(auth_check_key(f->auth, str_of(kept.token.text), &who), 0);
}

static void only_keys_are_revoked(void **state) {
	struct fixture *f = *state;
	struct outcome session = open_session(f, "ada");
	struct outcome never = {0};
	struct err err;
	assert_int_equal(auth_revoke_key(f->auth, "aaaaaaaaaaaaaaaa", take_done, &never, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_int_equal(auth_revoke_key(f->auth, session.token.id, take_done, &never, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_int_equal(never.calls, 0);
}

struct listed {
	size_t count;
	char labels[8][STORE_NAME_SIZE];
	int64_t revoked_ms[8];
};

static void take_key(void *owner, const struct auth_key_info *key) {
	struct listed *listed = owner;
	assert_string_equal(key->user, "ada");
	assert_true(listed->count < 8);
	snprintf(listed->labels[listed->count], STORE_NAME_SIZE, "%s", key->label);
	listed->revoked_ms[listed->count++] = key->revoked_ms;
}

static void assert_listed(struct fixture *f, int64_t first_revoked_ms) {
	struct listed listed = {0};
	auth_each_key(f->auth, take_key, &listed);
	assert_int_equal(listed.count, 3);
	assert_string_equal(listed.labels[0], "first");
	assert_string_equal(listed.labels[1], "second");
	assert_string_equal(listed.labels[2], "third");
	assert_int_equal(listed.revoked_ms[0], first_revoked_ms);
	assert_int_equal(listed.revoked_ms[1], 0);
}

static void keys_are_listed_by_age(void **state) {
	struct fixture *f = *state;
	struct outcome revoked = {0};
	/* The clock may be set back meanwhile. */
	create_key(f, "ada", "second");
	advance_ms(f, -1000);
	struct outcome first = create_key(f, "ada", "first");
	open_session(f, "ada");
	advance_ms(f, 2000);
	create_key(f, "ada", "third");
	assert_int_equal(auth_revoke_key(f->auth, first.token.id, take_done, &revoked, NULL), 0);
	wait_for(f, &revoked);
	assert_listed(f, START_MS + 1000);
	reopen_auth(f);
	assert_listed(f, START_MS + 1000);
}

static void names_and_labels_are_checked(void **state) {
	struct fixture *f = *state;
	struct outcome never = {0};
	struct err err;
	char longest[65];
	memset(longest, 'x', 64);
	longest[64] = '\0';
	create_key(f, longest, longest);
	create_key(f, "a.b_c@d-E9", "my laptöp (home)");

	char long_name[66];
	memset(long_name, 'x', 65);
	long_name[65] = '\0';
	const char *bad[] = {"", "a b", "a/b", "ä", "a\n", "a:b", long_name};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		err.code = ERR_NONE;
		assert_int_equal(auth_create_key(f->auth, bad[i], "", take_token, &never, &err), -1);
		assert_int_equal(err.code, ERR_INVALID);
		assert_int_equal(auth_create_signin(f->auth, bad[i], take_token, &never, &err), -1);
	}
	const char *bad_labels[] = {"a\033[2J", "\xff", long_name};
	for (size_t i = 0; i < sizeof bad_labels / sizeof bad_labels[0]; i++) {
		err.code = ERR_NONE;
		assert_int_equal(auth_create_key(f->auth, "ada", bad_labels[i], take_token, &never, &err), -1);
		assert_int_equal(err.code, ERR_INVALID);
	}
	assert_int_equal(never.calls, 0);
}

static void two_who_name_a_user_first_mean_one(void **state) {
	struct fixture *f = *state;
	struct outcome a = {0};
	struct outcome b = {0};
	assert_int_equal(auth_create_key(f->auth, "ada", "", take_token, &a, NULL), 0);
	assert_int_equal(auth_create_key(f->auth, "ada", "", take_token, &b, NULL), 0);
	wait_for(f, &a);
	wait_for(f, &b);
	assert_int_equal(b.code, ERR_NONE);
	assert_string_equal(a.who.user, b.who.user);
	assert_string_not_equal(a.token.text, b.token.text);
	reopen_auth(f);
	struct principal who;
	assert_int_equal(auth_check_key(f->auth, str_of(b.token.text), &who), 0);
	assert_string_equal(who.user, a.who.user);
}

static void another_key_file_proves_nothing(void **state) {
	struct fixture *f = *state;
	struct outcome key = create_key(f, "ada", "");
	struct principal who;
	struct err err;
	close_auth(f);
	seal_keyring_free(&f->keyring);
	unlink(f->key_file);
	assert_int_equal(seal_key_file_make(f->key_file, &err), 0);
	f->keyring = seal_keyring_open(f->key_file, false, &err);
	open_auth(f);
	assert_int_equal(auth_check_key(f->auth, str_of(key.token.text), &who), -1);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_key_proves_its_user, setup_auth, teardown_auth),
		cmocka_unit_test_setup_teardown(a_key_outlives_a_restart, setup_auth, teardown_auth),
		cmocka_unit_test_setup_teardown(nothing_else_is_a_key, setup_auth, teardown_auth),
		cmocka_unit_test_setup_teardown(nothing_is_proved_before_the_load, setup_auth, teardown_auth),
		cmocka_unit_test_setup_teardown(a_revoked_key_proves_nothing, setup_auth, teardown_auth),
		cmocka_unit_test_setup_teardown(only_keys_are_revoked, setup_auth, teardown_auth),
		cmocka_unit_test_setup_teardown(keys_are_listed_by_age, setup_auth, teardown_auth),
		cmocka_unit_test_setup_teardown(names_and_labels_are_checked, setup_auth, teardown_auth),
		cmocka_unit_test_setup_teardown(two_who_name_a_user_first_mean_one, setup_auth, teardown_auth),
		cmocka_unit_test_setup_teardown(another_key_file_proves_nothing, setup_auth, teardown_auth),
	};
	return cmocka_run_group_tests_name("auth_keys", tests, NULL, NULL);
}
