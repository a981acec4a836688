/* A client's TCP connection, from accept to close: what HTTP and WebSocket share. One place among all, one deadline on
 * the wheel, ways to end it. Allocated when libwebsockets adopts it, freed when it destroys its own object; everything that
 * hangs on it (exchange, session) is let go earlier, at the logical close. */
#ifndef SLUICE_EDGE_CONNECTION_H
#define SLUICE_EDGE_CONNECTION_H

#include "edge.h"
#include "limiter.h"
#include "toll.h"

struct exchange;
struct session;
struct connection;
struct response;

typedef void connection_deadline_fn(struct connection *connection);

struct connection {
	uint32_t magic;
	struct edge *edge;
	struct lws *wsi; /* NULL once it is closed logically: nothing is written or asked for any more */
	struct list link;
	struct place place;
	struct wheel_timer timer;
	connection_deadline_fn *on_deadline;
	struct limiter limiter;
	struct toll toll;
	uint32_t read_ns; /* loop time for reading that is not booked yet */
	struct wheel_timer rest;
	struct list tired;         /* in edge->tired, until it is not read any more */
	struct exchange *exchange; /* the HTTP request under way, or NULL */
	struct session *session;   /* after the upgrade */
	void (*on_close)(struct connection *connection);
	void (*on_writable)(struct connection *connection);
	void (*on_rested)(struct connection *connection); /* after a rest; may be NULL */
	bool asked;                                       /* a request has been read */
	bool finishing;                                   /* close as soon as what was written is out */
	bool lingering;      /* answered before the whole request was read: swallow the rest for a moment */
	bool paused;         /* what hangs on it does not want more now */
	bool resting;        /* it has had more than its share of the loop */
	bool deaf;           /* and is not read */
	int64_t drain_by_us; /* when what was written must be out: see connection_await_drain */
	struct log log;      /* conn=NUMBER */
};

/* NULL when memory is out. Takes the place of edge->arriving over. Starts the header deadline. */
struct connection *connection_new(struct edge *edge, struct lws *wsi);
/* The one that hangs on this wsi; NULL for libwebsockets' own. */
struct connection *connection_of(struct lws *wsi);
/* The logical close: exchange and session are let go. May come more than once. */
void connection_closed(struct connection *connection);
void connection_free(struct connection *connection);

/* Calls `fn` once, `ms` from now, unless it is set anew or cleared. */
void connection_set_deadline(struct connection *connection, int64_t ms, connection_deadline_fn *fn);
void connection_clear_deadline(struct connection *connection);
/* A deadline that ends the connection: counts it and kills. */
void connection_time_out(struct connection *connection);

/* After an answer: gives the client the idle time to take it, then to ask for more. While an answer to a request without
 * a body is stuck, libwebsockets does not read, and input that waits makes the loop spin; a client that sends and does not
 * read is closed. */
void connection_await_drain(struct connection *connection);

/* Closes once libwebsockets says it is writable, so that what was written goes out first. */
void connection_finish(struct connection *connection);
/* Closes now, whatever waits to be sent; the close itself happens from the loop. */
void connection_kill(struct connection *connection);
/* The same, but what hangs on it is let go from the loop as well: for whoever still has some of that in hand. */
void connection_abort(struct connection *connection);
/* Ends one that waits for a request, at once: libwebsockets never says that such a one is writable. What an earlier answer
 * still owes goes out first. */
void connection_dismiss(struct connection *connection);
/* Whether a request is on its way that nobody has seen: accepted and nothing read yet, or kept alive and input waits. */
bool connection_is_newcomer(const struct connection *connection);
/* 0, or -1 when libwebsockets must close: what its callbacks return. */
int connection_verdict(const struct connection *connection);
/* Stops and resumes reading. Must be resumed before anything is written. */
void connection_pause(struct connection *connection);
void connection_resume(struct connection *connection);
/* Books `held_us` of the loop's processor time that the connection has used, and lets it rest when that was too much: it is not read
 * until others have had their share (toll.h). What it is sent goes out meanwhile. */
void connection_charge(struct connection *connection, int64_t held_us);
/* The same for reading `bytes` of what it sent, which is estimated: a read is short, and there are many. */
void connection_charge_read(struct connection *connection, size_t bytes);
/* The same for what the model was shown in a turn, which is estimated by its size. What has passed since the turn began
 * counts as rest: who continues a long conversation after a long answer does not wait. */
void connection_charge_question(struct connection *connection, const struct response *response, int64_t begun_us);
/* Reads on at once: for a connection that is being closed. */
void connection_rest_over(struct connection *connection);
/* Before each poll: stops reading those that have begun to rest. Not earlier: what libwebsockets 4.1.6 has read and keeps,
 * because reading was stopped in the middle of it, it does not look at again when reading goes on. Whoever is called back
 * during a rest keeps what comes. */
void connection_stop_tired(struct edge *edge);
/* Counts it among those: it rests and something came all the same. */
void connection_tire(struct connection *connection);
/* From the ticker: what the wheel of rests fires. */
void connection_rested(void *owner, struct wheel_timer *timer);
/* Has the kernel end the connection when what was sent is not acknowledged for so long: a peer that is gone without a word.
 * The same for a peer that takes nothing. */
void connection_expect_acknowledgement(const struct connection *connection, int64_t ms);
/* Whether the client has sent something that nobody has read, or has closed its end. */
bool connection_input_waits(const struct connection *connection);
/* Whether the socket still owes us what was written earlier. */
bool connection_is_blocked(const struct connection *connection);

/* From the ticker: what the wheel fires. */
void connection_fire(void *owner, struct wheel_timer *timer);

#endif
