#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http_reader.h"

/* What an answer is read as: "status type retry body|", then "." when it ended by itself, "~" when the end of the connection
 * completes it, "?" when that cuts it off, "!" when it is none; in front of it "k" when the connection can be kept, and
 * behind it how many bytes were left over. */
struct outcome {
	struct buf text;
	bool over;
};

static void feed(struct http_reader *reader, struct str bytes, struct outcome *outcome) {
	while (!outcome->over) {
		struct str body = STR_NONE;
		switch (http_reader_next(reader, &bytes, &body)) {
		case HTTP_READ_MORE:
			assert_int_equal(bytes.length, 0);
			return;
		case HTTP_READ_HEAD:
			buf_printf(&outcome->text, "%d %d %lld ", reader->status, (int)reader->type,
				   (long long)(reader->retry_after_s + reader->retry_at_s));
			break;
		case HTTP_READ_BODY:
			assert_true(body.length > 0);
			buf_append_str(&outcome->text, body);
			break;
		case HTTP_READ_END:
			buf_append_text(&outcome->text, reader->keeps_alive ? "|k." : "|.");
			outcome->over = true;
			break;
		default:
			buf_append_text(&outcome->text, "|!");
			outcome->over = true;
		}
	}
}

/* Reads `bytes` in two pieces, or byte by byte when `cut` is past the end. */
static void read_cut(struct str bytes, size_t cut, struct outcome *outcome) {
	struct http_reader reader = {0};
	*outcome = (struct outcome){0};
	size_t piece = cut > bytes.length ? 1 : cut;
	while (bytes.length > 0 && !outcome->over) {
		size_t length = piece < bytes.length ? piece : bytes.length;
		/* A block of its own: nothing may be kept of it. */
		char *copy = malloc(length);
		assert_non_null(copy);
		memcpy(copy, bytes.data, length);
		feed(&reader, (struct str){copy, length}, outcome);
		free(copy);
		bytes = str_skip(bytes, length);
		piece = cut > length ? 1 : bytes.length;
	}
	if (!outcome->over) {
		buf_append_text(&outcome->text, http_reader_ends(&reader) ? "|~" : "|?");
	}
	http_reader_free(&reader);
}

static void expect_length(struct str bytes, const char *expected) {
	for (size_t cut = 1; cut <= bytes.length + 1; cut++) {
		struct outcome outcome;
		read_cut(bytes, cut, &outcome);
		if (!str_is(buf_str(&outcome.text), expected)) {
			fail_msg("cut at %zu, read as \"%.*s\", expected \"%s\":\n%.*s", cut,
				 STR_ARG(buf_str(&outcome.text)), expected, STR_ARG(bytes));
		}
		buf_free(&outcome.text);
	}
}

struct example {
	const char *bytes;
	const char *expected;
};

static void expect_all(const struct example *examples, size_t count) {
	for (size_t i = 0; i < count; i++) {
		expect_length(str_of(examples[i].bytes), examples[i].expected);
	}
}

#define EXPECT(...)                                                                                                    \
	static const struct example examples[] = {__VA_ARGS__};                                                        \
	expect_all(examples, sizeof examples / sizeof examples[0])

#define OK "HTTP/1.1 200 OK\r\n"
#define LENGTH(n) "Content-Length: " n "\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define END "\r\n"

static void test_lengths(void **state) {
	(void)state;
	EXPECT({OK LENGTH("5") END "hello", "200 0 0 hello|k."}, {OK LENGTH("5") END "hell", "200 0 0 hell|?"},
	       {OK LENGTH("0") END, "200 0 0 |k."}, {OK END "up to the end", "200 0 0 up to the end|~"},
	       {OK END, "200 0 0 |~"}, {"HTTP/1.1 204 No Content\r\n" END, "204 0 0 |k."},
	       {"HTTP/1.1 304 Not Modified\r\n" LENGTH("9") END, "304 0 0 |k."},
	       {OK "content-LENGTH:\t5 \r\n" END "hello", "200 0 0 hello|k."},
	       {OK LENGTH("18446744073709551615") END "a", "200 0 0 a|?"});
}

static void test_bad_lengths(void **state) {
	(void)state;
	EXPECT({OK LENGTH("5") LENGTH("5") END "hello", "|!"}, {OK LENGTH("5") LENGTH("6") END "hello", "|!"},
	       {OK LENGTH("5, 5") END "hello", "|!"}, {OK LENGTH("-5") END "hello", "|!"},
	       {OK LENGTH("+5") END "hello", "|!"}, {OK LENGTH("5x") END "hello", "|!"},
	       {OK LENGTH("") END "hello", "|!"}, {OK LENGTH("0x5") END "hello", "|!"},
	       {OK LENGTH("18446744073709551616") END "a", "|!"}, {OK LENGTH("5") CHUNKED END "0\r\n\r\n", "|!"},
	       {OK CHUNKED LENGTH("5") END "0\r\n\r\n", "|!"}, {OK CHUNKED CHUNKED END "0\r\n\r\n", "|!"},
	       {OK "Transfer-Encoding: gzip, chunked\r\n" END "0\r\n\r\n", "|!"},
	       {OK "Transfer-Encoding: identity\r\n" END "0\r\n\r\n", "|!"},
	       {"HTTP/1.0 200 OK\r\n" CHUNKED END "0\r\n\r\n", "|!"});
}

static void test_chunks(void **state) {
	(void)state;
	EXPECT({OK CHUNKED END "5\r\nhello\r\n0\r\n\r\n", "200 0 0 hello|k."},
	       {OK CHUNKED END "5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n", "200 0 0 hello, world|k."},
	       {OK CHUNKED END "00005\r\nhello\r\n000\r\n\r\n", "200 0 0 hello|k."},
	       {OK CHUNKED END "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "200 0 0 01234567890123456789|k."},
	       {OK CHUNKED END "5;name=value\r\nhello\r\n0;last\r\n\r\n", "200 0 0 hello|k."},
	       {OK CHUNKED END "5 ; name=\"a b\"\r\nhello\r\n0\r\n\r\n", "200 0 0 hello|k."},
	       {OK CHUNKED END "5\r\nhello\r\n0\r\nDigest: x\r\nAnd: more\r\n\r\n", "200 0 0 hello|k."},
	       {OK CHUNKED END "2\r\n\r\n\r\n0\r\n\r\n", "200 0 0 \r\n|k."},
	       {OK "transfer-encoding: Chunked\r\n" END "1\r\na\r\n0\r\n\r\n", "200 0 0 a|k."},
	       {OK CHUNKED END "5\r\nhello", "200 0 0 hello|?"},
	       {OK CHUNKED END "5\r\nhello\r\n0\r\n", "200 0 0 hello|?"},
	       {OK CHUNKED END "5\r\nhello\r\n0\r\n\r\nHTTP/1.1", "200 0 0 hello|k."});
}

static void test_bad_chunks(void **state) {
	(void)state;
	EXPECT({OK CHUNKED END "\r\nhello", "200 0 0 |!"}, {OK CHUNKED END "x\r\n", "200 0 0 |!"},
	       {OK CHUNKED END "-1\r\n", "200 0 0 |!"}, {OK CHUNKED END " 5\r\nhello", "200 0 0 |!"},
	       {OK CHUNKED END "0x5\r\nhello", "200 0 0 |!"}, {OK CHUNKED END ";a\r\n", "200 0 0 |!"},
	       {OK CHUNKED END "5\nhello", "200 0 0 |!"}, {OK CHUNKED END "5\rhello", "200 0 0 |!"},
	       {OK CHUNKED END "5;a\nb\r\nhello", "200 0 0 |!"}, {OK CHUNKED END "5\r\nhello!\r\n", "200 0 0 hello|!"},
	       {OK CHUNKED END "5\r\nhello\n0\r\n", "200 0 0 hello|!"},
	       {OK CHUNKED END "5\r\nhello!\n0\r\n\r\n", "200 0 0 hello|!"},
	       {OK CHUNKED END "5\r\nhello\r0", "200 0 0 hello|!"},
	       {OK CHUNKED END "fffffffffffffffff\r\n", "200 0 0 |!"},
	       {OK CHUNKED END "1000000000000000\r\n", "200 0 0 |!"});
}

static void test_heads(void **state) {
	(void)state;
	EXPECT({OK "Content-Type: text/event-stream\r\n" LENGTH("0") END, "200 2 0 |k."},
	       {OK "Content-Type: Text/Event-Stream; charset=utf-8\r\n" LENGTH("0") END, "200 2 0 |k."},
	       {OK "Content-Type: text/event-streams\r\n" LENGTH("0") END, "200 0 0 |k."},
	       {OK "CONTENT-TYPE:application/json\r\n" LENGTH("0") END, "200 1 0 |k."},
	       {"HTTP/1.1 429 Wait\r\nRetry-After: 7\r\n" LENGTH("0") END, "429 0 7 |k."},
	       {"HTTP/1.1 503 Wait\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n" LENGTH("0") END,
		"503 0 946684799 |k."},
	       {"HTTP/1.1 503 Wait\r\nRetry-After: soon\r\n" LENGTH("0") END, "503 0 0 |k."},
	       {OK "Connection: close\r\n" LENGTH("0") END, "200 0 0 |."},
	       {OK "Connection: x, Close\r\n" LENGTH("0") END, "200 0 0 |."},
	       {"HTTP/1.0 200 OK\r\n" LENGTH("0") END, "200 0 0 |."},
	       {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" LENGTH("0") END, "200 0 0 |k."},
	       {"HTTP/1.1 200\r\n" LENGTH("0") END, "200 0 0 |k."},
	       {"HTTP/1.1 200 \r\n" LENGTH("0") END, "200 0 0 |k."},
	       {"HTTP/1.1 200 OK\nContent-Length: 1\n\na", "200 0 0 a|k."},
	       {OK "Empty:\r\nX-Y_z: \xC3\xA9\r\n" LENGTH("0") END, "200 0 0 |k."});
}

static void test_bad_heads(void **state) {
	(void)state;
	EXPECT({"SSH-2.0-OpenSSH_9.2\r\n", "|!"}, {"HTTQ", "|!"}, {"HTTP", "|?"}, {"HTTP/2 200\r\n\r\n", "|!"},
	       {"HTTP/1.1 20 OK\r\n\r\n", "|!"}, {"HTTP/1.1 2000 OK\r\n\r\n", "|!"}, {"HTTP/1.1 099 OK\r\n\r\n", "|!"},
	       {"http/1.1 200 OK\r\n\r\n", "|!"}, {"HTTP/1.1  200 OK\r\n\r\n", "|!"}, {"\r\n", "|!"},
	       {"HTTP/1.1 200 O\rK\r\n\r\n", "|!"}, {OK "no colon\r\n\r\n", "|!"}, {OK ": no name\r\n\r\n", "|!"},
	       {OK "Name : value\r\n\r\n", "|!"}, {OK "Name: a\r\n folded\r\n\r\n", "|!"},
	       {OK "Name: a\rb\r\n\r\n", "|!"}, {OK "Name: a\x01\r\n\r\n", "|!"}, {OK "N\xC3\xA9: a\r\n\r\n", "|!"},
	       {"HTTP/1.1 200", "|?"}, {OK "Name: a", "|?"}, {"", "|?"});
	expect_length((struct str){OK "Name: a\0b\r\n\r\n", sizeof OK - 1 + 13}, "|!");
}

static void test_interim_answers(void **state) {
	(void)state;
	EXPECT({"HTTP/1.1 100 Continue\r\n\r\n" OK LENGTH("2") END "hi", "200 0 0 hi|k."},
	       {"HTTP/1.1 103 Early\r\nLink: x\r\nConnection: close\r\n\r\n" OK LENGTH("2") END "hi", "200 0 0 hi|k."},
	       {"HTTP/1.1 100 Continue\r\n\r\n", "|?"}, {"HTTP/1.1 101 Other\r\n\r\n", "|!"},
	       {"HTTP/1.1 100 Continue\r\n" LENGTH("0") END, "|!"});
	struct buf many = BUF_INIT;
	for (int i = 0; i <= HTTP_MAX_INTERIM; i++) {
		buf_append_text(&many, "HTTP/1.1 100 Continue\r\n\r\n");
	}
	expect_length(buf_str(&many), "|!");
	buf_free(&many);
}

/* `length` bytes of a header, or of a chunk's extension. */
static void expect_bound(const char *before, size_t length, const char *after, const char *expected) {
	struct buf bytes = BUF_INIT;
	buf_append_text(&bytes, before);
	for (size_t i = 0; i < length; i++) {
		buf_append_char(&bytes, 'x');
	}
	buf_append_text(&bytes, after);
	struct outcome outcome;
	read_cut(buf_str(&bytes), 1000, &outcome);
	assert_true(str_is(buf_str(&outcome.text), expected));
	buf_free(&outcome.text);
	read_cut(buf_str(&bytes), bytes.length, &outcome);
	assert_true(str_is(buf_str(&outcome.text), expected));
	buf_free(&outcome.text);
	buf_free(&bytes);
}

static void test_bounds(void **state) {
	(void)state;
	size_t fits = HTTP_MAX_HEAD - strlen(OK "A: \r\n" LENGTH("0") END);
	expect_bound(OK "A: ", fits, "\r\n" LENGTH("0") END, "200 0 0 |k.");
	expect_bound(OK "A: ", fits + 1, "\r\n" LENGTH("0") END, "|!");
	expect_bound(OK, HTTP_MAX_HEAD, "", "|!");
	expect_bound(OK CHUNKED END "1;", HTTP_MAX_EXTENSION - 1, "\r\na\r\n0\r\n\r\n", "200 0 0 a|k.");
	expect_bound(OK CHUNKED END "1;", HTTP_MAX_EXTENSION, "\r\na\r\n0\r\n\r\n", "200 0 0 |!");
	expect_bound(OK CHUNKED END "0\r\n", HTTP_MAX_HEAD, "\r\n\r\n", "200 0 0 |!");
}

static void test_memory_runs_out(void **state) {
	(void)state;
	struct http_reader reader = {0};
	struct str bytes = STR(OK "Na");
	struct str body;
	mem_fail_after(1, true);
	assert_int_equal(http_reader_next(&reader, &bytes, &body), HTTP_READ_MEMORY);
	mem_fail_after(0, false);
	http_reader_free(&reader);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths),         cmocka_unit_test(test_bad_lengths),
		cmocka_unit_test(test_chunks),          cmocka_unit_test(test_bad_chunks),
		cmocka_unit_test(test_heads),           cmocka_unit_test(test_bad_heads),
		cmocka_unit_test(test_interim_answers), cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_memory_runs_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
