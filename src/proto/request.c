#include "proto/request.h"

#include <string.h>

#include "settings_parts.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct reader {
	struct request *request;
	enum request_transport transport;
	int64_t now_ms;
};

/* --- one function a field that is no setting ------------------------------------------------------------------------ */

static int read_type(const struct field *field, const struct reader *reader) {
	static const char *const names[] = {"response.create"};
	size_t index;
	if (reader->transport == REQUEST_HTTP) {
		struct field whole = field_root("", NULL, field->error);
		return field_unknown(&whole, STR("type"));
	}
	return field_choice(field, names, COUNT(names), &index);
}

static int read_previous(const struct field *field, const struct reader *reader) {
	struct str id;
	if (field_string(field, &id) != 0) {
		return -1;
	}
	if (id.length == 0) {
		return field_wrong_value(field, "the id of a response, or left out to start a conversation");
	}
	/* What can't be an id of ours names no response either: clients know how to go on from there. */
	if (id_copy(reader->request->previous_response_id, id) != 0) {
		return api_error_set(field->error, API_PARENT_NOT_FOUND, field->path, "No response has this id.");
	}
	return 0;
}

/* An id, or an object with one. */
static int read_conversation(const struct field *field, const struct reader *reader) {
	static const char *const names[] = {"id"};
	struct field id = *field;
	struct str text;
	if (json_type(field->value) == JSON_OBJECT) {
		if (field_object(field, "an object", names, COUNT(names)) != 0) {
			return -1;
		}
		id = field_member(field, "id");
	} else if (json_type(field->value) != JSON_STRING) {
		return field_wrong_type(field, "the id of a conversation, or an object with its id");
	}
	if (field_string(&id, &text) != 0) {
		return -1;
	}
	if (text.length == 0) {
		return field_wrong_value(&id, "the id of a conversation, or left out to start one");
	}
	if (id_copy(reader->request->conversation, text) != 0) {
		return api_error_set(id.error, API_CONVERSATION_NOT_FOUND, id.path, "No conversation has this id.");
	}
	return 0;
}

static int read_stream(const struct field *field, const struct reader *reader) {
	bool stream = false;
	if (field_bool(field, &stream) != 0) {
		return -1;
	}
	if (reader->transport == REQUEST_WEBSOCKET && !stream) {
		return api_error_set(field->error, API_UNSUPPORTED, field->path,
				     "stream can't be false on a WebSocket, which always streams; leave it out");
	}
	reader->request->stream = stream;
	return 0;
}

static int read_stream_options(const struct field *field, const struct reader *reader) {
	static const char *const names[] = {"include_obfuscation"};
	if (reader->transport == REQUEST_WEBSOCKET) {
		return field_unsupported(field, NULL);
	}
	struct field obfuscation = field_member(field, names[0]);
	if (field_object(field, "an object", names, COUNT(names)) != 0) {
		return -1;
	}
	return field_given(&obfuscation) ? field_bool(&obfuscation, &reader->request->obfuscates) : 0;
}

static int read_generate(const struct field *field, const struct reader *reader) {
	bool generate = true;
	if (field_bool(field, &generate) != 0) {
		return -1;
	}
	reader->request->prepare_only = !generate;
	return reader->transport == REQUEST_HTTP && !generate ? field_unsupported(field, "true") : 0;
}

/* Read by request_stream_id, before the rest: an error about the rest already belongs to its lane. */
static int read_stream_id(const struct field *field, const struct reader *reader) {
	return reader->transport == REQUEST_HTTP ? field_unsupported(field, NULL) : 0;
}

static int read_idempotency_key(const struct field *field, const struct reader *reader) {
	struct str text;
	/* Over HTTP it is a header: one place, which proxies and SDKs know. */
	if (reader->transport == REQUEST_HTTP) {
		struct field whole = field_root("", NULL, field->error);
		return field_unknown(&whole, STR("idempotency_key"));
	}
	return field_string(field, &text) != 0
		       ? -1
		       : request_read_key(text, field->path, reader->request->idempotency_key, field->error);
}

/* What Codex says of itself to OpenAI's service. */
static int read_client_metadata(const struct field *field, const struct reader *reader) {
	(void)reader;
	return json_type(field->value) == JSON_OBJECT ? 0 : field_wrong_type(field, "an object of strings");
}

/* --- input ---------------------------------------------------------------------------------------------------------- */

static int read_input(const struct field *field, const struct reader *reader) {
	return request_read_input(field->value, reader->now_ms, &reader->request->input, field->error);
}

/* --- the table ------------------------------------------------------------------------------------------------------ */

/* One row a field; null is always as if it were not there. The settings have rows of their own. */
static const struct {
	const char *name;
	int (*read)(const struct field *field, const struct reader *reader); /* NULL: refused */
	const char *cure;                                                    /* of a refused one */
} rows[] = {
	{"type", read_type, NULL},
	{"input", read_input, NULL},
	{"previous_response_id", read_previous, NULL},
	{"conversation", read_conversation, NULL},
	{"stream", read_stream, NULL},
	{"stream_options", read_stream_options, NULL},
	{"idempotency_key", read_idempotency_key, NULL},
	{"generate", read_generate, NULL},
	{"stream_id", read_stream_id, NULL},
	{"client_metadata", read_client_metadata, NULL},
	/* Not in Open Responses, but sent by clients of OpenAI's API. */
	{"user", NULL, "safety_identifier or prompt_cache_key in its place"},
	{"prompt", NULL, "instructions and input in its place"},
	{"prompt_cache_retention", NULL, NULL},
	{"context_management", NULL, NULL},
};

static int read_member(const struct json *member, const struct reader *reader, struct api_error *error) {
	struct str name = json_key(member);
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (!str_is(name, rows[i].name)) {
			continue;
		}
		struct field field = field_root(rows[i].name, member, error);
		if (!field_given(&field)) {
			return 0;
		}
		return rows[i].read ? rows[i].read(&field, reader) : field_unsupported(&field, rows[i].cure);
	}
	char path[FIELD_PATH_SIZE];
	bool known;
	str_copy_cut(path, sizeof path, name);
	struct field field = field_root(path, member, error);
	if (settings_read_member(&field, name, &reader->request->settings, &known) != 0) {
		return -1;
	}
	struct field whole = field_root("", NULL, error);
	return known ? 0 : field_unknown(&whole, name);
}

/* --- what fields say about each other ------------------------------------------------------------------------------- */

static int check_input(const struct request *request, struct api_error *error) {
	if (request->previous_response_id[0] && request->conversation[0]) {
		return api_error_set(error, API_INVALID_VALUE, "conversation",
				     "conversation and previous_response_id are mutually exclusive; send one of them");
	}
	if (request->input.count == 0 && !request->previous_response_id[0] && !request->conversation[0]) {
		struct field input = field_root("input", NULL, error);
		return field_missing(&input, "a string or an array of items");
	}
	return 0;
}

static int check_background(const struct reader *reader, struct api_error *error) {
	const struct request_settings *settings = &reader->request->settings;
	struct field background = field_root("background", NULL, error);
	if (!settings->background) {
		return 0;
	}
	if (reader->transport == REQUEST_WEBSOCKET) {
		return field_unsupported(&background, "false");
	}
	return settings->store ? 0
			       : api_error_set(error, API_INVALID_VALUE, background.path,
					       "background needs store: true, for the response is fetched later");
}

static int read_members(const struct json *object, const struct reader *reader, struct api_error *error) {
	if (json_type(object) != JSON_OBJECT) {
		return api_error_set(error, API_INVALID_TYPE, NULL, "the request must be an object, not %s",
				     json_type_name(json_type(object)));
	}
	for (const struct json *member = json_first(object); member; member = json_next(member)) {
		if (read_member(member, reader, error) != 0) {
			return -1;
		}
	}
	if (reader->transport == REQUEST_WEBSOCKET && json_type(json_get(object, "type")) != JSON_STRING) {
		struct field type = field_root("type", NULL, error);
		return field_missing(&type, "\"response.create\"");
	}
	const struct request_settings *settings = &reader->request->settings;
	return check_input(reader->request, error) != 0 || check_background(reader, error) != 0
		       ? -1
		       : tool_choice_check(&settings->tool_choice, &settings->tools, error);
}

int request_read(const struct json *object, enum request_transport transport, int64_t now_ms, struct request *request,
		 struct api_error *error) {
	*request = (struct request){.settings.store = true};
	struct reader reader = {.request = request, .transport = transport, .now_ms = now_ms};
	if (read_members(object, &reader, error) != 0) {
		request_free(request);
		return -1;
	}
	return 0;
}

/* --- beside it ------------------------------------------------------------------------------------------------------ */

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
	struct field message = field_root("", NULL, error);
	return field_unknown(&message, name);
}

void request_free(struct request *request) {
	request_settings_free(&request->settings);
	item_list_free(&request->input);
	*request = (struct request){0};
}
