#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/deprecation.h"

static const struct http_deprecation rows[] = {
	{HTTP_GET, "/v1/old/{}", NULL, 1790000000, 1800000000, "https://example.org/new"},
	{HTTP_POST, "/v1/responses", "colour", 1790000001, 0, NULL},
	{HTTP_POST, "/v1/responses", "shade", 1790000002, 1810000000, NULL},
};
static const struct http_deprecations table = {rows, 3};
static const struct http_route old_route = {HTTP_GET, "/v1/old/{}", 1};
static const struct http_route responses = {HTTP_POST, "/v1/responses", 2};
static const struct http_route get_responses = {HTTP_GET, "/v1/responses", 3};

static void a_row_is_found_by_route_and_field(void **state) {
	(void)state;
	assert_ptr_equal(http_deprecation_find(&table, &old_route, STR_NONE), &rows[0]);
	assert_null(http_deprecation_find(&table, &old_route, STR("colour")));
	assert_null(http_deprecation_find(&table, &responses, STR_NONE));
	assert_ptr_equal(http_deprecation_find(&table, &responses, STR("colour")), &rows[1]);
	assert_null(http_deprecation_find(&table, &get_responses, STR("colour")));
	assert_null(http_deprecation_find(&http_deprecated, &old_route, STR_NONE));
}

static void what_ends_sooner_is_told(void **state) {
	(void)state;
	assert_ptr_equal(http_deprecation_sooner(NULL, &rows[1]), &rows[1]);
	assert_ptr_equal(http_deprecation_sooner(&rows[1], NULL), &rows[1]);
	assert_ptr_equal(http_deprecation_sooner(&rows[1], &rows[2]), &rows[2]);
	assert_ptr_equal(http_deprecation_sooner(&rows[0], &rows[2]), &rows[0]);
	assert_null(http_deprecation_sooner(NULL, NULL));
}

static void check_headers(const struct http_deprecation *row, const char *wanted) {
	struct buf out = BUF_INIT;
	http_deprecation_headers(row, &out);
	assert_string_equal(buf_text(&out), wanted);
	buf_free(&out);
}

static void headers_are_those_of_the_rfcs(void **state) {
	(void)state;
	check_headers(&rows[0], "deprecation: @1790000000\r\nsunset: Fri, 15 Jan 2027 08:00:00 GMT\r\n"
				"link: <https://example.org/new>; rel=\"deprecation\"; type=\"text/html\"\r\n");
	check_headers(&rows[1], "deprecation: @1790000001\r\n");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_is_found_by_route_and_field),
		cmocka_unit_test(what_ends_sooner_is_told),
		cmocka_unit_test(headers_are_those_of_the_rfcs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
