/* Who may do what: users, API keys, browser sessions, one-time sign-in tokens.
 *
 * All credentials are in memory, read once at start; a check touches no disk and takes the same time for a wrong, an
 * unknown, an expired and a revoked one. Changes are written first and take effect when they are durable.
 *
 * A struct auth is one loop's handle, used by that loop's thread alone, and its completions run there. Behind the handles is
 * one table under one mutex: what was reported done on one loop is in force on all. */
#ifndef SLUICE_AUTH_AUTH_H
#define SLUICE_AUTH_AUTH_H

#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "base/log.h"
#include "seal/keyring.h"
#include "seal/token.h"
#include "store/store.h"

#define AUTH_KEY_PREFIX "sk"      /* sk_… : API keys */
#define AUTH_SESSION_PREFIX "ses" /* ses_… : the cookie's value */
#define AUTH_SIGNIN_PREFIX "in"   /* in_… : one-time tokens of a sign-in address */

struct auth;

struct auth_options {
	int64_t session_lifetime_ms; /* of a browser session */
	int64_t signin_lifetime_ms;  /* of a sign-in address */
};

struct auth_deps {
	struct store *store;
	const struct seal_keyring *keyring;
	const struct clock *clock;
	const struct log *log;
};

/* A proven identity. */
struct principal {
	char user[ID_SIZE];
	char name[STORE_NAME_SIZE];
	char credential[ID_SIZE]; /* which key or session proved it */
	int64_t expires_ms;       /* of the credential; 0: never */
};

struct auth *auth_new(const struct auth_options *options, const struct auth_deps *deps, struct err *err);
/* A further handle for another loop, whose handle of the store is given: called on the first one's thread, and before that
 * loop's thread uses it. It is freed like the first; the order does not matter. */
struct auth *auth_share(struct auth *first, struct store *store, struct err *err);
/* Cancels what is under way; completions that did not run yet never do. Comes before store_close. */
void auth_free(struct auth **auth);

/* Reads all users and credentials; `done` runs once, with NULL when they are there, for every handle. Checks fail until then.
 * On the first handle alone. */
typedef void auth_done_fn(void *owner, const struct err *err);
int auth_load(struct auth *auth, auth_done_fn *done, void *owner, struct err *err);

/* 0 and the principal, or -1: that is all a caller is told. */
int auth_check_key(struct auth *auth, struct str presented, struct principal *who);
int auth_check_session(struct auth *auth, struct str presented, struct principal *who);
/* Whether the credential still holds: asked again before each turn of a long connection. */
int auth_recheck(struct auth *auth, const struct principal *who);

/* Completions carry the new secret; copy it, it is wiped after the call. NULL token and an error on failure. */
typedef void auth_token_fn(void *owner, const struct seal_token *token, const struct principal *who,
			   const struct err *err);

/* Each starts work and reports once, later; -1 when it could not even start (bad name: ERR_INVALID). Users are made when
 * first named: 1 to 64 characters of [A-Za-z0-9._@-]. `label` may be "". */
int auth_create_key(struct auth *auth, const char *user, const char *label, auth_token_fn *done, void *owner,
		    struct err *err);
int auth_revoke_key(struct auth *auth, const char *key_id, auth_done_fn *done, void *owner, struct err *err);
int auth_create_signin(struct auth *auth, const char *user, auth_token_fn *done, void *owner, struct err *err);
/* Trades a sign-in token, once, for a session. ERR_DENIED when it is not good for one: at once for an unknown or expired
 * one, reported for the loser of two that race for it. */
int auth_redeem_signin(struct auth *auth, struct str presented, auth_token_fn *done, void *owner, struct err *err);
int auth_end_session(struct auth *auth, const char *credential, auth_done_fn *done, void *owner, struct err *err);
/* Stops every completion that was started for this owner: for a connection that goes away. */
void auth_forget(struct auth *auth, void *owner);

struct auth_key_info {
	const char *id;
	const char *user; /* its name */
	const char *label;
	int64_t created_ms;
	int64_t revoked_ms; /* 0: valid */
};
/* Calls back at once for every API key, oldest first. Under the mutex: the callback must not call anything here. */
void auth_each_key(struct auth *auth, void (*each)(void *owner, const struct auth_key_info *key), void *owner);

#endif
