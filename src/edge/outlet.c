#include "outlet.h"

#include <string.h>

#include "frame.h"

#define KEPT_MAX (64 * 1024)

/* Whoever writes is in the middle of something, with lanes and subscriptions in hand: these go when the loop closes it. */
static void lose(struct session *session) {
	session->closing = true;
	session->close_told = true;
	connection_abort(session->connection);
}

int outlet_write(struct session *session, struct buf *out) {
	struct connection *connection = session->connection;
	size_t length = out->length - LWS_HEADROOM;
	if (out->failed || lws_write(connection->wsi, (unsigned char *)out->data + LWS_HEADROOM, length,
				     LWS_WRITE_HTTP) < (int)length) {
		lose(session);
		return -1;
	}
	session->written_us = edge_turn_us(session->edge);
	return 0;
}

static void keep(struct session *session, struct str json) {
	if (session->control.length + json.length > KEPT_MAX) {
		outlet_close(session, CLOSE_POLICY, "answers are not read");
		return;
	}
	size_t start = frame_begin(&session->control);
	buf_append_str(&session->control, json);
	frame_end(&session->control, start);
	if (session->control.failed) {
		lose(session);
	}
}

void outlet_send(struct session *session, struct str json) {
	struct connection *connection = session->connection;
	if (!connection->wsi || session->closing) {
		return;
	}
	counter_add(session->edge->metrics.events_out, 1);
	if (session->control.length > 0 || connection_is_blocked(connection)) {
		keep(session, json);
		return;
	}
	struct buf *out = &session->edge->out;
	edge_out_begin(out);
	size_t start = frame_begin(out);
	buf_append_str(out, json);
	frame_end(out, start);
	outlet_write(session, out);
}

void outlet_tag(struct buf *out, const char *tag) {
	if (tag[0] && !out->failed) {
		out->length--;
		buf_append_text(out, tag);
		buf_append_char(out, '}');
	}
}

void outlet_error(struct session *session, const char *tag, const struct api_error *error) {
	struct buf *event = &session->edge->event;
	buf_clear(event);
	api_error_write_event(event, error);
	outlet_tag(event, tag);
	if (!event->failed) {
		outlet_send(session, buf_str(event));
	}
	/* Not its param: that may be a name which the client made up. */
	log_info(&session->connection->log, "error told", LOG_S("code", api_error_row(error->code)->code));
}

void outlet_refuse(struct session *session, const char *tag, const struct api_error *error) {
	outlet_error(session, tag, error);
	if (error->code == API_INVALID_KEY) {
		outlet_close(session, CLOSE_POLICY, "the credential is not valid any more");
	}
}

void outlet_take_kept(struct session *session, struct buf *out) {
	if (session->control.length > 0) {
		buf_append_str(out, buf_str(&session->control));
		buf_free(&session->control);
	}
}

void outlet_close(struct session *session, uint16_t code, const char *text) {
	struct connection *connection = session->connection;
	if (session->closing || !connection->wsi) {
		return;
	}
	session->closing = true;
	session->close_code = code;
	session->close_text = text;
	log_info(&connection->log, "closing", LOG_I("code", code), LOG_S("why", text));
	connection_rest_over(connection);
	lws_callback_on_writable(connection->wsi);
	connection_set_deadline(connection, SESSION_CLOSE_MS, connection_kill);
}
