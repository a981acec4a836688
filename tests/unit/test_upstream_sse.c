#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "upstream/sse.h"

#define MAX_EVENT 64

struct seen {
	struct buf events; /* each as "<data>" */
	struct str input;
	size_t inside; /* events that lay within `input` */
	size_t stop_at;
	size_t count;
};

static int on_event(void *owner, struct str data) {
	struct seen *seen = owner;
	buf_append_char(&seen->events, '<');
	buf_append_str(&seen->events, data);
	buf_append_char(&seen->events, '>');
	uintptr_t at = (uintptr_t)data.data;
	uintptr_t start = (uintptr_t)seen->input.data;
	seen->inside += at >= start && at + data.length <= start + seen->input.length;
	return ++seen->count == seen->stop_at ? -1 : 0;
}

/* In a block of its own, so that AddressSanitizer sees a view that outlives its input. */
static int feed(struct sse_parser *parser, struct seen *seen, struct str bytes, struct err *err) {
	char *copy = malloc(bytes.length + 1);
	assert_non_null(copy);
	memcpy(copy, bytes.data, bytes.length);
	seen->input = (struct str){copy, bytes.length};
	int result = sse_feed(parser, seen->input, on_event, seen, err);
	free(copy);
	return result;
}

static void check(const char *input, const char *expected, int result, size_t first, size_t second) {
	struct str bytes = str_of(input);
	struct sse_parser parser;
	struct seen seen = {0};
	struct err err = {0};
	sse_init(&parser, MAX_EVENT);
	int got = feed(&parser, &seen, (struct str){bytes.data, first}, &err);
	if (got == 0) {
		got = feed(&parser, &seen, (struct str){bytes.data + first, second - first}, &err);
	}
	if (got == 0) {
		got = feed(&parser, &seen, str_skip(bytes, second), &err);
	}
	if (got != result || !str_is(buf_str(&seen.events), expected)) {
		fail_msg("split at %zu and %zu: %d %.*s, expected %d %s", first, second, got,
			 STR_ARG(buf_str(&seen.events)), result, expected);
	}
	assert_int_equal(err.code, result ? ERR_LIMIT : ERR_NONE);
	buf_free(&seen.events);
	sse_free(&parser);
}

#define TEXT_32 "0123456789abcdef0123456789abcdef"

static const struct {
	const char *input;
	const char *expected;
	int result;
} cases[] = {
	{"", "", 0},
	{"data: a\n\n", "<a>", 0},
	{"data: a\r\n\r\ndata: b\r\n\r\n", "<a><b>", 0},
	{"data: a\r\rdata: b\r\r", "<a><b>", 0},
	{"data: a\r\n\rdata: b\n\r\n", "<a><b>", 0},
	{"\xEF\xBB\xBF"
	 "data: a\n\n",
	 "<a>", 0},
	{"\xEF\xBB\xBF\n\n\xEF\xBB\xBF"
	 "data: a\n\n",
	 "", 0},
	{"data: a\ndata: b\n\n", "<a\nb>", 0},
	{"data: a\r\ndata\r\ndata:c\r\n\r\n", "<a\n\nc>", 0},
	{"data\n\n", "<>", 0},
	{"data:\n\n", "<>", 0},
	{"data:  a \n\n", "< a >", 0},
	{"data:a:b\n\n", "<a:b>", 0},
	{": comment\n\ndata: a\n: comment\n\n", "<a>", 0},
	{"event: x\nid: 1\nretry: 5\nother\ndata: a\nevent: y\n\n", "<a>", 0},
	{"Data: a\ndatax: b\n data: c\n\n", "", 0},
	{"\n\n\r\r\r\n", "", 0},
	{"data: a\n\ndata: b", "<a>", 0},
	{"data: a\n\ndata: b\n", "<a>", 0},
	{"data: h\xC3\xA9\xF0\x9F\x98\x80\n\n", "<h\xC3\xA9\xF0\x9F\x98\x80>", 0},
	{"data:" TEXT_32 "0123456789abcdef0123456789a\n\n", "<" TEXT_32 "0123456789abcdef0123456789a>", 0},
	{"data:" TEXT_32 "0123456789abcdef0123456789ab\n\n", "", -1},
	{"data: a\n\ndata: " TEXT_32 TEXT_32, "<a>", -1},
	{"data:" TEXT_32 "\ndata:0123456789abcdef0123456789abcde\n\n", "<" TEXT_32 "\n0123456789abcdef0123456789abcde>",
	 0},
	{"data:" TEXT_32 "\ndata:0123456789abcdef0123456789abcdef\n\n", "", -1},
	{": " TEXT_32 TEXT_32 "\n", "", -1},
};

static void test_every_split(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		size_t length = strlen(cases[i].input);
		for (size_t first = 0; first <= length; first++) {
			for (size_t second = first; second <= length; second++) {
				check(cases[i].input, cases[i].expected, cases[i].result, first, second);
			}
		}
	}
}

static void test_no_copy(void **state) {
	(void)state;
	struct sse_parser parser;
	struct seen seen = {0};
	sse_init(&parser, MAX_EVENT);
	assert_int_equal(feed(&parser, &seen, STR("data: a\n\ndata: b\r\n\r\n: c\ndata: d\nid: 1\n\nda"), NULL), 0);
	assert_int_equal(seen.inside, 3);
	assert_null(parser.data.data);
	assert_int_equal(feed(&parser, &seen, STR("ta: e\n\n"), NULL), 0);
	assert_int_equal(seen.count, 4);
	assert_int_equal(seen.inside, 3);
	buf_free(&seen.events);
	sse_free(&parser);
}

static void test_callback_stops(void **state) {
	(void)state;
	struct sse_parser parser;
	struct seen seen = {.stop_at = 2};
	struct err err = {0};
	sse_init(&parser, MAX_EVENT);
	assert_int_equal(feed(&parser, &seen, STR("data: a\n\ndata: b\n\ndata: c\n\n"), &err), -1);
	assert_int_equal(seen.count, 2);
	assert_int_equal(err.code, ERR_NONE);
	buf_free(&seen.events);
	sse_free(&parser);
}

static void test_memory_stays_bounded(void **state) {
	(void)state;
	struct sse_parser parser;
	struct seen seen = {0};
	sse_init(&parser, 1000);
	for (int i = 0; i < 100000; i++) {
		/* Each event in two pieces, so that it passes through the parser's own memory. */
		assert_int_equal(feed(&parser, &seen, STR("data: some\ndata: te"), NULL), 0);
		assert_int_equal(feed(&parser, &seen, STR("xt\n\n: and a comment\n"), NULL), 0);
		buf_clear(&seen.events);
	}
	assert_int_equal(seen.count, 100000);
	assert_true(parser.line.capacity + parser.data.capacity <= 256);
	buf_free(&seen.events);
	sse_free(&parser);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_split),
		cmocka_unit_test(test_no_copy),
		cmocka_unit_test(test_callback_stops),
		cmocka_unit_test(test_memory_stays_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
