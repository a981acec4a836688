#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "event_log.h"

static void fill(struct event_log *log) {
	assert_int_equal(event_log_append(log, EVENT_CREATED, 0), 0);
	assert_int_equal(event_log_append(log, EVENT_IN_PROGRESS, 0), 0);
	assert_int_equal(event_log_append(log, EVENT_ITEM_ADDED, 0), 0);
	assert_int_equal(event_log_append(log, EVENT_PART_ADDED, 0), 0);
	for (int i = 0; i < 300; i++) {
		char text[400];
		memset(text, 'a' + i % 26, sizeof text);
		assert_int_equal(event_log_add_text(log, (struct str){text, (size_t)(i % 301) + 1}), 0);
		assert_true(event_log_has_pending(log));
		assert_int_equal(event_log_append(log, EVENT_DELTA, 0), 0);
		assert_false(event_log_has_pending(log));
	}
	assert_int_equal(event_log_append(log, EVENT_DONE, 0), 0);
	assert_int_equal(event_log_append(log, EVENT_TERMINAL, 0), 0);
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
	assert_int_equal(event_log_text(&log).length, total);
	assert_int_equal(event_log_delta(&log, 305).length, 0);
	event_log_free(&log);
}

static void text_without_its_delta_is_not_shown(void **state) {
	(void)state;
	struct event_log log = {0};
	event_log_append(&log, EVENT_CREATED, 0);
	event_log_add_text(&log, STR("ab"));
	assert_int_equal(event_log_text(&log).length, 0);
	event_log_add_text(&log, STR("cd"));
	event_log_append(&log, EVENT_DELTA, 0);
	assert_true(str_equal(event_log_delta(&log, 1), STR("abcd")));
	event_log_free(&log);
}

static void a_stored_log_replays_the_same(void **state) {
	(void)state;
	struct event_log log = {0}, again = {0};
	struct buf encoded = BUF_INIT;
	struct err err = {0};
	fill(&log);
	event_log_encode(&log, 0, &encoded);
	assert_int_equal(event_log_decode(&again, buf_str(&encoded), event_log_text(&log), &err), 0);
	assert_int_equal(again.count, log.count);
	for (uint32_t i = 0; i < log.count; i++) {
		assert_int_equal(again.entries[i].kind, log.entries[i].kind);
		assert_true(str_equal(event_log_delta(&again, i), event_log_delta(&log, i)));
	}
	buf_free(&encoded);
	event_log_free(&log);
	event_log_free(&again);
}

/* A log that does not fit its text is refused, not read past its end. */
static void a_damaged_log_is_refused(void **state) {
	(void)state;
	struct event_log log = {0}, again = {0};
	struct buf encoded = BUF_INIT;
	struct err err = {0};
	fill(&log);
	event_log_encode(&log, 0, &encoded);
	struct str text = event_log_text(&log);
	for (size_t length = 0; length + 2 < encoded.length; length++) {
		char *part = malloc(length + 1);
		memcpy(part, encoded.data, length);
		assert_int_equal(event_log_decode(&again, (struct str){part, length}, text, &err), -1);
		assert_int_equal(err.code, ERR_CORRUPT);
		free(part);
	}
	text.length--;
	assert_int_equal(event_log_decode(&again, buf_str(&encoded), text, &err), -1);
	assert_int_equal(event_log_decode(&again, STR("\x02\x00"), STR_NONE, &err), -1);
	assert_int_equal(event_log_decode(&again, STR("\x01\x7f"), STR_NONE, &err), -1);
	assert_int_equal(event_log_decode(&again, STR("\x01\x04\xff\xff\xff\xff\xff"), STR("x"), &err), -1);
	assert_int_equal(again.count, 0);
	buf_free(&encoded);
	event_log_free(&log);
}

static void the_end_never_lacks_memory(void **state) {
	(void)state;
	for (uint32_t deltas = 0; deltas < 100; deltas++) {
		struct event_log log = {0};
		event_log_append(&log, EVENT_CREATED, 0);
		for (uint32_t i = 0; i < deltas; i++) {
			event_log_add_text(&log, STR("x"));
			assert_int_equal(event_log_append(&log, EVENT_DELTA, 0), 0);
		}
		mem_fail_after(1, true);
		int result = event_log_append(&log, EVENT_DELTA, 0);
		result |= event_log_append(&log, EVENT_DONE, 0);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(event_log_append(&log, EVENT_ITEM_DONE, 0), 0);
		}
		assert_int_equal(event_log_append(&log, EVENT_TERMINAL, 0), 0);
		mem_fail_after(0, false);
		(void)result;
		event_log_free(&log);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deltas_are_where_they_were_put), cmocka_unit_test(text_without_its_delta_is_not_shown),
		cmocka_unit_test(a_stored_log_replays_the_same),  cmocka_unit_test(a_damaged_log_is_refused),
		cmocka_unit_test(the_end_never_lacks_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
