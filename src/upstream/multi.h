/* libcurl's multi interface on the loop. Loop thread only.
 *
 * The transfers are spread over several multi handles ("shards"), made when needed and given back when unused: libcurl
 * walks all connections of a handle whenever a transfer starts, so that the cost of a start would grow with the load.
 *
 * No callback of a transfer ever runs inside libcurl: its bytes are gathered while libcurl works and handed on when it
 * has returned. Therefore callbacks may start and stop any transfer, themselves included. */
#ifndef SLUICE_UPSTREAM_MULTI_H
#define SLUICE_UPSTREAM_MULTI_H

#include <curl/curl.h>
#include <stdbool.h>
#include <uv.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"

struct multi;
struct shard;
struct transfer;

struct transfer_events {
	/* `input` has grown; what the owner has used it takes out. Once per wake-up, with all that came. */
	void (*readable)(struct transfer *transfer);
	/* It has ended and is stopped; all of `input` was announced before. CURLE_OK: an answer of any status. */
	void (*done)(struct transfer *transfer, CURLcode code);
};

/* Embedded by its owner, zeroed at first, who sets `easy` and `events` and frees `easy` and `input` while it is
 * stopped. */
struct transfer {
	CURL *easy;
	const struct transfer_events *events;
	struct buf input;
	struct shard *shard; /* NULL: stopped */
	struct list ready;
	bool starved; /* memory ran out inside libcurl */
};

/* `shard_size`: transfers of one shard, at most. */
struct multi *multi_new(uv_loop_t *loop, unsigned shard_size, struct err *err);
/* All transfers must be stopped; not from a transfer's callback. The memory goes when the loop has closed the
 * handles. */
void multi_free(struct multi **multi);

/* No callback runs before this returns. -1 with ERR_MEMORY. */
int multi_start(struct multi *multi, struct transfer *transfer, struct err *err);
/* No callback runs any more. An HTTP/1 connection whose answer is not complete is closed before this returns, an HTTP/2
 * stream is reset. A stopped transfer is left alone; it may be started again. */
void multi_stop(struct transfer *transfer);

#endif
