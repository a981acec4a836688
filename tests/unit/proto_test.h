/* What the tests of proto share. */
#ifndef SLUICE_TESTS_PROTO_TEST_H
#define SLUICE_TESTS_PROTO_TEST_H

#include "base/json.h"
#include "base_test.h"
#include "proto/error.h"

#define NOW_MS INT64_C(1790000000000)

static inline struct json *parse(const char *text) {
	struct err err = {0};
	struct json *json = json_parse(str_of(text), &err);
	if (!json) {
		fail_msg("%s: %s", err.text, text);
	}
	return json;
}

/* JSON that is written with ' in place of " so that it can be read here. Valid until the eighth call after it. */
static inline const char *quoted(const char *text) {
	static char texts[8][4096];
	static unsigned next;
	char *to = texts[next++ % COUNT(texts)];
	assert_true(strlen(text) < sizeof texts[0]);
	size_t i = 0;
	for (; text[i]; i++) {
		to[i] = text[i];
		if (text[i] == '\'') {
			to[i] = '"';
		}
	}
	to[i] = '\0';
	return to;
}

/* Takes the buffer's content and compares. */
static inline void assert_written(struct buf *out, const char *expected) {
	assert_false(out->failed);
	assert_string_equal(buf_text(out), expected);
	buf_free(out);
}

static inline void assert_api_error(const struct api_error *error, enum api_error_code code, const char *param,
				    const char *message) {
	if (error->code != code || strcmp(error->param, param) != 0 || strcmp(error->message, message) != 0) {
		fail_msg("got %s of \"%s\": %s\nexpected %s of \"%s\": %s", api_error_row(error->code)->code,
			 error->param, error->message, api_error_row(code)->code, param, message);
	}
}

/* The same of the code and the field alone. */
static inline void assert_field_error(const struct api_error *error, enum api_error_code code, const char *param) {
	if (error->code != code || strcmp(error->param, param) != 0) {
		fail_msg("got %s of \"%s\": %s\nexpected %s of \"%s\"", api_error_row(error->code)->code, error->param,
			 error->message, api_error_row(code)->code, param);
	}
	assert_true(error->message[0] && str_is_utf8(str_of(error->message)));
}

#endif
