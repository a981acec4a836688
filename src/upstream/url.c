#include "url.h"

#include <stdio.h>
#include <string.h>

#define SCHEME "http://"

static int refuse(struct err *err) {
	return err_set(err, ERR_INVALID, "the upstream's URL is none of the form http://host:port/path");
}

static bool is_visible(struct str text) {
	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] <= ' ' || text.data[i] > '~') {
			return false;
		}
	}
	return true;
}

static int read_port(struct url *url, struct str text) {
	uint64_t port;
	if (str_to_u64(text, &port) || port == 0 || port > UINT16_MAX) {
		return -1;
	}
	url->port = (uint16_t)port;
	return 0;
}

/* [fe80::1%25eth0]: the zone is ours alone (RFC 6874). Leaves what is behind the bracket in *rest. */
static int read_bracketed(struct url *url, struct str *rest, struct str *shown) {
	struct str host = str_skip(*rest, 1);
	size_t end;
	if (str_find_char(host, ']', &end)) {
		return -1;
	}
	*rest = str_skip(host, end + 1);
	host.length = end;
	struct str zone = host;
	struct str address = str_cut(&zone, '%');
	*shown = address;
	if (zone.length > 2 && memcmp(zone.data, "25", 2) == 0) {
		zone = str_skip(zone, 2);
	}
	int length = snprintf(url->host, sizeof url->host, "%.*s%s%.*s", STR_ARG(address), zone.length ? "%" : "",
			      STR_ARG(zone));
	return address.length == 0 || length >= (int)sizeof url->host ? -1 : 0;
}

static int read_authority(struct url *url, struct str authority) {
	struct str rest = authority;
	struct str shown;
	bool bracketed = authority.length > 0 && authority.data[0] == '[';
	url->port = 80;
	if (bracketed) {
		if (read_bracketed(url, &rest, &shown)) {
			return -1;
		}
	} else {
		size_t colon = authority.length;
		str_find_char(authority, ':', &colon);
		shown = (struct str){authority.data, colon};
		rest = str_skip(authority, colon);
		if (shown.length == 0 || str_copy(url->host, sizeof url->host, shown)) {
			return -1;
		}
	}
	if (rest.length > 0 && (rest.data[0] != ':' || read_port(url, str_skip(rest, 1)))) {
		return -1;
	}
	char port[8] = "";
	if (url->port != 80) {
		snprintf(port, sizeof port, ":%d", url->port);
	}
	int length = snprintf(url->authority, sizeof url->authority, "%s%.*s%s%s", bracketed ? "[" : "", STR_ARG(shown),
			      bracketed ? "]" : "", port);
	return length < (int)sizeof url->authority ? 0 : -1;
}

int url_parse(struct url *url, struct str text, struct err *err) {
	size_t at;
	if (!str_starts(text, SCHEME) || !is_visible(text)) {
		return refuse(err);
	}
	struct str authority = str_skip(text, strlen(SCHEME));
	url->path = STR_NONE;
	if (str_find_char(authority, '/', &at) == 0) {
		url->path = str_skip(authority, at);
		authority.length = at;
	}
	if (str_find_char(authority, '@', &at) == 0 || read_authority(url, authority)) {
		return refuse(err);
	}
	return 0;
}
