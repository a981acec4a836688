/* The guards between a stranger and the known faults of libwebsockets 4.1.6 (docs/security.md). Each is one function that
 * says whether the request may go on. */
#ifndef SLUICE_EDGE_GUARD_H
#define SLUICE_EDGE_GUARD_H

#include "edge.h"
#include "proto/error.h"

/* Callbacks that no HTTP or WebSocket connection of ours can have: CONNECT, HTTP/2 and other roles. */
bool guard_is_foreign_role(enum lws_callback_reasons reason);
/* An HTTP request whose framing can be read in two ways, or that hides something: close without an answer. */
bool guard_framing_is_sound(struct lws *wsi);
/* The request for an upgrade: -1 and an error to tell, or to close without an answer when error->code is API_OK. */
int guard_upgrade(struct edge *edge, struct lws *wsi, struct api_error *error);

#endif
