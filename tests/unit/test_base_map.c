#include "base/map.h"
#include "base_test.h"
#include "siphash.h"

/* The first and some later of the reference vectors that come with the paper's code: key 00 01 .. 0f, input of n bytes
 * 00 01 .. */
static void test_siphash_reference(void **state) {
	(void)state;
	static const struct {
		size_t length;
		uint64_t hash;
	} vectors[] = {{0, UINT64_C(0x726fdb47dd0e0e31)},
		       {1, UINT64_C(0x74f839c593dc67fd)},
		       {7, UINT64_C(0xab0200f58b01d137)},
		       {8, UINT64_C(0x93f5f5799a932462)},
		       {15, UINT64_C(0xa129ca6149be45e5)}};
	uint8_t bytes[16];
	for (size_t i = 0; i < sizeof bytes; i++) {
		bytes[i] = (uint8_t)i;
	}
	for (size_t i = 0; i < COUNT(vectors); i++) {
		assert_true(siphash(bytes, bytes, vectors[i].length) == vectors[i].hash);
	}
}

static void test_put_get_remove(void **state) {
	(void)state;
	struct map *map = map_new();
	int one = 1;
	int two = 2;
	assert_null(map_get(map, STR("a")));
	assert_null(map_remove(map, STR("a")));
	assert_int_equal(map_put(map, STR("a"), &one), 0);
	assert_int_equal(map_put(map, STR(""), &two), 0);
	assert_int_equal(map_put(map, STR("a\0b"), &two), 0);
	assert_ptr_equal(map_get(map, STR("a")), &one);
	assert_ptr_equal(map_get(map, STR_NONE), &two);
	assert_ptr_equal(map_get(map, STR("a\0b")), &two);
	assert_null(map_get(map, STR("a\0c")));
	assert_int_equal(map_count(map), 3);
	assert_int_equal(map_put(map, STR("a"), &two), 0);
	assert_ptr_equal(map_get(map, STR("a")), &two);
	assert_int_equal(map_count(map), 3);
	assert_ptr_equal(map_remove(map, STR("a")), &two);
	assert_null(map_get(map, STR("a")));
	assert_int_equal(map_count(map), 2);
	map_free(&map);
	assert_null(map);
	map_free(&map);
}

#define KEYS 500

static struct str key_of(char text[static 16], size_t i) {
	snprintf(text, 16, "key-%zu", i);
	return str_of(text);
}

static void test_against_a_plain_array(void **state) {
	(void)state;
	uint64_t seed = test_seed();
	struct map *map = map_new();
	static char values[KEYS];
	bool there[KEYS] = {false};
	size_t count = 0;
	for (int round = 0; round < 200000; round++) {
		size_t i = test_random(&seed) % KEYS;
		char text[16];
		struct str key = key_of(text, i);
		/* Waves of growth and decline. */
		bool put = test_random(&seed) % 100 < (round / 20000 % 2 == 0 ? 70 : 30);
		if (put) {
			assert_int_equal(map_put(map, key, &values[i]), 0);
			count += !there[i];
		} else {
			assert_ptr_equal(map_remove(map, key), there[i] ? &values[i] : NULL);
			count -= there[i];
		}
		there[i] = put;
		assert_int_equal(map_count(map), count);
		size_t other = test_random(&seed) % KEYS;
		assert_ptr_equal(map_get(map, key_of(text, other)), there[other] ? &values[other] : NULL);
	}
	map_free(&map);
}

static void test_walk_with_removal(void **state) {
	(void)state;
	struct map *map = map_new();
	int seen[KEYS] = {0};
	for (size_t i = 0; i < KEYS; i++) {
		char text[16];
		assert_int_equal(map_put(map, key_of(text, i), &seen[i]), 0);
	}
	size_t position = 0;
	struct str key;
	void *value;
	for (int i = 0; map_next(map, &position, &key, &value); i++) {
		++*(int *)value;
		if (i % 2 == 0) {
			char copy[16];
			assert_int_equal(str_copy(copy, sizeof copy, key), 0);
			assert_ptr_equal(map_remove(map, str_of(copy)), value);
		}
	}
	for (size_t i = 0; i < KEYS; i++) {
		assert_int_equal(seen[i], 1);
	}
	assert_int_equal(map_count(map), KEYS / 2);
	position = 0;
	size_t left = 0;
	while (map_next(map, &position, NULL, NULL)) {
		left++;
	}
	assert_int_equal(left, KEYS / 2);
	map_free(&map);
}

static void test_churn_does_not_grow(void **state) {
	(void)state;
	struct map *map = map_new();
	int value;
	uint64_t before = mem_alloc_count();
	for (size_t i = 0; i < 100000; i++) {
		char text[16];
		struct str key = key_of(text, i);
		assert_int_equal(map_put(map, key, &value), 0);
		assert_ptr_equal(map_remove(map, key), &value);
	}
	/* One for each key, and the table swept of its tombstones now and then. */
	assert_in_range(mem_alloc_count() - before, 100000, 120000);
	size_t position = 0;
	assert_false(map_next(map, &position, NULL, NULL));
	assert_in_range(position, 0, 64);
	map_free(&map);
}

static void test_every_allocation_may_fail(void **state) {
	(void)state;
	static int values[100];
	bool clean = false;
	uint64_t nth = 1;
	for (; !clean; nth++) {
		mem_fail_after(nth, false);
		clean = true;
		struct map *map = map_new();
		bool there[COUNT(values)] = {false};
		for (size_t i = 0; map && i < COUNT(values); i++) {
			char text[16];
			there[i] = map_put(map, key_of(text, i), &values[i]) == 0;
			clean = clean && there[i];
		}
		mem_fail_after(0, false);
		clean = clean && map;
		for (size_t i = 0; map && i < COUNT(values); i++) {
			char text[16];
			assert_ptr_equal(map_get(map, key_of(text, i)), there[i] ? &values[i] : NULL);
		}
		map_free(&map);
	}
	assert_true(nth > COUNT(values));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_siphash_reference),     cmocka_unit_test(test_put_get_remove),
		cmocka_unit_test(test_against_a_plain_array), cmocka_unit_test(test_walk_with_removal),
		cmocka_unit_test(test_churn_does_not_grow),   cmocka_unit_test(test_every_allocation_may_fail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
