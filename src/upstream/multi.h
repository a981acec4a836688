/* The client for https://: libcurl's multi interface on the loop. Loop thread only.
 *
 * The transfers are spread over several multi handles ("shards"), made when needed and given back when unused: libcurl
 * walks all connections of a handle whenever a transfer starts, so that the cost of a start would grow with the load.
 *
 * No event of a transfer ever runs inside libcurl: its bytes are gathered while libcurl works and handed on when it has
 * returned. */
#ifndef SLUICE_UPSTREAM_MULTI_H
#define SLUICE_UPSTREAM_MULTI_H

#include <curl/curl.h>
#include <uv.h>

#include "base/err.h"
#include "transfer.h"

struct multi;

/* `shard_size`: transfers of one shard, at most. */
struct multi *multi_new(uv_loop_t *loop, unsigned shard_size, struct err *err);
/* All transfers must be stopped; not from a transfer's event. The memory goes when the loop has closed the handles. */
void multi_free(struct multi **multi);

/* Takes `easy` over, whatever comes back. What that borrows must stay until the transfer is stopped; `sent` is never said.
 * No event runs before this returns. -1 with ERR_MEMORY. */
int multi_start(struct multi *multi, struct transfer *transfer, CURL *easy, struct err *err);

#endif
