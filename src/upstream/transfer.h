/* One request to a model server and its answer, over whichever client carries it. Loop thread only.
 *
 * There are two: plain.h for http://, and libcurl (multi.h) for https://. Who starts a transfer says which
 * (endpoint.h); who has one need not know. */
#ifndef SLUICE_UPSTREAM_TRANSFER_H
#define SLUICE_UPSTREAM_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum transfer_result {
	TRANSFER_OK,           /* a whole answer, of any status */
	TRANSFER_UNKNOWN_HOST, /* its name has no address */
	TRANSFER_UNCONNECTED,  /* nobody took the connection: no byte of the request was sent */
	TRANSFER_BROKEN,       /* the connection ended before the answer did */
	TRANSFER_TLS,
	TRANSFER_TIMEOUT,
	TRANSFER_MALFORMED, /* not HTTP, or not as it must be */
	TRANSFER_MEMORY,
};

enum transfer_type { TRANSFER_TYPE_OTHER, TRANSFER_TYPE_JSON, TRANSFER_TYPE_EVENTS };

/* What is known of the answer before its body. */
struct transfer_head {
	int status; /* 0: none came yet */
	enum transfer_type type;
	int64_t retry_after_s; /* from now on; 0: not said */
};

struct transfer;

struct transfer_events {
	/* More of the answer's body, never empty, valid during the call. Once per wake-up, with all that came. */
	void (*readable)(struct transfer *transfer, struct str bytes);
	/* It has ended and is stopped; all of its bytes were announced before. */
	void (*done)(struct transfer *transfer, enum transfer_result result);
	/* A connection that was kept from an earlier request turned out to be closed, and the request is sent once more.
	 * NULL: of no interest. libcurl does not tell. */
	void (*repeated)(struct transfer *transfer);
};

/* How a client takes a transfer back. */
struct transfer_driver {
	void (*stop)(void *job);
};

/* Embedded by its owner, zeroed at first, who sets `events`. Events run from the loop, never within the call that starts
 * or stops a transfer; they may start and stop any, themselves included. */
struct transfer {
	const struct transfer_events *events;
	const struct transfer_driver *driver; /* NULL: stopped */
	void *job;                            /* the driver's */
	const char *reason;                   /* of a failure, for logs; static */
	struct transfer_head head;
	bool sent; /* the request's body is needed no more, once the answer has begun */
};

static inline bool transfer_runs(const struct transfer *transfer) {
	return transfer->driver != NULL;
}

/* No event comes any more. An HTTP/1 connection whose answer is not complete is closed before this returns, an HTTP/2
 * stream is reset, at the latest with what comes next on its connection. A stopped transfer is left alone; it may be started again. Its head stays. */
void transfer_stop(struct transfer *transfer);

/* For the drivers: it begins; and it ends, as the last thing that is done with it. */
void transfer_begin(struct transfer *transfer, const struct transfer_driver *driver, void *job);
void transfer_finish(struct transfer *transfer, enum transfer_result result, const char *reason);
/* The type that a Content-Type header names. */
enum transfer_type transfer_type_of(struct str content_type);

#endif
