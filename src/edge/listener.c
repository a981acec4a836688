#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

/* What one wake-up may accept, so that a rush of newcomers does not hold up those who are there. */
#define BATCH 64
#define REST_MS 50
#define SHORTAGE_LOG_US INT64_C(60000000)

struct door {
	uv_poll_t poll;
	struct listener *listener;
	int descriptor;
};

struct listener {
	struct listener_deps deps;
	int descriptor_limit;
	bool inherited;
	bool stopped;
	struct door doors[LISTENER_SOCKETS];
	size_t count;
	uv_timer_t rest; /* short of descriptors: nothing is accepted until it fires */
	int64_t shortage_logged_us;
	int open_handles;
	char address[INET6_ADDRSTRLEN + 16];
};

union socket_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_storage room;
};

/* --- accepting ------------------------------------------------------------------------------------------------------- */

enum accepted { ACCEPTED, ACCEPT_AGAIN, ACCEPT_NONE, ACCEPT_REST };

static void on_readable(uv_poll_t *poll, int status, int events);

static void listen_on(struct listener *listener) {
	for (size_t i = 0; i < listener->count; i++) {
		uv_poll_start(&listener->doors[i].poll, UV_READABLE, on_readable);
	}
}

static void on_rested(uv_timer_t *timer) {
	listen_on(timer->data);
}

static void rest(struct listener *listener) {
	for (size_t i = 0; i < listener->count; i++) {
		uv_poll_stop(&listener->doors[i].poll);
	}
	uv_timer_start(&listener->rest, on_rested, REST_MS, 0);
}

/* Once a minute: the shortage must not flood the log as well. */
static bool may_log_shortage(struct listener *listener) {
	int64_t now = clock_monotonic_us(listener->deps.clock);
	if (listener->shortage_logged_us != 0 && now - listener->shortage_logged_us < SHORTAGE_LOG_US) {
		return false;
	}
	listener->shortage_logged_us = now;
	return true;
}

static enum accepted accept_failed(struct listener *listener, int error) {
	switch (error) {
	case EAGAIN:
		return ACCEPT_NONE;
	/* The newcomer has gone already, or the network has (accept(2)). */
	case EINTR:
	case ECONNABORTED:
	case EPERM:
	case EPROTO:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
		return ACCEPT_AGAIN;
	default:
		if (may_log_shortage(listener)) {
			log_warn(listener->deps.log, "connections can't be accepted", LOG_S("detail", strerror(error)));
		}
		return ACCEPT_REST;
	}
}

static enum accepted accept_one(struct listener *listener, const struct door *door) {
	int descriptor = accept4(door->descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (descriptor < 0) {
		return accept_failed(listener, errno);
	}
	if (descriptor < listener->descriptor_limit) {
		listener->deps.on_connection(listener->deps.owner, descriptor);
		return ACCEPTED;
	}
	/* Refused while there still is a descriptor to refuse it with. */
	close(descriptor);
	counter_add(listener->deps.refused, 1);
	if (may_log_shortage(listener)) {
		log_warn(listener->deps.log, "short of descriptors: connections are refused",
			 LOG_I("descriptor", descriptor));
	}
	return ACCEPT_REST;
}

static enum accepted accept_batch(struct listener *listener, const struct door *door) {
	for (int i = 0; i < BATCH; i++) {
		enum accepted how = accept_one(listener, door);
		if (how == ACCEPT_NONE || how == ACCEPT_REST) {
			return how;
		}
	}
	return ACCEPTED;
}

static void on_readable(uv_poll_t *poll, int status, int events) {
	(void)events;
	const struct door *door = poll->data;
	struct listener *listener = door->listener;
	if (status < 0) {
		log_error(listener->deps.log, "a listening socket is broken", LOG_S("detail", uv_strerror(status)));
	} else if (accept_batch(listener, door) == ACCEPT_REST) {
		rest(listener);
	}
}

/* --- sockets --------------------------------------------------------------------------------------------------------- */

static int parse_address(const char *text, uint16_t port, union socket_address *address, socklen_t *length) {
	memset(address, 0, sizeof *address);
	if (inet_pton(AF_INET, text, &address->v4.sin_addr) == 1) {
		address->v4.sin_family = AF_INET;
		address->v4.sin_port = htons(port);
		*length = sizeof address->v4;
		return 0;
	}
	address->v6.sin6_family = AF_INET6;
	address->v6.sin6_port = htons(port);
	*length = sizeof address->v6;
	return inet_pton(AF_INET6, text, &address->v6.sin6_addr) == 1 ? 0 : -1;
}

/* The descriptor, or -1. */
static int bind_own(const struct listener_options *options, struct err *err) {
	union socket_address address;
	socklen_t length;
	int on = 1;
	if (parse_address(options->address, options->port, &address, &length)) {
		return err_set(err, ERR_INVALID, "%s is no IP address to listen on", options->address);
	}
	int descriptor = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (descriptor < 0 || setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
	    bind(descriptor, &address.any, length) || listen(descriptor, SOMAXCONN)) {
		err_set(err, ERR_IO, "can't listen on %s port %u: %s", options->address, options->port,
			strerror(errno));
		if (descriptor >= 0) {
			close(descriptor);
		}
		return -1;
	}
	return descriptor;
}

static void write_address(int descriptor, char *out, size_t room) {
	union socket_address address = {0};
	socklen_t length = sizeof address;
	char text[INET6_ADDRSTRLEN] = "";
	getsockname(descriptor, &address.any, &length);
	if (address.any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &address.v4.sin_addr, text, sizeof text);
		snprintf(out, room, "%s:%u", text, ntohs(address.v4.sin_port));
	} else {
		inet_ntop(AF_INET6, &address.v6.sin6_addr, text, sizeof text);
		snprintf(out, room, "[%s]:%u", text, ntohs(address.v6.sin6_port));
	}
}

/* The descriptor is the listener's from here on, whatever comes back. */
static int open_door(struct listener *listener, int descriptor, struct err *err) {
	struct door *door = &listener->doors[listener->count];
	int on = 1;
	/* Linux hands this on to every connection that is accepted. */
	setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	fcntl(descriptor, F_SETFD, FD_CLOEXEC);
	int failed = uv_poll_init(listener->deps.loop, &door->poll, descriptor);
	if (failed) {
		err_set(err, ERR_IO, "can't watch the listening socket %d: %s", descriptor, uv_strerror(failed));
		close(descriptor);
		return -1;
	}
	door->poll.data = door;
	door->listener = listener;
	door->descriptor = descriptor;
	listener->count++;
	listener->open_handles++;
	return 0;
}

static int take_inherited(struct listener *listener, const struct listener_options *options, struct err *err) {
	int result = 0;
	for (size_t i = 0; i < options->inherited_count; i++) {
		int descriptor = options->inherited[i];
		if (!result && listener->count == LISTENER_SOCKETS) {
			result = err_set(err, ERR_LIMIT, "more than %d inherited sockets", LISTENER_SOCKETS);
		}
		if (result) {
			close(descriptor);
		} else {
			result = open_door(listener, descriptor, err);
		}
	}
	return result;
}

static int open_own(struct listener *listener, const struct listener_options *options, struct err *err) {
	int descriptor = bind_own(options, err);
	return descriptor < 0 ? -1 : open_door(listener, descriptor, err);
}

struct listener *listener_new(const struct listener_options *options, const struct listener_deps *deps,
			      struct err *err) {
	struct listener *listener = mem_zalloc(sizeof *listener);
	if (!listener) {
		err_set(err, ERR_MEMORY, "no memory for the listening sockets");
		return NULL;
	}
	listener->deps = *deps;
	listener->descriptor_limit = options->descriptor_limit;
	listener->inherited = options->inherited_count > 0;
	uv_timer_init(deps->loop, &listener->rest);
	listener->rest.data = listener;
	listener->open_handles = 1;
	if (listener->inherited ? take_inherited(listener, options, err) : open_own(listener, options, err)) {
		listener_free(&listener);
		return NULL;
	}
	write_address(listener->doors[0].descriptor, listener->address, sizeof listener->address);
	listen_on(listener);
	return listener;
}

const char *listener_address(const struct listener *listener) {
	return listener->address;
}

bool listener_is_inherited(const struct listener *listener) {
	return listener->inherited;
}

/* --- end ------------------------------------------------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle) {
	struct listener *listener =
		handle->type == UV_TIMER ? handle->data : ((const struct door *)handle->data)->listener;
	if (--listener->open_handles == 0) {
		mem_free(listener);
	}
}

static void let_go(struct listener *listener) {
	listener->stopped = true;
	uv_timer_stop(&listener->rest);
	for (size_t i = 0; i < listener->count; i++) {
		struct door *door = &listener->doors[i];
		uv_close((uv_handle_t *)&door->poll, on_handle_closed);
		close(door->descriptor);
	}
}

void listener_stop(struct listener *listener) {
	if (listener->stopped) {
		return;
	}
	for (size_t i = 0; i < listener->count && !listener->inherited; i++) {
		/* As many as can wait; who comes later than that would have been too late anyway. */
		enum accepted how = ACCEPTED;
		for (int batch = 0; batch <= SOMAXCONN / BATCH && how == ACCEPTED; batch++) {
			how = accept_batch(listener, &listener->doors[i]);
		}
	}
	let_go(listener);
}

void listener_free(struct listener **listener) {
	if (!*listener) {
		return;
	}
	struct listener *going = *listener;
	*listener = NULL;
	if (!going->stopped) {
		let_go(going);
	}
	uv_close((uv_handle_t *)&going->rest, on_handle_closed);
}
