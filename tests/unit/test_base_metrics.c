#include <pthread.h>

#include "base/metrics.h"
#include "base_test.h"

static void assert_rendered(struct metrics *metrics, const char *expected) {
	struct buf out = BUF_INIT;
	metrics_render(metrics, &out);
	assert_str(buf_str(&out), expected);
	buf_free(&out);
}

static void test_rows(void **state) {
	(void)state;
	struct metrics *metrics = metrics_new();
	assert_rendered(metrics, "");
	struct counter *ok = metrics_counter(metrics, "sluice_requests_total", "code=\"200\"", "Requests.");
	struct gauge *open = metrics_gauge(metrics, "sluice_connections", NULL, "Open connections.");
	/* Comes late, stands with its name all the same. */
	struct counter *limited = metrics_counter(metrics, "sluice_requests_total", "code=\"429\"", "Requests.");
	assert_ptr_not_equal(ok, limited);
	assert_ptr_equal(metrics_counter(metrics, "sluice_requests_total", "code=\"200\"", "Requests."), ok);
	assert_ptr_equal(metrics_gauge(metrics, "sluice_connections", NULL, "Open connections."), open);
	counter_add(ok, 2);
	counter_add(ok, 3);
	counter_add(limited, 1);
	gauge_set(open, 10);
	gauge_add(open, -12);
	assert_rendered(metrics, "# HELP sluice_requests_total Requests.\n"
				 "# TYPE sluice_requests_total counter\n"
				 "sluice_requests_total{code=\"200\"} 5\n"
				 "sluice_requests_total{code=\"429\"} 1\n"
				 "# HELP sluice_connections Open connections.\n"
				 "# TYPE sluice_connections gauge\n"
				 "sluice_connections -2\n");
	metrics_free(&metrics);
	assert_null(metrics);
	metrics_free(&metrics);
}

static void test_labels_are_copied(void **state) {
	(void)state;
	struct metrics *metrics = metrics_new();
	char labels[] = "name=\"a\"";
	struct counter *a = metrics_counter(metrics, "sluice_x_total", labels, "X.");
	labels[6] = 'b';
	assert_ptr_not_equal(metrics_counter(metrics, "sluice_x_total", labels, "X."), a);
	counter_add(a, 1);
	labels[6] = 'c';
	assert_rendered(metrics, "# HELP sluice_x_total X.\n"
				 "# TYPE sluice_x_total counter\n"
				 "sluice_x_total{name=\"a\"} 1\n"
				 "sluice_x_total{name=\"b\"} 0\n");
	metrics_free(&metrics);
}

/* The value of the row that starts with `row` and a space. */
static double value_of(struct str text, const char *row) {
	while (text.length > 0) {
		struct str one = str_cut(&text, '\n');
		size_t length = strlen(row);
		if (str_starts(one, row) && one.length > length && one.data[length] == ' ') {
			char number[64];
			assert_int_equal(str_copy(number, sizeof number, str_skip(one, length + 1)), 0);
			return strtod(number, NULL);
		}
	}
	fail_msg("no row %s", row);
	return 0;
}

static void test_histogram_text(void **state) {
	(void)state;
	struct metrics *metrics = metrics_new();
	struct histogram *seconds = metrics_histogram(metrics, "sluice_turn_seconds", "kind=\"ws\"", "Turns.");
	histogram_observe_us(seconds, 1500000);
	histogram_observe_us(seconds, 20);
	struct buf out = BUF_INIT;
	metrics_render(metrics, &out);
	assert_true(str_starts(buf_str(&out), "# HELP sluice_turn_seconds Turns.\n"
					      "# TYPE sluice_turn_seconds histogram\n"
					      "sluice_turn_seconds_bucket{kind=\"ws\",le=\"0.0001\"} 1\n"
					      "sluice_turn_seconds_bucket{kind=\"ws\",le=\"0.0002\"} 1\n"));
	char *text = buf_take_text(&out);
	const char *end = strstr(text, "sluice_turn_seconds_bucket{kind=\"ws\",le=\"838.8608\"}");
	assert_non_null(end);
	assert_string_equal(end, "sluice_turn_seconds_bucket{kind=\"ws\",le=\"838.8608\"} 2\n"
				 "sluice_turn_seconds_bucket{kind=\"ws\",le=\"+Inf\"} 2\n"
				 "sluice_turn_seconds_sum{kind=\"ws\"} 1.50002\n"
				 "sluice_turn_seconds_count{kind=\"ws\"} 2\n");
	mem_free(text);
	metrics_free(&metrics);
}

static void test_histogram_bounds(void **state) {
	(void)state;
	struct metrics *metrics = metrics_new();
	struct histogram *seconds = metrics_histogram(metrics, "h", NULL, "H.");
	static const int64_t observed[] = {-5,     0,      100,       101,       200,          201,
					   102400, 102401, 838860800, 838860801, INT64_MAX / 2};
	for (size_t i = 0; i < COUNT(observed); i++) {
		histogram_observe_us(seconds, observed[i]);
	}
	struct buf out = BUF_INIT;
	metrics_render(metrics, &out);
	struct str text = buf_str(&out);
	/* A value that is a bucket's bound belongs to it. */
	assert_true(value_of(text, "h_bucket{le=\"0.0001\"}") == 3);
	assert_true(value_of(text, "h_bucket{le=\"0.0002\"}") == 5);
	assert_true(value_of(text, "h_bucket{le=\"0.0004\"}") == 6);
	assert_true(value_of(text, "h_bucket{le=\"0.0512\"}") == 6);
	assert_true(value_of(text, "h_bucket{le=\"0.1024\"}") == 7);
	assert_true(value_of(text, "h_bucket{le=\"0.2048\"}") == 8);
	assert_true(value_of(text, "h_bucket{le=\"838.8608\"}") == 9);
	assert_true(value_of(text, "h_bucket{le=\"+Inf\"}") == 11);
	assert_true(value_of(text, "h_count") == 11);
	size_t rows = 0;
	while (text.length > 0) {
		rows += str_starts(str_cut(&text, '\n'), "h_bucket");
	}
	assert_int_equal(rows, 25);
	buf_free(&out);
	metrics_free(&metrics);
}

static void test_out_of_memory_gives_a_spare(void **state) {
	(void)state;
	struct metrics *metrics = metrics_new();
	mem_fail_after(1, true);
	struct counter *counter = metrics_counter(metrics, "c", NULL, "C.");
	struct gauge *gauge = metrics_gauge(metrics, "g", NULL, "G.");
	struct histogram *histogram = metrics_histogram(metrics, "h", NULL, "H.");
	struct metrics *none = metrics_new();
	mem_fail_after(0, false);
	assert_null(none);
	assert_non_null(metrics_counter(none, "c", NULL, "C."));
	counter_add(counter, 1);
	gauge_set(gauge, 1);
	histogram_observe_us(histogram, 1);
	assert_rendered(metrics, "");
	metrics_free(&metrics);
}

static void *count_often(void *counter) {
	for (int i = 0; i < 100000; i++) {
		counter_add(counter, 1);
	}
	return NULL;
}

static void test_threads(void **state) {
	(void)state;
	struct metrics *metrics = metrics_new();
	struct counter *counter = metrics_counter(metrics, "c", NULL, "C.");
	pthread_t threads[4];
	for (size_t i = 0; i < COUNT(threads); i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, count_often, counter), 0);
	}
	for (size_t i = 0; i < COUNT(threads); i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	}
	assert_rendered(metrics, "# HELP c C.\n# TYPE c counter\nc 400000\n");
	metrics_free(&metrics);
}

/* What several count is told as one, whichever is asked; of states the highest counts; rows that only one has are there. */
static void test_a_family_is_rendered_as_one(void **state) {
	(void)state;
	struct metrics *first = metrics_new();
	struct metrics *second = metrics_new_beside(first);
	struct metrics *third = metrics_new_beside(second);
	struct metrics *all[] = {first, second, third};
	for (size_t i = 0; i < COUNT(all); i++) {
		struct counter *counter = metrics_counter(all[i], "c", "a=\"1\"", "C.");
		counter_add(counter, 10 + i);
		assert_ptr_equal(metrics_counter(all[i], "c", "a=\"1\"", "C."), counter);
		gauge_set(metrics_gauge(all[i], "g", NULL, "G."), (int64_t)i - 3);
		gauge_set(metrics_state(all[i], "up", NULL, "U."), i > 0);
	}
	counter_add(metrics_counter(third, "c", "a=\"2\"", "C."), 7);
	metrics_counter(second, "late", NULL, "L.");
	const char *text = "# HELP c C.\n# TYPE c counter\nc{a=\"1\"} 33\nc{a=\"2\"} 7\n"
			   "# HELP g G.\n# TYPE g gauge\ng -6\n"
			   "# HELP up U.\n# TYPE up gauge\nup 1\n"
			   "# HELP late L.\n# TYPE late counter\nlate 0\n";
	for (size_t i = 0; i < COUNT(all); i++) {
		assert_rendered(all[i], text);
	}
	metrics_free(&third);
	metrics_free(&second);
	assert_rendered(first, text);
	metrics_free(&first);
}

static void test_histograms_of_a_family_add_up(void **state) {
	(void)state;
	struct metrics *first = metrics_new();
	struct metrics *second = metrics_new_beside(first);
	struct buf out = BUF_INIT;
	histogram_observe_us(metrics_histogram(first, "h", NULL, "H."), 100);
	histogram_observe_us(metrics_histogram(second, "h", NULL, "H."), 150);
	histogram_observe_us(metrics_histogram(second, "h", NULL, "H."), 100);
	metrics_render(second, &out);
	const char *text = buf_text(&out);
	assert_non_null(strstr(text, "h_bucket{le=\"0.0001\"} 2\nh_bucket{le=\"0.0002\"} 3\n"));
	assert_non_null(strstr(text, "h_sum 0.00035\nh_count 3\n"));
	buf_free(&out);
	metrics_free(&second);
	metrics_free(&first);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_labels_are_copied),
		cmocka_unit_test(test_histogram_text),
		cmocka_unit_test(test_histogram_bounds),
		cmocka_unit_test(test_out_of_memory_gives_a_spare),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_a_family_is_rendered_as_one),
		cmocka_unit_test(test_histograms_of_a_family_add_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
