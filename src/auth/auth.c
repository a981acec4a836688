#include "auth/auth.h"

#include <string.h>

#include "base/mem.h"
#include "internal.h"

#define TOKEN_PURPOSE "sluice/auth-token/v1"

/* With a table of its own and no handle yet. */
static struct auth_shared *shared_new(const struct seal_keyring *keyring) {
	struct auth_shared *shared = mem_zalloc(sizeof *shared);
	if (!shared) {
		return NULL;
	}
	uint8_t key[SEAL_SUBKEY_SIZE];
	seal_subkey(keyring, TOKEN_PURPOSE, key);
	shared->table = auth_table_new(key);
	seal_wipe(key, sizeof key);
	if (!shared->table || uv_mutex_init(&shared->mutex)) {
		auth_table_free(&shared->table);
		mem_free(shared);
		return NULL;
	}
	return shared;
}

static void shared_free(struct auth_shared *shared) {
	auth_table_free(&shared->table);
	uv_mutex_destroy(&shared->mutex);
	mem_free(shared);
}

static struct auth *handle_new(struct auth_shared *shared, const struct auth_options *options,
			       const struct auth_deps *deps) {
	struct auth *auth = mem_zalloc(sizeof *auth);
	if (!auth) {
		return NULL;
	}
	auth->options = *options;
	auth->deps = *deps;
	log_child(&auth->log, deps->log, "module", "auth");
	list_init(&auth->changes);
	auth->shared = shared;
	auth_lock(auth);
	shared->handles++;
	auth_unlock(auth);
	return auth;
}

struct auth *auth_new(const struct auth_options *options, const struct auth_deps *deps, struct err *err) {
	struct auth_shared *shared = shared_new(deps->keyring);
	struct auth *auth = shared ? handle_new(shared, options, deps) : NULL;
	if (!auth) {
		if (shared) {
			shared_free(shared);
		}
		err_set(err, ERR_MEMORY, "out of memory");
	}
	return auth;
}

struct auth *auth_share(struct auth *first, struct store *store, struct err *err) {
	struct auth_deps deps = first->deps;
	deps.store = store;
	struct auth *auth = handle_new(first->shared, &first->options, &deps);
	if (!auth) {
		err_set(err, ERR_MEMORY, "out of memory");
	}
	return auth;
}

void auth_free(struct auth **auth_pointer) {
	struct auth *auth = *auth_pointer;
	if (!auth) {
		return;
	}
	*auth_pointer = NULL;
	store_cancel(&auth->load);
	auth_change_cancel_all(auth);
	auth_lock(auth);
	bool last = --auth->shared->handles == 0;
	auth_unlock(auth);
	if (last) {
		shared_free(auth->shared);
	}
	mem_free(auth);
}

static int take_identities(struct auth *auth, const struct store_snapshot *snapshot, struct err *err) {
	for (size_t i = 0; i < snapshot->user_count; i++) {
		if (auth_table_add_user(auth->shared->table, &snapshot->users[i])) {
			return err_set(err, ERR_MEMORY, "reading users: out of memory");
		}
	}
	for (size_t i = 0; i < snapshot->credential_count; i++) {
		const struct store_credential *row = &snapshot->credentials[i];
		if (!auth_table_user(auth->shared->table, row->user)) {
			log_warn(&auth->log, "credential of an unknown user ignored", LOG_S("credential", row->id));
		} else if (!auth_table_add(auth->shared->table, row)) {
			return err_set(err, ERR_MEMORY, "reading credentials: out of memory");
		}
	}
	return 0;
}

static void identities_read(void *owner, struct store_snapshot *snapshot, const struct err *failure) {
	struct auth *auth = owner;
	auth->load = NULL;
	struct err err;
	const struct err *result = failure;
	if (!failure) {
		auth_lock(auth);
		if (take_identities(auth, snapshot, &err)) {
			result = &err;
		} else {
			auth->shared->loaded = true;
			log_info(&auth->log, "credentials read", LOG_I("users", snapshot->user_count),
				 LOG_I("credentials", snapshot->credential_count));
			auth_change_purge(auth);
		}
		auth_unlock(auth);
	}
	store_snapshot_free(&snapshot);
	auth->load_done(auth->load_owner, result);
}

int auth_load(struct auth *auth, auth_done_fn *done, void *owner, struct err *err) {
	auth_lock(auth);
	bool loaded = auth->shared->loaded;
	auth_unlock(auth);
	if (auth->load || loaded) {
		return err_set(err, ERR_CONFLICT, "credentials are read once");
	}
	auth->load_done = done;
	auth->load_owner = owner;
	const struct store_query query = {.kind = STORE_READ_IDENTITIES};
	auth->load = store_read(auth->deps.store, &query, identities_read, auth);
	return auth->load ? 0 : err_set(err, ERR_MEMORY, "out of memory");
}

static int check(struct auth *auth, enum store_credential_kind kind, struct str presented, struct principal *who) {
	auth_lock(auth);
	const struct auth_credential *credential =
		auth_table_prove(auth->shared->table, kind, presented, auth_now_ms(auth));
	if (credential) {
		auth_credential_principal(credential, who);
	}
	auth_unlock(auth);
	return credential ? 0 : -1;
}

int auth_check_key(struct auth *auth, struct str presented, struct principal *who) {
	return check(auth, STORE_API_KEY, presented, who);
}

int auth_check_session(struct auth *auth, struct str presented, struct principal *who) {
	return check(auth, STORE_SESSION, presented, who);
}

int auth_recheck(struct auth *auth, const struct principal *who) {
	auth_lock(auth);
	const struct auth_credential *credential = auth_table_find(auth->shared->table, who->credential);
	bool holds = credential && !strcmp(credential->user->row.id, who->user) &&
		     auth_credential_holds(credential, auth_now_ms(auth));
	auth_unlock(auth);
	return holds ? 0 : -1;
}

void auth_each_key(struct auth *auth, void (*each)(void *owner, const struct auth_key_info *key), void *owner) {
	auth_lock(auth);
	list_each(node, after, auth_table_credentials(auth->shared->table)) {
		const struct auth_credential *credential = container_of(node, struct auth_credential, node);
		if (credential->row.kind == STORE_API_KEY) {
			const struct auth_key_info info = {
				.id = credential->row.id,
				.user = credential->user->row.name,
				.label = credential->row.name,
				.created_ms = credential->row.created_ms,
				.revoked_ms = credential->row.revoked_ms,
			};
			each(owner, &info);
		}
	}
	auth_unlock(auth);
}
