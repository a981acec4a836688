/* What all calls share: the servers, the connections to them, the deadlines. Private to the upstream layer. */
#ifndef SLUICE_UPSTREAM_UPSTREAM_H
#define SLUICE_UPSTREAM_UPSTREAM_H

#include "deadline.h"
#include "pool.h"

/* The deadlines of a call. Each server has its own queues, for its deadlines have their own lengths: queue `q` of server
 * `n` is n * QUEUE_COUNT + q. */
enum queue { QUEUE_FIRST_TOKEN, QUEUE_SHARE, QUEUE_SILENCE, QUEUE_ENDING, QUEUE_PAUSE, QUEUE_COUNT };

struct upstream {
	const struct clock *clock;
	struct multi *multi; /* for https:// */
	struct pool *pool;
	struct deadlines *deadlines;
	struct buf scratch; /* of the chunk being read */
	struct counter *retries;
	struct counter *failovers;
	struct counter *unasked[FAULT_COUNT]; /* errors without a server; NULL: it is always one's */
	struct histogram *first_token;
	struct gauge *live;
};

#endif
