#include "proto_test.h"

#define BEGIN_MARK "<!-- errors:begin -->"
#define END_MARK "<!-- errors:end -->"

static char *read_document(void) {
	FILE *file = fopen("docs/protocol.md", "r");
	assert_non_null(file);
	struct buf text = BUF_INIT;
	char block[4096];
	size_t length;
	while ((length = fread(block, 1, sizeof block, file)) > 0) {
		buf_append(&text, block, length);
	}
	fclose(file);
	char *whole = buf_take_text(&text);
	assert_non_null(whole);
	return whole;
}

static void test_the_document_shows_every_error(void **state) {
	(void)state;
	char *document = read_document();
	char *begin = strstr(document, BEGIN_MARK);
	assert_non_null(begin);
	char *end = strstr(begin, END_MARK);
	assert_non_null(end);
	struct str rest = {begin + strlen(BEGIN_MARK), (size_t)(end - begin) - strlen(BEGIN_MARK)};
	int code = API_OK;
	while (rest.length > 0) {
		struct str line = str_cut(&rest, '\n');
		if (!str_starts(line, "| `")) {
			continue;
		}
		code++;
		assert_in_range(code, 1, API_ERROR_COUNT - 1);
		const struct api_error_row *row = api_error_row((enum api_error_code)code);
		char expected[1024];
		snprintf(expected, sizeof expected, "| `%s` | %d | %s | %s | %s |", row->code, row->status, row->type,
			 row->cause, row->cure);
		assert_str(line, expected);
	}
	assert_int_equal(code, API_ERROR_COUNT - 1);
	mem_free(document);
}

static void test_rows(void **state) {
	(void)state;
	for (int i = API_OK + 1; i < API_ERROR_COUNT; i++) {
		const struct api_error_row *row = api_error_row((enum api_error_code)i);
		assert_in_range(row->status, 400, 599);
		assert_true(strlen(row->cause) > 0 && strlen(row->cure) > 0);
		for (int j = API_OK + 1; j < i; j++) {
			assert_string_not_equal(row->code, api_error_row((enum api_error_code)j)->code);
		}
	}
	assert_string_equal(api_error_row(API_OK)->code, "internal_error");
	assert_string_equal(api_error_row(API_ERROR_COUNT)->code, "internal_error");
}

static void test_set(void **state) {
	(void)state;
	struct api_error error;
	memset(&error, 0xAA, sizeof error);
	assert_int_equal(api_error_set(&error, API_NOT_FOUND, NULL, NULL), -1);
	assert_api_error(&error, API_NOT_FOUND, "", "No such path. See the table of endpoints.");
	assert_int_equal(error.retry_after_ms, -1);
	assert_false(error.requests.known);
	api_error_set(&error, API_INVALID_TYPE, "input[3]", "%s must be %d", "input[3]", 7);
	assert_api_error(&error, API_INVALID_TYPE, "input[3]", "input[3] must be 7");
}

static void test_a_long_message_is_cut_between_characters(void **state) {
	(void)state;
	char text[400];
	struct api_error error;
	for (size_t lead = 0; lead < 4; lead++) {
		memset(text, 'a', lead);
		for (size_t at = lead; at + 3 < sizeof text; at += 3) {
			memcpy(text + at, "\xE2\x82\xAC\0", 4);
		}
		api_error_set(&error, API_INTERNAL, text, "%s", text);
		assert_true(strlen(error.message) >= sizeof error.message - 4);
		assert_true(str_is_utf8(str_of(error.message)));
		assert_true(strlen(error.param) >= sizeof error.param - 4);
		assert_true(str_is_utf8(str_of(error.param)));
	}
}

static void test_body(void **state) {
	(void)state;
	struct api_error error;
	struct buf out = BUF_INIT;
	api_error_set(&error, API_MODEL_NOT_FOUND, "model", "No \"x\".");
	api_error_write_body(&out, &error);
	assert_written(&out, "{\"error\":{\"message\":\"No \\\"x\\\".\",\"type\":\"invalid_request_error\",\"param\":"
			     "\"model\",\"code\":\"model_not_found\"}}");
	api_error_set(&error, API_INTERNAL, NULL, "m");
	api_error_write_body(&out, &error);
	assert_written(&out, "{\"error\":{\"message\":\"m\",\"type\":\"server_error\",\"param\":null,\"code\":"
			     "\"internal_error\"}}");
}

static void test_event(void **state) {
	(void)state;
	struct api_error error;
	struct buf out = BUF_INIT;
	api_error_set(&error, API_UNKNOWN_EVENT, "type", "m");
	api_error_write_event(&out, &error);
	assert_written(&out,
		       "{\"type\":\"error\",\"status\":400,\"error\":{\"type\":\"invalid_request_error\",\"code\":"
		       "\"unknown_event\",\"message\":\"m\",\"param\":\"type\"}}");
	api_error_set(&error, API_OVERLOADED, NULL, "m");
	error.retry_after_ms = 0;
	api_error_write_event(&out, &error);
	assert_written(&out, "{\"type\":\"error\",\"status\":503,\"error\":{\"type\":\"server_error\",\"code\":"
			     "\"server_overloaded\",\"message\":\"m\",\"param\":null,\"retry_after_ms\":0,"
			     "\"headers\":{\"retry-after\":\"0\",\"retry-after-ms\":\"0\"}},"
			     "\"headers\":{\"retry-after\":\"0\",\"retry-after-ms\":\"0\"}}");
	api_error_set(&error, API_RATE_LIMITED, NULL, "m");
	error.retry_after_ms = 1250;
	error.requests = (struct api_limit_state){.known = true, .limit = 100, .remaining = 0, .reset_ms = 12000};
	api_error_write_event(&out, &error);
#define HEADERS                                                                                                        \
	"\"headers\":{\"x-ratelimit-limit-requests\":\"100\",\"x-ratelimit-remaining-requests\":\"0\","                \
	"\"x-ratelimit-reset-requests\":\"12s\",\"retry-after\":\"2\",\"retry-after-ms\":\"1250\"}}"
	assert_written(&out, "{\"type\":\"error\",\"status\":429,\"error\":{\"type\":\"rate_limit_error\",\"code\":"
			     "\"rate_limit_exceeded\",\"message\":\"m\",\"param\":null,\"retry_after_ms\":1250," HEADERS
			     "," HEADERS);
}

static void test_headers(void **state) {
	(void)state;
	struct api_error error;
	struct api_header headers[API_ERROR_HEADERS];
	api_error_set(&error, API_OVERLOADED, NULL, NULL);
	assert_int_equal(api_error_headers(&error, headers), 0);
	error.retry_after_ms = 0;
	assert_int_equal(api_error_headers(&error, headers), 2);
	assert_string_equal(headers[0].name, "retry-after");
	assert_string_equal(headers[0].value, "0");
	error.retry_after_ms = INT64_MAX;
	assert_int_equal(api_error_headers(&error, headers), 2);
	assert_string_equal(headers[0].value, "9223372036854776");
	assert_string_equal(headers[1].value, "9223372036854775807");

	static const struct {
		int64_t ms;
		const char *text;
	} durations[] = {{-5, "0ms"},     {0, "0ms"},       {999, "999ms"},
			 {1000, "1s"},    {1001, "2s"},     {59000, "59s"},
			 {59001, "1m0s"}, {360000, "6m0s"}, {INT64_MAX, "153722867280912m56s"}};
	for (size_t i = 0; i < COUNT(durations); i++) {
		struct api_limit_state limit = {.known = true, .limit = 7, .remaining = 3, .reset_ms = durations[i].ms};
		assert_int_equal(api_limit_headers(&limit, headers), 3);
		assert_string_equal(headers[0].value, "7");
		assert_string_equal(headers[1].value, "3");
		assert_string_equal(headers[2].name, "x-ratelimit-reset-requests");
		assert_string_equal(headers[2].value, durations[i].text);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_document_shows_every_error),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_a_long_message_is_cut_between_characters),
		cmocka_unit_test(test_body),
		cmocka_unit_test(test_event),
		cmocka_unit_test(test_headers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
