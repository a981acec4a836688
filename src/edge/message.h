/* What a client says on a WebSocket: one row of a table for each type of message. */
#ifndef SLUICE_EDGE_MESSAGE_H
#define SLUICE_EDGE_MESSAGE_H

#include "session.h"

void message_handle(struct session *session, struct str text);
/* Refuses what is no message at all; it costs as much as one that is. */
void message_refuse_garbage(struct session *session, const char *tag, const struct api_error *error);
/* Tells the client of an error (`tag`: outlet_error); closes the session when too many of them were refusals by a limit. */
void message_refuse(struct session *session, const char *tag, const struct api_error *error);

#endif
