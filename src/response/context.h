/* What a model is shown: instructions, the turns before, the new input. Private to the response layer. */
#ifndef SLUICE_RESPONSE_CONTEXT_H
#define SLUICE_RESPONSE_CONTEXT_H

#include "conversation/turn.h"
#include "upstream/chat.h"

struct context {
	struct chat_message *messages;
	struct chat_part *parts;
	size_t part_count;
	size_t count;
	struct buf joined; /* texts of items with several parts */
};

/* Bytes of text in all messages. */
size_t context_size(const struct context *context);
/* Borrows the items' texts: valid while the turns and the input are. -1 when memory is out. */
int context_build(struct context *context, const char *instructions, const struct turn *parent,
		  const struct item_list *input);
void context_free(struct context *context);

#endif
