#include <string.h>

#include "http/route.h"

/* Takes the spaces and tabs off the front (OWS, RFC 9110, 5.6.3). */
static struct str skip_blanks(struct str s) {
	while (s.length > 0 && (s.data[0] == ' ' || s.data[0] == '\t')) {
		s = str_skip(s, 1);
	}
	return s;
}

static bool starts_with(struct str s, char c) {
	return s.length > 0 && s.data[0] == c;
}

static bool is_alnum(char c) {
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Cookie (RFC 6265, 4.1.1 and 4.2.1). */

static bool is_cookie_value(struct str value) {
	for (size_t i = 0; i < value.length; i++) {
		char c = value.data[i];
		if (c <= ' ' || c > '~' || c == '"' || c == ',' || c == ';' || c == '\\') {
			return false;
		}
	}
	return true;
}

bool http_cookie_get(struct str header, const char *name, struct str *value) {
	while (header.length > 0) {
		struct str found = str_trim(str_cut(&header, ';'));
		size_t at;
		if (str_find_char(found, '=', &at) != 0 || !str_is((struct str){found.data, at}, name)) {
			continue;
		}
		found = str_skip(found, at + 1);
		if (found.length >= 2 && found.data[0] == '"' && found.data[found.length - 1] == '"') {
			found = (struct str){found.data + 1, found.length - 2};
		}
		if (is_cookie_value(found)) {
			*value = found;
			return true;
		}
	}
	return false;
}

/* Authorization (RFC 9110, 11.4; RFC 6750, 2.1). */

/* 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"=" */
static bool is_token68(struct str s) {
	size_t i = 0;
	while (i < s.length && (is_alnum(s.data[i]) || memchr("-._~+/", s.data[i], 6))) {
		i++;
	}
	if (i == 0) {
		return false;
	}
	while (i < s.length && s.data[i] == '=') {
		i++;
	}
	return i == s.length;
}

bool http_bearer(struct str header, struct str *token) {
	header = str_trim(header);
	size_t at;
	if (str_find_char(header, ' ', &at) != 0 || !str_equal_nocase((struct str){header.data, at}, STR("Bearer"))) {
		return false;
	}
	struct str credentials = str_skip(header, at);
	while (starts_with(credentials, ' ')) {
		credentials = str_skip(credentials, 1);
	}
	if (!is_token68(credentials)) {
		return false;
	}
	*token = credentials;
	return true;
}

/* If-None-Match (RFC 9110, 8.8.3 and 13.1.2). */

/* Takes one entity tag off the front: its opaque part with the quotes, without W/. False when there is none. */
static bool take_etag(struct str *rest, struct str *opaque) {
	struct str s = *rest;
	if (str_starts(s, "W/")) {
		s = str_skip(s, 2);
	}
	if (!starts_with(s, '"')) {
		return false;
	}
	size_t end = 1;
	while (end < s.length && s.data[end] != '"') {
		unsigned char c = (unsigned char)s.data[end];
		if (c <= ' ' || c == 0x7F) {
			return false;
		}
		end++;
	}
	if (end == s.length) {
		return false;
	}
	*opaque = (struct str){s.data, end + 1};
	*rest = str_skip(s, end + 1);
	return true;
}

bool http_etag_matches(struct str if_none_match, const char *etag) {
	struct str rest = str_trim(if_none_match);
	struct str ours = str_of(etag);
	struct str opaque;
	if (str_is(rest, "*")) {
		return true;
	}
	if (!take_etag(&ours, &opaque)) {
		return false;
	}
	while (rest.length > 0) {
		/* A recipient takes empty elements (5.6.1.2). */
		if (starts_with(rest, ',')) {
			rest = skip_blanks(str_skip(rest, 1));
			continue;
		}
		struct str listed;
		if (!take_etag(&rest, &listed)) {
			return false;
		}
		rest = skip_blanks(rest);
		if (rest.length > 0 && !starts_with(rest, ',')) {
			return false;
		}
		if (str_equal(listed, opaque)) {
			return true;
		}
	}
	return false;
}

/* Content-Type (RFC 9110, 5.6.6 and 8.3.1). */

static bool is_token_char(char c) {
	return is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool take_token(struct str *rest) {
	size_t length = 0;
	while (length < rest->length && is_token_char(rest->data[length])) {
		length++;
	}
	*rest = str_skip(*rest, length);
	return length > 0;
}

static bool take_quoted(struct str *rest) {
	for (size_t i = 1; i < rest->length; i++) {
		if (rest->data[i] == '\\') {
			i++;
		} else if (rest->data[i] == '"') {
			*rest = str_skip(*rest, i + 1);
			return true;
		}
	}
	return false;
}

/* *( OWS ";" OWS [ token "=" ( token / quoted-string ) ] ), to the end */
static bool is_parameters(struct str rest) {
	for (;;) {
		rest = skip_blanks(rest);
		if (rest.length == 0) {
			return true;
		}
		if (!starts_with(rest, ';')) {
			return false;
		}
		rest = skip_blanks(str_skip(rest, 1));
		if (rest.length == 0 || starts_with(rest, ';')) {
			continue;
		}
		if (!take_token(&rest) || !starts_with(rest, '=')) {
			return false;
		}
		rest = str_skip(rest, 1);
		if (!(starts_with(rest, '"') ? take_quoted(&rest) : take_token(&rest))) {
			return false;
		}
	}
}

bool http_is_json(struct str content_type) {
	struct str type = skip_blanks(content_type);
	struct str json = STR("application/json");
	if (type.length < json.length || !str_equal_nocase((struct str){type.data, json.length}, json)) {
		return false;
	}
	return is_parameters(str_skip(type, json.length));
}

/* Media types. */

const char *http_media_type(const char *name) {
	static const struct {
		const char *ending;
		const char *type;
	} types[] = {
		{"html", "text/html; charset=utf-8"},
		{"css", "text/css; charset=utf-8"},
		{"js", "text/javascript; charset=utf-8"},
		{"mjs", "text/javascript; charset=utf-8"},
		{"json", "application/json"},
		{"map", "application/json"},
		{"webmanifest", "application/manifest+json"},
		{"txt", "text/plain; charset=utf-8"},
		{"md", "text/markdown; charset=utf-8"},
		{"svg", "image/svg+xml"},
		{"png", "image/png"},
		{"jpg", "image/jpeg"},
		{"jpeg", "image/jpeg"},
		{"gif", "image/gif"},
		{"webp", "image/webp"},
		{"ico", "image/x-icon"},
		{"woff2", "font/woff2"},
		{"wasm", "application/wasm"},
	};
	const char *slash = strrchr(name, '/');
	const char *dot = strrchr(slash ? slash : name, '.');
	for (size_t i = 0; dot && i < sizeof types / sizeof types[0]; i++) {
		if (str_equal_nocase(str_of(dot + 1), str_of(types[i].ending))) {
			return types[i].type;
		}
	}
	return "application/octet-stream";
}

/* Origin (RFC 6454, 6.2). */

/* Whether the origin is `scheme` and the host. */
static bool is_own(struct str origin, const char *scheme, struct str host) {
	return host.length > 0 && str_starts(origin, scheme) &&
	       str_equal_nocase(str_skip(origin, strlen(scheme)), host);
}

bool http_origin_allowed(struct str origin, struct str host, const char *const *allowed, size_t count) {
	/* "null" is what a sandboxed frame of anyone sends; it names nobody. */
	if (origin.length == 0 || str_is(origin, "null")) {
		return false;
	}
	if (is_own(origin, "http://", host) || is_own(origin, "https://", host)) {
		return true;
	}
	for (size_t i = 0; i < count; i++) {
		if (str_is(origin, allowed[i])) {
			return true;
		}
	}
	return false;
}
