/* Reading a request's headers through libwebsockets, safely: bounded copies, and what its parser lets through. */
#ifndef SLUICE_EDGE_HEADERS_H
#define SLUICE_EDGE_HEADERS_H

#include <stdbool.h>

#include "base/str.h"
#include "http/route.h"
#include "lws.h"

#define HEADERS_MAX 8192 /* of all headers of a request together */

/* The header's value in `buffer`, trimmed; empty when it is absent or does not fit. Repeated ones are joined by commas. */
struct str headers_get(struct lws *wsi, enum lws_token_indexes name, char *buffer, size_t size);
bool headers_has(struct lws *wsi, enum lws_token_indexes name);
/* A header that libwebsockets has no number for; `name` is in lower case and ends in a colon. False when it is absent. The
 * value is empty when it does not fit. */
bool headers_get_custom(struct lws *wsi, const char *name, char *buffer, size_t size, struct str *value);
bool headers_repeated(struct lws *wsi, enum lws_token_indexes name);
/* The query behind the '?', put together again; empty when there is none or it does not fit. */
struct str headers_query(struct lws *wsi, char *buffer, size_t size);
/* Whether a NUL stands in any known header: libwebsockets stores it, and C texts would end there. */
bool headers_hold_nul(struct lws *wsi);
/* Whether a header of this name (lower case) was sent with blanks before its colon, which RFC 9112, 5.1 forbids: it then is
 * unknown to libwebsockets, but not to every proxy. Finds runs of one kind of blank. */
bool headers_has_blank_before_colon(struct lws *wsi, const char *name);
/* Whether a comma-separated header has this token, ASCII case aside. */
bool headers_list_has(struct str list, const char *token);
/* Method and path (percent-decoded by libwebsockets); -1 when there is none. */
int headers_target(struct lws *wsi, enum http_method *method, bool *options, struct str *path);

#endif
