#include "connection.h"

#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "response/engine.h"

#define CONNECTION_MAGIC 0x636f6e6eu
#define DRAIN_CHECK_MS 200
/* Loop time to load, put together and write what the model is shown: 5 ns for a byte. */
#define TOKEN_NS 20
/* To read and unmask: for each of libwebsockets' calls, and each byte. It reads 4 KiB of HTTP at a time, of a WebSocket half a
 * KiB, which takes a system call and a turn of the loop: 6 us. */
#define READ_NS 1000
#define READ_BYTE_NS 10
#define READ_BYTES_MAX 1024
/* Booked when so much has come together. */
#define READ_BOOKED_NS 50000

/* The ticker stands still while nothing has a deadline; the wheel then has to be told what time it is. */
static void ticker_start(struct edge *edge) {
	if (edge->ticking || edge->closing) {
		return;
	}
	edge->ticking = true;
	edge->wheel.tick = edge->rests.tick = edge_now_us(edge) / WHEEL_TICK_US;
	uv_timer_start(&edge->ticker, edge->on_tick, WHEEL_TICK_US / 1000, WHEEL_TICK_US / 1000);
}

struct connection *connection_new(struct edge *edge, struct lws *wsi) {
	struct connection *connection = mem_zalloc(sizeof *connection);
	if (!connection) {
		return NULL;
	}
	connection->magic = CONNECTION_MAGIC;
	connection->edge = edge;
	connection->wsi = wsi;
	connection->place = *edge->arriving;
	*edge->arriving = (struct place){0};
	char number[24];
	snprintf(number, sizeof number, "%llu", (unsigned long long)++edge->next_connection);
	log_child(&connection->log, edge->deps.log, "conn", number);
	list_append(&edge->connections, &connection->link);
	edge->connection_count++;
	gauge_add(edge->metrics.http_connections, 1);
	counter_add(edge->metrics.accepted, 1);
	lws_set_opaque_user_data(wsi, connection);
	connection_set_deadline(connection, edge->options.header_timeout_ms, connection_time_out);
	return connection;
}

struct connection *connection_of(struct lws *wsi) {
	struct connection *connection = wsi ? lws_get_opaque_user_data(wsi) : NULL;
	return connection && connection->magic == CONNECTION_MAGIC ? connection : NULL;
}

static void forget_rest(struct connection *connection) {
	wheel_cancel(&connection->edge->rests, &connection->rest);
	if (list_linked(&connection->tired)) {
		list_remove(&connection->tired);
	}
	connection->resting = false;
	connection->deaf = false;
}

void connection_closed(struct connection *connection) {
	if (!connection->wsi) {
		return;
	}
	connection_clear_deadline(connection);
	forget_rest(connection);
	if (connection->on_close) {
		connection->on_close(connection);
		connection->on_close = NULL;
	}
	connection->on_writable = NULL;
	connection->on_rested = NULL;
	connection->wsi = NULL;
}

void connection_free(struct connection *connection) {
	struct edge *edge = connection->edge;
	connection_closed(connection);
	places_give_back(edge->places, &connection->place);
	gauge_add(connection->session ? edge->metrics.websocket_connections : edge->metrics.http_connections, -1);
	mem_free(connection->session);
	list_remove(&connection->link);
	edge->connection_count--;
	connection->magic = 0;
	mem_free(connection);
}

void connection_fire(void *owner, struct wheel_timer *timer) {
	(void)owner;
	struct connection *connection = container_of(timer, struct connection, timer);
	connection_deadline_fn *fn = connection->on_deadline;
	connection->on_deadline = NULL;
	fn(connection);
}

void connection_set_deadline(struct connection *connection, int64_t ms, connection_deadline_fn *fn) {
	struct edge *edge = connection->edge;
	if (!connection->wsi) {
		return;
	}
	ticker_start(edge);
	connection->on_deadline = fn;
	wheel_set(&edge->wheel, &connection->timer, edge_now_us(edge) + ms * 1000);
}

void connection_clear_deadline(struct connection *connection) {
	connection->on_deadline = NULL;
	wheel_cancel(&connection->edge->wheel, &connection->timer);
}

void connection_time_out(struct connection *connection) {
	counter_add(connection->edge->metrics.timeouts, 1);
	log_debug(&connection->log, "deadline passed");
	connection_kill(connection);
}

static void close_soon(const struct connection *connection, struct lws *wsi) {
	lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
	/* libwebsockets looks at its timers after an event; this is one. */
	lws_cancel_service(connection->edge->context);
}

void connection_kill(struct connection *connection) {
	struct lws *wsi = connection->wsi;
	if (!wsi) {
		return;
	}
	connection->finishing = true;
	connection_closed(connection);
	close_soon(connection, wsi);
}

void connection_abort(struct connection *connection) {
	if (connection->wsi) {
		connection->finishing = true;
		close_soon(connection, connection->wsi);
	}
}

/* Whether the client takes nothing now. Not the same as connection_is_blocked: what the socket has taken may fill it. */
static bool is_stuck(const struct connection *connection) {
	struct pollfd socket = {.fd = lws_get_socket_fd(connection->wsi), .events = POLLOUT};
	return poll(&socket, 1, 0) == 0;
}

/* Bytes, or the client's end of the connection: either way the socket is readable. */
bool connection_input_waits(const struct connection *connection) {
	char byte;
	return recv(lws_get_socket_fd(connection->wsi), &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

bool connection_is_newcomer(const struct connection *connection) {
	bool idle = connection->wsi && !connection->exchange && !connection->session && !connection->finishing;
	return idle && !connection->lingering && (!connection->asked || connection_input_waits(connection));
}

static void on_drain_check(struct connection *connection) {
	bool stuck = is_stuck(connection);
	if (edge_now_us(connection->edge) >= connection->drain_by_us || (stuck && connection_input_waits(connection))) {
		connection_time_out(connection);
	} else if (stuck || connection->finishing || connection_is_blocked(connection)) {
		connection_set_deadline(connection, DRAIN_CHECK_MS, on_drain_check);
	} else {
		int64_t left_us = connection->drain_by_us - edge_now_us(connection->edge);
		connection_set_deadline(connection, left_us / 1000, connection_kill);
	}
}

void connection_await_drain(struct connection *connection) {
	struct edge *edge = connection->edge;
	connection->drain_by_us = edge_now_us(edge) + edge->options.idle_timeout_ms * 1000;
	connection_set_deadline(connection, DRAIN_CHECK_MS, on_drain_check);
}

void connection_finish(struct connection *connection) {
	if (!connection->wsi || connection->finishing) {
		return;
	}
	connection->finishing = true;
	connection_rest_over(connection);
	connection_resume(connection);
	lws_callback_on_writable(connection->wsi);
	connection_await_drain(connection);
}

void connection_dismiss(struct connection *connection) {
	if (!connection->wsi || connection->finishing || connection->lingering) {
		return;
	}
	if (connection_is_blocked(connection)) {
		connection_finish(connection);
	} else {
		connection_kill(connection);
	}
}

int connection_verdict(const struct connection *connection) {
	return connection->finishing ? -1 : 0;
}

void connection_pause(struct connection *connection) {
	if (connection->wsi && !connection->paused) {
		connection->paused = true;
		lws_rx_flow_control(connection->wsi, 0);
	}
}

void connection_resume(struct connection *connection) {
	if (connection->wsi && connection->paused) {
		connection->paused = false;
		if (!connection->deaf) {
			lws_rx_flow_control(connection->wsi, 1);
		}
	}
}

void connection_tire(struct connection *connection) {
	if (!connection->deaf && !list_linked(&connection->tired)) {
		list_append(&connection->edge->tired, &connection->tired);
	}
}

static void charge(struct connection *connection, int64_t held_us, int64_t begun_us) {
	struct edge *edge = connection->edge;
	int64_t now = edge_now_us(edge);
	/* Who is alone harms nobody. */
	if (edge->connection_count == 1) {
		return;
	}
	int64_t rest_us = toll_take(&connection->toll, held_us, begun_us, now);
	if (rest_us == 0 || !connection->wsi || connection->finishing) {
		return;
	}
	counter_add(edge->metrics.rests, !connection->resting);
	ticker_start(edge);
	wheel_set(&edge->rests, &connection->rest, now + rest_us);
	connection->resting = true;
	/* The next request of HTTP waits for the end of the rest by itself (http.c). */
	if (connection->session) {
		connection_tire(connection);
	}
}

void connection_stop_tired(struct edge *edge) {
	list_each(node, after, &edge->tired) {
		struct connection *connection = container_of(node, struct connection, tired);
		list_remove(node);
		connection->deaf = true;
		if (!connection->paused) {
			lws_rx_flow_control(connection->wsi, 0);
		}
	}
}

void connection_charge(struct connection *connection, int64_t held_us) {
	charge(connection, held_us, edge_now_us(connection->edge));
}

void connection_charge_read(struct connection *connection, size_t bytes) {
	size_t costing = bytes < READ_BYTES_MAX ? bytes : READ_BYTES_MAX;
	connection->read_ns += (uint32_t)(READ_NS + costing * READ_BYTE_NS);
	if (connection->read_ns >= READ_BOOKED_NS) {
		connection_charge(connection, connection->read_ns / 1000);
		connection->read_ns = 0;
	}
}

void connection_charge_question(struct connection *connection, const struct response *response, int64_t begun_us) {
	charge(connection, response_shown_tokens(response) * TOKEN_NS / 1000, begun_us);
}

void connection_rest_over(struct connection *connection) {
	if (!connection->resting) {
		return;
	}
	bool deaf = connection->deaf;
	forget_rest(connection);
	if (deaf && connection->wsi && !connection->paused) {
		lws_rx_flow_control(connection->wsi, 1);
	}
}

void connection_rested(void *owner, struct wheel_timer *timer) {
	(void)owner;
	struct connection *connection = container_of(timer, struct connection, rest);
	connection_rest_over(connection);
	if (connection->on_rested) {
		connection->on_rested(connection);
	}
}

void connection_expect_acknowledgement(const struct connection *connection, int64_t ms) {
	unsigned timeout_ms = ms < INT_MAX ? (unsigned)ms : INT_MAX;
	if (setsockopt(lws_get_socket_fd(connection->wsi), IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms,
		       sizeof timeout_ms)) {
		log_warn(&connection->log, "no TCP_USER_TIMEOUT", LOG_S("why", strerror(errno)));
	}
}

bool connection_is_blocked(const struct connection *connection) {
	return lws_partial_buffered(connection->wsi) != 0;
}
