#include "base/clock.h"
#include "base_test.h"

static void test_system(void **state) {
	(void)state;
	const struct clock *clock = clock_system();
	int64_t last = clock_monotonic_us(clock);
	for (int i = 0; i < 1000; i++) {
		int64_t now = clock_monotonic_us(clock);
		assert_true(now >= last);
		last = now;
	}
	struct timespec real;
	clock_gettime(CLOCK_REALTIME, &real);
	int64_t away = clock_wall_ms(clock) - (int64_t)real.tv_sec * 1000;
	assert_true(away >= 0 && away < 60000);
	clock_gettime(CLOCK_MONOTONIC, &real);
	away = clock_monotonic_us(clock) - (int64_t)real.tv_sec * 1000000;
	assert_true(away >= 0 && away < 60000000);
}

static void test_fake(void **state) {
	(void)state;
	struct clock_fake fake;
	clock_fake_init(&fake, 500, 1000);
	assert_int_equal(clock_monotonic_us(&fake.clock), 500);
	assert_int_equal(clock_wall_ms(&fake.clock), 1000);
	clock_fake_advance_us(&fake, 2000000);
	assert_int_equal(clock_monotonic_us(&fake.clock), 2000500);
	assert_int_equal(clock_wall_ms(&fake.clock), 3000);
	fake.now_wall_ms = 5;
	assert_int_equal(clock_wall_ms(&fake.clock), 5);
}

static void test_small_steps_of_the_fake_add_up(void **state) {
	(void)state;
	struct clock_fake fake;
	clock_fake_init(&fake, 0, 0);
	for (int i = 0; i < 10000; i++) {
		clock_fake_advance_us(&fake, 300);
	}
	assert_int_equal(clock_monotonic_us(&fake.clock), 3000000);
	assert_int_equal(clock_wall_ms(&fake.clock), 3000);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_system),
		cmocka_unit_test(test_fake),
		cmocka_unit_test(test_small_steps_of_the_fake_add_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
