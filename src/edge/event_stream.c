#include "event_stream.h"

#include <string.h>

#include "api_common.h"
#include "proto/completion.h"

/* Eight digits, CRLF: RFC 9112, 7.1 allows leading zeros, so the size can be filled in afterwards. */
#define CHUNK_HEAD "00000000\r\n"
#define CHUNK_HEAD_SIZE (sizeof CHUNK_HEAD - 1)
#define BATCH_BYTES (16 * 1024)
/* What one turn of the loop may write, as of a WebSocket session (stream.c). */
#define SLICE_BATCHES 4

static bool is_of_chunks(const struct cursor_sink *sink) {
	return sink->form != CURSOR_EVENTS;
}

static void append_data(struct buf *out, struct str data) {
	buf_append(out, "data: ", 6);
	buf_append_str(out, data);
	buf_append(out, "\n\n", 2);
}

/* Without names: clients of Chat Completions expect none. */
static void append_chunks(struct buf *out, struct str chunks) {
	while (chunks.length > 0) {
		append_data(out, str_cut(&chunks, '\n'));
	}
}

static bool append_event(struct exchange *exchange, struct buf *out) {
	struct buf *event = &exchange->edge->event;
	const char *name = NULL;
	buf_clear(event);
	if (!cursor_next(&exchange->cursor, event, &name)) {
		return false;
	}
	out->failed = out->failed || event->failed;
	if (is_of_chunks(exchange->cursor.sink)) {
		append_chunks(out, buf_str(event));
		return true;
	}
	buf_append(out, "event: ", 7);
	buf_append_text(out, name);
	buf_append_char(out, '\n');
	append_data(out, buf_str(event));
	return true;
}

static void set_chunk_size(char *head, size_t length) {
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < 8; i++) {
		head[7 - i] = digits[(length >> (4 * i)) & 15];
	}
}

/* Leaves room for the size of a chunk; gives where its bytes start. */
static size_t chunk_begin(const struct exchange *exchange, struct buf *out) {
	edge_out_begin(out);
	if (exchange->http11) {
		buf_append(out, CHUNK_HEAD, CHUNK_HEAD_SIZE);
	}
	return out->length;
}

static void chunk_end(const struct exchange *exchange, struct buf *out, size_t start, bool last) {
	if (exchange->http11 && !out->failed) {
		set_chunk_size(out->data + LWS_HEADROOM, out->length - start);
		buf_append_text(out, last ? "\r\n0\r\n\r\n" : "\r\n");
	}
}

/* One chunk of all events that wait, up to a bound. False: there was none, and there will be more. */
static bool fill(struct exchange *exchange, struct buf *out) {
	size_t start = chunk_begin(exchange, out);
	while (out->length < BATCH_BYTES && append_event(exchange, out)) {
	}
	bool last = cursor_finished(&exchange->cursor);
	if (out->length == start && !last) {
		return false;
	}
	if (last) {
		buf_append_text(out, "data: [DONE]\n\n");
	}
	chunk_end(exchange, out, start, last);
	return true;
}

/* -1: the connection is lost and the exchange gone. */
static int write_batch(struct exchange *exchange, struct buf *out) {
	struct connection *connection = exchange->connection;
	size_t length = out->length - LWS_HEADROOM;
	connection_resume(connection);
	if (out->failed || lws_write(connection->wsi, (unsigned char *)out->data + LWS_HEADROOM, length,
				     LWS_WRITE_HTTP) < (int)length) {
		exchange_free(exchange);
		connection_kill(connection);
		return -1;
	}
	exchange->written_us = edge_turn_us(exchange->edge);
	return 0;
}

static void on_silence(struct connection *connection);

/* An event only leaves its time behind and moves no timer: the deadline looks at that when it comes. */
static void await_silence(struct exchange *exchange) {
	struct connection *connection = exchange->connection;
	int64_t interval_ms = exchange->edge->options.heartbeat_interval_ms;
	if (interval_ms == 0) {
		connection_clear_deadline(connection);
	} else if (connection->on_deadline != on_silence) {
		connection_set_deadline(connection, interval_ms, on_silence);
	}
	exchange_wait(exchange);
}

/* The reader lags: libwebsockets says when it has taken something. It can't be paused meanwhile; so who sends instead of
 * reading, or closes, is let go where that would not be read (lws.h). */
static void await_reader(struct exchange *exchange) {
	struct connection *connection = exchange->connection;
	if (exchange->is_read_on) {
		connection_set_deadline(connection, exchange->edge->options.idle_timeout_ms, connection_time_out);
	} else if (connection_input_waits(connection)) {
		connection_time_out(connection);
	} else {
		connection_await_drain(connection);
	}
}

/* The slice is used up, and the reader takes more: the rest goes out after everybody else's turn. */
static void go_on_later(const struct exchange *exchange) {
	struct connection *connection = exchange->connection;
	connection_set_deadline(connection, exchange->edge->options.idle_timeout_ms, connection_time_out);
	lws_callback_on_writable(connection->wsi);
}

static void pump(struct exchange *exchange) {
	struct connection *connection = exchange->connection;
	struct edge *edge = exchange->edge;
	for (int batch = 0; batch < SLICE_BATCHES && !connection_is_blocked(connection); batch++) {
		if (!fill(exchange, &edge->out)) {
			await_silence(exchange);
			return;
		}
		bool last = cursor_finished(&exchange->cursor);
		if (write_batch(exchange, &edge->out)) {
			return;
		}
		if (last) {
			reply_stream_end(exchange);
			return;
		}
	}
	if (connection_is_blocked(connection)) {
		await_reader(exchange);
	} else {
		go_on_later(exchange);
	}
}

static int begin(struct exchange *exchange) {
	exchange->on_writable = pump;
	/* Nothing comes back on an event stream: that heartbeats are acknowledged is the reader's sign of life. */
	connection_expect_acknowledgement(exchange->connection, exchange->edge->options.idle_timeout_ms);
	return reply_stream_begin(exchange, "text/event-stream; charset=utf-8");
}

static void beat(struct exchange *exchange) {
	struct buf *out = &exchange->edge->out;
	size_t start = chunk_begin(exchange, out);
	buf_append_text(out, ": heartbeat\n\n");
	chunk_end(exchange, out, start, false);
	if (write_batch(exchange, out)) {
		return;
	}
	if (connection_is_blocked(exchange->connection)) {
		await_reader(exchange);
	} else {
		await_silence(exchange);
	}
}

static void on_silence(struct connection *connection) {
	struct exchange *exchange = exchange_of(connection);
	const struct edge *edge = connection->edge;
	if (!exchange || !connection->wsi) {
		return;
	}
	int64_t due_us = exchange->written_us + edge->options.heartbeat_interval_ms * 1000;
	int64_t left_us = due_us - edge_now_us(edge);
	if (left_us > 0) {
		connection_set_deadline(connection, (left_us + 999) / 1000, on_silence);
	} else if (exchange->streaming || begin(exchange) == 0) {
		beat(exchange);
	}
}

void event_stream_await(struct exchange *exchange) {
	await_silence(exchange);
}

static void on_ready(struct cursor *cursor) {
	struct exchange *exchange = cursor->owner;
	if (!exchange->connection->wsi) {
		return;
	}
	if (!exchange->streaming && begin(exchange)) {
		return;
	}
	pump(exchange);
}

/* The head goes out with the model's first word, so that a failure before it is an HTTP error, with its status. */
static void on_chunks_ready(struct cursor *cursor) {
	struct exchange *exchange = cursor->owner;
	struct api_error error;
	if (exchange->streaming || response_has_output(cursor->response)) {
		on_ready(cursor);
	} else if (!response_ended(cursor->response)) {
		api_read_to_end(cursor);
	} else if (response_completion_failure(cursor->response, &error) == 0) {
		api_reply_failure(exchange, &error);
	} else {
		on_ready(cursor);
	}
}

static void on_refused(struct cursor *cursor, const struct api_error *error) {
	struct exchange *exchange = cursor->owner;
	struct buf *out = &exchange->edge->out, *event = &exchange->edge->event;
	if (!exchange->streaming) {
		reply_error(exchange, error);
		return;
	}
	/* A heartbeat has sent the head already. */
	buf_clear(event);
	size_t start = chunk_begin(exchange, out);
	if (is_of_chunks(cursor->sink)) {
		api_error_write_body(event, error);
	} else {
		api_error_write_event(event, error);
		buf_append_text(out, "event: error\n");
	}
	append_data(out, buf_str(event));
	buf_append_text(out, "data: [DONE]\n\n");
	out->failed = out->failed || event->failed;
	chunk_end(exchange, out, start, true);
	if (write_batch(exchange, out) == 0) {
		reply_stream_end(exchange);
	}
}

static void on_chunks_refused(struct cursor *cursor, const struct api_error *error) {
	struct api_error told = *error;
	completion_translate_error(&told);
	on_refused(cursor, &told);
}

const struct cursor_sink event_stream_sink = {.ready = on_ready, .refused = on_refused};
const struct cursor_sink chunk_stream_sink = {
	.form = CURSOR_CHUNKS, .ready = on_chunks_ready, .refused = on_chunks_refused};
const struct cursor_sink chunk_stream_usage_sink = {
	.form = CURSOR_CHUNKS_OF_USAGE, .ready = on_chunks_ready, .refused = on_chunks_refused};
