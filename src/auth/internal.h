/* What the sources of this layer share. */
#ifndef SLUICE_AUTH_INTERNAL_H
#define SLUICE_AUTH_INTERNAL_H

#include "auth/auth.h"
#include "base/list.h"
#include "table.h"

/* What the handles of all loops share. */
struct auth_shared {
	uv_mutex_t mutex;
	/* under the mutex; users are never taken out of the table, and their rows never change */
	struct auth_table *table;
	bool loaded;
	size_t handles;
};

/* One loop's handle. */
struct auth {
	struct auth_options options;
	struct auth_deps deps;
	struct log log;
	struct auth_shared *shared;
	struct list changes; /* under way: struct change */
	struct store_op *load;
	auth_done_fn *load_done;
	void *load_owner;
};

static inline int64_t auth_now_ms(const struct auth *auth) {
	return clock_wall_ms(auth->deps.clock);
}

static inline void auth_lock(struct auth *auth) {
	uv_mutex_lock(&auth->shared->mutex);
}

static inline void auth_unlock(struct auth *auth) {
	uv_mutex_unlock(&auth->shared->mutex);
}

/* Takes what has expired out of memory and out of the store; if the store fails, the next load tries again. Under the
 * mutex. */
void auth_change_purge(struct auth *auth);
void auth_change_cancel_all(struct auth *auth);

#endif
