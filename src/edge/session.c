#include "session.h"

#include <string.h>

#include "base/mem.h"
#include "cancel.h"
#include "frame.h"
#include "lanes.h"
#include "message.h"
#include "outlet.h"
#include "stream.h"
#include "subscription.h"

#define SESSION_MAGIC 0x73657373u
/* What a fragment costs besides its bytes, so that floods of tiny ones are limited too. */
#define FRAGMENT_COST 32
/* Memory of a message buffer that an idle session may keep. */
#define KEPT_MESSAGE_BYTES 4096

static int64_t now_us(const struct session *session) {
	return edge_now_us(session->edge);
}

struct session *session_of(const struct connection *connection) {
	struct session *session = connection->session;
	return session && session->magic == SESSION_MAGIC ? session : NULL;
}

static void let_go(struct session *session) {
	subscriptions_free(session);
	lanes_free(session);
	cancel_free(session);
}

static void on_close(struct connection *connection) {
	struct session *session = session_of(connection);
	let_go(session);
	buf_free(&session->message);
	buf_free(&session->control);
	buf_free(&session->held);
	mem_free(session->request_id);
	session->request_id = NULL;
	session->closing = true;
	log_debug(&connection->log, "session closed");
}

static void on_rested(struct connection *connection);

struct session *session_new(struct connection *connection, const struct principal *who) {
	struct session *session = mem_zalloc(sizeof *session);
	char request_id[ID_SIZE];
	if (!session) {
		return NULL;
	}
	id_make(request_id, "req", edge_wall_ms(connection->edge));
	session->request_id = mem_strdup(request_id);
	if (!session->request_id) {
		mem_free(session);
		return NULL;
	}
	session->magic = SESSION_MAGIC;
	session->connection = connection;
	session->edge = connection->edge;
	session->who = *who;
	list_init(&session->streams);
	list_init(&session->lanes);
	list_init(&session->waiting);
	list_init(&session->subscriptions);
	list_init(&session->lookups);
	connection->session = session;
	connection->on_close = on_close;
	connection->on_rested = on_rested;
	gauge_add(session->edge->metrics.http_connections, -1);
	gauge_add(session->edge->metrics.websocket_connections, 1);
	return session;
}

/* --- deadlines ---------------------------------------------------------------------------------------------------- */

static void on_deadline(struct connection *connection);

static int64_t earlier(int64_t a, int64_t b) {
	return a < b ? a : b;
}

static void arm(struct session *session) {
	int64_t next = earlier(session->ping_us, session->beat_us);
	if (!session->expired) {
		next = earlier(next, session->expires_us);
	}
	if (session->pong_us) {
		next = earlier(next, session->pong_us);
	}
	int64_t left_ms = (next - now_us(session) + 999) / 1000;
	connection_set_deadline(session->connection, left_ms > 0 ? left_ms : 0, on_deadline);
}

static void heard(struct session *session) {
	session->pong_us = 0;
}

static void ping(struct session *session, int64_t now) {
	const struct edge_options *options = &session->edge->options;
	/* With a payload: the answer to an empty ping is not reported (lws.h). */
	unsigned char bytes[LWS_PRE + 4] = {0};
	memcpy(bytes + LWS_PRE, "ping", 4);
	session->ping_us = now + options->ping_interval_ms * 1000;
	if (!session->pong_us) {
		session->pong_us = now + options->pong_timeout_ms * 1000;
	}
	/* A blocked socket gets none: it would come last. Taking what waits for it is a sign of life as well. */
	if (!connection_is_blocked(session->connection) &&
	    lws_write(session->connection->wsi, bytes + LWS_PRE, 4, LWS_WRITE_PING) < 0) {
		connection_kill(session->connection);
	}
}

/* What a turn writes only leaves its time behind; this looks at it when the silence could have lasted long enough, so
 * that no token moves a timer. A blocked socket gets none: events wait there already. */
static void beat(struct session *session, int64_t now) {
	int64_t interval_us = session->edge->options.heartbeat_interval_ms * 1000;
	int64_t due_us = session->written_us + interval_us;
	if (lanes_idle(session) || connection_is_blocked(session->connection)) {
		due_us = now + interval_us;
	} else if (now >= due_us) {
		due_us = now + interval_us;
		outlet_send(session, STR("{\"type\":\"sluice:heartbeat\"}"));
	}
	session->beat_us = due_us;
}

static void expire(struct session *session) {
	session->expired = true;
	lanes_close_if_over(session);
}

static void on_deadline(struct connection *connection) {
	struct session *session = session_of(connection);
	int64_t now = now_us(session);
	if (connection->resting) {
		heard(session); /* it may have answered, and we do not listen */
	}
	if (session->pong_us && now >= session->pong_us) {
		connection_time_out(connection);
		return;
	}
	if (!session->expired && now >= session->expires_us) {
		expire(session);
	}
	if (now >= session->ping_us && connection->wsi && !session->closing) {
		ping(session, now);
	}
	if (now >= session->beat_us && connection->wsi && !session->closing) {
		beat(session, now);
	}
	if (connection->wsi && !session->closing) {
		arm(session);
	}
}

/* --- the close ---------------------------------------------------------------------------------------------------- */

/* Once everything else is out. The frame is ours: when libwebsockets 4.1 of Debian is asked to close, it closes twice and
 * the second time hangs up before its own close frame is out. It keeps reading meanwhile, so that nothing unread resets
 * the connection before the client has learned why; the client's close frame, or the deadline, ends it. */
static void send_close(struct session *session) {
	struct connection *connection = session->connection;
	struct buf *out = &session->edge->out;
	if (!connection->wsi || !session->closing || session->close_told || connection_is_blocked(connection)) {
		return;
	}
	session->close_told = true;
	edge_out_begin(out);
	outlet_take_kept(session, out);
	frame_close(out, session->close_code, session->close_text);
	outlet_write(session, out);
}

/* --- callbacks ---------------------------------------------------------------------------------------------------- */

int session_established(struct connection *connection) {
	struct session *session = session_of(connection);
	if (!session) {
		return -1;
	}
	const struct edge_options *options = &session->edge->options;
	int64_t now = now_us(session);
	session->ping_us = now + options->ping_interval_ms * 1000;
	session->expires_us = now + options->connection_lifetime_ms * 1000;
	session->beat_us =
		options->heartbeat_interval_ms ? now + options->heartbeat_interval_ms * 1000 : INT64_MAX; /* 0: never */
	arm(session);
	log_info(&connection->log, "session opened", LOG_S("user", session->who.user),
		 LOG_S("credential", session->who.credential), LOG_S("request", session->request_id));
	mem_free(session->request_id);
	session->request_id = NULL;
	return 0;
}

/* A message is there; `refused` for that, unless API_OK. */
static void complete(struct session *session, enum api_error_code refused, struct str text, size_t cost) {
	struct edge *edge = session->edge;
	struct api_error error;
	int64_t before_us = clock_thread_us();
	if (limiter_take_bytes(&session->connection->limiter.bytes, &edge->options.bytes, now_us(session), cost,
			       &error)) {
		message_refuse(session, "", &error);
	} else if (refused != API_OK) {
		api_error_set(&error, refused, NULL, NULL);
		message_refuse_garbage(session, "", &error);
	} else {
		message_handle(session, text);
	}
	connection_charge(session->connection, clock_thread_us() - before_us);
}

/* Before each message in session->held. */
struct held {
	size_t length;
	size_t cost;
	enum api_error_code refused;
};

/* For after the rest. No more comes than what was read at once: then reading stops. A rest that began with a request over HTTP,
 * before this was a WebSocket, has not stopped it yet. */
static void hold(struct session *session, size_t cost) {
	struct held head = {.length = session->message.length, .cost = cost, .refused = session->refused};
	connection_tire(session->connection);
	buf_append_str(&session->held, (struct str){(const char *)&head, sizeof head});
	buf_append_str(&session->held, buf_str(&session->message));
	if (session->held.failed) {
		outlet_close(session, CLOSE_INTERNAL, "no memory for what was sent");
	}
}

static void on_rested(struct connection *connection) {
	struct session *session = session_of(connection);
	struct buf held = session->held;
	session->held = (struct buf)BUF_INIT;
	lanes_go_on(session);
	size_t at = 0;
	while (at < held.length && !connection->resting && !session->closing) {
		struct held head;
		memcpy(&head, held.data + at, sizeof head);
		at += sizeof head;
		complete(session, head.refused, (struct str){held.data + at, head.length}, head.cost);
		at += head.length;
	}
	if (at < held.length && !session->closing) {
		buf_append_str(&session->held, (struct str){held.data + at, held.length - at});
		if (session->held.failed) {
			outlet_close(session, CLOSE_INTERNAL, "no memory for what was sent");
		}
	}
	buf_free(&held);
}

/* It is told at the end of the message, in its turn behind those before it. */
static void refuse(struct session *session, enum api_error_code code) {
	session->refused = code;
	buf_free(&session->message);
}

static void take(struct session *session, struct str bytes) {
	struct lws *wsi = session->connection->wsi;
	struct api_error error;
	bool begins = !session->in_frame;
	session->fragments += begins;
	bool first = begins && session->fragments == 1;
	session->received += bytes.length;
	/* Fault 18: judged by the length that the frame announces, before a byte of it is kept. */
	uint64_t left = lws_remaining_packet_payload(wsi);
	session->in_frame = left > 0;
	size_t most = session->edge->options.max_message;
	if (session->received > most || left > most - session->received) {
		api_error_set(&error, API_MESSAGE_TOO_LARGE, NULL, NULL);
		message_refuse(session, "", &error);
		outlet_close(session, CLOSE_TOO_LARGE, "the message is too large");
	} else if (session->refused != API_OK) {
		return;
	} else if (first && lws_frame_is_binary(wsi)) {
		refuse(session, API_BINARY_FRAME);
	} else {
		buf_append_str(&session->message, bytes);
		if (session->message.failed) {
			refuse(session, API_OVERLOADED);
		}
	}
}

static void reset_message(struct session *session) {
	session->fragments = 0;
	session->received = 0;
	session->refused = API_OK;
	if (session->message.capacity > KEPT_MESSAGE_BYTES) {
		buf_free(&session->message);
	} else {
		buf_clear(&session->message);
	}
}

int session_receive(struct connection *connection, struct str bytes) {
	struct session *session = session_of(connection);
	if (!session || !connection->wsi) {
		return -1;
	}
	heard(session);
	counter_add(session->edge->metrics.bytes_in, bytes.length);
	connection_charge_read(connection, bytes.length);
	if (session->closing) {
		return 0;
	}
	/* Asked first: answering may find the connection lost. */
	bool last = lws_is_final_fragment(connection->wsi) && lws_remaining_packet_payload(connection->wsi) == 0;
	take(session, bytes);
	if (last) {
		size_t cost = session->received + (size_t)session->fragments * FRAGMENT_COST;
		counter_add(session->edge->metrics.messages_in, 1);
		if (session->closing) {
			/* It was too large: what it got is the last answer. */
		} else if (connection->resting) {
			hold(session, cost);
		} else {
			complete(session, session->refused, buf_str(&session->message), cost);
		}
		reset_message(session);
	}
	return connection_verdict(connection);
}

int session_pong(struct connection *connection) {
	struct session *session = session_of(connection);
	if (!session) {
		return -1;
	}
	heard(session);
	return 0;
}

int session_writable(struct connection *connection) {
	struct session *session = session_of(connection);
	if (!session || !connection->wsi) {
		return -1;
	}
	heard(session);
	int64_t before_us = clock_thread_us();
	streams_pump(session);
	send_close(session);
	connection_charge(connection, clock_thread_us() - before_us);
	return connection_verdict(connection);
}

int session_peer_closes(struct connection *connection) {
	struct session *session = session_of(connection);
	if (!session || session->close_told) {
		return -1;
	}
	session->closing = true;
	session->close_told = true;
	let_go(session);
	connection_set_deadline(connection, SESSION_CLOSE_MS, connection_kill);
	return 0;
}

void session_drain(struct connection *connection) {
	struct session *session = session_of(connection);
	if (session && connection->wsi && !session->closing) {
		outlet_send(session, STR("{\"type\":\"sluice:draining\"}"));
		lanes_close_if_over(session);
	}
}
