/* Changes to users and credentials: written first, in effect, on every loop at once, when they are durable. A change belongs
 * to one loop; what starts one and what takes it over holds the mutex, completions do not. */
#include <ctype.h>
#include <string.h>

#include "auth/auth.h"
#include "base/mem.h"
#include "internal.h"

struct change {
	struct list node;
	struct auth *auth;
	struct store_op *op;
	/* Takes the change over into memory; returns what the caller is told. NULL: nothing to take over. */
	int (*apply)(struct change *change, struct err *err);
	struct auth_user *user;      /* named by the change, durable with it; NULL: none */
	struct store_credential row; /* what was put, or `id` of what was deleted */
	char spent[ID_SIZE];         /* the sign-in that was traded; "": none */
	struct seal_token token;     /* "" unless a secret was made */
	auth_done_fn *done;          /* at most one of the two; both NULL once the owner is gone */
	auth_token_fn *token_done;
	void *owner;
};

static struct change *change_new(struct auth *auth, void *owner, struct err *err) {
	struct change *change = mem_zalloc(sizeof *change);
	if (!change) {
		err_set(err, ERR_MEMORY, "out of memory");
		return NULL;
	}
	change->auth = auth;
	change->owner = owner;
	list_append(&auth->changes, &change->node);
	return change;
}

static void change_free(struct change **change_pointer) {
	struct change *change = *change_pointer;
	*change_pointer = NULL;
	list_remove(&change->node);
	seal_wipe(&change->token, sizeof change->token);
	mem_free(change);
}

static void report(const struct change *change, const struct principal *who, const struct err *err) {
	if (change->token_done) {
		change->token_done(change->owner, err ? NULL : &change->token, err ? NULL : who, err);
	} else if (change->done) {
		change->done(change->owner, err);
	}
}

static void change_written(void *owner, const struct err *failure) {
	struct change *change = owner;
	change->op = NULL;
	struct err err;
	const struct err *result = failure;
	struct principal who = {0};
	if (failure) {
		log_warn(&change->auth->log, "change of credentials not written", LOG_ERR(failure));
	} else {
		auth_lock(change->auth);
		if (change->user) {
			change->user->durable = true;
		}
		if (change->apply && change->apply(change, &err)) {
			result = &err;
		}
		const struct auth_credential *credential = auth_table_find(change->auth->shared->table, change->row.id);
		if (credential) {
			auth_credential_principal(credential, &who);
		}
		auth_unlock(change->auth);
	}
	/* Of two that race for one sign-in address the store lets one win; the other learns what any late one learns. */
	if (failure && change->spent[0] && failure->code == ERR_CONFLICT) {
		err_set(&err, ERR_DENIED, "the sign-in address was used already");
		result = &err;
	}
	/* Off the list first: the owner may forget itself or start the next change from its callback. */
	list_remove(&change->node);
	report(change, &who, result);
	change_free(&change);
}

static void change_start(struct change *change, struct store_write **write) {
	change->op = store_commit(change->auth->deps.store, write, change_written, change);
}

/* --- what is put into memory once it is durable -------------------------------------------------------------------- */
static int apply_put(struct change *change, struct err *err) {
	struct auth *auth = change->auth;
	if (change->spent[0]) {
		auth_table_remove(auth->shared->table, change->spent);
	}
	if (!auth_table_add(auth->shared->table, &change->row)) {
		return err_set(err, ERR_MEMORY, "the credential is stored, but can be used only after a restart");
	}
	log_info(&auth->log, "credential made", LOG_S("kind", auth_table_prefix(change->row.kind)),
		 LOG_S("credential", change->row.id), LOG_S("user", change->row.user));
	return 0;
}

static int apply_revoke(struct change *change, struct err *err) {
	(void)err;
	struct auth_credential *credential = auth_table_find(change->auth->shared->table, change->row.id);
	if (credential) {
		credential->row.revoked_ms = change->row.revoked_ms;
	}
	log_info(&change->auth->log, "key revoked", LOG_S("credential", change->row.id));
	return 0;
}

static int apply_delete(struct change *change, struct err *err) {
	(void)err;
	auth_table_remove(change->auth->shared->table, change->row.id);
	return 0;
}

/* --- making -------------------------------------------------------------------------------------------------------- */
static int check_name(const char *name, struct err *err) {
	size_t length = strlen(name);
	bool plain = length > 0 && length < STORE_NAME_SIZE;
	for (size_t i = 0; plain && i < length; i++) {
		plain = isalnum((unsigned char)name[i]) || strchr("._@-", name[i]);
	}
	return plain ? 0
		     : err_set(err, ERR_INVALID, "a user's name is 1 to %d letters, digits or any of . _ @ -",
			       STORE_NAME_SIZE - 1);
}

static int check_label(const char *label, struct err *err) {
	struct str text = str_of(label);
	bool plain = text.length < STORE_NAME_SIZE && str_is_utf8(text);
	for (size_t i = 0; plain && i < text.length; i++) {
		plain = !iscntrl((unsigned char)text.data[i]);
	}
	return plain ? 0
		     : err_set(err, ERR_INVALID, "a label is at most %d bytes of text without control characters",
			       STORE_NAME_SIZE - 1);
}

/* A new secret of `kind` in the change's row. */
static void make_secret(struct change *change, enum store_credential_kind kind, int64_t lifetime_ms) {
	struct auth *auth = change->auth;
	int64_t now = auth_now_ms(auth);
	seal_token_make(&change->token, auth_table_prefix(kind));
	memcpy(change->row.id, change->token.id, sizeof change->token.id);
	memcpy(change->row.user, change->user->row.id, sizeof change->row.user);
	change->row.kind = kind;
	change->row.created_ms = now;
	change->row.expires_ms = lifetime_ms ? now + lifetime_ms : 0;
	auth_table_hash(auth->shared->table, str_of(change->token.text), change->row.hash);
}

/* Writes the change's row, with its user if that is new and without the sign-in that was spent. */
static int commit_row(struct change *change, struct err *err) {
	struct store_write *write = store_write_new();
	bool failed = !write || (!change->user->durable && store_put_user(write, &change->user->row)) ||
		      (change->spent[0] && store_consume_credential(write, change->spent)) ||
		      store_put_credential(write, &change->row);
	if (failed) {
		store_write_free(&write);
		change_free(&change);
		return err_set(err, ERR_MEMORY, "out of memory");
	}
	change->apply = apply_put;
	change_start(change, &write);
	return 0;
}

/* A change that will make a credential for the user of this name. */
static struct change *change_for(struct auth *auth, const char *user, auth_token_fn *done, void *owner,
				 struct err *err) {
	if (!auth->shared->loaded) {
		err_set(err, ERR_CONFLICT, "credentials are not read yet");
		return NULL;
	}
	if (check_name(user, err)) {
		return NULL;
	}
	struct change *change = change_new(auth, owner, err);
	if (!change) {
		return NULL;
	}
	change->token_done = done;
	change->user = auth_table_name_user(auth->shared->table, user, auth_now_ms(auth));
	if (!change->user) {
		err_set(err, ERR_MEMORY, "out of memory");
		change_free(&change);
	}
	return change;
}

static int create_key(struct auth *auth, const char *user, const char *label, auth_token_fn *done, void *owner,
		      struct err *err) {
	if (check_label(label, err)) {
		return -1;
	}
	struct change *change = change_for(auth, user, done, owner, err);
	if (!change) {
		return -1;
	}
	memcpy(change->row.name, label, strlen(label) + 1);
	make_secret(change, STORE_API_KEY, 0);
	return commit_row(change, err);
}

static int create_signin(struct auth *auth, const char *user, auth_token_fn *done, void *owner, struct err *err) {
	struct change *change = change_for(auth, user, done, owner, err);
	if (!change) {
		return -1;
	}
	auth_change_purge(auth);
	make_secret(change, STORE_SIGNIN, auth->options.signin_lifetime_ms);
	return commit_row(change, err);
}

static int redeem_signin(struct auth *auth, struct str presented, auth_token_fn *done, void *owner, struct err *err) {
	const struct auth_credential *signin =
		auth_table_prove(auth->shared->table, STORE_SIGNIN, presented, auth_now_ms(auth));
	if (!signin) {
		return err_set(err, ERR_DENIED, "the sign-in address is unknown, was used already or has expired");
	}
	struct change *change = change_new(auth, owner, err);
	if (!change) {
		return -1;
	}
	change->token_done = done;
	change->user = signin->user;
	memcpy(change->spent, signin->row.id, sizeof change->spent);
	make_secret(change, STORE_SESSION, auth->options.session_lifetime_ms);
	return commit_row(change, err);
}

/* --- taking away --------------------------------------------------------------------------------------------------- */
static struct auth_credential *find_kind(struct auth *auth, enum store_credential_kind kind, const char *id) {
	struct auth_credential *credential = auth_table_find(auth->shared->table, id);
	return credential && credential->row.kind == kind ? credential : NULL;
}

static int revoke_key(struct auth *auth, const char *key_id, auth_done_fn *done, void *owner, struct err *err) {
	const struct auth_credential *key = find_kind(auth, STORE_API_KEY, key_id);
	if (!key) {
		return err_set(err, ERR_NOT_FOUND, "there is no key with this id");
	}
	struct change *change = change_new(auth, owner, err);
	if (!change) {
		return -1;
	}
	change->done = done;
	change->apply = apply_revoke;
	change->row = key->row;
	if (!change->row.revoked_ms) {
		change->row.revoked_ms = auth_now_ms(auth);
	}
	struct store_write *write = store_write_new();
	if (!write || store_put_credential(write, &change->row)) {
		store_write_free(&write);
		change_free(&change);
		return err_set(err, ERR_MEMORY, "out of memory");
	}
	change_start(change, &write);
	return 0;
}

static int end_session(struct auth *auth, const char *credential, auth_done_fn *done, void *owner, struct err *err) {
	const struct auth_credential *session = find_kind(auth, STORE_SESSION, credential);
	if (!session) {
		return err_set(err, ERR_NOT_FOUND, "there is no such session");
	}
	struct change *change = change_new(auth, owner, err);
	if (!change) {
		return -1;
	}
	change->done = done;
	change->apply = apply_delete;
	change->row = session->row;
	struct store_write *write = store_write_new();
	if (!write || store_delete_credential(write, session->row.id)) {
		store_write_free(&write);
		change_free(&change);
		return err_set(err, ERR_MEMORY, "out of memory");
	}
	change_start(change, &write);
	return 0;
}

void auth_change_purge(struct auth *auth) {
	int64_t now = auth_now_ms(auth);
	struct store_write *write = NULL;
	size_t count = 0;
	list_each(node, after, auth_table_credentials(auth->shared->table)) {
		const struct auth_credential *credential = container_of(node, struct auth_credential, node);
		if (!auth_credential_is_expired(credential, now)) {
			continue;
		}
		if (!write) {
			write = store_write_new();
		}
		/* What memory is too short for now stays for the next time. */
		if (!write || store_delete_credential(write, credential->row.id)) {
			break;
		}
		auth_table_remove(auth->shared->table, credential->row.id);
		count++;
	}
	struct change *change = count ? change_new(auth, NULL, NULL) : NULL;
	if (!change) {
		store_write_free(&write);
		return;
	}
	change_start(change, &write);
	log_info(&auth->log, "expired credentials removed", LOG_I("credentials", count));
}

/* --- with the mutex -------------------------------------------------------------------------------------------------- */
int auth_create_key(struct auth *auth, const char *user, const char *label, auth_token_fn *done, void *owner,
		    struct err *err) {
	auth_lock(auth);
	int result = create_key(auth, user, label, done, owner, err);
	auth_unlock(auth);
	return result;
}

int auth_create_signin(struct auth *auth, const char *user, auth_token_fn *done, void *owner, struct err *err) {
	auth_lock(auth);
	int result = create_signin(auth, user, done, owner, err);
	auth_unlock(auth);
	return result;
}

int auth_redeem_signin(struct auth *auth, struct str presented, auth_token_fn *done, void *owner, struct err *err) {
	auth_lock(auth);
	int result = redeem_signin(auth, presented, done, owner, err);
	auth_unlock(auth);
	return result;
}

int auth_revoke_key(struct auth *auth, const char *key_id, auth_done_fn *done, void *owner, struct err *err) {
	auth_lock(auth);
	int result = revoke_key(auth, key_id, done, owner, err);
	auth_unlock(auth);
	return result;
}

int auth_end_session(struct auth *auth, const char *credential, auth_done_fn *done, void *owner, struct err *err) {
	auth_lock(auth);
	int result = end_session(auth, credential, done, owner, err);
	auth_unlock(auth);
	return result;
}

void auth_forget(struct auth *auth, void *owner) {
	list_each(node, after, &auth->changes) {
		struct change *change = container_of(node, struct change, node);
		if (change->owner == owner) {
			change->done = NULL;
			change->token_done = NULL;
		}
	}
}

void auth_change_cancel_all(struct auth *auth) {
	list_each(node, after, &auth->changes) {
		struct change *change = container_of(node, struct change, node);
		store_cancel(&change->op);
		change_free(&change);
	}
}
