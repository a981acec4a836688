/* A circuit breaker: a server that fails again and again is passed over for a while, then tried with one request at a time.
 * Pure: time and chance are passed in.
 *
 *   closed --failures in a row--> open --its pause is over--> half-open --the trial succeeds--> closed
 *                                  ^---the trial fails, the pause doubles---'
 */
#ifndef SLUICE_UPSTREAM_BREAKER_H
#define SLUICE_UPSTREAM_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#define BREAKER_MAX_PAUSE_MS (INT64_C(5) * 60 * 1000)

enum breaker_state {
	BREAKER_CLOSED,
	BREAKER_OPEN,      /* passed over until the pause is over */
	BREAKER_HALF_OPEN, /* one request tries it; others pass it over */
};

struct breaker_policy {
	uint32_t failures; /* in a row that open it; 0: it never opens */
	int64_t pause_ms;  /* the first one; doubles with each trial in vain up to BREAKER_MAX_PAUSE_MS */
};

/* Embedded by its owner, zeroed at first (closed) but for the policy. */
struct breaker {
	struct breaker_policy policy;
	enum breaker_state state;
	uint32_t failures; /* in a row, while closed */
	uint32_t opened;   /* in a row, without a success between: how often the pause doubled */
	int64_t until_ms;  /* while open */
};

enum breaker_leave {
	BREAKER_NO,
	BREAKER_ASK,
	BREAKER_TRIAL, /* ask, and tell how it ended: until then nobody else may */
};

/* Whether a request may be sent now. Whoever may, tells of it with one of the three below. */
enum breaker_leave breaker_take(struct breaker *breaker, int64_t now_ms);
/* What breaker_take would say, without taking it. */
bool breaker_lets(const struct breaker *breaker, int64_t now_ms);
/* It answered. True when this closed the breaker. */
bool breaker_succeed(struct breaker *breaker);
/* A failure that speaks against the server. `random` is uniform over all its values. True when this opened the breaker. */
bool breaker_fail(struct breaker *breaker, int64_t now_ms, uint64_t random);
/* A trial that ended without telling anything of the server: the next request is the trial. */
void breaker_abandon(struct breaker *breaker);
/* How long it still is open; 0 when it lets, or when that hangs on a trial under way. */
int64_t breaker_wait_ms(const struct breaker *breaker, int64_t now_ms);

#endif
