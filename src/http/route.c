#include "http/route.h"

#include <stdio.h>
#include <string.h>

static const char *const method_names[] = {
	[HTTP_GET] = "GET", [HTTP_HEAD] = "HEAD", [HTTP_POST] = "POST", [HTTP_DELETE] = "DELETE"};

/* The first segment, taken off the front with the slash before it. */
static struct str take_segment(struct str *path) {
	struct str segment = str_skip(*path, 1);
	(void)str_find_char(segment, '/', &segment.length);
	*path = str_skip(*path, segment.length + 1);
	return segment;
}

/* Both begin with '/'. Segment for segment; "{}" takes one that is not empty, "{*}" all that is left. */
static bool path_fits(const char *pattern, struct str path, struct str captures[static HTTP_MAX_CAPTURES]) {
	struct str wanted = str_of(pattern);
	size_t count = 0;
	while (wanted.length > 0 && path.length > 0) {
		struct str want = take_segment(&wanted);
		struct str rest = str_skip(path, 1);
		struct str segment = take_segment(&path);
		bool is_tail = str_is(want, "{*}");
		if (is_tail) {
			segment = rest;
			path = STR_NONE;
		}
		if (is_tail || str_is(want, "{}")) {
			if (segment.length == 0 || count == HTTP_MAX_CAPTURES) {
				return false;
			}
			captures[count++] = segment;
		} else if (!str_equal(want, segment)) {
			return false;
		}
	}
	return wanted.length == 0 && path.length == 0;
}

void http_route_match(const struct http_route *routes, size_t count, enum http_method method, struct str path,
		      struct http_match *match) {
	*match = (struct http_match){0};
	if (!str_starts(path, "/")) {
		return;
	}
	for (size_t i = 0; i < count; i++) {
		struct str captures[HTTP_MAX_CAPTURES] = {STR_NONE};
		if (!path_fits(routes[i].pattern, path, captures)) {
			continue;
		}
		uint32_t methods = 1U << routes[i].method;
		if (routes[i].method == HTTP_GET) {
			methods |= 1U << HTTP_HEAD;
		}
		match->allowed |= methods;
		if (!match->route && (methods & 1U << method)) {
			match->route = &routes[i];
			memcpy(match->captures, captures, sizeof captures);
		}
	}
}

void http_allow(uint32_t allowed, char *text, size_t size) {
	size_t length = 0;
	text[0] = '\0';
	for (size_t i = 0; i < sizeof method_names / sizeof method_names[0]; i++) {
		if (allowed & 1U << i && length < size) {
			length += (size_t)snprintf(text + length, size - length, "%s%s", length > 0 ? ", " : "",
						   method_names[i]);
		}
	}
}

/* Percent-encoding (RFC 3986, 2.1). */

/* The next byte of an encoded text, taken off its front; -1 for a bad escape. */
static int next_byte(struct str *rest, bool plus_is_space) {
	char c = rest->data[0];
	uint8_t byte;
	if (c != '%') {
		*rest = str_skip(*rest, 1);
		return plus_is_space && c == '+' ? ' ' : (unsigned char)c;
	}
	if (rest->length < 3 || str_from_hex(&byte, 1, (struct str){rest->data + 1, 2}) != 0) {
		return -1;
	}
	*rest = str_skip(*rest, 3);
	return byte;
}

static int decode(struct str from, bool plus_is_space, char *out, size_t size) {
	size_t length = 0;
	if (size == 0) {
		return -1;
	}
	while (from.length > 0) {
		int byte = next_byte(&from, plus_is_space);
		if (byte <= 0 || length + 1 >= size) {
			goto fail;
		}
		out[length++] = (char)byte;
	}
	if (!str_is_utf8((struct str){out, length})) {
		goto fail;
	}
	out[length] = '\0';
	return 0;

fail:
	out[0] = '\0';
	return -1;
}

static bool name_is(struct str encoded, const char *name) {
	while (encoded.length > 0) {
		int byte = next_byte(&encoded, true);
		if (byte <= 0 || byte != (unsigned char)*name) {
			return false;
		}
		name++;
	}
	return *name == '\0';
}

int http_query_get(struct str query, const char *name, char *out, size_t size) {
	while (query.length > 0) {
		struct str value = str_cut(&query, '&');
		struct str key = str_cut(&value, '=');
		if (name_is(key, name)) {
			return decode(value, true, out, size);
		}
	}
	return 1;
}

static bool is_known(struct str encoded, const char *const *known) {
	while (*known && !name_is(encoded, *known)) {
		known++;
	}
	return *known != NULL;
}

int http_query_unknown(struct str query, const char *const *known, char *out, size_t size) {
	while (query.length > 0) {
		struct str value = str_cut(&query, '&');
		struct str key = str_cut(&value, '=');
		if (key.length > 0 && !is_known(key, known)) {
			decode(key, true, out, size);
			return 0;
		}
	}
	return 1;
}

int http_segment_decode(struct str segment, char *out, size_t size) {
	if (decode(segment, false, out, size) != 0) {
		return -1;
	}
	if (strchr(out, '/')) {
		out[0] = '\0';
		return -1;
	}
	return 0;
}
