/* Who watches a conversation, and what runs in it. Private to the response layer. */
#ifndef SLUICE_RESPONSE_FOLLOWERS_H
#define SLUICE_RESPONSE_FOLLOWERS_H

#include "response.h"

/* A stored response has begun to be shown: followers hear of it. Without memory they do not. */
void followers_enter(struct response *response);
/* It has ended. One that never entered is left alone. */
void followers_leave(struct response *response);

int followers_add(struct registry *registry, struct follower *follower, const char *conversation, follower_fn *began);
void followers_remove(struct registry *registry, struct follower *follower);
void followers_each_live(struct registry *registry, const char *conversation,
			 void (*each)(void *arg, struct response *response), void *arg);

#endif
