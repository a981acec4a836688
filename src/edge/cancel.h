/* Stopping a response from a WebSocket session, and explaining why there was nothing to stop. */
#ifndef SLUICE_EDGE_CANCEL_H
#define SLUICE_EDGE_CANCEL_H

#include "session.h"

/* Stops a live response of this user. -1: there is none of this id. */
int cancel_response(struct session *session, struct str id);
/* Tells the client, perhaps later, why there is none. */
void cancel_explain(struct session *session, const char *tag, struct str id);
/* Lets go of what is still looked for. */
void cancel_free(struct session *session);

#endif
