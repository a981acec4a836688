/* Routes and small HTTP grammar. Pure. */
#ifndef SLUICE_HTTP_ROUTE_H
#define SLUICE_HTTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_DELETE, HTTP_OTHER };

#define HTTP_MAX_CAPTURES 2

/* One row of a route table. `pattern` has "{}" where one non-empty segment is captured: "/v1/responses/{}/cancel"; "{*}" as
 * its last segment captures all that follows, slashes included, and at least one byte: "/v1/models/{*}".
 * `action` is the table owner's number. */
struct http_route {
	enum http_method method;
	const char *pattern;
	int action;
};

struct http_match {
	const struct http_route *route;         /* NULL: none fits */
	struct str captures[HTTP_MAX_CAPTURES]; /* views into the path, still percent-encoded */
	uint32_t allowed;                       /* bit per enum http_method that this path has, for Allow */
};

/* HEAD matches a GET route. */
void http_route_match(const struct http_route *routes, size_t count, enum http_method method, struct str path,
		      struct http_match *match);
/* "GET, HEAD, POST" of a match's bits, into a text of at least 48 bytes. */
void http_allow(uint32_t allowed, char *text, size_t size);

/* The value of a query parameter, percent-decoded into `out`: 0, or 1 when it is absent, or -1 when it is malformed (bad
 * escape, too long, NUL, invalid UTF-8). The first wins; names are compared decoded. */
int http_query_get(struct str query, const char *name, char *out, size_t size);
/* The name of the first parameter that is none of `known` (its last element is NULL), decoded as far as `out` takes it: 0,
 * or 1 when there is none. */
int http_query_unknown(struct str query, const char *const *known, char *out, size_t size);
/* Percent-decodes a path segment; -1 as above, and for an encoded '/'. */
int http_segment_decode(struct str segment, char *out, size_t size);

/* The value of a cookie (RFC 6265); false when it is not there. */
bool http_cookie_get(struct str header, const char *name, struct str *value);
/* The credentials of `Authorization: Bearer X`; false when it is another scheme. */
bool http_bearer(struct str header, struct str *token);
/* Whether an If-None-Match header names this entity tag (RFC 9110, 13.1.2: weak comparison, lists, "*"). */
bool http_etag_matches(struct str if_none_match, const char *etag);
/* Whether a Content-Type is application/json, with or without parameters. */
bool http_is_json(struct str content_type);

/* The media type of a file name by its ending; application/octet-stream when unknown. Static. */
const char *http_media_type(const char *name);

/* Whether an Origin is on the allow-list: exact match, scheme and port included. `own` is the request's Host: the origins
 * http://HOST and https://HOST count as the server's own. */
bool http_origin_allowed(struct str origin, struct str host, const char *const *allowed, size_t count);

#endif
