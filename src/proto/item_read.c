#include <string.h>

#include "item_parts.h"

#define ENCRYPTED_MAX 10485760
#define OUTPUT_MAX 10485760

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct reader {
	struct item *item;
	int64_t now_ms;
	bool stored; /* written by item_write */
};

/* --- members that several kinds have -------------------------------------------------------------------------------- */

static int read_id(const struct field *object, struct item *item) {
	struct field id = field_member(object, "id");
	struct str text;
	if (!field_given(&id)) {
		return 0;
	}
	if (field_string(&id, &text) != 0) {
		return -1;
	}
	if (text.length == 0 || id_copy(item->id, text) != 0) {
		return field_wrong_value(&id, "1 to 63 characters of A-Z, a-z, 0-9, _ and -");
	}
	return 0;
}

static int read_status(const struct field *object, struct item *item) {
	struct field status = field_member(object, "status");
	size_t index = ITEM_COMPLETED;
	if (field_given(&status) && field_choice(&status, item_status_names, ITEM_STATUSES, &index) != 0) {
		return -1;
	}
	item->status = (enum item_status)index;
	return 0;
}

/* Written into events by template: nothing in it may need an escape. */
int item_read_call_id(const struct field *id, struct item *item) {
	struct str text = STR_NONE;
	if (field_string(id, &text) != 0) {
		return -1;
	}
	bool good = text.length > 0 && text.length < sizeof item->call_id;
	for (size_t i = 0; good && i < text.length; i++) {
		good = text.data[i] > ' ' && text.data[i] <= '~' && text.data[i] != '"' && text.data[i] != '\\';
	}
	if (!good) {
		return field_wrong_value(id, "1 to 64 visible ASCII characters without \" and \\");
	}
	return str_copy(item->call_id, sizeof item->call_id, text);
}

static int read_call_id(const struct field *object, struct item *item) {
	struct field id = field_member(object, "call_id");
	return item_read_call_id(&id, item);
}

/* A member that is a string and becomes a part. */
static int read_string_part(const struct field *field, struct item *item, enum part_kind kind, size_t most) {
	struct str text;
	if (field_bounded(field, most, &text) != 0) {
		return -1;
	}
	return item_add_part(item, kind, text) ? 0 : field_no_memory(field);
}

static int read_parts(const struct field *array, const struct reader *reader, enum part_place place) {
	struct part_target target = {.item = reader->item, .place = place, .stored = reader->stored};
	size_t count = json_count(array->value);
	if (count > ITEM_PARTS_MAX - reader->item->part_count) {
		return api_error_set(array->error, API_INVALID_VALUE, array->path,
				     "%s must have at most %zu parts, not %zu", array->path,
				     ITEM_PARTS_MAX - reader->item->part_count, count);
	}
	size_t index = 0;
	for (const struct json *part = json_first(array->value); part; part = json_next(part), index++) {
		struct field field = field_element(array, index, part);
		if (part_read(&field, &target) != 0) {
			return -1;
		}
	}
	return 0;
}

/* --- one function a kind -------------------------------------------------------------------------------------------- */

static int read_role(const struct field *object, struct item *item) {
	struct field role = field_member(object, "role");
	size_t index;
	if (field_choice(&role, item_role_names, ITEM_ROLES, &index) != 0) {
		return -1;
	}
	item->role = (enum item_role)index;
	return 0;
}

static int read_phase(const struct field *object, struct item *item) {
	struct field phase = field_member(object, "phase");
	size_t index;
	if (!field_given(&phase)) {
		return 0;
	}
	if (item->role != ROLE_ASSISTANT) {
		return api_error_set(phase.error, API_INVALID_VALUE, phase.path,
				     "%s is of messages of the assistant alone; leave it out", phase.path);
	}
	/* Without PHASE_NONE, which has no name. */
	if (field_choice(&phase, item_phase_names + 1, ITEM_PHASES - 1, &index) != 0) {
		return -1;
	}
	item->phase = (enum item_phase)(index + 1);
	return 0;
}

bool item_has_text(const struct item *item) {
	for (size_t i = 0; i < item->part_count; i++) {
		if (item->parts[i].length > 0) {
			return true;
		}
	}
	return false;
}

static int read_content(const struct field *object, const struct reader *reader) {
	static const enum part_place places[] = {[ROLE_USER] = PLACE_USER,
						 [ROLE_ASSISTANT] = PLACE_ASSISTANT,
						 [ROLE_SYSTEM] = PLACE_INSTRUCTION,
						 [ROLE_DEVELOPER] = PLACE_INSTRUCTION};
	struct field content = field_member(object, "content");
	struct item *item = reader->item;
	int result;
	if (!field_given(&content)) {
		return field_missing(&content, "a string or an array of parts");
	}
	if (json_type(content.value) == JSON_STRING) {
		result = read_string_part(&content, item, item_part_kind(item->role), ITEM_TEXT_MAX);
	} else if (json_type(content.value) == JSON_ARRAY) {
		result = read_parts(&content, reader, places[item->role]);
	} else {
		return field_wrong_type(&content, "a string or an array of parts");
	}
	/* An answer may have been stopped before its first word; to say nothing oneself is a mistake. */
	if (result == 0 && !reader->stored && item->role != ROLE_ASSISTANT && !item_has_text(item)) {
		return api_error_set(content.error, API_INVALID_VALUE, content.path,
				     "%s is empty; send the message's text", content.path);
	}
	return result;
}

static int read_message(const struct field *object, const struct reader *reader) {
	static const char *const names[] = {"type", "role", "id", "status", "content", "phase", ITEM_RESPONSE_ID};
	return field_object(object, "an object", names, COUNT(names)) != 0 || read_role(object, reader->item) != 0 ||
			       read_id(object, reader->item) != 0 || read_status(object, reader->item) != 0 ||
			       read_phase(object, reader->item) != 0 || read_content(object, reader) != 0
		       ? -1
		       : 0;
}

/* `parsed_arguments` is what the helpers of OpenAI's SDKs add: the arguments once more. */
static int read_call(const struct field *object, const struct reader *reader) {
	static const char *const names[] = {"type",      "id",     "call_id",          "name",
					    "arguments", "status", "parsed_arguments", ITEM_RESPONSE_ID};
	if (field_object(object, "an object", names, COUNT(names)) != 0 || read_id(object, reader->item) != 0 ||
	    read_status(object, reader->item) != 0 || read_call_id(object, reader->item) != 0) {
		return -1;
	}
	struct field name = field_member(object, "name");
	struct field arguments = field_member(object, "arguments");
	return field_name(&name, reader->item->name) != 0
		       ? -1
		       : read_string_part(&arguments, reader->item, PART_ARGUMENTS, SIZE_MAX);
}

static int read_call_output(const struct field *object, const struct reader *reader) {
	static const char *const names[] = {"type", "id", "call_id", "output", "status", ITEM_RESPONSE_ID};
	if (field_object(object, "an object", names, COUNT(names)) != 0 || read_id(object, reader->item) != 0 ||
	    read_status(object, reader->item) != 0 || read_call_id(object, reader->item) != 0) {
		return -1;
	}
	struct field output = field_member(object, "output");
	const char *wanted = "a string or an array of parts";
	switch (json_type(output.value)) {
	case JSON_STRING:
		return read_string_part(&output, reader->item, PART_OUTPUT, OUTPUT_MAX);
	case JSON_ARRAY:
		return read_parts(&output, reader, PLACE_OUTPUT);
	case JSON_NULL:
		return field_missing(&output, wanted);
	default:
		return field_wrong_type(&output, wanted);
	}
}

/* An array of parts that may not be there. */
static int read_thoughts(const struct field *array, const struct reader *reader, enum part_place place) {
	if (!field_given(array)) {
		return 0;
	}
	return json_type(array->value) == JSON_ARRAY ? read_parts(array, reader, place)
						     : field_wrong_type(array, "an array of parts");
}

static int read_reasoning(const struct field *object, const struct reader *reader) {
	static const char *const names[] = {"type",          "id", "summary", "content", "encrypted_content", "status",
					    ITEM_RESPONSE_ID};
	if (field_object(object, "an object", names, COUNT(names)) != 0 || read_id(object, reader->item) != 0 ||
	    read_status(object, reader->item) != 0) {
		return -1;
	}
	struct field summary = field_member(object, "summary");
	struct field content = field_member(object, "content");
	struct field encrypted = field_member(object, "encrypted_content");
	if (!field_given(&summary)) {
		return field_missing(&summary, "an array, [] for none");
	}
	if (read_thoughts(&summary, reader, PLACE_SUMMARY) != 0 ||
	    read_thoughts(&content, reader, PLACE_REASONING) != 0) {
		return -1;
	}
	return field_given(&encrypted) ? read_string_part(&encrypted, reader->item, PART_ENCRYPTED, ENCRYPTED_MAX) : 0;
}

static int read_compaction(const struct field *object, const struct reader *reader) {
	static const char *const names[] = {"type", "id", "encrypted_content", ITEM_RESPONSE_ID};
	struct field encrypted = field_member(object, "encrypted_content");
	return field_object(object, "an object", names, COUNT(names)) != 0 || read_id(object, reader->item) != 0 ||
			       read_string_part(&encrypted, reader->item, PART_ENCRYPTED, ENCRYPTED_MAX) != 0
		       ? -1
		       : 0;
}

static int read_reference(const struct field *object, const struct reader *reader) {
	static const char *const names[] = {"type", "id", ITEM_RESPONSE_ID};
	struct field id = field_member(object, "id");
	if (field_object(object, "an object", names, COUNT(names)) != 0) {
		return -1;
	}
	return field_given(&id) ? read_id(object, reader->item) : field_missing(&id, "the id of a stored item");
}

static bool is_extension_type(struct str type) {
	size_t colon;
	return str_find_char(type, ':', &colon) == 0 && colon > 0 && colon + 1 < type.length;
}

/* Kept as it came; only an id is added when it has none. */
static int read_extension(const struct field *object, const struct reader *reader) {
	struct item *item = reader->item;
	if (read_id(object, item) != 0) {
		return -1;
	}
	struct field id = field_member(object, "id");
	bool has_id = field_given(&id);
	if (!has_id && !reader->stored) {
		id_make(item->id, item_id_prefix(ITEM_EXTENSION), reader->now_ms);
	}
	struct buf whole = BUF_INIT;
	struct json_writer w = json_writer(&whole);
	jw_object(&w);
	for (const struct json *member = json_first(object->value); member; member = json_next(member)) {
		struct str key = json_key(member);
		if (str_is(key, ITEM_RESPONSE_ID) || (!has_id && str_is(key, "id"))) {
			continue;
		}
		jw_key_str(&w, key);
		/* An empty raw value sees to the comma behind it. */
		jw_raw(&w, STR_NONE);
		json_print(member, &whole);
	}
	if (!has_id) {
		jw_key(&w, "id");
		jw_text(&w, item->id);
	}
	jw_object_end(&w);
	bool added = !whole.failed && item_add_part(item, PART_JSON, buf_str(&whole));
	buf_free(&whole);
	return added ? 0 : field_no_memory(object);
}

/* --- which kind ----------------------------------------------------------------------------------------------------- */

static int (*const readers[])(const struct field *object, const struct reader *reader) = {
	[ITEM_MESSAGE] = read_message,
	[ITEM_FUNCTION_CALL] = read_call,
	[ITEM_FUNCTION_CALL_OUTPUT] = read_call_output,
	[ITEM_REASONING] = read_reasoning,
	[ITEM_COMPACTION] = read_compaction,
	[ITEM_REFERENCE] = read_reference,
	[ITEM_EXTENSION] = read_extension,
};

/* Of OpenAI's API: tools that run in its service, or on the client's machine in a form of its own. */
static const char *const refused[] = {"custom_tool_call",
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

/* The kind of an element that names none: ItemReferenceParam may leave its type out, and messages do
 * (EasyInputMessage). Their other members tell them apart. */
static enum item_kind implied_kind(const struct json *object) {
	return json_get(object, "id") && !json_get(object, "role") && !json_get(object, "content") ? ITEM_REFERENCE
												   : ITEM_MESSAGE;
}

static int find_kind(const struct field *object, enum item_kind *kind) {
	struct field type = field_member(object, "type");
	struct str name;
	if (!field_given(&type)) {
		*kind = implied_kind(object->value);
		return 0;
	}
	if (field_string(&type, &name) != 0) {
		return -1;
	}
	for (size_t i = 0; i < COUNT(readers); i++) {
		const char *known = item_kind_name((enum item_kind)i);
		if (known ? str_is(name, known) : is_extension_type(name)) {
			*kind = (enum item_kind)i;
			return 0;
		}
	}
	for (size_t i = 0; i < COUNT(refused); i++) {
		if (str_is(name, refused[i])) {
			return api_error_set(type.error, API_UNSUPPORTED, type.path,
					     "%s \"%s\" is not supported; leave the item out", type.path, refused[i]);
		}
	}
	return field_wrong_value(&type, "\"message\", \"function_call\", \"function_call_output\", \"reasoning\", "
					"\"compaction\", \"item_reference\" or \"vendor:name\"");
}

static int read_item(const struct field *object, const struct reader *reader) {
	enum item_kind kind;
	if (find_kind(object, &kind) != 0) {
		return -1;
	}
	reader->item->kind = kind;
	reader->item->status = ITEM_COMPLETED;
	return readers[kind](object, reader);
}

/* --- entry ---------------------------------------------------------------------------------------------------------- */

int item_read(const struct json *json, const char *param, int64_t now_ms, struct item *item, struct api_error *error) {
	struct item made = {0};
	struct field object = field_root(param, json, error);
	struct reader reader = {.item = &made, .now_ms = now_ms};
	if (json_type(json) != JSON_OBJECT) {
		return field_wrong_type(&object, "an object: a message with role and content, or another item");
	}
	if (read_item(&object, &reader) != 0) {
		item_free(&made);
		return -1;
	}
	if (!made.id[0]) {
		id_make(made.id, item_id_prefix(made.kind), now_ms);
	}
	*item = made;
	return 0;
}

int item_read_stored(struct str text, struct item *item, struct err *err) {
	struct err parse = {0};
	struct json *json = json_parse_stored(text, &parse);
	if (!json) {
		return parse.code == ERR_MEMORY ? err_set(err, ERR_MEMORY, "out of memory while reading an item")
						: err_set(err, ERR_CORRUPT, "a stored item is not JSON");
	}
	struct item made = {0};
	struct api_error error = {0};
	struct field object = field_root("", json, &error);
	struct reader reader = {.item = &made, .stored = true};
	int result = json_type(json) == JSON_OBJECT ? read_item(&object, &reader)
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
