#include "exchange.h"

#include <stdio.h>
#include <time.h>

#include "base/mem.h"

#define EXCHANGE_MAGIC 0x65786368u
/* Loop time to write an answer; what was done for it before is measured: 1 ns for a byte. */
#define ANSWER_BYTES_PER_US 1000

struct exchange *exchange_new(struct connection *connection) {
	struct exchange *exchange = mem_zalloc(sizeof *exchange);
	if (!exchange) {
		return NULL;
	}
	exchange->magic = EXCHANGE_MAGIC;
	exchange->connection = connection;
	exchange->edge = connection->edge;
	exchange->started_us = edge_now_us(connection->edge);
	id_make(exchange->request_id, "req", edge_wall_ms(connection->edge));
	connection->exchange = exchange;
	return exchange;
}

struct exchange *exchange_of(const struct connection *connection) {
	struct exchange *exchange = connection->exchange;
	return exchange && exchange->magic == EXCHANGE_MAGIC ? exchange : NULL;
}

void exchange_wait(struct exchange *exchange) {
	/* What is not read would spin the loop: see lws.h. */
	if (!exchange->is_read_on) {
		connection_pause(exchange->connection);
	}
}

void exchange_free(struct exchange *exchange) {
	conversation_cancel(&exchange->op);
	if (exchange->cursor.response) {
		connection_charge_question(exchange->connection, exchange->cursor.response, exchange->started_us);
	}
	cursor_close(&exchange->cursor);
	auth_forget(exchange->edge->deps.auth, exchange);
	exchange->connection->exchange = NULL;
	mem_free(exchange->path);
	mem_free(exchange->query);
	mem_free(exchange->idempotency_key);
	buf_free(&exchange->body);
	buf_free(&exchange->answer);
	exchange->magic = 0;
	mem_free(exchange);
}

static const char *reason_phrase(int status) {
	static const struct {
		int status;
		const char *phrase;
	} phrases[] = {
		{200, "OK"},
		{204, "No Content"},
		{304, "Not Modified"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{409, "Conflict"},
		{413, "Content Too Large"},
		{415, "Unsupported Media Type"},
		{429, "Too Many Requests"},
		{500, "Internal Server Error"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{507, "Insufficient Storage"},
	};
	for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++) {
		if (phrases[i].status == status) {
			return phrases[i].phrase;
		}
	}
	return "Status";
}

static void append_date(struct buf *out, int64_t wall_ms) {
	time_t now = (time_t)(wall_ms / 1000);
	struct tm utc;
	char text[64];
	/* RFC 9110, 5.6.7. The process never leaves the C locale. */
	if (gmtime_r(&now, &utc) && strftime(text, sizeof text, "date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc)) {
		buf_append_text(out, text);
	}
}

static void append_limits(struct buf *out, const struct exchange *exchange) {
	struct api_header headers[3];
	size_t count = api_limit_headers(&exchange->limits, headers);
	for (size_t i = 0; i < count; i++) {
		buf_printf(out, "%s: %s\r\n", headers[i].name, headers[i].value);
	}
}

static void append_head(struct buf *out, const struct exchange *exchange, int status, bool cacheable) {
	buf_printf(out, "HTTP/1.1 %d %s\r\nx-request-id: %s\r\n", status, reason_phrase(status), exchange->request_id);
	append_date(out, edge_wall_ms(exchange->edge));
	buf_append_text(out, cacheable ? "cache-control: no-cache\r\n" : "cache-control: no-store\r\n");
	buf_append_text(out, "x-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\n"
			     "cross-origin-opener-policy: same-origin\r\n");
	if (exchange->allow_origin[0]) {
		buf_printf(
			out,
			"access-control-allow-origin: %s\r\nvary: origin\r\n"
			"access-control-expose-headers: x-request-id, retry-after, x-should-retry, x-ratelimit-limit-requests, "
			"x-ratelimit-remaining-requests, x-ratelimit-reset-requests\r\n",
			exchange->allow_origin);
	} else {
		buf_append_text(out, "cross-origin-resource-policy: same-origin\r\n");
	}
	if (exchange->no_retry) {
		buf_append_text(out, "x-should-retry: false\r\n");
	}
	if (exchange->deprecation) {
		http_deprecation_headers(exchange->deprecation, out);
	}
	append_limits(out, exchange);
	buf_append_text(out, exchange->keep_alive ? "connection: keep-alive\r\n" : "connection: close\r\n");
}

static void account(const struct exchange *exchange, int status) {
	struct edge *edge = exchange->edge;
	counter_add(edge->metrics.http_requests[status / 100 % 6], 1);
	log_info(&exchange->connection->log, "request", LOG_S("request", exchange->request_id),
		 LOG_S("path", exchange->path ? exchange->path : ""), LOG_I("status", status),
		 LOG_I("us", edge_now_us(edge) - exchange->started_us), LOG_S("user", exchange->who.user));
}

/* The connection is free for the next request, or closes. */
static void end(struct exchange *exchange) {
	struct connection *connection = exchange->connection;
	struct edge *edge = exchange->edge;
	bool unread = exchange->has_body && !exchange->body_complete;
	bool keep = exchange->keep_alive && !unread && !edge->draining;
	exchange_free(exchange);
	connection_resume(connection);
	if (unread) {
		/* Closing now would reset the connection and could cost the client our answer. */
		connection->lingering = true;
		connection_set_deadline(connection, 2000, connection_kill);
		return;
	}
	if (!keep || lws_http_transaction_completed(connection->wsi)) {
		connection_finish(connection);
		return;
	}
	connection_await_drain(connection);
}

static void charge_answer(const struct exchange *exchange, size_t length) {
	int64_t used_us = conversation_used_us(exchange->edge->deps.conversations);
	connection_charge(exchange->connection, used_us + (int64_t)length / ANSWER_BYTES_PER_US);
}

/* False: the connection is lost and the exchange gone. */
static bool write_out(struct exchange *exchange, struct buf *out) {
	struct connection *connection = exchange->connection;
	bool written = false;
	if (connection->wsi && !out->failed) {
		connection_resume(connection);
		size_t length = out->length - LWS_HEADROOM;
		written = lws_write(connection->wsi, (unsigned char *)out->data + LWS_HEADROOM, length,
				    LWS_WRITE_HTTP) >= (int)length;
		charge_answer(exchange, length);
	}
	if (!written) {
		exchange_free(exchange);
		connection_kill(connection);
	}
	return written;
}

void reply_send(struct exchange *exchange, const struct reply *reply) {
	struct buf *out = &exchange->edge->out;
	bool unread = exchange->has_body && !exchange->body_complete;
	if (unread || exchange->edge->draining) {
		exchange->keep_alive = false;
	}
	edge_out_begin(out);
	append_head(out, exchange, reply->status, reply->cacheable);
	if (reply->type) {
		buf_printf(out, "content-type: %s\r\n", reply->type);
	}
	if (reply->headers) {
		buf_append_text(out, reply->headers);
	}
	/* RFC 9110, 8.6: neither 204 nor 304 say a length that a client could take for a body. */
	if (reply->status != 204 && reply->status != 304) {
		buf_printf(out, "content-length: %zu\r\n", reply->body.length);
	}
	buf_append_text(out, "\r\n");
	if (exchange->method != HTTP_HEAD) {
		buf_append_str(out, reply->body);
	}
	account(exchange, reply->status);
	if (write_out(exchange, out)) {
		end(exchange);
	}
	/* A large answer is not kept for ever by the scratch. */
	if (out->capacity > 256 * 1024) {
		buf_free(out);
	}
}

void reply_json(struct exchange *exchange, int status, const struct buf *body) {
	if (body->failed) {
		reply_code(exchange, API_OVERLOADED);
		return;
	}
	reply_send(exchange, &(struct reply){.status = status, .type = "application/json", .body = buf_str(body)});
}

void reply_error(struct exchange *exchange, const struct api_error *error) {
	struct buf body = BUF_INIT, headers = BUF_INIT;
	struct api_header rows[API_ERROR_HEADERS];
	struct api_error told = *error;
	/* The limit state stands in the headers of every answer already. */
	if (exchange->limits.known) {
		told.requests.known = false;
	}
	if (exchange->idempotency_key && strcmp(told.param, "idempotency_key") == 0) {
		str_copy_cut(told.param, sizeof told.param, STR("Idempotency-Key")); /* as it is called over HTTP */
	}
	size_t count = api_error_headers(&told, rows);
	for (size_t i = 0; i < count; i++) {
		buf_printf(&headers, "%s: %s\r\n", rows[i].name, rows[i].value);
	}
	const struct api_error_row *row = api_error_row(error->code);
	if (row->status == 401) {
		buf_append_text(&headers, "www-authenticate: Bearer\r\n");
	}
	if (row->status == 405) {
		char allow[48];
		http_allow(exchange->match.allowed, allow, sizeof allow);
		buf_printf(&headers, "allow: %s\r\n", allow);
	}
	api_error_write_body(&body, &told);
	/* Without memory the status alone must do. */
	const char *lines = buf_text(&headers);
	reply_send(exchange, &(struct reply){.status = row->status,
					     .type = "application/json",
					     .body = body.failed ? STR_NONE : buf_str(&body),
					     .headers = lines});
	buf_free(&headers);
	buf_free(&body);
}

void reply_code(struct exchange *exchange, enum api_error_code code) {
	struct api_error error;
	api_error_set(&error, code, NULL, NULL);
	reply_error(exchange, &error);
}

int reply_stream_begin(struct exchange *exchange, const char *type) {
	struct buf *out = &exchange->edge->out;
	/* HTTP/1.0 knows no chunks: there the close is the end. */
	if (!exchange->http11) {
		exchange->keep_alive = false;
	}
	edge_out_begin(out);
	append_head(out, exchange, 200, false);
	buf_printf(out, "content-type: %s\r\nx-accel-buffering: no\r\n", type);
	buf_append_text(out, exchange->http11 ? "transfer-encoding: chunked\r\n\r\n" : "\r\n");
	exchange->streaming = true;
	account(exchange, 200);
	return write_out(exchange, out) ? 0 : -1;
}

void reply_stream_end(struct exchange *exchange) {
	end(exchange);
}
