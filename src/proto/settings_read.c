/* One row a setting: how its field is read, from a request or from the store. */
#include <stddef.h>

#include "base/mem.h"
#include "settings_parts.h"
#include "tool_parts.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define METADATA_PAIRS 16
#define METADATA_KEY_MAX 64
#define METADATA_VALUE_MAX 512
#define MIN_OUTPUT_TOKENS 16
#define MAX_LOGPROBS 20
#define LABEL_MAX 64

#define AT(member) offsetof(struct request_settings, member)

const struct number_row settings_numbers[NUMBER_ROWS] = {
	{"temperature", 0, 2, "a number from 0 to 2", AT(temperature), AT(has_temperature), 1},
	{"top_p", 0, 1, "a number from 0 to 1", AT(top_p), AT(has_top_p), 1},
	{"presence_penalty", -2, 2, "a number from -2 to 2", AT(presence_penalty), AT(has_presence_penalty), 0},
	{"frequency_penalty", -2, 2, "a number from -2 to 2", AT(frequency_penalty), AT(has_frequency_penalty), 0},
};

const struct integer_row settings_integers[INTEGER_ROWS] = {
	{"max_output_tokens", MIN_OUTPUT_TOKENS, JSON_INTEGER_MAX, "an integer of 16 or more", AT(max_output_tokens),
	 AT(has_max_output_tokens), "null"},
	{"max_tool_calls", 1, JSON_INTEGER_MAX, "an integer of 1 or more", AT(max_tool_calls), AT(has_max_tool_calls),
	 "null"},
	{"top_logprobs", 0, MAX_LOGPROBS, "an integer from 0 to 20", AT(top_logprobs), AT(has_top_logprobs), "0"},
};

const struct label_row settings_labels[LABEL_ROWS] = {
	{"safety_identifier", AT(safety_identifier)},
	{"prompt_cache_key", AT(prompt_cache_key)},
};

static int read_number(const struct field *field, const struct number_row *row, struct request_settings *settings) {
	if (json_type(field->value) != JSON_NUMBER) {
		return field_wrong_type(field, row->wanted);
	}
	double value = json_number(field->value);
	if (!(value >= row->least && value <= row->most)) {
		return field_wrong_value(field, row->wanted);
	}
	*(double *)(void *)((char *)settings + row->value) = value;
	*(bool *)((char *)settings + row->has) = true;
	return 0;
}

static int read_integer(const struct field *field, const struct integer_row *row, struct request_settings *settings) {
	int64_t value;
	if (json_type(field->value) != JSON_NUMBER) {
		return field_wrong_type(field, row->wanted);
	}
	if (json_integer(field->value, &value) != 0 || value < row->least || value > row->most) {
		return field_wrong_value(field, row->wanted);
	}
	*(int64_t *)((char *)settings + row->value) = value;
	*(bool *)((char *)settings + row->has) = true;
	return 0;
}

static int read_label(const struct field *field, const struct label_row *row, struct request_settings *settings) {
	struct str text;
	if (field_bounded(field, LABEL_MAX, &text) != 0) {
		return -1;
	}
	return str_copy((char *)settings + row->value, REQUEST_LABEL_SIZE, text);
}

static int read_model(const struct field *field, struct request_settings *settings) {
	struct str model;
	if (field_string(field, &model) != 0) {
		return -1;
	}
	if (model.length == 0 || str_copy(settings->model, sizeof settings->model, model) != 0) {
		return field_wrong_value(field, "the name of a model, at most 127 bytes, or left out for the default");
	}
	return 0;
}

static int read_instructions(const struct field *field, struct request_settings *settings) {
	return field_copy_string(field, &settings->instructions);
}

static int read_store(const struct field *field, struct request_settings *settings) {
	return field_bool(field, &settings->store);
}

static int read_background(const struct field *field, struct request_settings *settings) {
	return field_bool(field, &settings->background);
}

static int read_parallel(const struct field *field, struct request_settings *settings) {
	settings->has_parallel_tool_calls = true;
	return field_bool(field, &settings->parallel_tool_calls);
}

static int check_pair(const struct field *metadata, const struct json *member) {
	char name[FIELD_NAME_MAX + 1];
	str_copy_cut(name, sizeof name, json_key(member));
	struct field pair = field_member(metadata, name);
	/* A key that was cut is not found by its name. */
	pair.value = member;
	struct str text;
	if (field_characters(json_key(member)) > METADATA_KEY_MAX) {
		return api_error_set(pair.error, API_INVALID_VALUE, pair.path,
				     "a key of metadata must be at most %d characters, not %zu", METADATA_KEY_MAX,
				     field_characters(json_key(member)));
	}
	return field_bounded(&pair, METADATA_VALUE_MAX, &text);
}

int settings_read_metadata(const struct field *field, char **out) {
	if (json_type(field->value) != JSON_OBJECT) {
		return field_wrong_type(field, "an object of strings");
	}
	if (json_count(field->value) > METADATA_PAIRS) {
		return api_error_set(field->error, API_INVALID_VALUE, field->path,
				     "metadata must have at most %d pairs, not %zu", METADATA_PAIRS,
				     json_count(field->value));
	}
	for (const struct json *member = json_first(field->value); member; member = json_next(member)) {
		if (check_pair(field, member) != 0) {
			return -1;
		}
	}
	return field_copy_json(field, out);
}

static int read_metadata(const struct field *field, struct request_settings *settings) {
	return settings_read_metadata(field, &settings->metadata);
}

static int read_tools(const struct field *field, struct request_settings *settings) {
	return tool_list_read_field(field, TOOL_FLAT, &settings->tools);
}

static int read_tool_choice(const struct field *field, struct request_settings *settings) {
	return tool_choice_read_field(field, TOOL_FLAT, &settings->tool_choice);
}

static int read_text(const struct field *field, struct request_settings *settings) {
	return text_settings_read(field, &settings->text);
}

/* Copies the name that the field chooses. */
static int read_choice(const struct field *field, const char *const *names, size_t count, char *to, size_t size) {
	size_t index;
	if (field_choice(field, names, count, &index) != 0) {
		return -1;
	}
	return str_copy(to, size, str_of(names[index]));
}

static int read_summary(const struct field *summary, struct request_settings *settings) {
	static const char *const names[] = {"auto", "concise", "detailed"};
	size_t index;
	if (field_choice(summary, names, COUNT(names), &index) != 0) {
		return -1;
	}
	/* "auto" is whatever the model gives; no Chat Completions server can be told what kind. */
	return index == 0 ? str_copy(settings->summary, sizeof settings->summary, STR("auto"))
			  : field_unsupported(summary, "\"auto\"");
}

int settings_read_effort(const struct field *field, struct request_settings *settings) {
	static const char *const names[] = {"none", "minimal", "low", "medium", "high", "xhigh"};
	return read_choice(field, names, COUNT(names), settings->effort, sizeof settings->effort);
}

static int read_reasoning(const struct field *field, struct request_settings *settings) {
	static const char *const names[] = {"effort", "summary"};
	struct field effort = field_member(field, "effort");
	struct field summary = field_member(field, "summary");
	if (field_object(field, "an object", names, COUNT(names)) != 0 ||
	    (field_given(&effort) && settings_read_effort(&effort, settings) != 0)) {
		return -1;
	}
	return field_given(&summary) ? read_summary(&summary, settings) : 0;
}

static int read_truncation(const struct field *field, struct request_settings *settings) {
	static const char *const names[] = {"disabled", "auto"};
	size_t index;
	if (field_choice(field, names, COUNT(names), &index) != 0) {
		return -1;
	}
	settings->truncates = index == 1;
	return 0;
}

static int read_include(const struct field *field, struct request_settings *settings) {
	static const char *const names[] = {"message.output_text.logprobs", "reasoning.encrypted_content"};
	if (json_type(field->value) != JSON_ARRAY) {
		return field_wrong_type(field, "an array of strings");
	}
	size_t place = 0;
	for (const struct json *value = json_first(field->value); value; value = json_next(value), place++) {
		struct field element = field_element(field, place, value);
		size_t index;
		if (field_choice(&element, names, COUNT(names), &index) != 0) {
			return -1;
		}
		settings->includes_logprobs = settings->includes_logprobs || index == 0;
		settings->includes_encrypted = settings->includes_encrypted || index == 1;
	}
	return 0;
}

static int read_service_tier(const struct field *field, struct request_settings *settings) {
	static const char *const names[] = {"auto", "default", "flex", "priority"};
	return read_choice(field, names, COUNT(names), settings->service_tier, sizeof settings->service_tier);
}

static const struct {
	const char *name;
	int (*read)(const struct field *field, struct request_settings *settings);
} rows[] = {
	{"model", read_model},
	{"instructions", read_instructions},
	{"store", read_store},
	{"metadata", read_metadata},
	{"tools", read_tools},
	{"tool_choice", read_tool_choice},
	{"parallel_tool_calls", read_parallel},
	{"text", read_text},
	{"reasoning", read_reasoning},
	{"truncation", read_truncation},
	{"include", read_include},
	{"service_tier", read_service_tier},
	{"background", read_background},
};

static int read_scalar(const struct field *field, struct str name, struct request_settings *settings, bool *known) {
	for (size_t i = 0; i < NUMBER_ROWS; i++) {
		if (str_is(name, settings_numbers[i].name)) {
			return field_given(field) ? read_number(field, &settings_numbers[i], settings) : 0;
		}
	}
	for (size_t i = 0; i < INTEGER_ROWS; i++) {
		if (str_is(name, settings_integers[i].name)) {
			return field_given(field) ? read_integer(field, &settings_integers[i], settings) : 0;
		}
	}
	for (size_t i = 0; i < LABEL_ROWS; i++) {
		if (str_is(name, settings_labels[i].name)) {
			return field_given(field) ? read_label(field, &settings_labels[i], settings) : 0;
		}
	}
	*known = false;
	return 0;
}

int settings_read_member(const struct field *field, struct str name, struct request_settings *settings, bool *known) {
	*known = true;
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (str_is(name, rows[i].name)) {
			return field_given(field) ? rows[i].read(field, settings) : 0;
		}
	}
	return read_scalar(field, name, settings, known);
}
