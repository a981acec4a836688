/* The client's side of the admin socket: blocking, for a program that has nothing else to do. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "admin/socket.h"
#include "path.h"

#define ANSWER_SECONDS 60 /* longer than a command takes on a busy server */
#define REPLY_MAX (16 << 20)

static int connect_to(const char *path, struct err *err) {
	struct sockaddr_un address;
	if (admin_path_address(&address, path, err)) {
		return -1;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return err_set(err, ERR_IO, "socket: %s", strerror(errno));
	}
	const struct timeval deadline = {.tv_sec = ANSWER_SECONDS};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof deadline);
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) {
		return fd;
	}
	int reason = errno;
	close(fd);
	if (reason == ENOENT || reason == ENOTDIR || reason == ECONNREFUSED) {
		return err_set(err, ERR_NOT_FOUND, "%s: no server listens there", path);
	}
	if (reason == EACCES || reason == EPERM) {
		return err_set(err, ERR_DENIED, "%s: run this as root or as the server's own user", path);
	}
	return err_set(err, ERR_IO, "%s: %s", path, strerror(reason));
}

static int send_all(int fd, struct str bytes, struct err *err) {
	while (bytes.length) {
		ssize_t sent = send(fd, bytes.data, bytes.length, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR) {
			continue;
		}
		if (sent < 0) {
			return err_set(err, ERR_IO, "the server did not take the command: %s", strerror(errno));
		}
		bytes = str_skip(bytes, (size_t)sent);
	}
	return 0;
}

static int receive_line(int fd, struct buf *line, struct err *err) {
	while (line->length < REPLY_MAX) {
		if (!buf_reserve(line, 4096)) {
			return err_set(err, ERR_MEMORY, "out of memory");
		}
		ssize_t received = recv(fd, line->data + line->length, line->capacity - line->length, 0);
		if (received < 0 && errno == EINTR) {
			continue;
		}
		if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			return err_set(err, ERR_TIMEOUT, "the server did not answer in %d s", ANSWER_SECONDS);
		}
		if (received <= 0) {
			return err_set(err, ERR_IO, "the server closed the connection without an answer");
		}
		const char *end = memchr(line->data + line->length, '\n', (size_t)received);
		if (end) {
			line->length = (size_t)(end - line->data);
			return 0;
		}
		line->length += (size_t)received;
	}
	return err_set(err, ERR_LIMIT, "the server's answer is too long");
}

int admin_socket_call(const char *path, struct str command, struct buf *reply, struct err *err) {
	int fd = connect_to(path, err);
	if (fd < 0) {
		return -1;
	}
	struct buf line = BUF_INIT;
	int result =
		send_all(fd, command, err) || send_all(fd, STR("\n"), err) || receive_line(fd, &line, err) ? -1 : 0;
	close(fd);
	if (result == 0) {
		buf_append_str(reply, buf_str(&line));
		result = reply->failed ? err_set(err, ERR_MEMORY, "out of memory") : 0;
	}
	if (line.data) {
		seal_wipe(line.data, line.capacity);
	}
	buf_free(&line);
	return result;
}
