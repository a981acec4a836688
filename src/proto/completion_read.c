/* A Chat Completions request: one row a field. */
#include <string.h>

#include "completion_parts.h"
#include "item_parts.h"
#include "proto/completion.h"
#include "settings_parts.h"
#include "tool_parts.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define STOPS_MAX 4
#define STOP_MAX 256 /* characters of one */
#define BIAS_MAX 100
#define USER_MAX 512
#define STORED_TOKENS_MIN 16 /* of Open Responses */

struct reader {
	struct completion_request *completion;
	int64_t now_ms;
	int64_t max_tokens, max_completion_tokens; /* 0: not given */
	bool has_options;
	struct buf members; /* what becomes settings.chat_members */
};

static struct request_settings *settings_of(const struct reader *reader) {
	return &reader->completion->request.settings;
}

/* --- what Open Responses knows too ---------------------------------------------------------------------------------- */

/* The field has its name and its bounds. */
static int read_setting(const struct field *field, struct reader *reader) {
	bool known;
	return settings_read_member(field, str_of(field->path), settings_of(reader), &known);
}

static int read_messages(const struct field *field, struct reader *reader) {
	return completion_read_messages(field, reader->now_ms, &reader->completion->request.input);
}

static int read_tools(const struct field *field, struct reader *reader) {
	return tool_list_read_field(field, TOOL_NESTED, &settings_of(reader)->tools);
}

static int read_tool_choice(const struct field *field, struct reader *reader) {
	return tool_choice_read_field(field, TOOL_NESTED, &settings_of(reader)->tool_choice);
}

static int read_effort(const struct field *field, struct reader *reader) {
	return settings_read_effort(field, settings_of(reader));
}

static int read_verbosity(const struct field *field, struct reader *reader) {
	return text_settings_read_verbosity(field, &settings_of(reader)->text);
}

static int read_schema(const struct field *format, struct text_settings *text) {
	static const char *const names[] = {"name", "description", "schema", "strict"};
	struct field schema = field_member(format, "json_schema");
	const char *wanted = "an object with name and schema";
	if (!field_given(&schema)) {
		return field_missing(&schema, wanted);
	}
	return field_object(&schema, wanted, names, COUNT(names)) != 0 ? -1 : text_settings_read_schema(&schema, text);
}

static int read_format(const struct field *field, struct reader *reader) {
	static const char *const types[] = {
		[TEXT_PLAIN] = "text", [TEXT_JSON_OBJECT] = "json_object", [TEXT_JSON_SCHEMA] = "json_schema"};
	static const char *const names[] = {"type", "json_schema"};
	struct text_settings *text = &settings_of(reader)->text;
	struct field type = field_member(field, "type");
	const char *wanted = "an object with a type";
	size_t index;
	if (json_type(field->value) != JSON_OBJECT) {
		return field_wrong_type(field, wanted);
	}
	if (field_choice(&type, types, COUNT(types), &index) != 0) {
		return -1;
	}
	text->format = (enum text_format)index;
	bool has_schema = text->format == TEXT_JSON_SCHEMA;
	/* The other formats have nothing but their type. */
	if (field_object(field, wanted, names, has_schema ? COUNT(names) : 1) != 0) {
		return -1;
	}
	return has_schema ? read_schema(field, text) : 0;
}

static int read_tokens(const struct field *field, int64_t *out) {
	const char *wanted = "an integer of 1 or more";
	if (json_type(field->value) != JSON_NUMBER) {
		return field_wrong_type(field, wanted);
	}
	return json_integer(field->value, out) != 0 || *out < 1 ? field_wrong_value(field, wanted) : 0;
}

static int read_max_tokens(const struct field *field, struct reader *reader) {
	return read_tokens(field, &reader->max_tokens);
}

static int read_max_completion_tokens(const struct field *field, struct reader *reader) {
	return read_tokens(field, &reader->max_completion_tokens);
}

static int read_logprobs(const struct field *field, struct reader *reader) {
	return field_bool(field, &settings_of(reader)->includes_logprobs);
}

/* --- how the answer is wanted --------------------------------------------------------------------------------------- */

static int read_stream(const struct field *field, struct reader *reader) {
	return field_bool(field, &reader->completion->request.stream);
}

static int read_stream_options(const struct field *field, struct reader *reader) {
	static const char *const names[] = {"include_usage", "include_obfuscation"};
	struct field usage = field_member(field, names[0]);
	struct field obfuscation = field_member(field, names[1]);
	reader->has_options = true;
	if (field_object(field, "an object", names, COUNT(names)) != 0 ||
	    (field_given(&usage) && field_bool(&usage, &reader->completion->includes_usage) != 0)) {
		return -1;
	}
	return field_given(&obfuscation) ? field_bool(&obfuscation, &reader->completion->request.obfuscates) : 0;
}

static int read_n(const struct field *field, struct reader *reader) {
	(void)reader;
	if (json_type(field->value) != JSON_NUMBER) {
		return field_wrong_type(field, "the number 1");
	}
	int64_t n;
	return json_integer(field->value, &n) == 0 && n == 1 ? 0 : field_unsupported(field, "1");
}

static int read_modalities(const struct field *field, struct reader *reader) {
	(void)reader;
	if (json_type(field->value) != JSON_ARRAY) {
		return field_wrong_type(field, "the array [\"text\"]");
	}
	bool text = json_count(field->value) == 1 && str_is(json_str(json_first(field->value)), "text");
	return text ? 0 : field_unsupported(field, "[\"text\"]");
}

/* --- what is handed on ---------------------------------------------------------------------------------------------- */

static int hand_on(const struct field *field, struct reader *reader) {
	buf_printf(&reader->members, ",\"%s\":", field->path);
	json_print(field->value, &reader->members);
	return reader->members.failed ? field_no_memory(field) : 0;
}

static int check_stop(const struct field *field) {
	struct str text = STR_NONE;
	if (field_bounded(field, STOP_MAX, &text) != 0) {
		return -1;
	}
	return text.length > 0 ? 0 : field_wrong_value(field, "a text that ends the answer");
}

static int read_stop(const struct field *field, struct reader *reader) {
	if (json_type(field->value) == JSON_STRING) {
		return check_stop(field) != 0 ? -1 : hand_on(field, reader);
	}
	if (json_type(field->value) != JSON_ARRAY) {
		return field_wrong_type(field, "a string or an array of strings");
	}
	if (json_count(field->value) > STOPS_MAX) {
		return api_error_set(field->error, API_INVALID_VALUE, field->path,
				     "%s must have at most %d strings, not %zu", field->path, STOPS_MAX,
				     json_count(field->value));
	}
	size_t index = 0;
	for (const struct json *stop = json_first(field->value); stop; stop = json_next(stop), index++) {
		struct field element = field_element(field, index, stop);
		if (check_stop(&element) != 0) {
			return -1;
		}
	}
	return index == 0 ? 0 : hand_on(field, reader);
}

static int read_seed(const struct field *field, struct reader *reader) {
	int64_t seed;
	if (json_type(field->value) != JSON_NUMBER) {
		return field_wrong_type(field, "an integer");
	}
	if (json_integer(field->value, &seed) != 0) {
		return field_wrong_value(field, "an integer of at most 53 bits");
	}
	buf_printf(&reader->members, ",\"%s\":%lld", field->path, (long long)seed);
	return reader->members.failed ? field_no_memory(field) : 0;
}

static int check_bias(const struct field *object, const struct json *member) {
	char name[FIELD_NAME_MAX + 1];
	uint64_t token;
	str_copy_cut(name, sizeof name, json_key(member));
	struct field bias = field_member(object, name);
	/* A key that was cut is not found by its name. */
	bias.value = member;
	if (str_to_u64(json_key(member), &token) != 0) {
		return api_error_set(bias.error, API_INVALID_VALUE, bias.path,
				     "a key of logit_bias must be the number of a token, not \"%s\"", name);
	}
	const char *wanted = "a number from -100 to 100";
	if (json_type(member) != JSON_NUMBER) {
		return field_wrong_type(&bias, wanted);
	}
	double value = json_number(member);
	return value >= -BIAS_MAX && value <= BIAS_MAX ? 0 : field_wrong_value(&bias, wanted);
}

static int read_logit_bias(const struct field *field, struct reader *reader) {
	if (json_type(field->value) != JSON_OBJECT) {
		return field_wrong_type(field, "an object of numbers");
	}
	for (const struct json *member = json_first(field->value); member; member = json_next(member)) {
		if (check_bias(field, member) != 0) {
			return -1;
		}
	}
	return json_first(field->value) ? hand_on(field, reader) : 0;
}

static int read_user(const struct field *field, struct reader *reader) {
	struct str user = STR_NONE;
	return field_bounded(field, USER_MAX, &user) != 0 ? -1 : hand_on(field, reader);
}

/* --- the table ------------------------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	int (*read)(const struct field *field, struct reader *reader); /* NULL: refused */
	const char *cure;                                              /* of a refused one */
} rows[] = {
	{"messages", read_messages, NULL},
	{"model", read_setting, NULL},
	{"stream", read_stream, NULL},
	{"stream_options", read_stream_options, NULL},
	{"max_tokens", read_max_tokens, NULL},
	{"max_completion_tokens", read_max_completion_tokens, NULL},
	{"temperature", read_setting, NULL},
	{"top_p", read_setting, NULL},
	{"presence_penalty", read_setting, NULL},
	{"frequency_penalty", read_setting, NULL},
	{"logprobs", read_logprobs, NULL},
	{"top_logprobs", read_setting, NULL},
	{"tools", read_tools, NULL},
	{"tool_choice", read_tool_choice, NULL},
	{"parallel_tool_calls", read_setting, NULL},
	{"response_format", read_format, NULL},
	{"reasoning_effort", read_effort, NULL},
	{"verbosity", read_verbosity, NULL},
	{"service_tier", read_setting, NULL},
	{"safety_identifier", read_setting, NULL},
	{"prompt_cache_key", read_setting, NULL},
	{"store", read_setting, NULL},
	{"metadata", read_setting, NULL},
	{"n", read_n, NULL},
	{"modalities", read_modalities, NULL},
	{"stop", read_stop, NULL},
	{"seed", read_seed, NULL},
	{"logit_bias", read_logit_bias, NULL},
	{"user", read_user, NULL},
	{"functions", NULL, "tools in its place"},
	{"function_call", NULL, "tool_choice in its place"},
	{"audio", NULL, NULL},
	{"prediction", NULL, NULL},
	{"web_search_options", NULL, NULL},
	{"moderation", NULL, NULL},
	{"prompt_cache_options", NULL, NULL},
	{"prompt_cache_retention", NULL, NULL},
};

static int read_member(const struct json *member, struct reader *reader, struct api_error *error) {
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (!str_is(json_key(member), rows[i].name)) {
			continue;
		}
		struct field field = field_root(rows[i].name, member, error);
		if (!field_given(&field)) {
			return 0;
		}
		return rows[i].read ? rows[i].read(&field, reader) : field_unsupported(&field, rows[i].cure);
	}
	struct field whole = field_root("", NULL, error);
	return field_unknown(&whole, json_key(member));
}

/* --- what fields say about each other ------------------------------------------------------------------------------- */

/* The newer of two names for the same bound. */
static int set_max_tokens(const struct reader *reader, struct api_error *error) {
	struct request_settings *settings = settings_of(reader);
	int64_t newer = reader->max_completion_tokens, older = reader->max_tokens;
	if (newer && older && newer != older) {
		return api_error_set(error, API_INVALID_VALUE, "max_tokens",
				     "max_tokens is the older name of max_completion_tokens; send one of them");
	}
	settings->has_max_output_tokens = newer || older;
	settings->max_output_tokens = newer ? newer : older;
	return 0;
}

/* What is stored is shown as a response of Open Responses, whose bounds are tighter. */
static int check_stored(const struct reader *reader, struct api_error *error) {
	const struct request *request = &reader->completion->request;
	const struct request_settings *settings = &request->settings;
	const char *name = reader->max_completion_tokens ? "max_completion_tokens" : "max_tokens";
	if (!settings->store) {
		return 0;
	}
	if (settings->has_max_output_tokens && settings->max_output_tokens < STORED_TOKENS_MIN) {
		return api_error_set(error, API_INVALID_VALUE, name, "%s must be %d or more with store: true", name,
				     STORED_TOKENS_MIN);
	}
	for (size_t i = 0; i < request->input.count; i++) {
		const struct item *item = &request->input.items[i];
		if (item->kind == ITEM_MESSAGE && item->role != ROLE_ASSISTANT && !item_has_text(item)) {
			return api_error_set(error, API_INVALID_VALUE, "messages",
					     "messages must not have an empty one of %s with store: true",
					     item_role_name(item->role));
		}
	}
	return 0;
}

static int check_needs(const struct reader *reader, struct api_error *error) {
	const struct request_settings *settings = settings_of(reader);
	if (settings->has_top_logprobs && !settings->includes_logprobs) {
		return api_error_set(error, API_INVALID_VALUE, "top_logprobs", "top_logprobs needs logprobs: true");
	}
	if (reader->has_options && !reader->completion->request.stream) {
		return api_error_set(error, API_INVALID_VALUE, "stream_options", "stream_options needs stream: true");
	}
	return 0;
}

static int read_members(const struct json *object, struct reader *reader, struct api_error *error) {
	if (json_type(object) != JSON_OBJECT) {
		return api_error_set(error, API_INVALID_TYPE, NULL, "the request must be an object, not %s",
				     json_type_name(json_type(object)));
	}
	for (const struct json *member = json_first(object); member; member = json_next(member)) {
		if (read_member(member, reader, error) != 0) {
			return -1;
		}
	}
	if (reader->completion->request.input.count == 0) {
		struct field messages = field_root("messages", NULL, error);
		return field_missing(&messages, "an array of messages");
	}
	const struct request_settings *settings = settings_of(reader);
	if (set_max_tokens(reader, error) != 0 || check_stored(reader, error) != 0 || check_needs(reader, error) != 0 ||
	    tool_choice_check_form(&settings->tool_choice, TOOL_NESTED, &settings->tools, error) != 0) {
		return -1;
	}
	return 0;
}

int completion_request_read(const struct json *object, int64_t now_ms, struct completion_request *completion,
			    struct api_error *error) {
	*completion = (struct completion_request){0};
	struct reader reader = {.completion = completion, .now_ms = now_ms};
	int result = read_members(object, &reader, error);
	if (result == 0 && reader.members.length > 0) {
		struct field whole = field_root("", NULL, error);
		settings_of(&reader)->chat_members = buf_take_text(&reader.members);
		result = settings_of(&reader)->chat_members ? 0 : field_no_memory(&whole);
	}
	buf_free(&reader.members);
	if (result != 0) {
		completion_request_free(completion);
	}
	return result;
}

void completion_request_free(struct completion_request *completion) {
	request_free(&completion->request);
	*completion = (struct completion_request){0};
}

/* --- errors --------------------------------------------------------------------------------------------------------- */

/* Items are counted otherwise than messages: of those it can only be said that it is one of them. */
void completion_translate_error(struct api_error *error) {
	static const struct {
		const char *begins, *name;
	} names[] = {
		{"input", "messages"},
		{"previous_response_id", "messages"},
		{"reasoning.effort", "reasoning_effort"},
		{"text.format", "response_format"},
		{"text.verbosity", "verbosity"},
		{"max_output_tokens", "max_completion_tokens"},
	};
	/* The cure that it names is no field here. */
	if (error->code == API_CONTEXT_TOO_LARGE) {
		str_copy_cut(error->message, sizeof error->message,
			     STR("The messages are together larger than the model's context may be; send fewer or "
				 "shorter ones."));
	}
	for (size_t i = 0; i < COUNT(names); i++) {
		if (str_starts(str_of(error->param), names[i].begins)) {
			str_copy_cut(error->param, sizeof error->param, str_of(names[i].name));
			return;
		}
	}
}
