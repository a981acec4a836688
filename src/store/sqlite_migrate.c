#include "sqlite_migrate.h"

#include <stdio.h>
#include <string.h>

struct migration {
	const char *name;
	int version;
	const char *sql;
};

static const struct migration MIGRATIONS[] = {
#include "migrations.inc"
};
#define MIGRATION_COUNT (sizeof MIGRATIONS / sizeof MIGRATIONS[0])

static int latest_version(const char *name) {
	int latest = 0;
	for (size_t i = 0; i < MIGRATION_COUNT; i++) {
		if (strcmp(MIGRATIONS[i].name, name) == 0 && MIGRATIONS[i].version > latest) {
			latest = MIGRATIONS[i].version;
		}
	}
	return latest;
}

int sqlite_migrate_check(struct sqlite_conn *conn, const struct sqlite_schema *schema, struct err *err) {
	int64_t application;
	int64_t version;
	int64_t objects;
	if (sqlite_conn_number(conn, "PRAGMA application_id", &application, err) != 0 ||
	    sqlite_conn_number(conn, "PRAGMA user_version", &version, err) != 0 ||
	    sqlite_conn_number(conn, "SELECT count(*) FROM sqlite_schema", &objects, err) != 0) {
		return -1;
	}
	bool is_new = application == 0 && version == 0 && objects == 0;
	if (!is_new && application != schema->application_id) {
		return err_set(err, ERR_INVALID, "%s is a database of another program", conn->role->file);
	}
	int latest = latest_version(schema->name);
	if (version > latest) {
		return err_set(err, ERR_CONFLICT, "%s has schema %d; this program knows %d at most: use a newer one",
			       conn->role->file, (int)version, latest);
	}
	return 0;
}

/* Both pragmas write the file's header, within the transaction. */
static int apply(struct sqlite_conn *conn, const struct sqlite_schema *schema, const struct migration *migration,
		 struct err *err) {
	char stamp[96];
	snprintf(stamp, sizeof stamp, "PRAGMA application_id = %d; PRAGMA user_version = %d", schema->application_id,
		 migration->version);
	if (sqlite_conn_exec(conn, "BEGIN IMMEDIATE", err) != 0) {
		return -1;
	}
	if (sqlite_conn_exec(conn, migration->sql, err) != 0 || sqlite_conn_exec(conn, stamp, err) != 0 ||
	    sqlite_conn_exec(conn, "COMMIT", err) != 0) {
		sqlite_conn_exec(conn, "ROLLBACK", NULL);
		return err_wrap(err, "migration %s-%04d", migration->name, migration->version);
	}
	return 0;
}

int sqlite_migrate(struct sqlite_conn *conn, const struct sqlite_schema *schema, struct err *err) {
	int64_t version;
	if (sqlite_conn_number(conn, "PRAGMA user_version", &version, err) != 0) {
		return -1;
	}
	/* The files are embedded in the order of their names, so that versions rise. */
	for (size_t i = 0; i < MIGRATION_COUNT; i++) {
		if (strcmp(MIGRATIONS[i].name, schema->name) == 0 && MIGRATIONS[i].version > version &&
		    apply(conn, schema, &MIGRATIONS[i], err) != 0) {
			return -1;
		}
	}
	return 0;
}
