#include "base/id.h"
#include "base_test.h"

static void test_form(void **state) {
	(void)state;
	char id[ID_SIZE];
	id_make(id, "resp", 0x0123456789ab);
	assert_int_equal(strlen(id), 45);
	assert_memory_equal(id, "resp_0123456789ab", 17);
	assert_true(id_is(str_of(id), "resp"));
	assert_false(id_is(str_of(id), "res"));
	assert_false(id_is(str_of(id), "msg"));
	assert_false(id_is(str_of(id), "resp_0"));
	id_make(id, "p", -5);
	assert_memory_equal(id, "p_000000000000", 14);
	id_make(id, "sixteen_letters_and_more", INT64_MAX);
	assert_memory_equal(id, "sixteen_letters__ffffffffffff", 29);
	assert_in_range(strlen(id), 1, ID_SIZE - 1);
}

static void test_strangers(void **state) {
	(void)state;
	char id[ID_SIZE];
	id_make(id, "resp", 1);
	struct str whole = str_of(id);
	for (size_t cut = 0; cut < whole.length; cut++) {
		char *copy = exact_copy(id, cut);
		assert_false(id_is((struct str){copy, cut}, "resp"));
		free(copy);
	}
	static const char bad[] = {'g', 'A', '_', ' ', '\0'};
	for (size_t i = 0; i < sizeof bad; i++) {
		char changed[ID_SIZE];
		memcpy(changed, id, sizeof changed);
		changed[20] = bad[i];
		assert_false(id_is((struct str){changed, whole.length}, "resp"));
	}
	char longer[ID_SIZE + 1];
	snprintf(longer, sizeof longer, "%s0", id);
	assert_false(id_is(str_of(longer), "resp"));
	assert_false(id_is(STR_NONE, "resp"));
}

static void test_order_and_chance(void **state) {
	(void)state;
	char before[ID_SIZE];
	char after[ID_SIZE];
	char same[ID_SIZE];
	id_make(before, "a", 1763664445123);
	id_make(after, "a", 1763664445124);
	id_make(same, "a", 1763664445124);
	assert_true(strcmp(before, after) < 0);
	assert_memory_equal(after, same, 14);
	assert_string_not_equal(after, same);
}

static void test_every_digit_varies(void **state) {
	(void)state;
	uint16_t seen[28] = {0};
	for (int round = 0; round < 1000; round++) {
		char id[ID_SIZE];
		id_make(id, "a", 0);
		for (size_t i = 0; i < COUNT(seen); i++) {
			const char *digits = "0123456789abcdef";
			seen[i] |= (uint16_t)(1U << (strchr(digits, id[14 + i]) - digits));
		}
	}
	for (size_t i = 0; i < COUNT(seen); i++) {
		assert_int_equal(seen[i], 0xFFFF);
	}
}

static void test_copy(void **state) {
	(void)state;
	char id[ID_SIZE] = "old";
	assert_int_equal(id_copy(id, STR("resp_AZaz09-_")), 0);
	assert_string_equal(id, "resp_AZaz09-_");
	char longest[ID_SIZE + 1];
	memset(longest, 'x', sizeof longest);
	longest[ID_SIZE] = '\0';
	assert_int_equal(id_copy(id, str_of(longest)), -1);
	assert_int_equal(id_copy(id, STR_NONE), -1);
	const char *bad[] = {"a b", "a/b", "a.b", "a\n", "\xC3\xA9", "../etc"};
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(id_copy(id, str_of(bad[i])), -1);
	}
	assert_int_equal(id_copy(id, STR("a\0b")), -1);
	assert_string_equal(id, "resp_AZaz09-_");
	assert_int_equal(id_copy(id, (struct str){longest, ID_SIZE - 1}), 0);
	assert_int_equal(strlen(id), ID_SIZE - 1);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_order_and_chance),
		cmocka_unit_test(test_every_digit_varies),
		cmocka_unit_test(test_copy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
