#include "sock.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"

static void on_poll(uv_poll_t *poll, int status, int events) {
	struct sock *sock = container_of(poll, struct sock, poll);
	if (status < 0) {
		/* libuv stops at an error. There may be data before it: the owner reads on until it meets it itself. */
		events = UV_READABLE | UV_WRITABLE;
		uv_poll_start(poll, sock->events, on_poll);
	}
	sock->ready(sock, events);
}

static int open_socket(const struct address *address, int *failure) {
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		*failure = uv_translate_sys_error(errno);
		return -1;
	}
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	socklen_t size = address->any.sa_family == AF_INET6 ? sizeof address->v6 : sizeof address->v4;
	if (connect(fd, &address->any, size) != 0 && errno != EINPROGRESS) {
		*failure = uv_translate_sys_error(errno);
		close(fd);
		return -1;
	}
	return fd;
}

struct sock *sock_connect(uv_loop_t *loop, const struct address *address, int *failure) {
	struct sock *sock = mem_zalloc(sizeof *sock);
	if (!sock) {
		*failure = UV_ENOMEM;
		return NULL;
	}
	sock->fd = open_socket(address, failure);
	if (sock->fd < 0) {
		goto fail;
	}
	int status = uv_poll_init_socket(loop, &sock->poll, sock->fd);
	if (status != 0) {
		*failure = status;
		goto close;
	}
	sock_watch(sock, UV_WRITABLE);
	return sock;
close:
	close(sock->fd);
fail:
	mem_free(sock);
	return NULL;
}

static void on_closed(uv_handle_t *handle) {
	mem_free(container_of((uv_poll_t *)handle, struct sock, poll));
}

void sock_free(struct sock **sock) {
	struct sock *old = *sock;
	if (!old) {
		return;
	}
	*sock = NULL;
	uv_poll_stop(&old->poll);
	uv_close((uv_handle_t *)&old->poll, on_closed);
	close(old->fd);
}

void sock_watch(struct sock *sock, int events) {
	if (sock->events != events) {
		sock->events = events;
		uv_poll_start(&sock->poll, events, on_poll);
	}
}

int sock_failure(const struct sock *sock) {
	int failure = 0;
	socklen_t size = sizeof failure;
	if (getsockopt(sock->fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0) {
		failure = errno;
	}
	return failure ? uv_translate_sys_error(failure) : 0;
}
