#include "edge/server.h"

#include <string.h>

#include "base/mem.h"
#include "connection.h"
#include "edge.h"
#include "entrance.h"
#include "guard.h"
#include "http.h"
#include "identity.h"
#include "session.h"
#include "shared.h"

/* One read of a request's body or of an upgrade; for the whole server. */
#define SERVICE_BUFFER 16384
/* One read of a WebSocket, and memory of each connection. Twice as much makes a message of 1 MB a fifth cheaper, and those
 * that people write no cheaper at all. */
#define WEBSOCKET_READ 512
/* What one lws_write may hand to the socket. */
#define WRITE_MOST (1 << 20)

/* --- callbacks: who is meant ----------------------------------------------------------------------------------------- */

static struct edge *edge_of(struct lws *wsi) {
	return lws_context_user(lws_get_context(wsi));
}

static int on_accepted(struct lws *wsi) {
	return connection_new(edge_of(wsi), wsi) ? 0 : -1;
}

static int on_upgrade(struct connection *connection) {
	struct edge *edge = connection->edge;
	struct api_error error;
	struct principal who;
	if (guard_upgrade(edge, connection->wsi, &error)) {
		counter_add(edge->metrics.upgrades_refused, error.code == API_OK);
		return error.code == API_OK ? -1 : http_refuse_upgrade(connection, &error);
	}
	if (edge->draining) {
		api_error_set(&error, API_DRAINING, NULL, NULL);
		return http_refuse_upgrade(connection, &error);
	}
	if (identity_find(edge, connection->wsi, IDENTITY_UPGRADE, &who, &error)) {
		return http_refuse_upgrade(connection, &error);
	}
	return session_new(connection, &who) ? 0 : -1;
}

static int on_add_headers(struct lws *wsi, struct lws_process_html_args *args) {
	struct connection *connection = connection_of(wsi);
	struct session *session = connection ? session_of(connection) : NULL;
	if (!session || !session->request_id) {
		return 0;
	}
	unsigned char *at = (unsigned char *)args->p;
	int failed = lws_add_http_header_by_name(
		wsi, (const unsigned char *)"x-request-id:", (const unsigned char *)session->request_id,
		(int)strlen(session->request_id), &at, at + args->max_len);
	args->p = (char *)at;
	return failed;
}

static int dispatch(struct connection *connection, enum lws_callback_reasons reason, struct str bytes) {
	switch (reason) {
	case LWS_CALLBACK_HTTP:
		connection->asked = true;
		return http_request(connection);
	case LWS_CALLBACK_HTTP_BODY:
		return http_body(connection, bytes);
	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
		return http_body_complete(connection);
	case LWS_CALLBACK_HTTP_WRITEABLE:
		if (!connection->finishing && connection->on_writable) {
			connection->on_writable(connection);
		}
		return connection_verdict(connection);
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		connection->asked = true;
		return on_upgrade(connection);
	case LWS_CALLBACK_ESTABLISHED:
		return session_established(connection);
	case LWS_CALLBACK_RECEIVE:
		return session_receive(connection, bytes);
	case LWS_CALLBACK_RECEIVE_PONG:
		return session_pong(connection);
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return session_writable(connection);
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		return session_peer_closes(connection);
	case LWS_CALLBACK_CLOSED:
	case LWS_CALLBACK_CLOSED_HTTP:
		connection_closed(connection);
		return 0;
	case LWS_CALLBACK_WSI_DESTROY:
		connection_free(connection);
		return 0;
	default:
		return 0;
	}
}

/* libwebsockets' books about its sockets (lws.h): no business of a connection's, and never to be refused. */
static bool is_bookkeeping(enum lws_callback_reasons reason) {
	return reason == LWS_CALLBACK_LOCK_POLL || reason == LWS_CALLBACK_UNLOCK_POLL ||
	       reason == LWS_CALLBACK_ADD_POLL_FD || reason == LWS_CALLBACK_DEL_POLL_FD ||
	       reason == LWS_CALLBACK_CHANGE_MODE_POLL_FD;
}

/* `in` is only touched for what carries bytes: guard 1. */
static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length) {
	(void)user;
	if (guard_is_foreign_role(reason)) {
		return -1;
	}
	if (is_bookkeeping(reason)) {
		return 0;
	}
	if (reason == LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED) {
		return on_accepted(wsi);
	}
	if (reason == LWS_CALLBACK_ADD_HEADERS) {
		return on_add_headers(wsi, in);
	}
	bool carries = reason == LWS_CALLBACK_HTTP_BODY || reason == LWS_CALLBACK_RECEIVE;
	struct connection *connection = wsi ? connection_of(wsi) : NULL;
	if (!connection) {
		return 0;
	}
	bool dead = !connection->wsi && reason != LWS_CALLBACK_WSI_DESTROY;
	return dead ? -1 : dispatch(connection, reason, carries ? (struct str){in, length} : STR_NONE);
}

/* --- start ----------------------------------------------------------------------------------------------------------- */

static void register_metrics(struct edge_metrics *m, struct metrics *metrics) {
	static const char *const classes[6] = {NULL,           "code=\"1xx\"", "code=\"2xx\"",
					       "code=\"3xx\"", "code=\"4xx\"", "code=\"5xx\""};
	m->http_connections = metrics_gauge(metrics, "sluice_connections", "kind=\"http\"", "Open client connections.");
	m->websocket_connections =
		metrics_gauge(metrics, "sluice_connections", "kind=\"websocket\"", "Open client connections.");
	m->accepted = metrics_counter(metrics, "sluice_connections_accepted_total", NULL, "Connections accepted.");
	m->refused_connections = metrics_counter(metrics, "sluice_connections_refused_total", NULL,
						 "Connections closed at once, over a limit.");
	for (int i = 1; i < 6; i++) {
		m->http_requests[i] =
			metrics_counter(metrics, "sluice_http_requests_total", classes[i], "HTTP requests answered.");
	}
	m->http_requests[0] = m->http_requests[5];
	m->messages_in = metrics_counter(metrics, "sluice_ws_messages_total", NULL, "WebSocket messages received.");
	m->events_out = metrics_counter(metrics, "sluice_ws_events_total", NULL, "WebSocket events sent.");
	m->bytes_in =
		metrics_counter(metrics, "sluice_received_bytes_total", NULL, "Bytes of bodies and messages received.");
	m->limit_refusals =
		metrics_counter(metrics, "sluice_limit_refusals_total", NULL, "Requests refused by a limit.");
	m->upgrades_refused =
		metrics_counter(metrics, "sluice_upgrades_refused_total", NULL, "WebSocket upgrades refused.");
	m->abuse_closes = metrics_counter(metrics, "sluice_abuse_closes_total", NULL,
					  "Sessions closed for too many refused requests.");
	m->rests = metrics_counter(
		metrics, "sluice_rests_total", NULL,
		"Times a connection was not read for a while, because it had used its share of the loop.");
	m->timeouts = metrics_counter(metrics, "sluice_timeouts_total", NULL, "Connections closed by a deadline.");
}

static void on_tick(uv_timer_t *ticker) {
	struct edge *edge = ticker->data;
	wheel_advance(&edge->wheel, edge_now_us(edge), connection_fire, edge);
	wheel_advance(&edge->rests, edge_now_us(edge), connection_rested, edge);
	users_sweep(edge->users, edge_now_us(edge));
	if (edge->wheel.count == 0 && edge->rests.count == 0) {
		uv_timer_stop(ticker);
		edge->ticking = false;
	}
}

static void on_before_poll(uv_prepare_t *prepare) {
	struct edge *edge = prepare->data;
	connection_stop_tired(edge);
	edge->polling = true;
}

static void on_after_poll(uv_check_t *check) {
	struct edge *edge = check->data;
	edge->polling = false;
}

static void start_handles(struct edge *edge) {
	uv_loop_t *loop = edge->deps.loop;
	edge->ticker.data = edge;
	edge->before_poll.data = edge;
	edge->after_poll.data = edge;
	uv_timer_init(loop, &edge->ticker);
	uv_prepare_init(loop, &edge->before_poll);
	uv_check_init(loop, &edge->after_poll);
	uv_prepare_start(&edge->before_poll, on_before_poll);
	uv_check_start(&edge->after_poll, on_after_poll);
	uv_unref((uv_handle_t *)&edge->before_poll);
	uv_unref((uv_handle_t *)&edge->after_poll);
	edge->open_handles = 3;
}

static int copy_origins(struct edge *edge) {
	size_t count = edge->options.origin_count;
	edge->origins = mem_zarray(count + 1, sizeof *edge->origins);
	for (size_t i = 0; edge->origins && i < count; i++) {
		edge->origins[i] = mem_strdup(edge->options.origins[i]);
		if (!edge->origins[i]) {
			return -1;
		}
	}
	edge->options.origins = NULL;
	return edge->origins ? 0 : -1;
}

static void set_protocols(struct edge *edge) {
	/* The name of the first is never offered: whoever names a subprotocol gets "realtime" or a refusal (guard.c). */
	static const char *const names[] = {"sluice", "realtime"};
	for (size_t i = 0; i < 2; i++) {
		edge->protocols[i] = (struct lws_protocols){
			.name = names[i],
			.callback = callback,
			.rx_buffer_size = WEBSOCKET_READ,
			.tx_packet_size = WRITE_MOST,
		};
	}
}

struct handle_walk {
	struct edge *edge;
	bool before;
	size_t known;
	const uv_handle_t *seen[64];
};

/* Which timer and idle handles came with libwebsockets' context: see on_teardown. */
static void note_handle(uv_handle_t *handle, void *arg) {
	struct handle_walk *walk = arg;
	if (handle->type != UV_TIMER && handle->type != UV_IDLE) {
		return;
	}
	if (walk->before) {
		if (walk->known < sizeof walk->seen / sizeof walk->seen[0]) {
			walk->seen[walk->known++] = handle;
		}
		return;
	}
	for (size_t i = 0; i < walk->known; i++) {
		if (walk->seen[i] == handle) {
			return;
		}
	}
	struct edge *edge = walk->edge;
	if (edge->lws_handle_count < sizeof edge->lws_handles / sizeof edge->lws_handles[0]) {
		edge->lws_handles[edge->lws_handle_count++] = handle;
	}
}

static unsigned int seconds(int64_t ms) {
	return (unsigned int)(ms / 1000 + 10);
}

static int create_context(struct edge *edge, struct err *err) {
	static const lws_retry_bo_t no_retry = {0};
	const struct edge_options *options = &edge->options;
	void *loops[] = {edge->deps.loop};
	int64_t slowest = options->header_timeout_ms > options->body_timeout_ms ? options->header_timeout_ms
										: options->body_timeout_ms;
	struct handle_walk walk = {.edge = edge, .before = true};
	uv_walk(edge->deps.loop, note_handle, &walk);
	struct lws_context_creation_info info = {
		/* Connections are accepted by listener.c, and adopted. */
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.protocols = edge->protocols,
		.vhost_name = "sluice",
		.options =
			LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_VALIDATE_UTF8,
		.foreign_loops = loops,
		.user = edge,
		.pcontext = &edge->context,
		.alpn = "http/1.1",
		.gid = -1,
		.uid = -1,
		.max_http_header_data2 = 8192,
		.pt_serv_buf_size = SERVICE_BUFFER,
		/* Behind ours: they only catch what ours should have. */
		.timeout_secs = seconds(slowest),
		.keepalive_timeout = (int)seconds(options->idle_timeout_ms),
		.retry_and_idle_policy = &no_retry,
	};
	edge->context = lws_create_context(&info);
	walk.before = false;
	uv_walk(edge->deps.loop, note_handle, &walk);
	if (!edge->context) {
		return err_set(err, ERR_IO, "libwebsockets can't start; is its libuv plugin installed?");
	}
	edge->vhost = lws_create_vhost(edge->context, &info);
	if (!edge->vhost) {
		return err_set(err, ERR_IO, "libwebsockets can't serve");
	}
	return 0;
}

struct edge *edge_new(const struct edge_options *options, const struct edge_deps *deps, struct err *err) {
	struct edge *edge = mem_zalloc(sizeof *edge);
	if (!edge) {
		err_set(err, ERR_MEMORY, "no memory for the edge");
		return NULL;
	}
	edge->options = *options;
	edge->tls = options->public_url && strncmp(options->public_url, "https://", 8) == 0;
	edge->options.public_url = NULL;
	edge->deps = *deps;
	list_init(&edge->connections);
	list_init(&edge->tired);
	wheel_init(&edge->wheel, edge_now_us(edge));
	wheel_init(&edge->rests, edge_now_us(edge));
	edge->on_tick = on_tick;
	start_handles(edge);
	register_metrics(&edge->metrics, deps->metrics);
	edge->places = deps->shared->places;
	edge->users = deps->shared->users;
	edge->files = deps->shared->files;
	if (copy_origins(edge)) {
		err_set(err, ERR_MEMORY, "no memory for the edge");
		goto fail;
	}
	set_protocols(edge);
	if (create_context(edge, err)) {
		goto fail;
	}
	edge->seat = places_open(edge->places, edge, deps->mailbox);
	if (!edge->seat) {
		err_set(err, ERR_LIMIT, "more edges than were announced");
		goto fail;
	}
	return edge;
fail:
	edge_free(&edge);
	return NULL;
}

int edge_listen(struct edge *edge, const struct edge_door *door, struct err *err) {
	return entrance_open(edge, door, err);
}

const char *edge_address(const struct edge *edge) {
	return listener_address(edge->listener);
}

size_t edge_connection_count(const struct edge *edge) {
	return edge->connection_count;
}

/* --- end ------------------------------------------------------------------------------------------------------------- */

void edge_stop_accepting(struct edge *edge) {
	if (edge->listener) {
		listener_stop(edge->listener);
	}
}

bool edge_has_newcomers(const struct edge *edge) {
	list_each(node, after, &edge->connections) {
		if (connection_is_newcomer(container_of(node, struct connection, link))) {
			return true;
		}
	}
	return false;
}

void edge_drain(struct edge *edge) {
	if (edge->draining) {
		return;
	}
	edge->draining = true;
	edge_stop_accepting(edge);
	list_each(node, after, &edge->connections) {
		struct connection *connection = container_of(node, struct connection, link);
		if (connection->session) {
			session_drain(connection);
		} else if (!connection->exchange) {
			connection_dismiss(connection);
		}
	}
}

static void on_handle_closed(uv_handle_t *handle) {
	struct edge *edge = handle->data;
	if (--edge->open_handles > 0) {
		return;
	}
	for (size_t i = 0; edge->origins && edge->origins[i]; i++) {
		mem_free(edge->origins[i]);
	}
	mem_free(edge->origins);
	buf_free(&edge->out);
	buf_free(&edge->event);
	mem_free(edge);
}

struct find_handles {
	const struct edge *edge;
	bool found;
};

static void find_handle(uv_handle_t *handle, void *arg) {
	struct find_handles *find = arg;
	for (size_t i = 0; i < find->edge->lws_handle_count; i++) {
		find->found = find->found || handle == find->edge->lws_handles[i];
	}
}

/* On a loop that is not its own libwebsockets closes in two steps: it lets the loop close its handles, and frees itself
 * then (4.3) or waits to be told once more (4.1). Nothing tells when; so look whether the handles are gone. */
static void on_teardown(uv_timer_t *ticker) {
	struct edge *edge = ticker->data;
	struct find_handles find = {.edge = edge};
	/* Not before every connection is gone: over one whose handle the loop has yet to close, 4.3 spins for ever. */
	if (edge->connection_count > 0) {
		return;
	}
	if (edge->context && !edge->destroying) {
		edge->destroying = true;
		lws_context_destroy(edge->context);
	}
	uv_walk(edge->deps.loop, find_handle, &find);
	if (edge->context && !find.found) {
		lws_context_destroy(edge->context);
	}
	if (!edge->context) {
		uv_close((uv_handle_t *)ticker, on_handle_closed);
		uv_close((uv_handle_t *)&edge->before_poll, on_handle_closed);
		uv_close((uv_handle_t *)&edge->after_poll, on_handle_closed);
	}
}

void edge_free(struct edge **edge) {
	if (!*edge) {
		return;
	}
	struct edge *going = *edge;
	*edge = NULL;
	going->closing = true;
	uv_timer_stop(&going->ticker);
	places_close(going->places, going->seat);
	listener_free(&going->listener);
	refusals_free(&going->refusals);
	list_each(node, after, &going->connections) {
		struct connection *connection = container_of(node, struct connection, link);
		struct lws *wsi = connection->wsi;
		connection_closed(connection);
		if (wsi) {
			lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
		}
	}
	uv_timer_start(&going->ticker, on_teardown, 0, 2);
}
