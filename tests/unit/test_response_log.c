#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"
#include "event_log.h"
#include "output.h"

static void append(struct event_log *log, enum event_kind kind) {
	assert_int_equal(event_log_append(log, kind, 0, 0), 0);
}

static void fill(struct event_log *log) {
	append(log, EVENT_CREATED);
	append(log, EVENT_IN_PROGRESS);
	append(log, EVENT_ITEM_ADDED);
	append(log, EVENT_PART_ADDED);
	for (int i = 0; i < 300; i++) {
		char text[400];
		memset(text, 'a' + i % 26, sizeof text);
		assert_int_equal(event_log_add_text(log, (struct str){text, (size_t)(i % 301) + 1}), 0);
		assert_true(event_log_has_pending(log));
		append(log, EVENT_DELTA);
		assert_false(event_log_has_pending(log));
	}
	append(log, EVENT_DONE);
	append(log, EVENT_TERMINAL);
}

static struct item message_of(const struct event_log *log) {
	struct item item = {.kind = ITEM_MESSAGE, .role = ROLE_ASSISTANT, .id = "msg_1"};
	assert_non_null(item_add_part(&item, PART_OUTPUT_TEXT, STR("")));
	assert_int_equal(event_log_collect(log, 0, (struct event_entry){0}, &item.parts[0]), 0);
	return item;
}

static void deltas_are_where_they_were_put(void **state) {
	(void)state;
	struct event_log log = {0};
	fill(&log);
	assert_int_equal(log.count, 306);
	size_t total = 0;
	for (uint32_t i = 0; i < 300; i++) {
		struct str delta = event_log_delta(&log, 4 + i);
		assert_int_equal(delta.length, i % 301 + 1);
		assert_int_equal(delta.data[0], 'a' + (int)i % 26);
		total += delta.length;
	}
	struct item item = message_of(&log);
	assert_int_equal(item.parts[0].length, total);
	assert_int_equal(event_log_delta(&log, 305).length, 0);
	item_free(&item);
	event_log_free(&log);
}

/* Beside a plain list of what was appended: runs of any length, of few places, so that they come back. */
static void every_event_is_what_was_appended(void **state) {
	(void)state;
	static struct event_entry expected[3000];
	struct event_log log = {0};
	struct event_entry entry = {0};
	unsigned seed = (unsigned)time(NULL);
	print_message("seed %u\n", seed);
	srand(seed);
	for (uint32_t i = 0; i < 3000; i++) {
		if (rand() % 4 == 0) {
			entry = (struct event_entry){.kind = rand() % 2 ? EVENT_DELTA : EVENT_DONE,
						     .part = (uint8_t)(rand() % 3),
						     .item = (uint16_t)(rand() % 3)};
		}
		if (entry.kind == EVENT_DELTA) {
			assert_int_equal(event_log_add_text(&log, STR("word")), 0);
		}
		assert_int_equal(event_log_append(&log, entry.kind, entry.item, entry.part), 0);
		entry.end = (uint32_t)log.text.length;
		expected[i] = entry;
		assert_int_equal(event_log_at(&log, i).item, entry.item);
	}
	for (uint32_t i = 0; i < 3000; i++) {
		const struct event_entry at = event_log_at(&log, i);
		assert_int_equal(at.kind, expected[i].kind);
		assert_int_equal(at.part, expected[i].part);
		assert_int_equal(at.item, expected[i].item);
		assert_int_equal(at.end, expected[i].end);
	}
	event_log_free(&log);
}

static void a_long_log_weighs_little_more_than_its_text(void **state) {
	(void)state;
	struct event_log log = {0};
	fill(&log);
	while (log.count < 2000) {
		assert_int_equal(event_log_add_text(&log, STR("word ")), 0);
		append(&log, EVENT_DELTA);
	}
	size_t bytes = log.text.capacity + log.capacity * sizeof *log.ends + log.run_capacity * sizeof *log.runs;
	assert_true(bytes <= log.text.length * 5 / 4 + log.count * 5 + 200);
	event_log_free(&log);
}

static void text_without_its_delta_is_not_shown(void **state) {
	(void)state;
	struct event_log log = {0};
	append(&log, EVENT_CREATED);
	event_log_add_text(&log, STR("ab"));
	struct item item = message_of(&log);
	assert_int_equal(item.parts[0].length, 0);
	item_free(&item);
	event_log_add_text(&log, STR("cd"));
	append(&log, EVENT_DELTA);
	assert_true(str_equal(event_log_delta(&log, 1), STR("abcd")));
	event_log_free(&log);
}

/* A log as earlier versions stored it: kinds, and the lengths of one text. */
static void a_log_of_one_text_is_read(void **state) {
	(void)state;
	struct event_log log = {0};
	struct err err = {0};
	struct item item;
	assert_int_equal(item_message(&item, ROLE_ASSISTANT, ITEM_COMPLETED, "msg_1", STR("Hello")), 0);
	const struct str stored = STR("\x01\x00\x01\x02\x03\x04\x02\x04\x03\x05\x06\x07\x08");
	assert_int_equal(event_log_decode(&log, stored, &item, 1, &err), 0);
	assert_int_equal(log.count, 10);
	assert_true(str_equal(event_log_delta(&log, 4), STR("He")));
	assert_true(str_equal(event_log_delta(&log, 5), STR("llo")));
	assert_true(event_log_ended(&log));
	event_log_free(&log);
	assert_int_equal(event_log_decode(&log, stored, &item, 0, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	item_free(&item);
}

/* A log that does not fit its text is refused, not read past its end. */
static void a_damaged_log_is_refused(void **state) {
	(void)state;
	struct event_log log = {0}, again = {0};
	struct buf encoded = BUF_INIT;
	struct err err = {0};
	fill(&log);
	event_log_encode(&log, 0, &encoded);
	struct item item = message_of(&log);
	for (size_t length = 0; length + 2 < encoded.length; length++) {
		char *part = malloc(length + 1);
		memcpy(part, encoded.data, length);
		assert_int_equal(event_log_decode(&again, (struct str){part, length}, &item, 1, &err), -1);
		assert_int_equal(err.code, ERR_CORRUPT);
		free(part);
	}
	item.parts[0].length--;
	assert_int_equal(event_log_decode(&again, buf_str(&encoded), &item, 1, &err), -1);
	item_free(&item);
	assert_int_equal(item_message(&item, ROLE_ASSISTANT, ITEM_COMPLETED, "msg_1", STR("x")), 0);
	static const struct str bad[] = {
		{"\x03\x00", 2},
		{"\x02\x3f", 2},
		{"\x02\x04\x00\x00\x01\x02\x01\x00", 8},
		{"\x02\x04\x00\x00\x01\x03\x00\x01", 8},
		{"\x02\x04\x00\x00\x01\x07\x01\x00", 8},
		{"\x02\x04\x00\x00\xff\xff\xff\xff\xff", 9},
		{"\x02\x04\x01\x00\x01", 5},
		{"\x02\x04\x00\x01\x01", 5},
		{"\x02\x80", 2},
		{"\x02\x04\x80\x80\x80\x01\x00\x01", 8},
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(event_log_decode(&again, bad[i], &item, 1, &err), -1);
	}
	assert_int_equal(again.count, 0);
	item_free(&item);
	buf_free(&encoded);
	event_log_free(&log);
}

static void the_end_never_lacks_memory(void **state) {
	(void)state;
	for (uint32_t deltas = 0; deltas < 100; deltas++) {
		struct event_log log = {0};
		append(&log, EVENT_CREATED);
		append(&log, EVENT_ITEM_ADDED);
		append(&log, EVENT_PART_ADDED);
		for (uint32_t i = 0; i < deltas; i++) {
			event_log_add_text(&log, STR("x"));
			append(&log, EVENT_DELTA);
		}
		mem_fail_after(1, true);
		append(&log, EVENT_DONE);
		append(&log, EVENT_PART_DONE);
		append(&log, EVENT_ITEM_DONE);
		append(&log, EVENT_TERMINAL);
		mem_fail_after(0, false);
		event_log_free(&log);
	}
}

/* --- whole answers -------------------------------------------------------------------------------------------------- */

static void say(struct output *answer, enum chat_delta_kind kind, const char *text) {
	const struct chat_delta delta = {.kind = kind, .text = str_of(text)};
	assert_int_equal(output_add(answer, &delta), 0);
}

static void call(struct output *answer, uint32_t number, const char *name, const char *arguments) {
	const struct chat_delta delta = {.kind = CHAT_DELTA_CALL,
					 .text = str_of(arguments),
					 .call = number,
					 .call_begins = name != NULL,
					 .call_name = str_of(name)};
	assert_int_equal(output_add(answer, &delta), 0);
}

static void begin(struct output *answer) {
	output_init(answer);
	append(&answer->events, EVENT_CREATED);
	append(&answer->events, EVENT_IN_PROGRESS);
}

static char *tell(const struct output *answer) {
	struct buf out = BUF_INIT;
	for (uint32_t i = 0; i < answer->events.count; i++) {
		const struct event_entry entry = event_log_at(&answer->events, i);
		static const char names[] = "CIap-dpxT@";
		struct str delta = event_log_delta(&answer->events, i);
		buf_printf(&out, "%c%u.%u%.*s ", entry.kind == EVENT_PART_DONE ? 'q' : names[entry.kind], entry.item,
			   entry.part, STR_ARG(delta));
	}
	return buf_take_text(&out);
}

static void an_answer_is_many_items(void **state) {
	(void)state;
	struct output answer;
	begin(&answer);
	say(&answer, CHAT_DELTA_REASONING, "hm");
	say(&answer, CHAT_DELTA_REASONING, "m");
	say(&answer, CHAT_DELTA_TEXT, "Hi");
	say(&answer, CHAT_DELTA_REFUSAL, "no");
	call(&answer, 0, "f", "{");
	call(&answer, 1, "g", "[");
	call(&answer, 0, NULL, "}");
	call(&answer, 1, NULL, "1");
	assert_int_equal(output_flush(&answer), 0);
	assert_int_equal(output_close(&answer, ITEM_INCOMPLETE), 0);
	append(&answer.events, EVENT_TERMINAL);
	char *told = tell(&answer);
	assert_string_equal(told, "C0.0 I0.0 a0.0 p0.0 -0.0hmm d0.0 q0.0 x0.0 "
				  "a1.0 p1.0 -1.0Hi d1.0 q1.0 p1.1 -1.1no d1.1 q1.1 x1.0 "
				  "a2.0 -2.0{ a3.0 -3.0[ -2.0} -3.01 d2.0 x2.0 d3.0 x3.0 T0.0 ");
	free(told);
	assert_int_equal(answer.items.count, 4);
	assert_string_equal(answer.items.items[0].parts[0].text, "hmm");
	assert_string_equal(answer.items.items[1].parts[1].text, "no");
	assert_string_equal(answer.items.items[2].parts[0].text, "{}");
	assert_int_equal(answer.items.items[0].status, ITEM_COMPLETED);
	assert_int_equal(answer.items.items[2].status, ITEM_COMPLETED); /* it is whole, though the answer is not */
	assert_int_equal(answer.items.items[3].status, ITEM_INCOMPLETE);
	assert_true(str_starts(str_of(answer.items.items[2].call_id), "call_"));
	output_free(&answer);
}

static void what_stands_beside_the_text_is_kept_with_it(void **state) {
	(void)state;
	struct output answer;
	begin(&answer);
	const struct chat_delta first = {.kind = CHAT_DELTA_TEXT, .text = STR("a"), .logprobs = STR("{\"a\":1}")};
	const struct chat_delta second = {.kind = CHAT_DELTA_TEXT, .text = STR("b"), .logprobs = STR("{\"b\":2}")};
	const struct chat_delta note = {.kind = CHAT_DELTA_ANNOTATION, .text = STR("{\"n\":1}")};
	assert_int_equal(output_add(&answer, &first), 0);
	assert_int_equal(output_add(&answer, &second), 0);
	assert_int_equal(output_flush(&answer), 0);
	assert_true(str_is(event_log_side(&answer.events, 4), "{\"a\":1},{\"b\":2}"));
	assert_int_equal(output_add(&answer, &note), 0);
	assert_int_equal(output_add(&answer, &note), 0);
	assert_int_equal(output_add(&answer, &first), 0);
	assert_int_equal(event_log_annotations_before(&answer.events, 6), 1);
	assert_int_equal(output_close(&answer, ITEM_COMPLETED), 0);
	const struct part *part = &answer.items.items[0].parts[0];
	assert_string_equal(part->text, "aba");
	assert_string_equal(part->logprobs, "{\"a\":1},{\"b\":2},{\"a\":1}");
	assert_string_equal(part->annotations, "{\"n\":1},{\"n\":1}");
	output_free(&answer);
}

/* Random answers: whatever comes in whatever order, the stored log and the items give the same events again; any first part of
 * it, as a killed server leaves it, can be closed and then names every item that it has begun. */
static void random_delta(struct output *answer, uint32_t *calls) {
	static const char *const texts[] = {"x", "yy", "\xC3\xA9", ""};
	const char *text = texts[rand() % 4];
	struct chat_delta delta = {.kind = (enum chat_delta_kind)(rand() % 5), .text = str_of(text)};
	if (delta.kind == CHAT_DELTA_TEXT && rand() % 2) {
		delta.logprobs = STR("{\"token\":\"x\"}");
	} else if (delta.kind == CHAT_DELTA_ANNOTATION) {
		delta.text = STR("{\"type\":\"url_citation\"}");
	} else if (delta.kind == CHAT_DELTA_CALL) {
		delta.call_begins = *calls == 0 || rand() % 4 == 0;
		delta.call = delta.call_begins ? (*calls)++ : (uint32_t)rand() % *calls;
		delta.call_name = STR("f");
	}
	assert_int_equal(output_add(answer, &delta), 0);
	if (rand() % 2) {
		assert_int_equal(output_flush(answer), 0);
	}
}

static void assert_same_events(const struct event_log *a, const struct event_log *b) {
	assert_int_equal(a->count, b->count);
	for (uint32_t i = 0; i < a->count; i++) {
		assert_int_equal(event_log_at(a, i).kind, event_log_at(b, i).kind);
		assert_int_equal(event_log_at(a, i).item, event_log_at(b, i).item);
		assert_int_equal(event_log_at(a, i).part, event_log_at(b, i).part);
		assert_true(str_equal(event_log_delta(a, i), event_log_delta(b, i)));
		assert_true(str_equal(event_log_side(a, i), event_log_side(b, i)));
	}
}

static void check_snapshot(const struct output *answer) {
	struct item_list items = {0};
	struct event_log closed = {0};
	struct buf encoded = BUF_INIT;
	struct err err = {0};
	assert_int_equal(output_snapshot(answer, &items), 0);
	event_log_encode(&answer->events, 0, &encoded);
	assert_int_equal(event_log_decode(&closed, buf_str(&encoded), items.items, items.count, &err), 0);
	assert_int_equal(event_log_close(&closed, items.items, items.count), 0);
	size_t opened = 0;
	size_t ended = 0;
	for (uint32_t i = 0; i < closed.count; i++) {
		opened += event_log_at(&closed, i).kind == EVENT_ITEM_ADDED;
		ended += event_log_at(&closed, i).kind == EVENT_ITEM_DONE;
	}
	assert_int_equal(opened, items.count);
	assert_int_equal(ended, items.count);
	assert_true(event_log_ended(&closed));
	event_log_free(&closed);
	item_list_free(&items);
	buf_free(&encoded);
}

static void random_answers_are_kept_and_replayed(void **state) {
	(void)state;
	const char *given = getenv("SLUICE_TEST_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	print_message("SLUICE_TEST_SEED=%u\n", seed);
	srand(seed);
	for (int round = 0; round < 200; round++) {
		struct output answer;
		struct event_log again = {0};
		struct buf whole = BUF_INIT;
		struct buf pieces = BUF_INIT;
		struct err err = {0};
		uint32_t calls = 0;
		begin(&answer);
		for (int i = rand() % 30; i > 0; i--) {
			uint32_t from = answer.events.count;
			random_delta(&answer, &calls);
			event_log_encode(&answer.events, from, &pieces);
			check_snapshot(&answer);
		}
		assert_int_equal(output_close(&answer, ITEM_COMPLETED), 0);
		append(&answer.events, EVENT_TERMINAL);
		event_log_encode(&answer.events, 0, &whole);
		/* Segment by segment it is the same text as at once. */
		assert_true(whole.length >= pieces.length);
		assert_memory_equal(whole.data + 3, pieces.data, pieces.length);
		assert_int_equal(
			event_log_decode(&again, buf_str(&whole), answer.items.items, answer.items.count, &err), 0);
		assert_same_events(&answer.events, &again);
		event_log_free(&again);
		output_free(&answer);
		buf_free(&whole);
		buf_free(&pieces);
	}
}

/* Memory that runs out at any point of an answer is told, and nothing is lost or leaks. */
static void memory_may_run_out_anywhere(void **state) {
	(void)state;
	bool clean = false;
	for (uint64_t nth = 1; !clean; nth++) {
		struct output answer;
		begin(&answer);
		mem_fail_after(nth, false);
		static const enum chat_delta_kind kinds[] = {CHAT_DELTA_REASONING, CHAT_DELTA_TEXT,
							     CHAT_DELTA_ANNOTATION, CHAT_DELTA_CALL, CHAT_DELTA_CALL};
		int result = 0;
		uint32_t calls = 0;
		for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && result == 0; i++) {
			const struct chat_delta delta = {.kind = kinds[i],
							 .text = STR("{}"),
							 .call = calls,
							 .call_begins = kinds[i] == CHAT_DELTA_CALL,
							 .call_name = STR("f")};
			calls += kinds[i] == CHAT_DELTA_CALL;
			result = output_add(&answer, &delta);
		}
		result = result ? result : output_close(&answer, ITEM_COMPLETED);
		clean = result == 0;
		mem_fail_after(0, false);
		output_free(&answer);
		assert_true(nth < 1000);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deltas_are_where_they_were_put),
		cmocka_unit_test(every_event_is_what_was_appended),
		cmocka_unit_test(a_long_log_weighs_little_more_than_its_text),
		cmocka_unit_test(text_without_its_delta_is_not_shown),
		cmocka_unit_test(a_log_of_one_text_is_read),
		cmocka_unit_test(a_damaged_log_is_refused),
		cmocka_unit_test(the_end_never_lacks_memory),
		cmocka_unit_test(an_answer_is_many_items),
		cmocka_unit_test(what_stands_beside_the_text_is_kept_with_it),
		cmocka_unit_test(random_answers_are_kept_and_replayed),
		cmocka_unit_test(memory_may_run_out_anywhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
