#include "base_test.h"
#include "limit/gcra.h"

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)

static void test_a_burst_and_then_the_rate(void **state) {
	(void)state;
	struct gcra_rate rate = gcra_rate(100, MINUTE, 20);
	struct gcra bucket = {0};
	int64_t now = 5 * SECOND;
	for (uint32_t i = 0; i < 20; i++) {
		struct gcra_verdict said = gcra_take(&bucket, &rate, now, 1);
		assert_true(said.allowed);
		assert_int_equal(said.remaining, 19 - i);
		assert_int_equal(said.retry_after_us, 0);
		assert_int_equal(said.reset_us, (i + 1) * 600000);
	}
	struct gcra_verdict said = gcra_take(&bucket, &rate, now, 1);
	assert_false(said.allowed);
	assert_int_equal(said.remaining, 0);
	assert_int_equal(said.retry_after_us, 600000);
	assert_int_equal(said.reset_us, 12 * SECOND);
	assert_false(gcra_take(&bucket, &rate, now + 599999, 1).allowed);
	assert_true(gcra_take(&bucket, &rate, now + 600000, 1).allowed);
	assert_false(gcra_take(&bucket, &rate, now + 600000, 1).allowed);
	/* Full again, and not fuller than full. */
	now += 3600 * SECOND;
	said = gcra_peek(&bucket, &rate, now);
	assert_int_equal(said.remaining, 20);
	assert_int_equal(said.reset_us, 0);
}

static void test_all_or_none(void **state) {
	(void)state;
	struct gcra_rate rate = gcra_rate(10, SECOND, 10);
	struct gcra bucket = {0};
	assert_int_equal(gcra_take(&bucket, &rate, 0, 7).remaining, 3);
	struct gcra_verdict said = gcra_take(&bucket, &rate, 0, 5);
	assert_false(said.allowed);
	assert_int_equal(said.remaining, 3);
	assert_int_equal(said.retry_after_us, 200000);
	said = gcra_take(&bucket, &rate, 0, 11);
	assert_false(said.allowed);
	assert_int_equal(said.retry_after_us, -1);
	said = gcra_take(&bucket, &rate, 0, 0);
	assert_true(said.allowed);
	assert_int_equal(said.remaining, 3);
	assert_true(gcra_take(&bucket, &rate, 0, 3).allowed);
	assert_true(gcra_take(&bucket, &rate, 0, 0).allowed);
	assert_false(gcra_take(&bucket, &rate, 0, 1).allowed);
}

static void test_peek_takes_nothing(void **state) {
	(void)state;
	struct gcra_rate rate = gcra_rate(1, SECOND, 2);
	struct gcra bucket = {0};
	for (int i = 0; i < 5; i++) {
		struct gcra_verdict said = gcra_peek(&bucket, &rate, SECOND);
		assert_true(said.allowed);
		assert_int_equal(said.remaining, 2);
		assert_int_equal(said.reset_us, 0);
	}
	gcra_take(&bucket, &rate, SECOND, 2);
	struct gcra_verdict said = gcra_peek(&bucket, &rate, SECOND);
	assert_false(said.allowed);
	assert_int_equal(said.remaining, 0);
	assert_int_equal(said.retry_after_us, SECOND);
	assert_int_equal(said.reset_us, 2 * SECOND);
}

static void test_no_limit(void **state) {
	(void)state;
	struct gcra_rate rate = gcra_rate(0, SECOND, 5);
	struct gcra bucket = {0};
	for (int i = 0; i < 100; i++) {
		assert_true(gcra_take(&bucket, &rate, 0, UINT32_MAX).allowed);
	}
	assert_int_equal(gcra_peek(&bucket, &rate, 0).remaining, UINT32_MAX);
	assert_int_equal(bucket.tat_us, 0);
}

/* Rates that no whole number of microseconds expresses are met exactly over any length of time. */
static void test_nothing_is_rounded_away(void **state) {
	(void)state;
	static const uint32_t units[] = {3, 7, 999983, 262144, 4000000000U};
	for (size_t i = 0; i < COUNT(units); i++) {
		struct gcra_rate rate = gcra_rate(units[i], SECOND, units[i]);
		struct gcra bucket = {0};
		int64_t now = 0;
		assert_true(gcra_take(&bucket, &rate, now, units[i]).allowed);
		for (int second = 0; second < 1000; second++) {
			/* A second brings just so many: not one less, not one more. */
			now += SECOND - 1;
			assert_false(gcra_take(&bucket, &rate, now, units[i]).allowed);
			now += 1;
			for (uint32_t taken = 0; taken < units[i];) {
				uint32_t piece = units[i] - taken < units[i] / 3 ? units[i] - taken : units[i] / 3;
				assert_true(gcra_take(&bucket, &rate, now, piece).allowed);
				taken += piece;
			}
			assert_false(gcra_take(&bucket, &rate, now, 1).allowed);
		}
	}
}

static void test_the_clock_goes_back(void **state) {
	(void)state;
	struct gcra_rate rate = gcra_rate(10, SECOND, 5);
	struct gcra bucket = {0};
	int64_t now = 1000000 * SECOND;
	gcra_take(&bucket, &rate, now, 3);
	/* At worst empty: a whole burst later it is full. */
	struct gcra_verdict said = gcra_peek(&bucket, &rate, 0);
	assert_false(said.allowed);
	assert_int_equal(said.retry_after_us, 100000);
	assert_int_equal(said.reset_us, 500000);
	assert_false(gcra_take(&bucket, &rate, 0, 1).allowed);
	assert_false(gcra_take(&bucket, &rate, 99999, 1).allowed);
	assert_true(gcra_take(&bucket, &rate, 100000, 1).allowed);
	assert_int_equal(gcra_peek(&bucket, &rate, 700000).remaining, 5);
}

static void test_extremes(void **state) {
	(void)state;
	struct gcra_rate rate = gcra_rate(UINT32_MAX, INT64_MAX, UINT32_MAX);
	struct gcra bucket = {0};
	struct gcra_verdict said = gcra_take(&bucket, &rate, INT64_MAX, UINT32_MAX);
	assert_true(said.allowed);
	assert_int_equal(said.remaining, 0);
	assert_int_equal(said.reset_us, INT64_MAX);
	rate = gcra_rate(1, INT64_MAX, UINT32_MAX);
	bucket = (struct gcra){0};
	said = gcra_take(&bucket, &rate, INT64_MAX, UINT32_MAX);
	assert_true(said.allowed);
	assert_int_equal(said.reset_us, INT64_MAX);
	said = gcra_take(&bucket, &rate, 0, UINT32_MAX);
	assert_false(said.allowed);
	assert_int_equal(said.retry_after_us, INT64_MAX);
	/* Nonsense becomes the strictest that makes sense. */
	rate = gcra_rate(5, 0, 0);
	assert_int_equal(rate.period_us, 1);
	rate = gcra_rate(5, -1, 0);
	assert_int_equal(rate.period_us, 1);
	assert_int_equal(rate.burst, 1);
	bucket = (struct gcra){0};
	assert_true(gcra_take(&bucket, &rate, 0, 1).allowed);
	assert_false(gcra_take(&bucket, &rate, 0, 1).allowed);
	assert_true(gcra_take(&bucket, &rate, 1, 1).allowed);
}

/* The naive reference: a heap of `burst` tokens that time refills, counted in fractions of a token. */
struct heap {
	__extension__ __int128 fill; /* tokens times period */
	int64_t then;
};

static bool heap_take(struct heap *heap, const struct gcra_rate *rate, int64_t now, uint32_t cost) {
	__extension__ typedef __int128 wide;
	wide full = (wide)rate->burst * rate->period_us;
	heap->fill += (wide)(now - heap->then) * rate->limit;
	heap->then = now;
	if (heap->fill > full) {
		heap->fill = full;
	}
	if (heap->fill < (wide)cost * rate->period_us) {
		return false;
	}
	heap->fill -= (wide)cost * rate->period_us;
	return true;
}

static int64_t random_below(uint64_t *seed, int64_t bound) {
	return (int64_t)(test_random(seed) % (uint64_t)bound);
}

/* What is said about waiting holds to the microsecond. */
static void assert_wait_is_exact(const struct gcra *bucket, const struct gcra_rate *rate, int64_t now, uint32_t cost,
				 int64_t wait) {
	if (cost > rate->burst) {
		assert_int_equal(wait, -1);
		return;
	}
	struct gcra early = *bucket;
	struct gcra due = *bucket;
	assert_true(wait > 0);
	assert_false(gcra_take(&early, rate, now + wait - 1, cost).allowed);
	assert_true(gcra_take(&due, rate, now + wait, cost).allowed);
}

static void run_schedule(uint64_t *seed) {
	struct gcra_rate rate = gcra_rate((uint32_t)random_below(seed, 1000) + 1,
					  random_below(seed, 100) == 0 ? 1 : random_below(seed, MINUTE) + 1,
					  (uint32_t)random_below(seed, 30) + 1);
	struct gcra bucket = {0};
	int64_t now = random_below(seed, MINUTE);
	struct heap heap = {.then = now};
	heap.fill = rate.burst;
	heap.fill *= rate.period_us;
	int64_t pace = rate.period_us / rate.limit + 2;
	for (int step = 0; step < 300; step++) {
		now += random_below(seed, 20) == 0 ? random_below(seed, pace * rate.burst * 2)
						   : random_below(seed, pace);
		uint32_t cost = random_below(seed, 4) == 0 ? (uint32_t)random_below(seed, rate.burst + 2) : 1;
		struct gcra_verdict said = gcra_take(&bucket, &rate, now, cost);
		assert_int_equal(said.allowed, heap_take(&heap, &rate, now, cost));
		assert_int_equal(said.remaining, (uint32_t)(heap.fill / rate.period_us));
		if (said.allowed) {
			assert_int_equal(said.retry_after_us, 0);
		} else {
			assert_wait_is_exact(&bucket, &rate, now, cost, said.retry_after_us);
		}
		assert_int_equal(gcra_peek(&bucket, &rate, now + said.reset_us).remaining, rate.burst);
	}
}

static void test_random_schedules_agree_with_the_reference(void **state) {
	(void)state;
	uint64_t seed = test_seed();
	for (int i = 0; i < 2000; i++) {
		run_schedule(&seed);
	}
}

/* No stretch of time, however chosen, lets more through than the burst and what the rate brought meanwhile. */
static void test_no_window_gets_too_much(void **state) {
	(void)state;
	enum { STEPS = 400 };
	uint64_t seed = test_seed();
	for (int round = 0; round < 50; round++) {
		struct gcra_rate rate =
			gcra_rate((uint32_t)random_below(&seed, 50) + 1, random_below(&seed, SECOND) + 1,
				  (uint32_t)random_below(&seed, 10) + 1);
		struct gcra bucket = {0};
		int64_t at[STEPS];
		uint32_t taken[STEPS];
		int64_t now = 0;
		for (int i = 0; i < STEPS; i++) {
			now += random_below(&seed, rate.period_us / rate.limit + 2);
			uint32_t cost = (uint32_t)random_below(&seed, 3) + 1;
			at[i] = now;
			taken[i] = gcra_take(&bucket, &rate, now, cost).allowed ? cost : 0;
		}
		for (int first = 0; first < STEPS; first++) {
			int64_t sum = 0;
			for (int last = first; last < STEPS; last++) {
				sum += taken[last];
				/* sum - burst <= time * limit / period, without dividing */
				assert_true((sum - rate.burst) * rate.period_us <= (at[last] - at[first]) * rate.limit);
			}
		}
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_burst_and_then_the_rate),
		cmocka_unit_test(test_all_or_none),
		cmocka_unit_test(test_peek_takes_nothing),
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_nothing_is_rounded_away),
		cmocka_unit_test(test_the_clock_goes_back),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_random_schedules_agree_with_the_reference),
		cmocka_unit_test(test_no_window_gets_too_much),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
