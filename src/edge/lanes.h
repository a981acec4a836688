/* The lanes of a WebSocket session. In each, turns run one after another; lanes run beside each other, as many as may be in
 * flight at once. A lane is named by the tag that its events carry (stream.h); the one without a name is "". It remembers
 * its latest response, so that what is not stored can be continued. Idle lanes make room for new ones. */
#ifndef SLUICE_EDGE_LANES_H
#define SLUICE_EDGE_LANES_H

#include "session.h"

/* What a client wants next: a new response, or an earlier one again. */
struct turn_wish {
	struct request request;  /* owned */
	char resume_id[ID_SIZE]; /* of the response to resume; "": a new one */
	uint32_t resume_next;    /* the event wanted first */
	bool follows;            /* nobody asked for it: it follows one that was steered */
};

#define LANE_TAG_SIZE (STREAM_ID_SIZE + 16)
void lane_tag(char tag[static LANE_TAG_SIZE], const char *stream_id);

/* Takes the wish over: starts it, lets it wait, or tells the client why not. */
void lanes_add(struct session *session, const char *tag, struct turn_wish *wish);
/* What a user adds to a response that runs in a lane: answered at once, and taken as input by a successor. */
void lanes_steer(struct session *session, struct str response_id, const struct json *input);
/* The response that runs in this lane; NULL if none does. */
struct response *lanes_running(const struct session *session, const char *tag);
/* Whether a lane is a watcher of this response. */
bool lanes_show(const struct session *session, const struct response *response);
/* Whether a lane's latest response has this id. */
bool lanes_remember(const struct session *session, struct str id);
/* Nothing runs, waits or is followed. */
bool lanes_idle(const struct session *session);
/* Closes the session if it has nothing to do and its time is over (drain, lifetime). */
void lanes_close_if_over(struct session *session);
/* Starts what waits and may start: after a rest of the connection. */
void lanes_go_on(struct session *session);
/* Lets go of everything. */
void lanes_free(struct session *session);

#endif
