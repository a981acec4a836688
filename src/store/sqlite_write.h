/* Transactions of the SQLite driver: group commit over both files, and upkeep of their WALs. The only code that writes
 * or checkpoints; SQLite before 3.51.3 can corrupt a WAL when two connections do (SECURITY.md). */
#ifndef SLUICE_STORE_SQLITE_WRITE_H
#define SLUICE_STORE_SQLITE_WRITE_H

#include "base/clock.h"
#include "base/log.h"
#include "sqlite_change.h"

struct sqlite_writer {
	struct sqlite_files files;
	const char *dir; /* borrowed */
	int busy_timeout_ms;
	const struct clock *clock;
	const struct log *log;
	bool data_lingers; /* what was deleted may still be read in the WAL */
	bool keys_linger;
};

int sqlite_writer_open(struct sqlite_writer *writer, struct err *err);
/* Empties the WALs and closes. */
void sqlite_writer_close(struct sqlite_writer *writer);

/* As store_driver's functions of these names. */
int sqlite_writer_write(struct sqlite_writer *writer, struct store_write *const *writes, size_t count);
int sqlite_writer_probe(struct sqlite_writer *writer, struct err *err);
bool sqlite_writer_upkeep(struct sqlite_writer *writer);

#endif
