/* Server frames: every length around the steps of the length field, several in a row, and the close. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "frame.h"

/* Takes one frame apart as a client does. Returns what is behind it. */
static const uint8_t *read_frame(const uint8_t *at, uint8_t *first, uint64_t *length, const uint8_t **payload) {
	*first = at[0];
	*length = at[1];
	at += 2;
	assert_true(*length < 128);
	size_t more = *length == 126 ? 2 : *length == 127 ? 8 : 0;
	if (more) {
		*length = 0;
		for (size_t i = 0; i < more; i++) {
			*length = *length << 8 | *at++;
		}
	}
	*payload = at;
	return at + *length;
}

static void append_pattern(struct buf *out, size_t length) {
	for (size_t i = 0; i < length; i++) {
		buf_append_char(out, (char)('a' + i % 23));
	}
}

static void check_pattern(const uint8_t *payload, size_t length) {
	for (size_t i = 0; i < length; i++) {
		assert_int_equal(payload[i], 'a' + i % 23);
	}
}

static void every_length_is_framed(void **state) {
	(void)state;
	const size_t lengths[] = {0, 1, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537, 200000};
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		struct buf out = BUF_INIT;
		buf_append_text(&out, "before");
		size_t start = frame_begin(&out);
		append_pattern(&out, lengths[i]);
		frame_end(&out, start);
		assert_false(out.failed);
		uint8_t first;
		uint64_t length;
		const uint8_t *payload;
		const uint8_t *end = read_frame((const uint8_t *)out.data + 6, &first, &length, &payload);
		assert_memory_equal(out.data, "before", 6);
		assert_int_equal(first, 0x81);
		assert_int_equal(length, lengths[i]);
		check_pattern(payload, lengths[i]);
		assert_ptr_equal(end, out.data + out.length);
		/* The shortest form is a must (RFC 6455, 5.2). */
		size_t header = (size_t)(payload - (const uint8_t *)out.data) - 6;
		assert_int_equal(header, lengths[i] < 126 ? 2 : lengths[i] < 65536 ? 4 : 10);
		buf_free(&out);
	}
}

static void frames_follow_one_another(void **state) {
	(void)state;
	struct buf out = BUF_INIT;
	for (size_t i = 0; i < 300; i++) {
		size_t start = frame_begin(&out);
		append_pattern(&out, i);
		frame_end(&out, start);
	}
	const uint8_t *at = (const uint8_t *)out.data;
	for (size_t i = 0; i < 300; i++) {
		uint8_t first;
		uint64_t length;
		const uint8_t *payload;
		at = read_frame(at, &first, &length, &payload);
		assert_int_equal(length, i);
		check_pattern(payload, i);
	}
	assert_ptr_equal(at, out.data + out.length);
	buf_free(&out);
}

static void a_dropped_frame_leaves_nothing(void **state) {
	(void)state;
	struct buf out = BUF_INIT;
	buf_append_text(&out, "kept");
	frame_drop(&out, frame_begin(&out));
	assert_true(str_is(buf_str(&out), "kept"));
	buf_free(&out);
}

static void a_close_carries_code_and_reason(void **state) {
	(void)state;
	struct buf out = BUF_INIT;
	frame_close(&out, 1012, "soon back");
	assert_int_equal(out.length, 13);
	assert_memory_equal(out.data, "\x88\x0b\x03\xf4soon back", 13);
	buf_free(&out);
}

static void a_long_reason_is_cut_to_what_a_control_frame_holds(void **state) {
	(void)state;
	char reason[300];
	memset(reason, 'r', sizeof reason - 1);
	reason[sizeof reason - 1] = '\0';
	struct buf out = BUF_INIT;
	frame_close(&out, 1008, reason);
	assert_int_equal(out.length, 2 + 125);
	assert_int_equal((uint8_t)out.data[1], 125);
	buf_free(&out);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_is_framed),
		cmocka_unit_test(frames_follow_one_another),
		cmocka_unit_test(a_dropped_frame_leaves_nothing),
		cmocka_unit_test(a_close_carries_code_and_reason),
		cmocka_unit_test(a_long_reason_is_cut_to_what_a_control_frame_holds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
