#include "auth/auth.h"

#include <string.h>

#include "base/mem.h"
#include "internal.h"

#define TOKEN_PURPOSE "sluice/auth-token/v1"

struct auth *auth_new(const struct auth_options *options, const struct auth_deps *deps, struct err *err) {
	struct auth *auth = mem_zalloc(sizeof *auth);
	if (!auth) {
		err_set(err, ERR_MEMORY, "out of memory");
		return NULL;
	}
	auth->options = *options;
	auth->deps = *deps;
	log_child(&auth->log, deps->log, "module", "auth");
	list_init(&auth->changes);
	uint8_t key[SEAL_SUBKEY_SIZE];
	seal_subkey(deps->keyring, TOKEN_PURPOSE, key);
	auth->table = auth_table_new(key);
	seal_wipe(key, sizeof key);
	if (!auth->table) {
		err_set(err, ERR_MEMORY, "out of memory");
		mem_free(auth);
		return NULL;
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
	auth_table_free(&auth->table);
	mem_free(auth);
}

static int take_identities(struct auth *auth, const struct store_snapshot *snapshot, struct err *err) {
	for (size_t i = 0; i < snapshot->user_count; i++) {
		if (auth_table_add_user(auth->table, &snapshot->users[i])) {
			return err_set(err, ERR_MEMORY, "reading users: out of memory");
		}
	}
	for (size_t i = 0; i < snapshot->credential_count; i++) {
		const struct store_credential *row = &snapshot->credentials[i];
		if (!auth_table_user(auth->table, row->user)) {
			log_warn(&auth->log, "credential of an unknown user ignored", LOG_S("credential", row->id));
		} else if (!auth_table_add(auth->table, row)) {
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
		if (take_identities(auth, snapshot, &err)) {
			result = &err;
		} else {
			auth->loaded = true;
			log_info(&auth->log, "credentials read", LOG_I("users", snapshot->user_count),
				 LOG_I("credentials", snapshot->credential_count));
			auth_change_purge(auth);
		}
	}
	store_snapshot_free(&snapshot);
	auth->load_done(auth->load_owner, result);
}

int auth_load(struct auth *auth, auth_done_fn *done, void *owner, struct err *err) {
	if (auth->load || auth->loaded) {
		return err_set(err, ERR_CONFLICT, "credentials are read once");
	}
	auth->load_done = done;
	auth->load_owner = owner;
	const struct store_query query = {.kind = STORE_READ_IDENTITIES};
	auth->load = store_read(auth->deps.store, &query, identities_read, auth);
	return auth->load ? 0 : err_set(err, ERR_MEMORY, "out of memory");
}

static int check(struct auth *auth, enum store_credential_kind kind, struct str presented, struct principal *who) {
	const struct auth_credential *credential = auth_table_prove(auth->table, kind, presented, auth_now_ms(auth));
	if (!credential) {
		return -1;
	}
	auth_credential_principal(credential, who);
	return 0;
}

int auth_check_key(struct auth *auth, struct str presented, struct principal *who) {
	return check(auth, STORE_API_KEY, presented, who);
}

int auth_check_session(struct auth *auth, struct str presented, struct principal *who) {
	return check(auth, STORE_SESSION, presented, who);
}

int auth_recheck(struct auth *auth, const struct principal *who) {
	const struct auth_credential *credential = auth_table_find(auth->table, who->credential);
	bool holds = credential && !strcmp(credential->user->row.id, who->user) &&
		     auth_credential_holds(credential, auth_now_ms(auth));
	return holds ? 0 : -1;
}

void auth_each_key(struct auth *auth, void (*each)(void *owner, const struct auth_key_info *key), void *owner) {
	list_each(node, after, auth_table_credentials(auth->table)) {
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
}
