/* What came of a response since the last time, on its way to another loop: the log's new entries and texts as they are, the
 * items that they are of, and at the end how it ended. Private to the response layer. */
#ifndef SLUICE_RESPONSE_INCREMENT_H
#define SLUICE_RESPONSE_INCREMENT_H

#include "response.h"

enum increment_kind {
	INCREMENT_EVENTS,
	INCREMENT_REFUSED, /* it never began: `error` says why */
	INCREMENT_GONE,    /* it is not on this loop any more: the store has it, or nobody */
	INCREMENT_JOINED,  /* its idempotency key stands for an earlier one: `joined` */
};

struct increment_item {
	size_t index; /* output index */
	struct item item;
};

/* What does not change: with the first increment. */
struct increment_head {
	char conversation_id[ID_SIZE];
	char parent_id[ID_SIZE];
	char model[REQUEST_MODEL_SIZE];
	struct request_settings settings;
	struct item_list input;
	int64_t created_ms;
	int64_t shown_tokens;
};

struct increment_end {
	enum response_status status;
	int64_t completed_ms;
	char reason[64];
	char *error_message;
	struct api_error failure;
	struct response_usage usage;
};

/* Owns what it holds; zeroed is empty. */
struct increment {
	enum increment_kind kind;
	uint32_t first; /* number of its first event; 0: it has a head */
	struct event_entry *entries;
	uint32_t *side_ends; /* NULL: there is nothing beside the text */
	uint32_t count;
	struct buf text, side;
	struct increment_item *items;
	size_t item_count;
	struct increment_head head;
	bool ends; /* it has an end */
	struct increment_end end;
	struct api_error error;
	char joined[ID_SIZE];
};

void increment_free(struct increment *increment);
/* From event `first` on. -1 when memory is out. */
int increment_take(struct increment *increment, struct response *from, uint32_t first);
/* Moves it into the mirror, which has all before it. -1 when memory is out: then the mirror is no use any more. */
int increment_apply(struct increment *increment, struct response *to);

#endif
