/* What a client says on a WebSocket: one row of a table for each type of message. */
#ifndef SLUICE_EDGE_MESSAGE_H
#define SLUICE_EDGE_MESSAGE_H

#include "session.h"

void message_handle(struct session *session, struct str text);
/* Tells the client of an error that counts against it; closes the session when there were too many. */
void message_refuse(struct session *session, const struct api_error *error);

#endif
