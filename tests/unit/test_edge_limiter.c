/* What a connection may ask for, and when its refusals are a nuisance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "limiter.h"

#define SECOND_US INT64_C(1000000)

static void a_burst_passes_and_the_next_is_told_when(void **state) {
	(void)state;
	struct gcra_rate rate = gcra_rate(60, 60 * SECOND_US, 3);
	struct limiter limiter = {0};
	struct api_limit_state left;
	struct api_error error;
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(limiter_take_request(&limiter.requests, &rate, SECOND_US, &left, &error), 0);
		assert_true(left.known);
		assert_int_equal(left.limit, 60);
		assert_int_equal(left.remaining, 2 - i);
	}
	assert_int_equal(limiter_take_request(&limiter.requests, &rate, SECOND_US, &left, &error), -1);
	assert_int_equal(error.code, API_RATE_LIMITED);
	assert_int_equal(error.retry_after_ms, 1000);
	assert_true(error.requests.known);
	assert_int_equal(error.requests.remaining, 0);
	assert_int_equal(error.requests.reset_ms, 3000);
	assert_int_equal(limiter_take_request(&limiter.requests, &rate, 2 * SECOND_US, NULL, &error), 0);
}

static void no_rate_is_no_limit(void **state) {
	(void)state;
	struct gcra_rate rate = gcra_rate(0, SECOND_US, 1);
	struct limiter limiter = {0};
	struct api_limit_state left = {0};
	struct api_error error;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(limiter_take_request(&limiter.requests, &rate, 0, &left, &error), 0);
		assert_false(left.known);
		assert_int_equal(limiter_take_bytes(&limiter.bytes, &rate, 0, SIZE_MAX, &error), 0);
	}
}

static void bytes_wait_their_turn_and_too_many_at_once_never_pass(void **state) {
	(void)state;
	struct gcra_rate rate = gcra_rate(1000, SECOND_US, 4000);
	struct limiter limiter = {0};
	struct api_error error;
	assert_int_equal(limiter_take_bytes(&limiter.bytes, &rate, SECOND_US, 4000, &error), 0);
	assert_int_equal(limiter_take_bytes(&limiter.bytes, &rate, SECOND_US, 500, &error), -1);
	assert_int_equal(error.code, API_RATE_LIMITED);
	assert_int_equal(error.retry_after_ms, 500);
	assert_int_equal(limiter_take_bytes(&limiter.bytes, &rate, SECOND_US, 4001, &error), -1);
	assert_int_equal(error.code, API_MESSAGE_TOO_LARGE);
	assert_int_equal(limiter_take_bytes(&limiter.bytes, &rate, SECOND_US, (size_t)1 << 32, &error), -1);
	assert_int_equal(error.code, API_MESSAGE_TOO_LARGE);
}

static void refusals_are_abuse_only_within_a_minute(void **state) {
	(void)state;
	struct limiter limiter = {0};
	for (int i = 0; i < 5; i++) {
		assert_false(limiter_is_abuse(&limiter, 5, i * SECOND_US));
	}
	assert_true(limiter_is_abuse(&limiter, 5, 59 * SECOND_US));
	struct limiter slow = {0};
	for (int i = 0; i < 100; i++) {
		assert_false(limiter_is_abuse(&slow, 5, i * 13 * SECOND_US));
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_passes_and_the_next_is_told_when),
		cmocka_unit_test(no_rate_is_no_limit),
		cmocka_unit_test(bytes_wait_their_turn_and_too_many_at_once_never_pass),
		cmocka_unit_test(refusals_are_abuse_only_within_a_minute),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
