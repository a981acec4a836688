/* What the files of this layer share: the server object and its counters. */
#ifndef SLUICE_EDGE_EDGE_H
#define SLUICE_EDGE_EDGE_H

#include <time.h>

#include "base/buf.h"
#include "base/list.h"
#include "edge/server.h"
#include "files.h"
#include "listener.h"
#include "lws.h"
#include "places.h"
#include "refusal.h"
#include "users.h"
#include "wheel.h"

struct edge_metrics {
	struct gauge *http_connections;
	struct gauge *websocket_connections;
	struct counter *accepted;
	struct counter *refused_connections;
	struct counter *http_requests[6]; /* by status class; [0] is unused */
	struct counter *messages_in;
	struct counter *events_out;
	struct counter *bytes_in;
	struct counter *limit_refusals;
	struct counter *upgrades_refused;
	struct counter *abuse_closes;
	struct counter *timeouts;
	struct counter *rests;
};

struct edge {
	struct edge_options options;
	char **origins; /* owned copy of options.origins */
	bool tls;       /* people come over https:// */
	struct edge_deps deps;
	struct edge_metrics metrics;

	struct lws_context *context; /* libwebsockets sets it to NULL when it has freed it */
	struct lws_vhost *vhost;
	struct lws_protocols protocols[3];
	struct listener *listener; /* of the edge that listens for all; else NULL */
	struct refusals refusals;  /* the same edge's */

	/* Around the phase of the loop in which sockets are read: see http.c, is_replayed. */
	uv_prepare_t before_poll;
	uv_check_t after_poll;
	bool polling;
	int open_handles;

	uv_timer_t ticker;
	uv_timer_cb on_tick;
	bool ticking;
	struct wheel wheel; /* deadlines */
	struct list tired;  /* connections that have just begun to rest */
	struct wheel rests; /* of connections that had more than their share */

	struct list connections;
	size_t connection_count;
	uint64_t next_connection; /* for the log */

	/* What the edges of all loops share. */
	struct places *places;
	struct users *users;
	const struct files *files;
	struct seat *seat;
	struct place *arriving; /* while libwebsockets adopts a connection: its place */
	int64_t full_told_us;   /* when it was last said that there is no place; 0: never */

	/* Scratch for events and answers: only between two calls, never across them. */
	struct buf out;
	struct buf event;

	bool draining;
	bool closing;
	bool destroying;                   /* libwebsockets was told to go */
	const uv_handle_t *lws_handles[8]; /* the loop handles that libwebsockets keeps until its end */
	size_t lws_handle_count;
};

static inline int64_t edge_now_us(const struct edge *edge) {
	return clock_monotonic_us(edge->deps.clock);
}

/* The clock as it stood when the loop last woke up, in whole milliseconds: costs nothing, for what each token does. */
static inline int64_t edge_turn_us(const struct edge *edge) {
	return (int64_t)uv_now(edge->deps.loop) * 1000;
}

static inline int64_t edge_wall_ms(const struct edge *edge) {
	return clock_wall_ms(edge->deps.clock);
}

/* Empties `out` and leaves LWS_HEADROOM bytes at its start. */
static inline void edge_out_begin(struct buf *out) {
	buf_clear(out);
	if (buf_reserve(out, LWS_HEADROOM)) {
		out->length = LWS_HEADROOM;
	}
}

#endif
