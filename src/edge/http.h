/* HTTP on a connection: from libwebsockets' callbacks to the handlers of api.h, by one route table. */
#ifndef SLUICE_EDGE_HTTP_H
#define SLUICE_EDGE_HTTP_H

#include "connection.h"
#include "proto/error.h"

/* Each answers what libwebsockets' callback must return. */
int http_request(struct connection *connection);
int http_body(struct connection *connection, struct str bytes);
int http_body_complete(struct connection *connection);
/* Answers a request for an upgrade with an error. */
int http_refuse_upgrade(struct connection *connection, const struct api_error *error);

#endif
