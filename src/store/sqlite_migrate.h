/* Brings a database to the schema that this program knows. */
#ifndef SLUICE_STORE_SQLITE_MIGRATE_H
#define SLUICE_STORE_SQLITE_MIGRATE_H

#include "sqlite_conn.h"

struct sqlite_schema {
	const char *name;   /* of the migrations: db/NAME-0001.sql */
	int application_id; /* in the file's header: says that a file is this kind and no other */
};

/* Refuses a file that is another program's (ERR_INVALID) or of a newer schema (ERR_CONFLICT); does not touch it. */
int sqlite_migrate_check(struct sqlite_conn *conn, const struct sqlite_schema *schema, struct err *err);
/* Applies what is missing, each migration in a transaction of its own. After sqlite_migrate_check. */
int sqlite_migrate(struct sqlite_conn *conn, const struct sqlite_schema *schema, struct err *err);

#endif
