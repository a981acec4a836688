#include "worker.h"

#include <signal.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "conversation/conversation.h"
#include "loop/mailbox.h"
#include "options.h"
#include "response/engine.h"
#include "upstream/client.h"

/* Whoever was accepted before the signal may still be heard: so long its first request may take. */
#define NEWCOMERS_MS 500
#define NEWCOMERS_STEP_MS 10
#define CLOSING_MS 2000 /* for goodbyes, once nothing runs any more */
#define CLOSING_STEP_MS 20
#define CHECKPOINT_MS 250 /* at most so much of a stream is lost by a kill */

/* One after the other; some may be skipped. */
enum phase { SERVING, LEAVING, DRAINING, CLOSING, STOPPED };

struct order_letter {
	struct letter letter;
	struct worker *worker;
	bool given; /* the first worker's loop */
};

struct report_letter {
	struct letter letter;
	struct worker *worker;
	bool made; /* this worker's loop */
};

struct pulse_letter {
	struct letter letter;
	_Atomic bool waits; /* posted, and not read */
};

struct worker {
	struct worker_deps deps;
	struct log log; /* loop=NUMBER, when there are several */
	uv_loop_t loop;
	struct mailbox *mailbox;
	uv_thread_t thread;
	bool started;

	enum phase phase;
	uv_timer_t deadline;
	int64_t newcomers_ms; /* since it leaves */
	int64_t closing_ms;   /* since nothing runs any more */
	struct order_letter orders[WORKER_STOP + 1];
	struct report_letter reports[WORKER_STOPPED + 1];
	struct pulse_letter pulse;

	struct metrics *metrics;
	struct store *store;
	struct upstream *upstream;
	struct conversations *conversations;
	struct engine *engine;
	struct auth *auth;
	struct edge *edge;
};

/* --- going down ------------------------------------------------------------------------------------------------------ */

static bool move(struct worker *worker, enum phase phase) {
	bool forward = phase > worker->phase;
	if (forward) {
		worker->phase = phase;
	}
	return forward;
}

static void on_report(struct letter *letter) {
	struct report_letter *report = container_of(letter, struct report_letter, letter);
	struct worker *worker = report->worker;
	worker->deps.on_report(worker->deps.owner, worker, (enum worker_report)(report - worker->reports));
}

/* Nobody listens any more. */
static void on_report_dropped(struct letter *letter) {
	(void)letter;
}

static void report(struct worker *worker, enum worker_report what) {
	struct report_letter *report = &worker->reports[what];
	if (report->made) {
		return;
	}
	report->made = true;
	if (worker->deps.first) {
		mailbox_post(worker->deps.first->mailbox, &report->letter);
	} else {
		on_report(&report->letter);
	}
}

/* Everything that has work on the loop goes here; the rest is freed once the loop has run dry. */
static void stop(struct worker *worker) {
	if (!move(worker, STOPPED)) {
		return;
	}
	uv_close((uv_handle_t *)&worker->deadline, NULL);
	edge_free(&worker->edge);
	auth_free(&worker->auth);
	engine_free(&worker->engine);
	upstream_free(&worker->upstream);
	store_close(&worker->store);
	conversations_free(&worker->conversations);
	mailbox_close(worker->mailbox);
	report(worker, WORKER_STOPPED);
}

static void on_closing(uv_timer_t *timer) {
	struct worker *worker = timer->data;
	worker->closing_ms += CLOSING_STEP_MS;
	if (edge_connection_count(worker->edge) == 0 || worker->closing_ms > CLOSING_MS) {
		uv_timer_stop(timer);
		report(worker, WORKER_CLOSED);
	}
}

/* The last events are on their way; the edge closes each session behind them. */
static void close_down(struct worker *worker, uint64_t from_now_ms) {
	if (move(worker, CLOSING)) {
		uv_timer_start(&worker->deadline, on_closing, from_now_ms, CLOSING_STEP_MS);
	}
}

/* Nothing runs here any more. Others may still, watched by connections of this loop. */
static void on_idle(void *owner) {
	struct worker *worker = owner;
	if (worker->phase == DRAINING) {
		report(worker, WORKER_IDLE);
	}
}

static void on_drain_deadline(uv_timer_t *timer) {
	struct worker *worker = timer->data;
	log_warn(&worker->log, "drain time is over", LOG_I("live", engine_live_count(worker->engine)));
	close_down(worker, CLOSING_STEP_MS);
	engine_interrupt_all(worker->engine, "server_restart");
}

static void drain(struct worker *worker) {
	move(worker, DRAINING);
	size_t live = engine_live_count(worker->engine);
	log_info(&worker->log, "draining", LOG_I("live", live),
		 LOG_I("connections", edge_connection_count(worker->edge)));
	engine_drain(worker->engine);
	edge_drain(worker->edge);
	uv_timer_start(&worker->deadline, on_drain_deadline, (uint64_t)worker->deps.config->server.drain_timeout_ms, 0);
	if (live == 0) {
		on_idle(worker);
	}
}

static void on_newcomers(uv_timer_t *timer) {
	struct worker *worker = timer->data;
	worker->newcomers_ms += NEWCOMERS_STEP_MS;
	if (worker->newcomers_ms > NEWCOMERS_MS || !edge_has_newcomers(worker->edge)) {
		drain(worker);
	}
}

static void on_leave(struct letter *letter) {
	struct worker *worker = container_of(letter, struct order_letter, letter)->worker;
	if (move(worker, LEAVING)) {
		uv_timer_start(&worker->deadline, on_newcomers, NEWCOMERS_STEP_MS, NEWCOMERS_STEP_MS);
	}
}

static void on_close(struct letter *letter) {
	close_down(container_of(letter, struct order_letter, letter)->worker, 0);
}

static void on_stop(struct letter *letter) {
	stop(container_of(letter, struct order_letter, letter)->worker);
}

/* It has stopped already. */
static void on_order_dropped(struct letter *letter) {
	(void)letter;
}

void worker_tell(struct worker *worker, enum worker_order order) {
	if (!worker->orders[order].given) {
		worker->orders[order].given = true;
		mailbox_post(worker->mailbox, &worker->orders[order].letter);
	}
}

static void on_pulse(struct letter *letter) {
	container_of(letter, struct pulse_letter, letter)->waits = false;
}

bool worker_has_turned(struct worker *worker) {
	if (worker->pulse.waits) {
		return false;
	}
	worker->pulse.waits = true;
	mailbox_post(worker->mailbox, &worker->pulse.letter);
	return true;
}

/* --- coming up ------------------------------------------------------------------------------------------------------- */

static void set_letters(struct worker *worker) {
	static void (*const deliver[])(struct letter *) = {
		[WORKER_LEAVE] = on_leave,
		[WORKER_CLOSE] = on_close,
		[WORKER_STOP] = on_stop,
	};
	for (size_t i = 0; i < sizeof deliver / sizeof deliver[0]; i++) {
		worker->orders[i].letter = (struct letter){.deliver = deliver[i], .drop = on_order_dropped};
		worker->orders[i].worker = worker;
	}
	for (size_t i = 0; i < sizeof worker->reports / sizeof worker->reports[0]; i++) {
		worker->reports[i].letter = (struct letter){.deliver = on_report, .drop = on_report_dropped};
		worker->reports[i].worker = worker;
	}
	worker->pulse.letter = (struct letter){.deliver = on_pulse, .drop = on_pulse};
}

struct worker *worker_new(const struct worker_deps *deps, struct err *err) {
	struct worker *worker = mem_zalloc(sizeof *worker);
	char number[16];
	if (!worker) {
		err_set(err, ERR_MEMORY, "no memory for a loop");
		return NULL;
	}
	worker->deps = *deps;
	snprintf(number, sizeof number, "%u", deps->number);
	worker->log = *deps->log;
	if (deps->count > 1) {
		log_child(&worker->log, deps->log, "loop", number);
	}
	worker->metrics = deps->first ? metrics_new_beside(deps->first->metrics) : metrics_new();
	int status = worker->metrics ? uv_loop_init(&worker->loop) : UV_ENOMEM;
	if (status) {
		err_set(err, ERR_IO, "loop %u: %s", deps->number, uv_strerror(status));
		goto free_worker;
	}
	worker->mailbox = mailbox_new(&worker->loop, err);
	if (!worker->mailbox) {
		goto close_loop;
	}
	uv_timer_init(&worker->loop, &worker->deadline);
	worker->deadline.data = worker;
	set_letters(worker);
	return worker;

close_loop:
	uv_loop_close(&worker->loop);
free_worker:
	metrics_free(&worker->metrics);
	mem_free(worker);
	return NULL;
}

void worker_free(struct worker **worker) {
	if (!*worker) {
		return;
	}
	if (uv_loop_close(&(*worker)->loop)) {
		log_warn(&(*worker)->log, "the loop was not empty at its end");
	}
	mailbox_free(&(*worker)->mailbox);
	metrics_free(&(*worker)->metrics);
	mem_free(*worker);
	*worker = NULL;
}

int worker_open_store(struct worker *worker, struct err *err) {
	const struct config *config = worker->deps.config;
	const struct store_options options = {
		.dir = config->store.dir,
		.busy_timeout_ms = (int)config->store.busy_timeout_ms,
	};
	const struct store_deps deps = {&worker->loop, clock_system(), &worker->log, worker->metrics};
	worker->store = worker->deps.first ? store_share(worker->deps.first->store, &worker->loop, err)
					   : store_open(&options, &deps, err);
	return worker->store ? 0 : -1;
}

static int open_upstream(struct worker *worker, struct err *err) {
	const struct config *config = worker->deps.config;
	struct upstream_settings settings;
	if (upstream_settings_make(&settings, config, err)) {
		return -1;
	}
	const struct upstream_deps deps = {&worker->loop, clock_system(), &worker->log, worker->metrics,
					   worker->deps.shared->vitals};
	worker->upstream = upstream_new(settings.options, settings.count, config->upstream.model, &deps, err);
	upstream_settings_free(&settings);
	return worker->upstream ? 0 : -1;
}

static int open_conversations(struct worker *worker, struct err *err) {
	const struct conversation_deps deps = {
		.store = worker->store,
		.keyring = worker->deps.shared->keyring,
		.clock = clock_system(),
		.log = &worker->log,
		.peers = worker->deps.shared->peers,
		.loop_index = worker->deps.number,
		.max_context = (size_t)worker->deps.config->limits.max_context,
	};
	worker->conversations = conversations_new(&deps, err);
	return worker->conversations ? 0 : -1;
}

static int open_responses(struct worker *worker, struct err *err) {
	const struct config *config = worker->deps.config;
	const struct engine_options options = {
		.max_context = (size_t)config->limits.max_context,
		.max_answer = (size_t)config->limits.max_answer,
		.openai_names = config->server.openai_names,
		.checkpoint_interval_ms = CHECKPOINT_MS,
		.unwatched_ms = config->limits.unwatched_time_ms,
		.max_unwatched = config->limits.max_unwatched,
		.max_live = config->server.max_connections,
	};
	const struct engine_deps deps = {
		.loop = &worker->loop,
		.clock = clock_system(),
		.log = &worker->log,
		.metrics = worker->metrics,
		.conversations = worker->conversations,
		.upstream = worker->upstream,
		.directory = worker->deps.shared->directory,
		.mailbox = worker->mailbox,
	};
	worker->engine = engine_new(&options, &deps, err);
	if (!worker->engine) {
		return -1;
	}
	engine_on_idle(worker->engine, on_idle, worker);
	return 0;
}

static int open_auth(struct worker *worker, struct err *err) {
	const struct config *config = worker->deps.config;
	const struct auth_options options = {
		.session_lifetime_ms = config->auth.session_lifetime_ms,
		.signin_lifetime_ms = config->auth.signin_lifetime_ms,
	};
	const struct auth_deps deps = {worker->store, worker->deps.shared->keyring, clock_system(), &worker->log};
	worker->auth = worker->deps.first ? auth_share(worker->deps.first->auth, worker->store, err)
					  : auth_new(&options, &deps, err);
	return worker->auth ? 0 : -1;
}

int worker_open_engine(struct worker *worker, struct err *err) {
	bool failed = open_upstream(worker, err) || open_conversations(worker, err) || open_responses(worker, err) ||
		      open_auth(worker, err);
	return failed ? -1 : 0;
}

int worker_open_edge(struct worker *worker, const struct edge_options *options, struct err *err) {
	const struct edge_deps deps = {
		.loop = &worker->loop,
		.mailbox = worker->mailbox,
		.shared = worker->deps.shared->edge,
		.clock = clock_system(),
		.log = &worker->log,
		.metrics = worker->metrics,
		.auth = worker->auth,
		.conversations = worker->conversations,
		.engine = worker->engine,
	};
	worker->edge = edge_new(options, &deps, err);
	return worker->edge ? 0 : -1;
}

uv_loop_t *worker_loop(struct worker *worker) {
	return &worker->loop;
}

struct mailbox *worker_mailbox(const struct worker *worker) {
	return worker->mailbox;
}

struct store *worker_store(const struct worker *worker) {
	return worker->store;
}

struct auth *worker_auth(const struct worker *worker) {
	return worker->auth;
}

struct edge *worker_edge(const struct worker *worker) {
	return worker->edge;
}

/* --- its thread ------------------------------------------------------------------------------------------------------ */

void worker_run(struct worker *worker) {
	uv_run(&worker->loop, UV_RUN_DEFAULT);
}

static void run_thread(void *arg) {
	worker_run(arg);
}

/* Signals are for the first thread: what they interrupt, and who is told, is then always the same. A new thread inherits
 * the mask of the one that makes it. */
int worker_start(struct worker *worker, struct err *err) {
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int status = uv_thread_create(&worker->thread, run_thread, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (status) {
		return err_set(err, ERR_IO, "the thread of loop %u: %s", worker->deps.number, uv_strerror(status));
	}
	worker->started = true;
	return 0;
}

bool worker_is_started(const struct worker *worker) {
	return worker->started;
}

void worker_join(struct worker *worker) {
	if (worker->started) {
		uv_thread_join(&worker->thread);
		worker->started = false;
	}
}
