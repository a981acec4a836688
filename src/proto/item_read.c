#include <stdio.h>
#include <string.h>

#include "field.h"
#include "item_parts.h"

/* What item_write puts into an output_text part takes 9 tokens of the JSON gate: a message with as many parts as this can
 * still be read back. */
#define MAX_PARTS 1000

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static bool is_one_of(struct str name, const char *const *names, size_t count) {
	for (size_t i = 0; i < count; i++) {
		if (str_is(name, names[i])) {
			return true;
		}
	}
	return false;
}

/* What every field of a message or part is read with. */
struct context {
	const char *path; /* of the object that is read */
	struct item *item;
	struct api_error *error;
};

struct field {
	const char *name;
	/* NULL: read elsewhere, or neutral. */
	int (*read)(const struct context *context, const char *path, const struct json *value);
};

/* Each field of the object through its row; null is as if it were not there. */
static int read_fields(const struct context *context, const struct field *fields, size_t count,
		       const struct json *object) {
	for (const struct json *member = json_first(object); member; member = json_next(member)) {
		size_t i = 0;
		while (i < count && !str_is(json_key(member), fields[i].name)) {
			i++;
		}
		if (i == count) {
			return field_unknown(context->error, context->path, json_key(member));
		}
		char path[FIELD_PATH_SIZE];
		field_path(path, context->path, fields[i].name);
		if (json_type(member) != JSON_NULL && fields[i].read && fields[i].read(context, path, member) != 0) {
			return -1;
		}
	}
	return 0;
}

/* Output that a client sends back carries these; this version makes only empty ones. */
static int read_empty_array(const struct context *context, const char *path, const struct json *value) {
	if (json_type(value) != JSON_ARRAY || json_count(value) > 0) {
		return field_unsupported(context->error, path, "[]");
	}
	return 0;
}

static int check_part_type(const struct context *context, const char *path, const struct json *type) {
	static const char *const later[] = {"input_image", "input_file", "input_video",  "input_audio",
					    "refusal",     "text",       "summary_text", "reasoning_text"};
	const char *wanted = item_part_name(item_part_kind(context->item->role));
	if (!type || json_type(type) == JSON_NULL) {
		char quoted[32];
		snprintf(quoted, sizeof quoted, "\"%s\"", wanted);
		return field_missing(context->error, path, quoted);
	}
	if (json_type(type) != JSON_STRING) {
		return field_wrong_type(context->error, path, "a string", type);
	}
	if (str_is(json_str(type), wanted)) {
		return 0;
	}
	if (is_one_of(json_str(type), later, COUNT(later))) {
		return api_error_set(context->error, API_UNSUPPORTED, path,
				     "%s \"%.*s\" is not supported; send text as \"%s\"", path, STR_ARG(json_str(type)),
				     wanted);
	}
	char expected[80];
	snprintf(expected, sizeof expected, "\"%s\" in a message of role %s", wanted,
		 item_role_name(context->item->role));
	return field_wrong_value(context->error, path, expected, type);
}

static const struct field input_part_fields[] = {{"type", NULL}, {"text", NULL}};
static const struct field output_part_fields[] = {
	{"type", NULL}, {"text", NULL}, {"annotations", read_empty_array}, {"logprobs", read_empty_array}};

static int read_part(const struct context *context, const struct json *part) {
	char path[FIELD_PATH_SIZE];
	if (json_type(part) != JSON_OBJECT) {
		return field_wrong_type(context->error, context->path, "an object with type and text", part);
	}
	field_path(path, context->path, "type");
	if (check_part_type(context, path, json_get(part, "type")) != 0) {
		return -1;
	}
	bool output = item_part_kind(context->item->role) == PART_OUTPUT_TEXT;
	if (read_fields(context, output ? output_part_fields : input_part_fields,
			output ? COUNT(output_part_fields) : COUNT(input_part_fields), part) != 0) {
		return -1;
	}
	const struct json *text = json_get(part, "text");
	field_path(path, context->path, "text");
	if (!text) {
		return field_missing(context->error, path, "a string");
	}
	if (json_type(text) != JSON_STRING) {
		return field_wrong_type(context->error, path, "a string", text);
	}
	return item_add_part(context->item, item_part_kind(context->item->role), json_str(text))
		       ? 0
		       : field_no_memory(context->error);
}

static int read_content(const struct context *context, const char *path, const struct json *content) {
	struct item *item = context->item;
	if (json_type(content) == JSON_STRING) {
		return item_add_part(item, item_part_kind(item->role), json_str(content))
			       ? 0
			       : field_no_memory(context->error);
	}
	if (json_type(content) != JSON_ARRAY) {
		return field_wrong_type(context->error, path, "a string or an array of parts", content);
	}
	size_t count = json_count(content);
	if (count > MAX_PARTS) {
		return api_error_set(context->error, API_INVALID_VALUE, path, "%s must have at most %d parts, not %zu",
				     path, MAX_PARTS, count);
	}
	if (count == 0) {
		return 0;
	}
	size_t index = 0;
	for (const struct json *part = json_first(content); part; part = json_next(part), index++) {
		char part_path[FIELD_PATH_SIZE];
		field_path_index(part_path, path, index);
		if (read_part(&(struct context){part_path, item, context->error}, part) != 0) {
			return -1;
		}
	}
	return 0;
}

static int read_id(const struct context *context, const char *path, const struct json *value) {
	if (json_type(value) != JSON_STRING) {
		return field_wrong_type(context->error, path, "a string", value);
	}
	if (json_str(value).length == 0 || id_copy(context->item->id, json_str(value)) != 0) {
		return field_wrong_value(context->error, path, "1 to 63 characters of A-Z, a-z, 0-9, _ and -", value);
	}
	return 0;
}

static int read_status(const struct context *context, const char *path, const struct json *value) {
	const char *wanted = "\"in_progress\", \"completed\" or \"incomplete\"";
	if (json_type(value) != JSON_STRING) {
		return field_wrong_type(context->error, path, wanted, value);
	}
	if (item_status_parse(json_str(value), &context->item->status) != 0) {
		return field_wrong_value(context->error, path, wanted, value);
	}
	return 0;
}

static int refuse(const struct context *context, const char *path, const struct json *value) {
	(void)value;
	return field_unsupported(context->error, path, NULL);
}

/* Role before the rest, because it decides what the content may be. */
static int read_role(const struct context *context, const struct json *object) {
	const char *wanted = "\"user\", \"assistant\", \"system\" or \"developer\"";
	char path[FIELD_PATH_SIZE];
	field_path(path, context->path, "role");
	const struct json *value = json_get(object, "role");
	if (!value || json_type(value) == JSON_NULL) {
		return field_missing(context->error, path, wanted);
	}
	if (json_type(value) != JSON_STRING) {
		return field_wrong_type(context->error, path, wanted, value);
	}
	if (item_role_parse(json_str(value), &context->item->role) != 0) {
		return field_wrong_value(context->error, path, wanted, value);
	}
	return 0;
}

static int read_message(const struct context *context, const struct json *object) {
	static const struct field fields[] = {{"type", NULL},
					      {"role", NULL},
					      {"id", read_id},
					      {"status", read_status},
					      {"content", read_content},
					      {"phase", refuse},
					      {ITEM_RESPONSE_ID, NULL}};
	context->item->kind = ITEM_MESSAGE;
	context->item->status = ITEM_COMPLETED;
	if (read_role(context, object) != 0 || read_fields(context, fields, COUNT(fields), object) != 0) {
		return -1;
	}
	const struct json *content = json_get(object, "content");
	if (!content || json_type(content) == JSON_NULL) {
		char path[FIELD_PATH_SIZE];
		field_path(path, context->path, "content");
		return field_missing(context->error, path, "a string or an array of parts");
	}
	return 0;
}

/* The kind of an element that names none: ItemReferenceParam may leave its type out, and messages do
 * (EasyInputMessage). The role tells them apart. */
static struct str implied_kind(const struct json *object) {
	return !json_get(object, "role") && json_get(object, "id") ? STR("item_reference") : STR("message");
}

static int read_kind(const struct context *context, const struct json *object) {
	/* Items of Open Responses and of OpenAI's API that are not messages. */
	static const char *const later[] = {"item_reference",
					    "reasoning",
					    "function_call",
					    "function_call_output",
					    "compaction",
					    "custom_tool_call",
					    "custom_tool_call_output",
					    "computer_call",
					    "computer_call_output",
					    "file_search_call",
					    "web_search_call",
					    "code_interpreter_call",
					    "image_generation_call",
					    "local_shell_call",
					    "local_shell_call_output",
					    "shell_call",
					    "shell_call_output",
					    "apply_patch_call",
					    "apply_patch_call_output",
					    "mcp_list_tools",
					    "mcp_approval_request",
					    "mcp_approval_response",
					    "mcp_call"};
	char path[FIELD_PATH_SIZE];
	field_path(path, context->path, "type");
	const struct json *type = json_get(object, "type");
	bool named = type && json_type(type) != JSON_NULL;
	if (named && json_type(type) != JSON_STRING) {
		return field_wrong_type(context->error, path, "a string", type);
	}
	struct str kind = named ? json_str(type) : implied_kind(object);
	if (str_is(kind, "message")) {
		return read_message(context, object);
	}
	if (is_one_of(kind, later, COUNT(later))) {
		return api_error_set(context->error, API_UNSUPPORTED, path,
				     "%s \"%.*s\" is not supported; send \"message\"", path, STR_ARG(kind));
	}
	return field_wrong_value(context->error, path, "\"message\"", type);
}

static bool has_text(const struct item *item) {
	for (size_t i = 0; i < item->part_count; i++) {
		if (item->parts[i].length > 0) {
			return true;
		}
	}
	return false;
}

int item_read(const struct json *json, const char *param, int64_t now_ms, struct item *item, struct api_error *error) {
	if (json_type(json) != JSON_OBJECT) {
		return field_wrong_type(error, param, "an object: a message with role and content", json);
	}
	struct item made = {0};
	if (read_kind(&(struct context){param, &made, error}, json) != 0) {
		goto fail_made;
	}
	/* An answer may have been stopped before its first word; to say nothing oneself is a mistake. */
	if (made.role != ROLE_ASSISTANT && !has_text(&made)) {
		char path[FIELD_PATH_SIZE];
		field_path(path, param, "content");
		api_error_set(error, API_INVALID_VALUE, path, "%s is empty; send the message's text", path);
		goto fail_made;
	}
	if (!made.id[0]) {
		id_make(made.id, "msg", now_ms);
	}
	*item = made;
	return 0;

fail_made:
	item_free(&made);
	return -1;
}

int item_read_stored(struct str text, struct item *item, struct err *err) {
	struct err parse = {0};
	struct json *json = json_parse(text, &parse);
	if (!json) {
		return parse.code == ERR_MEMORY ? err_set(err, ERR_MEMORY, "out of memory while reading an item")
						: err_set(err, ERR_CORRUPT, "a stored item is not JSON");
	}
	struct item made = {0};
	struct api_error error = {0};
	int result = json_type(json) == JSON_OBJECT ? read_kind(&(struct context){"", &made, &error}, json)
						    : api_error_set(&error, API_INVALID_TYPE, NULL, NULL);
	if (result == 0 && !made.id[0]) {
		result = api_error_set(&error, API_MISSING_FIELD, "id", NULL);
	}
	json_free(&json);
	if (result != 0) {
		item_free(&made);
		/* The field and not the message, which may show content. */
		return error.code == API_OVERLOADED
			       ? err_set(err, ERR_MEMORY, "out of memory while reading an item")
			       : err_set(err, ERR_CORRUPT, "a stored item has a bad field %s", error.param);
	}
	*item = made;
	return 0;
}
