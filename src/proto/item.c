#include "proto/item.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "field.h"

/* What item_write puts into an output_text part takes 9 tokens of the JSON gate: a message with as many parts as this can
 * still be read back. */
#define MAX_PARTS 1000

static const char *const role_names[] = {
	[ROLE_USER] = "user", [ROLE_ASSISTANT] = "assistant", [ROLE_SYSTEM] = "system", [ROLE_DEVELOPER] = "developer"};
static const char *const status_names[] = {
	[ITEM_IN_PROGRESS] = "in_progress", [ITEM_COMPLETED] = "completed", [ITEM_INCOMPLETE] = "incomplete"};
static const char *const part_names[] = {[PART_INPUT_TEXT] = "input_text", [PART_OUTPUT_TEXT] = "output_text"};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* The name's index, or -1. */
static int name_index(const char *const *names, size_t count, struct str name) {
	for (size_t i = 0; i < count; i++) {
		if (str_is(name, names[i])) {
			return (int)i;
		}
	}
	return -1;
}

const char *item_role_name(enum item_role role) {
	return role_names[role];
}

const char *item_status_name(enum item_status status) {
	return status_names[status];
}

/* --- lists ------------------------------------------------------------------------------------------------------ */

void item_free(struct item *item) {
	for (size_t i = 0; i < item->part_count; i++) {
		mem_free(item->parts[i].text);
	}
	mem_free(item->parts);
	*item = (struct item){0};
}

void item_list_free(struct item_list *list) {
	for (size_t i = 0; i < list->count; i++) {
		item_free(&list->items[i]);
	}
	mem_free(list->items);
	*list = (struct item_list){0};
}

int item_list_add(struct item_list *list, struct item *item) {
	if (list->count == list->capacity) {
		size_t capacity = list->capacity > 0 ? list->capacity * 2 : 4;
		if (capacity > SIZE_MAX / sizeof *list->items) {
			return -1;
		}
		struct item *items = mem_realloc(list->items, capacity * sizeof *items);
		if (!items) {
			return -1;
		}
		list->items = items;
		list->capacity = capacity;
	}
	list->items[list->count++] = *item;
	*item = (struct item){0};
	return 0;
}

/* What the parts of a message by this role are (Open Responses: UserMessageItemParam, AssistantMessageItemParam …). */
static enum part_kind part_kind_of(enum item_role role) {
	return role == ROLE_ASSISTANT ? PART_OUTPUT_TEXT : PART_INPUT_TEXT;
}

/* `parts` has room. */
static int add_part(struct item *item, enum part_kind kind, struct str text) {
	char *copy = mem_memdup_str(text.data, text.length);
	if (!copy) {
		return -1;
	}
	item->parts[item->part_count++] = (struct part){.kind = kind, .text = copy, .length = text.length};
	return 0;
}

/* The one part of a message whose content is a plain text. */
static int set_text(struct item *item, struct str text) {
	item->parts = mem_zarray(1, sizeof *item->parts);
	return item->parts ? add_part(item, part_kind_of(item->role), text) : -1;
}

int item_message(struct item *item, enum item_role role, enum item_status status, const char *id, struct str text) {
	struct item made = {.kind = ITEM_MESSAGE, .role = role, .status = status};
	str_copy_cut(made.id, sizeof made.id, str_of(id));
	if (set_text(&made, text) != 0) {
		item_free(&made);
		return -1;
	}
	*item = made;
	return 0;
}

void item_append_text(const struct item *item, struct buf *out) {
	for (size_t i = 0; i < item->part_count; i++) {
		buf_append(out, item->parts[i].text, item->parts[i].length);
	}
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

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
	const char *wanted = part_names[part_kind_of(context->item->role)];
	if (!type || json_type(type) == JSON_NULL) {
		return field_missing(context->error, path, wanted);
	}
	if (json_type(type) != JSON_STRING) {
		return field_wrong_type(context->error, path, "a string", type);
	}
	if (str_is(json_str(type), wanted)) {
		return 0;
	}
	int known = name_index(later, COUNT(later), json_str(type));
	if (known >= 0) {
		return api_error_set(context->error, API_UNSUPPORTED, path,
				     "%s is \"%s\", which is not supported; send text as \"%s\"", path, later[known],
				     wanted);
	}
	char expected[80];
	snprintf(expected, sizeof expected, "\"%s\" in a message of role %s", wanted, role_names[context->item->role]);
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
	enum part_kind kind = part_kind_of(context->item->role);
	bool output = kind == PART_OUTPUT_TEXT;
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
	return add_part(context->item, kind, json_str(text)) == 0 ? 0 : field_no_memory(context->error);
}

static int read_content(const struct context *context, const char *path, const struct json *content) {
	struct item *item = context->item;
	if (json_type(content) == JSON_STRING) {
		return set_text(item, json_str(content)) == 0 ? 0 : field_no_memory(context->error);
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
	item->parts = mem_zarray(count, sizeof *item->parts);
	if (!item->parts) {
		return field_no_memory(context->error);
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
	int status = name_index(status_names, COUNT(status_names), json_str(value));
	if (status < 0) {
		return field_wrong_value(context->error, path, wanted, value);
	}
	context->item->status = (enum item_status)status;
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
	int role = name_index(role_names, COUNT(role_names), json_str(value));
	if (role < 0) {
		return field_wrong_value(context->error, path, wanted, value);
	}
	context->item->role = (enum item_role)role;
	return 0;
}

static int read_message(const struct context *context, const struct json *object) {
	static const struct field fields[] = {
		{"type", NULL},   {"role", NULL}, {"id", read_id}, {"status", read_status}, {"content", read_content},
		{"phase", refuse}};
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

/* One row a kind of item: those without a reader are in the specification, but not here yet. */
struct kind_row {
	const char *type;
	int (*read)(const struct context *context, const struct json *object);
};

static const struct kind_row kinds[] = {{"message", read_message},
					{"item_reference", NULL},
					{"reasoning", NULL},
					{"function_call", NULL},
					{"function_call_output", NULL},
					{"compaction", NULL},
					{"mcp_call", NULL},
					{"web_search_call", NULL},
					{"file_search_call", NULL},
					{"computer_call", NULL},
					{"computer_call_output", NULL},
					{"image_generation_call", NULL},
					{"code_interpreter_call", NULL},
					{"custom_tool_call", NULL},
					{"custom_tool_call_output", NULL},
					{"local_shell_call", NULL},
					{"local_shell_call_output", NULL}};

static int read_kind(const struct context *context, const struct json *object) {
	char path[FIELD_PATH_SIZE];
	field_path(path, context->path, "type");
	const struct json *type = json_get(object, "type");
	struct str name = STR("message");
	if (type && json_type(type) != JSON_NULL) {
		if (json_type(type) != JSON_STRING) {
			return field_wrong_type(context->error, path, "a string", type);
		}
		name = json_str(type);
	} else if (!json_get(object, "role") && json_get(object, "id")) {
		/* ItemReferenceParam may leave its type out, EasyInputMessage too: the role tells them apart. */
		name = STR("item_reference");
	}
	for (size_t i = 0; i < COUNT(kinds); i++) {
		if (str_is(name, kinds[i].type)) {
			return kinds[i].read ? kinds[i].read(context, object)
					     : api_error_set(context->error, API_UNSUPPORTED, path,
							     "%s \"%s\" is not supported; send \"message\"", path,
							     kinds[i].type);
		}
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
	struct json *json = json_parse(text, err);
	if (!json) {
		return err_set(err, ERR_CORRUPT, "a stored item is not JSON");
	}
	struct item made = {0};
	struct api_error error = {0};
	int result = read_kind(&(struct context){"", &made, &error}, json);
	if (result == 0 && !made.id[0]) {
		result = api_error_set(&error, API_MISSING_FIELD, "id", NULL);
	}
	json_free(&json);
	if (result != 0) {
		item_free(&made);
		/* Not the message: it may show content. */
		return err_set(err, ERR_CORRUPT, "a stored item has a bad field %s", error.param);
	}
	*item = made;
	return 0;
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

static void write_head(struct json_writer *w, const char *id, enum item_role role, enum item_status status) {
	jw_object(w);
	jw_key(w, "type");
	jw_text(w, "message");
	jw_key(w, "id");
	jw_text(w, id);
	jw_key(w, "status");
	jw_text(w, status_names[status]);
	jw_key(w, "role");
	jw_text(w, role_names[role]);
	jw_key(w, "content");
	jw_array(w);
}

static void write_part(struct json_writer *w, const struct part *part) {
	jw_object(w);
	jw_key(w, "type");
	jw_text(w, part_names[part->kind]);
	jw_key(w, "text");
	jw_str(w, (struct str){part->text, part->length});
	if (part->kind == PART_OUTPUT_TEXT) {
		jw_key(w, "annotations");
		jw_raw(w, STR("[]"));
		jw_key(w, "logprobs");
		jw_raw(w, STR("[]"));
	}
	jw_object_end(w);
}

void item_write(struct buf *out, const struct item *item) {
	struct json_writer w = json_writer(out);
	write_head(&w, item->id, item->role, item->status);
	for (size_t i = 0; i < item->part_count; i++) {
		write_part(&w, &item->parts[i]);
	}
	jw_array_end(&w);
	jw_object_end(&w);
}

void item_write_empty(struct buf *out, const char *id, enum item_role role) {
	struct json_writer w = json_writer(out);
	write_head(&w, id, role, ITEM_IN_PROGRESS);
	jw_array_end(&w);
	jw_object_end(&w);
}
