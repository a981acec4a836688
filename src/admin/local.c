#include "local.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "admin/command.h"
#include "admin/keyring.h"
#include "auth/auth.h"
#include "base/metrics.h"
#include "store/store.h"

/* What a command needs, from the loop up. */
struct local {
	uv_loop_t loop;
	struct log_sink sink;
	struct log log;
	struct metrics *metrics;
	struct store *store;
	struct seal_keyring *keyring;
	struct auth *auth;
	struct admin *admin;
	struct buf base_url;
	bool done; /* what the loop is run for */
	struct err failure;
	bool failed;
	struct buf *reply;
};

static bool store_exists(const char *dir) {
	struct buf path = BUF_INIT;
	buf_printf(&path, "%s/sluice.db", dir);
	const char *text = buf_text(&path);
	struct stat status;
	bool exists = text && stat(text, &status) == 0;
	buf_free(&path);
	return exists;
}

static void take_loaded(void *owner, const struct err *err) {
	struct local *local = owner;
	local->done = true;
	if (err) {
		local->failed = true;
		local->failure = *err;
	}
}

static void take_reply(void *owner, struct str reply) {
	struct local *local = owner;
	local->done = true;
	buf_append_str(local->reply, reply);
}

/* The store's threads wake the loop when they have something to say. */
static void run_until_done(struct local *local) {
	while (!local->done) {
		uv_run(&local->loop, UV_RUN_ONCE);
	}
	local->done = false;
}

static int open_auth(struct local *local, const struct config *config, struct err *err) {
	const struct auth_options options = {
		.session_lifetime_ms = config->auth.session_lifetime_ms,
		.signin_lifetime_ms = config->auth.signin_lifetime_ms,
	};
	const struct auth_deps deps = {
		.store = local->store, .keyring = local->keyring, .clock = clock_system(), .log = &local->log};
	local->auth = auth_new(&options, &deps, err);
	if (!local->auth || auth_load(local->auth, take_loaded, local, err)) {
		return -1;
	}
	run_until_done(local);
	if (local->failed) {
		*err = local->failure;
		return -1;
	}
	return 0;
}

static int open_all(struct local *local, const struct config *config, struct err *err) {
	const struct store_options options = {
		.dir = config->store.dir,
		.busy_timeout_ms = (int)config->store.busy_timeout_ms,
	};
	local->metrics = metrics_new();
	if (!local->metrics) {
		return err_set(err, ERR_MEMORY, "out of memory");
	}
	const struct store_deps deps = {
		.loop = &local->loop, .clock = clock_system(), .log = &local->log, .metrics = local->metrics};
	local->store = store_open(&options, &deps, err);
	if (!local->store) {
		return -1;
	}
	local->keyring = keyring_obtain(config->seal.key_file, local->store, &local->log, err);
	if (!local->keyring || open_auth(local, config, err)) {
		return -1;
	}
	/* Without an address there are no sign-in addresses; the command says so. */
	if (config_base_url(config, NULL, &local->base_url, NULL)) {
		buf_clear(&local->base_url);
	}
	const char *base_url = buf_text(&local->base_url);
	if (!base_url) {
		return err_set(err, ERR_MEMORY, "out of memory");
	}
	const struct admin_deps admin_deps = {.auth = local->auth, .store = local->store, .base_url = base_url};
	local->admin = admin_new(&admin_deps, err);
	return local->admin ? 0 : -1;
}

static void close_all(struct local *local) {
	admin_free(&local->admin);
	auth_free(&local->auth);
	seal_keyring_free(&local->keyring);
	if (local->store) {
		store_close(&local->store);
	}
	metrics_free(&local->metrics);
	buf_free(&local->base_url);
	uv_run(&local->loop, UV_RUN_DEFAULT);
	uv_loop_close(&local->loop);
}

int admin_local_call(const struct config *config, struct str command, bool may_make, struct buf *reply,
		     struct err *err) {
	if (!may_make && !store_exists(config->store.dir)) {
		return err_set(err, ERR_NOT_FOUND, "%s: there is no store yet; `sluicectl key create` makes one",
			       config->store.dir);
	}
	struct local local = {.sink = {.fd = STDERR_FILENO, .format = LOG_FORMAT_TEXT, .level = LOG_WARN},
			      .reply = reply};
	local.log.sink = &local.sink;
	int failure = uv_loop_init(&local.loop);
	if (failure) {
		return err_set(err, ERR_IO, "%s", uv_strerror(failure));
	}
	int result = open_all(&local, config, err);
	if (result == 0) {
		admin_execute(local.admin, command, take_reply, &local);
		run_until_done(&local);
		result = reply->failed ? err_set(err, ERR_MEMORY, "out of memory") : 0;
	}
	close_all(&local);
	return result;
}
