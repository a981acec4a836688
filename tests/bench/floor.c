/* The floor: a relay that does nothing but one recv and one send for each read. floor UPSTREAM_PORT; prints its port. */
#include "bench.h"

struct end {
	int fd;
	struct end *other;
	bool closed;
};

static void pair(int epoll, int fd, int upstream) {
	struct end *client = need(calloc(1, sizeof *client)), *server = need(calloc(1, sizeof *server));
	set_nodelay(fd);
	*client = (struct end){.fd = fd, .other = server};
	*server = (struct end){.fd = connect_to(upstream), .other = client};
	watch(epoll, client->fd, client);
	watch(epoll, server->fd, server);
}

static void relay(struct end *end) {
	char bytes[16384];
	if (end->closed) {
		return;
	}
	ssize_t got = recv(end->fd, bytes, sizeof bytes, 0);
	if (got > 0) {
		if (send(end->other->fd, bytes, (size_t)got, MSG_NOSIGNAL) != got) {
			fprintf(stderr, "floor: a reader lags\n");
		}
	} else if (got == 0 || errno != EAGAIN) {
		/* The pair is left allocated: an event for the other end may be in this batch. */
		close(end->fd);
		close(end->other->fd);
		end->closed = end->other->closed = true;
	}
}

int main(int argc, char **argv) {
	if (argc != 2) {
		fprintf(stderr, "usage: floor UPSTREAM_PORT\n");
		return 2;
	}
	int upstream = atoi(argv[1]), listener = listen_and_tell(), epoll = epoll_create1(EPOLL_CLOEXEC);
	watch(epoll, listener, NULL);
	for (;;) {
		struct epoll_event events[256];
		int count = epoll_wait(epoll, events, 256, -1);
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr) {
				relay(events[i].data.ptr);
				continue;
			}
			int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
			if (fd >= 0) {
				pair(epoll, fd, upstream);
			}
		}
	}
}
