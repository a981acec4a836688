#include "base/err.h"
#include "base_test.h"

static void test_set(void **state) {
	(void)state;
	struct err err = {0};
	assert_int_equal(err_set(&err, ERR_LIMIT, "%d of %s", 7, "them"), -1);
	assert_int_equal(err.code, ERR_LIMIT);
	assert_string_equal(err.text, "7 of them");
	assert_int_equal(err_set(NULL, ERR_LIMIT, "x"), -1);
	assert_int_equal(err_wrap(NULL, "x"), -1);
}

static void test_set_from_its_own_text(void **state) {
	(void)state;
	struct err err = {0};
	err_set(&err, ERR_IO, "disk");
	err_set(&err, ERR_FULL, "retry: %s", err.text);
	assert_string_equal(err.text, "retry: disk");
}

static void test_wrap(void **state) {
	(void)state;
	struct err err = {0};
	err_set(&err, ERR_NOT_FOUND, "no row");
	assert_int_equal(err_wrap(&err, "thread %d", 3), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_string_equal(err.text, "thread 3: no row");
}

static void test_long_texts_are_cut(void **state) {
	(void)state;
	struct err err = {0};
	char text[400];
	memset(text, 'a', sizeof text);
	text[sizeof text - 1] = '\0';
	err_set(&err, ERR_IO, "%s", text);
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
	err_wrap(&err, "outer");
	assert_memory_equal(err.text, "outer: aaa", 10);
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
	err_wrap(&err, "%s", text);
	assert_memory_equal(err.text, "aaa", 3);
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void test_cuts_fall_between_characters(void **state) {
	(void)state;
	struct err err = {0};
	for (int shift = 0; shift < 3; shift++) {
		char text[400] = "";
		memset(text, 'a', (size_t)shift);
		for (size_t i = (size_t)shift; i + 3 < sizeof text; i += 3) {
			memcpy(text + i, "\xE2\x82\xAC", 4);
		}
		err_set(&err, ERR_IO, "%s", text);
		assert_true(str_is_utf8(str_of(err.text)));
		err_wrap(&err, "outer");
		assert_true(str_is_utf8(str_of(err.text)));
		assert_in_range(strlen(err.text), sizeof err.text - 3, sizeof err.text - 1);
	}
}

static void test_names(void **state) {
	(void)state;
	for (int code = ERR_NONE; code <= ERR_MEMORY; code++) {
		assert_string_not_equal(err_code_name((enum err_code)code), "unknown");
		for (int other = ERR_NONE; other < code; other++) {
			assert_string_not_equal(err_code_name((enum err_code)code),
						err_code_name((enum err_code)other));
		}
	}
	assert_string_equal(err_code_name(ERR_OUTCOME_UNKNOWN), "outcome_unknown");
	assert_string_equal(err_code_name((enum err_code)99), "unknown");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_set_from_its_own_text),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_long_texts_are_cut),
		cmocka_unit_test(test_cuts_fall_between_characters),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
