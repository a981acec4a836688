/* The conversations that a WebSocket session watches: whatever turn begins in one of them, on whatever connection of the
 * user, is streamed here as well. Each of its events names its response; before the first comes what was asked. */
#ifndef SLUICE_EDGE_SUBSCRIPTION_H
#define SLUICE_EDGE_SUBSCRIPTION_H

#include "session.h"

/* The client is told when it is watching, or later that there is no such conversation. -1: refused at once. */
int subscription_add(struct session *session, struct str conversation, struct api_error *error);
/* -1: it is not watched. */
int subscription_remove(struct session *session, struct str conversation, struct api_error *error);
/* Lets go of everything. */
void subscriptions_free(struct session *session);

#endif
