/* What a model is shown: instructions, the turns before, the new input, as messages of Chat Completions. Private to the
 * response layer. */
#ifndef SLUICE_RESPONSE_CONTEXT_H
#define SLUICE_RESPONSE_CONTEXT_H

#include "conversation/conversation.h"
#include "conversation/turn.h"
#include "proto/error.h"
#include "upstream/chat.h"

struct context_source {
	struct conversations *conversations; /* opens what was sealed for a client: compactions, reasoning */
	const char *owner;
	const struct request_settings *settings;
	const struct turn *parent; /* NULL for a first turn */
	const char *parent_param;  /* the field of the request that named it */
	const struct item_list *input;
	uint32_t can;    /* bits of UPSTREAM_CAN_…: what the model can do */
	uint32_t tokens; /* of its context; 0: not declared */
	size_t max_size; /* bytes; 0: no bound */
};

struct context {
	struct chat_message *messages;
	size_t count;
	size_t skipped; /* of the oldest turns, taken off the front: not in messages and count any more */
	uint32_t needs; /* bits of UPSTREAM_CAN_… */
	/* The rest is where the messages point. */
	struct chat_message *all;
	struct chat_part *parts;
	struct chat_call *calls;
	char **owned; /* texts that were made for them */
	bool *begins; /* for each of `all`: whether a turn begins with it */
	size_t part_count, call_count, owned_count;
};

/* Borrows the items' texts: valid while the turns, the settings and the input are. Takes the oldest turns off where
 * truncation is "auto". -1 with an error: the model can't do what an item needs, what was sealed does not open, all of it is
 * too large, memory. */
int context_build(struct context *context, const struct context_source *source, struct api_error *error);
/* About how many tokens it is to the model, the tools included: a quarter of the ASCII bytes, and each other character. */
int64_t context_tokens(const struct context *context, const struct request_settings *settings);
void context_free(struct context *context);

#endif
