/* What to say about a field that is not as it should be: the sentence names the field, what would be right and what was
 * found. Each returns -1, so that `return field_...` reads well. Private to proto. */
#ifndef SLUICE_PROTO_FIELD_H
#define SLUICE_PROTO_FIELD_H

#include "base/json.h"
#include "proto/error.h"

#define FIELD_PATH_SIZE 96 /* as api_error.param */
#define FIELD_NAME_MAX 64  /* of an unknown field's name, bytes; the rest is cut */

/* "temperature must be a number from 0 to 2, not a string" */
int field_wrong_type(struct api_error *error, const char *path, const char *wanted, const struct json *found);
/* "temperature must be a number from 0 to 2, not 3.5" */
int field_wrong_value(struct api_error *error, const char *path, const char *wanted, const struct json *found);
/* "tools is not supported; leave it out, or send []"; `accepted` may be NULL */
int field_unsupported(struct api_error *error, const char *path, const char *accepted);
/* "input[0].colour is not a known field"; `parent` may be "" */
int field_unknown(struct api_error *error, const char *parent, struct str name);
/* "input[0].role is missing; send …" */
int field_missing(struct api_error *error, const char *path, const char *wanted);
int field_no_memory(struct api_error *error);

/* parent "." name, or parent "[" index "]"; cut when too long. An empty parent gives the name alone. */
void field_path(char path[static FIELD_PATH_SIZE], const char *parent, const char *name);
void field_path_index(char path[static FIELD_PATH_SIZE], const char *parent, size_t index);

#endif
