#include "admin/socket.h"

#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "path.h"

#define COMMAND_MAX (64 << 10)
#define CONNECTIONS_MAX 16
#define IDLE_MS 10000 /* for a command to come whole, and for a reply to be taken */
#define BACKLOG 8
#define READ_SIZE 4096

/* A connection waits for a line, runs it and sends the reply, over and over. While a command runs nothing is read: what a
 * client sends ahead waits in the kernel. */
enum state { READING, RUNNING, WRITING, CLOSING };

struct connection {
	struct list node;
	struct admin_socket *socket;
	uv_pipe_t pipe;
	uv_timer_t idle;
	int open_handles; /* of the two above */
	enum state state;
	struct buf input;
	struct buf output; /* may hold a secret */
	uv_write_t write;
};

struct admin_socket {
	uv_pipe_t pipe;
	struct admin *admin;
	struct log log;
	struct list connections;
	size_t connection_count; /* until their handles are closed */
	size_t references;       /* the listening handle and the connections */
};

static void socket_release(struct admin_socket *socket) {
	if (--socket->references == 0) {
		mem_free(socket);
	}
}

static void wipe_output(struct connection *connection) {
	if (connection->output.data) {
		seal_wipe(connection->output.data, connection->output.capacity);
	}
	buf_free(&connection->output);
}

static void handle_closed(uv_handle_t *handle) {
	struct connection *connection = handle->data;
	if (--connection->open_handles > 0) {
		return;
	}
	struct admin_socket *socket = connection->socket;
	buf_free(&connection->input);
	wipe_output(connection);
	mem_free(connection);
	socket->connection_count--;
	socket_release(socket);
}

static void connection_close(struct connection *connection) {
	if (connection->state == CLOSING) {
		return;
	}
	connection->state = CLOSING;
	admin_forget(connection->socket->admin, connection);
	list_remove(&connection->node);
	uv_close((uv_handle_t *)&connection->pipe, handle_closed);
	uv_close((uv_handle_t *)&connection->idle, handle_closed);
}

static void idle_over(uv_timer_t *timer) {
	struct connection *connection = timer->data;
	log_info(&connection->socket->log, "idle connection closed");
	connection_close(connection);
}

static void connection_next(struct connection *connection);

static void reply_written(uv_write_t *write, int status) {
	struct connection *connection = write->data;
	wipe_output(connection);
	if (status) {
		connection_close(connection);
	} else if (connection->state == WRITING) {
		connection_next(connection);
	}
}

static void take_reply(void *owner, struct str reply) {
	struct connection *connection = owner;
	buf_reserve(&connection->output, reply.length + 1);
	buf_append_str(&connection->output, reply);
	buf_append_char(&connection->output, '\n');
	connection->state = WRITING;
	uv_timer_start(&connection->idle, idle_over, IDLE_MS, 0);
	connection->write.data = connection;
	uv_buf_t bytes = uv_buf_init(connection->output.data, (unsigned)connection->output.length);
	if (connection->output.failed ||
	    uv_write(&connection->write, (uv_stream_t *)&connection->pipe, &bytes, 1, reply_written)) {
		connection_close(connection);
	}
}

static void reserve_input(uv_handle_t *handle, size_t suggested, uv_buf_t *out) {
	(void)suggested;
	struct connection *connection = handle->data;
	bool room = buf_reserve(&connection->input, READ_SIZE);
	*out = uv_buf_init(room ? connection->input.data + connection->input.length : NULL, room ? READ_SIZE : 0);
}

static void input_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *bytes) {
	(void)bytes;
	struct connection *connection = stream->data;
	if (count < 0) {
		connection_close(connection);
		return;
	}
	connection->input.length += (size_t)count;
	connection_next(connection);
}

/* Runs the next whole line, or goes on reading. The idle deadline is for the whole line: bytes do not extend it. */
static void connection_next(struct connection *connection) {
	uv_stream_t *stream = (uv_stream_t *)&connection->pipe;
	size_t end;
	if (!str_find_char(buf_str(&connection->input), '\n', &end)) {
		uv_read_stop(stream);
		uv_timer_stop(&connection->idle);
		connection->state = RUNNING;
		struct str line = {connection->input.data, end};
		/* The command is parsed before this returns; a reply that comes at once is only sent from the loop. */
		admin_execute(connection->socket->admin, line, take_reply, connection);
		buf_consume(&connection->input, end + 1);
		return;
	}
	if (connection->input.length >= COMMAND_MAX) {
		log_warn(&connection->socket->log, "command too long", LOG_I("max_bytes", COMMAND_MAX));
		connection_close(connection);
		return;
	}
	if (connection->state != READING) {
		connection->state = READING;
		uv_timer_start(&connection->idle, idle_over, IDLE_MS, 0);
		if (uv_read_start(stream, reserve_input, input_read)) {
			connection_close(connection);
		}
	}
}

static bool is_trusted(const struct connection *connection) {
	uv_os_fd_t fd;
	struct ucred peer;
	socklen_t size = sizeof peer;
	if (uv_fileno((const uv_handle_t *)&connection->pipe, &fd) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size)) {
		return false;
	}
	if (peer.uid == 0 || peer.uid == geteuid()) {
		return true;
	}
	log_warn(&connection->socket->log, "stranger refused", LOG_I("uid", peer.uid));
	return false;
}

static void connected(uv_stream_t *listener, int status) {
	struct admin_socket *socket = listener->data;
	if (status) {
		log_warn(&socket->log, "accept failed", LOG_S("detail", uv_strerror(status)));
		return;
	}
	struct connection *connection = mem_zalloc(sizeof *connection);
	if (!connection) {
		return;
	}
	connection->socket = socket;
	uv_timer_init(listener->loop, &connection->idle);
	uv_pipe_init(listener->loop, &connection->pipe, 0);
	connection->idle.data = connection;
	connection->pipe.data = connection;
	connection->open_handles = 2;
	connection->state = WRITING; /* so that connection_next starts to read */
	list_append(&socket->connections, &connection->node);
	socket->references++;
	socket->connection_count++;
	if (uv_accept(listener, (uv_stream_t *)&connection->pipe) || socket->connection_count > CONNECTIONS_MAX ||
	    !is_trusted(connection)) {
		connection_close(connection);
		return;
	}
	connection_next(connection);
}

static void listener_closed(uv_handle_t *handle) {
	socket_release(handle->data);
}

struct admin_socket *admin_socket_open(uv_loop_t *loop, const char *path, struct admin *admin, const struct log *log,
				       struct err *err) {
	struct sockaddr_un address;
	if (admin_path_address(&address, path, err)) {
		return NULL;
	}
	struct admin_socket *socket = mem_zalloc(sizeof *socket);
	if (!socket) {
		err_set(err, ERR_MEMORY, "out of memory");
		return NULL;
	}
	socket->admin = admin;
	socket->references = 1;
	list_init(&socket->connections);
	log_child(&socket->log, log, "module", "admin");
	uv_pipe_init(loop, &socket->pipe, 0);
	socket->pipe.data = socket;
	unlink(path);
	/* The file must never be open to others, not even before a chmod. */
	mode_t mask = umask(0177);
	int failure = uv_pipe_bind(&socket->pipe, path);
	umask(mask);
	if (!failure) {
		failure = uv_listen((uv_stream_t *)&socket->pipe, BACKLOG, connected);
	}
	if (failure) {
		err_set(err, ERR_IO, "%s: %s", path, uv_strerror(failure));
		admin_socket_close(&socket);
	}
	return socket;
}

void admin_socket_close(struct admin_socket **socket_pointer) {
	struct admin_socket *socket = *socket_pointer;
	if (!socket) {
		return;
	}
	*socket_pointer = NULL;
	list_each(node, after, &socket->connections) {
		connection_close(container_of(node, struct connection, node));
	}
	/* libuv removes the file with the handle. */
	uv_close((uv_handle_t *)&socket->pipe, listener_closed);
}
