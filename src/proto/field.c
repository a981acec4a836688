#include "field.h"

#include <stdio.h>

#define VALUE_SHOWN 48

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

int field_wrong_type(struct api_error *error, const char *path, const char *wanted, const struct json *found) {
	return api_error_set(error, API_INVALID_TYPE, path, "%s must be %s, not %s", path, wanted,
			     json_type_name(json_type(found)));
}

int field_wrong_value(struct api_error *error, const char *path, const char *wanted, const struct json *found) {
	char shown[VALUE_SHOWN + 8];
	describe(found, shown, sizeof shown);
	return api_error_set(error, API_INVALID_VALUE, path, "%s must be %s, not %s", path, wanted, shown);
}

int field_unsupported(struct api_error *error, const char *path, const char *accepted) {
	if (!accepted) {
		return api_error_set(error, API_UNSUPPORTED, path, "%s is not supported; leave it out", path);
	}
	return api_error_set(error, API_UNSUPPORTED, path, "%s is not supported; leave it out, or send %s", path,
			     accepted);
}

int field_unknown(struct api_error *error, const char *parent, struct str name) {
	char shown[FIELD_NAME_MAX + 1];
	str_copy_cut(shown, sizeof shown, name);
	char path[FIELD_PATH_SIZE];
	field_path(path, parent, shown);
	return api_error_set(error, API_UNKNOWN_FIELD, path,
			     "%s is not a known field; remove it, or check its spelling", path);
}

int field_missing(struct api_error *error, const char *path, const char *wanted) {
	return api_error_set(error, API_MISSING_FIELD, path, "%s is missing; send %s", path, wanted);
}

int field_no_memory(struct api_error *error) {
	return api_error_set(error, API_OVERLOADED, NULL, "The server is out of memory; try again.");
}

void field_path(char path[static FIELD_PATH_SIZE], const char *parent, const char *name) {
	char whole[2 * FIELD_PATH_SIZE];
	snprintf(whole, sizeof whole, "%s%s%s", parent, parent[0] ? "." : "", name);
	str_copy_cut(path, FIELD_PATH_SIZE, str_of(whole));
}

void field_path_index(char path[static FIELD_PATH_SIZE], const char *parent, size_t index) {
	char whole[2 * FIELD_PATH_SIZE];
	snprintf(whole, sizeof whole, "%s[%zu]", parent, index);
	str_copy_cut(path, FIELD_PATH_SIZE, str_of(whole));
}
