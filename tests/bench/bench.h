/* What the bench programs share. They are tools for measuring, not part of the server. */
#ifndef SLUICE_BENCH_H
#define SLUICE_BENCH_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline void die(const char *what) {
	perror(what);
	exit(1);
}

/* Memory that must be there: a measuring tool has nothing better to do than to stop. */
static inline void *need(void *memory) {
	if (!memory) {
		die("memory");
	}
	return memory;
}

static inline int64_t now_us(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Timers to the microsecond; the usual slack of 50 would gather tokens that are meant to be apart. */
static inline void exact_timers(void) {
	prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

/* Waits for events until the moment `until_us`, or without end if that is negative. */
static inline int wait_until(int epoll, struct epoll_event *events, int max, int64_t until_us) {
	int64_t left = until_us < 0 ? -1 : until_us - now_us();
	left = until_us >= 0 && left < 0 ? 0 : left;
	struct timespec timeout = {.tv_sec = left / 1000000, .tv_nsec = left % 1000000 * 1000};
	return epoll_pwait2(epoll, events, max, until_us < 0 ? NULL : &timeout, NULL);
}

static inline struct sockaddr_in loopback(int port) {
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static inline void set_nodelay(int fd) {
	int one = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* Listens on a free port of the loopback address and prints it. */
static inline int listen_and_tell(void) {
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = loopback(0);
	socklen_t size = sizeof address;
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) || listen(fd, 4096) ||
	    getsockname(fd, (struct sockaddr *)&address, &size)) {
		die("listen");
	}
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

static inline int connect_to(int port) {
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = loopback(port);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) {
		die("connect");
	}
	set_nodelay(fd);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static inline void watch(int epoll, int fd, void *data) {
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = data};
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) {
		die("epoll_ctl");
	}
}

#endif
