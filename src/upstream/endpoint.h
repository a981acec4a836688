/* How a server is reached: its address, the headers with the API key, TLS; and requests to it, over the client that its
 * address asks for. Loop thread only. */
#ifndef SLUICE_UPSTREAM_ENDPOINT_H
#define SLUICE_UPSTREAM_ENDPOINT_H

#include <stdbool.h>
#include <uv.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "multi.h"
#include "transfer.h"
#include "upstream/client.h"

struct endpoint;

/* All borrowed. */
struct endpoint_deps {
	uv_loop_t *loop;
	const struct clock *clock;
	struct multi *multi; /* for https:// */
};

/* Copies what it needs of `options`. -1: ERR_INVALID for a URL that is not http or https, or a key that is no header
 * value. */
struct endpoint *endpoint_new(const struct upstream_options *options, const struct endpoint_deps *deps,
			      struct err *err);
/* All its transfers must be stopped. Wipes the key. The loop then still has handles to close. */
void endpoint_free(struct endpoint **endpoint);

/* Whether the API key stands in `text`: it must not be shown then. */
bool endpoint_key_in(const struct endpoint *endpoint, struct str text);

/* Each starts the transfer; no event runs before it returns. -1 with ERR_MEMORY. `body` is borrowed until the transfer is
 * stopped or says that it is sent. */
int endpoint_post_chat(const struct endpoint *endpoint, struct transfer *transfer, struct str body, struct err *err);
int endpoint_get_models(const struct endpoint *endpoint, struct transfer *transfer, struct err *err);

#endif
