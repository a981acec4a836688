/* The messages of a Chat Completions request, as items. */
#include "completion_parts.h"
#include "item_parts.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct reader {
	struct item_list *items;
	int64_t now_ms;
};

/* --- items ---------------------------------------------------------------------------------------------------------- */

static struct item new_item(const struct reader *reader, enum item_kind kind) {
	struct item item = {.kind = kind, .status = ITEM_COMPLETED};
	id_make(item.id, item_id_prefix(kind), reader->now_ms);
	return item;
}

/* Moves the item into the list if it was `read` well, and frees it otherwise. */
static int keep(const struct reader *reader, struct item *item, const struct field *field, int read) {
	if (read == 0 && item_list_add(reader->items, item) != 0) {
		read = field_no_memory(field);
	}
	if (read != 0) {
		item_free(item);
	}
	return read;
}

static int add_text(const struct field *field, struct item *item, enum part_kind kind) {
	struct str text = STR_NONE;
	if (field_bounded(field, ITEM_TEXT_MAX, &text) != 0) {
		return -1;
	}
	return item_add_part(item, kind, text) ? 0 : field_no_memory(field);
}

/* --- content -------------------------------------------------------------------------------------------------------- */

struct part_row {
	const char *type;
	unsigned places; /* enum part_place */
	enum part_kind kind;
	bool nested;      /* its members stand in a member that has the name of the type */
	const char *text; /* the member that becomes the part's text */
	const char *members[2];
};

static const struct part_row part_rows[] = {
	{"text", PLACE_USER | PLACE_INSTRUCTION | PLACE_OUTPUT, PART_INPUT_TEXT, false, "text", {0}},
	{"text", PLACE_ASSISTANT, PART_OUTPUT_TEXT, false, "text", {0}},
	{"image_url", PLACE_USER, PART_INPUT_IMAGE, true, "url", {"detail"}},
	{"file", PLACE_USER, PART_INPUT_FILE, true, "file_data", {"filename", "file_id"}},
	{"refusal", PLACE_ASSISTANT, PART_REFUSAL, false, "refusal", {0}},
};

/* The row of the part's type, when it may stand there; else NULL and an error. */
static const struct part_row *find_row(const struct field *object, enum part_place place) {
	struct field type = field_member(object, "type");
	const char *types[COUNT(part_rows)];
	const struct part_row *fitting[COUNT(part_rows)];
	size_t count = 0, index;
	char wanted[96];
	for (size_t i = 0; i < COUNT(part_rows); i++) {
		if (part_rows[i].places & place) {
			fitting[count] = &part_rows[i];
			types[count++] = part_rows[i].type;
		}
	}
	if (str_is(json_str(type.value), "input_audio")) {
		field_list_names(wanted, sizeof wanted, types, count);
		api_error_set(type.error, API_UNSUPPORTED, type.path, "%s \"input_audio\" is not supported; send %s",
			      type.path, wanted);
		return NULL;
	}
	return field_choice(&type, types, count, &index) == 0 ? fitting[index] : NULL;
}

static int read_part(const struct field *object, enum part_place place, struct item *item) {
	if (json_type(object->value) != JSON_OBJECT) {
		return field_wrong_type(object, "an object with a type");
	}
	const struct part_row *row = find_row(object, place);
	if (!row) {
		return -1;
	}
	struct field inner = row->nested ? field_member(object, row->type) : *object;
	const char *const outer[] = {"type", row->type};
	if (row->nested && field_object(object, "an object", outer, COUNT(outer)) != 0) {
		return -1;
	}
	const char *names[4] = {row->text};
	size_t count = 1;
	for (size_t i = 0; i < COUNT(row->members) && row->members[i]; i++) {
		names[count++] = row->members[i];
	}
	if (!row->nested) {
		names[count++] = "type";
	}
	return field_object(&inner, "an object", names, count) != 0
		       ? -1
		       : part_read_kind(&inner, row->kind, row->text, item);
}

static int read_parts(const struct field *content, enum part_place place, struct item *item) {
	size_t count = json_count(content->value);
	if (count > ITEM_PARTS_MAX) {
		return api_error_set(content->error, API_INVALID_VALUE, content->path,
				     "%s must have at most %d parts, not %zu", content->path, ITEM_PARTS_MAX, count);
	}
	size_t index = 0;
	for (const struct json *part = json_first(content->value); part; part = json_next(part), index++) {
		struct field element = field_element(content, index, part);
		if (read_part(&element, place, item) != 0) {
			return -1;
		}
	}
	return 0;
}

/* A string becomes a part of the kind. */
static int read_content(const struct field *content, enum part_place place, enum part_kind kind, struct item *item) {
	const char *wanted = "a string or an array of parts";
	switch (json_type(content->value)) {
	case JSON_STRING:
		return add_text(content, item, kind);
	case JSON_ARRAY:
		return read_parts(content, place, item);
	case JSON_NULL:
		return field_missing(content, wanted);
	default:
		return field_wrong_type(content, wanted);
	}
}

/* --- one function a role -------------------------------------------------------------------------------------------- */

/* It is no part of a message of Open Responses. */
static int refuse_name(const struct field *message) {
	struct field name = field_member(message, "name");
	return field_given(&name) ? field_unsupported(&name, NULL) : 0;
}

static int read_plain(const struct field *message, const struct reader *reader, enum item_role role) {
	static const char *const names[] = {"role", "content", "name"};
	struct field content = field_member(message, "content");
	if (field_object(message, "an object", names, COUNT(names)) != 0 || refuse_name(message) != 0) {
		return -1;
	}
	struct item item = new_item(reader, ITEM_MESSAGE);
	item.role = role;
	enum part_place place = role == ROLE_USER ? PLACE_USER : PLACE_INSTRUCTION;
	return keep(reader, &item, message, read_content(&content, place, PART_INPUT_TEXT, &item));
}

static int read_system(const struct field *message, const struct reader *reader) {
	return read_plain(message, reader, ROLE_SYSTEM);
}

static int read_developer(const struct field *message, const struct reader *reader) {
	return read_plain(message, reader, ROLE_DEVELOPER);
}

static int read_user(const struct field *message, const struct reader *reader) {
	return read_plain(message, reader, ROLE_USER);
}

/* The name of the function is that of the call, which the call's id finds. */
static int read_tool(const struct field *message, const struct reader *reader) {
	static const char *const names[] = {"role", "content", "tool_call_id", "name"};
	struct field content = field_member(message, "content");
	struct field id = field_member(message, "tool_call_id");
	if (field_object(message, "an object", names, COUNT(names)) != 0) {
		return -1;
	}
	struct item item = new_item(reader, ITEM_FUNCTION_CALL_OUTPUT);
	int result = item_read_call_id(&id, &item);
	return keep(reader, &item, message,
		    result != 0 ? -1 : read_content(&content, PLACE_OUTPUT, PART_OUTPUT, &item));
}

static int read_function(const struct field *message, const struct reader *reader) {
	(void)reader;
	struct field role = field_member(message, "role");
	return field_unsupported(&role, "\"tool\" with a tool_call_id in its place");
}

/* --- the assistant -------------------------------------------------------------------------------------------------- */

/* `index` and `parsed_arguments` are what it leaves there when a client puts a stream together, or an SDK's helper parses:
 * where the call stands, and the arguments once more. */
static int read_call(const struct field *call, const struct reader *reader) {
	static const char *const names[] = {"id", "type", "function", "index"};
	static const char *const types[] = {"function"};
	static const char *const inner[] = {"name", "arguments", "parsed_arguments"};
	struct field type = field_member(call, "type");
	struct field id = field_member(call, "id");
	struct field function = field_member(call, "function");
	struct field name = field_member(&function, "name");
	struct field arguments = field_member(&function, "arguments");
	struct item item = new_item(reader, ITEM_FUNCTION_CALL);
	struct str text = STR_NONE;
	size_t index;
	if (json_type(call->value) == JSON_OBJECT && str_is(json_str(type.value), "custom")) {
		return field_unsupported(&type, "\"function\"");
	}
	if (field_object(call, "an object with id, type and function", names, COUNT(names)) != 0 ||
	    field_choice(&type, types, COUNT(types), &index) != 0 || item_read_call_id(&id, &item) != 0 ||
	    field_object(&function, "an object with name and arguments", inner, COUNT(inner)) != 0 ||
	    field_name(&name, item.name) != 0 || field_string(&arguments, &text) != 0) {
		return -1;
	}
	int result = item_add_part(&item, PART_ARGUMENTS, text) ? 0 : field_no_memory(call);
	return keep(reader, &item, call, result);
}

static int read_calls(const struct field *calls, const struct reader *reader) {
	if (!field_given(calls)) {
		return 0;
	}
	if (json_type(calls->value) != JSON_ARRAY) {
		return field_wrong_type(calls, "an array of calls");
	}
	size_t index = 0;
	for (const struct json *call = json_first(calls->value); call; call = json_next(call), index++) {
		struct field element = field_element(calls, index, call);
		if (read_call(&element, reader) != 0) {
			return -1;
		}
	}
	return 0;
}

static int read_reasoning(const struct field *reasoning, const struct reader *reader) {
	struct str text = STR_NONE;
	if (!field_given(reasoning)) {
		return 0;
	}
	if (field_bounded(reasoning, ITEM_TEXT_MAX, &text) != 0) {
		return -1;
	}
	if (text.length == 0) {
		return 0;
	}
	struct item item = new_item(reader, ITEM_REASONING);
	int result = item_add_part(&item, PART_REASONING_TEXT, text) ? 0 : field_no_memory(reasoning);
	return keep(reader, &item, reasoning, result);
}

/* They belong to the words before all else. */
static int read_annotations(const struct field *annotations, struct item *item) {
	for (size_t i = 0; i < item->part_count; i++) {
		if (item->parts[i].kind == PART_OUTPUT_TEXT) {
			return part_read_nested_annotations(annotations, &item->parts[i].annotations);
		}
	}
	return json_count(annotations->value) == 0
		       ? 0
		       : api_error_set(annotations->error, API_INVALID_VALUE, annotations->path,
				       "%s needs the text that it is about in content", annotations->path);
}

/* Its content, annotations and refusal. */
static int read_words(const struct field *message, struct item *item) {
	struct field content = field_member(message, "content");
	struct field refusal = field_member(message, "refusal");
	struct field annotations = field_member(message, "annotations");
	item->role = ROLE_ASSISTANT;
	return (field_given(&content) && read_content(&content, PLACE_ASSISTANT, PART_OUTPUT_TEXT, item) != 0) ||
			       (field_given(&annotations) && read_annotations(&annotations, item) != 0) ||
			       (field_given(&refusal) && add_text(&refusal, item, PART_REFUSAL) != 0)
		       ? -1
		       : 0;
}

/* What the assistant said, if it said anything: a message that only calls functions has no words. */
static int read_answer(const struct field *message, const struct reader *reader, bool calls) {
	struct field content = field_member(message, "content");
	struct field refusal = field_member(message, "refusal");
	if (!calls && !field_given(&content) && !field_given(&refusal)) {
		return field_missing(&content, "a string or an array of parts, or tool_calls in its place");
	}
	struct item item = new_item(reader, ITEM_MESSAGE);
	int result = read_words(message, &item);
	if (result == 0 && calls && !item_has_text(&item)) {
		item_free(&item);
		return 0;
	}
	return keep(reader, &item, message, result);
}

static int refuse_old(const struct field *message) {
	struct field call = field_member(message, "function_call");
	struct field audio = field_member(message, "audio");
	if (field_given(&call)) {
		return field_unsupported(&call, "tool_calls in its place");
	}
	return field_given(&audio) ? field_unsupported(&audio, NULL) : 0;
}

/* `parsed` is what the helpers of OpenAI's SDKs add to an answer: the content once more. */
static int read_assistant(const struct field *message, const struct reader *reader) {
	static const char *const names[] = {
		"role",       "content",           "name",          "refusal", "annotations",
		"tool_calls", "reasoning_content", "function_call", "audio",   "parsed"};
	struct field reasoning = field_member(message, "reasoning_content");
	struct field calls = field_member(message, "tool_calls");
	if (field_object(message, "an object", names, COUNT(names)) != 0 || refuse_name(message) != 0 ||
	    refuse_old(message) != 0) {
		return -1;
	}
	return read_reasoning(&reasoning, reader) != 0 ||
			       read_answer(message, reader, json_count(calls.value) > 0) != 0 ||
			       read_calls(&calls, reader) != 0
		       ? -1
		       : 0;
}

/* --- entry ---------------------------------------------------------------------------------------------------------- */

static int read_message(const struct field *message, const struct reader *reader) {
	static const char *const roles[] = {"system", "developer", "user", "assistant", "tool", "function"};
	static int (*const readers[])(const struct field *, const struct reader *) = {
		read_system, read_developer, read_user, read_assistant, read_tool, read_function};
	struct field role = field_member(message, "role");
	size_t index;
	if (json_type(message->value) != JSON_OBJECT) {
		return field_wrong_type(message, "an object with role and content");
	}
	return field_choice(&role, roles, COUNT(roles), &index) != 0 ? -1 : readers[index](message, reader);
}

int completion_read_messages(const struct field *field, int64_t now_ms, struct item_list *items) {
	const struct reader reader = {items, now_ms};
	const char *wanted = "an array of messages";
	if (!field_given(field)) {
		return field_missing(field, wanted);
	}
	if (json_type(field->value) != JSON_ARRAY) {
		return field_wrong_type(field, wanted);
	}
	if (!json_first(field->value)) {
		return api_error_set(field->error, API_INVALID_VALUE, field->path,
				     "%s is an empty array; send at least one message", field->path);
	}
	size_t index = 0;
	for (const struct json *message = json_first(field->value); message; message = json_next(message), index++) {
		struct field element = field_element(field, index, message);
		if (read_message(&element, &reader) != 0) {
			return -1;
		}
	}
	return 0;
}
