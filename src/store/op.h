/* Work under way, as the layer itself sees it. */
#ifndef SLUICE_STORE_OP_H
#define SLUICE_STORE_OP_H

#include "base/list.h"
#include "store/store.h"

struct store_op {
	struct list node;          /* on a lane while it waits, on the done list when it is finished */
	struct store *store;       /* the handle of the loop that asked */
	struct store_write *write; /* the one this is part of; NULL for a read */
	union {
		store_written_fn *written;
		store_read_fn *read;
	};
	void *owner;
	struct err err;     /* ERR_NONE: it went well */
	int64_t carried_us; /* what the completions that led to it have used */
	struct store_query query;
	struct store_snapshot *snapshot;
	bool waiting;   /* no thread has taken it yet; under the core's mutex */
	bool cancelled; /* loop thread only */
};

#endif
