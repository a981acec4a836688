/* What a connection may take of its loop's time, and how long it rests when that was too much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "toll.h"

#define SECOND_US INT64_C(1000000)

static void an_honest_client_never_rests(void **state) {
	(void)state;
	struct toll toll = {0};
	int64_t now = SECOND_US;
	for (int i = 0; i < 1000; i++, now += SECOND_US / 50) {
		assert_int_equal(toll_take(&toll, 200, now, now), 0);
	}
}

static void a_flood_gets_a_fiftieth_of_the_time(void **state) {
	(void)state;
	struct toll toll = {0};
	int64_t now = SECOND_US, used = 0;
	while (now < 101 * SECOND_US) {
		now += 20;
		used += 20;
		now += toll_take(&toll, 20, now, now);
	}
	assert_in_range(used, SECOND_US, 100 * SECOND_US / 48);
}

static void a_long_hold_costs_more_than_short_ones_that_last_as_long(void **state) {
	(void)state;
	struct toll one = {0}, many = {0};
	int64_t rest = 0;
	for (int i = 0; i < 20; i++) {
		rest = toll_take(&many, 250, SECOND_US, SECOND_US);
	}
	assert_int_equal(rest, 5000 * TOLL_SHORT_PRICE);
	assert_int_equal(toll_take(&one, 5000, SECOND_US, SECOND_US), 5000 * TOLL_LONG_PRICE);
}

static void time_that_passed_since_the_work_began_is_rest(void **state) {
	(void)state;
	struct toll toll = {0};
	assert_int_equal(toll_take(&toll, 5000, SECOND_US, 3 * SECOND_US), 0);
	assert_int_equal(toll_take(&toll, 5000, SECOND_US, SECOND_US), SECOND_US + SECOND_US);
}

static void no_rest_and_no_debt_is_without_end(void **state) {
	(void)state;
	struct toll toll = {0};
	assert_int_equal(toll_take(&toll, INT64_MAX, SECOND_US, SECOND_US), TOLL_REST_MAX_US);
	assert_int_equal(toll_take(&toll, INT64_MAX, SECOND_US, SECOND_US), TOLL_REST_MAX_US);
	assert_int_equal(toll_take(&toll, 1, SECOND_US + TOLL_DEBT_MAX_US, SECOND_US + TOLL_DEBT_MAX_US), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_honest_client_never_rests),
		cmocka_unit_test(a_flood_gets_a_fiftieth_of_the_time),
		cmocka_unit_test(a_long_hold_costs_more_than_short_ones_that_last_as_long),
		cmocka_unit_test(time_that_passed_since_the_work_began_is_rest),
		cmocka_unit_test(no_rest_and_no_debt_is_without_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
