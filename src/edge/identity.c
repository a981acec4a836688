#include "identity.h"

#include "headers.h"
#include "http/route.h"

#define SUBPROTOCOL_KEY "openai-insecure-api-key."

/* The page's own origin: what the browser sees as our name. Behind https:// the same name without TLS is a stranger: whoever
 * is on the path can be it. */
static bool is_own(const struct edge *edge, struct str origin, struct str host) {
	return edge->tls && host.length > 0 && str_starts(origin, "https://") &&
	       str_equal_nocase(str_skip(origin, sizeof "https://" - 1), host);
}

bool identity_origin_allowed(struct edge *edge, struct lws *wsi) {
	char text[512], name[256];
	struct str origin = headers_get(wsi, WSI_TOKEN_ORIGIN, text, sizeof text);
	struct str host = headers_get(wsi, WSI_TOKEN_HOST, name, sizeof name);
	return is_own(edge, origin, host) ||
	       http_origin_allowed(origin, edge->tls ? STR_NONE : host, (const char *const *)edge->origins,
				   edge->options.origin_count);
}

/* The key among the subprotocols, where browser clients put it for want of headers. */
static struct str subprotocol_key(struct str list) {
	while (list.data) {
		struct str name = str_trim(str_cut(&list, ','));
		if (str_starts(name, SUBPROTOCOL_KEY)) {
			return str_skip(name, sizeof SUBPROTOCOL_KEY - 1);
		}
	}
	return STR_NONE;
}

static int find_cookie(struct edge *edge, struct lws *wsi, enum identity_use use, struct principal *who,
		       struct api_error *error) {
	char text[HEADERS_MAX];
	struct str value;
	if (!http_cookie_get(headers_get(wsi, WSI_TOKEN_HTTP_COOKIE, text, sizeof text), IDENTITY_COOKIE, &value) ||
	    auth_check_session(edge->deps.auth, value, who)) {
		return api_error_set(error, API_INVALID_KEY, NULL, NULL);
	}
	/* A browser adds the cookie to whatever page asks; the Origin tells which page that is. */
	bool may_be_silent = use == IDENTITY_READ && !headers_has(wsi, WSI_TOKEN_ORIGIN);
	if (!may_be_silent && !identity_origin_allowed(edge, wsi)) {
		return api_error_set(error, API_ORIGIN_DENIED, NULL, NULL);
	}
	return 0;
}

int identity_find(struct edge *edge, struct lws *wsi, enum identity_use use, struct principal *who,
		  struct api_error *error) {
	char text[1024];
	struct str key = STR_NONE;
	if (headers_has(wsi, WSI_TOKEN_HTTP_AUTHORIZATION)) {
		struct str header = headers_get(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, text, sizeof text);
		if (!http_bearer(header, &key)) {
			return api_error_set(error, API_INVALID_KEY, NULL, NULL);
		}
	} else if (use == IDENTITY_UPGRADE) {
		key = subprotocol_key(headers_get(wsi, WSI_TOKEN_PROTOCOL, text, sizeof text));
	}
	if (!key.data) {
		return find_cookie(edge, wsi, use, who, error);
	}
	return auth_check_key(edge->deps.auth, key, who) ? api_error_set(error, API_INVALID_KEY, NULL, NULL) : 0;
}
