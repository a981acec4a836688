/* The structured log. A line is a time, a level, an event in a few plain words, and fields.
 *
 * A `struct log` carries the fields that every line of its owner repeats (connection, response), so that callers do
 * not name them. Content and secrets never reach a log. Any thread: a line is one write(2).
 *
 *   log_info(&conn->log, "turn started", LOG_S("model", model), LOG_I("input_items", n)); */
#ifndef SLUICE_BASE_LOG_H
#define SLUICE_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

enum log_format {
	LOG_FORMAT_TEXT,    /* for people: 2026-11-20T18:47:25.123Z info  turn started model=demo */
	LOG_FORMAT_JSON,    /* one JSON object a line: time, level, event, fields */
	LOG_FORMAT_JOURNAL, /* as text without the time, with the "<6>" priority that journald reads from stderr */
};

struct log_sink {
	int fd;
	enum log_format format;
	enum log_level level; /* lines above it are dropped */
};

struct log {
	const struct log_sink *sink; /* not owned; NULL drops every line */
	char context[160];           /* rendered fields, in the sink's format; made by log_child */
};

struct log_field {
	const char *name;
	enum { LOG_FIELD_STR, LOG_FIELD_INT } type;
	struct str text;
	int64_t number;
};

#define LOG_S(field, value) ((struct log_field){.name = (field), .type = LOG_FIELD_STR, .text = str_of(value)})
#define LOG_V(field, value) ((struct log_field){.name = (field), .type = LOG_FIELD_STR, .text = (value)})
#define LOG_I(field, value) ((struct log_field){.name = (field), .type = LOG_FIELD_INT, .number = (int64_t)(value)})
/* The two fields of an error: its code and text. */
#define LOG_ERR(err) LOG_S("error", err_code_name((err)->code)), LOG_S("detail", (err)->text)

/* Control characters are written as JSON escapes in every format. Values with spaces, quotes, '=' or anything beyond
 * ASCII are quoted in text. `fields` is at most 16 long. A line has at most 2,048 bytes; one that had to be cut says
 * so in its last field, `cut=true`, and stays well-formed. Allocates nothing; errno is left as it was. */
void log_write(const struct log *log, enum log_level level, const char *event, const struct log_field *fields,
	       size_t count);

/* The array's first element only keeps it from being empty when a line has no fields. */
#define log_at(log_, level_, event_, ...)                                                                              \
	do {                                                                                                           \
		if ((log_)->sink && (level_) <= (log_)->sink->level) {                                                 \
			const struct log_field log_fields_[] = {{0}, ##__VA_ARGS__};                                   \
			log_write((log_), (level_), (event_), log_fields_ + 1,                                         \
				  sizeof log_fields_ / sizeof log_fields_[0] - 1);                                     \
		}                                                                                                      \
	} while (0)
#define log_error(log_, event_, ...) log_at((log_), LOG_ERROR, (event_), ##__VA_ARGS__)
#define log_warn(log_, event_, ...) log_at((log_), LOG_WARN, (event_), ##__VA_ARGS__)
#define log_info(log_, event_, ...) log_at((log_), LOG_INFO, (event_), ##__VA_ARGS__)
#define log_debug(log_, event_, ...) log_at((log_), LOG_DEBUG, (event_), ##__VA_ARGS__)

/* A log whose lines also carry `name`=`value`. Copies what it needs; `child` may be `parent`. */
void log_child(struct log *child, const struct log *parent, const char *name, const char *value);

int log_level_parse(struct str text, enum log_level *out);   /* "error" "warn" "info" "debug" */
int log_format_parse(struct str text, enum log_format *out); /* "text" "json" "journal" */

#endif
