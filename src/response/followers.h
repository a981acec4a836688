/* Who watches a conversation, and what runs in it on any loop. Private to the response layer. */
#ifndef SLUICE_RESPONSE_FOLLOWERS_H
#define SLUICE_RESPONSE_FOLLOWERS_H

#include "response.h"

/* A stored response has begun to be shown: the followers on all loops hear of it. Without memory they do not. */
void followers_enter(struct response *response);
int followers_add(struct registry *registry, struct follower *follower, const char *conversation, follower_fn *began);
void followers_remove(struct registry *registry, struct follower *follower);
void followers_each_live(struct registry *registry, const char *conversation,
			 void (*each)(void *arg, struct response *response), void *arg);

#endif
