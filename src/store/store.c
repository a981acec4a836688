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

struct store {
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

	/* loop thread only */
	struct wakeup *wakeup;
	size_t pending; /* started and not completed */
	bool empty;
	struct store_dek sample; /* as it was at the start */

	/* under the mutex */
	uv_mutex_t mutex;
	uv_cond_t write_waits; /* or stopping */
	uv_cond_t read_waits;  /* or stopping */
	uv_cond_t done_waits;
	struct list write_lane; /* struct store_op, oldest first */
	struct list read_lane;
	struct list done;
	struct err health;
	unsigned gathering; /* writes wait for their companions */
	bool stopping;
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

/* Under the mutex. */
static void op_finish(struct store *store, struct store_op *op) {
	list_append(&store->done, &op->node);
	gauge_add(store->queue, -1);
}

/* Waits for writes and takes a group. None: the store is stopping, or the time to try again has come. */
static size_t writer_take(struct store *store, struct store_write **group, bool retry, bool *stop) {
	size_t count = 0;
	size_t bytes = 0;
	uv_mutex_lock(&store->mutex);
	while ((list_empty(&store->write_lane) || store->gathering > 0) && !store->stopping) {
		if (!retry) {
			uv_cond_wait(&store->write_waits, &store->mutex);
		} else if (uv_cond_timedwait(&store->write_waits, &store->mutex, RETRY_NS) != 0) {
			break;
		}
	}
	while (count < GROUP_WRITES && !list_empty(&store->write_lane)) {
		struct store_write *next = op_first(&store->write_lane)->write;
		if (count > 0 && bytes + next->bytes > GROUP_BYTES) {
			break;
		}
		op_take(&store->write_lane);
		bytes += next->bytes;
		group[count++] = next;
	}
	*stop = count == 0 && store->stopping;
	uv_mutex_unlock(&store->mutex);
	return count;
}

/* Says when it falls ill, of another illness, and when it is well again; not with every write that fails of the same. */
static void tell_health(const struct store *store, enum err_code before, const struct err *health) {
	if (health->code == before) {
		return;
	}
	if (health->code == ERR_NONE) {
		log_info(store->log, "store writes again");
	} else {
		log_error(store->log, "store write failed", LOG_ERR(health));
	}
}

/* Writes one group and hands its outcomes on. Whether the store is well. */
static bool writer_write(struct store *store, struct store_write *const *group, size_t count) {
	int64_t started = clock_monotonic_us(store->clock);
	if (store->driver->write(store->backend, group, count) == 0) {
		counter_add(store->commits, 1);
		histogram_observe_us(store->commit_seconds, clock_monotonic_us(store->clock) - started);
	}
	struct err health = {0};
	for (size_t i = 0; i < count; i++) {
		const struct err *outcome = &group[i]->op.err;
		if (outcome->code != ERR_NONE) {
			counter_add(store->write_failures, 1);
		}
		if (write_is_ill(outcome)) {
			health = *outcome;
		}
	}
	counter_add(store->writes, count);
	uv_mutex_lock(&store->mutex);
	enum err_code before = store->health.code;
	store->health = health;
	for (size_t i = 0; i < count; i++) {
		op_finish(store, &group[i]->op);
	}
	uv_cond_signal(&store->done_waits);
	/* Under the mutex: once it is let go, the loop thread may finish the work and close the handle. */
	uv_async_send(&store->wakeup->async);
	uv_mutex_unlock(&store->mutex);
	tell_health(store, before, &health);
	return !write_is_ill(&health);
}

static bool writer_probe(struct store *store) {
	struct err health = {0};
	store->driver->probe(store->backend, &health);
	uv_mutex_lock(&store->mutex);
	enum err_code before = store->health.code;
	store->health = health;
	uv_mutex_unlock(&store->mutex);
	tell_health(store, before, &health);
	return !write_is_ill(&health);
}

static void writer_run(void *argument) {
	struct store *store = argument;
	struct store_write *group[GROUP_WRITES];
	bool well = true;
	bool upkeep_left = false;
	bool stop = false;
	while (!stop) {
		size_t count = writer_take(store, group, !well || upkeep_left, &stop);
		if (count > 0) {
			well = writer_write(store, group, count);
		} else if (!well && !stop) {
			well = writer_probe(store);
		}
		if (!stop) {
			upkeep_left = store->driver->upkeep(store->backend);
		}
	}
}

static void reader_run(void *argument) {
	struct store *store = argument;
	uv_mutex_lock(&store->mutex);
	for (;;) {
		struct store_op *op = op_take(&store->read_lane);
		if (op) {
			uv_mutex_unlock(&store->mutex);
			op->snapshot = store->driver->read(store->backend, &op->query, &op->err);
			uv_mutex_lock(&store->mutex);
			op_finish(store, op);
			uv_cond_signal(&store->done_waits);
			uv_async_send(&store->wakeup->async);
		} else if (store->stopping) {
			break;
		} else {
			uv_cond_wait(&store->read_waits, &store->mutex);
		}
	}
	uv_mutex_unlock(&store->mutex);
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
	uv_mutex_lock(&store->mutex);
	list_each(node, after, &store->done) {
		list_remove(node);
		list_append(&ready, node);
	}
	uv_mutex_unlock(&store->mutex);
	while (!list_empty(&ready)) {
		struct store_op *op = op_first(&ready);
		list_remove(&op->node);
		op_complete(op);
	}
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

static void op_start(struct store *store, struct store_op *op, struct list *lane, uv_cond_t *cond) {
	op->store = store;
	pending_add(store);
	gauge_add(store->queue, 1);
	uv_mutex_lock(&store->mutex);
	if (op->err.code != ERR_NONE) {
		op_finish(store, op);
		uv_async_send(&store->wakeup->async);
	} else {
		op->waiting = true;
		list_append(lane, &op->node);
		if (!op->write || store->gathering == 0) {
			uv_cond_signal(cond);
		}
	}
	uv_mutex_unlock(&store->mutex);
}

struct store_op *store_commit(struct store *store, struct store_write **write, store_written_fn *done, void *owner) {
	struct store_op *op = &(*write)->op;
	op->written = done;
	op->owner = owner;
	if ((*write)->failed) {
		err_set(&op->err, ERR_MEMORY, "no memory for a write");
	} else if (store->read_only) {
		err_set(&op->err, ERR_DENIED, "the store was opened to read only");
	} else if ((*write)->puts_keys || !list_empty(&(*write)->changes[CHANGE_PUT_CREDENTIAL])) {
		store->empty = false;
	}
	*write = NULL;
	op_start(store, op, &store->write_lane, &store->write_waits);
	return op;
}

void store_gather(struct store *store) {
	uv_mutex_lock(&store->mutex);
	store->gathering++;
	uv_mutex_unlock(&store->mutex);
}

void store_gathered(struct store *store) {
	uv_mutex_lock(&store->mutex);
	store->gathering--;
	uv_cond_signal(&store->write_waits);
	uv_mutex_unlock(&store->mutex);
}

struct store_op *store_read(struct store *store, const struct store_query *query, store_read_fn *done, void *owner) {
	struct store_op *op = mem_zalloc(sizeof *op);
	if (!op) {
		return NULL;
	}
	op->read = done;
	op->owner = owner;
	op->query = *query;
	op_start(store, op, &store->read_lane, &store->read_waits);
	return op;
}

void store_cancel(struct store_op **op) {
	struct store_op *cancelled = *op;
	*op = NULL;
	if (!cancelled) {
		return;
	}
	struct store *store = cancelled->store;
	cancelled->cancelled = true;
	if (cancelled->write) {
		return;
	}
	uv_mutex_lock(&store->mutex);
	bool waiting = cancelled->waiting;
	if (waiting) {
		list_remove(&cancelled->node);
		gauge_add(store->queue, -1);
	}
	uv_mutex_unlock(&store->mutex);
	if (waiting) {
		pending_remove(store);
		op_free(cancelled);
	}
}

bool store_is_empty(const struct store *store) {
	return store->empty;
}

const struct store_dek *store_sample_dek(const struct store *store) {
	return store->sample.epoch ? &store->sample : NULL;
}

int store_health(const struct store *store, struct err *err) {
	struct store *unlocked = (struct store *)store; /* a mutex is locked even to look */
	uv_mutex_lock(&unlocked->mutex);
	struct err health = store->health;
	uv_mutex_unlock(&unlocked->mutex);
	if (health.code == ERR_NONE) {
		return 0;
	}
	if (err) {
		*err = health;
	}
	return -1;
}

/* --- opening and closing ------------------------------------------------------------------------------------------ */

static void register_metrics(struct store *store, struct metrics *metrics) {
	store->commits = metrics_counter(metrics, "sluice_store_commits_total", NULL, "Transactions committed.");
	store->writes = metrics_counter(metrics, "sluice_store_writes_total", NULL,
					"Writes handed over; many share a transaction.");
	store->write_failures = metrics_counter(metrics, "sluice_store_write_failures_total", NULL,
						"Writes that failed, conflicts among them.");
	store->commit_seconds = metrics_histogram(metrics, "sluice_store_commit_seconds", NULL,
						  "Time of a transaction, until it was durable.");
	store->queue = metrics_gauge(metrics, "sluice_store_queue", NULL, "Writes and reads that wait or run.");
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

static void stop_thread(struct store *store, uv_thread_t *thread) {
	uv_mutex_lock(&store->mutex);
	store->stopping = true;
	uv_cond_broadcast(&store->write_waits);
	uv_cond_broadcast(&store->read_waits);
	uv_mutex_unlock(&store->mutex);
	uv_thread_join(thread);
}

/* Signals are the loop thread's to handle: the store's threads start with all of them blocked. */
static int start_threads(struct store *store, struct err *err) {
	sigset_t all;
	sigset_t before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int status = uv_thread_create(&store->reader, reader_run, store);
	if (status == 0 && !store->read_only) {
		status = uv_thread_create(&store->writer, writer_run, store);
		if (status != 0) {
			stop_thread(store, &store->reader);
		}
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return status == 0 ? 0 : err_set(err, ERR_IO, "the store's threads: %s", uv_strerror(status));
}

static int init_locks(struct store *store, struct err *err) {
	if (uv_mutex_init(&store->mutex) != 0) {
		goto fail;
	}
	if (uv_cond_init(&store->write_waits) != 0) {
		goto fail_mutex;
	}
	if (uv_cond_init(&store->read_waits) != 0) {
		goto fail_write_waits;
	}
	if (uv_cond_init(&store->done_waits) != 0) {
		goto fail_read_waits;
	}
	list_init(&store->write_lane);
	list_init(&store->read_lane);
	list_init(&store->done);
	return 0;

fail_read_waits:
	uv_cond_destroy(&store->read_waits);
fail_write_waits:
	uv_cond_destroy(&store->write_waits);
fail_mutex:
	uv_mutex_destroy(&store->mutex);
fail:
	return err_set(err, ERR_MEMORY, "no memory for the store's locks");
}

static void destroy_locks(struct store *store) {
	uv_cond_destroy(&store->done_waits);
	uv_cond_destroy(&store->read_waits);
	uv_cond_destroy(&store->write_waits);
	uv_mutex_destroy(&store->mutex);
}

struct store *store_open_driver(const struct store_driver *driver, const struct store_options *options,
				const struct store_deps *deps, struct err *err) {
	struct store *store = mem_zalloc(sizeof *store);
	if (!store) {
		err_set(err, ERR_MEMORY, "no memory for the store");
		return NULL;
	}
	store->driver = driver;
	store->clock = deps->clock;
	store->log = deps->log;
	store->read_only = options->read_only;
	register_metrics(store, deps->metrics);
	if (init_locks(store, err) != 0) {
		goto fail_store;
	}
	store->backend = driver->open(options, deps, err);
	if (!store->backend) {
		goto fail_locks;
	}
	store->empty = driver->is_empty(store->backend, &store->sample);
	if (start_wakeup(store, deps->loop, err) != 0) {
		goto fail_backend;
	}
	if (start_threads(store, err) != 0) {
		goto fail_wakeup;
	}
	return store;

fail_wakeup:
	stop_wakeup(store);
fail_backend:
	driver->close(&store->backend);
fail_locks:
	destroy_locks(store);
fail_store:
	mem_free(store);
	return NULL;
}

struct store *store_open(const struct store_options *options, const struct store_deps *deps, struct err *err) {
	return store_open_driver(&sqlite_driver, options, deps, err);
}

void store_close(struct store **store) {
	struct store *closing = *store;
	if (!closing) {
		return;
	}
	while (closing->pending > 0) {
		uv_mutex_lock(&closing->mutex);
		while (list_empty(&closing->done)) {
			uv_cond_wait(&closing->done_waits, &closing->mutex);
		}
		uv_mutex_unlock(&closing->mutex);
		deliver(closing);
	}
	stop_thread(closing, &closing->reader);
	if (!closing->read_only) {
		stop_thread(closing, &closing->writer);
	}
	closing->driver->close(&closing->backend);
	stop_wakeup(closing);
	destroy_locks(closing);
	mem_free(closing);
	*store = NULL;
}
