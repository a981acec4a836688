#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "chunk_frame.h"
#include "chunk_parse.h"
#include "upstream/chat.h"

#define CHOICE(members)                                                                                                \
	"{\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":1763664000,\"model\":\"m\","                 \
	"\"system_fingerprint\":null,\"choices\":[{" members "}]}"
#define CONTENT(text)                                                                                                  \
	CHOICE("\"index\":0,\"delta\":{\"content\":\"" text "\"},\"logprobs\":null,\"finish_reason\":null")

#define DELTA(members) "{\"choices\":[{\"index\":0,\"delta\":{" members "}}]}"
#define END(reason) "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" reason "\"}]}"
#define MESSAGE(members) "{\"choices\":[{\"index\":0,\"message\":{" members "},\"finish_reason\":\"stop\"}]}"
#define CALLS(calls) DELTA("\"tool_calls\":[" calls "]")

/* Plain chunks: the scanner must know them. `said` is what `record` makes of them. */
static const struct {
	const char *chunk;
	const char *said;
} plain[] = {
	{CONTENT("Hello"), "T(Hello)"},
	{CONTENT(""), ""},
	{CONTENT("h\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"), "T(h\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80)"},
	{CONTENT("\\n\\t\\r\\b\\f\\\"\\\\\\/"), "T(\n\t\r\b\f\"\\/)"},
	{CONTENT("a\\u00e9\\u20AC\\ud83d\\uDE00\\u0041z"), "T(a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"
							   "Az)"},
	{CONTENT("\\\",\\\"content\\\":\\\"no"), "T(\",\"content\":\"no)"},
	{"{\"choices\":[{\"delta\":{\"content\":\"x\",\"role\":\"assistant\"}}]}", "T(x)"},
	{" { \"choices\" : [ { \"delta\" : { \"content\" : \"x\" } , \"index\" : 0 } ] , \"usage\" : null } \n",
	 "T(x)"},
	{CHOICE("\"delta\":{\"role\":\"assistant\",\"content\":null,\"refusal\":null},\"index\":0"), ""},
	{CHOICE("\"delta\":{},\"index\":0,\"finish_reason\":null"), ""},
	{CHOICE("\"delta\":{\"content\":\"x\",\"tool_calls\":null,\"reasoning_content\":null},\"stop_reason\":null"),
	 "T(x)"},
	{"{\"object\":\"error\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}", "T(a)"},
	{DELTA("\"reasoning_content\":\"h\\u00e9\",\"content\":null"), "R(h\xC3\xA9)"},
	{DELTA("\"content\":\"\",\"reasoning\":\"why\""), "R(why)"},
	{DELTA("\"content\":\"x\\n\",\"reasoning_content\":\"\",\"reasoning\":null"), "T(x\n)"},
	{"{\"service_tier\":\"flex\",\"choices\":[{\"delta\":{\"content\":\"x\"}}]}", "T(x)"},
	{"{\"service_tier\":\"Not a tier\",\"choices\":[{\"delta\":{\"content\":\"x\"}}]}", "T(x)"},
	{"{\"service_tier\":null,\"choices\":[{\"delta\":{\"content\":\"x\"}}]}", "T(x)"},
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
	"{\"service_tier\":1,\"choices\":[{\"delta\":{\"content\":\"a\"}}]}",
	DELTA("\"content\":\"a\",\"reasoning_content\":\"b\""),
	DELTA("\"reasoning_content\":\"a\",\"reasoning\":\"a\""),
	DELTA("\"reasoning\":[]"),
	CALLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\"}}"),
};

/* Writes down what an answer hands on: T(text), T(text|logprobs), R(reasoning), F(refusal), A(annotation),
 * C0+id:name(arguments), C0(more arguments). */
static int record(void *owner, const struct chat_delta *delta) {
	static const char letters[] = {
		[CHAT_DELTA_TEXT] = 'T', [CHAT_DELTA_REASONING] = 'R',  [CHAT_DELTA_REFUSAL] = 'F',
		[CHAT_DELTA_CALL] = 'C', [CHAT_DELTA_ANNOTATION] = 'A',
	};
	struct buf *said = owner;
	bool call = delta->kind == CHAT_DELTA_CALL;
	assert_true(delta->text.length > 0 || delta->logprobs.length > 0 || delta->call_begins);
	assert_true(call || (!delta->call_begins && delta->call_id.length == 0 && delta->call_name.length == 0));
	assert_true(!call || delta->call_name.length > 0);
	assert_true(delta->logprobs.length == 0 || delta->kind == CHAT_DELTA_TEXT);
	buf_append_char(said, letters[delta->kind]);
	if (call) {
		buf_append_u64(said, delta->call);
	}
	if (delta->call_begins) {
		buf_printf(said, "+%.*s:%.*s", STR_ARG(delta->call_id), STR_ARG(delta->call_name));
	}
	buf_append_char(said, '(');
	buf_append_str(said, delta->text);
	if (delta->logprobs.length > 0) {
		buf_append_char(said, '|');
		buf_append_str(said, delta->logprobs);
	}
	buf_append_char(said, ')');
	return 0;
}

/* One answer, and what it said. */
struct listener {
	struct buf scratch;
	struct buf said;
	struct chat_reader *reader;
	struct chat_chunk chunk; /* the last one */
	struct err err;
};

static void listen_as(struct listener *l, enum chat_think think) {
	*l = (struct listener){0};
	const struct chat_reader_options options = {think, &l->scratch, record, &l->said};
	l->reader = chat_reader_new(&options, NULL);
	assert_non_null(l->reader);
}

static int hear(struct listener *l, const char *data) {
	return chat_reader_read(l->reader, str_of(data), &l->chunk, &l->err);
}

static void listen_end(struct listener *l) {
	chat_reader_free(&l->reader);
	buf_free(&l->scratch);
	buf_free(&l->said);
}

/* Reads the chunks, up to a NULL or eight, as one answer. */
static void expect_said(enum chat_think think, const char *const chunks[8], const char *said) {
	struct listener l;
	listen_as(&l, think);
	for (size_t i = 0; i < 8 && chunks[i]; i++) {
		if (hear(&l, chunks[i])) {
			fail_msg("%s: %s", chunks[i], l.err.text);
		}
	}
	if (strcmp(buf_text(&l.said), said) != 0) {
		fail_msg("said %s, expected %s", buf_text(&l.said), said);
	}
	listen_end(&l);
}

/* The chunks are read but for the last, which is refused. */
static void expect_refused(const char *const chunks[8]) {
	struct listener l;
	listen_as(&l, CHAT_THINK_OFF);
	for (size_t i = 0; i < 8 && chunks[i]; i++) {
		bool last = i == 7 || !chunks[i + 1];
		if ((hear(&l, chunks[i]) != 0) != last) {
			fail_msg("%s: %s", last ? "read" : "refused", chunks[i]);
		}
	}
	assert_int_equal(l.err.code, ERR_INVALID);
	listen_end(&l);
}

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
	struct chunk_plain scanned;
	struct listener l;
	listen_as(&l, CHAT_THINK_OFF);
	bool taken = chunk_scan(data, &l.scratch, &scanned);
	if (taken) {
		struct buf said = BUF_INIT;
		struct buf scratch = BUF_INIT;
		struct answer answer;
		struct chat_chunk parsed = {0};
		answer_init(&answer, &(struct chat_reader_options){CHAT_THINK_OFF, &scratch, record, &said});
		int failed = chunk_parse(data, &answer, &parsed, &l.err);
		assert_int_equal(chat_reader_read(l.reader, data, &l.chunk, NULL), 0);
		if (failed || !str_equal(buf_str(&said), buf_str(&l.said)) ||
		    memcmp(&parsed, &l.chunk, sizeof parsed) != 0) {
			fail_msg("scanned %s, parsed %s (%s): %.*s", buf_text(&l.said), buf_text(&said), l.err.text,
				 STR_ARG(data));
		}
		answer_free(&answer);
		buf_free(&scratch);
		buf_free(&said);
	}
	listen_end(&l);
	free(copy);
	return taken;
}

static void assert_same(const struct chunk_plain *a, const struct chunk_plain *b, const char *first, const char *then) {
	if (!str_equal(a->text, b->text) || !str_equal(a->reasoning, b->reasoning)) {
		fail_msg("%s behind %s: '%.*s%.*s' instead of '%.*s%.*s'", then, first, STR_ARG(b->text),
			 STR_ARG(b->reasoning), STR_ARG(a->text), STR_ARG(a->reasoning));
	}
}

/* Each chunk behind each other one, and behind itself: what was remembered changes nothing. */
static void test_a_frame_changes_nothing(void **state) {
	(void)state;
	const size_t count = sizeof plain / sizeof plain[0];
	for (size_t i = 0; i < count * count; i++) {
		const char *chunks[2] = {plain[i / count].chunk, plain[i % count].chunk};
		struct chunk_frame frame = {0};
		struct buf one = BUF_INIT;
		struct buf other = BUF_INIT;
		for (size_t n = 0; n < 2; n++) {
			char *copy = exact_copy(str_of(chunks[n]));
			const struct str data = {copy, strlen(chunks[n])};
			struct chunk_plain scanned;
			struct chunk_plain framed;
			assert_true(chunk_scan(data, &one, &scanned));
			assert_true(chunk_frame_scan(&frame, data, &other, &framed));
			assert_same(&scanned, &framed, chunks[0], chunks[n]);
			free(copy);
		}
		chunk_frame_free(&frame);
		buf_free(&one);
		buf_free(&other);
	}
}

#define FRAMED(text) "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"},\"logprobs\":null}]}"

/* Every way in which a chunk can differ from the one before it, a byte at a time: it is read as if that had not been. */
static void test_a_frame_fits_or_does_not(void **state) {
	(void)state;
	static const char next[] = FRAMED("w\\u00e9rld");
	static const char other[] = "x\"\\},]:0n\x1f\xc3";
	for (size_t i = 0; i < sizeof next - 1; i++) {
		for (size_t k = 0; k < sizeof other - 1; k++) {
			struct chunk_frame frame = {0};
			struct buf one = BUF_INIT;
			struct buf two = BUF_INIT;
			struct chunk_plain scanned;
			struct chunk_plain framed;
			assert_true(chunk_frame_scan(&frame, STR(FRAMED("Hello")), &two, &framed));
			char *copy = exact_copy(STR(next));
			copy[i] = other[k];
			const struct str data = {copy, sizeof next - 1};
			bool known = chunk_scan(data, &one, &scanned);
			assert_int_equal(chunk_frame_scan(&frame, data, &two, &framed), known);
			if (known) {
				assert_same(&scanned, &framed, FRAMED("Hello"), copy);
			}
			free(copy);
			chunk_frame_free(&frame);
			buf_free(&one);
			buf_free(&two);
		}
	}
}

/* Where each chunk is of another form, looking is given up; and nothing is lost by it. */
static void test_a_frame_gives_up(void **state) {
	(void)state;
	struct chunk_frame frame = {0};
	struct buf scratch = BUF_INIT;
	struct chunk_plain found;
	for (int i = 0; i < 40; i++) {
		char chunk[200];
		snprintf(chunk, sizeof chunk, "{\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"created\":%d}",
			 i + 1000);
		assert_true(chunk_frame_scan(&frame, str_of(chunk), &scratch, &found));
		assert_true(str_is(found.text, "a"));
	}
	assert_int_equal(frame.misses, 16);
	chunk_frame_free(&frame);
	buf_free(&scratch);
}

static void test_scanner_knows_plain_chunks(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
		if (!compare(str_of(plain[i].chunk))) {
			fail_msg("not taken: %s", plain[i].chunk);
		}
		expect_said(CHAT_THINK_OFF, (const char *const[8]){plain[i].chunk}, plain[i].said);
	}
}

static void test_plain_chunks_need_no_memory(void **state) {
	(void)state;
	struct listener l;
	listen_as(&l, CHAT_THINK_OFF);
	assert_int_equal(hear(&l, CONTENT("Hello")), 0);
	buf_reserve(&l.said, 1000);
	uint64_t before = mem_alloc_count();
	assert_int_equal(hear(&l, CONTENT("h\xC3\xA9")), 0);
	assert_int_equal(hear(&l, CONTENT("\xC3\xA9h")), 0);
	assert_int_equal(mem_alloc_count(), before);
	/* Once for another form. */
	assert_int_equal(hear(&l, DELTA("\"reasoning_content\":\"r\"")), 0);
	assert_int_equal(hear(&l, DELTA("\"reasoning_content\":\"s\"")), 0);
	assert_true(mem_alloc_count() <= before + 1);
	assert_string_equal(buf_text(&l.said), "T(Hello)T(h\xC3\xA9)T(\xC3\xA9h)R(r)R(s)");
	listen_end(&l);
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

static struct chat_chunk read_chunk(const char *text) {
	struct listener l;
	listen_as(&l, CHAT_THINK_OFF);
	if (hear(&l, text)) {
		fail_msg("%s: %s", text, l.err.text);
	}
	struct chat_chunk chunk = l.chunk;
	listen_end(&l);
	return chunk;
}

static void test_what_a_chunk_says(void **state) {
	(void)state;
	assert_true(read_chunk(" [DONE] ").done);
	assert_false(read_chunk(CONTENT("[DONE]")).done);
	struct chat_chunk chunk = read_chunk("{\"error\":{\"message\":\"m\",\"type\":\"t\",\"code\":400}}");
	assert_true(chunk.is_error);
	assert_string_equal(chunk.error_text, "m");
	assert_string_equal(chunk.error_code, "t");
	chunk = read_chunk("{\"object\":\"error\",\"message\":\"m\",\"code\":\"c\"}");
	assert_true(chunk.is_error);
	assert_string_equal(chunk.error_code, "c");
	static const struct {
		const char *said;
		const char *tier;
	} tiers[] = {{"\"flex\"", "flex"},
		     {"\"on_demand\"", "on_demand"},
		     {"\"\"", ""},
		     {"null", ""},
		     {"\"Priority\"", ""},
		     {"\"a\\u0020b\"", ""},
		     {"1", ""},
		     {"{}", ""},
		     {"\"abcdefghijklmno\"", "abcdefghijklmno"},
		     {"\"abcdefghijklmnop\"", ""}};
	for (size_t i = 0; i < sizeof tiers / sizeof tiers[0]; i++) {
		char text[128];
		snprintf(text, sizeof text,
			 "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"service_tier\":%s}",
			 tiers[i].said);
		assert_string_equal(read_chunk(text).service_tier, tiers[i].tier);
	}
}

static void test_usage(void **state) {
	(void)state;
	static const struct {
		const char *chunk;
		struct chat_usage usage;
	} cases[] = {
		{"{\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"length\"}],\"usage\":{"
		 "\"prompt_tokens\":7,\"completion_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":3},"
		 "\"completion_tokens_details\":{\"reasoning_tokens\":2}}}",
		 {true, 7, 3, 5, 2}},
		{"{\"usage\":{\"prompt_tokens\":-7,\"completion_tokens\":5.5}}", {.known = true}},
		{"{\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5,\"prompt_cache_hit_tokens\":6,"
		 "\"prompt_tokens_details\":null}}",
		 {true, 7, 6, 5, 0}},
		{CONTENT("a"), {.known = false}},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct chat_usage usage = read_chunk(cases[i].chunk).usage;
		assert_int_equal(usage.known, cases[i].usage.known);
		assert_int_equal(usage.input_tokens, cases[i].usage.input_tokens);
		assert_int_equal(usage.cached_tokens, cases[i].usage.cached_tokens);
		assert_int_equal(usage.output_tokens, cases[i].usage.output_tokens);
		assert_int_equal(usage.reasoning_tokens, cases[i].usage.reasoning_tokens);
	}
}

static void test_finish_reasons(void **state) {
	(void)state;
	static const struct {
		const char *chunk;
		enum chat_finish finish;
	} cases[] = {
		{END("stop"), CHAT_FINISH_STOP},
		{END("eos"), CHAT_FINISH_STOP},
		{END("eos_token"), CHAT_FINISH_STOP},
		{END("stop_sequence"), CHAT_FINISH_STOP},
		{END("end_turn"), CHAT_FINISH_STOP},
		{END("STOP"), CHAT_FINISH_STOP},
		{END("length"), CHAT_FINISH_LENGTH},
		{END("MAX_TOKENS"), CHAT_FINISH_LENGTH},
		{END("model_length"), CHAT_FINISH_LENGTH},
		{END("content_filter"), CHAT_FINISH_FILTER},
		{END("SAFETY"), CHAT_FINISH_FILTER},
		{END("recitation"), CHAT_FINISH_FILTER},
		{END("tool_calls"), CHAT_FINISH_TOOLS},
		{END("tool_use"), CHAT_FINISH_TOOLS},
		{END("function_call"), CHAT_FINISH_TOOLS},
		{END("abort"), CHAT_FINISH_CUT},
		{END("cancelled"), CHAT_FINISH_CUT},
		{END("error"), CHAT_FINISH_CUT},
		{END("insufficient_system_resource"), CHAT_FINISH_CUT},
		{END("network_error"), CHAT_FINISH_CUT},
		{END("stopped"), CHAT_FINISH_OTHER},
		{END(""), CHAT_FINISH_NONE},
		{"{\"choices\":[{\"delta\":{},\"finish_reason\":null}]}", CHAT_FINISH_NONE},
		{"{\"choices\":[{\"index\":1,\"delta\":{},\"finish_reason\":\"stop\"}]}", CHAT_FINISH_NONE},
		{"{\"choices\":[{\"finish_reason\":\"length\"}]}", CHAT_FINISH_LENGTH},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		enum chat_finish finish = read_chunk(cases[i].chunk).finish;
		if (finish != cases[i].finish) {
			fail_msg("%s: %d", cases[i].chunk, finish);
		}
	}
}

static void test_texts_of_all_kinds(void **state) {
	(void)state;
	static const struct {
		const char *chunks[8];
		const char *said;
	} cases[] = {
		{{"{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"}},"
		  "{\"index\":0,\"delta\":{\"content\":\"a\"}}]}"},
		 "T(a)"},
		{{DELTA("\"content\":[{\"type\":\"thinking\",\"text\":\"no\"},{\"type\":\"text\",\"text\":\"yes\"},"
			"{\"type\":\"reference\"},{\"type\":\"refusal\",\"refusal\":\"never\"},1]")},
		 "T(yes)F(never)"},
		{{DELTA("\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"well\"}]},"
			"{\"type\":\"thinking\",\"thinking\":\"so\"},{\"type\":\"text\",\"text\":\"yes\"}]")},
		 "R(well)R(so)T(yes)"},
		{{CONTENT("a\\ud83db\\ud83d\\ude00\\\\ud83d")},
		 "T(a\xEF\xBF\xBD"
		 "b\xF0\x9F\x98\x80\\ud83d)"},
		{{DELTA("\"content\":\"t\",\"reasoning_content\":\"r\",\"refusal\":\"f\"")}, "R(r)T(t)F(f)"},
		{{DELTA("\"reasoning_content\":\"r\",\"reasoning\":\"r\",\"reasoning_details\":[{\"text\":\"r\"}]")},
		 "R(r)"},
		{{DELTA("\"reasoning_content\":\"\",\"reasoning\":\"r\",\"x\":1")}, "R(r)"},
		{{DELTA("\"reasoning\":{\"text\":\"r\"},\"refusal\":1,\"content\":\"t\"")}, "T(t)"},
		{{MESSAGE("\"role\":\"assistant\",\"content\":\"all\",\"reasoning_content\":\"why\",\"refusal\":null")},
		 "R(why)T(all)"},
		{{CONTENT("a"), CONTENT("b"), END("stop"), "[DONE]"}, "T(a)T(b)"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		expect_said(CHAT_THINK_OFF, cases[i].chunks, cases[i].said);
	}
}

#define CALL(index, id, name, arguments)                                                                               \
	"{\"index\":" index ",\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"" name                  \
	"\",\"arguments\":\"" arguments "\"}}"
#define MORE(index, arguments) "{\"index\":" index ",\"function\":{\"arguments\":\"" arguments "\"}}"
#define LONG_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_function_calls(void **state) {
	(void)state;
	static const struct {
		const char *chunks[8];
		const char *said;
	} cases[] = {
		{{CALLS(CALL("0", "a", "f", "")), CALLS(MORE("0", "{")), CALLS(MORE("0", "}")), END("tool_calls"),
		  "[DONE]"},
		 "C0+a:f()C0({)C0(})"},
		/* Several, by turns. */
		{{CALLS(CALL("0", "a", "f", "1") "," CALL("1", "b", "g", "2")),
		  CALLS(MORE("1", "3") "," MORE("0", "4")), CALLS(MORE("1", "5"))},
		 "C0+a:f(1)C1+b:g(2)C1(3)C0(4)C1(5)"},
		{{CALLS(CALL("4", "a", "f", "")), CALLS(CALL("1", "b", "g", ""))}, "C0+a:f()C1+b:g()"},
		/* What goes on says nothing, or all of it again. */
		{{CALLS(CALL("0", "a", "f", "1")), CALLS(MORE("0", "")), CALLS(CALL("0", "a", "f", "2")),
		  CALLS(CALL("0", "", "", "3"))},
		 "C0+a:f(1)C0(2)C0(3)"},
		{{CALLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":null}}"),
		  CALLS("{\"index\":0,\"id\":null,\"type\":null,\"function\":{\"name\":null,\"arguments\":\"1\"}}")},
		 "C0+a:f()C0(1)"},
		/* All with the index 0. */
		{{CALLS(CALL("0", "a", "f", "1")), CALLS(CALL("0", "b", "f", "2")), CALLS(MORE("0", "3")),
		  CALLS(CALL("0", "a", "", "4"))},
		 "C0+a:f(1)C1+b:f(2)C1(3)C0(4)"},
		{{CALLS(CALL("0", "", "f", "1") "," CALL("0", "", "g", "2")), CALLS(MORE("0", "3"))},
		 "C0+:f(1)C1+:g(2)C1(3)"},
		/* Without an index. */
		{{CALLS("{\"id\":\"a\",\"function\":{\"name\":\"f\"}},{\"id\":\"b\",\"function\":{\"name\":\"g\"}}"),
		  CALLS("{\"id\":\"a\",\"function\":{\"arguments\":\"1\"}}"),
		  CALLS("{\"function\":{\"arguments\":\"2\"}}")},
		 "C0+a:f()C1+b:g()C0(1)C1(2)"},
		{{CALLS("{\"function\":{\"name\":\"f\",\"arguments\":\"1\"}}"),
		  CALLS("{\"function\":{\"arguments\":\"2\"}}"),
		  CALLS("{\"index\":-1,\"function\":{\"name\":\"f\",\"arguments\":\"3\"}}")},
		 "C0+:f(1)C0(2)C1+:f(3)"},
		/* The name comes late, the id not at all or later still. */
		{{CALLS(CALL("0", "a", "", "1")), CALLS(MORE("0", "2")), CALLS(CALL("1", "b", "g", "")),
		  CALLS("{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"3\"}}"), CALLS(MORE("0", "4"))},
		 "C0+b:g()C1+a:f(123)C1(4)"},
		{{CALLS(MORE("0", "1")), CALLS(CALL("0", "a", "f", ""))}, "C0+a:f(1)"},
		{{CALLS(CALL("0", "", "f", "1")), CALLS(CALL("0", "a", "", "2"))}, "C0+:f(1)C0(2)"},
		/* Arguments that are an object. */
		{{CALLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":{ \"x\" : [1, \"\\u00e9\"] }}}")},
		 "C0+a:f({\"x\":[1,\"\xC3\xA9\"]})"},
		/* Ids that are none, or another's. */
		{{CALLS(CALL("0", LONG_64, "f", "")), CALLS(CALL("1", LONG_64 "x", "f", "")),
		  CALLS(CALL("2", "a b", "f", "")), CALLS(CALL("3", "\\u00e9", "f", "")),
		  CALLS(CALL("4", "a\\\"b", "f", "")), CALLS(CALL("5", "a\\\\b", "f", ""))},
		 "C0+" LONG_64 ":f()C1+:f()C2+:f()C3+:f()C4+:f()C5+:f()"},
		{{MESSAGE(
			 "\"content\":null,\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"1\"}},"
			 "{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"2\"}},"
			 "{\"function\":{\"name\":\"f\",\"arguments\":{}}}]")},
		 "C0+a:f(1)C1+:f(2)C2+:f({})"},
		/* The form before tools. */
		{{DELTA("\"function_call\":{\"name\":\"f\",\"arguments\":\"\"}"),
		  DELTA("\"function_call\":{\"arguments\":\"1\"}"), END("function_call")},
		 "C0+:f()C0(1)"},
		{{MESSAGE("\"function_call\":{\"name\":\"f\",\"arguments\":\"1\"}")}, "C0+:f(1)"},
		/* Nothing is nothing. */
		{{CALLS(""), CALLS("{}"), CALLS(CALL("0", "", "", "")), END("stop")}, ""},
		/* An answer that was cut off may lack the name. */
		{{CALLS(CALL("0", "a", "", "")), END("length"), "[DONE]"}, ""},
		{{DELTA("\"content\":\"t\",\"tool_calls\":[" CALL("0", "a", LONG_64, "") "]")},
		 "T(t)C0+a:" LONG_64 "()"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		expect_said(CHAT_THINK_OFF, cases[i].chunks, cases[i].said);
	}
}

static void test_calls_that_cannot_be_shown(void **state) {
	(void)state;
	static const char *const cases[][8] = {
		{CALLS(CALL("0", "a", LONG_64 "x", ""))},
		{CALLS(CALL("0", "a", "f g", ""))},
		{CALLS(CALL("0", "a", "f.g", ""))},
		{CALLS(CALL("0", "a", "\\u00e9", ""))},
		{CALLS(CALL("0", "a", "", "1")), END("tool_calls")},
		{CALLS(CALL("0", "a", "", "1")), "[DONE]"},
		{MESSAGE("\"tool_calls\":[{\"id\":\"a\"}]")},
		{CALLS("1")},
		{DELTA("\"tool_calls\":{}")},
		{CALLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":1}}")},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		expect_refused(cases[i]);
	}
}

static void test_calls_have_bounds(void **state) {
	(void)state;
	struct listener l;
	char text[256];
	listen_as(&l, CHAT_THINK_OFF);
	for (int i = 0; i <= CALLS_MAX; i++) {
		snprintf(text, sizeof text, CALLS(CALL("%d", "c%d", "f", "")), i, i);
		assert_int_equal(hear(&l, text) == 0, i < CALLS_MAX);
	}
	assert_int_equal(l.err.code, ERR_INVALID);
	listen_end(&l);
	listen_as(&l, CHAT_THINK_OFF);
	const char *piece = CALLS(MORE("0", LONG_64));
	for (int i = 0; i < CALLS_MAX_UNNAMED / 64; i++) {
		assert_int_equal(hear(&l, piece), 0);
	}
	assert_int_equal(hear(&l, piece), -1);
	assert_int_equal(l.err.code, ERR_INVALID);
	listen_end(&l);
}

#define TOKEN(token, members) "{\"token\":\"" token "\",\"logprob\":-0.5" members "}"
#define LOGPROBS(content, tokens)                                                                                      \
	"{\"choices\":[{\"index\":0,\"delta\":{" content "},\"logprobs\":{\"content\":[" tokens                        \
	"],\"refusal\":[" TOKEN("no", "") "]}}]}"

static void test_logprobs(void **state) {
	(void)state;
	static const struct {
		enum chat_think think;
		const char *chunks[8];
		const char *said;
	} cases[] = {
		{CHAT_THINK_OFF,
		 {LOGPROBS("\"content\":\"a\\u00e9\"",
			   TOKEN("a", ",\"bytes\":[97],\"top_logprobs\":[" TOKEN("a", ",\"bytes\":[97]") "," TOKEN(
					      "b", "") "]") "," TOKEN("\\u00e9", ",\"bytes\":null"))},
		 "T(a\xC3\xA9|{\"token\":\"a\",\"logprob\":-0.5,\"bytes\":[97],\"top_logprobs\":["
		 "{\"token\":\"a\",\"logprob\":-0.5,\"bytes\":[97]},{\"token\":\"b\",\"logprob\":-0.5,\"bytes\":[98]}]},"
		 "{\"token\":\"\xC3\xA9\",\"logprob\":-0.5,\"bytes\":[195,169],\"top_logprobs\":[]})"},
		{CHAT_THINK_OFF,
		 {LOGPROBS("", TOKEN("a", ",\"bytes\":[300,1.5,7]")), LOGPROBS("\"content\":\"b\"", "")},
		 "T(|{\"token\":\"a\",\"logprob\":-0.5,\"bytes\":[7],\"top_logprobs\":[]})T(b)"},
		{CHAT_THINK_OFF,
		 {LOGPROBS("\"content\":\"a\"", "1,{\"token\":\"a\"},{\"token\":1,\"logprob\":1}"),
		  "{\"choices\":[{\"delta\":{\"content\":\"b\"},\"logprobs\":{\"content\":null}}]}"},
		 "T(a)T(b)"},
		/* Of reasoning there are none; of what turns out to be text they come with it. */
		{CHAT_THINK_TAGS,
		 {LOGPROBS("\"content\":\"<think>\"", TOKEN("<", "")), LOGPROBS("\"content\":\"a\"", TOKEN("a", "")),
		  LOGPROBS("\"content\":\"</think>\"", TOKEN("/", "")), LOGPROBS("\"content\":\"b\"", TOKEN("b", ""))},
		 "R(a)T(b|{\"token\":\"b\",\"logprob\":-0.5,\"bytes\":[98],\"top_logprobs\":[]})"},
		{CHAT_THINK_TAGS,
		 {LOGPROBS("\"content\":\"<\"", TOKEN("<", "")), LOGPROBS("\"content\":\"b\"", TOKEN("b", ""))},
		 "T(<|{\"token\":\"<\",\"logprob\":-0.5,\"bytes\":[60],\"top_logprobs\":[]},"
		 "{\"token\":\"b\",\"logprob\":-0.5,\"bytes\":[98],\"top_logprobs\":[]})T(b)"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		expect_said(cases[i].think, cases[i].chunks, cases[i].said);
	}
}

static void test_annotations(void **state) {
	(void)state;
	const char *said =
		"A({\"type\":\"url_citation\",\"url\":\"u\",\"start_index\":1,\"end_index\":2,\"title\":\"t\"})"
		"A({\"type\":\"url_citation\",\"url\":\"v\",\"start_index\":0,\"end_index\":0,\"title\":\"\"})";
#define ANNOTATIONS                                                                                                    \
	"\"annotations\":[{\"type\":\"url_citation\",\"url_citation\":{\"end_index\":2,\"start_index\":1,"             \
	"\"url\":\"u\",\"title\":\"t\",\"content\":\"c\"}},{\"type\":\"url_citation\",\"url\":\"v\"},"                 \
	"{\"type\":\"url_citation\",\"url_citation\":{\"title\":\"t\"}},{\"type\":\"file\",\"url\":\"w\"},1]"
	expect_said(CHAT_THINK_OFF, (const char *const[8]){DELTA(ANNOTATIONS)}, said);
	expect_said(CHAT_THINK_OFF, (const char *const[8]){MESSAGE(ANNOTATIONS)}, said);
	expect_said(CHAT_THINK_OFF, (const char *const[8]){DELTA("\"annotations\":{}")}, "");
}

static void test_think_blocks(void **state) {
	(void)state;
	static const struct {
		enum chat_think think;
		const char *chunks[8];
		const char *said;
	} cases[] = {
		{CHAT_THINK_OFF, {CONTENT("<think>a</think>b")}, "T(<think>a</think>b)"},
		{CHAT_THINK_TAGS, {CONTENT("<think>a</think>\\n\\nb")}, "R(a)T(b)"},
		{CHAT_THINK_TAGS, {CONTENT("<thi"), END("stop")}, "T(<thi)"},
		{CHAT_THINK_TAGS, {CONTENT("<thi"), "[DONE]"}, "T(<thi)"},
		{CHAT_THINK_TAGS, {MESSAGE("\"content\":\"<think>a</think>b\"")}, "R(a)T(b)"},
		{CHAT_THINK_TAGS, {"{\"choices\":[{\"index\":0,\"message\":{\"content\":\"<thi\"}}]}"}, "T(<thi)"},
		{CHAT_THINK_OPEN, {CONTENT("a"), CONTENT("</"), CONTENT("think>b"), END("stop")}, "R(a)T(b)"},
		{CHAT_THINK_OPEN, {CONTENT("a</thi"), END("stop")}, "R(a)R(</thi)"},
		/* A server that tells the two apart itself. */
		{CHAT_THINK_OPEN, {DELTA("\"reasoning_content\":\"r\""), CONTENT("b")}, "R(r)T(b)"},
		{CHAT_THINK_OPEN, {DELTA("\"reasoning_content\":\"\""), CONTENT("b")}, "R(b)"},
		{CHAT_THINK_TAGS,
		 {CONTENT("<"), DELTA("\"reasoning_content\":\"r\""), CONTENT("think>")},
		 "T(<)R(r)T(think>)"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		expect_said(cases[i].think, cases[i].chunks, cases[i].said);
	}
}

/* Stops at the first delta. */
static int stop(void *owner, const struct chat_delta *delta) {
	(void)delta;
	++*(size_t *)owner;
	return -1;
}

static void test_a_callback_stops_the_reading(void **state) {
	(void)state;
	static const struct {
		enum chat_think think;
		const char *chunk;
	} cases[] = {
		{CHAT_THINK_OFF, CONTENT("a")},
		{CHAT_THINK_OFF, DELTA("\"reasoning\":\"r\",\"content\":\"a\",\"refusal\":\"f\"")},
		{CHAT_THINK_OFF,
		 DELTA("\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]")},
		{CHAT_THINK_OFF, DELTA("\"refusal\":\"f\"," ANNOTATIONS)},
		{CHAT_THINK_OFF, DELTA(ANNOTATIONS)},
		{CHAT_THINK_OFF, CALLS(CALL("0", "a", "f", "") "," CALL("1", "b", "f", ""))},
		{CHAT_THINK_OFF, CONTENT("a\\ud83d")},
		{CHAT_THINK_TAGS, CONTENT("<think>a</think>b")},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf scratch = BUF_INIT;
		size_t deltas = 0;
		struct chat_chunk chunk;
		struct err err = {0};
		const struct chat_reader_options options = {cases[i].think, &scratch, stop, &deltas};
		struct chat_reader *reader = chat_reader_new(&options, NULL);
		assert_int_equal(chat_reader_read(reader, str_of(cases[i].chunk), &chunk, &err), -1);
		assert_int_equal(err.code, ERR_NONE);
		assert_int_equal(deltas, 1);
		chat_reader_free(&reader);
		buf_free(&scratch);
	}
}

/* Each allocation of an answer fails once: memory is what is said to be out, or it does without, and nothing leaks. */
static void test_allocation_fails(void **state) {
	(void)state;
	static const char *const chunks[] = {
		CONTENT("a\\n"),
		LOGPROBS("\"content\":\"a\"", TOKEN("a", "")),
		DELTA(ANNOTATIONS),
		CALLS(CALL("0", "a", "", "1") "," CALL("1", "b", "g", "2")),
		CALLS("{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":{\"x\":1}}}"),
		END("tool_calls"),
	};
	bool reached = true;
	size_t failures = 0;
	for (uint64_t n = 1; reached; n++) {
		struct listener l;
		listen_as(&l, CHAT_THINK_OFF);
		buf_reserve(&l.said, 1000);
		uint64_t before = mem_alloc_count();
		mem_fail_after(n, false);
		bool failed = false;
		for (size_t i = 0; i < sizeof chunks / sizeof chunks[0] && !failed; i++) {
			failed = hear(&l, chunks[i]) != 0;
		}
		mem_fail_after(0, false);
		assert_int_equal(l.err.code, failed ? ERR_MEMORY : ERR_NONE);
		reached = mem_alloc_count() >= before + n;
		failures += failed;
		assert_true(failed || buf_str(&l.said).length > 100);
		listen_end(&l);
	}
	assert_true(failures > 50);
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
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		expect_refused((const char *const[8]){bad[i]});
	}
}

/* The whole body, which must be JSON too. */
static void expect_body(const struct chat_request *request, const char *body) {
	struct buf out = BUF_INIT;
	struct err err = {0};
	chat_request_write(&out, request);
	assert_string_equal(buf_text(&out), body);
	struct json *root = json_parse(buf_str(&out), &err);
	if (!root) {
		fail_msg("%s: %s", err.text, buf_text(&out));
	}
	json_free(&root);
	buf_free(&out);
}

#define BODY(messages, more)                                                                                           \
	"{\"model\":\"m\",\"messages\":[" messages                                                                     \
	"],\"stream\":true,\"stream_options\":{\"include_usage\":true}" more "}"

static void test_request_messages(void **state) {
	(void)state;
	const struct chat_part brief = {.text = STR("be \"brief\"")};
	const struct chat_part words[] = {{.text = STR("h\xC3\xA9\n")}, {.text = STR("more")}};
	const struct chat_part media[] = {
		{.kind = CHAT_PART_TEXT, .text = STR("see")},
		{.kind = CHAT_PART_IMAGE, .text = STR("https://x/\"y")},
		{.kind = CHAT_PART_IMAGE, .text = STR("data:image/png;base64,AA=="), .detail = "low"},
		{.kind = CHAT_PART_FILE, .text = STR("data:application/pdf;base64,AA=="), .filename = "a.pdf"},
		{.kind = CHAT_PART_FILE, .text = STR("data:,"), .detail = "low"},
		{.kind = CHAT_PART_VIDEO, .text = STR("https://x/v")},
	};
	const struct chat_part refusal[] = {{.text = STR("No.")}, {.kind = CHAT_PART_REFUSAL, .text = STR("never")}};
	const struct chat_call calls[] = {{"c1", "f", STR("{\"x\":1}")}, {"c2", "g", STR("")}};
	const struct chat_message messages[] = {
		{.role = "developer", .parts = &brief, .part_count = 1},
		{.role = "user", .parts = words, .part_count = 2},
		{.role = "user", .parts = media, .part_count = 6},
		{.role = "assistant"},
		{.role = "assistant", .parts = refusal, .part_count = 2},
		{.role = "assistant", .calls = calls, .call_count = 2, .reasoning = STR("think\n")},
		{.role = "assistant", .parts = &brief, .part_count = 1, .calls = calls, .call_count = 1},
		{.role = "tool", .call_id = "c1", .parts = words, .part_count = 1},
		{.role = "tool", .call_id = "c2"},
	};
	const struct chat_request request = {.model = "m", .messages = messages, .message_count = 9};
	expect_body(&request,
		    BODY("{\"role\":\"system\",\"content\":\"be \\\"brief\\\"\"},"
			 "{\"role\":\"user\",\"content\":\"h\xC3\xA9\\nmore\"},"
			 "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"see\"},"
			 "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x/\\\"y\"}},"
			 "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AA==\","
			 "\"detail\":\"low\"}},"
			 "{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\","
			 "\"file_data\":\"data:application/pdf;base64,AA==\"}},"
			 "{\"type\":\"file\",\"file\":{\"file_data\":\"data:,\"}},"
			 "{\"type\":\"video_url\",\"video_url\":{\"url\":\"https://x/v\"}}]},"
			 "{\"role\":\"assistant\",\"content\":\"\"},"
			 "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"No.\"},"
			 "{\"type\":\"refusal\",\"refusal\":\"never\"}]},"
			 "{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"think\\n\",\"tool_calls\":["
			 "{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
			 "\"arguments\":\"{\\\"x\\\":1}\"}},"
			 "{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"\"}}]},"
			 "{\"role\":\"assistant\",\"content\":\"be \\\"brief\\\"\",\"tool_calls\":["
			 "{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
			 "\"arguments\":\"{\\\"x\\\":1}\"}}]},"
			 "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"h\xC3\xA9\\n\"},"
			 "{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":\"\"}",
			 ""));
}

static void test_request_controls(void **state) {
	(void)state;
	const struct chat_tool tools[] = {
		{"f", "does \"it\"", "{\"type\":\"object\"}", "true"},
		{"g", NULL, NULL, NULL},
		{"h", "", "", "false"},
	};
	struct chat_request request = {
		.model = "m",
		.has_temperature = true,
		.temperature = 0.5,
		.has_top_p = true,
		.top_p = 1,
		.has_presence_penalty = true,
		.presence_penalty = -2,
		.has_frequency_penalty = true,
		.frequency_penalty = 0,
		.has_max_tokens = true,
		.max_tokens = 100,
		.logprobs = true,
		.top_logprobs = 5,
		.tools = tools,
		.tool_count = 3,
		.tool_choice = CHAT_TOOLS_FUNCTION,
		.tool_function = "g",
		.parallel_tool_calls = "false",
		.format = CHAT_FORMAT_JSON_SCHEMA,
		.schema_name = "s",
		.schema_description = "d",
		.schema = "{\"type\":\"object\",\"properties\":{}}",
		.schema_strict = true,
		.reasoning_effort = "low",
		.verbosity = "high",
		.service_tier = "flex",
		.safety_identifier = "u1",
		.prompt_cache_key = "k\"",
		.members = ",\"a\":1,\"b\":{\"c\":[]}",
		.needs = 15,
	};
	expect_body(
		&request,
		BODY("",
		     ",\"temperature\":0.5,\"top_p\":1,\"presence_penalty\":-2,\"frequency_penalty\":0,"
		     "\"max_tokens\":100,\"logprobs\":true,\"top_logprobs\":5,"
		     "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"does \\\"it\\\"\","
		     "\"parameters\":{\"type\":\"object\"},\"strict\":true}},"
		     "{\"type\":\"function\",\"function\":{\"name\":\"g\"}},"
		     "{\"type\":\"function\",\"function\":{\"name\":\"h\",\"strict\":false}}],"
		     "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"g\"}},"
		     "\"parallel_tool_calls\":false,"
		     "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"s\",\"description\":\"d\","
		     "\"schema\":{\"type\":\"object\",\"properties\":{}},\"strict\":true}},"
		     "\"reasoning_effort\":\"low\",\"verbosity\":\"high\",\"service_tier\":\"flex\","
		     "\"safety_identifier\":\"u1\",\"prompt_cache_key\":\"k\\\"\",\"a\":1,\"b\":{\"c\":[]}"));
}

static void test_request_choices(void **state) {
	(void)state;
	static const struct {
		struct chat_request request;
		const char *body;
	} cases[] = {
		{{.tool_choice = CHAT_TOOLS_UNSAID}, BODY("", "")},
		{{.tool_choice = CHAT_TOOLS_AUTO}, BODY("", ",\"tool_choice\":\"auto\"")},
		{{.tool_choice = CHAT_TOOLS_NONE}, BODY("", ",\"tool_choice\":\"none\"")},
		{{.tool_choice = CHAT_TOOLS_REQUIRED, .parallel_tool_calls = "true"},
		 BODY("", ",\"tool_choice\":\"required\",\"parallel_tool_calls\":true")},
		{{.format = CHAT_FORMAT_JSON_OBJECT}, BODY("", ",\"response_format\":{\"type\":\"json_object\"}")},
		{{.format = CHAT_FORMAT_JSON_SCHEMA, .schema_name = "", .schema = "{}"},
		 BODY("", ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"response\","
			  "\"schema\":{},\"strict\":false}}")},
		{{.logprobs = true}, BODY("", ",\"logprobs\":true")},
		{{.top_logprobs = 5, .reasoning_effort = "", .members = ""}, BODY("", "")},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct chat_request request = cases[i].request;
		request.model = "m";
		expect_body(&request, cases[i].body);
	}
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
		cmocka_unit_test(test_a_frame_changes_nothing),
		cmocka_unit_test(test_a_frame_fits_or_does_not),
		cmocka_unit_test(test_a_frame_gives_up),
		cmocka_unit_test(test_scanner_knows_plain_chunks),
		cmocka_unit_test(test_plain_chunks_need_no_memory),
		cmocka_unit_test(test_scanner_leaves_the_unusual),
		cmocka_unit_test(test_both_ways_agree_on_mutations),
		cmocka_unit_test(test_what_a_chunk_says),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_finish_reasons),
		cmocka_unit_test(test_texts_of_all_kinds),
		cmocka_unit_test(test_function_calls),
		cmocka_unit_test(test_calls_that_cannot_be_shown),
		cmocka_unit_test(test_calls_have_bounds),
		cmocka_unit_test(test_logprobs),
		cmocka_unit_test(test_annotations),
		cmocka_unit_test(test_think_blocks),
		cmocka_unit_test(test_a_callback_stops_the_reading),
		cmocka_unit_test(test_allocation_fails),
		cmocka_unit_test(test_what_is_no_chunk),
		cmocka_unit_test(test_request_messages),
		cmocka_unit_test(test_request_controls),
		cmocka_unit_test(test_request_choices),
		cmocka_unit_test(test_error_bodies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
