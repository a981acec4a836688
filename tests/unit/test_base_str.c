#include "base_test.h"
#include "utf8.h"

static void test_compare(void **state) {
	(void)state;
	assert_true(str_equal(STR_NONE, STR("")));
	assert_true(str_is(STR("abc"), "abc"));
	assert_false(str_is(STR("abc"), "abcd"));
	assert_false(str_is(STR("abc"), "abd"));
	assert_true(str_is(STR_NONE, NULL));
	assert_true(str_equal_nocase(STR("WebSocket[@`{"), STR("wEBsOCKET[@`{")));
	assert_false(str_equal_nocase(STR("@"), STR("`")));
	assert_false(str_equal_nocase(STR("["), STR("{")));
	assert_false(str_equal_nocase(STR("a"), STR("aa")));
	assert_true(str_starts(STR("Bearer x"), "Bearer "));
	assert_true(str_starts(STR_NONE, ""));
	assert_false(str_starts(STR("Bear"), "Bearer"));
}

static void test_slices(void **state) {
	(void)state;
	assert_str(str_trim(STR(" \t a b\t ")), "a b");
	assert_str(str_trim(STR(" \t ")), "");
	assert_str(str_trim(STR_NONE), "");
	assert_str(str_trim(STR("\na\n")), "\na\n");
	assert_str(str_skip(STR("abc"), 2), "c");
	assert_str(str_skip(STR("abc"), 9), "");
	assert_str(str_skip(STR_NONE, 1), "");
}

static void test_cut(void **state) {
	(void)state;
	struct str rest = STR("a,,b,");
	assert_str(str_cut(&rest, ','), "a");
	assert_str(str_cut(&rest, ','), "");
	assert_str(str_cut(&rest, ','), "b");
	assert_non_null(rest.data);
	assert_int_equal(rest.length, 0);
	assert_str(str_cut(&rest, ','), "");
	assert_null(rest.data);
	rest = STR("alone");
	assert_str(str_cut(&rest, ','), "alone");
	assert_null(rest.data);
}

static void test_copy(void **state) {
	(void)state;
	char to[4] = "old";
	assert_int_equal(str_copy(to, sizeof to, STR("abc")), 0);
	assert_string_equal(to, "abc");
	assert_int_equal(str_copy(to, sizeof to, STR("abcd")), -1);
	assert_string_equal(to, "");
	assert_int_equal(str_copy(to, sizeof to, STR("a\0b")), -1);
	assert_string_equal(to, "");
	assert_int_equal(str_copy(to, sizeof to, STR_NONE), 0);
	assert_int_equal(str_copy(to, 0, STR_NONE), -1);
	str_copy_cut(to, sizeof to, STR("ab\xC3\xA9"));
	assert_string_equal(to, "ab");
	str_copy_cut(to, sizeof to, STR("a\xC3\xA9"));
	assert_string_equal(to, "a\xC3\xA9");
	str_copy_cut(to, sizeof to, STR("a\0b"));
	assert_string_equal(to, "a");
	str_copy_cut(to, 0, STR("a"));
}

static void test_numbers(void **state) {
	(void)state;
	uint64_t u = 7;
	assert_int_equal(str_to_u64(STR("18446744073709551615"), &u), 0);
	assert_true(u == UINT64_MAX);
	assert_int_equal(str_to_u64(STR("0"), &u), 0);
	assert_true(u == 0);
	const char *bad[] = {"", "-1", "+1", " 1", "1 ", "1a", "18446744073709551616", "99999999999999999999", "0x1"};
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(str_to_u64(str_of(bad[i]), &u), -1);
		assert_true(u == 0);
	}
	int64_t s = 7;
	assert_int_equal(str_to_i64(STR("-9223372036854775808"), &s), 0);
	assert_true(s == INT64_MIN);
	assert_int_equal(str_to_i64(STR("9223372036854775807"), &s), 0);
	assert_true(s == INT64_MAX);
	assert_int_equal(str_to_i64(STR("9223372036854775808"), &s), -1);
	assert_int_equal(str_to_i64(STR("-9223372036854775809"), &s), -1);
	assert_int_equal(str_to_i64(STR("-"), &s), -1);
	assert_int_equal(str_to_i64(STR("--1"), &s), -1);
	assert_true(s == INT64_MAX);
}

/* RFC 3629 by decoding: the plain way, to compare with. */
static bool decodes(const unsigned char *bytes, size_t length) {
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	for (size_t i = 0; i < length;) {
		size_t count = bytes[i] < 0x80             ? 1
			       : (bytes[i] & 0xE0) == 0xC0 ? 2
			       : (bytes[i] & 0xF0) == 0xE0 ? 3
			       : (bytes[i] & 0xF8) == 0xF0 ? 4
							   : 0;
		if (count == 0 || count > length - i) {
			return false;
		}
		uint32_t point = count == 1 ? bytes[i] : bytes[i] & (0xFFU >> (count + 1));
		for (size_t k = 1; k < count; k++) {
			if ((bytes[i + k] & 0xC0) != 0x80) {
				return false;
			}
			point = point << 6 | (bytes[i + k] & 0x3FU);
		}
		if (point < least[count] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) {
			return false;
		}
		i += count;
	}
	return true;
}

static void check_utf8(const unsigned char *bytes, size_t length) {
	if (str_is_utf8((struct str){(const char *)bytes, length}) != decodes(bytes, length)) {
		fail_msg("%02x %02x %02x %02x (%zu)", bytes[0], bytes[1], bytes[2], bytes[3], length);
	}
}

static void test_utf8_every_short_sequence(void **state) {
	(void)state;
	static const unsigned char edges[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0,
					      0xBF, 0xC0, 0xC2, 0xE0, 0xED, 0xF0, 0xF4, 0xFF};
	unsigned char bytes[4] = {0};
	for (int first = 0; first < 256; first++) {
		bytes[0] = (unsigned char)first;
		check_utf8(bytes, 1);
		for (int second = 0; second < 256; second++) {
			bytes[1] = (unsigned char)second;
			check_utf8(bytes, 2);
			for (size_t k = 0; k < COUNT(edges) * COUNT(edges); k++) {
				bytes[2] = edges[k / COUNT(edges)];
				bytes[3] = edges[k % COUNT(edges)];
				check_utf8(bytes, 3);
				check_utf8(bytes, 4);
			}
		}
	}
}

static void test_utf8_random(void **state) {
	(void)state;
	static const char *const parts[] = {
		"a",        "hello, world",     "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xED\xA0\x80",
		"\xC0\x80", "\xF4\x90\x80\x80", "\x80",     "\xE2\x82"};
	uint64_t seed = test_seed();
	for (int round = 0; round < 20000; round++) {
		unsigned char bytes[64];
		size_t length = 0;
		/* Mostly valid parts, so that both answers come often. */
		while (length < 40) {
			size_t choice = test_random(&seed) % 40;
			const char *part = parts[choice < COUNT(parts) ? choice : choice % 5];
			memcpy(bytes + length, part, strlen(part));
			length += strlen(part);
		}
		length -= test_random(&seed) % 8;
		char *copy = exact_copy(bytes, length);
		bool valid = str_is_utf8((struct str){copy, length});
		free(copy);
		assert_int_equal(valid, decodes(bytes, length));
	}
}

static void test_utf8_what_is_replaced(void **state) {
	(void)state;
	/* Unicode 15, section 3.9, table 3-8: how many bytes one U+FFFD stands for. */
	static const struct {
		const char *bytes;
		size_t bad;
	} cases[] = {{"\xC0\xAF", 1},     {"\xE0\x9F\x80", 1}, {"\xE2\x82", 2},         {"\xE2\x82z", 2},
		     {"\xF0\x9F\x98", 3}, {"\xF4\x91", 1},     {"\xF1\x80\x80\x41", 3}, {"\xED\xA0\x80", 1}};
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t bad = 0;
		size_t length = strlen(cases[i].bytes);
		assert_int_equal(utf8_sequence((const unsigned char *)cases[i].bytes, length, &bad), 0);
		assert_int_equal(bad, cases[i].bad);
	}
}

static void test_utf8_prefix(void **state) {
	(void)state;
	struct str s = STR("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
	static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
	for (size_t limit = 0; limit < COUNT(expected); limit++) {
		assert_int_equal(str_utf8_prefix(s, limit), expected[limit]);
	}
	assert_int_equal(str_utf8_prefix(STR("\x80\x80\x80\x80\x80\x80"), 5), 5);
	assert_int_equal(str_utf8_prefix(STR("\x80\x80\x80"), 2), 2);
}

static void test_hex(void **state) {
	(void)state;
	const uint8_t bytes[] = {0x00, 0x9F, 0xAB};
	char text[7];
	str_to_hex(text, bytes, sizeof bytes);
	assert_string_equal(text, "009fab");
	uint8_t back[3] = {1, 2, 3};
	assert_int_equal(str_from_hex(back, 3, STR("009FaB")), 0);
	assert_memory_equal(back, bytes, 3);
	const char *bad[] = {"", "009fa", "009fabc", "009fag", "0x9fab", " 09fab"};
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(str_from_hex(back, 3, str_of(bad[i])), -1);
		assert_memory_equal(back, bytes, 3);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare),     cmocka_unit_test(test_slices),
		cmocka_unit_test(test_cut),         cmocka_unit_test(test_copy),
		cmocka_unit_test(test_numbers),     cmocka_unit_test(test_utf8_every_short_sequence),
		cmocka_unit_test(test_utf8_random), cmocka_unit_test(test_utf8_what_is_replaced),
		cmocka_unit_test(test_utf8_prefix), cmocka_unit_test(test_hex),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
