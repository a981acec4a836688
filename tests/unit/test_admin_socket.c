/* The admin socket: served on the test's loop, called from a thread as sluicectl would, and by raw clients. */
#include "admin_test.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "admin/socket.h"

#define STATUS "{\"command\":\"status\"}"

struct socket_fixture {
	struct admin_fixture *admin;
	struct admin_socket *socket;
	char path[108];
};

static int setup_socket(void **state) {
	struct socket_fixture *f = calloc(1, sizeof *f);
	assert_non_null(f);
	void *admin;
	signal(SIGPIPE, SIG_IGN);
	setup_admin(&admin);
	f->admin = admin;
	snprintf(f->path, sizeof f->path, "%s/admin.sock", f->admin->base->dir);
	f->socket = admin_socket_open(&f->admin->base->loop, f->path, f->admin->admin, &f->admin->base->log, NULL);
	assert_non_null(f->socket);
	*state = f;
	return 0;
}

static int teardown_socket(void **state) {
	struct socket_fixture *f = *state;
	void *admin = f->admin;
	admin_socket_close(&f->socket);
	assert_int_equal(access(f->path, F_OK), -1);
	teardown_admin(&admin);
	free(f);
	return 0;
}

struct call {
	uv_work_t work;
	const char *path;
	struct str command;
	struct buf reply;
	struct err err;
	int result;
	bool over;
};

static void call_blocking(uv_work_t *work) {
	struct call *call = work->data;
	call->result = admin_socket_call(call->path, call->command, &call->reply, &call->err);
}

static void call_over(uv_work_t *work, int status) {
	assert_int_equal(status, 0);
	((struct call *)work->data)->over = true;
}

static void call_start(struct socket_fixture *f, struct call *call, struct str command) {
	*call = (struct call){.path = f->path, .command = command};
	call->work.data = call;
	assert_int_equal(uv_queue_work(&f->admin->base->loop, &call->work, call_blocking, call_over), 0);
}

static void call_wait(struct socket_fixture *f, const struct call *call) {
	while (!call->over) {
		uv_run(&f->admin->base->loop, UV_RUN_ONCE);
	}
}

static void a_command_gets_its_reply(void **state) {
	struct socket_fixture *f = *state;
	struct call call;
	struct stat status;
	struct principal who;
	char key[128];
	assert_int_equal(stat(f->path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);

	call_start(f, &call, STR("{\"command\":\"key.create\",\"user\":\"ada\"}"));
	call_wait(f, &call);
	assert_int_equal(call.result, 0);
	struct json *root = json_parse(buf_str(&call.reply), NULL);
	assert_non_null(root);
	copy_text(root, "key", key, sizeof key);
	assert_int_equal(auth_check_key(f->admin->base->auth, str_of(key), &who), 0);
	json_free(&root);
	buf_free(&call.reply);
}

static void calls_at_once_get_their_own_replies(void **state) {
	struct socket_fixture *f = *state;
	struct call calls[4];
	char commands[4][96];
	for (size_t i = 0; i < 4; i++) {
		snprintf(commands[i], sizeof commands[i], "{\"command\":\"key.create\",\"user\":\"user%zu\"}", i);
		call_start(f, &calls[i], str_of(commands[i]));
	}
	for (size_t i = 0; i < 4; i++) {
		char user[16];
		char expected[16];
		call_wait(f, &calls[i]);
		assert_int_equal(calls[i].result, 0);
		struct json *root = json_parse(buf_str(&calls[i].reply), NULL);
		snprintf(expected, sizeof expected, "user%zu", i);
		assert_string_equal(copy_text(root, "user", user, sizeof user), expected);
		json_free(&root);
		buf_free(&calls[i].reply);
	}
}

static void where_no_server_listens(void **state) {
	struct socket_fixture *f = *state;
	struct buf reply = BUF_INIT;
	struct err err;
	assert_int_equal(admin_socket_call("/nonexistent/admin.sock", STR(STATUS), &reply, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	/* The file that a killed server leaves. */
	char stale[128];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(stale, sizeof stale, "%s/stale.sock", f->admin->base->dir);
	assert_int_equal(str_copy(address.sun_path, sizeof address.sun_path, str_of(stale)), 0);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	close(fd);
	assert_int_equal(admin_socket_call(stale, STR(STATUS), &reply, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	/* A new server takes its place. */
	struct admin_socket *second =
		admin_socket_open(&f->admin->base->loop, stale, f->admin->admin, &f->admin->base->log, &err);
	assert_non_null(second);
	admin_socket_close(&second);

	char long_path[200] = "/tmp/";
	memset(long_path + 5, 'x', 150);
	assert_int_equal(admin_socket_call(long_path, STR(STATUS), &reply, &err), -1);
	assert_int_equal(err.code, ERR_INVALID);
	assert_null(admin_socket_open(&f->admin->base->loop, long_path, f->admin->admin, &f->admin->base->log, &err));
	assert_int_equal(err.code, ERR_INVALID);
	assert_null(admin_socket_open(&f->admin->base->loop, "/nonexistent/admin.sock", f->admin->admin,
				      &f->admin->base->log, &err));
	assert_int_equal(err.code, ERR_IO);
}

/* --- raw clients ---------------------------------------------------------------------------------------------------- */

static int raw_connect(struct socket_fixture *f) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	strcpy(address.sun_path, f->path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void raw_send(int fd, const char *bytes, size_t length) {
	assert_int_equal(send(fd, bytes, length, MSG_NOSIGNAL), length);
}

/* Runs the loop until `fd` has brought `lines` newlines or was closed; says how many came. */
static size_t raw_receive(struct socket_fixture *f, int fd, size_t lines, bool *closed) {
	size_t count = 0;
	*closed = false;
	while (count < lines && !*closed) {
		char part[4096];
		uv_run(&f->admin->base->loop, UV_RUN_NOWAIT);
		ssize_t received = recv(fd, part, sizeof part, 0);
		if (received == 0 || (received < 0 && errno == ECONNRESET)) {
			*closed = true;
		}
		for (ssize_t i = 0; i < received; i++) {
			count += part[i] == '\n';
		}
	}
	return count;
}

static void a_command_may_come_in_any_pieces(void **state) {
	struct socket_fixture *f = *state;
	bool closed;
	int fd = raw_connect(f);
	const char command[] = STATUS "\n";
	for (size_t i = 0; i < sizeof command - 1; i++) {
		raw_send(fd, &command[i], 1);
		uv_run(&f->admin->base->loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(raw_receive(f, fd, 1, &closed), 1);
	/* Several at once, one of which waits for the store, are answered in turn. */
	const char several[] = STATUS "\n{\"command\":\"key.create\",\"user\":\"ada\"}\nnonsense\n" STATUS "\n";
	raw_send(fd, several, sizeof several - 1);
	assert_int_equal(raw_receive(f, fd, 4, &closed), 4);
	assert_false(closed);
	close(fd);
}

static void a_client_may_leave_while_its_command_runs(void **state) {
	struct socket_fixture *f = *state;
	struct call call;
	int fd = raw_connect(f);
	raw_send(fd, "{\"command\":\"key.create\",\"user\":\"ada\"}\n", 39);
	uv_run(&f->admin->base->loop, UV_RUN_NOWAIT);
	close(fd);
	call_start(f, &call, STR("{\"command\":\"key.create\",\"user\":\"bob\"}"));
	call_wait(f, &call);
	assert_int_equal(call.result, 0);
	buf_free(&call.reply);
}

static void an_endless_line_is_cut_off(void **state) {
	struct socket_fixture *f = *state;
	bool closed = false;
	char part[4096];
	int fd = raw_connect(f);
	size_t sent = 0;
	memset(part, 'x', sizeof part);
	while (!closed && sent < (1 << 20)) {
		ssize_t taken = send(fd, part, sizeof part, MSG_NOSIGNAL);
		if (taken > 0) {
			sent += (size_t)taken;
		}
		closed = taken < 0 && errno != EAGAIN;
		uv_run(&f->admin->base->loop, UV_RUN_NOWAIT);
	}
	assert_true(closed);
	close(fd);
}

static void connections_are_few(void **state) {
	struct socket_fixture *f = *state;
	int fds[17];
	bool closed;
	for (size_t i = 0; i < 17; i++) {
		fds[i] = raw_connect(f);
		uv_run(&f->admin->base->loop, UV_RUN_NOWAIT);
	}
	/* The one too many is closed; those before it are served; and one that leaves makes room. */
	assert_int_equal(raw_receive(f, fds[16], 1, &closed), 0);
	assert_true(closed);
	raw_send(fds[0], STATUS "\n", strlen(STATUS "\n"));
	assert_int_equal(raw_receive(f, fds[0], 1, &closed), 1);
	for (size_t i = 0; i < 17; i++) {
		close(fds[i]);
	}
	uv_run(&f->admin->base->loop, UV_RUN_NOWAIT);
	struct call call;
	call_start(f, &call, STR(STATUS));
	call_wait(f, &call);
	assert_int_equal(call.result, 0);
	buf_free(&call.reply);
}

static void closing_leaves_nobody_hanging(void **state) {
	struct socket_fixture *f = *state;
	bool closed;
	int waiting = raw_connect(f);
	int running = raw_connect(f);
	raw_send(running, "{\"command\":\"key.create\",\"user\":\"ada\"}\n", 39);
	uv_run(&f->admin->base->loop, UV_RUN_NOWAIT);
	admin_socket_close(&f->socket);
	assert_int_equal(raw_receive(f, waiting, 1, &closed), 0);
	assert_true(closed);
	assert_int_equal(raw_receive(f, running, 1, &closed), 0);
	assert_true(closed);
	close(waiting);
	close(running);
}

/* A stranger needs another uid, which only root can take on. */
static void strangers_get_no_answer(void **state) {
	struct socket_fixture *f = *state;
	if (geteuid() != 0) {
		skip();
	}
	struct err err;
	/* Even where the file's mode would let them in. */
	assert_int_equal(chmod(f->admin->base->dir, 0755), 0);
	assert_int_equal(chmod(f->path, 0666), 0);
	assert_int_equal(seteuid(65534), 0);
	int fd = raw_connect(f);
	assert_int_equal(seteuid(0), 0);
	bool closed;
	raw_send(fd, STATUS "\n", strlen(STATUS "\n"));
	assert_int_equal(raw_receive(f, fd, 1, &closed), 0);
	assert_true(closed);
	close(fd);

	assert_int_equal(chmod(f->path, 0600), 0);
	struct buf reply = BUF_INIT;
	assert_int_equal(seteuid(65534), 0);
	int result = admin_socket_call(f->path, STR(STATUS), &reply, &err);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(result, -1);
	assert_int_equal(err.code, ERR_DENIED);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_command_gets_its_reply, setup_socket, teardown_socket),
		cmocka_unit_test_setup_teardown(calls_at_once_get_their_own_replies, setup_socket, teardown_socket),
		cmocka_unit_test_setup_teardown(where_no_server_listens, setup_socket, teardown_socket),
		cmocka_unit_test_setup_teardown(a_command_may_come_in_any_pieces, setup_socket, teardown_socket),
		cmocka_unit_test_setup_teardown(a_client_may_leave_while_its_command_runs, setup_socket,
						teardown_socket),
		cmocka_unit_test_setup_teardown(an_endless_line_is_cut_off, setup_socket, teardown_socket),
		cmocka_unit_test_setup_teardown(connections_are_few, setup_socket, teardown_socket),
		cmocka_unit_test_setup_teardown(closing_leaves_nobody_hanging, setup_socket, teardown_socket),
		cmocka_unit_test_setup_teardown(strangers_get_no_answer, setup_socket, teardown_socket),
	};
	return cmocka_run_group_tests_name("admin_socket", tests, NULL, NULL);
}
