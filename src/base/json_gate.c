#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "json_gate.h"
#include "json_keys.h"
#include "json_scan.h"

/* cJSON copies a number into 64 bytes before it reads it. */
#define NUMBER_MAX 63

enum expect {
	EXPECT_VALUE,
	EXPECT_FIRST_ELEMENT, /* or ']' */
	EXPECT_FIRST_KEY,     /* or '}' */
	EXPECT_KEY,
	EXPECT_AFTER_VALUE, /* ',' or what closes the container, or the end */
	EXPECT_NOTHING,     /* the document is whole */
};

struct gate {
	const unsigned char *text;
	size_t length;
	size_t at;
	enum expect expect;
	size_t tokens, max_tokens;
	uint32_t objects; /* how many were opened: the newest one's number */
	size_t depth;
	uint32_t open[JSON_MAX_DEPTH]; /* the number of each open object, 0 for an array */
	struct json_keys keys;
	struct err *err;
};

static int refuse_at(struct gate *g, size_t at, const char *what) {
	return err_set(g->err, ERR_INVALID, "%s at byte %zu", what, at);
}

/* Refuses what stands here, or says that nothing does. */
static int refuse(struct gate *g, const char *what) {
	return refuse_at(g, g->at, g->at < g->length ? what : "unexpected end");
}

/* The byte here, or -1 at the end. */
static int peek(const struct gate *g) {
	return g->at < g->length ? g->text[g->at] : -1;
}

static void skip_space(struct gate *g) {
	while (g->at < g->length &&
	       (g->text[g->at] == ' ' || g->text[g->at] == '\n' || g->text[g->at] == '\r' || g->text[g->at] == '\t')) {
		g->at++;
	}
}

static int count_token(struct gate *g) {
	if (++g->tokens > g->max_tokens) {
		return refuse_at(g, g->at, "too many tokens");
	}
	return 0;
}

static bool is_digit(int c) {
	return c >= '0' && c <= '9';
}

static bool is_letter(int c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Reads the four hex digits behind "\u". */
static int check_hex4(struct gate *g, uint32_t *unit) {
	uint32_t value = 0;
	for (int i = 0; i < 4; i++, g->at++) {
		int c = peek(g);
		if (is_digit(c)) {
			value = value << 4 | (uint32_t)(c - '0');
		} else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
			value = value << 4 | (uint32_t)((c | 0x20) - 'a' + 10);
		} else {
			return refuse(g, "malformed \\u escape");
		}
	}
	*unit = value;
	return 0;
}

/* At a backslash. */
static int check_escape(struct gate *g) {
	size_t start = g->at++;
	int c = peek(g);
	if (c < 0 || !strchr("\"\\/bfnrtu", c) || c == '\0') {
		return refuse(g, "unknown escape");
	}
	g->at++;
	if (c != 'u') {
		return 0;
	}
	uint32_t unit;
	if (check_hex4(g, &unit) != 0) {
		return -1;
	}
	if (unit == 0) {
		return refuse_at(g, start, "\\u0000");
	}
	if (unit < 0xD800 || unit > 0xDFFF) {
		return 0;
	}
	if (unit > 0xDBFF) {
		return refuse_at(g, start, "unpaired surrogate");
	}
	for (const char *next = "\\u"; *next; next++, g->at++) {
		if (peek(g) != *next) {
			return g->at < g->length ? refuse_at(g, start, "unpaired surrogate") : refuse(g, "");
		}
	}
	if (check_hex4(g, &unit) != 0) {
		return -1;
	}
	return unit >= 0xDC00 && unit <= 0xDFFF ? 0 : refuse_at(g, start, "unpaired surrogate");
}

/* At a quote. Gives what stands between the quotes and whether there are escapes in it. */
static int check_string(struct gate *g, struct str *raw, bool *escaped) {
	size_t start = ++g->at;
	*escaped = false;
	for (;;) {
		g->at += json_scan_text(g->text + g->at, g->length - g->at);
		int c = peek(g);
		if (c == '"') {
			*raw = (struct str){(const char *)g->text + start, g->at - start};
			g->at++;
			return 0;
		}
		if (c != '\\') {
			return refuse(g, c < 0x20 ? "control character in a string" : "invalid UTF-8");
		}
		*escaped = true;
		if (check_escape(g) != 0) {
			return -1;
		}
	}
}

/* One digit or more. */
static int check_digits(struct gate *g) {
	if (!is_digit(peek(g))) {
		return refuse(g, "malformed number");
	}
	while (is_digit(peek(g))) {
		g->at++;
	}
	return 0;
}

/* Whether a well-formed number with an exponent fits a double. Rewritten without its point, "1.25e3" as "125e1",
 * because strtod takes the point of the locale. */
static bool fits_double(const unsigned char *number, size_t length) {
	char digits[NUMBER_MAX + 32];
	size_t count = 0;
	long fraction = 0;
	size_t i = 0;
	bool behind_point = false;
	for (; (number[i] | 0x20) != 'e'; i++) {
		if (number[i] == '.') {
			behind_point = true;
		} else {
			digits[count++] = (char)number[i];
			fraction += behind_point;
		}
	}
	bool negative = number[++i] == '-';
	if (!is_digit(number[i])) {
		i++;
	}
	long exponent = 0;
	for (; i < length; i++) {
		/* Far beyond any double already; more digits don't matter. */
		exponent = exponent < 100000 ? exponent * 10 + (number[i] - '0') : exponent;
	}
	snprintf(digits + count, sizeof digits - count, "e%ld", (negative ? -exponent : exponent) - fraction);
	return !isinf(strtod(digits, NULL));
}

static int check_number(struct gate *g) {
	size_t start = g->at;
	if (peek(g) == '-') {
		g->at++;
	}
	if (peek(g) == '0') {
		g->at++;
	} else if (check_digits(g) != 0) {
		return -1;
	}
	if (peek(g) == '.') {
		g->at++;
		if (check_digits(g) != 0) {
			return -1;
		}
	}
	bool exponent = peek(g) == 'e' || peek(g) == 'E';
	if (exponent) {
		g->at++;
		if (peek(g) == '+' || peek(g) == '-') {
			g->at++;
		}
		if (check_digits(g) != 0) {
			return -1;
		}
	}
	int behind = peek(g);
	if (is_digit(behind) || is_letter(behind) || behind == '.' || behind == '+' || behind == '-') {
		return refuse(g, "malformed number");
	}
	if (g->at - start > NUMBER_MAX) {
		return refuse_at(g, start, "number of more than 63 characters");
	}
	/* 63 digits without an exponent always fit. */
	if (exponent && !fits_double(g->text + start, g->at - start)) {
		return refuse_at(g, start, "number too large");
	}
	return 0;
}

static int check_literal(struct gate *g) {
	static const char *const literals[] = {"true", "false", "null"};
	const char *literal = NULL;
	for (size_t i = 0; i < sizeof literals / sizeof literals[0]; i++) {
		if (peek(g) == literals[i][0]) {
			literal = literals[i];
		}
	}
	if (!literal) {
		return refuse(g, "no value");
	}
	for (; *literal; literal++, g->at++) {
		if (peek(g) != *literal) {
			return refuse(g, "unknown literal");
		}
	}
	return is_letter(peek(g)) || is_digit(peek(g)) ? refuse(g, "unknown literal") : 0;
}

static int open_container(struct gate *g, bool object) {
	if (g->depth == JSON_MAX_DEPTH) {
		return refuse_at(g, g->at, "nested too deep");
	}
	g->open[g->depth++] = object ? ++g->objects : 0;
	g->at++;
	g->expect = object ? EXPECT_FIRST_KEY : EXPECT_FIRST_ELEMENT;
	return 0;
}

static void close_container(struct gate *g) {
	g->depth--;
	g->at++;
	g->expect = EXPECT_AFTER_VALUE;
}

static int check_value(struct gate *g) {
	if (count_token(g) != 0) {
		return -1;
	}
	int c = peek(g);
	if (c == '{' || c == '[') {
		return open_container(g, c == '{');
	}
	g->expect = EXPECT_AFTER_VALUE;
	if (c == '"') {
		struct str raw;
		bool escaped;
		return check_string(g, &raw, &escaped);
	}
	return c == '-' || is_digit(c) ? check_number(g) : check_literal(g);
}

/* A key and its colon. */
static int check_key(struct gate *g) {
	size_t start = g->at;
	if (peek(g) != '"') {
		return refuse(g, "no key");
	}
	if (count_token(g) != 0) {
		return -1;
	}
	struct str raw = STR_NONE;
	bool escaped = false;
	if (check_string(g, &raw, &escaped) != 0) {
		return -1;
	}
	switch (json_keys_add(&g->keys, g->open[g->depth - 1], raw, escaped)) {
	case JSON_KEYS_ADDED:
		break;
	case JSON_KEYS_DUPLICATE:
		return refuse_at(g, start, "duplicate key");
	case JSON_KEYS_NO_MEMORY:
		return err_set(g->err, ERR_MEMORY, "out of memory while checking JSON");
	}
	skip_space(g);
	if (peek(g) != ':') {
		return refuse(g, "no ':' behind the key");
	}
	g->at++;
	g->expect = EXPECT_VALUE;
	return 0;
}

static int check_after_value(struct gate *g) {
	int c = peek(g);
	if (g->depth == 0) {
		g->expect = EXPECT_NOTHING;
		return c < 0 ? 0 : refuse(g, "something behind the value");
	}
	bool object = g->open[g->depth - 1] != 0;
	if (c == ',') {
		g->at++;
		g->expect = object ? EXPECT_KEY : EXPECT_VALUE;
		return 0;
	}
	if (c == (object ? '}' : ']')) {
		close_container(g);
		return 0;
	}
	return refuse(g, object ? "no ',' or '}'" : "no ',' or ']'");
}

static int check_next(struct gate *g) {
	skip_space(g);
	switch (g->expect) {
	case EXPECT_FIRST_ELEMENT:
		if (peek(g) == ']') {
			close_container(g);
			return 0;
		}
		return check_value(g);
	case EXPECT_FIRST_KEY:
		if (peek(g) == '}') {
			close_container(g);
			return 0;
		}
		return check_key(g);
	case EXPECT_VALUE:
		return check_value(g);
	case EXPECT_KEY:
		return check_key(g);
	case EXPECT_AFTER_VALUE:
		return check_after_value(g);
	case EXPECT_NOTHING:
		break;
	}
	return 0;
}

int json_gate(struct str text, size_t max_tokens, struct err *err) {
	/* Lengths of keys are kept in 32 bits, and cJSON counts in int here and there. */
	if (text.length > INT_MAX) {
		return err_set(err, ERR_INVALID, "more than %d bytes", INT_MAX);
	}
	struct gate g = {
		.text = (const unsigned char *)text.data, .length = text.length, .max_tokens = max_tokens, .err = err};
	json_keys_init(&g.keys, text.data);
	int rc = 0;
	while (rc == 0 && g.expect != EXPECT_NOTHING) {
		rc = check_next(&g);
	}
	json_keys_free(&g.keys);
	return rc;
}

int json_check(struct str text, struct err *err) {
	return json_gate(text, JSON_MAX_TOKENS, err);
}
