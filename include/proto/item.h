/* Items: what turns are made of. A tagged union with one table of kinds; today there is one kind, the message.
 * Open Responses: ItemParam, ItemField, Message. Pure. */
#ifndef SLUICE_PROTO_ITEM_H
#define SLUICE_PROTO_ITEM_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/json.h"
#include "base/str.h"
#include "proto/error.h"

enum item_kind { ITEM_MESSAGE };
enum item_role { ROLE_USER, ROLE_ASSISTANT, ROLE_SYSTEM, ROLE_DEVELOPER };
enum item_status { ITEM_IN_PROGRESS, ITEM_COMPLETED, ITEM_INCOMPLETE };
enum part_kind { PART_INPUT_TEXT, PART_OUTPUT_TEXT };

struct part {
	enum part_kind kind;
	char *text; /* owned, UTF-8, NUL-terminated */
	size_t length;
};

struct item {
	enum item_kind kind;
	char id[ID_SIZE];
	enum item_role role;
	enum item_status status;
	struct part *parts; /* owned */
	size_t part_count;
};

struct item_list {
	struct item *items; /* owned */
	size_t count;
	size_t capacity;
};

const char *item_role_name(enum item_role role);
const char *item_status_name(enum item_status status);

void item_free(struct item *item); /* the content; leaves it zeroed */
void item_list_free(struct item_list *list);
/* Moves the item into the list (the source is zeroed). -1 when memory is out; the item then is still the caller's. */
int item_list_add(struct item_list *list, struct item *item);
/* A message with one part: input_text, or output_text for the assistant. Copies the text. -1 when memory is out. */
int item_message(struct item *item, enum item_role role, enum item_status status, const char *id, struct str text);
/* All text of the item's parts, in order. */
void item_append_text(const struct item *item, struct buf *out);

/* Names the response of an item in a conversation's list; what was listed may be sent back. */
#define ITEM_RESPONSE_ID "sluice:response_id"

/* Reads one element of a request's `input` array; ids that are missing are made ("msg_…"). `param` is its path, such as
 * "input[2]", and errors name the field below it. */
int item_read(const struct json *json, const char *param, int64_t now_ms, struct item *item, struct api_error *error);
/* Reads what item_write wrote (a stored item). */
int item_read_stored(struct str text, struct item *item, struct err *err);
/* Appends the item as the API shows it. */
void item_write(struct buf *out, const struct item *item);
/* The same, while it streams: status in_progress, content []. */
void item_write_empty(struct buf *out, const char *id, enum item_role role);

#endif
