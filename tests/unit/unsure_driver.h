/* A store driver over the real one that writes, and then says that it does not know: what a lost connection to a database
 * looks like, or a disk whose last sync failed. */
#ifndef SLUICE_TESTS_UNSURE_DRIVER_H
#define SLUICE_TESTS_UNSURE_DRIVER_H

#include <stdatomic.h>

#include "../../src/store/sqlite.h"
#include "../../src/store/write.h"

static atomic_uint unsure; /* so many transactions from now on */
static atomic_uint unsure_told;

static inline int unsure_write(struct store_backend *backend, struct store_write *const *writes, size_t count) {
	int result = sqlite_driver.write(backend, writes, count);
	if (result != 0 || atomic_load(&unsure) == 0) {
		return result;
	}
	atomic_fetch_sub(&unsure, 1);
	atomic_fetch_add(&unsure_told, 1);
	for (size_t i = 0; i < count; i++) {
		err_set(&writes[i]->op.err, ERR_OUTCOME_UNKNOWN, "the connection was lost at the commit");
	}
	return -1;
}

static inline struct store *unsure_open(const struct store_options *options, const struct store_deps *deps,
					struct err *err) {
	static struct store_driver driver;
	driver = sqlite_driver;
	driver.write = unsure_write;
	return store_open_driver(&driver, options, deps, err);
}

#endif
