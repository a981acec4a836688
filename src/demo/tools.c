#include "tools.h"

#include <ctype.h>
#include <string.h>

#include "sums.h"
#include "text.h"

#define FIT_MIN 2 /* a word of the name, or two of the description */

static bool is_common(struct str word) {
	static const char *const common[] = {"the",  "and",     "for",   "get",  "set",      "what",  "which",  "how",
					     "who",  "are",     "can",   "you",  "your",     "this",  "that",   "with",
					     "from", "current", "given", "tool", "function", "user",  "please", "tell",
					     "give", "show",    "its",   "has",  "was",      "there", "about",  "will",
					     "does", "any",     "all",   "use",  "not",      "now",   NULL};
	for (const char *const *entry = common; *entry; entry++) {
		if (str_equal_nocase(word, str_of(*entry))) {
			return true;
		}
	}
	return word.length < 3;
}

static struct str without_s(struct str word) {
	if (word.length > 3 && tolower((unsigned char)word.data[word.length - 1]) == 's') {
		word.length--;
	}
	return word;
}

/* get_weather, get-weather and getWeather as "get weather". */
static void append_name_words(struct str name, struct buf *out) {
	for (size_t i = 0; i < name.length; i++) {
		char c = name.data[i];
		if (isupper((unsigned char)c) && i > 0 && islower((unsigned char)name.data[i - 1])) {
			buf_append_char(out, ' ');
		}
		buf_append_char(out, isalnum((unsigned char)c) ? c : ' ');
	}
}

static bool has_word(struct str text, struct str wanted) {
	struct str word;
	while (text_word(&text, &word)) {
		if (str_equal_nocase(without_s(word), without_s(wanted))) {
			return true;
		}
	}
	return false;
}

static int fit(const struct json *function, struct str question) {
	struct buf name = BUF_INIT;
	append_name_words(json_str(json_get(function, "name")), &name);
	struct str description = json_str(json_get(function, "description"));
	struct str word;
	int score = 0;
	while (text_word(&question, &word)) {
		if (!is_common(word)) {
			score += has_word(buf_str(&name), word) ? FIT_MIN : has_word(description, word) ? 1 : 0;
		}
	}
	buf_free(&name);
	return score;
}

static const struct json *named(const struct json *tools, struct str name) {
	for (const struct json *tool = json_first(tools); tool; tool = json_next(tool)) {
		const struct json *function = json_get(tool, "function");
		if (str_equal(json_str(json_get(function, "name")), name)) {
			return function;
		}
	}
	return NULL;
}

/* The function that fits the question best, if it fits at least this well. */
static const struct json *best(const struct json *tools, struct str question, int least) {
	const struct json *found = NULL;
	for (const struct json *tool = json_first(tools); tool; tool = json_next(tool)) {
		const struct json *function = json_get(tool, "function");
		int score = fit(function, question);
		if (function && score >= least) {
			found = function;
			least = score + 1;
		}
	}
	return found;
}

static int check_list(const struct json *tools, struct err *err) {
	if (tools && json_type(tools) != JSON_ARRAY && json_type(tools) != JSON_NULL) {
		return err_set(err, ERR_INVALID, "tools must be a list");
	}
	for (const struct json *tool = json_first(tools); tool; tool = json_next(tool)) {
		if (json_str(json_get(json_get(tool, "function"), "name")).length == 0) {
			return err_set(err, ERR_INVALID, "each of tools needs a function with a name");
		}
	}
	return 0;
}

int tools_choose(const struct tool_question *question, const struct json **function, struct err *err) {
	if (check_list(question->tools, err) != 0) {
		return -1;
	}
	struct str choice = json_str(question->choice);
	if (!question->choice || json_type(question->choice) == JSON_NULL || str_is(choice, "auto")) {
		*function = question->answered ? NULL : best(question->tools, question->text, FIT_MIN);
		return 0;
	}
	if (str_is(choice, "none")) {
		*function = NULL;
		return 0;
	}
	if (str_is(choice, "required")) {
		*function = best(question->tools, question->text, 0);
		return *function ? 0 : err_set(err, ERR_INVALID, "tool_choice is required, but there are no tools");
	}
	struct str name = json_str(json_get(json_get(question->choice, "function"), "name"));
	if (name.length == 0) {
		return err_set(err, ERR_INVALID, "tool_choice must be none, auto, required or a named function");
	}
	const struct json *found = named(question->tools, name);
	if (!found) {
		return err_set(err, ERR_INVALID, "tool_choice names a function that tools does not have");
	}
	*function = found;
	return 0;
}

/* One word, or several that start with a capital: "Oslo", "New York". */
static struct str proper_noun(struct str text) {
	struct str first;
	struct str rest = text;
	if (!text_word(&rest, &first)) {
		return STR_NONE;
	}
	const char *end = first.data + first.length;
	struct str word;
	while (isupper((unsigned char)first.data[0]) && text_word(&rest, &word) && word.data == end + 1 &&
	       *end == ' ' && isupper((unsigned char)word.data[0])) {
		end = word.data + word.length;
	}
	return (struct str){first.data, (size_t)(end - first.data)};
}

static struct str guess_place(struct str question) {
	static const char *const before[] = {"in", "at", "near", "for", "to", "from", "of", NULL};
	for (const char *const *word = before; *word; word++) {
		const char *const one[] = {*word, NULL};
		struct str rest;
		if (text_after(question, one, &rest) == 0 && proper_noun(rest).length > 0) {
			return proper_noun(rest);
		}
	}
	return STR_NONE;
}

/* The first proper noun that is not merely the start of the sentence. */
static struct str guess_name(struct str question) {
	struct str word;
	struct str rest = question;
	bool first = true;
	while (text_word(&rest, &word)) {
		if (!first && isupper((unsigned char)word.data[0])) {
			return proper_noun(
				(struct str){word.data, question.length - (size_t)(word.data - question.data)});
		}
		first = false;
	}
	return STR_NONE;
}

static struct str guess_sum(struct str question) {
	double value;
	struct str shown;
	return sum_find(question, &value, &shown) == SUM_NONE ? STR_NONE : shown;
}

static struct str guess_day(struct str question) {
	return text_has(question, "tomorrow")    ? STR("tomorrow")
	       : text_has(question, "yesterday") ? STR("yesterday")
						 : STR("today");
}

/* What a parameter's name says about its value. */
static const struct guess {
	const char *name;
	struct str (*from)(struct str question);
} guesses[] = {
	{"city", guess_place},    {"location", guess_place}, {"place", guess_place}, {"town", guess_place},
	{"country", guess_place}, {"address", guess_place},  {"where", guess_place}, {"name", guess_name},
	{"person", guess_name},   {"expression", guess_sum}, {"formula", guess_sum}, {"equation", guess_sum},
	{"date", guess_day},      {"day", guess_day},        {"when", guess_day},
};

static struct str guess_text(struct str parameter, struct str question) {
	struct str quoted = text_quoted(question);
	if (quoted.length > 0) {
		return quoted;
	}
	struct buf words = BUF_INIT;
	append_name_words(parameter, &words);
	struct str value = STR_NONE;
	for (size_t i = 0; i < sizeof guesses / sizeof guesses[0] && value.length == 0; i++) {
		if (has_word(buf_str(&words), str_of(guesses[i].name))) {
			value = guesses[i].from(question);
		}
	}
	buf_free(&words);
	return value.length > 0 ? value : text_trim(question);
}

/* The value of an enumeration that the question names, or NULL. */
static const struct json *named_value(const struct json *schema, struct str question) {
	for (const struct json *value = json_first(json_get(schema, "enum")); value; value = json_next(value)) {
		if (json_type(value) == JSON_STRING && has_word(question, json_str(value))) {
			return value;
		}
	}
	return NULL;
}

static struct str type_of(const struct json *schema) {
	const struct json *type = json_get(schema, "type");
	return json_type(type) == JSON_ARRAY ? json_str(json_first(type)) : json_str(type);
}

static void append_number(const struct json *schema, struct str *numbers, struct json_writer *w) {
	long number;
	const struct json *least = json_get(schema, "minimum");
	if (text_number(numbers, &number) == 0) {
		jw_int(w, number);
	} else if (json_type(least) == JSON_NUMBER) {
		jw_double(w, json_number(least));
	} else {
		jw_int(w, 0);
	}
}

/* `numbers`: what is left of the question for the next number. */
static void append_value(const struct json *member, struct str question, struct str *numbers, struct json_writer *w) {
	struct str type = type_of(member);
	const struct json *fixed = json_get(member, "const");
	const struct json *choices = json_get(member, "enum");
	const struct json *chosen = named_value(member, question);
	struct buf raw = BUF_INIT;
	if (fixed || json_first(choices)) {
		json_print(fixed ? fixed : chosen ? chosen : json_first(choices), &raw);
		jw_raw(w, buf_str(&raw));
	} else if (str_is(type, "integer") || str_is(type, "number")) {
		append_number(member, numbers, w);
	} else if (str_is(type, "boolean")) {
		jw_bool(w, true);
	} else if (str_is(type, "array")) {
		jw_raw(w, STR("[]"));
	} else if (str_is(type, "object")) {
		jw_raw(w, STR("{}"));
	} else if (str_is(type, "null")) {
		jw_null(w);
	} else {
		jw_str(w, guess_text(json_key(member), question));
	}
	buf_free(&raw);
}

static bool is_required(const struct json *schema, struct str name) {
	for (const struct json *entry = json_first(json_get(schema, "required")); entry; entry = json_next(entry)) {
		if (str_equal(json_str(entry), name)) {
			return true;
		}
	}
	return false;
}

void tools_arguments(const struct json *function, struct str question, struct buf *out) {
	const struct json *schema = json_get(function, "parameters");
	struct json_writer w = json_writer(out);
	struct str numbers = question;
	jw_object(&w);
	for (const struct json *member = json_first(json_get(schema, "properties")); member;
	     member = json_next(member)) {
		if (is_required(schema, json_key(member)) || named_value(member, question)) {
			jw_key_str(&w, json_key(member));
			append_value(member, question, &numbers, &w);
		}
	}
	jw_object_end(&w);
}
