/* Accepts clients' connections, on sockets that the service manager handed down or on one of our own, and gives each
 * descriptor to its owner. Knows nothing of what is spoken on them. Loop thread only.
 *
 * Accepting is ours and not libwebsockets', so that an inherited socket works with every version of it, and so that it can
 * stop: for good when the server goes, for a moment when descriptors run short. Out of them accept(2) fails, the socket
 * stays readable, and a loop that does not stop listening spins (fault 11). */
#ifndef SLUICE_EDGE_LISTENER_H
#define SLUICE_EDGE_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/metrics.h"

#define LISTENER_SOCKETS 16

struct listener;

struct listener_options {
	/* Listening TCP sockets that were handed down, or none. Taken over, and closed in any case. */
	const int *inherited;
	size_t inherited_count;
	/* Else: what to bind, a numeric address and a port or 0. */
	const char *address;
	uint16_t port;
	/* A descriptor this high means that few are left: they are handed out lowest first. */
	int descriptor_limit;
};

struct listener_deps {
	uv_loop_t *loop;
	const struct clock *clock;
	const struct log *log;
	struct counter *refused; /* closed at once for want of descriptors */
	/* Owns the descriptor from here on. It does not block, is not inherited by children, and does not delay small
	 * segments. Runs from the loop, and from listener_stop. */
	void (*on_connection)(void *owner, int descriptor);
	void *owner;
};

/* Listens when it returns. */
struct listener *listener_new(const struct listener_options *options, const struct listener_deps *deps,
			      struct err *err);
/* Of the first socket, as bound: 127.0.0.1:8080, [::1]:8080. */
const char *listener_address(const struct listener *listener);
bool listener_is_inherited(const struct listener *listener);

/* Accepts no more, for good, and lets the sockets go. Closing a socket resets the connections that wait on it: those on a
 * socket of our own are accepted first. Those on an inherited one are left to whoever is handed it next. */
void listener_stop(struct listener *listener);
/* Stops, without accepting what waits, and frees when the loop has run its close callbacks. */
void listener_free(struct listener **listener);

#endif
