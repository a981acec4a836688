#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "json_scan.h"

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

/* A control character, a quote or a backslash. */
static void escape_ascii(struct buf *out, unsigned char c) {
	static const char digits[] = "0123456789abcdef";
	static const char names[0x20] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
	char name = c < 0x20 ? names[c] : (char)c;
	if (c == '\0') {
		/* The gate refuses \u0000; what is written here must read back. */
		buf_append_text(out, REPLACEMENT);
	} else if (name != '\0') {
		buf_append(out, (char[]){'\\', name}, 2);
	} else {
		buf_append(out, (char[]){'\\', 'u', '0', '0', digits[c >> 4], digits[c & 0x0F]}, 6);
	}
}

void json_escape(struct buf *out, struct str s) {
	const unsigned char *at = (const unsigned char *)s.data;
	size_t left = s.length;
	while (left > 0) {
		size_t run = json_scan_text(at, left);
		buf_append(out, at, run);
		at += run;
		left -= run;
		if (left == 0) {
			return;
		}
		size_t skip = 1;
		if (*at < 0x80) {
			escape_ascii(out, *at);
		} else {
			(void)utf8_sequence(at, left, &skip);
			buf_append_text(out, REPLACEMENT);
		}
		at += skip;
		left -= skip;
	}
}

void json_append_string(struct buf *out, struct str s) {
	buf_append_char(out, '"');
	json_escape(out, s);
	buf_append_char(out, '"');
}

struct json_writer json_writer(struct buf *out) {
	return (struct json_writer){.out = out};
}

/* Puts the comma that is due, and makes one due behind what comes now. */
static void begin(struct json_writer *w) {
	if (w->comma) {
		buf_append_char(w->out, ',');
	}
	w->comma = true;
}

static void open_with(struct json_writer *w, char bracket) {
	begin(w);
	buf_append_char(w->out, bracket);
	w->comma = false;
}

static void close_with(struct json_writer *w, char bracket) {
	buf_append_char(w->out, bracket);
	w->comma = true;
}

void jw_object(struct json_writer *w) {
	open_with(w, '{');
}

void jw_object_end(struct json_writer *w) {
	close_with(w, '}');
}

void jw_array(struct json_writer *w) {
	open_with(w, '[');
}

void jw_array_end(struct json_writer *w) {
	close_with(w, ']');
}

void jw_key(struct json_writer *w, const char *key) {
	begin(w);
	buf_append_char(w->out, '"');
	buf_append_text(w->out, key);
	buf_append(w->out, "\":", 2);
	w->comma = false;
}

void jw_key_str(struct json_writer *w, struct str key) {
	begin(w);
	json_append_string(w->out, key);
	buf_append_char(w->out, ':');
	w->comma = false;
}

void jw_str(struct json_writer *w, struct str value) {
	begin(w);
	json_append_string(w->out, value);
}

void jw_text(struct json_writer *w, const char *value) {
	if (value) {
		jw_str(w, str_of(value));
	} else {
		jw_null(w);
	}
}

void jw_int(struct json_writer *w, int64_t value) {
	begin(w);
	buf_append_i64(w->out, value);
}

void jw_double(struct json_writer *w, double value) {
	if (!isfinite(value)) {
		jw_null(w);
		return;
	}
	/* Integers that a double holds exactly look like integers; -0 is not one. */
	if (fabs(value) <= (double)JSON_INTEGER_MAX && value == (double)(int64_t)value &&
	    !(value == 0 && signbit(value))) {
		jw_int(w, (int64_t)value);
		return;
	}
	char text[40];
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, value);
		if (strtod(text, NULL) == value) {
			break;
		}
	}
	begin(w);
	bool point = false;
	for (const char *at = text; *at; at++) {
		/* Whatever else stands there is the decimal point of the locale, of one byte or more. */
		if (strchr("0123456789+-e", *at)) {
			buf_append_char(w->out, *at);
		} else if (!point) {
			buf_append_char(w->out, '.');
			point = true;
		}
	}
}

void jw_bool(struct json_writer *w, bool value) {
	begin(w);
	buf_append_text(w->out, value ? "true" : "false");
}

void jw_null(struct json_writer *w) {
	begin(w);
	buf_append(w->out, "null", 4);
}

void jw_raw(struct json_writer *w, struct str json) {
	begin(w);
	buf_append_str(w->out, json);
}
