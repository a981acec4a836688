#include "table.h"

#include <stdio.h>
#include <string.h>

#include "auth/auth.h"
#include "base/id.h"
#include "base/map.h"
#include "base/mem.h"
#include "seal/record.h"
#include "seal/token.h"

struct auth_table {
	struct map *users_by_id;
	struct map *users_by_name;
	struct map *credentials_by_id;
	struct list credentials;
	uint8_t key[SEAL_SUBKEY_SIZE];
};

static const char *const prefixes[] = {
	[STORE_API_KEY] = AUTH_KEY_PREFIX,
	[STORE_SESSION] = AUTH_SESSION_PREFIX,
	[STORE_SIGNIN] = AUTH_SIGNIN_PREFIX,
};

const char *auth_table_prefix(enum store_credential_kind kind) {
	return prefixes[kind];
}

struct auth_table *auth_table_new(const uint8_t key[static SEAL_SUBKEY_SIZE]) {
	struct auth_table *table = mem_zalloc(sizeof *table);
	if (!table) {
		return NULL;
	}
	list_init(&table->credentials);
	memcpy(table->key, key, sizeof table->key);
	table->users_by_id = map_new();
	table->users_by_name = map_new();
	table->credentials_by_id = map_new();
	if (!table->users_by_id || !table->users_by_name || !table->credentials_by_id) {
		auth_table_free(&table);
	}
	return table;
}

void auth_table_free(struct auth_table **table_pointer) {
	struct auth_table *table = *table_pointer;
	if (!table) {
		return;
	}
	*table_pointer = NULL;
	list_each(node, after, &table->credentials) {
		mem_free(container_of(node, struct auth_credential, node));
	}
	size_t position = 0;
	void *user;
	while (table->users_by_id && map_next(table->users_by_id, &position, NULL, &user)) {
		mem_free(user);
	}
	map_free(&table->credentials_by_id);
	map_free(&table->users_by_name);
	map_free(&table->users_by_id);
	seal_wipe(table->key, sizeof table->key);
	mem_free(table);
}

static struct auth_user *add_user(struct auth_table *table, const struct store_user *row, bool durable) {
	struct auth_user *user = mem_zalloc(sizeof *user);
	if (!user) {
		return NULL;
	}
	user->row = *row;
	user->durable = durable;
	if (map_put(table->users_by_id, str_of(row->id), user)) {
		goto failed_user;
	}
	if (map_put(table->users_by_name, str_of(row->name), user)) {
		goto failed_id;
	}
	return user;
failed_id:
	map_remove(table->users_by_id, str_of(row->id));
failed_user:
	mem_free(user);
	return NULL;
}

struct auth_user *auth_table_name_user(struct auth_table *table, const char *name, int64_t now_ms) {
	struct auth_user *user = map_get(table->users_by_name, str_of(name));
	if (user) {
		return user;
	}
	struct store_user row = {.created_ms = now_ms};
	id_make(row.id, "user", now_ms);
	snprintf(row.name, sizeof row.name, "%s", name);
	return add_user(table, &row, false);
}

int auth_table_add_user(struct auth_table *table, const struct store_user *row) {
	if (map_get(table->users_by_id, str_of(row->id))) {
		return 0;
	}
	return add_user(table, row, true) ? 0 : -1;
}

struct auth_user *auth_table_user(const struct auth_table *table, const char *id) {
	return map_get(table->users_by_id, str_of(id));
}

/* Behind the last one that is not younger: rows come almost in order, so this looks at few. */
static void insert_by_age(struct auth_table *table, struct auth_credential *credential) {
	struct list *before = table->credentials.prev;
	while (before != &table->credentials) {
		const struct auth_credential *other = container_of(before, struct auth_credential, node);
		if (other->row.created_ms <= credential->row.created_ms) {
			break;
		}
		before = before->prev;
	}
	list_append(before->next, &credential->node);
}

struct auth_credential *auth_table_add(struct auth_table *table, const struct store_credential *row) {
	struct auth_user *user = auth_table_user(table, row->user);
	struct auth_credential *credential = user ? mem_zalloc(sizeof *credential) : NULL;
	if (!credential) {
		return NULL;
	}
	credential->row = *row;
	credential->user = user;
	struct auth_credential *former = auth_table_find(table, row->id);
	if (map_put(table->credentials_by_id, str_of(row->id), credential)) {
		mem_free(credential);
		return NULL;
	}
	if (former) {
		list_remove(&former->node);
		mem_free(former);
	}
	insert_by_age(table, credential);
	return credential;
}

struct auth_credential *auth_table_find(const struct auth_table *table, const char *id) {
	return map_get(table->credentials_by_id, str_of(id));
}

void auth_table_remove(struct auth_table *table, const char *id) {
	struct auth_credential *credential = map_remove(table->credentials_by_id, str_of(id));
	if (credential) {
		list_remove(&credential->node);
		mem_free(credential);
	}
}

const struct list *auth_table_credentials(const struct auth_table *table) {
	return &table->credentials;
}

bool auth_credential_is_expired(const struct auth_credential *credential, int64_t now_ms) {
	return credential->row.expires_ms != 0 && credential->row.expires_ms <= now_ms;
}

bool auth_credential_holds(const struct auth_credential *credential, int64_t now_ms) {
	return credential->row.revoked_ms == 0 && !auth_credential_is_expired(credential, now_ms);
}

void auth_table_hash(const struct auth_table *table, struct str secret, uint8_t hash[static STORE_HASH_SIZE]) {
	seal_token_hash(table->key, secret, hash);
}

struct auth_credential *auth_table_prove(const struct auth_table *table, enum store_credential_kind kind,
					 struct str presented, int64_t now_ms) {
	static const uint8_t nobody[STORE_HASH_SIZE];
	char id[SEAL_TOKEN_ID_SIZE];
	bool formed = seal_token_id(presented, prefixes[kind], id) == 0;
	struct auth_credential *credential = formed ? auth_table_find(table, id) : NULL;
	uint8_t hash[STORE_HASH_SIZE];
	/* A misshapen secret may be long; what is hashed in its place costs what a real one costs. */
	auth_table_hash(table,
			formed ? presented : STR("sk_0000000000000000_0000000000000000000000000000000000000000000"),
			hash);
	bool equal = seal_equal32(credential ? credential->row.hash : nobody, hash) == 0;
	seal_wipe(hash, sizeof hash);
	if (!credential || !equal || credential->row.kind != kind || !auth_credential_holds(credential, now_ms)) {
		return NULL;
	}
	return credential;
}

void auth_credential_principal(const struct auth_credential *credential, struct principal *who) {
	memset(who, 0, sizeof *who);
	memcpy(who->user, credential->user->row.id, sizeof who->user);
	memcpy(who->name, credential->user->row.name, sizeof who->name);
	memcpy(who->credential, credential->row.id, sizeof who->credential);
	who->expires_ms = credential->row.expires_ms;
}
