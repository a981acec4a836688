#include "base/clock.h"

#include <time.h>

static int64_t system_monotonic_us(const struct clock *clock) {
	(void)clock;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t system_wall_ms(const struct clock *clock) {
	(void)clock;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_thread_us(void) {
	struct timespec used;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

const struct clock *clock_system(void) {
	static const struct clock clock = {system_monotonic_us, system_wall_ms};
	return &clock;
}

/* `clock` is the first member of the fake, so the pointers convert. */
static int64_t fake_monotonic_us(const struct clock *clock) {
	return ((const struct clock_fake *)clock)->now_us;
}

static int64_t fake_wall_ms(const struct clock *clock) {
	const struct clock_fake *fake = (const struct clock_fake *)clock;
	return fake->now_wall_ms;
}

void clock_fake_init(struct clock_fake *fake, int64_t now_us, int64_t now_wall_ms) {
	*fake = (struct clock_fake){{fake_monotonic_us, fake_wall_ms}, now_us, now_wall_ms};
}

void clock_fake_advance_us(struct clock_fake *fake, int64_t by_us) {
	/* Whole milliseconds are counted from the monotonic clock, so that many small steps add up. */
	int64_t before_ms = fake->now_us / 1000;
	fake->now_us += by_us;
	fake->now_wall_ms += fake->now_us / 1000 - before_ms;
}
