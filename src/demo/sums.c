#include "sums.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define DEPTH_MAX 16
#define LARGEST 1e12

struct parser {
	struct str rest;
	int depth;
	int operators;
	bool by_zero;
};

struct operator{
	const char *text;
	char sign;
};

static const struct operator sums[] = {{"+", '+'},    {"-", '-'},     {"\xE2\x88\x92", '-'},
				       {"plus", '+'}, {"minus", '-'}, {NULL, 0}};
static const struct operator products[] = {
	{"*", '*'},    {"/", '/'},     {"\xC3\x97", '*'},      {"\xC3\xB7", '/'},
	{"x", '*'},    {"times", '*'}, {"multiplied by", '*'}, {"divided by", '/'},
	{"over", '/'}, {NULL, 0},
};

static int parse_sum(struct parser *p, double *value);

static void skip_spaces(struct parser *p) {
	while (p->rest.length > 0 && isspace((unsigned char)p->rest.data[0])) {
		p->rest = str_skip(p->rest, 1);
	}
}

/* Takes the next operator of the table, or gives 0 and takes nothing. */
static char take_operator(struct parser *p, const struct operator* table) {
	skip_spaces(p);
	for (; table->text; table++) {
		size_t length = strlen(table->text);
		size_t start = 0;
		size_t end = length;
		bool word = isalpha((unsigned char)table->text[0]);
		bool found = word ? text_find(p->rest, table->text, &start, &end) == 0 && start == 0
				  : str_starts(p->rest, table->text);
		if (found) {
			p->rest = str_skip(p->rest, end);
			return table->sign;
		}
	}
	return 0;
}

static int parse_number(struct parser *p, double *value) {
	char digits[32];
	size_t length = 0;
	while (length < p->rest.length && length < sizeof digits - 1) {
		char c = p->rest.data[length];
		bool point =
			c == '.' && length + 1 < p->rest.length && isdigit((unsigned char)p->rest.data[length + 1]);
		if (!isdigit((unsigned char)c) && !point) {
			break;
		}
		digits[length++] = c;
	}
	digits[length] = '\0';
	char *end;
	*value = strtod(digits, &end);
	bool whole = length == p->rest.length || !isalpha((unsigned char)p->rest.data[length]);
	if (length == 0 || *end || !whole) {
		return -1;
	}
	p->rest = str_skip(p->rest, length);
	return 0;
}

static int parse_factor(struct parser *p, double *value) {
	skip_spaces(p);
	if (p->rest.length == 0 || p->depth == DEPTH_MAX) {
		return -1;
	}
	int result = -1;
	p->depth++;
	switch (p->rest.data[0]) {
	case '-':
		p->rest = str_skip(p->rest, 1);
		result = parse_factor(p, value);
		*value = -*value;
		break;
	case '(':
		p->rest = str_skip(p->rest, 1);
		if (parse_sum(p, value) == 0) {
			skip_spaces(p);
			if (p->rest.length > 0 && p->rest.data[0] == ')') {
				p->rest = str_skip(p->rest, 1);
				result = 0;
			}
		}
		break;
	default:
		result = parse_number(p, value);
	}
	p->depth--;
	return result;
}

static int parse_product(struct parser *p, double *value) {
	if (parse_factor(p, value) != 0) {
		return -1;
	}
	for (;;) {
		struct parser before = *p;
		double right = 0;
		char sign = take_operator(p, products);
		if (!sign || parse_factor(p, &right) != 0) {
			*p = before;
			return 0;
		}
		p->operators++;
		if (sign == '/' && right == 0) {
			p->by_zero = true;
		}
		*value = sign == '*' ? *value * right : (right == 0 ? 0 : *value / right);
	}
}

static int parse_sum(struct parser *p, double *value) {
	if (parse_product(p, value) != 0) {
		return -1;
	}
	for (;;) {
		struct parser before = *p;
		double right = 0;
		char sign = take_operator(p, sums);
		if (!sign || parse_product(p, &right) != 0) {
			*p = before;
			return 0;
		}
		p->operators++;
		*value = sign == '+' ? *value + right : *value - right;
	}
}

enum sum_outcome sum_find(struct str text, double *value, struct str *shown) {
	for (size_t at = 0; at < text.length; at++) {
		unsigned char c = (unsigned char)text.data[at];
		unsigned char before = at > 0 ? (unsigned char)text.data[at - 1] : ' ';
		if ((!isdigit(c) && c != '(' && c != '-') || isalnum(before) || before == '.') {
			continue;
		}
		struct parser p = {.rest = str_skip(text, at)};
		double result = 0;
		if (parse_sum(&p, &result) != 0 || p.operators == 0) {
			continue;
		}
		*shown = (struct str){text.data + at, text.length - at - p.rest.length};
		if (p.by_zero) {
			return SUM_BY_ZERO;
		}
		if (!(fabs(result) <= LARGEST)) {
			return SUM_TOO_LARGE;
		}
		*value = result;
		return SUM_DONE;
	}
	return SUM_NONE;
}
