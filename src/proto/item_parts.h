/* What reading an item shares with making and writing one. Private to proto. */
#ifndef SLUICE_PROTO_ITEM_PARTS_H
#define SLUICE_PROTO_ITEM_PARTS_H

#include "field.h"
#include "proto/item.h"

/* What item_write puts into an output_text part takes 9 tokens of the JSON gate: a message with as many parts as this can
 * still be read back. */
#define ITEM_PARTS_MAX 1000
#define ITEM_TEXT_MAX 10485760 /* characters of a text: Open Responses' maxLength */

#define ITEM_ROLES 4
#define ITEM_STATUSES 3
#define ITEM_PHASES 3

/* By their enums. */
extern const char *const item_role_names[ITEM_ROLES];
extern const char *const item_status_names[ITEM_STATUSES];
extern const char *const item_phase_names[ITEM_PHASES]; /* PHASE_NONE is "" */

/* The `type` of a kind; NULL for ITEM_EXTENSION, which has it in its JSON. */
const char *item_kind_name(enum item_kind kind);
/* The `type` of a part that stands in a `content` or `summary`. */
const char *item_part_name(enum part_kind kind);
/* What the text of a message by this role is, when it is a string. */
enum part_kind item_part_kind(enum item_role role);

/* The value of a `call_id`. */
int item_read_call_id(const struct field *id, struct item *item);

/* Whether any of its parts says something. */
bool item_has_text(const struct item *item);

/* Where a part may stand. */
enum part_place {
	PLACE_USER = 1,        /* a message of the user */
	PLACE_INSTRUCTION = 2, /* one of the system or a developer */
	PLACE_ASSISTANT = 4,
	PLACE_OUTPUT = 8, /* the output of a function call */
	PLACE_SUMMARY = 16,
	PLACE_REASONING = 32,
};

struct part_target {
	struct item *item; /* the part is added to it */
	enum part_place place;
	bool stored; /* written by item_write: data that was checked once is not decoded again */
};

/* Reads an element of a `content`, `output` or `summary`. -1 with the field's error. */
int part_read(const struct field *field, const struct part_target *target);
/* Adds a part of this kind, one that stands in the content of a message, whose text is this member of the object, under
 * whatever name; its other members have the names that part_read knows. Those that are unknown are the caller's to refuse. */
int part_read_kind(const struct field *object, enum part_kind kind, const char *text, struct item *item);
/* The elements of output_text's `annotations` and `logprobs`, checked, as JSON separated by commas; NULL when there are
 * none. The caller frees them with mem_free. */
int part_read_annotations(const struct field *field, char **out);
int part_read_logprobs(const struct field *field, char **out);
/* The same of Chat Completions' annotations: {"type":"url_citation","url_citation":{…}}. */
int part_read_nested_annotations(const struct field *field, char **out);

#endif
