/* Counters, gauges and histograms, and their Prometheus text form (exposition format 0.0.4).
 *
 * Registered once, at start, by the module that counts; then updated without a lock from any thread (relaxed atomics)
 * and read by /metrics. Names follow Prometheus: base units, `_total` for counters.
 *
 * Each loop has its own, so that what is counted for every token is in the cache of one core; they are a family, and
 * rendering any of them tells of all. */
#ifndef SLUICE_BASE_METRICS_H
#define SLUICE_BASE_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/buf.h"

struct metrics;

struct counter {
	_Atomic uint64_t value;
};

struct gauge {
	_Atomic int64_t value;
};

struct histogram; /* 24 buckets, powers of two from 100 µs up to about 14 minutes, and the sum, in seconds */

struct metrics *metrics_new(void);
/* Another of the family of `first`. NULL when memory is out. */
struct metrics *metrics_new_beside(struct metrics *first);
/* Of a family the first one goes last, and with it all that was registered with any of them: until then counts stay. */
void metrics_free(struct metrics **metrics);

/* `labels` is NULL or the inside of the braces, without user data: `code="429"`. Rows of one name share the help and
 * are rendered together; asking again for a row that exists gives the same one. Never NULL: a registry that is NULL or
 * out of memory gives a shared spare that nobody reads. `labels` is copied, `name` and `help` are borrowed for ever
 * (literals). Registering is not thread-safe: for a whole family it is done before other threads render or register. */
struct counter *metrics_counter(struct metrics *metrics, const char *name, const char *labels, const char *help);
struct gauge *metrics_gauge(struct metrics *metrics, const char *name, const char *labels, const char *help);
/* A gauge that is no amount, such as 1 for "up": of a family the highest is rendered, not the sum. */
struct gauge *metrics_state(struct metrics *metrics, const char *name, const char *labels, const char *help);
struct histogram *metrics_histogram(struct metrics *metrics, const char *name, const char *labels, const char *help);

static inline void counter_add(struct counter *counter, uint64_t by) {
	atomic_fetch_add_explicit(&counter->value, by, memory_order_relaxed);
}

static inline void gauge_add(struct gauge *gauge, int64_t by) {
	atomic_fetch_add_explicit(&gauge->value, by, memory_order_relaxed);
}

static inline void gauge_set(struct gauge *gauge, int64_t to) {
	atomic_store_explicit(&gauge->value, to, memory_order_relaxed);
}

void histogram_observe_us(struct histogram *histogram, int64_t microseconds); /* negative counts as 0 */

/* The rows of the whole family. From any thread. */
void metrics_render(const struct metrics *metrics, struct buf *out);

#endif
