#include "field.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define VALUE_SHOWN 48
#define NAME_MAX_LENGTH 64

/* parent.name, or name alone. */
static void join(char path[static FIELD_PATH_SIZE], const char *parent, const char *name) {
	char whole[2 * FIELD_PATH_SIZE];
	snprintf(whole, sizeof whole, "%s%s%s", parent, parent[0] ? "." : "", name);
	str_copy_cut(path, FIELD_PATH_SIZE, str_of(whole));
}

struct field field_root(const char *path, const struct json *value, struct api_error *error) {
	struct field field = {.value = value, .error = error};
	str_copy_cut(field.path, sizeof field.path, str_of(path));
	return field;
}

struct field field_member(const struct field *parent, const char *name) {
	struct field field = {.value = json_get(parent->value, name), .error = parent->error};
	join(field.path, parent->path, name);
	return field;
}

struct field field_element(const struct field *parent, size_t index, const struct json *value) {
	struct field field = {.value = value, .error = parent->error};
	char whole[2 * FIELD_PATH_SIZE];
	snprintf(whole, sizeof whole, "%s[%zu]", parent->path, index);
	str_copy_cut(field.path, sizeof field.path, str_of(whole));
	return field;
}

bool field_given(const struct field *field) {
	return json_type(field->value) != JSON_NULL;
}

/* --- what is wrong -------------------------------------------------------------------------------------------------- */

/* A scalar as the client wrote it, cut; anything larger by its type. */
static void describe(const struct json *value, char *text, size_t size) {
	enum json_type type = json_type(value);
	if (type == JSON_ARRAY || type == JSON_OBJECT) {
		str_copy_cut(text, size, str_of(json_type_name(type)));
		return;
	}
	if (type == JSON_STRING) {
		char shown[VALUE_SHOWN];
		str_copy_cut(shown, sizeof shown, json_str(value));
		bool cut = json_str(value).length >= sizeof shown;
		snprintf(text, size, "\"%s%s\"", shown, cut ? "..." : "");
		return;
	}
	struct buf printed = BUF_INIT;
	json_print(value, &printed);
	str_copy_cut(text, size, printed.failed ? str_of(json_type_name(type)) : buf_str(&printed));
	buf_free(&printed);
}

int field_wrong_type(const struct field *field, const char *wanted) {
	return api_error_set(field->error, API_INVALID_TYPE, field->path, "%s must be %s, not %s", field->path, wanted,
			     json_type_name(json_type(field->value)));
}

int field_wrong_value(const struct field *field, const char *wanted) {
	char shown[VALUE_SHOWN + 8];
	describe(field->value, shown, sizeof shown);
	return api_error_set(field->error, API_INVALID_VALUE, field->path, "%s must be %s, not %s", field->path, wanted,
			     shown);
}

int field_unsupported(const struct field *field, const char *accepted) {
	return api_error_set(field->error, API_UNSUPPORTED, field->path, "%s is not supported; leave it out%s%s",
			     field->path, accepted ? ", or send " : "", accepted ? accepted : "");
}

int field_unknown(const struct field *object, struct str name) {
	char shown[FIELD_NAME_MAX + 1];
	str_copy_cut(shown, sizeof shown, name);
	char path[FIELD_PATH_SIZE];
	join(path, object->path, shown);
	return api_error_set(object->error, API_UNKNOWN_FIELD, path,
			     "%s is not a known field; remove it, or check its spelling", path);
}

int field_missing(const struct field *field, const char *wanted) {
	return api_error_set(field->error, API_MISSING_FIELD, field->path, "%s is missing; send %s", field->path,
			     wanted);
}

int field_no_memory(const struct field *field) {
	return api_error_set(field->error, API_OVERLOADED, NULL, "The server is out of memory; try again.");
}

void field_list_names(char *text, size_t size, const char *const *names, size_t count) {
	size_t length = 0;
	text[0] = '\0';
	for (size_t i = 0; i < count && length < size; i++) {
		const char *separator = i == 0 ? "" : i + 1 == count ? " or " : ", ";
		length += (size_t)snprintf(text + length, size - length, "%s\"%s\"", separator, names[i]);
	}
}

/* --- reading -------------------------------------------------------------------------------------------------------- */

static bool is_one_of(struct str name, const char *const *names, size_t count, size_t *index) {
	for (size_t i = 0; i < count; i++) {
		if (str_is(name, names[i])) {
			*index = i;
			return true;
		}
	}
	return false;
}

int field_object(const struct field *field, const char *wanted, const char *const *names, size_t count) {
	if (json_type(field->value) != JSON_OBJECT) {
		return field_wrong_type(field, wanted);
	}
	for (const struct json *member = json_first(field->value); member; member = json_next(member)) {
		size_t index;
		if (!is_one_of(json_key(member), names, count, &index)) {
			return field_unknown(field, json_key(member));
		}
	}
	return 0;
}

int field_string(const struct field *field, struct str *out) {
	if (!field->value) {
		return field_missing(field, "a string");
	}
	if (json_type(field->value) != JSON_STRING) {
		return field_wrong_type(field, "a string");
	}
	*out = json_str(field->value);
	return 0;
}

int field_bool(const struct field *field, bool *out) {
	if (json_type(field->value) != JSON_BOOL) {
		return field_wrong_type(field, "true or false");
	}
	*out = json_is_true(field->value);
	return 0;
}

int field_choice(const struct field *field, const char *const *names, size_t count, size_t *index) {
	bool is_string = json_type(field->value) == JSON_STRING;
	if (is_string && is_one_of(json_str(field->value), names, count, index)) {
		return 0;
	}
	char wanted[160];
	field_list_names(wanted, sizeof wanted, names, count);
	if (!field_given(field)) {
		return field_missing(field, wanted);
	}
	return is_string ? field_wrong_value(field, wanted) : field_wrong_type(field, wanted);
}

size_t field_characters(struct str text) {
	size_t count = 0;
	for (size_t i = 0; i < text.length; i++) {
		/* Every byte but a continuation starts one. */
		count += ((unsigned char)text.data[i] & 0xC0) != 0x80;
	}
	return count;
}

int field_bounded(const struct field *field, size_t most, struct str *out) {
	struct str text = STR_NONE;
	if (field_string(field, &text) != 0) {
		return -1;
	}
	/* There are no more characters than bytes. */
	if (text.length > most && field_characters(text) > most) {
		return api_error_set(field->error, API_INVALID_VALUE, field->path,
				     "%s must be at most %zu characters, not %zu", field->path, most,
				     field_characters(text));
	}
	*out = text;
	return 0;
}

int field_name(const struct field *field, char *name) {
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
	struct str text = STR_NONE;
	if (field_string(field, &text) != 0) {
		return -1;
	}
	bool good = text.length > 0 && text.length <= NAME_MAX_LENGTH;
	for (size_t i = 0; good && i < text.length; i++) {
		good = memchr(allowed, text.data[i], sizeof allowed - 1) != NULL;
	}
	if (!good) {
		return field_wrong_value(field, "1 to 64 characters of A-Z, a-z, 0-9, _ and -");
	}
	return str_copy(name, NAME_MAX_LENGTH + 1, text);
}

int field_copy_string(const struct field *field, char **out) {
	struct str text = STR_NONE;
	if (field_string(field, &text) != 0) {
		return -1;
	}
	char *copy = mem_memdup_str(text.data, text.length);
	if (!copy) {
		return field_no_memory(field);
	}
	*out = copy;
	return 0;
}

int field_copy_json(const struct field *field, char **out) {
	struct buf printed = BUF_INIT;
	json_print(field->value, &printed);
	char *copy = buf_take_text(&printed);
	if (!copy) {
		return field_no_memory(field);
	}
	*out = copy;
	return 0;
}
