#include "store/store.h"

#include <pthread.h>
#include <signal.h>

#include "base/mem.h"
#include "driver.h"
#include "sqlite.h"
#include "write.h"

/* One transaction takes what waits, up to these. */
#define GROUP_WRITES 256
#define GROUP_BYTES ((size_t)4 << 20)
/* How soon upkeep and a disk that refused are tried again. */
#define RETRY_NS UINT64_C(1000000000)

/* Apart from the store, because libuv lets go of a handle only in a later turn of the loop. */
struct wakeup {
	uv_async_t async;
	struct store *store;
};

/* What the handles of one store share. */
struct core {
	const struct store_driver *driver;
	struct store_backend *backend;
	const struct clock *clock;
	const struct log *log;
	bool read_only;
	struct counter *commits;
	struct counter *writes;
	struct counter *write_failures;
	struct histogram *commit_seconds;
	struct gauge *queue;
	uv_thread_t writer;
	uv_thread_t reader;
	struct store_dek sample; /* as it was at the start */

	/* under the mutex */
	uv_mutex_t mutex;
	uv_cond_t write_waits;  /* or stopping */
	uv_cond_t read_waits;   /* or stopping */
	struct list write_lane; /* struct store_op, oldest first */
	struct list read_lane;
	struct err health;
	size_t handles;
	bool empty;
	unsigned gathering; /* writes wait for their companions */
	bool stopping;
};

/* One loop's handle. */
struct store {
	struct core *core;

	/* loop thread only */
	struct wakeup *wakeup;
	size_t pending; /* started and not completed */
	bool completing;
	int64_t used_us;  /* by the completions before the one that runs */
	int64_t began_us; /* processor time at its start */

	/* under the core's mutex */
	uv_cond_t done_waits;
	struct list done; /* struct store_op, oldest first */
};

/* --- on the store's threads --------------------------------------------------------------------------------------- */

static struct store_op *op_first(struct list *lane) {
	return list_empty(lane) ? NULL : container_of(lane->next, struct store_op, node);
}

/* Under the mutex. */
static struct store_op *op_take(struct list *lane) {
	struct store_op *op = op_first(lane);
	if (op) {
		list_remove(&op->node);
		op->waiting = false;
	}
	return op;
}

/* Under the mutex, where the wake-up is sent too: once it is let go, the loop thread may finish the work and close the
 * handle. One wake-up is for all that are on the list. */
static void op_finish(struct core *core, struct store_op *op) {
	struct store *store = op->store;
	bool first = list_empty(&store->done);
	list_append(&store->done, &op->node);
	gauge_add(core->queue, -1);
	if (first) {
		uv_cond_signal(&store->done_waits);
		uv_async_send(&store->wakeup->async);
	}
}

/* Waits for writes and takes a group. None: the store is stopping, or the time to try again has come. */
static size_t writer_take(struct core *core, struct store_write **group, bool retry, bool *stop) {
	size_t count = 0;
	size_t bytes = 0;
	uv_mutex_lock(&core->mutex);
	while ((list_empty(&core->write_lane) || core->gathering > 0) && !core->stopping) {
		if (!retry) {
			uv_cond_wait(&core->write_waits, &core->mutex);
		} else if (uv_cond_timedwait(&core->write_waits, &core->mutex, RETRY_NS) != 0) {
			break;
		}
	}
	while (count < GROUP_WRITES && !list_empty(&core->write_lane)) {
		struct store_write *next = op_first(&core->write_lane)->write;
		if (count > 0 && bytes + next->bytes > GROUP_BYTES) {
			break;
		}
		op_take(&core->write_lane);
		bytes += next->bytes;
		group[count++] = next;
	}
	*stop = count == 0 && core->stopping;
	uv_mutex_unlock(&core->mutex);
	return count;
}

/* Says when it falls ill, of another illness, and when it is well again; not with every write that fails of the same. */
static void tell_health(const struct core *core, enum err_code before, const struct err *health) {
	if (health->code == before) {
		return;
	}
	if (health->code == ERR_NONE) {
		log_info(core->log, "store writes again");
	} else {
		log_error(core->log, "store write failed", LOG_ERR(health));
	}
}

/* Writes one group and hands its outcomes on. Whether the store is well. */
static bool writer_write(struct core *core, struct store_write *const *group, size_t count) {
	int64_t started = clock_monotonic_us(core->clock);
	if (core->driver->write(core->backend, group, count) == 0) {
		counter_add(core->commits, 1);
		histogram_observe_us(core->commit_seconds, clock_monotonic_us(core->clock) - started);
	}
	struct err health = {0};
	for (size_t i = 0; i < count; i++) {
		const struct err *outcome = &group[i]->op.err;
		if (outcome->code != ERR_NONE) {
			counter_add(core->write_failures, 1);
		}
		if (write_is_ill(outcome)) {
			health = *outcome;
		}
	}
	counter_add(core->writes, count);
	uv_mutex_lock(&core->mutex);
	enum err_code before = core->health.code;
	core->health = health;
	for (size_t i = 0; i < count; i++) {
		op_finish(core, &group[i]->op);
	}
	uv_mutex_unlock(&core->mutex);
	tell_health(core, before, &health);
	return !write_is_ill(&health);
}

static bool writer_probe(struct core *core) {
	struct err health = {0};
	core->driver->probe(core->backend, &health);
	uv_mutex_lock(&core->mutex);
	enum err_code before = core->health.code;
	core->health = health;
	uv_mutex_unlock(&core->mutex);
	tell_health(core, before, &health);
	return !write_is_ill(&health);
}

static void writer_run(void *argument) {
	struct core *core = argument;
	struct store_write *group[GROUP_WRITES];
	bool well = true;
	bool upkeep_left = false;
	bool stop = false;
	while (!stop) {
		size_t count = writer_take(core, group, !well || upkeep_left, &stop);
		if (count > 0) {
			well = writer_write(core, group, count);
		} else if (!well && !stop) {
			well = writer_probe(core);
		}
		if (!stop) {
			upkeep_left = core->driver->upkeep(core->backend);
		}
	}
}

static void reader_run(void *argument) {
	struct core *core = argument;
	uv_mutex_lock(&core->mutex);
	for (;;) {
		struct store_op *op = op_take(&core->read_lane);
		if (op) {
			uv_mutex_unlock(&core->mutex);
			op->snapshot = core->driver->read(core->backend, &op->query, &op->err);
			uv_mutex_lock(&core->mutex);
			op_finish(core, op);
		} else if (core->stopping) {
			break;
		} else {
			uv_cond_wait(&core->read_waits, &core->mutex);
		}
	}
	uv_mutex_unlock(&core->mutex);
}

/* --- on the loop thread ------------------------------------------------------------------------------------------- */

static void op_free(struct store_op *op) {
	if (op->write) {
		struct store_write *write = op->write;
		store_write_free(&write);
	} else {
		store_snapshot_free(&op->snapshot);
		mem_free(op);
	}
}

/* The loop is kept alive while something is under way, and not by an idle store. */
static void pending_add(struct store *store) {
	if (store->pending++ == 0) {
		uv_ref((uv_handle_t *)&store->wakeup->async);
	}
}

static void pending_remove(struct store *store) {
	if (--store->pending == 0) {
		uv_unref((uv_handle_t *)&store->wakeup->async);
	}
}

static void op_complete(struct store_op *op) {
	const struct err *err = op->err.code == ERR_NONE ? NULL : &op->err;
	pending_remove(op->store);
	if (op->cancelled) {
		op_free(op);
	} else if (op->write) {
		op->written(op->owner, err);
		op_free(op);
	} else {
		struct store_snapshot *snapshot = op->snapshot;
		op->snapshot = NULL;
		op->read(op->owner, snapshot, err);
		op_free(op);
	}
}

/* Completes what is done by now; what becomes done meanwhile waits for the next turn, so that the loop gets its
 * turn. */
static void deliver(struct store *store) {
	struct list ready;
	list_init(&ready);
	uv_mutex_lock(&store->core->mutex);
	list_each(node, after, &store->done) {
		list_remove(node);
		list_append(&ready, node);
	}
	uv_mutex_unlock(&store->core->mutex);
	while (!list_empty(&ready)) {
		struct store_op *op = op_first(&ready);
		list_remove(&op->node);
		store->used_us = op->carried_us;
		store->began_us = clock_thread_us();
		store->completing = true;
		op_complete(op);
		store->completing = false;
	}
}

int64_t store_completion_us(const struct store *store) {
	return store->completing ? store->used_us + clock_thread_us() - store->began_us : 0;
}

static void on_wakeup(uv_async_t *async) {
	struct wakeup *wakeup = async->data;
	if (wakeup->store) {
		deliver(wakeup->store);
	}
}

static void on_wakeup_closed(uv_handle_t *handle) {
	mem_free(handle->data);
}

/* Whether it leaves something that needs the KEK. */
static bool brings_keys(const struct store_op *op) {
	const struct store_write *write = op->write;
	return write && (write->puts_keys || !list_empty(&write->changes[CHANGE_PUT_CREDENTIAL]));
}

static void op_start(struct store *store, struct store_op *op, struct list *lane, uv_cond_t *cond) {
	struct core *core = store->core;
	op->store = store;
	op->carried_us = store_completion_us(store);
	pending_add(store);
	gauge_add(core->queue, 1);
	uv_mutex_lock(&core->mutex);
	if (op->err.code != ERR_NONE) {
		op_finish(core, op);
	} else {
		op->waiting = true;
		list_append(lane, &op->node);
		if (!op->write || core->gathering == 0) {
			uv_cond_signal(cond);
		}
		core->empty = core->empty && !brings_keys(op);
	}
	uv_mutex_unlock(&core->mutex);
}

struct store_op *store_commit(struct store *store, struct store_write **write, store_written_fn *done, void *owner) {
	struct store_op *op = &(*write)->op;
	op->written = done;
	op->owner = owner;
	if ((*write)->failed) {
		err_set(&op->err, ERR_MEMORY, "no memory for a write");
	} else if (store->core->read_only) {
		err_set(&op->err, ERR_DENIED, "the store was opened to read only");
	}
	*write = NULL;
	op_start(store, op, &store->core->write_lane, &store->core->write_waits);
	return op;
}

void store_gather(struct store *store) {
	struct core *core = store->core;
	uv_mutex_lock(&core->mutex);
	core->gathering++;
	uv_mutex_unlock(&core->mutex);
}

void store_gathered(struct store *store) {
	struct core *core = store->core;
	uv_mutex_lock(&core->mutex);
	core->gathering--;
	uv_cond_signal(&core->write_waits);
	uv_mutex_unlock(&core->mutex);
}

struct store_op *store_read(struct store *store, const struct store_query *query, store_read_fn *done, void *owner) {
	struct store_op *op = mem_zalloc(sizeof *op);
	if (!op) {
		return NULL;
	}
	op->read = done;
	op->owner = owner;
	op->query = *query;
	op_start(store, op, &store->core->read_lane, &store->core->read_waits);
	return op;
}

void store_cancel(struct store_op **op) {
	struct store_op *cancelled = *op;
	*op = NULL;
	if (!cancelled) {
		return;
	}
	struct store *store = cancelled->store;
	struct core *core = store->core;
	cancelled->cancelled = true;
	if (cancelled->write) {
		return;
	}
	uv_mutex_lock(&core->mutex);
	bool waiting = cancelled->waiting;
	if (waiting) {
		list_remove(&cancelled->node);
		gauge_add(core->queue, -1);
	}
	uv_mutex_unlock(&core->mutex);
	if (waiting) {
		pending_remove(store);
		op_free(cancelled);
	}
}

bool store_is_empty(const struct store *store) {
	uv_mutex_lock(&store->core->mutex);
	bool empty = store->core->empty;
	uv_mutex_unlock(&store->core->mutex);
	return empty;
}

const struct store_dek *store_sample_dek(const struct store *store) {
	return store->core->sample.epoch ? &store->core->sample : NULL;
}

int store_health(const struct store *store, struct err *err) {
	uv_mutex_lock(&store->core->mutex);
	struct err health = store->core->health;
	uv_mutex_unlock(&store->core->mutex);
	if (health.code == ERR_NONE) {
		return 0;
	}
	if (err) {
		*err = health;
	}
	return -1;
}

/* --- opening and closing ------------------------------------------------------------------------------------------ */

static void register_metrics(struct core *core, struct metrics *metrics) {
	core->commits = metrics_counter(metrics, "sluice_store_commits_total", NULL, "Transactions committed.");
	core->writes = metrics_counter(metrics, "sluice_store_writes_total", NULL,
				       "Writes handed over; many share a transaction.");
	core->write_failures = metrics_counter(metrics, "sluice_store_write_failures_total", NULL,
					       "Writes that failed, conflicts among them.");
	core->commit_seconds = metrics_histogram(metrics, "sluice_store_commit_seconds", NULL,
						 "Time of a transaction, until it was durable.");
	core->queue = metrics_gauge(metrics, "sluice_store_queue", NULL, "Writes and reads that wait or run.");
}

static int start_wakeup(struct store *store, uv_loop_t *loop, struct err *err) {
	struct wakeup *wakeup = mem_zalloc(sizeof *wakeup);
	if (!wakeup) {
		return err_set(err, ERR_MEMORY, "no memory for the store");
	}
	int status = uv_async_init(loop, &wakeup->async, on_wakeup);
	if (status != 0) {
		mem_free(wakeup);
		return err_set(err, ERR_IO, "the store's wake-up: %s", uv_strerror(status));
	}
	wakeup->async.data = wakeup;
	wakeup->store = store;
	store->wakeup = wakeup;
	uv_unref((uv_handle_t *)&wakeup->async);
	return 0;
}

static void stop_wakeup(struct store *store) {
	store->wakeup->store = NULL;
	uv_close((uv_handle_t *)&store->wakeup->async, on_wakeup_closed);
	store->wakeup = NULL;
}

static void stop_thread(struct core *core, uv_thread_t *thread) {
	uv_mutex_lock(&core->mutex);
	core->stopping = true;
	uv_cond_broadcast(&core->write_waits);
	uv_cond_broadcast(&core->read_waits);
	uv_mutex_unlock(&core->mutex);
	uv_thread_join(thread);
}

/* Signals are the loop thread's to handle: the store's threads start with all of them blocked. */
static int start_threads(struct core *core, struct err *err) {
	sigset_t all;
	sigset_t before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int status = uv_thread_create(&core->reader, reader_run, core);
	if (status == 0 && !core->read_only) {
		status = uv_thread_create(&core->writer, writer_run, core);
		if (status != 0) {
			stop_thread(core, &core->reader);
		}
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return status == 0 ? 0 : err_set(err, ERR_IO, "the store's threads: %s", uv_strerror(status));
}

static int init_locks(struct core *core, struct err *err) {
	if (uv_mutex_init(&core->mutex) != 0) {
		goto fail;
	}
	if (uv_cond_init(&core->write_waits) != 0) {
		goto fail_mutex;
	}
	if (uv_cond_init(&core->read_waits) != 0) {
		goto fail_write_waits;
	}
	list_init(&core->write_lane);
	list_init(&core->read_lane);
	return 0;

fail_write_waits:
	uv_cond_destroy(&core->write_waits);
fail_mutex:
	uv_mutex_destroy(&core->mutex);
fail:
	return err_set(err, ERR_MEMORY, "no memory for the store's locks");
}

static void destroy_locks(struct core *core) {
	uv_cond_destroy(&core->read_waits);
	uv_cond_destroy(&core->write_waits);
	uv_mutex_destroy(&core->mutex);
}

/* The database is open, its threads do not run yet. */
static struct core *core_open(const struct store_driver *driver, const struct store_options *options,
			      const struct store_deps *deps, struct err *err) {
	struct core *core = mem_zalloc(sizeof *core);
	if (!core) {
		err_set(err, ERR_MEMORY, "no memory for the store");
		return NULL;
	}
	core->driver = driver;
	core->clock = deps->clock;
	core->log = deps->log;
	core->read_only = options->read_only;
	register_metrics(core, deps->metrics);
	if (init_locks(core, err) != 0) {
		goto fail_core;
	}
	core->backend = driver->open(options, deps, err);
	if (!core->backend) {
		goto fail_locks;
	}
	core->empty = driver->is_empty(core->backend, &core->sample);
	return core;

fail_locks:
	destroy_locks(core);
fail_core:
	mem_free(core);
	return NULL;
}

/* Its threads do not run, or no longer. */
static void core_close(struct core *core) {
	core->driver->close(&core->backend);
	destroy_locks(core);
	mem_free(core);
}

/* The caller counts it among the core's handles. */
static struct store *handle_new(struct core *core, uv_loop_t *loop, struct err *err) {
	struct store *store = mem_zalloc(sizeof *store);
	if (!store) {
		err_set(err, ERR_MEMORY, "no memory for the store");
		return NULL;
	}
	store->core = core;
	list_init(&store->done);
	if (uv_cond_init(&store->done_waits) != 0) {
		err_set(err, ERR_MEMORY, "no memory for the store's locks");
		goto fail_store;
	}
	if (start_wakeup(store, loop, err) != 0) {
		goto fail_done_waits;
	}
	return store;

fail_done_waits:
	uv_cond_destroy(&store->done_waits);
fail_store:
	mem_free(store);
	return NULL;
}

static void handle_free(struct store *store) {
	stop_wakeup(store);
	uv_cond_destroy(&store->done_waits);
	mem_free(store);
}

struct store *store_open_driver(const struct store_driver *driver, const struct store_options *options,
				const struct store_deps *deps, struct err *err) {
	struct core *core = core_open(driver, options, deps, err);
	if (!core) {
		return NULL;
	}
	struct store *store = handle_new(core, deps->loop, err);
	if (!store) {
		goto fail_core;
	}
	core->handles = 1;
	if (start_threads(core, err) != 0) {
		goto fail_handle;
	}
	return store;

fail_handle:
	handle_free(store);
fail_core:
	core_close(core);
	return NULL;
}

struct store *store_open(const struct store_options *options, const struct store_deps *deps, struct err *err) {
	return store_open_driver(&sqlite_driver, options, deps, err);
}

struct store *store_share(struct store *store, uv_loop_t *loop, struct err *err) {
	struct core *core = store->core;
	struct store *further = handle_new(core, loop, err);
	if (further) {
		uv_mutex_lock(&core->mutex);
		core->handles++;
		uv_mutex_unlock(&core->mutex);
	}
	return further;
}

void store_close(struct store **store) {
	struct store *closing = *store;
	if (!closing) {
		return;
	}
	struct core *core = closing->core;
	while (closing->pending > 0) {
		uv_mutex_lock(&core->mutex);
		while (list_empty(&closing->done)) {
			uv_cond_wait(&closing->done_waits, &core->mutex);
		}
		uv_mutex_unlock(&core->mutex);
		deliver(closing);
	}
	handle_free(closing);
	*store = NULL;
	uv_mutex_lock(&core->mutex);
	bool last = --core->handles == 0;
	uv_mutex_unlock(&core->mutex);
	if (!last) {
		return;
	}
	stop_thread(core, &core->reader);
	if (!core->read_only) {
		stop_thread(core, &core->writer);
	}
	core_close(core);
}
