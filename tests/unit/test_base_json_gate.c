#include "base/json.h"
#include "base_test.h"

static const char *const accepted[] = {
	"null",
	"true",
	"false",
	"0",
	"-0",
	"-0.0e-0",
	"12.5E+3",
	"1e308",
	"1.7976931348623157e308",
	"0.00001e312",
	"1e-400",
	"0e99999999999999999999",
	"123456789012345678901234567890123456789012345678901234567890123",
	"\"\"",
	"\"caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80 \x7F\"",
	"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0001\\u00e9\\uD83D\\uDe00\\uffff\"",
	"\"long enough to be read eight bytes at a time \\n and then some more of it\"",
	"[]",
	"{}",
	" \t\r\n[ 1 , [ ] , { } ]\n",
	"{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":2}]}",
	"{\"\":1,\" \":2}",
	"{\"a\":1,\"A\":2,\"a \":3,\"\\u0061b\":4}",
	"{\"k\":[true,false,null,-1.5e2,\"x\"]}",
};

static const struct {
	const char *text;
	const char *message;
} refused[] = {
	{"", "unexpected end at byte 0"},
	{"   ", "unexpected end at byte 3"},
	{"\xEF\xBB\xBFnull", "no value at byte 0"},
	{"nul", "unexpected end at byte 3"},
	{"nulL", "unknown literal at byte 3"},
	{"nulls", "unknown literal at byte 4"},
	{"True", "no value at byte 0"},
	{"NaN", "no value at byte 0"},
	{"Infinity", "no value at byte 0"},
	{"-Infinity", "malformed number at byte 1"},
	{"'a'", "no value at byte 0"},
	{"// c\n1", "no value at byte 0"},
	{"\v1", "no value at byte 0"},
	{"\x01", "no value at byte 0"},
	{"1 2", "something behind the value at byte 2"},
	{"{} {}", "something behind the value at byte 3"},
	{"[]]", "something behind the value at byte 2"},
	{"01", "malformed number at byte 1"},
	{"-01", "malformed number at byte 2"},
	{"+1", "no value at byte 0"},
	{".5", "no value at byte 0"},
	{"1.", "unexpected end at byte 2"},
	{"[1.]", "malformed number at byte 3"},
	{"[1.e3]", "malformed number at byte 3"},
	{"[1e]", "malformed number at byte 3"},
	{"[1e+]", "malformed number at byte 4"},
	{"[-]", "malformed number at byte 2"},
	{"1-2", "malformed number at byte 1"},
	{"1.2.3", "malformed number at byte 3"},
	{"0x1F", "malformed number at byte 1"},
	{"1a", "malformed number at byte 1"},
	{"1e309", "number too large at byte 0"},
	{"[-1e309]", "number too large at byte 1"},
	{"1.8e308", "number too large at byte 0"},
	{"1e99999999999999999999", "number too large at byte 0"},
	{"1234567890123456789012345678901234567890123456789012345678901234",
	 "number of more than 63 characters at byte 0"},
	{"\"a", "unexpected end at byte 2"},
	{"\"a\nb\"", "control character in a string at byte 2"},
	{"\"a\tb\"", "control character in a string at byte 2"},
	{"\"eight by\x1Ftes\"", "control character in a string at byte 9"},
	{"\"\\a\"", "unknown escape at byte 2"},
	{"\"\\U0041\"", "unknown escape at byte 2"},
	{"\"\\u12g4\"", "malformed \\u escape at byte 5"},
	{"\"\\u 123\"", "malformed \\u escape at byte 3"},
	{"\"x\\u0000\"", "\\u0000 at byte 2"},
	{"\"\\ud800\"", "unpaired surrogate at byte 1"},
	{"\"\\ud800x\"", "unpaired surrogate at byte 1"},
	{"\"\\ud800\\n\"", "unpaired surrogate at byte 1"},
	{"\"\\ud800\\ud800\"", "unpaired surrogate at byte 1"},
	{"\"\\ud800\\u0041\"", "unpaired surrogate at byte 1"},
	{"\"\\udc00\\ud800\"", "unpaired surrogate at byte 1"},
	{"\"\\udc00\\udc00\"", "unpaired surrogate at byte 1"},
	{"\"\xC3\"", "invalid UTF-8 at byte 1"},
	{"\"a\xFF\"", "invalid UTF-8 at byte 2"},
	{"\"\xED\xA0\x80\"", "invalid UTF-8 at byte 1"},
	{"\"\xC0\x80\"", "invalid UTF-8 at byte 1"},
	{"\"\xF4\x90\x80\x80\"", "invalid UTF-8 at byte 1"},
	{"[", "unexpected end at byte 1"},
	{"[1", "unexpected end at byte 2"},
	{"[1,]", "no value at byte 3"},
	{"[,1]", "no value at byte 1"},
	{"[1 2]", "no ',' or ']' at byte 3"},
	{"[1}", "no ',' or ']' at byte 2"},
	{"{\"a\":1]", "no ',' or '}' at byte 6"},
	{"{\"a\" 1}", "no ':' behind the key at byte 5"},
	{"{\"a\":}", "no value at byte 5"},
	{"{\"a\":1,}", "no key at byte 7"},
	{"{,}", "no key at byte 1"},
	{"{a:1}", "no key at byte 1"},
	{"{1:1}", "no key at byte 1"},
	{"{\"a\":1,\"a\":2}", "duplicate key at byte 7"},
	{"{\"\":1,\"\":2}", "duplicate key at byte 6"},
	{"{\"a\":1,\"\\u0061\":2}", "duplicate key at byte 7"},
	{"{\"\\u0061\":1,\"a\":2}", "duplicate key at byte 12"},
	{"{\"\\u0061\":1,\"\\u00611\":1,\"a1\":2}", "duplicate key at byte 24"},
	{"{\"\\/\\n\":1,\"/\\u000A\":2}", "duplicate key at byte 10"},
	{"{\"\xC3\xA9\":1,\"\\u00E9\":2}", "duplicate key at byte 8"},
	{"{\"\xE2\x82\xAC\":1,\"\\u20ac\":2}", "duplicate key at byte 9"},
	{"{\"\xF0\x9F\x98\x80\":1,\"\\ud83d\\ude00\":2}", "duplicate key at byte 10"},
	{"{\"a\":{\"b\":1},\"c\":[],\"a\":2}", "duplicate key at byte 20"},
	{"[{\"a\":1},{\"a\":1,\"a\":2}]", "duplicate key at byte 16"},
};

static int check(const char *text, size_t length, struct err *err) {
	char *copy = exact_copy(text, length);
	int rc = json_check((struct str){copy, length}, err);
	free(copy);
	return rc;
}

static void test_accepted(void **state) {
	(void)state;
	for (size_t i = 0; i < COUNT(accepted); i++) {
		struct err err = {0};
		if (check(accepted[i], strlen(accepted[i]), &err) != 0) {
			fail_msg("%s: %s", accepted[i], err.text);
		}
		struct json *root = json_parse(str_of(accepted[i]), &err);
		assert_non_null(root);
		json_free(&root);
	}
}

static void test_refused(void **state) {
	(void)state;
	for (size_t i = 0; i < COUNT(refused); i++) {
		struct err err = {0};
		if (check(refused[i].text, strlen(refused[i].text), &err) == 0) {
			fail_msg("passed: %s", refused[i].text);
		}
		assert_int_equal(err.code, ERR_INVALID);
		if (strcmp(err.text, refused[i].message) != 0) {
			fail_msg("%s: got \"%s\", expected \"%s\"", refused[i].text, err.text, refused[i].message);
		}
		assert_null(json_parse(str_of(refused[i].text), NULL));
	}
	struct err err = {0};
	assert_int_equal(json_check(STR_NONE, &err), -1);
	assert_int_equal(check("[\0]", 3, &err), -1);
	assert_string_equal(err.text, "no value at byte 1");
	assert_int_equal(check("\"\0\"", 3, &err), -1);
	assert_string_equal(err.text, "control character in a string at byte 1");
	assert_int_equal(check("\"\\\0\"", 4, &err), -1);
	assert_string_equal(err.text, "unknown escape at byte 2");
	assert_int_equal(check("1\0", 2, &err), -1);
	assert_string_equal(err.text, "something behind the value at byte 1");
}

/* A document cut anywhere is refused with "unexpected end", and nothing behind the cut is read. Numbers and white space
 * at the end are no news behind a whole value, so only documents that end in a bracket or a quote take part. */
static void test_every_prefix_is_refused(void **state) {
	(void)state;
	size_t documents = 0;
	for (size_t i = 0; i < COUNT(accepted); i++) {
		size_t length = strlen(accepted[i]);
		if (!strchr("}]\"", accepted[i][length - 1])) {
			continue;
		}
		documents++;
		for (size_t cut = 0; cut < length; cut++) {
			struct err err = {0};
			assert_int_equal(check(accepted[i], cut, &err), -1);
			assert_int_equal(err.code, ERR_INVALID);
			/* Within a UTF-8 sequence the cut leaves bytes that are not UTF-8. */
			if (strncmp(err.text, "invalid UTF-8", 13) != 0) {
				char expected[64];
				snprintf(expected, sizeof expected, "unexpected end at byte %zu", cut);
				assert_string_equal(err.text, expected);
			}
		}
	}
	assert_true(documents >= 10);
}

/* Strings are read eight bytes at a time: each byte has its meaning wherever it stands among them. */
static void test_every_byte_at_every_place(void **state) {
	(void)state;
	for (size_t place = 1; place <= 24; place++) {
		for (int byte = 0; byte < 256; byte++) {
			char text[26];
			memset(text, 'x', sizeof text);
			text[0] = '"';
			text[25] = '"';
			text[place] = (char)byte;
			struct err err = {0};
			int rc = check(text, sizeof text, &err);
			bool plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
			if (rc != (plain ? 0 : -1)) {
				fail_msg("byte %02x at %zu: %s", (unsigned)byte, place, rc == 0 ? "passed" : err.text);
			}
		}
	}
}

static void repeat(struct buf *b, const char *text, size_t count) {
	while (count-- > 0) {
		buf_append_text(b, text);
	}
}

static void test_depth(void **state) {
	(void)state;
	for (size_t depth = JSON_MAX_DEPTH; depth <= JSON_MAX_DEPTH + 1; depth++) {
		struct buf arrays = BUF_INIT;
		repeat(&arrays, "[", depth);
		repeat(&arrays, "]", depth);
		struct buf objects = BUF_INIT;
		repeat(&objects, "{\"a\":", depth - 1);
		repeat(&objects, "{", 1);
		repeat(&objects, "}", depth);
		struct err err = {0};
		int expected = depth > JSON_MAX_DEPTH ? -1 : 0;
		assert_int_equal(json_check(buf_str(&arrays), &err), expected);
		assert_int_equal(json_check(buf_str(&objects), &err), expected);
		if (expected != 0) {
			assert_string_equal(err.text, "nested too deep at byte 160");
		}
		buf_free(&arrays);
		buf_free(&objects);
	}
	/* What was closed doesn't count. */
	struct buf flat = BUF_INIT;
	repeat(&flat, "[", JSON_MAX_DEPTH - 1);
	repeat(&flat, "[],", 100);
	repeat(&flat, "[]", 1);
	repeat(&flat, "]", JSON_MAX_DEPTH - 1);
	assert_int_equal(json_check(buf_str(&flat), NULL), 0);
	buf_free(&flat);
}

static void test_tokens(void **state) {
	(void)state;
	for (size_t values = JSON_MAX_TOKENS - 1; values <= JSON_MAX_TOKENS; values++) {
		struct buf b = BUF_INIT;
		repeat(&b, "[", 1);
		repeat(&b, "1,", values - 1);
		repeat(&b, "1]", 1);
		struct err err = {0};
		assert_int_equal(json_check(buf_str(&b), &err), values < JSON_MAX_TOKENS ? 0 : -1);
		if (values == JSON_MAX_TOKENS) {
			assert_string_equal(err.text, "too many tokens at byte 19999");
		}
		buf_free(&b);
	}
}

/* {"k0":0,"k1":0,...} */
static void many_keys(struct buf *b, size_t count, const char *format) {
	buf_append_char(b, '{');
	for (size_t i = 0; i < count; i++) {
		buf_append_text(b, i > 0 ? ",\"" : "\"");
		buf_printf(b, "%s%zu\":0", format, i);
	}
	buf_append_char(b, '}');
}

static void test_many_keys(void **state) {
	(void)state;
	static const char *const prefixes[] = {"k", "\\u006b"};
	for (size_t i = 0; i < COUNT(prefixes); i++) {
		struct buf b = BUF_INIT;
		many_keys(&b, 4999, prefixes[i]);
		struct err err = {0};
		if (json_check(buf_str(&b), &err) != 0) {
			fail_msg("%s", err.text);
		}
		/* The last key becomes the first again. */
		b.length -= strlen("4998\":0}");
		buf_append_text(&b, "0\":0}");
		assert_int_equal(json_check(buf_str(&b), &err), -1);
		assert_memory_equal(err.text, "duplicate key", 13);
		buf_free(&b);
	}
}

static double check_seconds(struct buf *document) {
	double best = 1e9;
	for (int round = 0; round < 15; round++) {
		struct timespec start;
		struct timespec end;
		clock_gettime(CLOCK_MONOTONIC, &start);
		assert_int_equal(json_check(buf_str(document), NULL), 0);
		clock_gettime(CLOCK_MONOTONIC, &end);
		double took = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
		best = took < best ? took : best;
	}
	buf_free(document);
	return best;
}

static double seconds_for_keys(size_t count) {
	struct buf b = BUF_INIT;
	many_keys(&b, count, "a long beginning that all of the keys share, so that comparing is dear: ");
	return check_seconds(&b);
}

static double seconds_for_objects(size_t count) {
	struct buf b = BUF_INIT;
	repeat(&b, "[", 1);
	repeat(&b, "{\"k\":1},", count - 1);
	repeat(&b, "{\"k\":1}]", 1);
	return check_seconds(&b);
}

/* Eight times as many keys: 8 times the time, 64 if each were compared with each. */
static void test_keys_cost_linear_time(void **state) {
	(void)state;
	double few = seconds_for_keys(600);
	assert_true(seconds_for_keys(4800) < 24 * few);
}

static void test_the_same_key_in_many_objects_costs_linear_time(void **state) {
	(void)state;
	double few = seconds_for_objects(400);
	assert_true(seconds_for_objects(3200) < 24 * few);
}

static void test_every_allocation_may_fail(void **state) {
	(void)state;
	struct buf b = BUF_INIT;
	many_keys(&b, 500, "\\u006b");
	bool clean = false;
	uint64_t nth = 1;
	for (; !clean; nth++) {
		struct err err = {0};
		mem_fail_after(nth, false);
		clean = json_check(buf_str(&b), &err) == 0;
		mem_fail_after(0, false);
		assert_int_equal(err.code, clean ? ERR_NONE : ERR_MEMORY);
	}
	assert_true(nth > 4);
	buf_free(&b);
}

static void test_plain_requests_allocate_nothing(void **state) {
	(void)state;
	uint64_t before = mem_alloc_count();
	assert_int_equal(json_check(STR("{\"type\":\"response.create\",\"input\":[{\"role\":\"user\"}]}"), NULL), 0);
	assert_int_equal(mem_alloc_count() - before, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_every_prefix_is_refused),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_many_keys),
		cmocka_unit_test(test_every_byte_at_every_place),
		cmocka_unit_test(test_keys_cost_linear_time),
		cmocka_unit_test(test_the_same_key_in_many_objects_costs_linear_time),
		cmocka_unit_test(test_every_allocation_may_fail),
		cmocka_unit_test(test_plain_requests_allocate_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
