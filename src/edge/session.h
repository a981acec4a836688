/* A WebSocket session: the private object that outlet.c, stream.c, lanes.c, cancel.c,
 * subscription.c, message.c and session.c share, lowest first. */
#ifndef SLUICE_EDGE_SESSION_H
#define SLUICE_EDGE_SESSION_H

#include "auth/auth.h"
#include "connection.h"
#include "proto/error.h"
#include "response/engine.h"

/* For the client's part of the closing handshake. */
#define SESSION_CLOSE_MS 5000

struct session {
	uint32_t magic;
	struct connection *connection;
	struct edge *edge;
	struct principal who;
	char *request_id; /* of the upgrade; owned; NULL once it is established */

	/* what comes in */
	struct buf message; /* fragments so far */
	uint64_t fragments; /* of the message under way: frames, however many reads they take */
	uint64_t received;  /* its bytes, kept or dropped */
	struct buf held;    /* messages that came before the connection was not read any more: see connection_charge */
	bool in_frame;      /* more of the frame under way is to come */
	enum api_error_code refused; /* the message is, for this, and what comes of it is dropped */

	struct list streams;       /* struct stream: what is written as it comes */
	struct list lanes;         /* struct lane, the one that was used last at the end */
	uint32_t lane_count;       /* of them */
	uint32_t in_flight;        /* lanes in which a turn runs */
	struct list waiting;       /* turns of all lanes that wait, in the order of their arrival */
	uint32_t waiting_count;    /* of them */
	struct list subscriptions; /* conversations that are watched */
	uint32_t subscription_count;
	uint32_t steer_events; /* told so far: they have numbers of their own */
	struct list lookups;   /* cancels whose response is looked for in the store */

	/* what goes out */
	struct buf control; /* framed events of our own, while the socket takes nothing */
	bool closing;
	uint16_t close_code;
	const char *close_text;
	bool close_told;    /* the close frame is out */
	int64_t written_us; /* the last time that frames went to the socket */

	/* deadlines, monotonic */
	int64_t ping_us;    /* next ping */
	int64_t pong_us;    /* a sign of life is due by then; 0: none is awaited */
	int64_t expires_us; /* end of the connection's life */
	int64_t beat_us;    /* when to look whether a heartbeat is due */
	bool expired;
};

/* Admits the upgrade: makes the session and hangs it on the connection. NULL when memory is out. */
struct session *session_new(struct connection *connection, const struct principal *who);
struct session *session_of(const struct connection *connection);

/* libwebsockets' callbacks, with what they return. */
int session_established(struct connection *connection);
int session_receive(struct connection *connection, struct str bytes);
int session_pong(struct connection *connection);
int session_writable(struct connection *connection);
/* The client has sent a close frame: libwebsockets answers it, unless it is the answer to ours. */
int session_peer_closes(struct connection *connection);
/* Says that the server is about to stop, and closes as soon as no turn runs. */
void session_drain(struct connection *connection);

#endif
