/* What the sources of this layer share. */
#ifndef SLUICE_AUTH_INTERNAL_H
#define SLUICE_AUTH_INTERNAL_H

#include "auth/auth.h"
#include "base/list.h"
#include "table.h"

struct auth {
	struct auth_options options;
	struct auth_deps deps;
	struct log log;
	struct auth_table *table;
	bool loaded;
	struct list changes; /* under way: struct change */
	struct store_op *load;
	auth_done_fn *load_done;
	void *load_owner;
};

static inline int64_t auth_now_ms(const struct auth *auth) {
	return clock_wall_ms(auth->deps.clock);
}

/* Takes what has expired out of memory and out of the store; if the store fails, the next load tries again. */
void auth_change_purge(struct auth *auth);
void auth_change_cancel_all(struct auth *auth);

#endif
