/* A field of what a client sent: its value and where it stands, and what to say when it is not as it should be. The
 * sentence names the field, what would be right and what was found. Whatever can fail returns -1 with the error filled, so
 * that `return field_...` reads well. Private to proto. */
#ifndef SLUICE_PROTO_FIELD_H
#define SLUICE_PROTO_FIELD_H

#include "base/json.h"
#include "proto/error.h"

#define FIELD_PATH_SIZE 96 /* as api_error.param */
#define FIELD_NAME_MAX 64  /* of an unknown field's name, bytes; the rest is cut */

/* All borrowed. Passed by pointer, made by the functions below. */
struct field {
	char path[FIELD_PATH_SIZE]; /* "input[2].content"; "" for the whole; cut when too long */
	const struct json *value;   /* NULL or null: not given */
	struct api_error *error;
};

struct field field_root(const char *path, const struct json *value, struct api_error *error);
/* A member of an object: `parent.name`. Its value is NULL when there is none, or the parent is no object. */
struct field field_member(const struct field *parent, const char *name);
/* An element of an array: `parent[index]` */
struct field field_element(const struct field *parent, size_t index, const struct json *value);
bool field_given(const struct field *field);

/* --- what is wrong -------------------------------------------------------------------------------------------------- */

/* "temperature must be a number from 0 to 2, not a string" */
int field_wrong_type(const struct field *field, const char *wanted);
/* "temperature must be a number from 0 to 2, not 3.5" */
int field_wrong_value(const struct field *field, const char *wanted);
/* "tools is not supported; leave it out, or send []"; `accepted` may be NULL */
int field_unsupported(const struct field *field, const char *accepted);
/* "input[0].colour is not a known field" of this object */
int field_unknown(const struct field *object, struct str name);
/* "input[0].role is missing; send …" */
int field_missing(const struct field *field, const char *wanted);
int field_no_memory(const struct field *field);

/* "a", "b" or "c" */
void field_list_names(char *text, size_t size, const char *const *names, size_t count);

/* --- reading -------------------------------------------------------------------------------------------------------- */

/* An object all of whose members bear one of the names. `wanted`: "an object with type and text" */
int field_object(const struct field *field, const char *wanted, const char *const *names, size_t count);
int field_string(const struct field *field, struct str *out); /* of a field that must be given, or may not be null */
int field_bool(const struct field *field, bool *out);
/* One of the names: its index. */
int field_choice(const struct field *field, const char *const *names, size_t count, size_t *index);
/* A string of at most `most` characters (not bytes). */
int field_bounded(const struct field *field, size_t most, struct str *out);
/* A function's name: 1 to 64 of [a-zA-Z0-9_-], `name` has room for 65. */
int field_name(const struct field *field, char *name);
/* Copies of a string, and of a value as compact JSON. The caller frees them with mem_free. */
int field_copy_string(const struct field *field, char **out);
int field_copy_json(const struct field *field, char **out);

/* Characters, as the specification counts: the text is UTF-8. */
size_t field_characters(struct str text);

#endif
