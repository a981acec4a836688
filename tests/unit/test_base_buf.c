#include "base_test.h"

static void test_appends(void **state) {
	(void)state;
	struct buf b = BUF_INIT;
	buf_append(&b, NULL, 0);
	assert_null(b.data);
	buf_append_text(&b, "n=");
	buf_append_u64(&b, UINT64_MAX);
	buf_append_char(&b, ' ');
	buf_append_i64(&b, INT64_MIN);
	buf_append_char(&b, ' ');
	buf_append_i64(&b, 0);
	buf_append_str(&b, STR("; "));
	buf_printf(&b, "%s %05d", "five", 42);
	assert_str(buf_str(&b), "n=18446744073709551615 -9223372036854775808 0; five 00042");
	assert_string_equal(buf_text(&b), "n=18446744073709551615 -9223372036854775808 0; five 00042");
	buf_free(&b);
	assert_null(b.data);
	buf_free(&b);
}

static void test_growth_keeps_content(void **state) {
	(void)state;
	struct buf b = BUF_INIT;
	for (unsigned i = 0; i < 100000; i++) {
		buf_append_char(&b, (char)(i % 251));
	}
	assert_int_equal(b.length, 100000);
	for (unsigned i = 0; i < 100000; i++) {
		assert_int_equal((unsigned char)b.data[i], i % 251);
	}
	buf_free(&b);
}

static void test_appending_is_linear(void **state) {
	(void)state;
	struct buf b = BUF_INIT;
	uint64_t before = mem_alloc_count();
	for (int i = 0; i < 1000000; i++) {
		buf_append_char(&b, 'x');
	}
	assert_in_range(mem_alloc_count() - before, 1, 20);
	buf_free(&b);
}

static void test_consume(void **state) {
	(void)state;
	struct buf b = BUF_INIT;
	buf_consume(&b, 5);
	buf_append_text(&b, "abcdef");
	buf_consume(&b, 0);
	buf_consume(&b, 2);
	assert_str(buf_str(&b), "cdef");
	buf_consume(&b, 99);
	assert_int_equal(b.length, 0);
	buf_free(&b);
}

static void test_take(void **state) {
	(void)state;
	struct buf b = BUF_INIT;
	char *text = buf_take_text(&b);
	assert_string_equal(text, "");
	mem_free(text);
	buf_append_text(&b, "mine");
	text = buf_take_text(&b);
	assert_string_equal(text, "mine");
	assert_null(b.data);
	assert_int_equal(b.capacity, 0);
	mem_free(text);
}

static void test_absurd_sizes_fail(void **state) {
	(void)state;
	struct buf b = BUF_INIT;
	buf_append_text(&b, "kept");
	assert_false(buf_reserve(&b, SIZE_MAX));
	assert_true(b.failed);
	assert_str(buf_str(&b), "kept");
	assert_false(buf_reserve(&b, 1));
	buf_clear(&b);
	assert_false(b.failed);
	buf_append_text(&b, "again");
	assert_str(buf_str(&b), "again");
	buf_free(&b);
}

static void write_much(struct buf *b) {
	buf_append_text(b, "start ");
	for (int i = 0; i < 200; i++) {
		buf_append_u64(b, (uint64_t)i);
		buf_printf(b, "%50d", i);
	}
	buf_append_text(b, " end");
}

static void test_every_allocation_may_fail(void **state) {
	(void)state;
	struct buf whole = BUF_INIT;
	write_much(&whole);
	bool clean = false;
	uint64_t nth = 1;
	for (; !clean; nth++) {
		struct buf b = BUF_INIT;
		mem_fail_after(nth, false);
		write_much(&b);
		mem_fail_after(0, false);
		clean = !b.failed;
		/* Failure sticks: what is there is a prefix, though memory came back at once. */
		assert_in_range(b.length, 0, whole.length - !clean);
		assert_true(b.length == 0 || memcmp(b.data, whole.data, b.length) == 0);
		assert_int_equal(buf_text(&b) == NULL, !clean);
		char *text = buf_take_text(&b);
		assert_int_equal(text == NULL, !clean);
		assert_null(b.data);
		mem_free(text);
	}
	assert_true(nth > 5);
	buf_free(&whole);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_appends),
		cmocka_unit_test(test_growth_keeps_content),
		cmocka_unit_test(test_appending_is_linear),
		cmocka_unit_test(test_consume),
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_absurd_sizes_fail),
		cmocka_unit_test(test_every_allocation_may_fail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
