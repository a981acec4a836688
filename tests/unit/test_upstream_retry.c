#include "retry.h"

#include "upstream_test.h"

#define BUSY CLOSED("503 Service Unavailable", "application/json", "{\"error\":{\"message\":\"loading\"}}")

static void test_pauses(void **state) {
	(void)state;
	const struct retry_policy policy = {.retries = 6, .base_ms = 100, .max_ms = 1000};
	static const int64_t bounds[] = {100, 200, 400, 800, 1000, 1000};
	for (uint32_t tries = 1; tries <= 6; tries++) {
		int64_t bound = bounds[tries - 1];
		int64_t least = INT64_MAX;
		int64_t most = -1;
		for (uint64_t random = 0; random < 5000; random++) {
			int64_t pause = retry_pause_ms(&policy, tries, -1, random);
			least = pause < least ? pause : least;
			most = pause > most ? pause : most;
		}
		/* Full jitter: anything from nothing to the bound. */
		assert_int_equal(least, 0);
		assert_int_equal(most, bound);
		assert_in_range(retry_pause_ms(&policy, tries, -1, UINT64_MAX), 0, bound);
		/* The upstream's own wish holds when it is the longer one. */
		assert_int_equal(retry_pause_ms(&policy, tries, 1000, 5), 1000);
		assert_int_equal(retry_pause_ms(&policy, tries, 3, 50), 50);
		assert_int_equal(retry_pause_ms(&policy, tries, 1001, 5), -1);
	}
	assert_int_equal(retry_pause_ms(&policy, 7, -1, 5), -1);
	const struct retry_policy none = {0};
	assert_int_equal(retry_pause_ms(&none, 1, -1, 5), -1);
	const struct retry_policy at_once = {.retries = 1};
	assert_int_equal(retry_pause_ms(&at_once, 1, -1, 5), 0);
	const struct retry_policy huge = {.retries = UINT32_MAX, .base_ms = INT64_MAX / 2, .max_ms = INT64_MAX};
	assert_true(retry_pause_ms(&huge, 4000000, -1, UINT64_MAX / 2) >= 0);
}

static void test_succeeds_after_failures(void **state) {
	(void)state;
	WORLD({.bytes = BUSY}, {.bytes = NULL, .then = THEN_RESET}, {.bytes = STREAM HELLO});
	world_connect(&world, NULL);
	world_run(&world);
	assert_int_equal(world.outcome.error, UPSTREAM_OK);
	assert_int_equal(world.outcome.tries, 3);
	assert_int_equal(world.requests, 3);
	assert_text(&world, "Hello");
	assert_metric(&world, "sluice_upstream_retries_total 2\n");
	assert_metric(&world, "sluice_upstream_requests_total{upstream=\"default\"} 3\n");
	world_close(&world);
}

static void test_tries_are_counted(void **state) {
	(void)state;
	static const struct {
		const char *bytes;
		enum upstream_error error;
		size_t requests;
	} cases[] = {
		{BUSY, UPSTREAM_SERVER, 3},
		{CLOSED("500 No", "text/plain", ""), UPSTREAM_SERVER, 3},
		{CLOSED("502 No", "text/html", "<p>"), UPSTREAM_SERVER, 3},
		{CLOSED("504 No", "text/plain", ""), UPSTREAM_SERVER, 3},
		{CLOSED("429 No", "text/plain", ""), UPSTREAM_RATE_LIMITED, 3},
		{"", UPSTREAM_REFUSED, 3}, /* closed without a word */
		{CLOSED("501 No", "text/plain", ""), UPSTREAM_SERVER, 1},
		{CLOSED("400 No", "text/plain", ""), UPSTREAM_REJECTED, 1},
		{CLOSED("401 No", "text/plain", ""), UPSTREAM_UNAUTHORIZED, 1},
		{STREAM, UPSTREAM_CUT, 1},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct world world;
		struct answer answer = {.bytes = cases[i].bytes};
		world_open(&world, &answer, 1);
		world_connect(&world, NULL);
		world_run(&world);
		assert_int_equal(world.outcome.error, cases[i].error);
		assert_int_equal(world.outcome.tries, cases[i].requests);
		assert_int_equal(world.requests, cases[i].requests);
		assert_int_equal(world.outcome.untouched,
				 cases[i].error == UPSTREAM_RATE_LIMITED || cases[i].error == UPSTREAM_UNAUTHORIZED);
		world_close(&world);
	}
}

/* One try that may have come to a model is enough. */
static void test_a_model_that_may_have_worked(void **state) {
	(void)state;
	static const char *const firsts[] = {CLOSED("500 No", "text/plain", ""), ""};
	for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
		struct world world;
		const struct answer answers[] = {{.bytes = firsts[i]}, {.bytes = CLOSED("429 No", "text/plain", "")}};
		world_open(&world, answers, 2);
		world_connect(&world, NULL);
		world_run(&world);
		assert_int_equal(world.outcome.error, UPSTREAM_RATE_LIMITED);
		assert_int_equal(world.outcome.tries, 3);
		assert_false(world.outcome.untouched);
		world_close(&world);
	}
}

static void test_refused_is_tried_again(void **state) {
	(void)state;
	WORLD({.bytes = STREAM HELLO});
	world_connect(&world, "http://127.0.0.1:1/v1");
	world_run(&world);
	assert_int_equal(world.outcome.error, UPSTREAM_REFUSED);
	assert_int_equal(world.outcome.tries, 3);
	assert_true(world.outcome.untouched);
	world_close(&world);
}

static void test_never_after_the_first_text(void **state) {
	(void)state;
	static const enum then ends[] = {THEN_CLOSE, THEN_RESET};
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		struct world world;
		struct answer answer = {.bytes = STREAM DELTA("a"), .then = ends[i]};
		world_open(&world, &answer, 1);
		world_connect(&world, NULL);
		world_run(&world);
		assert_int_equal(world.outcome.error, UPSTREAM_CUT);
		assert_int_equal(world.outcome.tries, 1);
		assert_int_equal(world.requests, 1);
		assert_text(&world, "a");
		world_close(&world);
	}
}

static void test_retry_after(void **state) {
	(void)state;
	WORLD({.bytes = HEAD("429 No", "text/plain") "Retry-After: 1\r\nContent-Length: 0\r\n\r\n", .then = THEN_HOLD},
	      {.bytes = STREAM HELLO});
	world_connect(&world, NULL);
	uint64_t start = uv_hrtime();
	world_run(&world);
	assert_true(uv_hrtime() - start >= UINT64_C(999000000));
	assert_int_equal(world.outcome.error, UPSTREAM_OK);
	assert_int_equal(world.outcome.tries, 2);
	assert_int_equal(world.outcome.retry_after_ms, -1);
	world_close(&world);
}

static void test_retry_after_too_long(void **state) {
	(void)state;
	static const char *const fields[] = {"3600", "Sun, 06 Nov 2094 08:49:37 GMT"};
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		struct world world;
		char bytes[256];
		snprintf(bytes, sizeof bytes,
			 HEAD("503 No", "text/plain") "Retry-After: %s\r\nContent-Length: 0\r\n\r\n", fields[i]);
		struct answer answer = {.bytes = bytes, .then = THEN_HOLD};
		world_open(&world, &answer, 1);
		world_connect(&world, NULL);
		world_run(&world);
		assert_int_equal(world.outcome.error, UPSTREAM_SERVER);
		assert_int_equal(world.outcome.tries, 1);
		assert_true(world.outcome.retry_after_ms >= 3600000);
		world_close(&world);
	}
}

/* A pause that would last beyond the first token's deadline is not begun. */
static void test_no_pause_past_the_deadline(void **state) {
	(void)state;
	WORLD({.bytes = HEAD("429 No", "text/plain") "Retry-After: 2\r\nContent-Length: 0\r\n\r\n", .then = THEN_HOLD});
	world.options.first_token_timeout_ms = 1500;
	world_connect(&world, NULL);
	uint64_t start = uv_hrtime();
	world_run(&world);
	assert_true(uv_hrtime() - start < UINT64_C(1400000000));
	assert_int_equal(world.outcome.error, UPSTREAM_RATE_LIMITED);
	assert_int_equal(world.outcome.retry_after_ms, 2000);
	world_close(&world);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pauses),
		cmocka_unit_test(test_succeeds_after_failures),
		cmocka_unit_test(test_tries_are_counted),
		cmocka_unit_test(test_a_model_that_may_have_worked),
		cmocka_unit_test(test_refused_is_tried_again),
		cmocka_unit_test(test_never_after_the_first_text),
		cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_retry_after_too_long),
		cmocka_unit_test(test_no_pause_past_the_deadline),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
