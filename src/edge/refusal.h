/* The answer to who was accepted and has no place: made beforehand but for the request's id, so that a crowd at a full server costs it next
 * to nothing. Whatever was asked, over HTTP or for a WebSocket, HTTP can tell it. RFC 9110, 15.6.4 and 10.2.3; RFC 6585, 4. */
#ifndef SLUICE_EDGE_REFUSAL_H
#define SLUICE_EDGE_REFUSAL_H

#include "base/buf.h"

struct refusal {
	struct buf answer;
	size_t id_at; /* where the request's id stands in it */
};

struct refusals {
	struct refusal full;    /* nobody else gets in either */
	struct refusal crowded; /* as many as may come from this address */
};

/* -1 when memory is out; refusals_free may follow either way. */
int refusals_make(struct refusals *refusals);
void refusals_free(struct refusals *refusals);

/* Sends what the socket takes at once, and closes it. `wall_ms`: the time, for the request's id. */
void refusal_send(const struct refusal *refusal, int descriptor, int64_t wall_ms);

#endif
