#include "value.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define QUOTED_MAX 80 /* of a wrong value, in a complaint */
#define NUMBER_SIZE 24

struct unit {
	const char *name;
	int64_t factor;
};

/* Largest first, so that a number is shown in the largest unit that fits. */
static const struct unit time_units[] = {
	{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0},
};
static const struct unit size_units[] = {
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {NULL, 0},
};

/* Complaints show what was written, but not without end. */
static int refuse(struct str text, struct err *err, const char *wanted) {
	size_t shown = str_utf8_prefix(text, QUOTED_MAX);
	return err_set(err, ERR_INVALID, "'%.*s%s' is not %s", (int)shown, text.data ? text.data : "",
		       shown < text.length ? "…" : "", wanted);
}

static const char *show(char out[static NUMBER_SIZE], int64_t value, const struct unit *units) {
	const struct unit *unit = units;
	while (unit[1].name && (value < unit->factor || value % unit->factor != 0)) {
		unit++;
	}
	snprintf(out, NUMBER_SIZE, "%" PRId64 "%s", value / unit->factor, unit->name);
	return out;
}

static int refuse_measure(struct str text, const struct config_row *row, const struct unit *units, const char *what,
			  struct err *err) {
	char min[NUMBER_SIZE];
	char max[NUMBER_SIZE];
	char wanted[160];
	snprintf(wanted, sizeof wanted, "a %s from %s to %s", what, show(min, row->min, units),
		 show(max, row->max, units));
	return refuse(text, err, wanted);
}

/* A whole number and, right behind it or after spaces, a unit. */
static int parse_measure(struct str text, const struct unit *units, int64_t *out) {
	size_t digits = 0;
	while (digits < text.length && isdigit((unsigned char)text.data[digits])) {
		digits++;
	}
	uint64_t number;
	if (str_to_u64((struct str){text.data, digits}, &number) || number > INT64_MAX) {
		return -1;
	}
	struct str name = str_trim(str_skip(text, digits));
	for (const struct unit *unit = units; unit->name; unit++) {
		if (str_is(name, unit->name)) {
			return __builtin_mul_overflow((int64_t)number, unit->factor, out) ? -1 : 0;
		}
	}
	if (name.length == 0 && number == 0) {
		*out = 0;
		return 0;
	}
	return -1;
}

static int set_time(void *to, const struct config_row *row, struct str text, struct err *err) {
	int64_t value;
	if (parse_measure(text, time_units, &value) || value < row->min || value > row->max) {
		return refuse_measure(text, row, time_units, "time with its unit (ms, s, m, h, d)", err);
	}
	*(int64_t *)to = value;
	return 0;
}

static int set_size(void *to, const struct config_row *row, struct str text, struct err *err) {
	int64_t value;
	if (parse_measure(text, size_units, &value) || value < row->min || value > row->max) {
		return refuse_measure(text, row, size_units, "size with its unit (B, KiB, MiB, GiB)", err);
	}
	*(uint64_t *)to = (uint64_t)value;
	return 0;
}

static int set_count(void *to, const struct config_row *row, struct str text, struct err *err) {
	int64_t value;
	if (str_to_i64(text, &value) || value < row->min || value > row->max) {
		char wanted[96];
		snprintf(wanted, sizeof wanted, "a whole number from %" PRId64 " to %" PRId64, row->min, row->max);
		return refuse(text, err, wanted);
	}
	*(uint32_t *)to = (uint32_t)value;
	return 0;
}

static int replace_text(void *to, char *text, struct err *err) {
	if (!text) {
		return err_set(err, ERR_MEMORY, "out of memory");
	}
	char **slot = to;
	mem_free(*slot);
	*slot = text;
	return 0;
}

static int set_text(void *to, const struct config_row *row, struct str text, struct err *err) {
	if ((int64_t)text.length < row->min) {
		return err_set(err, ERR_INVALID, "must not be empty");
	}
	if ((int64_t)text.length > row->max) {
		return err_set(err, ERR_INVALID, "is longer than %" PRId64 " bytes", row->max);
	}
	if (!str_is_utf8(text)) {
		return err_set(err, ERR_INVALID, "is not UTF-8");
	}
	for (size_t i = 0; i < text.length; i++) {
		if (iscntrl((unsigned char)text.data[i])) {
			return err_set(err, ERR_INVALID, "holds a control character");
		}
	}
	return replace_text(to, mem_memdup_str(text.data ? text.data : "", text.length), err);
}

static int set_address(void *to, const struct config_row *row, struct str text, struct err *err) {
	char *copy = mem_memdup_str(text.data ? text.data : "", text.length);
	char host[CONFIG_HOST_SIZE];
	uint16_t port;
	int result = !copy ? err_set(err, ERR_MEMORY, "out of memory") : config_address_split(copy, host, &port, err);
	mem_free(copy);
	return result ? -1 : set_text(to, row, text, err);
}

/* The part behind "http://" or "https://"; -1 when there is none. */
static int skip_scheme(struct str text, struct str *rest) {
	if (str_starts(text, "http://")) {
		*rest = str_skip(text, strlen("http://"));
		return 0;
	}
	if (str_starts(text, "https://")) {
		*rest = str_skip(text, strlen("https://"));
		return 0;
	}
	return -1;
}

static bool holds_any(struct str text, const char *characters) {
	for (size_t i = 0; i < text.length; i++) {
		unsigned char c = (unsigned char)text.data[i];
		if (c <= ' ' || c > '~' || strchr(characters, c)) {
			return true;
		}
	}
	return false;
}

static int set_url(void *to, const struct config_row *row, struct str text, struct err *err) {
	struct str rest;
	while (text.length && text.data[text.length - 1] == '/') {
		text.length--;
	}
	if (text.length == 0) {
		return set_text(to, row, text, err);
	}
	if (skip_scheme(text, &rest) || rest.length == 0 || rest.data[0] == '/') {
		return refuse(text, err, "an address such as http://127.0.0.1:8081/v1 or https://host.example/v1");
	}
	struct str path = rest;
	struct str authority = str_cut(&path, '/');
	size_t at;
	if (!str_find_char(authority, '@', &at)) {
		/* Not quoted: what stands before the @ may be a password. */
		return err_set(err, ERR_INVALID, "an address must not hold a user name or password");
	}
	if (holds_any(rest, "?#\"<>\\^`{|}")) {
		return refuse(text, err, "an address without spaces, '?' and '#'");
	}
	return set_text(to, row, text, err);
}

/* RFC 6454 section 6.2: scheme, host and, unless it is the scheme's own, the port; as browsers send it. */
static int check_origin(struct str origin, struct err *err) {
	struct str rest;
	if (skip_scheme(origin, &rest) || rest.length == 0 || holds_any(rest, "/?#@\"<>\\^`{|},;")) {
		return refuse(origin, err,
			      "an origin such as https://chat.example or http://localhost:3000, without a path");
	}
	struct str tail = rest;
	struct str port = STR_NONE;
	size_t colon;
	while (!str_find_char(tail, ':', &colon)) {
		tail = str_skip(tail, colon + 1);
		port = tail;
	}
	if (str_is(port, str_starts(origin, "https") ? "443" : "80")) {
		return refuse(origin, err, "what browsers send: they leave out the port that is the scheme's own");
	}
	return 0;
}

static int set_origins(void *to, const struct config_row *row, struct str text, struct err *err) {
	struct buf list = BUF_INIT;
	int count = 0;
	struct str rest = text;
	while (rest.length) {
		struct str origin = str_trim(str_cut(&rest, ' '));
		if (origin.length == 0) {
			continue;
		}
		if (check_origin(origin, err)) {
			buf_free(&list);
			return -1;
		}
		if (++count > CONFIG_MAX_ORIGINS) {
			buf_free(&list);
			return err_set(err, ERR_INVALID, "more than %d origins", CONFIG_MAX_ORIGINS);
		}
		buf_append_text(&list, list.length ? " " : "");
		for (size_t i = 0; i < origin.length; i++) {
			buf_append_char(&list, (char)tolower((unsigned char)origin.data[i]));
		}
	}
	int result = list.failed ? err_set(err, ERR_MEMORY, "out of memory") : set_text(to, row, buf_str(&list), err);
	buf_free(&list);
	return result;
}

static int set_level(void *to, const struct config_row *row, struct str text, struct err *err) {
	(void)row;
	return log_level_parse(text, to) ? refuse(text, err, "one of error, warn, info, debug") : 0;
}

static int set_format(void *to, const struct config_row *row, struct str text, struct err *err) {
	(void)row;
	return log_format_parse(text, to) ? refuse(text, err, "one of text, json, journal") : 0;
}

static int set_yes_no(void *to, const struct config_row *row, struct str text, struct err *err) {
	(void)row;
	bool yes = str_is(text, "yes");
	if (!yes && !str_is(text, "no")) {
		return refuse(text, err, "yes or no");
	}
	*(bool *)to = yes;
	return 0;
}

/* Digits, and more behind a point: no sign, no exponent. */
static bool is_decimal(struct str text) {
	bool pointed = false;
	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] == '.' && !pointed && i > 0 && i + 1 < text.length) {
			pointed = true;
		} else if (!isdigit((unsigned char)text.data[i])) {
			return false;
		}
	}
	return text.length > 0;
}

static int set_price(void *to, const struct config_row *row, struct str text, struct err *err) {
	char digits[NUMBER_SIZE];
	if (text.length == 0) {
		*(double *)to = -1;
		return 0;
	}
	double price = is_decimal(text) && str_copy(digits, sizeof digits, text) == 0 ? strtod(digits, NULL) : -1;
	if (price < 0 || price > (double)row->max) {
		char wanted[96];
		snprintf(wanted, sizeof wanted, "a price per million tokens from 0 to %" PRId64 ", such as 2 or 0.15",
			 row->max);
		return refuse(text, err, wanted);
	}
	*(double *)to = price;
	return 0;
}

/* The next name of a list, off its front; empty when there is none. */
static struct str next_name(struct str *rest) {
	size_t start = 0;
	while (start < rest->length && strchr(" ,\t", rest->data[start])) {
		start++;
	}
	*rest = str_skip(*rest, start);
	size_t length = 0;
	while (length < rest->length && !strchr(" ,\t", rest->data[length])) {
		length++;
	}
	struct str name = {rest->data, length};
	*rest = str_skip(*rest, length);
	return name;
}

static bool holds_name(struct str list, struct str name) {
	while (list.length) {
		if (str_equal(next_name(&list), name)) {
			return true;
		}
	}
	return false;
}

static int set_models(void *to, const struct config_row *row, struct str text, struct err *err) {
	struct buf list = BUF_INIT;
	size_t count = 0;
	int result = 0;
	struct str name;
	while (!result && (name = next_name(&text)).length) {
		if (name.length > CONFIG_MODEL_SIZE - 1) {
			result = refuse(name, err, "the name of a model: it is too long");
		} else if (holds_name(buf_str(&list), name)) {
			result = err_set(err, ERR_INVALID, "'%.*s' is named twice", STR_ARG(name));
		} else if (++count > CONFIG_MAX_MODELS) {
			result = err_set(err, ERR_INVALID, "more than %d models", CONFIG_MAX_MODELS);
		} else {
			buf_append_text(&list, list.length ? " " : "");
			buf_append_str(&list, name);
		}
	}
	if (!result) {
		result = list.failed ? err_set(err, ERR_MEMORY, "out of memory")
				     : set_text(to, row, buf_str(&list), err);
	}
	buf_free(&list);
	return result;
}

static int set_think(void *to, const struct config_row *row, struct str text, struct err *err) {
	static const char *const names[] = {
		[CONFIG_THINK_OFF] = "off", [CONFIG_THINK_TAGS] = "tags", [CONFIG_THINK_OPEN] = "open"};
	(void)row;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (str_is(text, names[i])) {
			*(enum config_think *)to = (enum config_think)i;
			return 0;
		}
	}
	return refuse(text, err, "one of off, tags, open");
}

typedef int set_fn(void *to, const struct config_row *row, struct str text, struct err *err);

/* `size` of what is not owned; 0: an owned text. */
static const struct {
	set_fn *set;
	size_t size;
	bool list;
} types[] = {
	[CONFIG_TEXT] = {set_text, 0, false},
	[CONFIG_ADDRESS] = {set_address, 0, false},
	[CONFIG_URL] = {set_url, 0, false},
	[CONFIG_ORIGINS] = {set_origins, 0, true},
	[CONFIG_COUNT] = {set_count, sizeof(uint32_t), false},
	[CONFIG_SIZE] = {set_size, sizeof(uint64_t), false},
	[CONFIG_TIME] = {set_time, sizeof(int64_t), false},
	[CONFIG_LEVEL] = {set_level, sizeof(enum log_level), false},
	[CONFIG_FORMAT] = {set_format, sizeof(enum log_format), false},
	[CONFIG_YES_NO] = {set_yes_no, sizeof(bool), false},
	[CONFIG_PRICE] = {set_price, sizeof(double), false},
	[CONFIG_MODELS] = {set_models, 0, true},
	[CONFIG_THINK] = {set_think, sizeof(enum config_think), false},
};

int config_value_set(void *to, const struct config_row *row, struct str text, struct err *err) {
	return types[row->type].set(to, row, text, err);
}

bool config_value_is_list(const struct config_row *row) {
	return types[row->type].list;
}

int config_value_add(void *to, const struct config_row *row, struct str text, struct err *err) {
	struct buf all = BUF_INIT;
	buf_append_text(&all, *(char **)to);
	buf_append_char(&all, ' ');
	buf_append_str(&all, text);
	int result =
		all.failed ? err_set(err, ERR_MEMORY, "out of memory") : config_value_set(to, row, buf_str(&all), err);
	buf_free(&all);
	return result;
}

void config_value_copy(void *to, const void *from, const struct config_row *row) {
	memcpy(to, from, types[row->type].size);
}

void config_value_clear(void *to, const struct config_row *row) {
	if (types[row->type].size == 0) {
		mem_free(*(char **)to);
		*(char **)to = NULL;
	}
}
