#include "proto/request.h"

#include <string.h>

#include "base/mem.h"
#include "field.h"

#define METADATA_PAIRS 16
#define METADATA_KEY_MAX 64
#define METADATA_VALUE_MAX 512
#define MIN_OUTPUT_TOKENS 16

struct reader {
	struct request *request;
	enum request_transport transport;
	int64_t now_ms;
	struct api_error *error;
};

/* One row a field. null is always as if the field were not there. */
struct field_row {
	const char *name;
	int (*read)(const struct reader *reader, const struct json *value);
	/* Without a reader: the values, as compact JSON, that ask for nothing; others are refused by name. */
	const char *neutral[2];
};

static int read_text_into(const struct reader *reader, const char *name, const struct json *value, char **out) {
	if (json_type(value) != JSON_STRING) {
		return field_wrong_type(reader->error, name, "a string", value);
	}
	struct str text = json_str(value);
	*out = mem_memdup_str(text.data, text.length);
	return *out ? 0 : field_no_memory(reader->error);
}

static int read_bool(const struct reader *reader, const char *name, const struct json *value, bool *out) {
	if (json_type(value) != JSON_BOOL) {
		return field_wrong_type(reader->error, name, "true or false", value);
	}
	*out = json_is_true(value);
	return 0;
}

static int read_type(const struct reader *reader, const struct json *value) {
	if (reader->transport == REQUEST_HTTP) {
		return field_unknown(reader->error, "", STR("type"));
	}
	if (!str_is(json_str(value), "response.create")) {
		return field_wrong_value(reader->error, "type", "\"response.create\"", value);
	}
	return 0;
}

static int read_model(const struct reader *reader, const struct json *value) {
	if (json_type(value) != JSON_STRING) {
		return field_wrong_type(reader->error, "model", "a string", value);
	}
	struct request_settings *settings = &reader->request->settings;
	struct str model = json_str(value);
	if (model.length == 0 || str_copy(settings->model, sizeof settings->model, model) != 0) {
		return field_wrong_value(reader->error, "model",
					 "the name of a model, at most 127 bytes, or left out for the default", value);
	}
	return 0;
}

static int read_instructions(const struct reader *reader, const struct json *value) {
	return read_text_into(reader, "instructions", value, &reader->request->settings.instructions);
}

static int read_previous(const struct reader *reader, const struct json *value) {
	const char *name = "previous_response_id";
	if (json_type(value) != JSON_STRING) {
		return field_wrong_type(reader->error, name, "a string", value);
	}
	if (json_str(value).length == 0) {
		return field_wrong_value(reader->error, name,
					 "the id of a response, or left out to start a conversation", value);
	}
	/* What can't be an id of ours names no response either: clients know how to go on from there. */
	if (id_copy(reader->request->previous_response_id, json_str(value)) != 0) {
		return api_error_set(reader->error, API_PARENT_NOT_FOUND, name, "No response has this id.");
	}
	return 0;
}

static int read_store(const struct reader *reader, const struct json *value) {
	return read_bool(reader, "store", value, &reader->request->settings.store);
}

static int read_stream(const struct reader *reader, const struct json *value) {
	bool stream = false;
	if (read_bool(reader, "stream", value, &stream) != 0) {
		return -1;
	}
	if (reader->transport == REQUEST_WEBSOCKET && !stream) {
		return api_error_set(reader->error, API_UNSUPPORTED, "stream",
				     "stream can't be false on a WebSocket, which always streams; leave it out");
	}
	reader->request->stream = stream;
	return 0;
}

static int read_generate(const struct reader *reader, const struct json *value) {
	bool generate = true;
	if (read_bool(reader, "generate", value, &generate) != 0) {
		return -1;
	}
	reader->request->prepare_only = !generate;
	return reader->transport == REQUEST_HTTP && !generate ? field_unsupported(reader->error, "generate", "true")
							      : 0;
}

/* Read by request_stream_id, before the rest: an error about the rest already belongs to its lane. */
static int read_stream_id(const struct reader *reader, const struct json *value) {
	(void)value;
	return reader->transport == REQUEST_HTTP ? field_unsupported(reader->error, "stream_id", NULL) : 0;
}

static int read_max_output_tokens(const struct reader *reader, const struct json *value) {
	const char *name = "max_output_tokens";
	const char *wanted = "an integer of 16 or more";
	struct request_settings *settings = &reader->request->settings;
	if (json_type(value) != JSON_NUMBER) {
		return field_wrong_type(reader->error, name, wanted, value);
	}
	if (json_integer(value, &settings->max_output_tokens) != 0 || settings->max_output_tokens < MIN_OUTPUT_TOKENS) {
		return field_wrong_value(reader->error, name, wanted, value);
	}
	settings->has_max_output_tokens = true;
	return 0;
}

static int read_temperature(const struct reader *reader, const struct json *value) {
	const char *wanted = "a number from 0 to 2";
	if (json_type(value) != JSON_NUMBER) {
		return field_wrong_type(reader->error, "temperature", wanted, value);
	}
	double temperature = json_number(value);
	if (!(temperature >= 0 && temperature <= 2)) {
		return field_wrong_value(reader->error, "temperature", wanted, value);
	}
	reader->request->settings.temperature = temperature;
	reader->request->settings.has_temperature = true;
	return 0;
}

static int read_top_p(const struct reader *reader, const struct json *value) {
	const char *wanted = "a number from 0 to 1";
	if (json_type(value) != JSON_NUMBER) {
		return field_wrong_type(reader->error, "top_p", wanted, value);
	}
	double top_p = json_number(value);
	if (!(top_p >= 0 && top_p <= 1)) {
		return field_wrong_value(reader->error, "top_p", wanted, value);
	}
	reader->request->settings.top_p = top_p;
	reader->request->settings.has_top_p = true;
	return 0;
}

/* Characters, as the specification counts: the text is UTF-8, so every byte but a continuation starts one. */
static size_t characters(struct str text) {
	size_t count = 0;
	for (size_t i = 0; i < text.length; i++) {
		count += ((unsigned char)text.data[i] & 0xC0) != 0x80;
	}
	return count;
}

static int check_pair(const struct reader *reader, const struct json *member) {
	char path[FIELD_PATH_SIZE];
	char name[FIELD_NAME_MAX + 1];
	str_copy_cut(name, sizeof name, json_key(member));
	field_path(path, "metadata", name);
	if (characters(json_key(member)) > METADATA_KEY_MAX) {
		return api_error_set(reader->error, API_INVALID_VALUE, path,
				     "a key of metadata must be at most %d characters, not %zu", METADATA_KEY_MAX,
				     characters(json_key(member)));
	}
	if (json_type(member) != JSON_STRING) {
		return field_wrong_type(reader->error, path, "a string", member);
	}
	if (characters(json_str(member)) > METADATA_VALUE_MAX) {
		return api_error_set(reader->error, API_INVALID_VALUE, path,
				     "%s must be at most %d characters, not %zu", path, METADATA_VALUE_MAX,
				     characters(json_str(member)));
	}
	return 0;
}

static int read_metadata(const struct reader *reader, const struct json *value) {
	if (json_type(value) != JSON_OBJECT) {
		return field_wrong_type(reader->error, "metadata", "an object of strings", value);
	}
	if (json_count(value) > METADATA_PAIRS) {
		return api_error_set(reader->error, API_INVALID_VALUE, "metadata",
				     "metadata must have at most %d pairs, not %zu", METADATA_PAIRS, json_count(value));
	}
	for (const struct json *member = json_first(value); member; member = json_next(member)) {
		if (check_pair(reader, member) != 0) {
			return -1;
		}
	}
	struct buf printed = BUF_INIT;
	json_print(value, &printed);
	reader->request->settings.metadata = buf_take_text(&printed);
	return reader->request->settings.metadata ? 0 : field_no_memory(reader->error);
}

static int add_item(const struct reader *reader, struct item *item) {
	if (item_list_add(&reader->request->input, item) != 0) {
		item_free(item);
		return field_no_memory(reader->error);
	}
	return 0;
}

static int read_input_text(const struct reader *reader, struct str text) {
	if (text.length == 0) {
		return api_error_set(reader->error, API_INVALID_VALUE, "input",
				     "input is empty; send the user's text, or an array of messages");
	}
	char id[ID_SIZE];
	id_make(id, "msg", reader->now_ms);
	struct item item;
	if (item_message(&item, ROLE_USER, ITEM_COMPLETED, id, text) != 0) {
		return field_no_memory(reader->error);
	}
	return add_item(reader, &item);
}

static int read_input(const struct reader *reader, const struct json *value) {
	if (json_type(value) == JSON_STRING) {
		return read_input_text(reader, json_str(value));
	}
	if (json_type(value) != JSON_ARRAY) {
		return field_wrong_type(reader->error, "input", "a string or an array of messages", value);
	}
	if (!json_first(value)) {
		return api_error_set(reader->error, API_INVALID_VALUE, "input",
				     "input is an empty array; send at least one message");
	}
	size_t index = 0;
	for (const struct json *element = json_first(value); element; element = json_next(element), index++) {
		char path[FIELD_PATH_SIZE];
		field_path_index(path, "input", index);
		struct item item;
		if (item_read(element, path, reader->now_ms, &item, reader->error) != 0 ||
		    add_item(reader, &item) != 0) {
			return -1;
		}
	}
	return 0;
}

static bool prints_as(const struct json *value, const char *compact) {
	struct buf printed = BUF_INIT;
	json_print(value, &printed);
	bool same = !printed.failed && str_is(buf_str(&printed), compact);
	buf_free(&printed);
	return same;
}

/* Whether every member of the object is null or, with its key, is one of the pairs (name, compact JSON). */
static bool only_neutral(const struct json *object, const char *const *pairs, size_t count) {
	if (json_type(object) != JSON_OBJECT) {
		return false;
	}
	for (const struct json *member = json_first(object); member; member = json_next(member)) {
		bool fits = json_type(member) == JSON_NULL;
		for (size_t i = 0; !fits && i < count; i += 2) {
			fits = str_is(json_key(member), pairs[i]) && prints_as(member, pairs[i + 1]);
		}
		if (!fits) {
			return false;
		}
	}
	return true;
}

static int read_text(const struct reader *reader, const struct json *value) {
	static const char *const neutral[] = {"format", "{\"type\":\"text\"}", "verbosity", "\"medium\""};
	return only_neutral(value, neutral, 4)
		       ? 0
		       : field_unsupported(reader->error, "text", "{\"format\":{\"type\":\"text\"}}");
}

static int read_reasoning(const struct reader *reader, const struct json *value) {
	return only_neutral(value, NULL, 0) ? 0 : field_unsupported(reader->error, "reasoning", "null");
}

static int read_stream_options(const struct reader *reader, const struct json *value) {
	static const char *const neutral[] = {"include_obfuscation", "false"};
	if (reader->transport == REQUEST_WEBSOCKET) {
		return field_unsupported(reader->error, "stream_options", NULL);
	}
	return only_neutral(value, neutral, 2)
		       ? 0
		       : field_unsupported(reader->error, "stream_options", "{\"include_obfuscation\":false}");
}

static int read_idempotency_key(const struct reader *reader, const struct json *value) {
	const char *name = "idempotency_key";
	/* Over HTTP it is a header: one place, which proxies and SDKs know. */
	if (reader->transport == REQUEST_HTTP) {
		return field_unknown(reader->error, "", STR("idempotency_key"));
	}
	if (json_type(value) != JSON_STRING) {
		return field_wrong_type(reader->error, name, "a string", value);
	}
	return request_read_key(json_str(value), name, reader->request->idempotency_key, reader->error);
}

static const struct field_row rows[] = {
	{"type", read_type, {0}},
	{"model", read_model, {0}},
	{"input", read_input, {0}},
	{"instructions", read_instructions, {0}},
	{"previous_response_id", read_previous, {0}},
	{"store", read_store, {0}},
	{"stream", read_stream, {0}},
	{"max_output_tokens", read_max_output_tokens, {0}},
	{"temperature", read_temperature, {0}},
	{"top_p", read_top_p, {0}},
	{"metadata", read_metadata, {0}},
	{"text", read_text, {0}},
	{"reasoning", read_reasoning, {0}},
	{"stream_options", read_stream_options, {0}},
	{"idempotency_key", read_idempotency_key, {0}},
	{"include", NULL, {"[]"}},
	{"tools", NULL, {"[]"}},
	{"tool_choice", NULL, {"\"auto\""}},
	{"parallel_tool_calls", NULL, {"true"}},
	{"max_tool_calls", NULL, {0}},
	{"truncation", NULL, {"\"disabled\""}},
	{"background", NULL, {"false"}},
	{"service_tier", NULL, {"\"default\"", "\"auto\""}},
	{"presence_penalty", NULL, {"0"}},
	{"frequency_penalty", NULL, {"0"}},
	{"top_logprobs", NULL, {"0"}},
	{"safety_identifier", NULL, {0}},
	{"prompt_cache_key", NULL, {0}},
	/* Not in Open Responses, but sent by clients of OpenAI's API. */
	{"user", NULL, {0}},
	{"conversation", NULL, {0}},
	{"prompt", NULL, {0}},
	{"prompt_cache_retention", NULL, {0}},
	{"context_management", NULL, {0}},
	{"generate", read_generate, {0}},
	{"stream_id", read_stream_id, {0}},
};

static int read_neutral(const struct reader *reader, const struct field_row *row, const struct json *value) {
	struct buf printed = BUF_INIT;
	json_print(value, &printed);
	bool failed = printed.failed;
	bool fits = false;
	for (size_t i = 0; i < sizeof row->neutral / sizeof row->neutral[0]; i++) {
		fits = fits || (row->neutral[i] && str_is(buf_str(&printed), row->neutral[i]));
	}
	buf_free(&printed);
	if (failed) {
		return field_no_memory(reader->error);
	}
	return fits ? 0 : field_unsupported(reader->error, row->name, row->neutral[0]);
}

static int read_member(const struct reader *reader, const struct json *member) {
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (!str_is(json_key(member), rows[i].name)) {
			continue;
		}
		if (json_type(member) == JSON_NULL) {
			return 0;
		}
		return rows[i].read ? rows[i].read(reader, member) : read_neutral(reader, &rows[i], member);
	}
	return field_unknown(reader->error, "", json_key(member));
}

static int read_members(const struct reader *reader, const struct json *object) {
	if (json_type(object) != JSON_OBJECT) {
		return api_error_set(reader->error, API_INVALID_TYPE, NULL, "the request must be an object, not %s",
				     json_type_name(json_type(object)));
	}
	for (const struct json *member = json_first(object); member; member = json_next(member)) {
		if (read_member(reader, member) != 0) {
			return -1;
		}
	}
	if (reader->transport == REQUEST_WEBSOCKET && json_type(json_get(object, "type")) != JSON_STRING) {
		return field_missing(reader->error, "type", "\"response.create\"");
	}
	if (reader->request->input.count == 0) {
		return field_missing(reader->error, "input", "a string or an array of messages");
	}
	return 0;
}

int request_read(const struct json *object, enum request_transport transport, int64_t now_ms, struct request *request,
		 struct api_error *error) {
	*request = (struct request){.settings.store = true};
	struct reader reader = {.request = request, .transport = transport, .now_ms = now_ms, .error = error};
	if (read_members(&reader, object) != 0) {
		request_free(request);
		return -1;
	}
	return 0;
}

static bool is_stream_id(struct str text) {
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	for (size_t i = 0; i < text.length; i++) {
		if (!memchr(allowed, text.data[i], sizeof allowed - 1)) {
			return false;
		}
	}
	return text.length > 0 && text.length < STREAM_ID_SIZE;
}

int request_stream_id(const struct json *message, char stream_id[static STREAM_ID_SIZE], struct api_error *error) {
	const struct json *value = json_get(message, "stream_id");
	stream_id[0] = '\0';
	if (json_type(value) == JSON_NULL) {
		return 0;
	}
	if (json_type(value) != JSON_STRING || !is_stream_id(json_str(value))) {
		return api_error_set(error, API_INVALID_STREAM_ID, "stream_id",
				     "stream_id must be a string of 1 to 256 characters out of A-Z a-z 0-9 _ . and -");
	}
	str_copy_cut(stream_id, STREAM_ID_SIZE, json_str(value));
	return 0;
}

int request_unknown_field(struct api_error *error, struct str name) {
	return field_unknown(error, "", name);
}

void request_free(struct request *request) {
	request_settings_free(&request->settings);
	item_list_free(&request->input);
	*request = (struct request){0};
}
