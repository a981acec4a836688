/* Items: what turns are made of. A tagged union with one table of kinds; whatever has text has it in parts, so that one
 * reader, one writer and one log serve all kinds. Open Responses: ItemParam, ItemField. Pure. */
#ifndef SLUICE_PROTO_ITEM_H
#define SLUICE_PROTO_ITEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/json.h"
#include "base/str.h"
#include "proto/error.h"

enum item_kind {
	ITEM_MESSAGE,              /* its content parts */
	ITEM_FUNCTION_CALL,        /* one PART_ARGUMENTS; call_id, name */
	ITEM_FUNCTION_CALL_OUTPUT, /* one PART_OUTPUT, or input parts; call_id */
	ITEM_REASONING,            /* PART_SUMMARY_TEXT, PART_REASONING_TEXT, at most one PART_ENCRYPTED */
	ITEM_COMPACTION,           /* one PART_ENCRYPTED */
	ITEM_REFERENCE,            /* no parts: its id is that of a stored item. In a request only */
	ITEM_EXTENSION, /* one PART_JSON: "vendor:type", kept and returned as it came, never shown to a model */
};

enum item_role { ROLE_USER, ROLE_ASSISTANT, ROLE_SYSTEM, ROLE_DEVELOPER };
enum item_status { ITEM_IN_PROGRESS, ITEM_COMPLETED, ITEM_INCOMPLETE };
enum item_phase { PHASE_NONE, PHASE_COMMENTARY, PHASE_FINAL_ANSWER };

enum part_kind {
	PART_INPUT_TEXT,
	PART_OUTPUT_TEXT,
	PART_REFUSAL,
	PART_INPUT_IMAGE,    /* text: image_url, a data: or http(s) URL */
	PART_INPUT_FILE,     /* text: file_data, a data: URL or base64 */
	PART_INPUT_VIDEO,    /* text: video_url */
	PART_SUMMARY_TEXT,   /* of reasoning, in its `summary` */
	PART_REASONING_TEXT, /* of reasoning, in its `content` */
	PART_ENCRYPTED,      /* encrypted_content */
	PART_ARGUMENTS,      /* of a function call: JSON as the model wrote it, or broken JSON */
	PART_OUTPUT,         /* of a function call's output that is a string */
	PART_JSON,           /* an extension, whole */
};

struct part {
	enum part_kind kind;
	char *text; /* owned, UTF-8, NUL-terminated */
	size_t length;
	char *filename;    /* owned; of PART_INPUT_FILE; NULL: none */
	char *detail;      /* owned; of PART_INPUT_IMAGE: "low", "high", "auto"; NULL: not given */
	char *annotations; /* owned; of PART_OUTPUT_TEXT: JSON objects separated by commas, without brackets; NULL: none */
	char *logprobs;    /* owned; the same */
};

#define ITEM_NAME_SIZE 65    /* of a function: 1 to 64 of [a-zA-Z0-9_-] */
#define ITEM_CALL_ID_SIZE 65 /* 1 to 64 visible ASCII characters that JSON needs no escape for */

struct item {
	enum item_kind kind;
	char id[ID_SIZE];
	enum item_role role; /* of a message */
	enum item_status status;
	enum item_phase phase;           /* of an assistant's message */
	char call_id[ITEM_CALL_ID_SIZE]; /* of a function call and its output */
	char name[ITEM_NAME_SIZE];       /* of a function call */
	struct part *parts;              /* owned */
	size_t part_count;
};

struct item_list {
	struct item *items; /* owned */
	size_t count;
	size_t capacity;
};

const char *item_role_name(enum item_role role);
const char *item_status_name(enum item_status status);
/* What ids of this kind begin with: "msg", "fc", "rs" … */
const char *item_id_prefix(enum item_kind kind);

void item_free(struct item *item); /* the content; leaves it zeroed */
void item_list_free(struct item_list *list);
/* Moves the item into the list (the source is zeroed). -1 when memory is out; the item then is still the caller's. */
int item_list_add(struct item_list *list, struct item *item);
/* Deep copies. -1 when memory is out; `to` is untouched then. */
int item_copy(struct item *to, const struct item *from);
int item_list_copy(struct item_list *to, const struct item_list *from);
/* Adds a part with a copy of the text. NULL when memory is out; the item is as it was then. The pointer is valid until the
 * next part is added. */
struct part *item_add_part(struct item *item, enum part_kind kind, struct str text);
/* Appends to a part's text, or to its annotations or logprobs (with a comma where one is due). -1 when memory is out. */
int part_append(struct part *part, struct str text);
int part_append_json(char **elements, struct str more);
/* A message with one part: input_text, or output_text for the assistant. Copies the text. -1 when memory is out. */
int item_message(struct item *item, enum item_role role, enum item_status status, const char *id, struct str text);
/* The words of a message, in order: its text parts and refusals. Nothing of other kinds. */
void item_append_text(const struct item *item, struct buf *out);
/* Gives an item the status that its answer ends with. A function call whose arguments are whole is completed all the same: an
 * answer that was cut off may have some before the one that it was cut off in. */
void item_end(struct item *item, enum item_status status);
/* The item's first part of this kind, or NULL. */
const struct part *item_part(const struct item *item, enum part_kind kind);

/* Names the response of an item in a conversation's list; what was listed may be sent back. */
#define ITEM_RESPONSE_ID "sluice:response_id"

/* Reads one element of a request's `input` array; ids that are missing are made. `param` is its path, such as
 * "input[2]", and errors name the field below it. */
int item_read(const struct json *json, const char *param, int64_t now_ms, struct item *item, struct api_error *error);
/* Reads what item_write wrote (a stored item). */
int item_read_stored(struct str text, struct item *item, struct err *err);
/* Appends the item as the API shows it. */
void item_write(struct buf *out, const struct item *item);
/* The same as it was when it began to stream: status in_progress, without text and parts. */
void item_write_opened(struct buf *out, const struct item *item);
/* Appends one content part as the API shows it; `empty` as it was when it began to stream. Only of kinds that stand in a
 * `content` or `summary`. */
void part_write(struct buf *out, const struct part *part, bool empty);

#endif
