/* What one connection may take of its loop's time, so that it can't make everybody else's tokens late. A token is late when
 * it comes while somebody else holds the loop, so what counts is how often that is, and for how long: short holds may take a
 * fiftieth of the time, long ones a two hundredth, well below the one token in a hundred that a p99 sees. A little may be
 * used at once. Pure; time is passed in, in microseconds of a monotonic clock. */
#ifndef SLUICE_EDGE_TOLL_H
#define SLUICE_EDGE_TOLL_H

#include <stdint.h>

/* A hold longer than this delays a token noticeably. */
#define TOLL_LONG_US 500
/* How much later a connection is read for each microsecond that it held the loop. */
#define TOLL_SHORT_PRICE 50
#define TOLL_LONG_PRICE 200
/* What short holds may use at once. */
#define TOLL_CREDIT_US 1000
/* No rest is longer, and no debt: each message then has its own rest. */
#define TOLL_REST_MAX_US 5000000
#define TOLL_DEBT_MAX_US 60000000

/* Zeroed owes nothing. */
struct toll {
	int64_t paid_us; /* the time at which all that was used is paid for */
};

/* Books what has been used for work that began at `begun_us`: time that passed since counts as rest. How long the connection has to rest; 0: not at all. */
int64_t toll_take(struct toll *toll, int64_t held_us, int64_t begun_us, int64_t now_us);

#endif
