/* The edge: everything that touches the network on the clients' side. libwebsockets on the libuv loop: WebSocket
 * sessions, the HTTP API, SSE, the page. The sole user of libwebsockets.
 *
 * Each loop has an edge of its own, and all of them share what edge_shared_new made. One of them listens; it accepts for
 * all, and hands each connection to the loop that has the fewest. Everything about an edge is called on its own loop's
 * thread; edges are made one after the other, before the threads run. */
#ifndef SLUICE_EDGE_SERVER_H
#define SLUICE_EDGE_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "auth/auth.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/metrics.h"
#include "conversation/conversation.h"
#include "limit/gcra.h"
#include "loop/mailbox.h"
#include "response/engine.h"

struct edge;
struct edge_shared;

struct edge_options {
	const char *www;            /* folder of the page, read whole at start; "" or NULL: none */
	const char *public_url;     /* how people reach the server, or "" or NULL; with https:// cookies are Secure */
	const char *const *origins; /* further allowed Origins */
	size_t origin_count;
	uint32_t max_connections; /* of all loops together, as the next */
	uint32_t max_connections_per_address;
	size_t max_message;             /* bytes of a WebSocket message or an HTTP body */
	struct gcra_rate requests;      /* per connection */
	struct gcra_rate bytes;         /* per connection: what clients send */
	struct gcra_rate http_requests; /* per user on all loops, for HTTP requests, whose connections come and go */
	uint32_t max_lanes;             /* of one WebSocket */
	uint32_t max_in_flight;         /* turns that run on one WebSocket at once */
	uint32_t max_queued;            /* turns that wait */
	uint32_t abuse_refusals;        /* refused requests within a minute before the connection is closed with 1008 */
	int64_t header_timeout_ms, body_timeout_ms, idle_timeout_ms;
	int64_t ping_interval_ms, pong_timeout_ms;
	int64_t heartbeat_interval_ms; /* of silence while a turn runs; 0: no heartbeats */
	int64_t connection_lifetime_ms;
};

/* What the edges of `loops` loops share: limits that hold for the whole server, and the page's files, read here. Safe from
 * every thread. */
struct edge_shared *edge_shared_new(const struct edge_options *options, unsigned loops, const struct log *log,
				    struct err *err);
/* After every edge is freed and its loop has run out. */
void edge_shared_free(struct edge_shared **shared);

struct edge_deps {
	uv_loop_t *loop;
	struct mailbox *mailbox; /* of this loop; delivers nothing after edge_free */
	struct edge_shared *shared;
	const struct clock *clock;
	const struct log *log;
	struct metrics *metrics;
	struct auth *auth;
	struct conversations *conversations;
	struct engine *engine;
};

/* From here on it may be given connections. */
struct edge *edge_new(const struct edge_options *options, const struct edge_deps *deps, struct err *err);

struct edge_door {
	const char *address;  /* to bind: 127.0.0.1, ::1, 0.0.0.0 */
	uint16_t port;        /* 0: a free one */
	const int *inherited; /* listening sockets that were handed down, instead of these two; taken over */
	size_t inherited_count;
};

/* Listens for all edges that share, when it returns. Of one of them only. */
int edge_listen(struct edge *edge, const struct edge_door *door, struct err *err);
/* Of the first listening socket, as bound: 127.0.0.1:8080, [::1]:8080. */
const char *edge_address(const struct edge *edge);

/* Accepts no more connections, for good. Those that wait on an inherited socket stay there for the successor. What was
 * accepted for another loop has been posted to its mailbox when this returns: a later letter finds it arrived. Of an edge
 * that does not listen, nothing. */
void edge_stop_accepting(struct edge *edge);
/* Whether a connection was accepted whose request has not been read: to close it now would cost its client the answer. */
bool edge_has_newcomers(const struct edge *edge);
/* Stops accepting; refuses new sessions, turns and requests with server_draining; only /healthz, /readyz (which says 503)
 * and /metrics go on answering, and every answer is the last of its connection. Closes connections without a request. Tells
 * every WebSocket `sluice:draining`; sessions without work are closed with 1012, the others when their running turn has
 * ended. */
void edge_drain(struct edge *edge);
size_t edge_connection_count(const struct edge *edge);
/* Closes what is left, at once, and frees everything; afterwards the loop must run until it has nothing to do. */
void edge_free(struct edge **edge);

#endif
