/* Administration commands: one JSON object in, one out. sluicectl runs them in its own process while the server is down,
 * and over the server's admin socket while it runs; so that only one process ever writes the database. Loop thread.
 *
 * {"command":"key.create","user":"ada","label":"laptop"} -> {"ok":true,"key":"sk_…","id":"…","user":"ada"}
 * {"command":"key.list"}      -> {"ok":true,"keys":[{"id","user","label","created_at","revoked_at"}…]}
 * {"command":"key.revoke","id":"…"} -> {"ok":true}
 * {"command":"signin","user":"ada"} -> {"ok":true,"token":"in_…","url":"http://…/#signin=…","expires_at":…}
 * {"command":"status"}        -> {"ok":true,"version":"0.2.0","store":"ok"}
 * failure                     -> {"ok":false,"code":"not_found","message":"…"} */
#ifndef SLUICE_ADMIN_COMMAND_H
#define SLUICE_ADMIN_COMMAND_H

#include "auth/auth.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "store/store.h"

struct admin;

struct admin_deps {
	struct auth *auth;
	struct store *store;
	const char *base_url; /* for sign-in addresses: http://127.0.0.1:8080; borrowed */
};

struct admin *admin_new(const struct admin_deps *deps, struct err *err);
void admin_free(struct admin **admin);

/* Runs one command; `reply` gets one JSON object without a newline, once, possibly before this returns. */
typedef void admin_reply_fn(void *owner, struct str reply);
void admin_execute(struct admin *admin, struct str command, admin_reply_fn *reply, void *owner);
/* The reply for this owner never comes. */
void admin_forget(struct admin *admin, void *owner);

#endif
