/* Who sends a request: API key, session cookie, or the key in a browser client's subprotocol. */
#ifndef SLUICE_EDGE_IDENTITY_H
#define SLUICE_EDGE_IDENTITY_H

#include "auth/auth.h"
#include "edge.h"
#include "proto/error.h"

#define IDENTITY_COOKIE "sluice_session"

/* What the request is about to do, as far as a cookie is concerned. */
enum identity_use {
	IDENTITY_READ,    /* a browser may send no Origin */
	IDENTITY_CHANGE,  /* with a cookie, an allowed Origin is a must */
	IDENTITY_UPGRADE, /* the same; and the key may stand in Sec-WebSocket-Protocol */
};

/* 0, or -1 with INVALID_KEY or ORIGIN_DENIED. */
int identity_find(struct edge *edge, struct lws *wsi, enum identity_use use, struct principal *who,
		  struct api_error *error);
/* Whether the request's Origin, if it has one, may talk to us. */
bool identity_origin_allowed(struct edge *edge, struct lws *wsi);

#endif
