/* How the upstream is reached: its addresses, the headers with the API key, TLS; and libcurl handles set up for it.
 * Loop thread only. */
#ifndef SLUICE_UPSTREAM_ENDPOINT_H
#define SLUICE_UPSTREAM_ENDPOINT_H

#include <curl/curl.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "upstream/client.h"

struct endpoint;

/* Copies what it needs. -1: ERR_INVALID for a URL that is not http or https, or a key that is no header value. */
struct endpoint *endpoint_new(const struct upstream_options *options, struct err *err);
/* All handles made for it must be freed. Wipes the key. */
void endpoint_free(struct endpoint **endpoint);

bool endpoint_is_tls(const struct endpoint *endpoint);
/* Whether the API key stands in `text`: it must not be shown then. */
bool endpoint_key_in(const struct endpoint *endpoint, struct str text);

/* A handle for one request, to be freed with curl_easy_cleanup; NULL when memory is out. `body` is borrowed. */
CURL *endpoint_post_chat(const struct endpoint *endpoint, struct str body);
CURL *endpoint_get_models(const struct endpoint *endpoint);

#endif
