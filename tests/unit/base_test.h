/* What the tests of base share. */
#ifndef SLUICE_TESTS_BASE_TEST_H
#define SLUICE_TESTS_BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline void assert_str(struct str actual, const char *expected) {
	if (!str_is(actual, expected)) {
		fail_msg("got \"%.*s\", expected \"%s\"", STR_ARG(actual), expected);
	}
}

/* A copy that ends exactly where its block of memory ends, so that AddressSanitizer sees a read past it. */
static inline char *exact_copy(const void *bytes, size_t length) {
	char *copy = malloc(length > 0 ? length : 1);
	assert_non_null(copy);
	if (length > 0) {
		memcpy(copy, bytes, length);
	}
	return copy;
}

/* The seed of a randomised test: SLUICE_TEST_SEED, or the time; printed, so that a failure can be repeated. */
static inline uint64_t test_seed(void) {
	const char *given = getenv("SLUICE_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	printf("SLUICE_TEST_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

/* splitmix64 */
static inline uint64_t test_random(uint64_t *state) {
	uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

#endif
