/* What one connection, and one user over HTTP, may ask for: rates of requests and bytes, and how often a refusal is
 * ignored before the connection is closed. Pure; time is passed in, in microseconds. */
#ifndef SLUICE_EDGE_LIMITER_H
#define SLUICE_EDGE_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

#include "limit/gcra.h"
#include "proto/error.h"

/* Zeroed is full. */
struct limiter {
	struct gcra requests;
	struct gcra bytes;
	int64_t refusals_since_us; /* start of the minute that is counted */
	uint32_t refusals;
};

/* Takes one request. `state` (may be NULL) tells what is left either way. -1 with RATE_LIMITED. */
int limiter_take_request(struct gcra *bucket, const struct gcra_rate *rate, int64_t now_us,
			 struct api_limit_state *state, struct api_error *error);
/* Takes the bytes of a message. -1 with RATE_LIMITED. */
int limiter_take_bytes(struct gcra *bucket, const struct gcra_rate *rate, int64_t now_us, size_t bytes,
		       struct api_error *error);
/* Counts a refusal; whether there were more than `most` within a minute. */
bool limiter_is_abuse(struct limiter *limiter, uint32_t most, int64_t now_us);

#endif
