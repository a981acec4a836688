/* A store driver over the real one that fails the transaction it is told to, after having written it or without: the latter
 * is what a lost connection to a database looks like, or a disk whose last sync failed. */
#ifndef SLUICE_TESTS_UNSURE_DRIVER_H
#define SLUICE_TESTS_UNSURE_DRIVER_H

#include <stdatomic.h>

#include "../../src/store/sqlite.h"
#include "../../src/store/write.h"

static atomic_uint unsure;       /* so many transactions fail, */
static atomic_uint unsure_after; /* after so many that go well; */
static atomic_uint unsure_code = ERR_OUTCOME_UNKNOWN;
static atomic_bool unsure_writes = true;      /* whether they are written all the same */
static atomic_uint unsure_delay_us;           /* how long it takes to fail */
static atomic_bool unsure_spares_checkpoints; /* beginnings and ends fail alone */
static atomic_uint unsure_told;

static inline void unsure_reset(void) {
	atomic_store(&unsure, 0);
	atomic_store(&unsure_after, 0);
	atomic_store(&unsure_delay_us, 0);
	atomic_store(&unsure_code, ERR_OUTCOME_UNKNOWN);
	atomic_store(&unsure_writes, true);
	atomic_store(&unsure_spares_checkpoints, false);
}

/* Whether a conversation goes on with one of these. */
static inline bool unsure_moves_heads(struct store_write *const *writes, size_t count) {
	for (size_t i = 0; i < count; i++) {
		if (!list_empty(&writes[i]->changes[CHANGE_PUT_THREAD])) {
			return true;
		}
	}
	return false;
}

/* On the store's writer thread. */
static inline int unsure_write(struct store_backend *backend, struct store_write *const *writes, size_t count) {
	bool spared = atomic_load(&unsure_spares_checkpoints) && !unsure_moves_heads(writes, count);
	bool fails = !spared && atomic_load(&unsure_after) == 0 && atomic_load(&unsure) > 0;
	if (!fails || atomic_load(&unsure_writes)) {
		int result = sqlite_driver.write(backend, writes, count);
		if (!fails || result != 0) {
			if (atomic_load(&unsure_after) > 0) {
				atomic_fetch_sub(&unsure_after, 1);
			}
			return result;
		}
	}
	usleep(atomic_load(&unsure_delay_us));
	atomic_fetch_sub(&unsure, 1);
	atomic_fetch_add(&unsure_told, 1);
	for (size_t i = 0; i < count; i++) {
		err_set(&writes[i]->op.err, (enum err_code)atomic_load(&unsure_code), "the test says so");
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
