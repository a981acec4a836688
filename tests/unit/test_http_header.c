#include "base_test.h"
#include "http/route.h"

/* A view of a copy that ends where its memory ends; freed by the next call. */
static struct str view(const char *text) {
	static char *last;
	free(last);
	size_t length = text ? strlen(text) : 0;
	last = length > 0 ? exact_copy(text, length) : NULL;
	return (struct str){last, length};
}

static void test_cookies(void **state) {
	(void)state;
	static const struct {
		const char *header;
		const char *value; /* NULL: not there */
	} cases[] = {
		{"s=abc", "abc"},
		{"a=1; s=abc; b=2", "abc"},
		{"a=1;s=abc", "abc"},
		{" s=abc\t", "abc"},
		{"s=first; s=second", "first"},
		{"s=", ""},
		{"s=\"abc\"", "abc"},
		{"s=\"\"", ""},
		{"s=a=b=", "a=b="},
		{"", NULL},
		{"s", NULL},
		{";;;", NULL},
		{"s=!#~", "!#~"},
		{"s=a\x7F", NULL},
		{"S=abc", NULL},
		{"xs=abc", NULL},
		{"s x=abc", NULL},
		{"a=\"; s\"", NULL},
		{"s=a b", NULL},
		{"s=a,b", NULL},
		{"s=a\\b", NULL},
		{"s=\"abc", NULL},
		{"s=\xC3\xA9", NULL},
		{"s=a b; s=good", "good"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct str value = STR("kept");
		bool found = http_cookie_get(view(cases[i].header), "s", &value);
		assert_int_equal(found, cases[i].value != NULL);
		assert_str(value, cases[i].value ? cases[i].value : "kept");
	}
}

static void test_bearer(void **state) {
	(void)state;
	static const struct {
		const char *header;
		const char *token;
	} cases[] = {
		{"Bearer sk_abc", "sk_abc"},
		{"bearer abc", "abc"},
		{"BEARER   a.b-c_d~e+f/g==", "a.b-c_d~e+f/g=="},
		{" Bearer abc ", "abc"},
		{"", NULL},
		{"Bearer azAZ09", "azAZ09"},
		{"Bearer a@", NULL},
		{"Bearer a[", NULL},
		{"Bearer a`", NULL},
		{"Bearer a{", NULL},
		{"Bearer a:", NULL},
		{"Bearer", NULL},
		{"Bearer ", NULL},
		{"Bearerabc", NULL},
		{"Bearer\tabc", NULL},
		{"Basic abc", NULL},
		{"Bearer =", NULL},
		{"Bearer a=b", NULL},
		{"Bearer a b", NULL},
		{"Bearer a,b", NULL},
		{"Bearer a\"b", NULL},
		{"Bearer \xC3\xA9", NULL},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct str token = STR("kept");
		assert_int_equal(http_bearer(view(cases[i].header), &token), cases[i].token != NULL);
		assert_str(token, cases[i].token ? cases[i].token : "kept");
	}
	struct str token;
	assert_false(http_bearer(STR("Bearer a\0b"), &token));
}

static void test_etags(void **state) {
	(void)state;
	static const struct {
		const char *header;
		const char *etag;
		bool matches;
	} cases[] = {
		{"\"a\"", "\"a\"", true},
		{"W/\"a\"", "\"a\"", true},
		{"\"a\"", "W/\"a\"", true},
		{"*", "\"a\"", true},
		{" * ", "\"a\"", true},
		{"\"b\", \"a\"", "\"a\"", true},
		{"\"b\",\"a\" ,\"c\"", "\"a\"", true},
		{", ,\"a\"", "\"a\"", true},
		{"\"x,y\", \"a\"", "\"a\"", true},
		{"\"\"", "\"\"", true},
		{"\"\xC3\xA9\"", "\"\xC3\xA9\"", true},
		{"", "\"a\"", false},
		{"\"A\"", "\"a\"", false},
		{"\"b\", \"c\"", "\"a\"", false},
		{"\"b, \"a\"", "\"a\"", false},
		{"a", "\"a\"", false},
		{"\"a", "\"a\"", false},
		{"w/\"a\"", "\"a\"", false},
		{"\"b\" \"a\"", "\"a\"", false},
		{"\"b\"x, \"a\"", "\"a\"", false},
		{"*, \"b\"", "\"a\"", false},
		{"\"x,\"a\"\"", "\"a\"", false},
		{"\"a b\"", "\"a b\"", false},
		{"\"a\x7F\"", "\"a\x7F\"", false},
		{"\"a b\", \"a\"", "\"a\"", false},
		{"\"a\"", "a", false},
		{"W/", "\"a\"", false},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		if (http_etag_matches(view(cases[i].header), cases[i].etag) != cases[i].matches) {
			fail_msg("%s against %s", cases[i].header, cases[i].etag);
		}
	}
}

static void test_json(void **state) {
	(void)state;
	static const struct {
		const char *header;
		bool is;
	} cases[] = {
		{"application/json", true},
		{"Application/JSON", true},
		{" application/json ", true},
		{"application/json; charset=utf-8", true},
		{"application/json;charset=\"utf-8\"", true},
		{"application/json ; a=\"x\\\"y;\" ; b=c", true},
		{"application/json;", true},
		{"application/json; ; a=b", true},
		{"", false},
		{"application", false},
		{"text/json", false},
		{"application/jsonx", false},
		{"application/json-patch+json", false},
		{"application/problem+json", false},
		{"application/json charset=utf-8", false},
		{"application/json; charset", false},
		{"application/json; charset=", false},
		{"application/json; =utf-8", false},
		{"application/json; @=utf-8", false},
		{"application/json; charset = utf-8", false},
		{"application/json; a=\"b", false},
		{"application/json; a=\"b\\", false},
		{"application/json, text/plain", false},
		{"application/json; a=b c", false},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		if (http_is_json(view(cases[i].header)) != cases[i].is) {
			fail_msg("%s", cases[i].header);
		}
	}
}

static void test_media_types(void **state) {
	(void)state;
	assert_string_equal(http_media_type("index.html"), "text/html; charset=utf-8");
	assert_string_equal(http_media_type("a/b.min.js"), "text/javascript; charset=utf-8");
	assert_string_equal(http_media_type("LOGO.SVG"), "image/svg+xml");
	assert_string_equal(http_media_type("a.css/README"), "application/octet-stream");
	assert_string_equal(http_media_type("html"), "application/octet-stream");
	assert_string_equal(http_media_type("a."), "application/octet-stream");
	assert_string_equal(http_media_type(""), "application/octet-stream");
}

static void test_origins(void **state) {
	(void)state;
	static const char *const allowed[] = {"https://chat.example.org", "http://localhost:5173", "null"};
	static const struct {
		const char *origin;
		const char *host;
		bool is;
	} cases[] = {
		{"http://127.0.0.1:8080", "127.0.0.1:8080", true},
		{"https://sluice.example", "sluice.example", true},
		{"https://sluice.example", "Sluice.Example", true},
		{"http://[::1]:8080", "[::1]:8080", true},
		{"https://chat.example.org", "other.example", true},
		{"http://localhost:5173", "", true},
		{"http://chat.example.org", "other.example", false},
		{"https://chat.example.org:8443", "other.example", false},
		{"https://chat.example.org/", "other.example", false},
		{"https://chat.example.org.evil.example", "other.example", false},
		{"https://evil.example/https://chat.example.org", "other.example", false},
		{"http://127.0.0.1:8081", "127.0.0.1:8080", false},
		{"ftp://127.0.0.1:8080", "127.0.0.1:8080", false},
		{"127.0.0.1:8080", "127.0.0.1:8080", false},
		{"http://", "", false},
		{"http://x", "", false},
		{"null", "null", false},
		{"", "", false},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		if (http_origin_allowed(view(cases[i].origin), str_of(cases[i].host), allowed, COUNT(allowed)) !=
		    cases[i].is) {
			fail_msg("%s at %s", cases[i].origin, cases[i].host);
		}
	}
}

static void test_random_bytes(void **state) {
	(void)state;
	uint64_t seed = test_seed();
	static const char alphabet[] = "s=;, \t\"\\W/*aB\xFF";
	for (int round = 0; round < 200000; round++) {
		char bytes[24];
		size_t length = test_random(&seed) % sizeof bytes;
		for (size_t i = 0; i < length; i++) {
			bytes[i] = alphabet[test_random(&seed) % (sizeof alphabet - 1)];
		}
		char *exact = exact_copy(bytes, length);
		struct str input = {exact, length};
		struct str value;
		if (http_cookie_get(input, "s", &value)) {
			assert_true(value.length < length);
		}
		(void)http_etag_matches(input, "\"a\"");
		(void)http_bearer(input, &value);
		(void)http_is_json(input);
		free(exact);

		char *typed = malloc(16 + length);
		assert_non_null(typed);
		memcpy(typed, "application/json", 16);
		memcpy(typed + 16, bytes, length);
		(void)http_is_json((struct str){typed, 16 + length});
		free(typed);
	}
	(void)view(NULL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cookies),      cmocka_unit_test(test_bearer),      cmocka_unit_test(test_etags),
		cmocka_unit_test(test_json),         cmocka_unit_test(test_media_types), cmocka_unit_test(test_origins),
		cmocka_unit_test(test_random_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
