/* Every move of the circuit breaker, and the edges of its time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "breaker.h"

#define LONGEST UINT64_C(0) /* the pause without jitter */

static struct breaker of(uint32_t failures, int64_t pause_ms) {
	return (struct breaker){.policy = {failures, pause_ms}};
}

/* Opened at `now_ms` for 1000 ms. */
static struct breaker opened(int64_t now_ms) {
	struct breaker b = of(1, 1000);
	assert_true(breaker_fail(&b, now_ms, LONGEST));
	assert_int_equal(b.state, BREAKER_OPEN);
	return b;
}

static struct breaker half_open(void) {
	struct breaker b = opened(0);
	assert_int_equal(breaker_take(&b, 1000), BREAKER_TRIAL);
	assert_int_equal(b.state, BREAKER_HALF_OPEN);
	return b;
}

static void failures_in_a_row_open_it(void **state) {
	(void)state;
	struct breaker b = of(3, 1000);
	for (int round = 0; round < 3; round++) {
		assert_false(breaker_fail(&b, 0, LONGEST));
		assert_false(breaker_fail(&b, 0, LONGEST));
		assert_int_equal(breaker_take(&b, 0), BREAKER_ASK);
		/* A success between them: they are no row. */
		assert_false(breaker_succeed(&b));
	}
	assert_false(breaker_fail(&b, 5, LONGEST));
	assert_false(breaker_fail(&b, 5, LONGEST));
	assert_true(breaker_fail(&b, 5, LONGEST));
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_int_equal(breaker_take(&b, 5), BREAKER_NO);
	assert_int_equal(b.state, BREAKER_OPEN);
}

static void without_a_number_it_never_opens(void **state) {
	(void)state;
	struct breaker b = of(0, 1000);
	for (int i = 0; i < 1000; i++) {
		assert_false(breaker_fail(&b, i, LONGEST));
	}
	assert_int_equal(breaker_take(&b, 0), BREAKER_ASK);
}

static void its_pause_is_exact(void **state) {
	(void)state;
	struct breaker b = opened(50);
	assert_int_equal(breaker_wait_ms(&b, 50), 1000);
	assert_false(breaker_lets(&b, 1049));
	assert_int_equal(breaker_wait_ms(&b, 1049), 1);
	assert_int_equal(breaker_take(&b, 1049), BREAKER_NO);
	assert_true(breaker_lets(&b, 1050));
	assert_int_equal(breaker_wait_ms(&b, 1050), 0);
	assert_int_equal(b.state, BREAKER_OPEN); /* looking is not taking */
	assert_int_equal(breaker_take(&b, 1050), BREAKER_TRIAL);
	assert_int_equal(b.state, BREAKER_HALF_OPEN);
}

static void one_trial_at_a_time(void **state) {
	(void)state;
	struct breaker b = half_open();
	assert_false(breaker_lets(&b, 100000));
	assert_int_equal(breaker_take(&b, 100000), BREAKER_NO);
	assert_int_equal(breaker_wait_ms(&b, 100000), 0);
}

static void a_trial_closes_it(void **state) {
	(void)state;
	struct breaker b = half_open();
	assert_true(breaker_succeed(&b));
	assert_int_equal(b.state, BREAKER_CLOSED);
	assert_int_equal(breaker_take(&b, 1000), BREAKER_ASK);
	/* And it begins anew: the pause is the first one again. */
	assert_true(breaker_fail(&b, 1000, LONGEST));
	assert_int_equal(breaker_wait_ms(&b, 1000), 1000);
}

static void a_trial_in_vain_doubles_the_pause(void **state) {
	(void)state;
	struct breaker b = of(1, 10000);
	static const int64_t pauses[] = {10000, 20000, 40000, 80000, 160000, 300000, 300000, 300000};
	int64_t now = 0;
	for (size_t i = 0; i < sizeof pauses / sizeof pauses[0]; i++) {
		assert_true(breaker_fail(&b, now, LONGEST));
		assert_int_equal(b.state, BREAKER_OPEN);
		assert_int_equal(breaker_wait_ms(&b, now), pauses[i]);
		now += pauses[i];
		assert_int_equal(breaker_take(&b, now), BREAKER_TRIAL);
	}
	b = of(1, INT64_MAX);
	assert_true(breaker_fail(&b, 0, LONGEST));
	assert_int_equal(breaker_wait_ms(&b, 0), BREAKER_MAX_PAUSE_MS);
}

static void chance_shortens_the_pause_by_half_at_most(void **state) {
	(void)state;
	int64_t least = INT64_MAX;
	int64_t most = 0;
	for (uint64_t random = 0; random < 2000; random++) {
		struct breaker b = of(1, 1000);
		breaker_fail(&b, 0, random);
		int64_t wait = breaker_wait_ms(&b, 0);
		least = wait < least ? wait : least;
		most = wait > most ? wait : most;
	}
	assert_int_equal(least, 500);
	assert_int_equal(most, 1000);
	struct breaker b = of(1, 1000);
	breaker_fail(&b, 0, UINT64_MAX);
	assert_in_range(breaker_wait_ms(&b, 0), 500, 1000);
	b = of(1, 0);
	breaker_fail(&b, 0, UINT64_MAX);
	assert_int_equal(breaker_wait_ms(&b, 0), 0);
}

static void a_trial_without_a_verdict_is_followed_by_another(void **state) {
	(void)state;
	struct breaker b = half_open();
	breaker_abandon(&b);
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_int_equal(breaker_wait_ms(&b, 1000), 0);
	assert_int_equal(breaker_take(&b, 1000), BREAKER_TRIAL);
	/* What it knew of earlier ones it still knows. */
	assert_true(breaker_fail(&b, 1000, LONGEST));
	assert_int_equal(breaker_wait_ms(&b, 1000), 2000);
}

static void late_news_while_open(void **state) {
	(void)state;
	struct breaker b = opened(0);
	assert_false(breaker_fail(&b, 500, LONGEST));
	assert_int_equal(breaker_wait_ms(&b, 500), 500);
	breaker_abandon(&b); /* of one that was no trial */
	assert_int_equal(breaker_wait_ms(&b, 500), 500);
	assert_true(breaker_succeed(&b));
	assert_int_equal(breaker_take(&b, 500), BREAKER_ASK);
	breaker_abandon(&b);
	assert_int_equal(b.state, BREAKER_CLOSED);
}

static void time_at_its_ends(void **state) {
	(void)state;
	struct breaker b = opened(INT64_MAX - 10);
	assert_int_equal(breaker_wait_ms(&b, INT64_MAX - 10), 10);
	assert_int_equal(breaker_take(&b, INT64_MAX), BREAKER_TRIAL);
	b = opened(INT64_MIN);
	assert_int_equal(breaker_wait_ms(&b, INT64_MIN), 1000);
	b = opened(INT64_MAX - 1000);
	/* A clock that went back: it waits on, and nothing overflows. */
	assert_int_equal(breaker_wait_ms(&b, INT64_MIN), INT64_MAX);
	assert_int_equal(breaker_take(&b, INT64_MIN), BREAKER_NO);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failures_in_a_row_open_it),
		cmocka_unit_test(without_a_number_it_never_opens),
		cmocka_unit_test(its_pause_is_exact),
		cmocka_unit_test(one_trial_at_a_time),
		cmocka_unit_test(a_trial_closes_it),
		cmocka_unit_test(a_trial_in_vain_doubles_the_pause),
		cmocka_unit_test(chance_shortens_the_pause_by_half_at_most),
		cmocka_unit_test(a_trial_without_a_verdict_is_followed_by_another),
		cmocka_unit_test(late_news_while_open),
		cmocka_unit_test(time_at_its_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
