#include "http/deprecation.h"

#include <string.h>
#include <time.h>

/* Nothing yet. A row looks so: {HTTP_GET, "/v1/old", NULL, 1800000000, 1830000000, "https://…/protocol.md#old"} */
const struct http_deprecations http_deprecated = {NULL, 0};

static bool is_of(const struct http_deprecation *row, const struct http_route *route, struct str field) {
	return row->method == route->method && strcmp(row->pattern, route->pattern) == 0 &&
	       (row->field ? str_is(field, row->field) : field.length == 0);
}

const struct http_deprecation *http_deprecation_find(const struct http_deprecations *table,
						     const struct http_route *route, struct str field) {
	for (size_t i = 0; i < table->count; i++) {
		if (is_of(&table->rows[i], route, field)) {
			return &table->rows[i];
		}
	}
	return NULL;
}

static int64_t end_of(const struct http_deprecation *row) {
	return row->sunset_s ? row->sunset_s : INT64_MAX;
}

const struct http_deprecation *http_deprecation_sooner(const struct http_deprecation *a,
						       const struct http_deprecation *b) {
	if (!a || !b) {
		return a ? a : b;
	}
	return end_of(b) < end_of(a) ? b : a;
}

/* RFC 9110, 5.6.7. The process never leaves the C locale. */
static void append_date(struct buf *out, int64_t at_s) {
	time_t time = (time_t)at_s;
	struct tm utc;
	char text[64];
	if (gmtime_r(&time, &utc) && strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc)) {
		buf_append_text(out, text);
	}
}

void http_deprecation_headers(const struct http_deprecation *row, struct buf *out) {
	buf_append_text(out, "deprecation: @");
	buf_append_i64(out, row->since_s);
	buf_append_text(out, "\r\n");
	if (row->sunset_s) {
		buf_append_text(out, "sunset: ");
		append_date(out, row->sunset_s);
		buf_append_text(out, "\r\n");
	}
	if (row->see) {
		buf_append_text(out, "link: <");
		buf_append_text(out, row->see);
		buf_append_text(out, ">; rel=\"deprecation\"; type=\"text/html\"\r\n");
	}
}
