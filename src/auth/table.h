/* Users and credentials in memory. Times are handed in; nothing is written here. Its caller sees to it that one thread at a
 * time uses it. */
#ifndef SLUICE_AUTH_TABLE_H
#define SLUICE_AUTH_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/auth.h"
#include "base/list.h"
#include "base/str.h"
#include "seal/keyring.h"
#include "store/record.h"

struct auth_user {
	struct store_user row;
	bool durable; /* the store has it; until then it goes into every write that names it */
};

struct auth_credential {
	struct list node; /* in the table, oldest first */
	struct store_credential row;
	struct auth_user *user;
};

struct auth_table;

/* The table keeps its own copy of the key that credentials are hashed under, and wipes it. NULL: memory is out. */
struct auth_table *auth_table_new(const uint8_t key[static SEAL_SUBKEY_SIZE]);
void auth_table_free(struct auth_table **table); /* with all users and credentials */

/* Finds the user of a name, or makes one that is not durable yet. NULL: memory is out. */
struct auth_user *auth_table_name_user(struct auth_table *table, const char *name, int64_t now_ms);
/* Takes a copy of the row; the user counts as durable. -1: memory is out. */
int auth_table_add_user(struct auth_table *table, const struct store_user *row);
struct auth_user *auth_table_user(const struct auth_table *table, const char *id); /* NULL: none of this id */

/* Takes a copy of the row, whose user must be there; one of the same id is replaced. NULL: memory is out, or no such
 * user. */
struct auth_credential *auth_table_add(struct auth_table *table, const struct store_credential *row);
struct auth_credential *auth_table_find(const struct auth_table *table, const char *id); /* NULL: none */
void auth_table_remove(struct auth_table *table, const char *id);
const struct list *auth_table_credentials(const struct auth_table *table); /* the list's head */

bool auth_credential_is_expired(const struct auth_credential *credential, int64_t now_ms);
/* Neither expired nor revoked. */
bool auth_credential_holds(const struct auth_credential *credential, int64_t now_ms);
/* Who it proves, as callers see it. */
void auth_credential_principal(const struct auth_credential *credential, struct principal *who);

/* What is stored of a secret. */
void auth_table_hash(const struct auth_table *table, struct str secret, uint8_t hash[static STORE_HASH_SIZE]);
/* The credential that `presented` proves, or NULL. One hash and one comparison, whatever is presented. */
struct auth_credential *auth_table_prove(const struct auth_table *table, enum store_credential_kind kind,
					 struct str presented, int64_t now_ms);
/* The text in front of a secret of this kind: "sk". */
const char *auth_table_prefix(enum store_credential_kind kind);

#endif
