/* Reads of the SQLite driver, on read-only connections. */
#ifndef SLUICE_STORE_SQLITE_READ_H
#define SLUICE_STORE_SQLITE_READ_H

#include "sqlite_conn.h"
#include "store/store.h"

extern const struct sqlite_role sqlite_data_reader;
extern const struct sqlite_role sqlite_keys_reader;

struct sqlite_reader {
	struct sqlite_conn data;
	struct sqlite_conn keys;
};

int sqlite_reader_open(struct sqlite_reader *reader, const struct store_options *options, struct err *err);
void sqlite_reader_close(struct sqlite_reader *reader);
struct store_snapshot *sqlite_reader_read(struct sqlite_reader *reader, const struct store_query *query,
					  struct err *err);
/* Whether there is neither a wrapped DEK nor a credential. 1, 0, or -1 with an error. */
int sqlite_reader_is_empty(struct sqlite_reader *reader, struct store_dek *sample, struct err *err);

#endif
