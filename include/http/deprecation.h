/* What of the interface is on its way out: one table, told by headers with each answer that used it. RFC 9745 (Deprecation),
 * RFC 8594 (Sunset), RFC 8288 (Link). Pure. */
#ifndef SLUICE_HTTP_DEPRECATION_H
#define SLUICE_HTTP_DEPRECATION_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "http/route.h"

struct http_deprecation {
	enum http_method method;
	const char *pattern; /* of the route */
	const char *field;   /* of the body; NULL: the whole route */
	int64_t since_s;     /* Unix time from which on it is deprecated */
	int64_t sunset_s;    /* when it stops working; 0: not decided */
	const char *see;     /* a URL that says what to use instead; NULL: none */
};

struct http_deprecations {
	const struct http_deprecation *rows;
	size_t count;
};

/* What this version deprecates. */
extern const struct http_deprecations http_deprecated;

/* The row for this route, or for a field of its body (STR_NONE: the route itself); NULL when it is to stay. */
const struct http_deprecation *http_deprecation_find(const struct http_deprecations *table,
						     const struct http_route *route, struct str field);
/* Of two, either of which may be NULL: the one that stops working first. */
const struct http_deprecation *http_deprecation_sooner(const struct http_deprecation *a,
						       const struct http_deprecation *b);
/* Appends the header lines, each ending in CRLF. */
void http_deprecation_headers(const struct http_deprecation *row, struct buf *out);

#endif
