/* The client for http://: HTTP/1.1 on our own sockets, because a token costs less this way than through libcurl, and a
 * connection a tenth of its memory. Loop thread only.
 *
 * One read of the socket for each wake-up, into a buffer that all transfers of a server share; its body is handed on from
 * there. A connection whose answer was read to its end is kept for the next request. */
#ifndef SLUICE_UPSTREAM_PLAIN_H
#define SLUICE_UPSTREAM_PLAIN_H

#include <uv.h>

#include "base/clock.h"
#include "base/err.h"
#include "transfer.h"

struct plain; /* the connections to one server */

/* All borrowed. */
struct plain_deps {
	uv_loop_t *loop;
	const struct clock *clock;
};

struct plain *plain_new(const struct plain_deps *deps, const char *host, uint16_t port, int64_t connect_timeout_ms,
			struct err *err);
/* All transfers must be stopped; not from a transfer's event. The memory goes when the loop has closed the handles. */
void plain_free(struct plain **plain);

/* Borrowed until the transfer is stopped, `body` only until the transfer says that it is sent. */
struct plain_request {
	struct str head; /* request line and headers, each with its CRLF, without a length and the final empty line */
	struct str body; /* data NULL: it has none */
	int64_t timeout_ms; /* for all of it; 0: none but that for connecting */
};

/* No event runs before this returns. -1 with ERR_MEMORY. */
int plain_start(struct plain *plain, struct transfer *transfer, const struct plain_request *request, struct err *err);

#endif
