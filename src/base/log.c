#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "utf8.h"

#define LINE_SIZE 2048
#define FIELDS_MAX 16

/* What is held back for the end of a line: a closing quote, the mark of a cut line, "}" and the line's end. */
#define TAIL_SIZE 16

/* A line being written into fixed memory, because a log must still speak when there is no other left. What does not
 * fit is dropped character by character, so that neither an escape nor a UTF-8 sequence is ever cut in two. */
struct line {
	char *data;
	size_t length;
	size_t limit;
	bool cut;
};

/* A closing quote may have gone beyond the limit. */
static size_t room(const struct line *line) {
	return line->length < line->limit ? line->limit - line->length : 0;
}

static bool put(struct line *line, const char *bytes, size_t length) {
	if (line->cut || length > room(line)) {
		line->cut = true;
		return false;
	}
	memcpy(line->data + line->length, bytes, length);
	line->length += length;
	return true;
}

static bool put_text(struct line *line, const char *text) {
	return put(line, text, strlen(text));
}

/* One character of a value, escaped as in JSON in every format: a terminal that shows the log must not obey it.
 * Returns how many bytes of `s` it took. */
static size_t put_char(struct line *line, struct str s) {
	const unsigned char *at = (const unsigned char *)s.data;
	size_t length = 1;
	size_t bad = 1;
	if (*at >= 0x80) {
		length = utf8_sequence(at, s.length, &bad);
	}
	if (length == 0) {
		put_text(line, "\xEF\xBF\xBD");
		return bad;
	}
	/* C0 and DEL, and the C1 controls, U+0080 to U+009F. */
	bool c1 = length == 2 && at[0] == 0xC2 && at[1] < 0xA0;
	if (*at < 0x20 || *at == 0x7F || c1) {
		char escape[8];
		snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(c1 ? at[1] : at[0]));
		put_text(line, *at == '\n' ? "\\n" : *at == '\t' ? "\\t" : escape);
	} else if (*at == '"' || *at == '\\') {
		put(line, (char[2]){'\\', s.data[0]}, 2);
	} else {
		put(line, s.data, length);
	}
	return length;
}

static void put_escaped(struct line *line, struct str s) {
	while (s.length > 0 && !line->cut) {
		s = str_skip(s, put_char(line, s));
	}
}

/* The quote that closes may use the space held back for the tail. */
static void put_quoted(struct line *line, struct str s) {
	if (!put(line, "\"", 1)) {
		return;
	}
	put_escaped(line, s);
	line->data[line->length++] = '"';
}

/* Whether a value can stand in a text line without quotes. */
static bool is_bare(struct str s) {
	for (size_t i = 0; i < s.length; i++) {
		unsigned char c = (unsigned char)s.data[i];
		if (c <= ' ' || c >= 0x7F || c == '"' || c == '\\' || c == '=') {
			return false;
		}
	}
	return s.length > 0;
}

static void put_number(struct line *line, int64_t number) {
	char digits[24];
	snprintf(digits, sizeof digits, "%" PRId64, number);
	put_text(line, digits);
}

static void put_field(struct line *line, enum log_format format, const struct log_field *field) {
	bool json = format == LOG_FORMAT_JSON;
	/* A field whose name, quotes and a number would not fit is left out as a whole. */
	if (line->cut || strlen(field->name) + 28 > room(line)) {
		line->cut = true;
		return;
	}
	put_text(line, json ? ",\"" : " ");
	put_text(line, field->name);
	put_text(line, json ? "\":" : "=");
	if (field->type == LOG_FIELD_INT) {
		put_number(line, field->number);
	} else if (!json && is_bare(field->text)) {
		put_escaped(line, field->text);
	} else {
		put_quoted(line, field->text);
	}
}

static void put_time(struct line *line) {
	int64_t now_ms = clock_wall_ms(clock_system());
	time_t seconds = (time_t)(now_ms / 1000);
	struct tm tm;
	char text[40];
	gmtime_r(&seconds, &tm);
	size_t length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + length, sizeof text - length, ".%03dZ", (int)(now_ms % 1000));
	put_text(line, text);
}

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const char *const format_names[] = {"text", "json", "journal"};

static void put_head(struct line *line, enum log_format format, enum log_level level, const char *event) {
	static const char *const padded[] = {"error ", "warn  ", "info  ", "debug "};
	static const char *const priorities[] = {"<3>", "<4>", "<6>", "<7>"};
	switch (format) {
	case LOG_FORMAT_TEXT:
		put_time(line);
		put(line, " ", 1);
		put_text(line, padded[level]);
		put_escaped(line, str_of(event));
		break;
	case LOG_FORMAT_JSON:
		put_text(line, "{\"time\":\"");
		put_time(line);
		put_text(line, "\",\"level\":\"");
		put_text(line, level_names[level]);
		put_text(line, "\",\"event\":");
		put_quoted(line, str_of(event));
		break;
	case LOG_FORMAT_JOURNAL:
		put_text(line, priorities[level]);
		put_text(line, padded[level]);
		put_escaped(line, str_of(event));
		break;
	}
}

static void put_tail(struct line *line, enum log_format format) {
	const char *mark = "";
	if (line->cut) {
		mark = format == LOG_FORMAT_JSON ? ",\"cut\":true" : " cut=true";
	}
	const char *end = format == LOG_FORMAT_JSON ? "}\n" : "\n";
	line->cut = false;
	line->limit = LINE_SIZE;
	put_text(line, mark);
	put_text(line, end);
}

static void write_line(int fd, const struct line *line) {
	ssize_t written;
	do {
		written = write(fd, line->data, line->length);
	} while (written < 0 && errno == EINTR);
	/* A log that can't be written has nobody to tell. */
}

void log_write(const struct log *log, enum log_level level, const char *event, const struct log_field *fields,
	       size_t count) {
	const struct log_sink *sink = log->sink;
	if (!sink || level > sink->level) {
		return;
	}
	int saved_errno = errno;
	char data[LINE_SIZE];
	struct line line = {.data = data, .limit = LINE_SIZE - TAIL_SIZE};
	put_head(&line, sink->format, level, event);
	put_text(&line, log->context);
	for (size_t i = 0; i < count && i < FIELDS_MAX; i++) {
		put_field(&line, sink->format, &fields[i]);
	}
	put_tail(&line, sink->format);
	write_line(sink->fd, &line);
	errno = saved_errno;
}

void log_child(struct log *child, const struct log *parent, const char *name, const char *value) {
	struct log made = {.sink = parent->sink};
	if (made.sink) {
		/* Two bytes are kept for a closing quote and the NUL. */
		struct line line = {.data = made.context, .limit = sizeof made.context - 2};
		put_text(&line, parent->context);
		put_field(&line, made.sink->format, &LOG_S(name, value));
		made.context[line.length] = '\0';
	}
	*child = made;
}

static int find_name(const char *const *names, size_t count, struct str text, size_t *at) {
	for (size_t i = 0; i < count; i++) {
		if (str_is(text, names[i])) {
			*at = i;
			return 0;
		}
	}
	return -1;
}

int log_level_parse(struct str text, enum log_level *out) {
	size_t at;
	if (find_name(level_names, sizeof level_names / sizeof level_names[0], text, &at) != 0) {
		return -1;
	}
	*out = (enum log_level)at;
	return 0;
}

int log_format_parse(struct str text, enum log_format *out) {
	size_t at;
	if (find_name(format_names, sizeof format_names / sizeof format_names[0], text, &at) != 0) {
		return -1;
	}
	*out = (enum log_format)at;
	return 0;
}
