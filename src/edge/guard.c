#include "guard.h"

#include "headers.h"
#include "identity.h"

/* Guard 2. The CONNECT method turns the connection into a raw socket, a fallback role likewise; we serve neither. */
bool guard_is_foreign_role(enum lws_callback_reasons reason) {
	return reason == LWS_CALLBACK_RAW_ADOPT || reason == LWS_CALLBACK_RAW_RX ||
	       reason == LWS_CALLBACK_RAW_WRITEABLE;
}

/* Fault 22: requests that a proxy before us may frame in another way. libwebsockets does not read chunked request bodies
 * and takes the number at the start of whatever Content-Length says. It answers HTTP/0.9 and HTTP/9.9 as well. */
bool guard_framing_is_sound(struct lws *wsi) {
	char version[16];
	struct str spoken = headers_get(wsi, WSI_TOKEN_HTTP, version, sizeof version);
	if (!str_is(spoken, "HTTP/1.1") && !str_is(spoken, "HTTP/1.0")) {
		return false;
	}
	if (headers_hold_nul(wsi) || headers_has(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING)) {
		return false;
	}
	if (headers_has_blank_before_colon(wsi, "content-length") ||
	    headers_has_blank_before_colon(wsi, "transfer-encoding")) {
		return false;
	}
	if (headers_repeated(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) || headers_repeated(wsi, WSI_TOKEN_HOST)) {
		return false;
	}
	if (headers_has(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH)) {
		char text[32];
		uint64_t length;
		if (str_to_u64(headers_get(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, text, sizeof text), &length) ||
		    length > INT64_MAX) {
			return false;
		}
	}
	return true;
}

/* Guard 1, CVE-2025-11677: after it refused an unknown `Upgrade:` libwebsockets calls back with a pointer into the header
 * table it has let go. The pointer is never used; the header is read again, and then is not there. Refuses h2c too (2). */
static bool is_websocket(struct lws *wsi) {
	char text[32];
	return str_equal_nocase(headers_get(wsi, WSI_TOKEN_UPGRADE, text, sizeof text), STR("websocket"));
}

/* Guard 3: libwebsockets upgrades any method, HTTP/1.0 and every version of the protocol. */
static int check_request_line(struct lws *wsi, struct api_error *error) {
	char version[16];
	enum http_method method;
	bool options;
	struct str path;
	if (headers_target(wsi, &method, &options, &path) || method != HTTP_GET) {
		return api_error_set(error, API_METHOD_NOT_ALLOWED, NULL, "An upgrade needs GET.");
	}
	if (!str_equal(path, STR("/v1/responses"))) {
		return api_error_set(error, API_NOT_FOUND, NULL, "WebSocket sessions are at /v1/responses.");
	}
	if (!str_is(headers_get(wsi, WSI_TOKEN_HTTP, version, sizeof version), "HTTP/1.1")) {
		return api_error_set(error, API_INVALID_VALUE, NULL, "An upgrade needs HTTP/1.1.");
	}
	return 0;
}

/* Guard 3: RFC 6455, 4.2.1. A key is 16 bytes in base64: 22 characters and "==". */
static bool is_key(struct str key) {
	if (key.length != 24 || key.data[22] != '=' || key.data[23] != '=') {
		return false;
	}
	for (size_t i = 0; i < 22; i++) {
		char c = key.data[i];
		bool known = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
			     c == '/';
		if (!known) {
			return false;
		}
	}
	return true;
}

static int check_handshake(struct lws *wsi, struct api_error *error) {
	char text[256];
	if (!headers_list_has(headers_get(wsi, WSI_TOKEN_CONNECTION, text, sizeof text), "upgrade")) {
		return api_error_set(error, API_INVALID_VALUE, "connection", "An upgrade needs Connection: Upgrade.");
	}
	if (!str_is(headers_get(wsi, WSI_TOKEN_VERSION, text, sizeof text), "13")) {
		return api_error_set(error, API_INVALID_VALUE, "sec-websocket-version",
				     "Sec-WebSocket-Version must be 13.");
	}
	if (!is_key(headers_get(wsi, WSI_TOKEN_KEY, text, sizeof text))) {
		return api_error_set(error, API_INVALID_VALUE, "sec-websocket-key",
				     "Sec-WebSocket-Key must be 16 bytes in base64.");
	}
	if (headers_get(wsi, WSI_TOKEN_HOST, text, sizeof text).length == 0) {
		return api_error_set(error, API_INVALID_VALUE, "host", "An upgrade needs a Host.");
	}
	if (headers_has(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH)) {
		return api_error_set(error, API_INVALID_VALUE, "content-length", "An upgrade has no body.");
	}
	return 0;
}

/* Guard 3: a browser sends the page's Origin with the upgrade and lets any page open one, whatever its origin. */
static int check_origin(struct edge *edge, struct lws *wsi, struct api_error *error) {
	if (!headers_has(wsi, WSI_TOKEN_ORIGIN) || identity_origin_allowed(edge, wsi)) {
		return 0;
	}
	return api_error_set(error, API_ORIGIN_DENIED, NULL, NULL);
}

/* libwebsockets closes without a word when it finds no subprotocol that it knows, and reads at most 127 characters. */
static int check_subprotocol(struct lws *wsi, struct api_error *error) {
	char text[512];
	if (!headers_has(wsi, WSI_TOKEN_PROTOCOL)) {
		return 0;
	}
	struct str list = headers_get(wsi, WSI_TOKEN_PROTOCOL, text, sizeof text);
	if (list.length > 127 || !str_equal(str_trim(str_cut(&list, ',')), STR("realtime"))) {
		return api_error_set(error, API_INVALID_VALUE, "sec-websocket-protocol",
				     "The first subprotocol must be realtime, or leave the header out.");
	}
	return 0;
}

int guard_upgrade(struct edge *edge, struct lws *wsi, struct api_error *error) {
	*error = (struct api_error){.code = API_OK};
	if (!is_websocket(wsi) || !guard_framing_is_sound(wsi)) {
		return -1;
	}
	if (check_request_line(wsi, error) || check_handshake(wsi, error) || check_origin(edge, wsi, error) ||
	    check_subprotocol(wsi, error)) {
		return -1;
	}
	return 0;
}
