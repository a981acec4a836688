#include <locale.h>
#include <math.h>

#include "base/json.h"
#include "base_test.h"

static const char sample[] = "{\"type\":\"message\",\"Type\":\"other\",\"n\":42,\"x\":1.5,\"yes\":true,\"no\":false,"
			     "\"none\":null,\"list\":[1,\"two\",{\"deep\":[]}],\"caf\\u00e9\":\"\\ud83d\\ude00\\n\"}";

static void test_reading(void **state) {
	(void)state;
	struct err err = {0};
	struct json *root = json_parse(STR(sample), &err);
	assert_non_null(root);
	assert_int_equal(json_type(root), JSON_OBJECT);
	assert_int_equal(json_count(root), 9);
	assert_str(json_str(json_get(root, "type")), "message");
	assert_str(json_str(json_get(root, "Type")), "other");
	assert_null(json_get(root, "TYPE"));
	assert_str(json_str(json_get(root, "caf\xC3\xA9")), "\xF0\x9F\x98\x80\n");
	assert_true(json_is_true(json_get(root, "yes")));
	assert_int_equal(json_type(json_get(root, "no")), JSON_BOOL);
	assert_false(json_is_true(json_get(root, "no")));
	assert_int_equal(json_type(json_get(root, "none")), JSON_NULL);
	assert_true(json_number(json_get(root, "x")) == 1.5);

	const struct json *list = json_get(root, "list");
	assert_int_equal(json_type(list), JSON_ARRAY);
	assert_int_equal(json_count(list), 3);
	const struct json *item = json_first(list);
	assert_true(json_number(item) == 1);
	item = json_next(item);
	assert_str(json_str(item), "two");
	assert_str(json_key(item), "");
	item = json_next(item);
	assert_str(json_key(json_first(item)), "deep");
	assert_null(json_next(item));
	json_free(&root);
	assert_null(root);
	json_free(&root);
}

static void test_the_wrong_type_is_no_crash(void **state) {
	(void)state;
	struct json *root = json_parse(STR("[1,\"a\",true,null,{\"b\":2}]"), NULL);
	assert_non_null(root);
	const struct json *values[7] = {NULL, root};
	size_t count = 2;
	for (const struct json *item = json_first(root); item; item = json_next(item)) {
		values[count++] = item;
	}
	for (size_t i = 0; i < count; i++) {
		int64_t n = 7;
		bool number = json_type(values[i]) == JSON_NUMBER;
		assert_int_equal(json_integer(values[i], &n), number ? 0 : -1);
		assert_int_equal(n, number ? 1 : 7);
		assert_true(json_number(values[i]) == (number ? 1 : 0));
		assert_int_equal(json_str(values[i]).data != NULL, json_type(values[i]) == JSON_STRING);
		assert_int_equal(json_is_true(values[i]), json_type(values[i]) == JSON_BOOL);
		assert_int_equal(json_get(values[i], "b") != NULL, json_type(values[i]) == JSON_OBJECT);
		assert_int_equal(json_count(values[i]), values[i] == root ? 5 : json_type(values[i]) == JSON_OBJECT);
	}
	assert_int_equal(json_type(NULL), JSON_NULL);
	assert_null(json_first(NULL));
	assert_null(json_next(NULL));
	assert_str(json_key(NULL), "");
	json_free(&root);
}

static void test_integers(void **state) {
	(void)state;
	static const struct {
		const char *text;
		int64_t value;
		bool integral;
	} cases[] = {
		{"0", 0, true},
		{"-0", 0, true},
		{"-7", -7, true},
		{"1e3", 1000, true},
		{"2.0", 2, true},
		{"9007199254740991", 9007199254740991, true},
		{"-9007199254740991", -9007199254740991, true},
		{"9007199254740993", 0, false},
		{"1.5", 0, false},
		{"1e300", 0, false},
		{"-1e300", 0, false},
		{"\"1\"", 0, false},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct json *root = json_parse(str_of(cases[i].text), NULL);
		int64_t value = 0;
		assert_int_equal(json_integer(root, &value), cases[i].integral ? 0 : -1);
		assert_true(value == cases[i].value);
		json_free(&root);
	}
}

static void test_type_names(void **state) {
	(void)state;
	static const char *const names[] = {"null", "a boolean", "a number", "a string", "an array", "an object"};
	for (int type = JSON_NULL; type <= JSON_OBJECT; type++) {
		assert_string_equal(json_type_name((enum json_type)type), names[type]);
	}
}

static void test_print(void **state) {
	(void)state;
	struct json *root = json_parse(STR(sample), NULL);
	struct buf out = BUF_INIT;
	json_print(root, &out);
	assert_str(buf_str(&out),
		   "{\"type\":\"message\",\"Type\":\"other\",\"n\":42,\"x\":1.5,\"yes\":true,\"no\":false,"
		   "\"none\":null,\"list\":[1,\"two\",{\"deep\":[]}],\"caf\xC3\xA9\":\"\xF0\x9F\x98\x80\\n\"}");
	buf_free(&out);
	json_free(&root);
}

static void test_every_allocation_may_fail(void **state) {
	(void)state;
	for (int persistent = 0; persistent <= 1; persistent++) {
		bool clean = false;
		uint64_t nth = 1;
		for (; !clean; nth++) {
			struct err err = {0};
			mem_fail_after(nth, persistent);
			struct json *root = json_parse(STR(sample), &err);
			mem_fail_after(0, false);
			clean = root != NULL;
			assert_int_equal(err.code, clean ? ERR_NONE : ERR_MEMORY);
			json_free(&root);
		}
		/* cJSON allocates through us: a node, a key, a text each. */
		assert_true(nth > 20);
	}
}

static void escape(struct buf *out, struct str s) {
	buf_clear(out);
	char *copy = exact_copy(s.data, s.length);
	json_escape(out, (struct str){copy, s.length});
	free(copy);
}

static void test_escape(void **state) {
	(void)state;
	struct buf out = BUF_INIT;
	escape(&out, STR("\"\\/\b\f\n\r\t\x01\x1F\x7F<>&'"));
	assert_str(buf_str(&out), "\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7F<>&'");
	escape(&out, STR("a\0b"));
	assert_str(buf_str(&out), "a\xEF\xBF\xBD"
				  "b");
	escape(&out, STR("caf\xC3\xA9 \xF0\x9F\x98\x80 \xE2\x82\xAC"));
	assert_str(buf_str(&out), "caf\xC3\xA9 \xF0\x9F\x98\x80 \xE2\x82\xAC");
	escape(&out, STR("x\xE2\x82\"\xFF\xED\xA0\x80"));
	assert_str(buf_str(&out), "x\xEF\xBF\xBD\\\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
	escape(&out, STR(""));
	assert_str(buf_str(&out), "");
	buf_clear(&out);
	json_append_string(&out, STR("a\"b"));
	assert_str(buf_str(&out), "\"a\\\"b\"");
	buf_free(&out);
}

/* Any bytes, at any place within the eight that are looked at together: what is written passes the gate, and comes
 * back as it was if it was UTF-8 without NUL. */
static void test_escape_random(void **state) {
	(void)state;
	static const char *const parts[] = {"a",        "plain text",       "\"",   "\\",      "\n", "\x01", "\x7F",
					    "\xC3\xA9", "\xF0\x9F\x98\x80", "\xFF", "\xE2\x82"};
	uint64_t seed = test_seed();
	struct buf out = BUF_INIT;
	for (int round = 0; round < 20000; round++) {
		char bytes[80];
		size_t length = 0;
		size_t target = test_random(&seed) % 40;
		while (length < target) {
			const char *part = parts[test_random(&seed) % (round % 2 ? COUNT(parts) : 9)];
			memcpy(bytes + length, part, strlen(part));
			length += strlen(part);
		}
		buf_clear(&out);
		char *copy = exact_copy(bytes, length);
		json_append_string(&out, (struct str){copy, length});
		struct err err = {0};
		struct json *root = json_parse(buf_str(&out), &err);
		if (!root) {
			fail_msg("%.*s: %s", STR_ARG(buf_str(&out)), err.text);
		}
		struct str given = {copy, length};
		assert_int_equal(str_equal(json_str(root), given), str_is_utf8(given));
		json_free(&root);
		free(copy);
	}
	buf_free(&out);
}

static void test_writer(void **state) {
	(void)state;
	struct buf out = BUF_INIT;
	struct json_writer w = json_writer(&out);
	jw_object(&w);
	jw_key(&w, "a");
	jw_array(&w);
	jw_int(&w, 1);
	jw_object(&w);
	jw_object_end(&w);
	jw_array(&w);
	jw_array_end(&w);
	jw_null(&w);
	jw_array_end(&w);
	jw_key_str(&w, STR("b\"\n"));
	jw_str(&w, STR("s\\"));
	jw_key(&w, "c");
	jw_text(&w, NULL);
	jw_key(&w, "d");
	jw_text(&w, "t");
	jw_key(&w, "e");
	jw_bool(&w, true);
	jw_key(&w, "f");
	jw_bool(&w, false);
	jw_key(&w, "g");
	jw_raw(&w, STR("[1,2]"));
	jw_key(&w, "h");
	jw_int(&w, INT64_MIN);
	jw_object_end(&w);
	assert_str(buf_str(&out), "{\"a\":[1,{},[],null],\"b\\\"\\n\":\"s\\\\\",\"c\":null,\"d\":\"t\",\"e\":true,"
				  "\"f\":false,\"g\":[1,2],\"h\":-9223372036854775808}");
	buf_free(&out);
}

static void assert_double(double value, const char *expected) {
	struct buf out = BUF_INIT;
	struct json_writer w = json_writer(&out);
	jw_double(&w, value);
	assert_str(buf_str(&out), expected);
	buf_free(&out);
}

static void test_doubles(void **state) {
	(void)state;
	assert_double(0, "0");
	assert_double(-0.0, "-0");
	assert_double(0.1, "0.1");
	assert_double(0.7, "0.7");
	assert_double(1.0 / 3, "0.3333333333333333");
	assert_double(0.1 + 0.2, "0.30000000000000004");
	assert_double(1763664445123, "1763664445123");
	assert_double(9007199254740991, "9007199254740991");
	assert_double(1e21, "1e+21");
	assert_double(5e-324, "4.94065645841247e-324");
	assert_double(NAN, "null");
	assert_double(INFINITY, "null");
	assert_double(-INFINITY, "null");
}

static void test_doubles_read_back(void **state) {
	(void)state;
	uint64_t seed = test_seed();
	struct buf out = BUF_INIT;
	for (int round = 0; round < 20000; round++) {
		uint64_t bits = test_random(&seed);
		double value;
		memcpy(&value, &bits, sizeof value);
		if (!isfinite(value)) {
			continue;
		}
		buf_clear(&out);
		struct json_writer w = json_writer(&out);
		jw_double(&w, value);
		struct json *root = json_parse(buf_str(&out), NULL);
		assert_non_null(root);
		assert_true(json_number(root) == value);
		json_free(&root);
	}
	buf_free(&out);
}

static void test_the_locale_does_not_matter(void **state) {
	(void)state;
	static const char *const locales[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "pt_BR.UTF-8"};
	bool found = false;
	for (size_t i = 0; i < COUNT(locales) && !found; i++) {
		found = setlocale(LC_NUMERIC, locales[i]) && strcmp(localeconv()->decimal_point, ".") != 0;
	}
	if (!found) {
		skip();
	}
	assert_double(1.5, "1.5");
	assert_double(1.5e-7, "1.5e-07");
	assert_int_equal(json_check(STR("1.79e308"), NULL), 0);
	assert_int_equal(json_check(STR("1.8e308"), NULL), -1);
	struct json *root = json_parse(STR("2.5"), NULL);
	assert_true(json_number(root) == 2.5);
	json_free(&root);
	setlocale(LC_NUMERIC, "C");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reading),
		cmocka_unit_test(test_the_wrong_type_is_no_crash),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_type_names),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_every_allocation_may_fail),
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_escape_random),
		cmocka_unit_test(test_writer),
		cmocka_unit_test(test_doubles),
		cmocka_unit_test(test_doubles_read_back),
		cmocka_unit_test(test_the_locale_does_not_matter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
