/* What a database must do to be a store. The generic part (store.c) owns queues and threads and calls a driver so that
 * no two calls of one kind overlap: `write`, `probe` and `upkeep` on the writer thread, `read` on the reader thread,
 * the rest while neither runs. */
#ifndef SLUICE_STORE_DRIVER_H
#define SLUICE_STORE_DRIVER_H

#include "store/store.h"

struct store_backend; /* an open database, the driver's own */

struct store_driver {
	/* All that store_open promises of the database. NULL with an error. */
	struct store_backend *(*open)(const struct store_options *options, const struct store_deps *deps,
				      struct err *err);
	void (*close)(struct store_backend **backend);
	/* `sample` gets one wrapped key, if there is any; its epoch stays 0 otherwise. */
	bool (*is_empty)(struct store_backend *backend, struct store_dek *sample);

	/* Does all the writes in one transaction, and leaves each one's outcome in its op.err: a write that conflicts
	 * fails alone, a disk that refuses fails them all. 0 when the transaction committed, with those that went well
	 * in it. */
	int (*write)(struct store_backend *backend, struct store_write *const *writes, size_t count);
	/* Writes next to nothing, to learn whether writing works again. */
	int (*probe)(struct store_backend *backend, struct err *err);
	/* What can wait until the outcomes are handed on. Whether some is left that should be tried again soon. */
	bool (*upkeep)(struct store_backend *backend);

	struct store_snapshot *(*read)(struct store_backend *backend, const struct store_query *query, struct err *err);
};

/* store_open with a driver of the caller's choice; it must outlive the store. */
struct store *store_open_driver(const struct store_driver *driver, const struct store_options *options,
				const struct store_deps *deps, struct err *err);

#endif
