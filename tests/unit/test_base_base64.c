#include "base/base64.h"
#include "base_test.h"

static void assert_decodes(const char *text, const char *expected, size_t length) {
	size_t given = strlen(text);
	char *copy = exact_copy(text, given);
	struct buf out = BUF_INIT;
	buf_append_text(&out, "before ");
	if (base64_decode((struct str){copy, given}, &out) != 0) {
		fail_msg("does not decode: %s", text);
	}
	assert_true(base64_is_valid((struct str){copy, given}));
	assert_int_equal(out.length, 7 + length);
	assert_memory_equal(out.data + 7, expected, length);
	free(copy);
	buf_free(&out);
}

static void test_what_decodes(void **state) {
	(void)state;
	/* RFC 4648, section 10. */
	static const char *const cases[][2] = {{"", ""},
					       {"Zg==", "f"},
					       {"Zm8=", "fo"},
					       {"Zm9v", "foo"},
					       {"Zm9vYg==", "foob"},
					       {"Zm9vYmE=", "fooba"},
					       {"Zm9vYmFy", "foobar"}};
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_decodes(cases[i][0], cases[i][1], strlen(cases[i][1]));
	}
	assert_decodes("AAECA/+/vg==", "\x00\x01\x02\x03\xFF\xBF\xBE", 7);
	assert_decodes("+/+/", "\xFB\xFF\xBF", 3);
	/* Bits behind the last byte are not looked at. */
	assert_decodes("Zh==", "f", 1);
	assert_decodes("Zm9=", "fo", 2);
}

/* All 64 digits: 48 bytes, and each digit's own place. */
static void test_every_digit(void **state) {
	(void)state;
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (int c = 0; c < 256; c++) {
		char group[4] = {'A', 'A', 'A', (char)c};
		const char *found = c ? strchr(digits, c) : NULL;
		struct buf out = BUF_INIT;
		int result = base64_decode((struct str){group, 4}, &out);
		if (found) {
			assert_int_equal(result, 0);
			assert_int_equal(out.length, 3);
			assert_int_equal(out.data[2], found - digits);
		} else {
			assert_int_equal(result, c == '=' ? 0 : -1);
		}
		buf_free(&out);
	}
}

static void test_what_does_not(void **state) {
	(void)state;
	static const char *const cases[] = {
		"Z",      "Zg",       "Zm9",  "Zg=",      "Zm9vY",    "Zm9vYg",   "Zm9vYmE",    "=",
		"====",   "=Zg=",     "Z===", "Zg==Zg==", "Zg==Zm9v", "Zm8=Zm9v", "Z=g=",       "Zm 9",
		"Zm9v\n", "Zm9v\r\n", " Zm9", "Zm9-",     "Zm9_",     "Zm9.",     "Zm\xC3\xA9", "Zm9v===="};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf out = BUF_INIT;
		buf_append_text(&out, "kept");
		if (base64_decode(str_of(cases[i]), &out) == 0) {
			fail_msg("decodes: %s", cases[i]);
		}
		assert_false(base64_is_valid(str_of(cases[i])));
		assert_str(buf_str(&out), "kept");
		buf_free(&out);
	}
}

static void test_memory_runs_out(void **state) {
	(void)state;
	struct buf out = BUF_INIT;
	mem_fail_after(1, false);
	assert_int_equal(base64_decode(STR("Zm9v"), &out), 0);
	mem_fail_after(0, false);
	assert_true(out.failed);
	assert_int_equal(out.length, 0);
	buf_free(&out);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_decodes),
		cmocka_unit_test(test_every_digit),
		cmocka_unit_test(test_what_does_not),
		cmocka_unit_test(test_memory_runs_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
