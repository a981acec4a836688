#include "proto/tool.h"

#include <string.h>

#include "base/mem.h"
#include "tool_parts.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char *const mode_names[] = {[TOOLS_AUTO] = "auto", [TOOLS_NONE] = "none", [TOOLS_REQUIRED] = "required"};

/* --- memory --------------------------------------------------------------------------------------------------------- */

void tool_list_free(struct tool_list *list) {
	for (size_t i = 0; i < list->count; i++) {
		mem_free(list->tools[i].description);
		mem_free(list->tools[i].parameters);
	}
	mem_free(list->tools);
	*list = (struct tool_list){0};
}

void tool_choice_free(struct tool_choice *choice) {
	mem_free(choice->allowed);
	*choice = (struct tool_choice){0};
}

/* NULL stays NULL. */
static int copy_text(char **to, const char *from) {
	*to = mem_strdup(from);
	return from && !*to ? -1 : 0;
}

int tool_list_copy(struct tool_list *to, const struct tool_list *from) {
	struct tool_list copy = {0};
	if (from->count > 0) {
		copy.tools = mem_zarray(from->count, sizeof *copy.tools);
		if (!copy.tools) {
			return -1;
		}
	}
	for (; copy.count < from->count; copy.count++) {
		const struct tool *tool = &from->tools[copy.count];
		struct tool *made = &copy.tools[copy.count];
		*made = *tool;
		made->parameters = NULL;
		if (copy_text(&made->description, tool->description) != 0 ||
		    copy_text(&made->parameters, tool->parameters) != 0) {
			copy.count++;
			tool_list_free(&copy);
			return -1;
		}
	}
	*to = copy;
	return 0;
}

int tool_choice_copy(struct tool_choice *to, const struct tool_choice *from) {
	struct tool_choice copy = *from;
	copy.allowed = NULL;
	if (from->allowed_count > 0) {
		copy.allowed = mem_zarray(from->allowed_count, sizeof *copy.allowed);
		if (!copy.allowed) {
			return -1;
		}
		memcpy(copy.allowed, from->allowed, from->allowed_count * sizeof *copy.allowed);
	}
	*to = copy;
	return 0;
}

/* --- reading -------------------------------------------------------------------------------------------------------- */

/* Of a tool, or of a choice. Those of OpenAI's API are refused by name: they run in its service. */
static int check_type(const struct field *object, struct str *out) {
	struct field type = field_member(object, "type");
	if (!field_given(&type)) {
		return field_missing(&type, "\"function\"");
	}
	return field_string(&type, out);
}

static int refuse_type(const struct field *object) {
	struct field type = field_member(object, "type");
	char shown[FIELD_NAME_MAX + 1];
	str_copy_cut(shown, sizeof shown, json_str(type.value));
	return api_error_set(type.error, API_UNSUPPORTED, type.path,
			     "%s \"%s\" is not supported: this server runs no tools; declare it as a \"function\"",
			     type.path, shown);
}

static int read_strict(const struct field *object, enum tool_strict *out) {
	struct field strict = field_member(object, "strict");
	bool is_strict;
	if (!field_given(&strict)) {
		return 0;
	}
	if (field_bool(&strict, &is_strict) != 0) {
		return -1;
	}
	*out = is_strict ? STRICT_YES : STRICT_NO;
	return 0;
}

static int read_parameters(const struct field *object, char **out) {
	struct field parameters = field_member(object, "parameters");
	if (!field_given(&parameters)) {
		return 0;
	}
	return json_type(parameters.value) == JSON_OBJECT ? field_copy_json(&parameters, out)
							  : field_wrong_type(&parameters, "an object: a JSON schema");
}

static bool has_name(const struct tool_list *list, const char *name) {
	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->tools[i].name, name) == 0) {
			return true;
		}
	}
	return false;
}

/* What is nested stands in a member: "allowed_tools", "function". Its object has no type of its own. */
static int enter(const struct field *object, enum tool_form form, const char *member, struct field *inner) {
	const char *const names[] = {"type", member};
	*inner = *object;
	if (form == TOOL_FLAT) {
		return 0;
	}
	*inner = field_member(object, member);
	if (field_object(object, "an object", names, COUNT(names)) != 0) {
		return -1;
	}
	return field_given(inner) ? 0 : field_missing(inner, "an object");
}

/* An object whose members have the names; the first of them is `type`. */
static int check_members(const struct field *object, enum tool_form form, const char *const *names, size_t count) {
	size_t skipped = form == TOOL_NESTED ? 1 : 0;
	return field_object(object, "an object", names + skipped, count - skipped);
}

/* Of a tool, or of the choice of one: where its name stands. */
static int enter_function(const struct field *object, enum tool_form form, struct field *function) {
	struct str type = STR_NONE;
	if (json_type(object->value) != JSON_OBJECT) {
		return field_wrong_type(object, form == TOOL_FLAT ? "an object with type and name"
								  : "an object with type and function");
	}
	if (check_type(object, &type) != 0) {
		return -1;
	}
	return str_is(type, "function") ? enter(object, form, "function", function) : refuse_type(object);
}

/* Reads into the list's next place, which is zeroed. */
static int read_tool(const struct field *object, enum tool_form form, struct tool_list *list) {
	static const char *const names[] = {"type", "name", "description", "parameters", "strict"};
	struct tool *tool = &list->tools[list->count];
	struct field function;
	if (enter_function(object, form, &function) != 0) {
		return -1;
	}
	struct field name = field_member(&function, "name");
	struct field description = field_member(&function, "description");
	if (check_members(&function, form, names, COUNT(names)) != 0 || field_name(&name, tool->name) != 0) {
		return -1;
	}
	if (has_name(list, tool->name)) {
		return field_wrong_value(&name, "the only tool of this name");
	}
	if (field_given(&description) && field_copy_string(&description, &tool->description) != 0) {
		return -1;
	}
	return read_parameters(&function, &tool->parameters) != 0 ? -1 : read_strict(&function, &tool->strict);
}

int tool_list_read_field(const struct field *field, enum tool_form form, struct tool_list *list) {
	if (json_type(field->value) != JSON_ARRAY) {
		return field_wrong_type(field, "an array of tools");
	}
	size_t count = json_count(field->value);
	struct tool_list made = {0};
	if (count == 0) {
		*list = made;
		return 0;
	}
	if (count > TOOLS_MAX) {
		return api_error_set(field->error, API_INVALID_VALUE, field->path,
				     "%s must have at most %d tools, not %zu", field->path, TOOLS_MAX, count);
	}
	made.tools = mem_zarray(count, sizeof *made.tools);
	if (!made.tools) {
		return field_no_memory(field);
	}
	for (const struct json *value = json_first(field->value); value; value = json_next(value), made.count++) {
		struct field tool = field_element(field, made.count, value);
		if (read_tool(&tool, form, &made) != 0) {
			/* With the one that was begun. */
			made.count++;
			tool_list_free(&made);
			return -1;
		}
	}
	*list = made;
	return 0;
}

static int read_function(const struct field *object, enum tool_form form, char *name) {
	static const char *const names[] = {"type", "name"};
	struct field function;
	if (enter_function(object, form, &function) != 0) {
		return -1;
	}
	struct field field = field_member(&function, "name");
	return check_members(&function, form, names, COUNT(names)) != 0 ? -1 : field_name(&field, name);
}

static int read_mode(const struct field *field, enum tool_mode *mode) {
	size_t index;
	if (field_choice(field, mode_names, COUNT(mode_names), &index) != 0) {
		return -1;
	}
	*mode = (enum tool_mode)index;
	return 0;
}

static int read_allowed(const struct field *object, enum tool_form form, struct tool_choice *choice) {
	static const char *const names[] = {"type", "tools", "mode"};
	struct field allowed;
	if (enter(object, form, "allowed_tools", &allowed) != 0) {
		return -1;
	}
	struct field mode = field_member(&allowed, "mode");
	struct field tools = field_member(&allowed, "tools");
	if (check_members(&allowed, form, names, COUNT(names)) != 0 ||
	    (field_given(&mode) && read_mode(&mode, &choice->mode) != 0)) {
		return -1;
	}
	const char *wanted = "an array of functions";
	if (!field_given(&tools)) {
		return field_missing(&tools, wanted);
	}
	if (json_type(tools.value) != JSON_ARRAY) {
		return field_wrong_type(&tools, wanted);
	}
	size_t count = json_count(tools.value);
	if (count == 0 || count > TOOLS_MAX) {
		return api_error_set(tools.error, API_INVALID_VALUE, tools.path,
				     "%s must have 1 to %d functions, not %zu", tools.path, TOOLS_MAX, count);
	}
	choice->restricted = true;
	choice->allowed = mem_zarray(count, sizeof *choice->allowed);
	if (!choice->allowed) {
		return field_no_memory(object);
	}
	for (const struct json *value = json_first(tools.value); value; value = json_next(value)) {
		struct field function = field_element(&tools, choice->allowed_count, value);
		if (read_function(&function, form, choice->allowed[choice->allowed_count]) != 0) {
			return -1;
		}
		choice->allowed_count++;
	}
	return 0;
}

static int read_choice(const struct field *field, enum tool_form form, struct tool_choice *choice) {
	struct str type = STR_NONE;
	if (json_type(field->value) == JSON_STRING) {
		return read_mode(field, &choice->mode);
	}
	if (json_type(field->value) != JSON_OBJECT) {
		return field_wrong_type(field, "\"auto\", \"none\", \"required\" or an object with a type");
	}
	if (check_type(field, &type) != 0) {
		return -1;
	}
	if (str_is(type, "allowed_tools")) {
		return read_allowed(field, form, choice);
	}
	choice->mode = TOOLS_FUNCTION;
	return read_function(field, form, choice->function);
}

int tool_choice_read_field(const struct field *field, enum tool_form form, struct tool_choice *choice) {
	struct tool_choice made = {.said = true};
	if (read_choice(field, form, &made) != 0) {
		tool_choice_free(&made);
		return -1;
	}
	*choice = made;
	return 0;
}

int tool_list_read(const struct json *value, struct tool_list *list, struct api_error *error) {
	struct field field = field_root("tools", value, error);
	return tool_list_read_field(&field, TOOL_FLAT, list);
}

int tool_choice_read(const struct json *value, struct tool_choice *choice, struct api_error *error) {
	struct field field = field_root("tool_choice", value, error);
	return tool_choice_read_field(&field, TOOL_FLAT, choice);
}

/* --- which may be called -------------------------------------------------------------------------------------------- */

static int no_such_tool(struct api_error *error, const char *path, const char *name) {
	return api_error_set(error, API_INVALID_VALUE, path, "%s must be the name of a tool in tools, not \"%s\"", path,
			     name);
}

int tool_choice_check(const struct tool_choice *choice, const struct tool_list *list, struct api_error *error) {
	return tool_choice_check_form(choice, TOOL_FLAT, list, error);
}

int tool_choice_check_form(const struct tool_choice *choice, enum tool_form form, const struct tool_list *list,
			   struct api_error *error) {
	const char *name = form == TOOL_FLAT ? "name" : "function.name";
	struct field root = field_root("tool_choice", NULL, error);
	if (choice->mode == TOOLS_FUNCTION && !has_name(list, choice->function)) {
		struct field function = field_member(&root, name);
		return no_such_tool(error, function.path, choice->function);
	}
	struct field allowed = field_member(&root, form == TOOL_FLAT ? "tools" : "allowed_tools.tools");
	for (size_t i = 0; i < choice->allowed_count; i++) {
		if (!has_name(list, choice->allowed[i])) {
			struct field element = field_element(&allowed, i, NULL);
			struct field function = field_member(&element, name);
			return no_such_tool(error, function.path, choice->allowed[i]);
		}
	}
	if (choice->mode == TOOLS_REQUIRED && list->count == 0) {
		return api_error_set(error, API_INVALID_VALUE, "tool_choice",
				     "tool_choice \"required\" needs tools; send some, or \"auto\"");
	}
	return 0;
}

bool tool_choice_allows(const struct tool_choice *choice, struct str name) {
	if (choice->mode == TOOLS_NONE) {
		return false;
	}
	if (choice->mode == TOOLS_FUNCTION) {
		return str_is(name, choice->function);
	}
	for (size_t i = 0; i < choice->allowed_count; i++) {
		if (str_is(name, choice->allowed[i])) {
			return true;
		}
	}
	return !choice->restricted;
}

/* --- writing -------------------------------------------------------------------------------------------------------- */

static void write_function(struct json_writer *w, const char *name) {
	jw_object(w);
	jw_key(w, "type");
	jw_text(w, "function");
	jw_key(w, "name");
	jw_text(w, name);
}

/* With `full`, what was not said is there as null. */
static void write_tool(struct json_writer *w, const struct tool *tool, bool full) {
	write_function(w, tool->name);
	if (full || tool->description) {
		jw_key(w, "description");
		jw_text(w, tool->description);
	}
	if (full || tool->parameters) {
		jw_key(w, "parameters");
		jw_raw(w, tool->parameters ? str_of(tool->parameters) : STR("null"));
	}
	if (tool->strict != STRICT_UNSAID) {
		jw_key(w, "strict");
		jw_bool(w, tool->strict == STRICT_YES);
	} else if (full) {
		jw_key(w, "strict");
		jw_null(w);
	}
	jw_object_end(w);
}

static void write_tools(struct json_writer *w, const struct tool_list *list, bool full) {
	jw_array(w);
	for (size_t i = 0; i < list->count; i++) {
		write_tool(w, &list->tools[i], full);
	}
	jw_array_end(w);
}

static void write_choice(struct json_writer *w, const struct tool_choice *choice, bool full) {
	if (choice->mode == TOOLS_FUNCTION) {
		write_function(w, choice->function);
		jw_object_end(w);
		return;
	}
	if (!choice->restricted) {
		jw_text(w, mode_names[choice->mode]);
		return;
	}
	jw_object(w);
	jw_key(w, "type");
	jw_text(w, "allowed_tools");
	jw_key(w, "tools");
	jw_array(w);
	for (size_t i = 0; i < choice->allowed_count; i++) {
		write_function(w, choice->allowed[i]);
		jw_object_end(w);
	}
	jw_array_end(w);
	if (full || choice->mode != TOOLS_AUTO) {
		jw_key(w, "mode");
		jw_text(w, mode_names[choice->mode]);
	}
	jw_object_end(w);
}

void tool_list_write(struct json_writer *w, const struct tool_list *list) {
	write_tools(w, list, true);
}

void tool_choice_write(struct json_writer *w, const struct tool_choice *choice) {
	write_choice(w, choice, true);
}

void tool_list_write_said(struct json_writer *w, const struct tool_list *list) {
	write_tools(w, list, false);
}

void tool_choice_write_said(struct json_writer *w, const struct tool_choice *choice) {
	write_choice(w, choice, false);
}
