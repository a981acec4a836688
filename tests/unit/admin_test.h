/* What the tests of admin share: commands over the users and credentials of auth_test.h, and their replies. */
#ifndef SLUICE_TESTS_ADMIN_TEST_H
#define SLUICE_TESTS_ADMIN_TEST_H

#include "auth_test.h"

#include "admin/command.h"
#include "base/json.h"

#define BASE_URL "http://127.0.0.1:4711"

struct admin_fixture {
	struct fixture *base;
	struct admin *admin;
};

struct reply {
	int calls;
	char text[4096];
};

static inline void take_reply(void *owner, struct str text) {
	struct reply *reply = owner;
	reply->calls++;
	assert_int_equal(str_copy(reply->text, sizeof reply->text, text), 0);
}

static inline int setup_admin(void **state) {
	struct admin_fixture *f = calloc(1, sizeof *f);
	assert_non_null(f);
	void *base;
	setup_auth(&base);
	f->base = base;
	const struct admin_deps deps = {.auth = f->base->auth, .store = f->base->store, .base_url = BASE_URL};
	f->admin = admin_new(&deps, NULL);
	assert_non_null(f->admin);
	*state = f;
	return 0;
}

static inline int teardown_admin(void **state) {
	struct admin_fixture *f = *state;
	void *base = f->base;
	mem_fail_after(0, false);
	admin_free(&f->admin);
	teardown_auth(&base);
	free(f);
	return 0;
}

/* Runs a command and reads its reply; the caller frees. */
static inline struct json *execute(struct admin_fixture *f, const char *command) {
	struct reply reply = {0};
	admin_execute(f->admin, str_of(command), take_reply, &reply);
	while (reply.calls == 0) {
		uv_run(&f->base->loop, UV_RUN_ONCE);
	}
	assert_int_equal(reply.calls, 1);
	assert_null(strchr(reply.text, '\n'));
	struct err err;
	struct json *root = json_parse(str_of(reply.text), &err);
	if (!root) {
		fail_msg("%s: %s", reply.text, err.text);
	}
	return root;
}

static inline struct json *execute_well(struct admin_fixture *f, const char *command) {
	struct json *root = execute(f, command);
	assert_true(json_is_true(json_get(root, "ok")));
	return root;
}

/* A copy in `to` of a text in the reply. */
static inline const char *copy_text(const struct json *reply, const char *key, char *to, size_t size) {
	assert_int_equal(json_type(json_get(reply, key)), JSON_STRING);
	assert_int_equal(str_copy(to, size, json_str(json_get(reply, key))), 0);
	return to;
}

static inline void assert_fails(struct admin_fixture *f, const char *command, const char *code) {
	struct json *root = execute(f, command);
	char found[64];
	assert_false(json_is_true(json_get(root, "ok")));
	assert_string_equal(copy_text(root, "code", found, sizeof found), code);
	assert_true(json_str(json_get(root, "message")).length > 0);
	json_free(&root);
}

#endif
