#include <pthread.h>

#include "base_test.h"

static void test_zero_bytes_are_not_a_failure(void **state) {
	(void)state;
	void *blocks[] = {mem_alloc(0), mem_zalloc(0), mem_zarray(0, 8), mem_realloc(NULL, 0), mem_memdup_str(NULL, 0)};
	for (size_t i = 0; i < COUNT(blocks); i++) {
		assert_non_null(blocks[i]);
		mem_free(blocks[i]);
	}
	mem_free(NULL);
}

static void test_zeroed(void **state) {
	(void)state;
	uint64_t *numbers = mem_zarray(100, sizeof *numbers);
	assert_non_null(numbers);
	for (size_t i = 0; i < 100; i++) {
		assert_int_equal(numbers[i], 0);
	}
	mem_free(numbers);
}

static void test_overflow_is_refused(void **state) {
	(void)state;
	/* Kept from the compiler, which knows that this can't be had. */
	volatile size_t huge = SIZE_MAX / 2;
	assert_null(mem_zarray(huge, 3));
	assert_null(mem_memdup_str("x", huge + huge + 1));
}

static void test_copies(void **state) {
	(void)state;
	assert_null(mem_strdup(NULL));
	char *copy = mem_strdup("text");
	assert_string_equal(copy, "text");
	mem_free(copy);
	copy = mem_memdup_str("a\0b-", 3);
	assert_memory_equal(copy, "a\0b", 4);
	mem_free(copy);
}

static void test_the_nth_fails_once(void **state) {
	(void)state;
	mem_fail_after(2, false);
	void *first = mem_alloc(1);
	void *second = mem_alloc(1);
	void *third = mem_alloc(1);
	mem_fail_after(0, false);
	assert_non_null(first);
	assert_null(second);
	assert_non_null(third);
	mem_free(first);
	mem_free(third);
}

static void test_the_nth_and_all_after_fail(void **state) {
	(void)state;
	char *old = mem_strdup("old");
	mem_fail_after(1, true);
	void *one = mem_alloc(1);
	void *two = mem_zalloc(1);
	void *three = mem_zarray(1, 1);
	void *four = mem_realloc(old, 1000);
	void *five = mem_strdup("x");
	mem_fail_after(0, false);
	assert_null(one);
	assert_null(two);
	assert_null(three);
	assert_null(four);
	assert_null(five);
	assert_string_equal(old, "old");
	mem_free(old);
	void *after = mem_alloc(1);
	assert_non_null(after);
	mem_free(after);
}

#define THREADS 4
#define ROUNDS 10000

static void *allocate_often(void *failures) {
	for (int i = 0; i < ROUNDS; i++) {
		void *block = mem_alloc(1);
		if (!block) {
			++*(int *)failures;
		}
		mem_free(block);
	}
	return NULL;
}

static void test_threads_are_counted_exactly(void **state) {
	(void)state;
	pthread_t threads[THREADS];
	int failures[THREADS] = {0};
	uint64_t before = mem_alloc_count();
	mem_fail_after(THREADS * ROUNDS / 2, false);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, allocate_often, &failures[i]), 0);
	}
	int total = 0;
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		total += failures[i];
	}
	mem_fail_after(0, false);
	assert_int_equal(mem_alloc_count() - before, THREADS * ROUNDS);
	assert_int_equal(total, 1);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zero_bytes_are_not_a_failure), cmocka_unit_test(test_zeroed),
		cmocka_unit_test(test_overflow_is_refused),          cmocka_unit_test(test_copies),
		cmocka_unit_test(test_the_nth_fails_once),           cmocka_unit_test(test_the_nth_and_all_after_fail),
		cmocka_unit_test(test_threads_are_counted_exactly),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
