#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "chunk_parse.h"
#include "chunk_scan.h"
#include "upstream/chat.h"

#define CHOICE(members)                                                                                                \
	"{\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":1763664000,\"model\":\"m\","                 \
	"\"system_fingerprint\":null,\"choices\":[{" members "}]}"
#define CONTENT(text)                                                                                                  \
	CHOICE("\"index\":0,\"delta\":{\"content\":\"" text "\"},\"logprobs\":null,\"finish_reason\":null")

/* Plain chunks: the scanner must know them. */
static const struct {
	const char *chunk;
	const char *text;
} plain[] = {
	{CONTENT("Hello"), "Hello"},
	{CONTENT(""), ""},
	{CONTENT("h\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"), "h\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"},
	{CONTENT("\\n\\t\\r\\b\\f\\\"\\\\\\/"), "\n\t\r\b\f\"\\/"},
	{CONTENT("a\\u00e9\\u20AC\\ud83d\\uDE00\\u0041z"), "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"
							   "Az"},
	{CONTENT("\\\",\\\"content\\\":\\\"no"), "\",\"content\":\"no"},
	{"{\"choices\":[{\"delta\":{\"content\":\"x\",\"role\":\"assistant\"}}]}", "x"},
	{" { \"choices\" : [ { \"delta\" : { \"content\" : \"x\" } , \"index\" : 0 } ] , \"usage\" : null } \n", "x"},
	{CHOICE("\"delta\":{\"role\":\"assistant\",\"content\":null,\"refusal\":null},\"index\":0"), ""},
	{CHOICE("\"delta\":{},\"index\":0,\"finish_reason\":null"), ""},
	{CHOICE("\"delta\":{\"content\":\"x\",\"tool_calls\":null,\"reasoning_content\":null},\"stop_reason\":null"),
	 "x"},
	{"{\"object\":\"error\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}", "a"},
};

/* Chunks that only the tree may judge. */
static const char *const unusual[] = {
	"",
	"[DONE]",
	"null",
	"{}",
	"[]",
	"{\"choices\":[]}",
	"{\"choices\":null}",
	"{\"choices\":{}}",
	"{\"choices\":[1]}",
	"{\"choices\":[{}]}",
	"{\"choices\":[{\"delta\":null}]}",
	"{\"choices\":[{\"delta\":1}]}",
	"{\"choices\":[{\"delta\":{\"content\":1}}]}",
	"{\"choices\":[{\"delta\":{\"content\":\"a\",\"content\":\"b\"}}]}",
	"{\"choices\":[{\"delta\":{\"content\":\"a\",\"c\\u006fntent\":\"b\"}}]}",
	"{\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"choices\":[]}",
	"{\"choices\":[{\"delta\":{\"content\":\"a\"}},{\"index\":1,\"delta\":{\"content\":\"b\"}}]}",
	"{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"}},{\"index\":0,\"delta\":{\"content\":\"a\"}}]}",
	"{\"choices\":[{\"index\":01,\"delta\":{\"content\":\"b\"}}]}",
	"{\"choices\":[{\"index\":0.0,\"delta\":{\"content\":\"b\"}}]}",
	"{\"choices\":[{\"index\":null,\"delta\":{\"content\":\"b\"}}]}",
	"{\"choices\":[{\"delta\":{\"content\":[{\"type\":\"thinking\"},{\"type\":\"text\",\"text\":\"a\"}]}}]}",
	"{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}}",
	"{\"choices\":[{\"delta\":{\"content\":\"a\"}}]} x",
	"{\"choices\":[{\"delta\":{\"content\":\"a\"}}],}",
	"{\"choices\":[{\"delta\":{\"content\":\"a\",}}]}",
	"{\"choices\":[{\"delta\":{\"content\":\"a\"}}]",
	"{\"created\":007,\"choices\":[{\"delta\":{\"content\":\"a\"}}]}",
	"{\"created\":1e999,\"choices\":[{\"delta\":{\"content\":\"a\"}}]}",
	"{\"created\":12345678901234567890,\"choices\":[{\"delta\":{\"content\":\"a\"}}]}",
	"{\"created\":-1.5e3,\"choices\":[{\"delta\":{\"content\":\"a\"}}]}",
	"{\"id\":\"\\u0000\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}",
	"{\"id\":{\"choices\":[]},\"choices\":[{\"delta\":{\"content\":\"a\"}}]}",
	CONTENT("a\nb"),
	CONTENT("a\x01"),
	CONTENT("\xFF"),
	CONTENT("\xC3"),
	CONTENT("\xED\xA0\x80"),
	CONTENT("\\u0000"),
	CONTENT("\\ud83d"),
	CONTENT("\\ude00"),
	CONTENT("\\ud83d\\ud83d\\ude00"),
	CONTENT("\\ud83dx"),
	CONTENT("\\x41"),
	CONTENT("\\u00g0"),
	CONTENT("\\"),
	CHOICE("\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\""),
	CHOICE("\"index\":0,\"delta\":{\"content\":\"a\"},\"logprobs\":{\"content\":[]},\"finish_reason\":\"\""),
	CHOICE("\"index\":0,\"delta\":{\"content\":\"a\",\"new\":{\"content\":\"b\"}}"),
	CHOICE("\"index\":0,\"message\":{\"content\":\"a\"}"),
	"{\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5}}",
	"{\"usage\":{\"prompt_tokens\":-7,\"completion_tokens\":5.5}}",
	"{\"error\":{\"message\":\"m\",\"type\":\"t\",\"code\":400}}",
	"{\"error\":\"m\"}",
	"{\"error\":null,\"choices\":[{\"delta\":{\"content\":\"a\"}}]}",
	"{\"object\":\"error\",\"message\":\"m\",\"code\":\"c\"}",
};

/* Ends where its block of memory ends, so that AddressSanitizer sees a read past it. */
static char *exact_copy(struct str s) {
	char *copy = malloc(s.length + (s.length == 0));
	assert_non_null(copy);
	memcpy(copy, s.data, s.length);
	return copy;
}

/* What the scanner takes, the tree must read in the same way. Returns whether the scanner took it. */
static bool compare(struct str chunk) {
	char *copy = exact_copy(chunk);
	struct str data = {copy, chunk.length};
	struct buf scan_scratch = BUF_INIT;
	struct buf parse_scratch = BUF_INIT;
	struct str scanned = STR_NONE;
	struct chat_chunk parsed = {0};
	struct err err = {0};
	bool taken = chunk_scan(data, &scan_scratch, &scanned);
	int failed = chunk_parse(data, &parse_scratch, &parsed, &err);
	if (taken && (failed || !str_equal(scanned, parsed.text) || parsed.finish != CHAT_FINISH_NONE ||
		      parsed.usage.known || parsed.is_error)) {
		fail_msg("scanned \"%.*s\", parsed \"%.*s\" (%s): %.*s", STR_ARG(scanned), STR_ARG(parsed.text),
			 err.text, STR_ARG(data));
	}
	buf_free(&scan_scratch);
	buf_free(&parse_scratch);
	free(copy);
	return taken;
}

static void test_scanner_knows_plain_chunks(void **state) {
	(void)state;
	struct buf scratch = BUF_INIT;
	for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
		if (!compare(str_of(plain[i].chunk))) {
			fail_msg("not taken: %s", plain[i].chunk);
		}
		struct chat_chunk chunk;
		assert_int_equal(chat_chunk_read(str_of(plain[i].chunk), &scratch, &chunk, NULL), 0);
		assert_true(str_is(chunk.text, plain[i].text));
		assert_false(chunk.done);
	}
	buf_free(&scratch);
}

static void test_scanner_leaves_the_unusual(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof unusual / sizeof unusual[0]; i++) {
		if (compare(str_of(unusual[i]))) {
			fail_msg("taken: %s", unusual[i]);
		}
	}
}

static uint64_t next_random(uint64_t *seed) {
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void test_both_ways_agree_on_mutations(void **state) {
	(void)state;
	static const char bytes[] = "{}[]\",:\\un0123456789 tfeE.-+\n\xC3\xA9\xF0";
	const char *given = getenv("SLUICE_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	print_message("SLUICE_TEST_SEED=%llu\n", (unsigned long long)seed);
	seed |= 1;
	size_t count = sizeof plain / sizeof plain[0];
	size_t taken = 0;
	for (int i = 0; i < 200000; i++) {
		char chunk[512];
		const char *from = plain[next_random(&seed) % count].chunk;
		size_t length = strlen(from);
		memcpy(chunk, from, length);
		for (uint64_t changes = 1 + next_random(&seed) % 3; changes > 0; changes--) {
			size_t at = next_random(&seed) % length;
			size_t other = next_random(&seed) % length;
			size_t span = 1 + next_random(&seed) % 24;
			char byte = bytes[next_random(&seed) % (sizeof bytes - 1)];
			switch (next_random(&seed) % 4) {
			case 0:
				chunk[at] = byte;
				break;
			case 1:
				if (at + span < length) {
					memmove(chunk + at, chunk + at + span, length - at - span);
					length -= span;
				}
				break;
			case 2:
				if (length + span < sizeof chunk && other + span < length) {
					char copy[24];
					memcpy(copy, chunk + other, span);
					memmove(chunk + at + span, chunk + at, length - at);
					memcpy(chunk + at, copy, span);
					length += span;
				}
				break;
			default:
				chunk[at] = chunk[other];
			}
		}
		taken += compare((struct str){chunk, length});
	}
	/* Otherwise the mutations would be too wild to compare anything. */
	assert_true(taken > 1000);
}

static struct chat_chunk read_chunk(const char *text, struct buf *scratch) {
	struct chat_chunk chunk;
	struct err err = {0};
	if (chat_chunk_read(str_of(text), scratch, &chunk, &err)) {
		fail_msg("%s: %s", text, err.text);
	}
	return chunk;
}

static void test_what_a_chunk_says(void **state) {
	(void)state;
	struct buf scratch = BUF_INIT;
	struct chat_chunk chunk = read_chunk(" [DONE] ", &scratch);
	assert_true(chunk.done);
	chunk = read_chunk(
		"{\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"length\"}],\"usage\":{"
		"\"prompt_tokens\":7,\"completion_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":3},"
		"\"completion_tokens_details\":{\"reasoning_tokens\":2}}}",
		&scratch);
	assert_true(str_is(chunk.text, "a"));
	assert_int_equal(chunk.finish, CHAT_FINISH_LENGTH);
	assert_true(chunk.usage.known);
	assert_int_equal(chunk.usage.input_tokens, 7);
	assert_int_equal(chunk.usage.output_tokens, 5);
	assert_int_equal(chunk.usage.cached_tokens, 3);
	assert_int_equal(chunk.usage.reasoning_tokens, 2);
	chunk = read_chunk("{\"usage\":{\"prompt_tokens\":-7,\"completion_tokens\":5.5}}", &scratch);
	assert_true(chunk.usage.known);
	assert_int_equal(chunk.usage.input_tokens, 0);
	assert_int_equal(chunk.usage.output_tokens, 0);
	chunk = read_chunk("{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"}},"
			   "{\"index\":0,\"delta\":{\"content\":\"a\"}}]}",
			   &scratch);
	assert_true(str_is(chunk.text, "a"));
	chunk = read_chunk("{\"choices\":[{\"delta\":{\"content\":[{\"type\":\"thinking\",\"text\":\"no\"},"
			   "{\"type\":\"text\",\"text\":\"yes\"}]}}]}",
			   &scratch);
	assert_true(str_is(chunk.text, "yes"));
	chunk = read_chunk(CONTENT("a\\ud83db\\ud83d\\ude00\\\\ud83d"), &scratch);
	assert_true(str_is(chunk.text, "a\xEF\xBF\xBD"
				       "b\xF0\x9F\x98\x80\\ud83d"));
	chunk = read_chunk("{\"error\":{\"message\":\"m\",\"type\":\"t\",\"code\":400}}", &scratch);
	assert_true(chunk.is_error);
	assert_string_equal(chunk.error_text, "m");
	assert_string_equal(chunk.error_code, "t");
	chunk = read_chunk("{\"object\":\"error\",\"message\":\"m\",\"code\":\"c\"}", &scratch);
	assert_true(chunk.is_error);
	assert_string_equal(chunk.error_code, "c");
	buf_free(&scratch);
}

static void test_what_is_no_chunk(void **state) {
	(void)state;
	static const char *const bad[] = {
		"",
		"x",
		"1",
		"{}",
		"[]",
		"{\"choices\":{}}",
		"{\"choices\":[1]}",
		"{\"choices\":[{\"delta\":1}]}",
		"{\"choices\":[{\"delta\":{\"content\":1}}]}",
		"[DONE",
		CONTENT("\xFF"),
		CONTENT("\\u0000"),
		"{\"choices\":[{\"delta\":{\"content\":\"a\",\"content\":\"b\"}}]}",
	};
	struct buf scratch = BUF_INIT;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct chat_chunk chunk;
		struct err err = {0};
		if (chat_chunk_read(str_of(bad[i]), &scratch, &chunk, &err) == 0) {
			fail_msg("read: %s", bad[i]);
		}
		assert_int_equal(err.code, ERR_INVALID);
	}
	buf_free(&scratch);
}

static void test_request(void **state) {
	(void)state;
	const struct chat_part brief = {.text = STR("be \"brief\"")};
	const struct chat_part words = {.text = STR("h\xC3\xA9\n")};
	const struct chat_message messages[] = {
		{.role = "developer", .parts = &brief, .part_count = 1},
		{.role = "user", .parts = &words, .part_count = 1},
		{.role = "assistant"},
	};
	const struct chat_request request = {
		.model = "m/1",
		.messages = messages,
		.message_count = 3,
		.has_temperature = true,
		.temperature = 0.5,
		.has_max_tokens = true,
		.max_tokens = 100,
	};
	struct buf out = BUF_INIT;
	chat_request_write(&out, &request);
	assert_string_equal(
		buf_text(&out),
		"{\"model\":\"m/1\",\"messages\":[{\"role\":\"system\",\"content\":\"be \\\"brief\\\"\"},"
		"{\"role\":\"user\",\"content\":\"h\xC3\xA9\\n\"},{\"role\":\"assistant\",\"content\":\"\"}],"
		"\"stream\":true,\"stream_options\":{\"include_usage\":true},\"temperature\":0.5,"
		"\"max_tokens\":100}");
	buf_free(&out);
}

static void test_error_bodies(void **state) {
	(void)state;
	static const struct {
		const char *body;
		const char *message;
		const char *code;
	} cases[] = {
		{"{\"error\":{\"message\":\"m\",\"code\":\"c\",\"type\":\"t\"}}", "m", "c"},
		{"{\"error\":{\"message\":\"m\",\"code\":null,\"type\":\"t\"}}", "m", "t"},
		{"{\"error\":\"m\"}", "m", ""},
		{"plain", "plain", ""},
		{"0123456789 0123456789", "0123456789 01234", ""},
		{"", "", ""},
		{"\xFF", "", ""},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char message[17];
		char code[8];
		chat_error_read(str_of(cases[i].body), message, sizeof message, code, sizeof code);
		assert_string_equal(message, cases[i].message);
		assert_string_equal(code, cases[i].code);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scanner_knows_plain_chunks),
		cmocka_unit_test(test_scanner_leaves_the_unusual),
		cmocka_unit_test(test_both_ways_agree_on_mutations),
		cmocka_unit_test(test_what_a_chunk_says),
		cmocka_unit_test(test_what_is_no_chunk),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_error_bodies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
