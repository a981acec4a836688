/* The bodies of the endpoints that change conversations. OpenAI's API: CreateConversationBody, UpdateConversationBody,
 * createConversationItems. Pure. */
#ifndef SLUICE_PROTO_CONVERSATION_H
#define SLUICE_PROTO_CONVERSATION_H

#include "proto/item.h"

enum conversation_body_kind {
	CONVERSATION_BODY_CREATE, /* items, metadata; both may be left out */
	CONVERSATION_BODY_UPDATE, /* metadata; null for none */
	CONVERSATION_BODY_ITEMS,  /* items, at least one */
};

struct conversation_body {
	struct item_list items; /* at most 20; no references */
	char *metadata;         /* owned JSON object, "{}" if none were given; within the bounds of a request's */
};

/* -1 with an error that names the field; the body is empty then. `now_ms` dates the ids that are made for items without. */
int conversation_body_read(const struct json *object, enum conversation_body_kind kind, int64_t now_ms,
			   struct conversation_body *body, struct api_error *error);
void conversation_body_free(struct conversation_body *body);

#endif
