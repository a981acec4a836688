#include "http.h"

#include "api.h"
#include "base/mem.h"
#include "guard.h"
#include "headers.h"
#include "identity.h"
#include "static.h"

enum action {
	RESPONSE_CREATE,
	RESPONSE_GET,
	RESPONSE_DELETE,
	RESPONSE_CANCEL,
	RESPONSE_COMPACT,
	RESPONSE_TOKENS,
	RESPONSE_INPUT_ITEMS,
	CHAT_CREATE,
	CONVERSATION_LIST,
	CONVERSATION_CREATE,
	CONVERSATION_GET,
	CONVERSATION_UPDATE,
	CONVERSATION_DELETE,
	ITEM_LIST,
	ITEM_CREATE,
	ITEM_GET,
	ITEM_DELETE,
	SESSION_CREATE,
	SESSION_GET,
	SESSION_DELETE,
	MODELS,
	MODEL,
	HEALTH,
	READY,
	METRICS,
};

static const struct http_route routes[] = {
	{HTTP_POST, "/v1/responses", RESPONSE_CREATE},
	{HTTP_GET, "/v1/responses/{}", RESPONSE_GET},
	{HTTP_DELETE, "/v1/responses/{}", RESPONSE_DELETE},
	{HTTP_POST, "/v1/responses/{}/cancel", RESPONSE_CANCEL},
	{HTTP_POST, "/v1/responses/compact", RESPONSE_COMPACT},
	{HTTP_POST, "/v1/responses/input_tokens", RESPONSE_TOKENS},
	{HTTP_GET, "/v1/responses/{}/input_items", RESPONSE_INPUT_ITEMS},
	{HTTP_POST, "/v1/chat/completions", CHAT_CREATE},
	{HTTP_GET, "/v1/conversations", CONVERSATION_LIST},
	{HTTP_POST, "/v1/conversations", CONVERSATION_CREATE},
	{HTTP_GET, "/v1/conversations/{}", CONVERSATION_GET},
	{HTTP_POST, "/v1/conversations/{}", CONVERSATION_UPDATE},
	{HTTP_DELETE, "/v1/conversations/{}", CONVERSATION_DELETE},
	{HTTP_GET, "/v1/conversations/{}/items", ITEM_LIST},
	{HTTP_POST, "/v1/conversations/{}/items", ITEM_CREATE},
	{HTTP_GET, "/v1/conversations/{}/items/{}", ITEM_GET},
	{HTTP_DELETE, "/v1/conversations/{}/items/{}", ITEM_DELETE},
	{HTTP_POST, "/v1/session", SESSION_CREATE},
	{HTTP_GET, "/v1/session", SESSION_GET},
	{HTTP_DELETE, "/v1/session", SESSION_DELETE},
	{HTTP_GET, "/v1/models", MODELS},
	{HTTP_GET, "/v1/models/{*}", MODEL},
	{HTTP_GET, "/healthz", HEALTH},
	{HTTP_GET, "/readyz", READY},
	{HTTP_GET, "/metrics", METRICS},
};

enum access {
	ACCESS_USER,      /* a key or a session, counted against the user's limit */
	ACCESS_STRANGER,  /* anybody, counted against the connection's limit */
	ACCESS_OPERATION, /* anybody, always, while draining too */
};

static const struct {
	void (*handle)(struct exchange *exchange);
	enum access access;
	bool json; /* the body is a JSON object */
} actions[] = {
	[RESPONSE_CREATE] = {api_response_create, ACCESS_USER, true},
	[RESPONSE_GET] = {api_response_get, ACCESS_USER, false},
	[RESPONSE_DELETE] = {api_response_delete, ACCESS_USER, false},
	[RESPONSE_CANCEL] = {api_response_cancel, ACCESS_USER, false},
	[RESPONSE_COMPACT] = {api_response_compact, ACCESS_USER, true},
	[RESPONSE_TOKENS] = {api_response_tokens, ACCESS_USER, true},
	[RESPONSE_INPUT_ITEMS] = {api_response_input_items, ACCESS_USER, false},
	[CHAT_CREATE] = {api_chat_create, ACCESS_USER, true},
	[CONVERSATION_LIST] = {api_conversation_list, ACCESS_USER, false},
	[CONVERSATION_CREATE] = {api_conversation_create, ACCESS_USER, true},
	[CONVERSATION_GET] = {api_conversation_get, ACCESS_USER, false},
	[CONVERSATION_UPDATE] = {api_conversation_update, ACCESS_USER, true},
	[CONVERSATION_DELETE] = {api_conversation_delete, ACCESS_USER, false},
	[ITEM_LIST] = {api_item_list, ACCESS_USER, false},
	[ITEM_CREATE] = {api_item_create, ACCESS_USER, true},
	[ITEM_GET] = {api_item_get, ACCESS_USER, false},
	[ITEM_DELETE] = {api_item_delete, ACCESS_USER, false},
	[SESSION_CREATE] = {api_session_create, ACCESS_STRANGER, true},
	[SESSION_GET] = {api_session_get, ACCESS_USER, false},
	[SESSION_DELETE] = {api_session_delete, ACCESS_USER, false},
	[MODELS] = {api_models, ACCESS_USER, false},
	[MODEL] = {api_model, ACCESS_USER, false},
	[HEALTH] = {api_health, ACCESS_OPERATION, false},
	[READY] = {api_ready, ACCESS_OPERATION, false},
	[METRICS] = {api_metrics, ACCESS_OPERATION, false},
};

/* --- what the headers say ----------------------------------------------------------------------------------------- */

static int read_target(struct exchange *exchange, struct lws *wsi) {
	struct str path;
	char query[HEADERS_MAX];
	if (headers_target(wsi, &exchange->method, &exchange->options, &path)) {
		return -1;
	}
	exchange->path = mem_memdup_str(path.data, path.length);
	struct str text = headers_query(wsi, query, sizeof query);
	exchange->query = mem_memdup_str(text.data, text.length);
	return exchange->path && exchange->query ? 0 : -1;
}

/* Kept for the handler, which reads the whole of an exchange and nothing of libwebsockets. */
static int read_idempotency_key(struct exchange *exchange, struct lws *wsi) {
	char text[REQUEST_KEY_SIZE];
	struct str key;
	if (exchange->method != HTTP_POST || !headers_get_custom(wsi, "idempotency-key:", text, sizeof text, &key)) {
		return 0;
	}
	exchange->idempotency_key = mem_memdup_str(key.data, key.length);
	return exchange->idempotency_key ? 0 : -1;
}

static uint64_t content_length(struct lws *wsi) {
	char text[32];
	uint64_t length = 0;
	str_to_u64(headers_get(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, text, sizeof text), &length);
	return length;
}

static void read_framing(struct exchange *exchange, struct lws *wsi) {
	char text[64];
	bool has_length = headers_has(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH);
	bool post = exchange->method == HTTP_POST;
	exchange->http11 = str_is(headers_get(wsi, WSI_TOKEN_HTTP, text, sizeof text), "HTTP/1.1");
	struct str connection = headers_get(wsi, WSI_TOKEN_CONNECTION, text, sizeof text);
	exchange->keep_alive = exchange->http11 && !headers_list_has(connection, "close");
	/* libwebsockets calls back for the end of an empty POST, and of any body. */
	exchange->has_body = has_length && (post || content_length(wsi) > 0);
	exchange->is_read_on = content_length(wsi) > 0 || (post && !has_length);
	/* It takes a POST without Content-Length for one of 100 MB; nothing can follow on this connection. */
	if (post && !has_length) {
		exchange->keep_alive = false;
	}
}

static void read_origin(struct exchange *exchange, struct lws *wsi) {
	char origin[sizeof exchange->allow_origin];
	struct str sent = headers_get(wsi, WSI_TOKEN_ORIGIN, origin, sizeof origin);
	/* The page's own origin needs no CORS. */
	if (sent.length > 0 && http_origin_allowed(sent, STR_NONE, (const char *const *)exchange->edge->origins,
						   exchange->edge->options.origin_count)) {
		str_copy(exchange->allow_origin, sizeof exchange->allow_origin, sent);
	}
}

/* --- whether it may go on ----------------------------------------------------------------------------------------- */

static int take_limits(struct exchange *exchange, struct gcra *bucket, const struct gcra_rate *rate,
		       struct api_error *error) {
	struct edge *edge = exchange->edge;
	if (limiter_take_request(bucket, rate, edge_now_us(edge), &exchange->limits, error)) {
		counter_add(edge->metrics.limit_refusals, 1);
		return -1;
	}
	return 0;
}

static int take_user_limits(struct exchange *exchange, struct lws *wsi, struct api_error *error) {
	struct edge *edge = exchange->edge;
	if (users_take(edge->users, exchange->who.user, content_length(wsi), edge_now_us(edge), &exchange->limits,
		       error)) {
		counter_add(edge->metrics.limit_refusals, error->code != API_OVERLOADED);
		return -1;
	}
	return 0;
}

static int check_access(struct exchange *exchange, struct lws *wsi, enum access access, struct api_error *error) {
	struct edge *edge = exchange->edge;
	if (access == ACCESS_OPERATION) {
		return 0;
	}
	if (edge->draining) {
		return api_error_set(error, API_DRAINING, NULL, NULL);
	}
	struct limiter *stranger = &exchange->connection->limiter;
	if (access == ACCESS_STRANGER) {
		/* No page but ours may sign a browser in. */
		if (headers_has(wsi, WSI_TOKEN_ORIGIN) && !identity_origin_allowed(edge, wsi)) {
			return api_error_set(error, API_ORIGIN_DENIED, NULL, NULL);
		}
		return take_limits(exchange, &stranger->requests, &edge->options.requests, error);
	}
	bool reads = exchange->method == HTTP_GET || exchange->method == HTTP_HEAD;
	if (identity_find(edge, wsi, reads ? IDENTITY_READ : IDENTITY_CHANGE, &exchange->who, error)) {
		struct api_error limited;
		if (take_limits(exchange, &stranger->requests, &edge->options.requests, &limited)) {
			*error = limited;
		}
		return -1;
	}
	return take_user_limits(exchange, wsi, error);
}

static int check_media_type(struct exchange *exchange, struct lws *wsi, struct api_error *error) {
	char text[256];
	if (!exchange->has_body || http_is_json(headers_get(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE, text, sizeof text))) {
		return 0;
	}
	return api_error_set(error, API_UNSUPPORTED_MEDIA, NULL, NULL);
}

/* -1 with the error that is told once the body is read. */
static int admit(struct exchange *exchange, struct lws *wsi, struct api_error *error) {
	struct http_match *match = &exchange->match;
	http_route_match(routes, sizeof routes / sizeof routes[0], exchange->method, str_of(exchange->path), match);
	if (exchange->options) {
		return 0;
	}
	exchange->deprecation = match->route ? http_deprecation_find(&http_deprecated, match->route, STR_NONE) : NULL;
	if (!match->route) {
		return match->allowed ? api_error_set(error, API_METHOD_NOT_ALLOWED, NULL, NULL)
				      : static_admit(exchange, error);
	}
	enum access access = actions[match->route->action].access;
	if (check_access(exchange, wsi, access, error)) {
		return -1;
	}
	return actions[match->route->action].json ? check_media_type(exchange, wsi, error) : 0;
}

/* --- dispatch ----------------------------------------------------------------------------------------------------- */

/* CORS: what a page on an allowed origin may do (Fetch standard, 4.8). Others get no permission and no explanation. */
static void reply_preflight(struct exchange *exchange) {
	reply_send(
		exchange,
		&(struct reply){
			.status = 204,
			.headers =
				exchange->allow_origin[0]
					? "access-control-allow-methods: GET, POST, DELETE\r\n"
					  "access-control-allow-headers: authorization, content-type, idempotency-key\r\n"
					  "access-control-max-age: 600\r\n"
					: NULL,
		});
}

static void serve(struct exchange *exchange) {
	if (exchange->refused) {
		reply_error(exchange, &exchange->refusal);
	} else if (exchange->options) {
		reply_preflight(exchange);
	} else if (exchange->match.route) {
		actions[exchange->match.route->action].handle(exchange);
	} else {
		static_serve(exchange);
	}
}

/* Everything was taken from the headers that is of use later. Their table is 9 KB, most of what a streamed answer would
 * hold until its end; with the next request libwebsockets makes a new one. */
static void let_headers_go(const struct connection *connection) {
	if (connection->wsi && exchange_of(connection)) {
		lws_http_headers_detach(connection->wsi);
	}
}

/* The connection outlives the exchange: libwebsockets frees it from the loop. */
static void dispatch(struct exchange *exchange) {
	struct connection *connection = exchange->connection;
	exchange->delayed = connection->resting;
	if (exchange->delayed) {
		exchange_wait(exchange);
		return;
	}
	int64_t before_us = clock_thread_us();
	serve(exchange);
	let_headers_go(connection);
	connection_charge(connection, clock_thread_us() - before_us);
}

static void on_rested(struct connection *connection) {
	struct exchange *exchange = exchange_of(connection);
	if (exchange && exchange->delayed) {
		dispatch(exchange);
	}
}

static void on_close(struct connection *connection) {
	struct exchange *exchange = exchange_of(connection);
	if (exchange) {
		log_info(&connection->log, "request abandoned", LOG_S("request", exchange->request_id),
			 LOG_S("path", exchange->path));
		exchange_free(exchange);
	}
}

static void on_writable(struct connection *connection) {
	struct exchange *exchange = exchange_of(connection);
	if (exchange && exchange->on_writable) {
		exchange->on_writable(exchange);
	}
}

/* Too large, or framed in a way that can't be trusted: the answer goes out before the body came. */
static int refuse_now(struct exchange *exchange, const struct api_error *error) {
	struct connection *connection = exchange->connection;
	exchange->keep_alive = false;
	reply_error(exchange, error);
	return connection_verdict(connection);
}

/* A request that was read together with the one before it, and kept until that was answered. libwebsockets 4.1.6 then
 * takes the request line itself for the first bytes of the body, and once we have answered that, waits for ever for a
 * connection that does not read. What it kept is served between two polls; what comes from a socket, within one. */
static bool is_replayed(const struct exchange *exchange) {
	return !exchange->edge->polling;
}

static int begin(struct exchange *exchange, struct lws *wsi) {
	struct connection *connection = exchange->connection;
	struct api_error error;
	if (read_target(exchange, wsi) || read_idempotency_key(exchange, wsi)) {
		exchange_free(exchange);
		return -1;
	}
	read_framing(exchange, wsi);
	read_origin(exchange, wsi);
	if (!guard_framing_is_sound(wsi)) {
		exchange->has_body = exchange->method == HTTP_POST;
		api_error_set(&error, API_INVALID_VALUE, NULL,
			      "The request's framing is not accepted; send Content-Length.");
		return refuse_now(exchange, &error);
	}
	if (exchange->is_read_on && is_replayed(exchange)) {
		exchange->has_body = false;
		api_error_set(&error, API_INVALID_VALUE, NULL,
			      "Wait for the answer before sending a request with a body on the same connection.");
		return refuse_now(exchange, &error);
	}
	if (content_length(wsi) > exchange->edge->options.max_message) {
		api_error_set(&error, API_MESSAGE_TOO_LARGE, NULL, NULL);
		return refuse_now(exchange, &error);
	}
	exchange->refused = admit(exchange, wsi, &exchange->refusal) != 0;
	if (exchange->has_body) {
		connection_set_deadline(connection, exchange->edge->options.body_timeout_ms, connection_time_out);
	} else {
		dispatch(exchange);
	}
	return connection_verdict(connection);
}

int http_request(struct connection *connection) {
	connection_clear_deadline(connection);
	if (connection->exchange || connection->finishing) {
		return -1;
	}
	connection->on_close = on_close;
	connection->on_writable = on_writable;
	connection->on_rested = on_rested;
	struct exchange *exchange = exchange_new(connection);
	return exchange ? begin(exchange, connection->wsi) : -1;
}

int http_body(struct connection *connection, struct str bytes) {
	if (connection->lingering) {
		return 0;
	}
	struct exchange *exchange = exchange_of(connection);
	if (!exchange || !exchange->has_body || exchange->body_complete) {
		return -1;
	}
	counter_add(exchange->edge->metrics.bytes_in, bytes.length);
	connection_charge_read(connection, bytes.length);
	if (exchange->refused) {
		return 0;
	}
	if (exchange->body.length + bytes.length > exchange->edge->options.max_message) {
		return -1;
	}
	buf_append_str(&exchange->body, bytes);
	if (exchange->body.failed) {
		exchange->refused = true;
		api_error_set(&exchange->refusal, API_OVERLOADED, NULL, NULL);
	}
	return 0;
}

int http_body_complete(struct connection *connection) {
	struct exchange *exchange = exchange_of(connection);
	/* Lingering: all has been read, a close costs nobody an answer now. Complete already: more input came while the
	 * request is being answered, for which libwebsockets calls back here; it could not be kept without spinning. */
	if (connection->lingering || !exchange || exchange->body_complete) {
		return -1;
	}
	connection_clear_deadline(connection);
	exchange->body_complete = true;
	dispatch(exchange);
	return connection_verdict(connection);
}

int http_refuse_upgrade(struct connection *connection, const struct api_error *error) {
	counter_add(connection->edge->metrics.upgrades_refused, 1);
	struct exchange *exchange = exchange_new(connection);
	if (!exchange || read_target(exchange, connection->wsi)) {
		return -1;
	}
	connection->on_close = on_close;
	reply_error(exchange, error);
	return -1;
}
