#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base_test.h"

/* A log that writes into a pipe: one read gives one line, since a line is one write. */
struct fixture {
	int ends[2];
	struct log_sink sink;
	struct log log;
	char line[8192];
};

static int setup(void **state) {
	struct fixture *f = calloc(1, sizeof *f);
	if (!f || pipe2(f->ends, O_NONBLOCK) != 0) {
		return -1;
	}
	f->sink = (struct log_sink){.fd = f->ends[1], .level = LOG_DEBUG};
	f->log.sink = &f->sink;
	*state = f;
	return 0;
}

static int teardown(void **state) {
	struct fixture *f = *state;
	close(f->ends[0]);
	close(f->ends[1]);
	free(f);
	return 0;
}

/* The line written last, without its line end; "" when there was none. */
static const char *line(struct fixture *f) {
	ssize_t length = read(f->ends[0], f->line, sizeof f->line);
	if (length <= 0) {
		return "";
	}
	assert_in_range(length, 1, 2048);
	assert_int_equal(f->line[length - 1], '\n');
	f->line[length - 1] = '\0';
	assert_null(strchr(f->line, '\n'));
	return f->line;
}

/* The text line behind its time, whose form is checked. */
static const char *text_line(struct fixture *f) {
	const char *text = line(f);
	static const char form[] = "0000-00-00T00:00:00.000Z ";
	for (size_t i = 0; form[i]; i++) {
		char c = text[i] >= '0' && text[i] <= '9' ? '0' : text[i];
		assert_int_equal(c, form[i]);
	}
	return text + strlen(form);
}

static void test_text(void **state) {
	struct fixture *f = *state;
	struct err err = {0};
	err_set(&err, ERR_IO, "open /x: denied");
	log_info(&f->log, "started");
	assert_string_equal(text_line(f), "info  started");
	log_error(&f->log, "turn failed", LOG_S("model", "demo"), LOG_I("items", -3), LOG_ERR(&err));
	assert_string_equal(text_line(f), "error turn failed model=demo items=-3 error=io detail=\"open /x: denied\"");
	log_warn(&f->log, "odd", LOG_S("empty", ""), LOG_S("null", NULL), LOG_V("view", STR("a=b")),
		 LOG_S("quote", "a\"b\\c"), LOG_S("word", "caf\xC3\xA9"));
	assert_string_equal(text_line(f), "warn  odd empty=\"\" null=\"\" view=\"a=b\" quote=\"a\\\"b\\\\c\""
					  " word=\"caf\xC3\xA9\"");
	log_debug(&f->log, "n", LOG_I("least", INT64_MIN));
	assert_string_equal(text_line(f), "debug n least=-9223372036854775808");
}

/* time(2) reads a clock that is some milliseconds behind the one that the log reads. */
static time_t now_s(void) {
	struct timespec now;
	assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
	return now.tv_sec;
}

static void test_time_is_now(void **state) {
	struct fixture *f = *state;
	time_t before = now_s();
	log_info(&f->log, "x");
	time_t after = now_s();
	struct tm tm = {0};
	assert_non_null(strptime(line(f), "%Y-%m-%dT%H:%M:%S", &tm));
	time_t said = timegm(&tm);
	assert_in_range(said, before, after);
}

static void test_levels(void **state) {
	struct fixture *f = *state;
	f->sink.level = LOG_WARN;
	log_info(&f->log, "dropped");
	log_write(&f->log, LOG_DEBUG, "dropped", NULL, 0);
	assert_string_equal(line(f), "");
	log_warn(&f->log, "kept");
	assert_string_equal(text_line(f), "warn  kept");
	struct log silent = {0};
	log_error(&silent, "nowhere");
	log_write(&silent, LOG_ERROR, "nowhere", NULL, 0);
	assert_string_equal(line(f), "");
}

static void test_journal(void **state) {
	struct fixture *f = *state;
	f->sink.format = LOG_FORMAT_JOURNAL;
	log_error(&f->log, "e");
	assert_string_equal(line(f), "<3>error e");
	log_warn(&f->log, "w", LOG_I("n", 1));
	assert_string_equal(line(f), "<4>warn  w n=1");
	log_info(&f->log, "i");
	assert_string_equal(line(f), "<6>info  i");
	log_debug(&f->log, "d");
	assert_string_equal(line(f), "<7>debug d");
}

static void test_json(void **state) {
	struct fixture *f = *state;
	f->sink.format = LOG_FORMAT_JSON;
	struct log child;
	log_child(&child, &f->log, "conn", "c\"1");
	log_info(&child, "turn \"started\"", LOG_S("text", "a\nb\xFF"), LOG_I("n", 42));
	struct err err = {0};
	struct json *root = json_parse(str_of(line(f)), &err);
	assert_string_equal(err.text, "");
	assert_int_equal(json_count(root), 6);
	assert_int_equal(json_str(json_get(root, "time")).length, 24);
	assert_str(json_str(json_get(root, "level")), "info");
	assert_str(json_str(json_get(root, "event")), "turn \"started\"");
	assert_str(json_str(json_get(root, "conn")), "c\"1");
	assert_str(json_str(json_get(root, "text")), "a\nb\xEF\xBF\xBD");
	assert_true(json_number(json_get(root, "n")) == 42);
	json_free(&root);
}

/* Whatever stands in a value, a line is one line, and a terminal finds nothing to obey. */
static void test_control_characters(void **state) {
	struct fixture *f = *state;
	static const char nasty[] = "a\r\n<0>x\x1B[31m\x7F\xC2\x9B"
				    "31m\x9B\0b";
	for (int format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JOURNAL; format++) {
		f->sink.format = (enum log_format)format;
		struct log child;
		log_child(&child, &f->log, "ctx", nasty);
		log_write(&child, LOG_INFO, nasty, &LOG_V("value", STR(nasty)), 1);
		const char *text = line(f);
		for (const char *c = text; *c; c++) {
			assert_true((unsigned char)*c >= 0x20 && *c != 0x7F);
		}
		assert_null(strstr(text, "\xC2\x9B"));
		assert_true(str_is_utf8(str_of(text)));
		assert_non_null(strstr(text, "\"a\\u000d\\n<0>x\\u001b[31m\\u007f\\u009b31m\xEF\xBF\xBD\\u0000b\""));
	}
}

static void test_children(void **state) {
	struct fixture *f = *state;
	struct log child;
	log_child(&child, &f->log, "conn", "7");
	log_child(&child, &child, "user", "a b");
	log_info(&child, "x", LOG_I("n", 1));
	assert_string_equal(text_line(f), "info  x conn=7 user=\"a b\" n=1");
	struct log silent = {0};
	log_child(&child, &silent, "conn", "7");
	assert_null(child.sink);
	assert_string_equal(child.context, "");
}

static void test_long_contexts_are_cut(void **state) {
	struct fixture *f = *state;
	for (int format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JSON; format++) {
		f->sink.format = (enum log_format)format;
		for (size_t length = 0; length < 300; length++) {
			char value[301];
			memset(value, '"', length);
			value[length] = '\0';
			struct log child;
			log_child(&child, &f->log, "a", value);
			log_child(&child, &child, "b", value);
			log_info(&child, "x");
			const char *text = line(f);
			assert_true(strlen(child.context) < sizeof child.context);
			if (format == LOG_FORMAT_JSON) {
				assert_int_equal(json_check(str_of(text), NULL), 0);
			}
		}
	}
}

/* Lines around the limit: never longer, always whole, and they say that they were cut. */
static void test_long_lines_are_cut(void **state) {
	struct fixture *f = *state;
	static const char *const fillers[] = {"a", "\x01", "\"", "\xE2\x82\xAC"};
	static char value[3 * 2200];
	for (int format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JOURNAL; format++) {
		f->sink.format = (enum log_format)format;
		for (size_t k = 0; k < COUNT(fillers) * 2200; k += 3) {
			const char *filler = fillers[k % COUNT(fillers)];
			value[0] = '\0';
			size_t length = 0;
			for (size_t i = 0; i < k / COUNT(fillers); i++) {
				memcpy(value + length, filler, strlen(filler));
				length += strlen(filler);
			}
			log_info(&f->log, "x", LOG_V("a", ((struct str){value, length})), LOG_I("n", 5),
				 LOG_S("z", "end"));
			const char *text = line(f);
			assert_true(str_is_utf8(str_of(text)));
			bool whole = strstr(text, format == LOG_FORMAT_JSON ? "\"z\":\"end\"}" : " z=end") != NULL;
			bool cut = strstr(text, format == LOG_FORMAT_JSON ? ",\"cut\":true}" : " cut=true") != NULL;
			assert_int_equal(whole, !cut);
			if (format == LOG_FORMAT_JSON) {
				struct err err = {0};
				if (json_check(str_of(text), &err) != 0) {
					fail_msg("%s in %s", err.text, text);
				}
			}
			assert_true(whole || strlen(text) > 2000);
		}
	}
}

static void test_many_fields(void **state) {
	struct fixture *f = *state;
	struct log_field fields[20];
	for (size_t i = 0; i < COUNT(fields); i++) {
		fields[i] = LOG_I("n", i);
	}
	log_write(&f->log, LOG_INFO, "x", fields, COUNT(fields));
	const char *text = text_line(f);
	assert_non_null(strstr(text, " n=15"));
	assert_null(strstr(text, " n=16"));
}

static void test_errno_is_kept_and_nothing_allocated(void **state) {
	struct fixture *f = *state;
	struct log_sink broken = {.fd = -1};
	struct log log = {.sink = &broken};
	uint64_t before = mem_alloc_count();
	errno = ENOENT;
	log_error(&log, "x");
	assert_int_equal(errno, ENOENT);
	log_error(&f->log, "x", LOG_S("a", "b"));
	assert_int_equal(mem_alloc_count() - before, 0);
}

static void test_names(void **state) {
	(void)state;
	static const char *const levels[] = {"error", "warn", "info", "debug"};
	static const char *const formats[] = {"text", "json", "journal"};
	enum log_level level = LOG_ERROR;
	for (size_t i = 0; i < COUNT(levels); i++) {
		assert_int_equal(log_level_parse(str_of(levels[i]), &level), 0);
		assert_int_equal(level, i);
	}
	assert_int_equal(log_level_parse(STR("INFO"), &level), -1);
	assert_int_equal(log_level_parse(STR("inf"), &level), -1);
	assert_int_equal(level, LOG_DEBUG);
	enum log_format format = LOG_FORMAT_TEXT;
	for (size_t i = 0; i < COUNT(formats); i++) {
		assert_int_equal(log_format_parse(str_of(formats[i]), &format), 0);
		assert_int_equal(format, i);
	}
	assert_int_equal(log_format_parse(STR_NONE, &format), -1);
}

#define log_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
		log_test(test_text),
		log_test(test_time_is_now),
		log_test(test_levels),
		log_test(test_journal),
		log_test(test_json),
		log_test(test_control_characters),
		log_test(test_children),
		log_test(test_long_contexts_are_cut),
		log_test(test_long_lines_are_cut),
		log_test(test_many_fields),
		log_test(test_errno_is_kept_and_nothing_allocated),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
