/* An https:// server: libcurl handles set up for it. Loop thread only. */
#ifndef SLUICE_UPSTREAM_SECURE_H
#define SLUICE_UPSTREAM_SECURE_H

#include "base/err.h"
#include "base/str.h"
#include "multi.h"
#include "transfer.h"
#include "upstream/client.h"

struct secure;

/* `multi` is borrowed, `options` are copied: a key in them is made of visible ASCII. NULL with ERR_MEMORY. */
struct secure *secure_new(const struct upstream_options *options, struct multi *multi, struct err *err);
void secure_free(struct secure **secure); /* its transfers must be stopped; wipes the key */

/* POST to /chat/completions and GET of /models, as endpoint.h says. */
int secure_post(const struct secure *secure, struct transfer *transfer, struct str body, struct err *err);
int secure_get(const struct secure *secure, struct transfer *transfer, int64_t timeout_ms, struct err *err);

#endif
