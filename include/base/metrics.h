/* Counters, gauges and histograms, and their Prometheus text form (exposition format 0.0.4).
 *
 * Registered once, at start, by the module that counts; then updated without a lock from any thread (relaxed atomics)
 * and read by /metrics. Names follow Prometheus: base units, `_total` for counters. */
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
void metrics_free(struct metrics **metrics); /* and all that was registered */

/* `labels` is NULL or the inside of the braces, without user data: `code="429"`. Rows of one name share the help and
 * are rendered together; asking again for a row that exists gives the same one. Never NULL: a registry that is NULL or
 * out of memory gives a shared spare that nobody reads. `labels` is copied, `name` and `help` are borrowed for ever
 * (literals). Registering is not thread-safe. */
struct counter *metrics_counter(struct metrics *metrics, const char *name, const char *labels, const char *help);
struct gauge *metrics_gauge(struct metrics *metrics, const char *name, const char *labels, const char *help);
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

void metrics_render(const struct metrics *metrics, struct buf *out);

#endif
