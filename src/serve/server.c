#include "server.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "admin/command.h"
#include "admin/keyring.h"
#include "admin/socket.h"
#include "auth/auth.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "conversation/conversation.h"
#include "inherit.h"
#include "notify.h"
#include "options.h"
#include "response/engine.h"
#include "seal/token.h"
#include "store/store.h"

/* Whoever was accepted before the signal may still be heard: so long its first request may take. */
#define NEWCOMERS_MS 500
#define NEWCOMERS_STEP_MS 10
#define CLOSING_MS 2000 /* for goodbyes, once nothing runs any more */
#define CLOSING_STEP_MS 20
#define TEARDOWN_S 3
#define CHECKPOINT_MS 250 /* at most so much of a stream is lost by a kill */

struct server {
	const struct config *config;
	const struct log *log;
	struct err *err;
	int result;
	uv_loop_t loop;
	uv_signal_t terminate, interrupt;
	uv_timer_t deadline;
	bool leaving, draining, stopped; /* one after the other */
	int64_t newcomers_ms;            /* since the signal */
	int64_t closing_ms;              /* since nothing runs any more */
	int inherited[INHERIT_MAX];      /* listening sockets, until the edge has them */
	size_t inherited_count;

	struct metrics *metrics;
	struct store *store;
	struct seal_keyring *keyring;
	struct auth *auth;
	struct upstream *upstream;
	struct conversations *conversations;
	struct mailbox *mailbox;
	struct directory *directory;
	struct engine *engine;
	struct edge *edge;
	struct admin *admin;
	struct admin_socket *socket;
	struct notify *notify;
	struct buf base_url;
};

/* --- going down ------------------------------------------------------------------------------------------------------ */

static void close_handle(void *handle) {
	if (!uv_is_closing(handle)) {
		uv_close(handle, NULL);
	}
}

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

/* Everything that has work on the loop goes here; the rest is freed once the loop has run dry. */
static void stop(struct server *server) {
	if (server->stopped) {
		return;
	}
	server->stopped = true;
	log_info(server->log, "stopping");
	close_handle(&server->terminate);
	close_handle(&server->interrupt);
	close_handle(&server->deadline);
	admin_socket_close(&server->socket);
	admin_free(&server->admin);
	edge_free(&server->edge);
	auth_free(&server->auth);
	mailbox_close(server->mailbox);
	engine_free(&server->engine);
	upstream_free(&server->upstream);
	notify_free(&server->notify);
	store_close(&server->store);
	conversations_free(&server->conversations);
	bound_teardown(server);
}

static void on_closing(uv_timer_t *timer) {
	struct server *server = timer->data;
	server->closing_ms += CLOSING_STEP_MS;
	if (edge_connection_count(server->edge) == 0 || server->closing_ms > CLOSING_MS) {
		stop(server);
	}
}

/* Nothing runs any more. The last events are on their way; the edge closes each session behind them. */
static void on_idle(void *owner) {
	struct server *server = owner;
	if (server->draining) {
		uv_timer_start(&server->deadline, on_closing, 0, CLOSING_STEP_MS);
	}
}

static void on_drain_deadline(uv_timer_t *timer) {
	struct server *server = timer->data;
	log_warn(server->log, "drain time is over", LOG_I("live", engine_live_count(server->engine)));
	uv_timer_start(&server->deadline, on_closing, CLOSING_STEP_MS, CLOSING_STEP_MS);
	engine_interrupt_all(server->engine, "server_restart");
}

static void drain(struct server *server) {
	server->draining = true;
	size_t live = engine_live_count(server->engine);
	log_info(server->log, "draining", LOG_I("live", live),
		 LOG_I("connections", edge_connection_count(server->edge)));
	engine_drain(server->engine);
	edge_drain(server->edge);
	uv_timer_start(&server->deadline, on_drain_deadline, (uint64_t)server->config->server.drain_timeout_ms, 0);
	if (live == 0) {
		on_idle(server);
	}
}

static void on_newcomers(uv_timer_t *timer) {
	struct server *server = timer->data;
	server->newcomers_ms += NEWCOMERS_STEP_MS;
	if (server->newcomers_ms > NEWCOMERS_MS || !edge_has_newcomers(server->edge)) {
		drain(server);
	}
}

/* From here on newcomers wait for the successor, when the socket is inherited. Those who came through the door before it
 * closed are not turned away. */
static void leave(struct server *server) {
	server->leaving = true;
	notify_stopping("draining");
	edge_stop_accepting(server->edge);
	uv_timer_start(&server->deadline, on_newcomers, NEWCOMERS_STEP_MS, NEWCOMERS_STEP_MS);
}

/* A second signal does not wait. */
static void on_signal(uv_signal_t *handle, int number) {
	struct server *server = handle->data;
	log_info(server->log, "signal", LOG_S("name", number == SIGTERM ? "SIGTERM" : "SIGINT"));
	if (server->leaving || !server->edge) {
		stop(server);
	} else {
		leave(server);
	}
}

static void fail(struct server *server) {
	server->result = -1;
	stop(server);
}

/* --- coming up ------------------------------------------------------------------------------------------------------- */

static int open_edge(struct server *server) {
	struct edge_settings settings;
	if (edge_settings_make(&settings, server->config, server->err)) {
		return -1;
	}
	settings.options.inherited = server->inherited;
	settings.options.inherited_count = server->inherited_count;
	const struct edge_deps deps = {
		.loop = &server->loop,
		.clock = clock_system(),
		.log = server->log,
		.metrics = server->metrics,
		.auth = server->auth,
		.conversations = server->conversations,
		.engine = server->engine,
	};
	server->edge = edge_new(&settings.options, &deps, server->err);
	int result = server->edge ? config_base_url(server->config, edge_address(server->edge), &server->base_url,
						    server->err)
				  : -1;
	edge_settings_free(&settings);
	return result;
}

static int open_admin(struct server *server) {
	const struct admin_deps deps = {server->auth, server->store, buf_text(&server->base_url)};
	struct buf path = BUF_INIT;
	int result = -1;
	buf_printf(&path, "%s/admin.sock", server->config->store.dir);
	server->admin = deps.base_url && buf_text(&path) ? admin_new(&deps, server->err) : NULL;
	if (server->admin) {
		server->socket = admin_socket_open(&server->loop, path.data, server->admin, server->log, server->err);
		result = server->socket ? 0 : -1;
	}
	buf_free(&path);
	return result;
}

/* The users are known: from here on strangers and users may be told apart. */
static void on_identities(void *owner, const struct err *err) {
	struct server *server = owner;
	if (err) {
		*server->err = *err;
		fail(server);
		return;
	}
	if (open_edge(server) || open_admin(server)) {
		fail(server);
		return;
	}
	if (server->inherited_count > 0) {
		log_info(server->log, "listening on inherited sockets; [server] listen is not used",
			 LOG_I("count", server->inherited_count));
	}
	/* Whoever reads this finds the admin socket, too. */
	log_info(server->log, "listening", LOG_S("address", edge_address(server->edge)),
		 LOG_S("version", SLUICE_VERSION));
	notify_ready(server->base_url.data);
}

static int open_upstream(struct server *server) {
	struct upstream_settings settings;
	if (upstream_settings_make(&settings, server->config, server->err)) {
		return -1;
	}
	const struct upstream_deps deps = {&server->loop, clock_system(), server->log, server->metrics};
	server->upstream =
		upstream_new(settings.options, settings.count, server->config->upstream.model, &deps, server->err);
	upstream_settings_free(&settings);
	return server->upstream ? 0 : -1;
}

static int open_store(struct server *server) {
	const struct store_options options = {
		.dir = server->config->store.dir,
		.busy_timeout_ms = (int)server->config->store.busy_timeout_ms,
	};
	const struct store_deps deps = {&server->loop, clock_system(), server->log, server->metrics};
	server->store = store_open(&options, &deps, server->err);
	if (!server->store) {
		return -1;
	}
	server->keyring = keyring_obtain(server->config->seal.key_file, server->store, server->log, server->err);
	return server->keyring ? 0 : -1;
}

static int open_modules(struct server *server) {
	struct err *err = server->err;
	if (open_store(server) || open_upstream(server)) {
		return -1;
	}
	const struct conversation_deps conversation_deps = {
		.store = server->store,
		.keyring = server->keyring,
		.clock = clock_system(),
		.log = server->log,
		.max_context = (size_t)server->config->limits.max_context,
	};
	server->conversations = conversations_new(&conversation_deps, err);
	server->directory = server->conversations ? directory_new(err) : NULL;
	server->mailbox = server->directory ? mailbox_new(&server->loop, err) : NULL;
	const struct engine_options engine_options = {
		.max_context = (size_t)server->config->limits.max_context,
		.max_answer = (size_t)server->config->limits.max_answer,
		.openai_names = server->config->server.openai_names,
		.checkpoint_interval_ms = CHECKPOINT_MS,
		.unwatched_ms = server->config->limits.unwatched_time_ms,
		.max_unwatched = server->config->limits.max_unwatched,
		.max_live = server->config->server.max_connections,
	};
	const struct engine_deps engine_deps = {
		.loop = &server->loop,
		.clock = clock_system(),
		.log = server->log,
		.metrics = server->metrics,
		.conversations = server->conversations,
		.upstream = server->upstream,
		.directory = server->directory,
		.mailbox = server->mailbox,
	};
	server->engine = server->mailbox ? engine_new(&engine_options, &engine_deps, err) : NULL;
	const struct auth_options auth_options = {
		.session_lifetime_ms = server->config->auth.session_lifetime_ms,
		.signin_lifetime_ms = server->config->auth.signin_lifetime_ms,
	};
	const struct auth_deps auth_deps = {server->store, server->keyring, clock_system(), server->log};
	server->auth = server->engine ? auth_new(&auth_options, &auth_deps, err) : NULL;
	server->notify = server->auth ? notify_new(&server->loop, err) : NULL;
	if (!server->notify) {
		return -1;
	}
	engine_on_idle(server->engine, on_idle, server);
	return auth_load(server->auth, on_identities, server, err);
}

static void open_handles(struct server *server) {
	uv_signal_init(&server->loop, &server->terminate);
	uv_signal_init(&server->loop, &server->interrupt);
	uv_timer_init(&server->loop, &server->deadline);
	server->terminate.data = server;
	server->interrupt.data = server;
	server->deadline.data = server;
	uv_signal_start(&server->terminate, on_signal, SIGTERM);
	uv_signal_start(&server->interrupt, on_signal, SIGINT);
}

int server_run(const struct config *config, const struct log *log, struct err *err) {
	struct server *server = mem_zalloc(sizeof *server);
	if (!server) {
		return err_set(err, ERR_MEMORY, "no memory for the server");
	}
	if (inherit_sockets(server->inherited, &server->inherited_count, err)) {
		mem_free(server);
		return -1;
	}
	server->config = config;
	server->log = log;
	server->err = err;
	server->metrics = metrics_new();
	if (!server->metrics || uv_loop_init(&server->loop)) {
		metrics_free(&server->metrics);
		mem_free(server);
		return err_set(err, ERR_MEMORY, "no memory for the server");
	}
	signal(SIGPIPE, SIG_IGN);
	open_handles(server);
	if (seal_init(err) || open_modules(server)) {
		fail(server);
	}
	uv_run(&server->loop, UV_RUN_DEFAULT);
	int result = server->result;
	alarm(0);
	if (uv_loop_close(&server->loop)) {
		log_warn(log, "the loop was not empty at its end");
	}
	mailbox_free(&server->mailbox);
	directory_free(&server->directory);
	seal_keyring_free(&server->keyring);
	buf_free(&server->base_url);
	metrics_free(&server->metrics);
	mem_free(server);
	return result;
}
