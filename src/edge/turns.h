/* The turns of a WebSocket session: one runs, the others wait in order. The running one is a cursor on its response; its
 * events are written as they come, or when the socket can take them. */
#ifndef SLUICE_EDGE_TURNS_H
#define SLUICE_EDGE_TURNS_H

#include "session.h"

/* What a client wants next: a new response, or an earlier one again. */
struct turn_wish {
	struct request request;  /* owned */
	char resume_id[ID_SIZE]; /* of the response to resume; "": a new one */
	uint32_t resume_next;    /* the event wanted first */
};

/* Takes the wish over: starts it, lets it wait, or tells the client why not. */
void turns_add(struct session *session, struct turn_wish *wish);
/* Writes what waits to be written. For the writable callback. */
void turns_pump(struct session *session);
/* Stops a live response of this user. -1: there is none of this id. */
int turns_cancel(struct session *session, struct str id);
/* Tells the client, perhaps later, why there is none. */
void turns_explain_cancel(struct session *session, struct str id);
/* No turn runs or waits. */
bool turns_idle(const struct session *session);
/* Closes the session if it has nothing to do and its time is over (drain, lifetime). */
void turns_close_if_over(struct session *session);
/* Lets go of everything. */
void turns_free(struct session *session);

#endif
