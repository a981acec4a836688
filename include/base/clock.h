/* Time as an object, so that tests hold it in their hands. Any thread. */
#ifndef SLUICE_BASE_CLOCK_H
#define SLUICE_BASE_CLOCK_H

#include <stdint.h>

struct clock {
	int64_t (*monotonic_us)(const struct clock *clock); /* microseconds, never goes back, any origin */
	int64_t (*wall_ms)(const struct clock *clock);      /* milliseconds since 1970-01-01 UTC; may jump */
};

/* CLOCK_MONOTONIC and CLOCK_REALTIME. Static. */
const struct clock *clock_system(void);

/* Processor time of the thread that asks: what it has done, without what others did meanwhile. A system call. */
int64_t clock_thread_us(void);

static inline int64_t clock_monotonic_us(const struct clock *clock) {
	return clock->monotonic_us(clock);
}

static inline int64_t clock_wall_ms(const struct clock *clock) {
	return clock->wall_ms(clock);
}

/* A clock that moves only when told: set the fields, pass &fake.clock. */
struct clock_fake {
	struct clock clock;
	int64_t now_us;
	int64_t now_wall_ms;
};

void clock_fake_init(struct clock_fake *fake, int64_t now_us, int64_t now_wall_ms);
void clock_fake_advance_us(struct clock_fake *fake, int64_t by_us); /* both clocks */

#endif
