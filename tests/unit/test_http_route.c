#include "base_test.h"
#include "http/route.h"

enum { ROOT, CREATE, GET_ONE, DELETE_ONE, CANCEL, COMPACT, PART, MODELS, MODEL };

static const struct http_route routes[] = {
	{HTTP_GET, "/", ROOT},
	{HTTP_POST, "/v1/responses", CREATE},
	{HTTP_POST, "/v1/responses/compact", COMPACT},
	{HTTP_GET, "/v1/responses/{}", GET_ONE},
	{HTTP_DELETE, "/v1/responses/{}", DELETE_ONE},
	{HTTP_POST, "/v1/responses/{}/cancel", CANCEL},
	{HTTP_GET, "/v1/conversations/{}/items/{}", PART},
	{HTTP_GET, "/v1/models", MODELS},
	{HTTP_GET, "/v1/models/{*}", MODEL},
};

static struct http_match match(enum http_method method, const char *path) {
	struct http_match found;
	memset(&found, 0xAA, sizeof found);
	/* Ends where its memory ends. */
	size_t length = strlen(path);
	char *exact = exact_copy(path, length);
	http_route_match(routes, COUNT(routes), method, (struct str){exact, length}, &found);
	/* Captures outlive the copy as offsets into the original. */
	for (size_t i = 0; i < HTTP_MAX_CAPTURES; i++) {
		if (found.captures[i].data) {
			found.captures[i].data = path + (found.captures[i].data - exact);
		}
	}
	free(exact);
	return found;
}

static void assert_action(enum http_method method, const char *path, int action) {
	struct http_match found = match(method, path);
	if (!found.route || found.route->action != action) {
		fail_msg("%s: got %d, expected %d", path, found.route ? found.route->action : -1, action);
	}
}

static void test_routes(void **state) {
	(void)state;
	assert_action(HTTP_GET, "/", ROOT);
	assert_action(HTTP_HEAD, "/", ROOT);
	assert_action(HTTP_POST, "/v1/responses", CREATE);
	assert_action(HTTP_GET, "/v1/responses/resp_1", GET_ONE);
	assert_action(HTTP_HEAD, "/v1/responses/resp_1", GET_ONE);
	assert_action(HTTP_DELETE, "/v1/responses/resp_1", DELETE_ONE);
	assert_action(HTTP_POST, "/v1/responses/resp_1/cancel", CANCEL);
	assert_action(HTTP_POST, "/v1/responses/compact", COMPACT);
	assert_action(HTTP_GET, "/v1/responses/compact", GET_ONE);
	assert_action(HTTP_GET, "/v1/conversations/a/items/b", PART);
}

static void test_tail(void **state) {
	(void)state;
	static const char *const tails[] = {"llama3:latest", "a/b", "a/b/c", "a//b", "/a", "a/", "/", "{*}", "a%2Fb"};
	for (size_t i = 0; i < COUNT(tails); i++) {
		char path[64];
		snprintf(path, sizeof path, "/v1/models/%s", tails[i]);
		struct http_match found = match(HTTP_GET, path);
		assert_non_null(found.route);
		assert_int_equal(found.route->action, MODEL);
		assert_str(found.captures[0], tails[i]);
		assert_null(found.captures[1].data);
	}
	assert_action(HTTP_GET, "/v1/models", MODELS);
	assert_null(match(HTTP_GET, "/v1/models/").route);
	assert_null(match(HTTP_GET, "/v1/modelsx/a").route);
	assert_null(match(HTTP_POST, "/v1/models/a/b").route);
	assert_int_equal(match(HTTP_POST, "/v1/models/a/b").allowed, 1U << HTTP_GET | 1U << HTTP_HEAD);
}

static void test_captures(void **state) {
	(void)state;
	struct http_match found = match(HTTP_POST, "/v1/responses/re%2Fsp/cancel");
	assert_str(found.captures[0], "re%2Fsp");
	assert_null(found.captures[1].data);
	found = match(HTTP_GET, "/v1/conversations/conv_1/items/{}");
	assert_str(found.captures[0], "conv_1");
	assert_str(found.captures[1], "{}");
	found = match(HTTP_POST, "/v1/responses");
	assert_null(found.captures[0].data);
}

static void test_paths_that_are_not_there(void **state) {
	(void)state;
	static const char *const paths[] = {"",
					    "v1/responses",
					    "*",
					    "//",
					    "/v1",
					    "/v1/",
					    "/v1/responses/",
					    "/v1/responses//cancel",
					    "/v1/responses/a/cancel/",
					    "/v1/responses/a/cance",
					    "/v1/responses/a/cancell",
					    "/v1/responsesx",
					    "/V1/responses",
					    "//v1/responses",
					    "/v1/responses/a/b",
					    "/v1/conversations/a/items/"};
	for (size_t i = 0; i < COUNT(paths); i++) {
		struct http_match found = match(HTTP_GET, paths[i]);
		if (found.route || found.allowed) {
			fail_msg("%s is there", paths[i]);
		}
	}
}

static void assert_allow(const char *path, const char *expected) {
	char text[48];
	struct http_match found = match(HTTP_OTHER, path);
	assert_null(found.route);
	http_allow(found.allowed, text, sizeof text);
	assert_string_equal(text, expected);
}

static void test_allow(void **state) {
	(void)state;
	assert_allow("/v1/responses", "POST");
	assert_allow("/v1/responses/x", "GET, HEAD, DELETE");
	assert_allow("/v1/responses/compact", "GET, HEAD, POST, DELETE");
	assert_allow("/nowhere", "");
	struct http_match found = match(HTTP_DELETE, "/v1/responses");
	assert_null(found.route);
	assert_int_equal(found.allowed, 1U << HTTP_POST);
	char text[48];
	http_allow(UINT32_MAX, text, sizeof text);
	assert_string_equal(text, "GET, HEAD, POST, DELETE");
}

static int get(const char *query, const char *name, char *out, size_t size) {
	size_t length = strlen(query);
	char *exact = exact_copy(query, length);
	int result = http_query_get((struct str){exact, length}, name, out, size);
	free(exact);
	return result;
}

static void assert_query(const char *query, const char *name, const char *expected) {
	char out[16];
	assert_int_equal(get(query, name, out, sizeof out), 0);
	assert_string_equal(out, expected);
}

static void test_unknown_names(void **state) {
	(void)state;
	static const char *const known[] = {"stream", "include[]", NULL};
	static const struct {
		const char *query, *unknown; /* NULL: none */
	} cases[] = {
		{"", NULL},
		{"stream=true&include%5B%5D=x&&stream", NULL},
		{"strea=1", "strea"},
		{"stream=1&streams=2", "streams"},
		{"=x", NULL},
		{"include=x", "include"},
		{"st%72eam=1&st%61rt=2", "start"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char name[16] = "";
		int none = http_query_unknown(str_of(cases[i].query), known, name, sizeof name);
		assert_int_equal(none, cases[i].unknown ? 0 : 1);
		assert_string_equal(name, cases[i].unknown ? cases[i].unknown : "");
	}
}

static void test_query(void **state) {
	(void)state;
	assert_query("limit=20&order=desc", "limit", "20");
	assert_query("limit=20&order=desc", "order", "desc");
	assert_query("limit=1&limit=2", "limit", "1");
	assert_query("a", "a", "");
	assert_query("a=", "a", "");
	assert_query("&&a=b=c&", "a", "b=c");
	assert_query("q=a+b%2Bc%20d", "q", "a b+c d");
	assert_query("q=%E2%82%AC", "q", "\xE2\x82\xAC");
	assert_query("include%5B%5D=x", "include[]", "x");
	assert_query("include[]=x", "include[]", "x");
	assert_query("%6Cimit=3", "limit", "3");
	assert_query("a+b=3", "a b", "3");
	assert_query("%zz=1&%=2&%4=3&a=4", "a", "4");
	assert_query("=v", "", "v");
	assert_query("a=123456789012345", "a", "123456789012345");
}

static void test_queries_without_it(void **state) {
	(void)state;
	static const char *const queries[] = {"", "&", "b=1", "A=1", "aa=1", "=a", "%61%00=1", "b=a&c=a=1", "%2561=1"};
	for (size_t i = 0; i < COUNT(queries); i++) {
		char out[16] = "kept";
		if (get(queries[i], "a", out, sizeof out) != 1) {
			fail_msg("found in %s", queries[i]);
		}
		assert_string_equal(out, "kept");
	}
}

static void test_malformed_values(void **state) {
	(void)state;
	static const char *const queries[] = {"a=%",      "a=%4",  "a=%4g",    "a=x%",   "a=%00",
					      "a=%ff",    "a=%C3", "a=%C0%80", "a=\xC3", "a=1234567890123456",
					      "a=%zz&a=1"};
	for (size_t i = 0; i < COUNT(queries); i++) {
		char out[16] = "old";
		if (get(queries[i], "a", out, sizeof out) != -1) {
			fail_msg("was taken: %s", queries[i]);
		}
		assert_string_equal(out, "");
	}
}

static void test_segments(void **state) {
	(void)state;
	char out[8];
	assert_int_equal(http_segment_decode(STR("a%2Db+c"), out, sizeof out), 0);
	assert_string_equal(out, "a-b+c");
	assert_int_equal(http_segment_decode(STR_NONE, out, sizeof out), 0);
	assert_string_equal(out, "");
	static const char *const bad[] = {"a%2Fb", "a%2fb", "a/b", "%", "%00", "%FF", "12345678"};
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(http_segment_decode(str_of(bad[i]), out, sizeof out), -1);
		assert_string_equal(out, "");
	}
	assert_int_equal(http_segment_decode(STR("a"), out, 0), -1);
}

/* Whatever bytes come in, what comes out is UTF-8 without a NUL; and the parsers never read past the end. */
static void test_random_bytes(void **state) {
	(void)state;
	uint64_t seed = test_seed();
	static const char alphabet[] = "aa=&%%20FfGg+/;[]\xC3\xA9\xFF{}";
	for (int round = 0; round < 200000; round++) {
		char bytes[24];
		size_t length = test_random(&seed) % sizeof bytes;
		for (size_t i = 0; i < length; i++) {
			bytes[i] = alphabet[test_random(&seed) % (sizeof alphabet - 1)];
		}
		char *exact = exact_copy(bytes, length);
		char out[12] = "";
		struct str input = {exact, length};
		if (http_query_get(input, "a", out, sizeof out) == 0 ||
		    http_segment_decode(input, out, sizeof out) == 0) {
			assert_true(str_is_utf8(str_of(out)));
			assert_true(strlen(out) < sizeof out);
		}
		struct http_match found;
		http_route_match(routes, COUNT(routes), HTTP_GET, input, &found);
		free(exact);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_tail),
		cmocka_unit_test(test_captures),
		cmocka_unit_test(test_paths_that_are_not_there),
		cmocka_unit_test(test_allow),
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_queries_without_it),
		cmocka_unit_test(test_unknown_names),
		cmocka_unit_test(test_malformed_values),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_random_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
