#include "inherit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"

#define FIRST_DESCRIPTOR 3

static int read_count(uint64_t *count, struct err *err) {
	const char *pid_text = getenv("LISTEN_PID");
	const char *count_text = getenv("LISTEN_FDS");
	uint64_t pid;
	*count = 0;
	if (!pid_text || !count_text) {
		return 0;
	}
	if (str_to_u64(str_of(pid_text), &pid)) {
		return err_set(err, ERR_INVALID, "LISTEN_PID is '%s', not a process id", pid_text);
	}
	/* Meant for the process that started us. */
	if (pid != (uint64_t)getpid()) {
		return 0;
	}
	if (str_to_u64(str_of(count_text), count) || *count > INHERIT_MAX) {
		return err_set(err, ERR_INVALID, "LISTEN_FDS is '%s', not a number from 0 to %d", count_text,
			       INHERIT_MAX);
	}
	return 0;
}

static bool read_option(int descriptor, int option, int *value) {
	socklen_t length = sizeof *value;
	return getsockopt(descriptor, SOL_SOCKET, option, value, &length) == 0;
}

static int check(int descriptor, struct err *err) {
	int domain = 0, type = 0, listening = 0;
	bool known = read_option(descriptor, SO_DOMAIN, &domain) && read_option(descriptor, SO_TYPE, &type) &&
		     read_option(descriptor, SO_ACCEPTCONN, &listening);
	if (!known) {
		return err_set(err, ERR_INVALID, "the inherited descriptor %d is not a socket: %s", descriptor,
			       strerror(errno));
	}
	if ((domain != AF_INET && domain != AF_INET6) || type != SOCK_STREAM || !listening) {
		return err_set(err, ERR_INVALID, "the inherited descriptor %d is not a listening TCP socket",
			       descriptor);
	}
	return 0;
}

int inherit_sockets(int sockets[static INHERIT_MAX], size_t *count, struct err *err) {
	static const char *const names[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"};
	uint64_t found;
	int result = read_count(&found, err);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		unsetenv(names[i]);
	}
	if (result) {
		return -1;
	}
	for (size_t i = 0; i < found; i++) {
		sockets[i] = FIRST_DESCRIPTOR + (int)i;
		if (check(sockets[i], err)) {
			return -1;
		}
	}
	*count = (size_t)found;
	return 0;
}
