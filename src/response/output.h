/* What the model says, as items and their events: the one place that decides where an item begins and ends. Pure but for
 * the ids' clock. Private to the response layer. */
#ifndef SLUICE_RESPONSE_OUTPUT_H
#define SLUICE_RESPONSE_OUTPUT_H

#include <stdbool.h>

#include "event_log.h"
#include "proto/item.h"
#include "upstream/chat.h"

struct output {
	struct event_log events;
	struct item_list items; /* their texts are filled in when they are closed */
	/* The message or reasoning that is open: its index, or -1. Calls beside it stay open until the answer's end, because
	 * some upstreams interleave their arguments. */
	int open;
	uint16_t *calls; /* by the upstream's number: the index of its item */
	size_t call_count;
	struct event_entry pending; /* whose text waits in the log */
	int64_t now_ms;             /* dates ids */
	/* Gives a reasoning item what has to be there before it ends; may be NULL. -1 when memory is out. */
	int (*closing)(void *owner, struct item *item);
	void *owner;
};

void output_init(struct output *output);
void output_free(struct output *output);
/* Takes a piece: opens the item that it belongs to, if need be. -1 when memory is out, or an answer has too many items. */
int output_add(struct output *output, const struct chat_delta *delta);
/* Makes an event of what waits. -1 when memory is out. */
int output_flush(struct output *output);
/* An answer of no words is still a message. */
int output_open_message(struct output *output);
/* Ends all that is open: as completed, or as incomplete. */
int output_close(struct output *output, enum item_status status);
/* The items with the text that there is so far, for who asks in mid-stream. -1 when memory is out. */
int output_snapshot(const struct output *output, struct item_list *items);

#endif
