/* The generic cell rate algorithm (ITU-T I.371): a steady rate with a burst, kept as one moment. Pure; time is passed in, in
 * microseconds of a monotonic clock, not negative. Exact: nothing is rounded into the state. Should the clock go back, a
 * bucket is at worst empty, never more than a whole burst away from full. */
#ifndef SLUICE_LIMIT_GCRA_H
#define SLUICE_LIMIT_GCRA_H

#include <stdbool.h>
#include <stdint.h>

/* The rule. Build with gcra_rate. */
struct gcra_rate {
	int64_t period_us;
	uint32_t limit; /* units per period, as told to clients; 0: no limit */
	uint32_t burst; /* units at once, from full */
};

/* The state: the theoretical arrival time, exact to the fraction of a microsecond that units per period make. Zeroed is
 * full. Belongs to one rate. */
struct gcra {
	int64_t tat_us;
	uint32_t tat_part; /* in 1/limit of a microsecond */
};

struct gcra_verdict {
	bool allowed;
	uint32_t remaining;     /* whole units that could be taken now */
	int64_t retry_after_us; /* until this request would be allowed; 0 when it was; -1 when it never can be */
	int64_t reset_us;       /* until the whole burst is there again */
};

/* `units` per `period_us` (at least 1), and `burst` units at once (at least 1). units 0: no limit. */
struct gcra_rate gcra_rate(uint32_t units, int64_t period_us, uint32_t burst);
/* Takes `cost` units, all or none. A cost of 0 is always allowed. */
struct gcra_verdict gcra_take(struct gcra *state, const struct gcra_rate *rate, int64_t now_us, uint32_t cost);
/* What gcra_take would say for one unit, without taking it. */
struct gcra_verdict gcra_peek(const struct gcra *state, const struct gcra_rate *rate, int64_t now_us);

#endif
