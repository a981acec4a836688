/* Administration commands, from their JSON to what they change. */
#include "admin_test.h"

static void a_key_is_made_listed_and_revoked(void **state) {
	struct admin_fixture *f = *state;
	char key[128];
	char id[64];
	char text[128];
	struct principal who;
	struct json *reply = execute_well(f, "{\"command\":\"key.create\",\"user\":\"ada\",\"label\":\"lap\\\"top\"}");
	copy_text(reply, "key", key, sizeof key);
	copy_text(reply, "id", id, sizeof id);
	assert_string_equal(copy_text(reply, "user", text, sizeof text), "ada");
	json_free(&reply);
	assert_int_equal(auth_check_key(f->base->auth, str_of(key), &who), 0);
	assert_string_equal(who.name, "ada");

	advance_ms(f->base, 5000);
	snprintf(text, sizeof text, "{\"command\":\"key.revoke\",\"id\":\"%s\"}", id);
	reply = execute_well(f, text);
	assert_int_equal(json_count(reply), 1);
	json_free(&reply);
	assert_int_equal(auth_check_key(f->base->auth, str_of(key), &who), -1);

	reply = execute_well(f, "{\"command\":\"key.create\",\"user\":\"bob\"}");
	json_free(&reply);
	reply = execute_well(f, "{\"command\":\"key.list\"}");
	const struct json *keys = json_get(reply, "keys");
	assert_int_equal(json_count(keys), 2);
	const struct json *first = json_first(keys);
	int64_t seconds;
	assert_string_equal(copy_text(first, "id", text, sizeof text), id);
	assert_string_equal(copy_text(first, "user", text, sizeof text), "ada");
	assert_string_equal(copy_text(first, "label", text, sizeof text), "lap\"top");
	assert_int_equal(json_integer(json_get(first, "created_at"), &seconds), 0);
	assert_int_equal(seconds, START_MS / 1000);
	assert_int_equal(json_integer(json_get(first, "revoked_at"), &seconds), 0);
	assert_int_equal(seconds, START_MS / 1000 + 5);
	assert_int_equal(json_type(json_get(json_next(first), "revoked_at")), JSON_NULL);
	json_free(&reply);
}

static void a_list_shows_no_secret(void **state) {
	struct admin_fixture *f = *state;
	char key[128];
	struct json *reply = execute_well(f, "{\"command\":\"key.create\",\"user\":\"ada\"}");
	copy_text(reply, "key", key, sizeof key);
	json_free(&reply);
	struct reply list = {0};
	admin_execute(f->admin, STR("{\"command\":\"key.list\"}"), take_reply, &list);
	assert_int_equal(list.calls, 1);
	assert_null(strstr(list.text, strrchr(key, '_') - 1));
	assert_null(strstr(list.text, key + strlen("sk_") + 17));
}

static void a_signin_address_signs_in(void **state) {
	struct admin_fixture *f = *state;
	char token[128];
	char url[256];
	char expected[256];
	int64_t expires;
	struct json *reply = execute_well(f, "{\"command\":\"signin\",\"user\":\"ada\"}");
	copy_text(reply, "token", token, sizeof token);
	copy_text(reply, "url", url, sizeof url);
	assert_int_equal(json_integer(json_get(reply, "expires_at"), &expires), 0);
	json_free(&reply);
	snprintf(expected, sizeof expected, BASE_URL "/#signin=%s", token);
	assert_string_equal(url, expected);
	assert_int_equal(expires, (START_MS + SIGNIN_MS) / 1000);
	assert_int_equal(redeem(f->base, token).code, ERR_NONE);
}

static void without_an_address_there_is_no_signin(void **state) {
	struct admin_fixture *f = *state;
	admin_free(&f->admin);
	const struct admin_deps deps = {.auth = f->base->auth, .store = f->base->store, .base_url = ""};
	f->admin = admin_new(&deps, NULL);
	assert_fails(f, "{\"command\":\"signin\",\"user\":\"ada\"}", "conflict");
}

static void the_status_tells_of_the_store(void **state) {
	struct admin_fixture *f = *state;
	char text[128];
	struct json *reply = execute_well(f, "{\"command\":\"status\"}");
	assert_string_equal(copy_text(reply, "version", text, sizeof text), SLUICE_VERSION);
	assert_string_equal(copy_text(reply, "store", text, sizeof text), "ok");
	json_free(&reply);
}

static void bad_commands_are_refused(void **state) {
	struct admin_fixture *f = *state;
	assert_fails(f, "", "invalid");
	assert_fails(f, "{", "invalid");
	assert_fails(f, "[]", "invalid");
	assert_fails(f, "{}", "invalid");
	assert_fails(f, "{\"command\":7}", "invalid");
	assert_fails(f, "{\"command\":\"key\"}", "invalid");
	assert_fails(f, "{\"command\":\"key.create\"}", "invalid");
	assert_fails(f, "{\"command\":\"key.create\",\"user\":7}", "invalid");
	assert_fails(f, "{\"command\":\"key.create\",\"user\":\"\"}", "invalid");
	assert_fails(f, "{\"command\":\"key.create\",\"user\":\"a b\"}", "invalid");
	assert_fails(f, "{\"command\":\"key.create\",\"user\":\"ada\",\"label\":null}", "invalid");
	assert_fails(f, "{\"command\":\"key.create\",\"user\":\"ada\",\"user\":\"bob\"}", "invalid");
	assert_fails(f, "{\"command\":\"key.revoke\"}", "invalid");
	assert_fails(f, "{\"command\":\"key.revoke\",\"id\":\"aaaaaaaaaaaaaaaa\"}", "not_found");
	assert_fails(f, "{\"command\":\"signin\"}", "invalid");
	char text[1024] = "{\"command\":\"key.create\",\"user\":\"";
	memset(text + strlen(text), 'x', 600);
	strcat(text, "\"}");
	assert_fails(f, text, "invalid");
	struct json *reply = execute_well(f, "{\"command\":\"key.list\"}");
	assert_int_equal(json_count(json_get(reply, "keys")), 0);
	json_free(&reply);
}

static void who_is_forgotten_gets_no_reply(void **state) {
	struct admin_fixture *f = *state;
	struct reply gone = {0};
	struct reply freed = {0};
	admin_execute(f->admin, STR("{\"command\":\"key.create\",\"user\":\"ada\"}"), take_reply, &gone);
	admin_forget(f->admin, &gone);
	struct json *reply = execute_well(f, "{\"command\":\"key.create\",\"user\":\"bob\"}");
	json_free(&reply);
	assert_int_equal(gone.calls, 0);
	admin_execute(f->admin, STR("{\"command\":\"key.create\",\"user\":\"ada\"}"), take_reply, &freed);
	admin_free(&f->admin);
	create_key(f->base, "bob", "");
	assert_int_equal(freed.calls, 0);
}

static void memory_runs_out_at_every_point(void **state) {
	struct admin_fixture *f = *state;
	bool clean = false;
	for (uint64_t nth = 1; !clean; nth++) {
		assert_true(nth < 1000);
		struct reply reply = {0};
		uint64_t before = mem_alloc_count();
		mem_fail_after(nth, false);
		admin_execute(f->admin, STR("{\"command\":\"key.create\",\"user\":\"ada\"}"), take_reply, &reply);
		while (reply.calls == 0) {
			uv_run(&f->base->loop, UV_RUN_ONCE);
		}
		mem_fail_after(0, false);
		clean = mem_alloc_count() - before < nth;
		assert_int_equal(reply.calls, 1);
		struct json *root = json_parse(str_of(reply.text), NULL);
		assert_non_null(root);
		assert_true(!clean || json_is_true(json_get(root, "ok")));
		json_free(&root);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_key_is_made_listed_and_revoked, setup_admin, teardown_admin),
		cmocka_unit_test_setup_teardown(a_list_shows_no_secret, setup_admin, teardown_admin),
		cmocka_unit_test_setup_teardown(a_signin_address_signs_in, setup_admin, teardown_admin),
		cmocka_unit_test_setup_teardown(without_an_address_there_is_no_signin, setup_admin, teardown_admin),
		cmocka_unit_test_setup_teardown(the_status_tells_of_the_store, setup_admin, teardown_admin),
		cmocka_unit_test_setup_teardown(bad_commands_are_refused, setup_admin, teardown_admin),
		cmocka_unit_test_setup_teardown(who_is_forgotten_gets_no_reply, setup_admin, teardown_admin),
		cmocka_unit_test_setup_teardown(memory_runs_out_at_every_point, setup_admin, teardown_admin),
	};
	return cmocka_run_group_tests_name("admin_command", tests, NULL, NULL);
}
