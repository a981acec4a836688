#include "event_stream.h"

#include <string.h>

/* Eight digits, CRLF: RFC 9112, 7.1 allows leading zeros, so the size can be filled in afterwards. */
#define CHUNK_HEAD "00000000\r\n"
#define CHUNK_HEAD_SIZE (sizeof CHUNK_HEAD - 1)
#define BATCH_BYTES (16 * 1024)

static bool append_event(struct exchange *exchange, struct buf *out) {
	struct buf *event = &exchange->edge->event;
	const char *name = NULL;
	buf_clear(event);
	if (!cursor_next(&exchange->cursor, event, &name)) {
		return false;
	}
	buf_append(out, "event: ", 7);
	buf_append_text(out, name);
	buf_append(out, "\ndata: ", 7);
	buf_append_str(out, buf_str(event));
	buf_append(out, "\n\n", 2);
	out->failed = out->failed || event->failed;
	return true;
}

static void set_chunk_size(char *head, size_t length) {
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < 8; i++) {
		head[7 - i] = digits[(length >> (4 * i)) & 15];
	}
}

/* One chunk of all events that wait, up to a bound. False: there was none, and there will be more. */
static bool fill(struct exchange *exchange, struct buf *out) {
	edge_out_begin(out);
	if (exchange->http11) {
		buf_append(out, CHUNK_HEAD, CHUNK_HEAD_SIZE);
	}
	size_t start = out->length;
	while (out->length < BATCH_BYTES && append_event(exchange, out)) {
	}
	bool last = cursor_finished(&exchange->cursor);
	if (out->length == start && !last) {
		return false;
	}
	if (last) {
		buf_append_text(out, "data: [DONE]\n\n");
	}
	if (exchange->http11 && !out->failed) {
		set_chunk_size(out->data + LWS_HEADROOM, out->length - start);
		buf_append_text(out, last ? "\r\n0\r\n\r\n" : "\r\n");
	}
	return true;
}

static int write_batch(struct exchange *exchange, struct buf *out) {
	size_t length = out->length - LWS_HEADROOM;
	if (out->failed || lws_write(exchange->connection->wsi, (unsigned char *)out->data + LWS_HEADROOM, length,
				     LWS_WRITE_HTTP) < (int)length) {
		return -1;
	}
	return 0;
}

static void pump(struct exchange *exchange) {
	struct connection *connection = exchange->connection;
	struct edge *edge = exchange->edge;
	while (!connection_is_blocked(connection)) {
		if (!fill(exchange, &edge->out)) {
			connection_clear_deadline(connection);
			return;
		}
		bool last = cursor_finished(&exchange->cursor);
		if (write_batch(exchange, &edge->out)) {
			exchange_free(exchange);
			connection_kill(connection);
			return;
		}
		if (last) {
			reply_stream_end(exchange);
			return;
		}
	}
	/* The reader lags: libwebsockets says when it has taken something. */
	connection_set_deadline(connection, edge->options.idle_timeout_ms, connection_time_out);
}

static void on_ready(struct cursor *cursor) {
	struct exchange *exchange = cursor->owner;
	if (!exchange->connection->wsi) {
		return;
	}
	if (!exchange->streaming && reply_stream_begin(exchange, "text/event-stream; charset=utf-8")) {
		return;
	}
	exchange->on_writable = pump;
	pump(exchange);
}

static void on_refused(struct cursor *cursor, const struct api_error *error) {
	reply_error(cursor->owner, error);
}

const struct cursor_sink event_stream_sink = {.ready = on_ready, .refused = on_refused};
