#include "server.h"

#include <signal.h>
#include <unistd.h>

#include "admin/command.h"
#include "admin/keyring.h"
#include "admin/socket.h"
#include "base/mem.h"
#include "base/str.h"
#include "inherit.h"
#include "notify.h"
#include "options.h"
#include "response/directory.h"
#include "seal/token.h"
#include "worker.h"

#define TEARDOWN_S 3

struct server {
	const struct config *config;
	const struct log *log;
	struct err *err;
	int result;
	bool leaving, stopping, finished; /* one after the other */

	uv_signal_t terminate, interrupt;
	struct edge_settings edge_settings;
	struct worker_shared shared;
	struct admin *admin;
	struct admin_socket *socket;
	struct notify *notify;
	struct buf base_url;
	int inherited[INHERIT_MAX]; /* listening sockets, until the edge has them */
	size_t inherited_count;

	/* The workers. The first runs on this thread, and is the last to stop: the others share its store. */
	struct worker **workers;
	size_t count;                 /* of those that there are: fewer, when one could not be made */
	size_t idle, closed, stopped; /* how many said so */
};

static struct worker *first_of(const struct server *server) {
	return server->workers[0];
}

/* --- going down ------------------------------------------------------------------------------------------------------ */

/* Said aloud: a teardown that hangs is a fault, though nothing is lost by it. */
static void tell_overdue(void) {
	static const char text[] = "sluiced: the teardown did not end in time; everything is stored, leaving\n";
	ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
	(void)written;
}

static void on_overdue(int number) {
	(void)number;
	tell_overdue();
	_exit(0);
}

static void on_overdue_after_failure(int number) {
	(void)number;
	tell_overdue();
	_exit(1);
}

/* Everything is durable by now: a library that does not come to the end of its teardown must not keep the process. */
static void bound_teardown(const struct server *server) {
	signal(SIGALRM, server->result ? on_overdue_after_failure : on_overdue);
	alarm(TEARDOWN_S);
}

static void tell_all(const struct server *server, enum worker_order order) {
	for (size_t i = 0; i < server->count; i++) {
		worker_tell(server->workers[i], order);
	}
}

/* The others have stopped, the first is told to. */
static void finish(struct server *server) {
	if (server->finished) {
		return;
	}
	server->finished = true;
	log_info(server->log, "stopping");
	uv_close((uv_handle_t *)&server->terminate, NULL);
	uv_close((uv_handle_t *)&server->interrupt, NULL);
	admin_socket_close(&server->socket);
	admin_free(&server->admin);
	notify_free(&server->notify);
	worker_tell(first_of(server), WORKER_STOP);
}

static void finish_when_alone(struct server *server) {
	if (server->stopping && server->stopped == server->count - 1) {
		finish(server);
	}
}

/* Everything, at once. */
static void stop(struct server *server) {
	if (server->stopping) {
		return;
	}
	server->stopping = true;
	for (size_t i = 1; i < server->count; i++) {
		worker_tell(server->workers[i], WORKER_STOP);
		/* Without a thread it comes to its end here. */
		if (!worker_is_started(server->workers[i])) {
			worker_run(server->workers[i]);
		}
	}
	finish_when_alone(server);
}

/* None stops before the connections of all are gone: they may be told of the end of what ran on another loop. */
static void on_closed(struct server *server) {
	if (++server->closed == server->count) {
		stop(server);
	}
}

static void on_stopped(struct server *server, const struct worker *worker) {
	if (worker == first_of(server)) {
		bound_teardown(server);
	} else {
		server->stopped++;
		finish_when_alone(server);
	}
}

static void on_report(void *owner, struct worker *worker, enum worker_report report) {
	struct server *server = owner;
	switch (report) {
	case WORKER_IDLE:
		if (++server->idle == server->count) {
			tell_all(server, WORKER_CLOSE);
		}
		break;
	case WORKER_CLOSED:
		on_closed(server);
		break;
	case WORKER_STOPPED:
		on_stopped(server, worker);
		break;
	}
}

/* From here on newcomers wait for the successor, when the socket is inherited. Those who came through the door before it
 * closed are not turned away: they are on their loop before the order to leave is. */
static void leave(struct server *server) {
	server->leaving = true;
	notify_stopping("draining");
	edge_stop_accepting(worker_edge(first_of(server)));
	tell_all(server, WORKER_LEAVE);
}

/* A second signal does not wait. */
static void on_signal(uv_signal_t *handle, int number) {
	struct server *server = handle->data;
	log_info(server->log, "signal", LOG_S("name", number == SIGTERM ? "SIGTERM" : "SIGINT"));
	if (server->leaving || !server->notify) {
		stop(server);
	} else {
		leave(server);
	}
}

/* Told at once, and bounded: short of descriptors, libwebsockets makes a context whose teardown has no end. Nobody was served
 * yet, so nothing can be lost. */
static void fail(struct server *server) {
	server->result = -1;
	log_error(server->log, "not started", LOG_ERR(server->err));
	bound_teardown(server);
	stop(server);
}

/* --- coming up ------------------------------------------------------------------------------------------------------- */

static int add_worker(struct server *server) {
	const struct worker_deps deps = {
		.config = server->config,
		.log = server->log,
		.shared = &server->shared,
		.number = (unsigned)server->count,
		.count = server->config->server.loops,
		.first = server->count > 0 ? first_of(server) : NULL,
		.on_report = on_report,
		.owner = server,
	};
	struct worker *worker = worker_new(&deps, server->err);
	if (!worker) {
		return -1;
	}
	server->workers[server->count++] = worker;
	return 0;
}

/* Every loop with its mailbox, so that each knows how to write to the others. */
static int add_workers(struct server *server) {
	struct mailbox *mailboxes[DIRECTORY_LOOPS_MAX];
	server->shared.directory = directory_new(server->err);
	server->shared.vitals = server->shared.directory ? upstream_vitals_new(server->err) : NULL;
	if (!server->shared.vitals) {
		return -1;
	}
	while (server->count < server->config->server.loops) {
		if (add_worker(server)) {
			return -1;
		}
		mailboxes[server->count - 1] = worker_mailbox(server->workers[server->count - 1]);
	}
	server->shared.peers = conversation_peers_new(mailboxes, server->count, server->err);
	return server->shared.peers ? 0 : -1;
}

static int open_further_workers(struct server *server) {
	for (size_t i = 1; i < server->count; i++) {
		if (worker_open_store(server->workers[i], server->err) ||
		    worker_open_engine(server->workers[i], server->err)) {
			return -1;
		}
	}
	return 0;
}

static int open_edges(struct server *server) {
	const struct edge_options *options = &server->edge_settings.options;
	server->shared.edge = edge_shared_new(options, (unsigned)server->count, server->log, server->err);
	if (!server->shared.edge) {
		return -1;
	}
	for (size_t i = 0; i < server->count; i++) {
		if (worker_open_edge(server->workers[i], options, server->err)) {
			return -1;
		}
	}
	return 0;
}

static int start_threads(struct server *server) {
	for (size_t i = 1; i < server->count; i++) {
		if (worker_start(server->workers[i], server->err)) {
			return -1;
		}
	}
	return 0;
}

static int listen_for_all(struct server *server) {
	struct edge *edge = worker_edge(first_of(server));
	struct edge_door door = server->edge_settings.door;
	door.inherited = server->inherited;
	door.inherited_count = server->inherited_count;
	if (edge_listen(edge, &door, server->err)) {
		return -1;
	}
	return config_base_url(server->config, edge_address(edge), &server->base_url, server->err);
}

static int open_admin(struct server *server) {
	const struct admin_deps deps = {worker_auth(first_of(server)), worker_store(first_of(server)),
					buf_text(&server->base_url)};
	struct buf path = BUF_INIT;
	int result = -1;
	buf_printf(&path, "%s/admin.sock", server->config->store.dir);
	server->admin = deps.base_url && buf_text(&path) ? admin_new(&deps, server->err) : NULL;
	if (server->admin) {
		server->socket = admin_socket_open(worker_loop(first_of(server)), path.data, server->admin, server->log,
						   server->err);
		result = server->socket ? 0 : -1;
	}
	buf_free(&path);
	return result;
}

static bool all_turn(void *owner) {
	const struct server *server = owner;
	bool all = true;
	for (size_t i = 0; i < server->count; i++) {
		all = worker_has_turned(server->workers[i]) && all;
	}
	return all;
}

static int open_door(struct server *server) {
	if (open_further_workers(server) || open_edges(server) || start_threads(server) || listen_for_all(server) ||
	    open_admin(server)) {
		return -1;
	}
	server->notify = notify_new(worker_loop(first_of(server)), all_turn, server, server->err);
	return server->notify ? 0 : -1;
}

/* The users are known: from here on strangers and users may be told apart. */
static void on_identities(void *owner, const struct err *err) {
	struct server *server = owner;
	if (err) {
		*server->err = *err;
		fail(server);
		return;
	}
	if (open_door(server)) {
		fail(server);
		return;
	}
	if (server->inherited_count > 0) {
		log_info(server->log, "listening on inherited sockets; [server] listen is not used",
			 LOG_I("count", server->inherited_count));
	}
	/* Whoever reads this finds the admin socket, too. */
	log_info(server->log, "listening", LOG_S("address", edge_address(worker_edge(first_of(server)))),
		 LOG_S("version", SLUICE_VERSION));
	notify_ready(server->base_url.data);
}

static void open_signal(struct server *server, uv_signal_t *handle, int number) {
	uv_signal_init(worker_loop(first_of(server)), handle);
	handle->data = server;
	uv_signal_start(handle, on_signal, number);
}

static int open_first(struct server *server) {
	struct worker *first = first_of(server);
	if (edge_settings_make(&server->edge_settings, server->config, server->err) || seal_init(server->err) ||
	    worker_open_store(first, server->err)) {
		return -1;
	}
	server->shared.keyring =
		keyring_obtain(server->config->seal.key_file, worker_store(first), server->log, server->err);
	if (!server->shared.keyring || worker_open_engine(first, server->err)) {
		return -1;
	}
	return auth_load(worker_auth(first), on_identities, server, server->err);
}

static void free_all(struct server *server) {
	for (size_t i = 0; i < server->count; i++) {
		worker_join(server->workers[i]);
	}
	edge_shared_free(&server->shared.edge);
	/* The first one last: it counts for the others, too. */
	for (size_t i = server->count; i > 0; i--) {
		worker_free(&server->workers[i - 1]);
	}
	conversation_peers_free(&server->shared.peers);
	upstream_vitals_free(&server->shared.vitals);
	directory_free(&server->shared.directory);
	seal_keyring_free(&server->shared.keyring);
	edge_settings_free(&server->edge_settings);
	buf_free(&server->base_url);
	mem_free(server->workers);
	mem_free(server);
}

int server_run(const struct config *config, const struct log *log, struct err *err) {
	struct server *server = mem_zalloc(sizeof *server);
	if (!server) {
		err_set(err, ERR_MEMORY, "no memory for the server");
		log_error(log, "not started", LOG_ERR(err));
		return -1;
	}
	server->config = config;
	server->log = log;
	server->err = err;
	server->workers = mem_zarray(config->server.loops, sizeof(struct worker *));
	if (!server->workers) {
		err_set(err, ERR_MEMORY, "no memory for the server");
		goto fail;
	}
	if (inherit_sockets(server->inherited, &server->inherited_count, err)) {
		goto fail;
	}
	int failed = add_workers(server);
	if (server->count == 0) {
		goto fail;
	}
	signal(SIGPIPE, SIG_IGN);
	open_signal(server, &server->terminate, SIGTERM);
	open_signal(server, &server->interrupt, SIGINT);
	if (failed || open_first(server)) {
		fail(server);
	}
	worker_run(first_of(server));
	int result = server->result;
	free_all(server);
	alarm(0);
	return result;
fail:
	log_error(log, "not started", LOG_ERR(err));
	free_all(server);
	return -1;
}
