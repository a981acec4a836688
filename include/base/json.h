/* JSON in and out.
 *
 * In: json_parse runs the gate, then cJSON; nothing reaches cJSON that the gate did not pass. The tree is read through
 * the functions here, which are case-sensitive and never crash on the wrong type.
 * Out: json_writer appends to a buf and sees to commas and escapes; no tree is built.
 * Pure, any thread. */
#ifndef SLUICE_BASE_JSON_H
#define SLUICE_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* The gate is RFC 8259, and stricter. It refuses: invalid UTF-8, raw control characters in strings, \u0000, unpaired
 * surrogate escapes, nesting deeper than 32, more than 10,000 tokens, duplicate keys in an object (compared after
 * unescaping), malformed numbers, numbers too large for a double (one too small reads as 0) or longer than 63
 * characters, anything behind the value. */
#define JSON_MAX_DEPTH 32
#define JSON_MAX_TOKENS 10000 /* a token: a string, number, literal, key, '{' or '[' */

/* 0, or -1 with ERR_INVALID and a text that says what and at which byte (from 0), or with ERR_MEMORY. */
int json_check(struct str text, struct err *err);

#define JSON_INTEGER_MAX INT64_C(9007199254740991) /* 2^53 - 1: up to here a double holds every integer */

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json; /* a value in a parsed tree; borrowed from the root */

struct json *json_parse(struct str text, struct err *err); /* NULL on refusal; the caller frees the root */
/* For what this server wrote itself and whose size was bounded then: any number of tokens. */
struct json *json_parse_stored(struct str text, struct err *err);
void json_free(struct json **root);

/* Every reading function takes NULL and treats it as null. */
enum json_type json_type(const struct json *value);
const char *json_type_name(enum json_type type);                         /* "a string", "an object": for messages */
const struct json *json_get(const struct json *object, const char *key); /* NULL if absent or not an object */
const struct json *json_first(const struct json *container);             /* first child, or NULL */
const struct json *json_next(const struct json *child);                  /* the one behind it, or NULL */
struct str json_key(const struct json *member);                          /* of an object's child */
size_t json_count(const struct json *container);
struct str json_str(const struct json *value); /* the text of a string; STR_NONE for anything else */
bool json_is_true(const struct json *value);
double json_number(const struct json *value); /* 0 unless a number */
/* An integral number, at most JSON_INTEGER_MAX either way; -1 otherwise. */
int json_integer(const struct json *value, int64_t *out);
/* Appends the value as compact JSON. */
void json_print(const struct json *value, struct buf *out);

/* Appends `s` escaped, without quotes: for templates. Invalid UTF-8 and NUL are written as U+FFFD, so that the gate
 * passes whatever is written here. '<' stays as it is. */
void json_escape(struct buf *out, struct str s);
/* The same with quotes. */
void json_append_string(struct buf *out, struct str s);

struct json_writer {
	struct buf *out;
	bool comma; /* a comma is due before the next value or key */
};

struct json_writer json_writer(struct buf *out);
void jw_object(struct json_writer *w); /* { */
void jw_object_end(struct json_writer *w);
void jw_array(struct json_writer *w); /* [ */
void jw_array_end(struct json_writer *w);
void jw_key(struct json_writer *w, const char *key); /* a key needs no escape: ours are plain */
void jw_key_str(struct json_writer *w, struct str key);
void jw_str(struct json_writer *w, struct str value);
void jw_text(struct json_writer *w, const char *value); /* NULL writes null */
void jw_int(struct json_writer *w, int64_t value);
void jw_double(struct json_writer *w, double value); /* 15 to 17 digits, enough to read back the same; NaN: null */
void jw_bool(struct json_writer *w, bool value);
void jw_null(struct json_writer *w);
void jw_raw(struct json_writer *w, struct str json); /* an already encoded value */

#endif
