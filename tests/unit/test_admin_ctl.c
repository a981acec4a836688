/* sluicectl without a server: options, commands on the store itself, and where the key comes from. */
#include "auth_test.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "admin/keyring.h"
#include "base/json.h"
#include "config/config.h"
#include "ctl.h"
#include "local.h"

struct place {
	char dir[64];
	char data[96];
	char key_file[96];
	char credentials[96];
	struct config config;
};

static int setup_place(void **state) {
	struct place *p = calloc(1, sizeof *p);
	assert_non_null(p);
	strcpy(p->dir, "/tmp/sluice-ctl-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->data, sizeof p->data, "%s/data", p->dir);
	snprintf(p->key_file, sizeof p->key_file, "%s/kek", p->dir);
	snprintf(p->credentials, sizeof p->credentials, "%s/credentials", p->dir);
	char dir_variable[128];
	char key_variable[128];
	snprintf(dir_variable, sizeof dir_variable, "SLUICE_STORE_DIR=%s", p->data);
	snprintf(key_variable, sizeof key_variable, "SLUICE_SEAL_KEY_FILE=%s", p->key_file);
	char *environment[] = {dir_variable, key_variable, NULL};
	assert_int_equal(config_load(&p->config, NULL, environment, NULL, NULL, NULL), 0);
	assert_int_equal(seal_init(NULL), 0);
	unsetenv("CREDENTIALS_DIRECTORY");
	*state = p;
	return 0;
}

static int teardown_place(void **state) {
	struct place *p = *state;
	unsetenv("CREDENTIALS_DIRECTORY");
	config_free(&p->config);
	nftw(p->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	free(p);
	return 0;
}

/* Runs a command here; what went wrong is in `err`. */
static struct json *call(struct place *p, const char *command, bool may_make, struct err *err) {
	struct buf reply = BUF_INIT;
	struct json *root = NULL;
	if (admin_local_call(&p->config, str_of(command), may_make, &reply, err) == 0) {
		root = json_parse(buf_str(&reply), err);
		assert_non_null(root);
	}
	buf_free(&reply);
	return root;
}

static struct json *call_well(struct place *p, const char *command) {
	struct err err = {0};
	struct json *root = call(p, command, true, &err);
	if (!root || !json_is_true(json_get(root, "ok"))) {
		fail_msg("%s: %s", command, err.text);
	}
	return root;
}

static void the_first_key_makes_store_and_key_file(void **state) {
	struct place *p = *state;
	struct err err = {0};
	struct stat status;
	/* Looking makes nothing. */
	assert_null(call(p, "{\"command\":\"key.list\"}", false, &err));
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_int_equal(stat(p->data, &status), -1);
	assert_int_equal(stat(p->key_file, &status), -1);

	struct json *root = call_well(p, "{\"command\":\"key.create\",\"user\":\"ada\"}");
	json_free(&root);
	assert_int_equal(stat(p->data, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0700);
	assert_int_equal(stat(p->key_file, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);

	root = call(p, "{\"command\":\"key.list\"}", false, &err);
	assert_non_null(root);
	assert_int_equal(json_count(json_get(root, "keys")), 1);
	json_free(&root);
}

static void a_lost_key_is_not_replaced(void **state) {
	struct place *p = *state;
	struct err err = {0};
	struct json *root = call_well(p, "{\"command\":\"key.create\",\"user\":\"ada\"}");
	json_free(&root);
	assert_int_equal(unlink(p->key_file), 0);
	assert_null(call(p, "{\"command\":\"key.create\",\"user\":\"ada\"}", true, &err));
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_non_null(strstr(err.text, "put it back"));
	assert_int_equal(access(p->key_file, F_OK), -1);
}

static void a_store_in_use_is_left_alone(void **state) {
	struct place *p = *state;
	struct err err = {0};
	char lock[128];
	struct json *root = call_well(p, "{\"command\":\"key.create\",\"user\":\"ada\"}");
	json_free(&root);
	snprintf(lock, sizeof lock, "%s/lock", p->data);
	int fd = open(lock, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	assert_null(call(p, "{\"command\":\"key.list\"}", false, &err));
	assert_int_equal(err.code, ERR_CONFLICT);
	close(fd);
	root = call_well(p, "{\"command\":\"key.list\"}");
	json_free(&root);
}

static void write_file(const char *path, const char *bytes, size_t length, mode_t mode) {
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, length), length);
	close(fd);
}

static void a_credential_wins(void **state) {
	struct place *p = *state;
	char path[128];
	const char key[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
	assert_int_equal(mkdir(p->credentials, 0700), 0);
	snprintf(path, sizeof path, "%s/kek", p->credentials);
	setenv("CREDENTIALS_DIRECTORY", p->credentials, 1);

	/* As systemd hands it over: readable to nobody else, in a mode that a key file would be refused for. */
	write_file(path, key, sizeof key - 1, 0440);
	struct json *root = call_well(p, "{\"command\":\"key.create\",\"user\":\"ada\"}");
	json_free(&root);
	assert_int_equal(access(p->key_file, F_OK), -1);

	/* A placeholder is none: then the key file counts, which is missing here. */
	struct err err = {0};
	assert_int_equal(unlink(path), 0);
	write_file(path, "none", 4, 0440);
	assert_null(call(p, "{\"command\":\"key.list\"}", false, &err));
	assert_int_equal(err.code, ERR_NOT_FOUND);

	/* A broken one is an error, not a reason to look elsewhere. */
	write_file(p->key_file, key, sizeof key - 1, 0600);
	root = call_well(p, "{\"command\":\"key.list\"}");
	json_free(&root);
	assert_int_equal(unlink(path), 0);
	write_file(path, "this is neither 64 hex digits nor 32 bytes", 42, 0440);
	assert_null(call(p, "{\"command\":\"key.list\"}", false, &err));
	assert_int_equal(err.code, ERR_INVALID);
}

static void options_are_taken_apart(void **state) {
	(void)state;
	const char *user = NULL;
	const char *label = "";
	const char *rest = NULL;
	bool flag = false;
	const struct ctl_option options[] = {
		{"--user", &user, NULL}, {"--label", &label, NULL}, {"--json", NULL, &flag}, {0}};
	char *good[] = {"create", "--user", "ada", "id", "--label=a=b", "--json", NULL};
	assert_int_equal(ctl_parse(6, good, options, &rest, 1), CTL_OK);
	assert_string_equal(user, "ada");
	assert_string_equal(label, "a=b");
	assert_string_equal(rest, "id");
	assert_true(flag);

	char *bad[][4] = {{"x", "--user", NULL},   {"x", "--us", "ada", NULL}, {"x", "--users=a", NULL},
			  {"x", "--json=1", NULL}, {"x", "-u", "ada", NULL},   {"x", "a", "b", NULL},
			  {"x", "--", "a", NULL}};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		int count = 0;
		while (bad[i][count]) {
			count++;
		}
		assert_int_equal(ctl_parse(count, bad[i], options, &rest, 1), CTL_USAGE);
	}
}

static void usage_is_told_from_failure(void **state) {
	struct place *p = *state;
	char *no_verb[] = {"key", NULL};
	char *no_user[] = {"key", "create", NULL};
	char *no_id[] = {"key", "revoke", NULL};
	char *no_server[] = {"status", NULL};
	char *bad_user[] = {"key", "create", "--user", "a b", NULL};
	char *unknown_id[] = {"key", "revoke", "aaaaaaaaaaaaaaaa", NULL};
	assert_int_equal(ctl_key(&p->config, 1, no_verb), CTL_USAGE);
	assert_int_equal(ctl_key(&p->config, 2, no_user), CTL_USAGE);
	assert_int_equal(ctl_key(&p->config, 2, no_id), CTL_USAGE);
	assert_int_equal(ctl_status(&p->config, 1, no_server), CTL_FAILED);
	assert_int_equal(ctl_key(&p->config, 4, bad_user), CTL_FAILED);
	assert_int_equal(ctl_key(&p->config, 3, unknown_id), CTL_FAILED);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_first_key_makes_store_and_key_file, setup_place, teardown_place),
		cmocka_unit_test_setup_teardown(a_lost_key_is_not_replaced, setup_place, teardown_place),
		cmocka_unit_test_setup_teardown(a_store_in_use_is_left_alone, setup_place, teardown_place),
		cmocka_unit_test_setup_teardown(a_credential_wins, setup_place, teardown_place),
		cmocka_unit_test(options_are_taken_apart),
		cmocka_unit_test_setup_teardown(usage_is_told_from_failure, setup_place, teardown_place),
	};
	return cmocka_run_group_tests_name("admin_ctl", tests, NULL, NULL);
}
