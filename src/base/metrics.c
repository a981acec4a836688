#include "base/metrics.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"

#define BUCKETS 24
#define FIRST_BUCKET_US 100

struct histogram {
	/* Not cumulative; the last one takes what is above every bound. */
	_Atomic uint64_t buckets[BUCKETS + 1];
	_Atomic uint64_t sum_us;
};

enum kind { KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM };

struct metric {
	struct metric *next;
	enum kind kind;
	const char *name;
	const char *help;
	union {
		struct counter counter;
		struct gauge gauge;
		struct histogram histogram;
	};
	char labels[]; /* "" when there are none */
};

struct metrics {
	struct metric *first;
};

struct metrics *metrics_new(void) {
	return mem_zalloc(sizeof(struct metrics));
}

void metrics_free(struct metrics **metrics) {
	if (!*metrics) {
		return;
	}
	while ((*metrics)->first) {
		struct metric *metric = (*metrics)->first;
		(*metrics)->first = metric->next;
		mem_free(metric);
	}
	mem_free(*metrics);
	*metrics = NULL;
}

/* The row of that name and those labels, made if there is none, behind the other rows of its name. */
static struct metric *add(struct metrics *metrics, enum kind kind, const char *name, const char *labels,
			  const char *help) {
	static struct metric spares[KIND_HISTOGRAM + 1]; /* counted into when memory is out, never read */
	if (!metrics) {
		return &spares[kind];
	}
	labels = labels ? labels : "";
	struct metric **last = &metrics->first;
	for (struct metric **link = &metrics->first; *link; link = &(*link)->next) {
		if (strcmp((*link)->name, name) != 0) {
			continue;
		}
		if (strcmp((*link)->labels, labels) == 0 && (*link)->kind == kind) {
			return *link;
		}
		last = &(*link)->next;
	}
	if (last == &metrics->first) {
		while (*last) {
			last = &(*last)->next;
		}
	}
	size_t size = strlen(labels) + 1;
	struct metric *metric = mem_zalloc(sizeof *metric + size);
	if (!metric) {
		return &spares[kind];
	}
	metric->kind = kind;
	metric->name = name;
	memcpy(metric->labels, labels, size);
	metric->help = help;
	metric->next = *last;
	*last = metric;
	return metric;
}

struct counter *metrics_counter(struct metrics *metrics, const char *name, const char *labels, const char *help) {
	return &add(metrics, KIND_COUNTER, name, labels, help)->counter;
}

struct gauge *metrics_gauge(struct metrics *metrics, const char *name, const char *labels, const char *help) {
	return &add(metrics, KIND_GAUGE, name, labels, help)->gauge;
}

struct histogram *metrics_histogram(struct metrics *metrics, const char *name, const char *labels, const char *help) {
	return &add(metrics, KIND_HISTOGRAM, name, labels, help)->histogram;
}

/* The first bucket whose bound, 100 µs * 2^i, is not below the value. */
static size_t bucket_of(uint64_t us) {
	for (size_t i = 0; i < BUCKETS; i++) {
		if (us <= (uint64_t)FIRST_BUCKET_US << i) {
			return i;
		}
	}
	return BUCKETS;
}

void histogram_observe_us(struct histogram *histogram, int64_t microseconds) {
	uint64_t us = microseconds > 0 ? (uint64_t)microseconds : 0;
	atomic_fetch_add_explicit(&histogram->buckets[bucket_of(us)], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&histogram->sum_us, us, memory_order_relaxed);
}

/* Microseconds as seconds, exactly and without zeros at the end. */
static void append_seconds(struct buf *out, uint64_t us) {
	buf_append_u64(out, us / 1000000);
	uint64_t fraction = us % 1000000;
	if (fraction == 0) {
		return;
	}
	int digits = 6;
	while (fraction % 10 == 0) {
		fraction /= 10;
		digits--;
	}
	buf_printf(out, ".%0*" PRIu64, digits, fraction);
}

/* `name``suffix`{labels} and a space. `le_us` is a bucket's bound: NULL for none, *le_us UINT64_MAX for "+Inf". */
static void append_series(struct buf *out, const struct metric *metric, const char *suffix, const uint64_t *le_us) {
	buf_append_text(out, metric->name);
	buf_append_text(out, suffix);
	if (*metric->labels || le_us) {
		buf_append_char(out, '{');
		buf_append_text(out, metric->labels);
		if (le_us) {
			buf_append_text(out, *metric->labels ? ",le=\"" : "le=\"");
			if (*le_us == UINT64_MAX) {
				buf_append_text(out, "+Inf");
			} else {
				append_seconds(out, *le_us);
			}
			buf_append_char(out, '"');
		}
		buf_append_char(out, '}');
	}
	buf_append_char(out, ' ');
}

static void render_histogram(const struct metric *metric, struct buf *out) {
	/* The count is the sum of what was read here, so that it fits the buckets while others count on. */
	uint64_t count = 0;
	for (size_t i = 0; i <= BUCKETS; i++) {
		uint64_t bound = i < BUCKETS ? (uint64_t)FIRST_BUCKET_US << i : UINT64_MAX;
		count += atomic_load_explicit(&metric->histogram.buckets[i], memory_order_relaxed);
		append_series(out, metric, "_bucket", &bound);
		buf_append_u64(out, count);
		buf_append_char(out, '\n');
	}
	append_series(out, metric, "_sum", NULL);
	append_seconds(out, atomic_load_explicit(&metric->histogram.sum_us, memory_order_relaxed));
	buf_append_char(out, '\n');
	append_series(out, metric, "_count", NULL);
	buf_append_u64(out, count);
	buf_append_char(out, '\n');
}

static void render_metric(const struct metric *metric, struct buf *out) {
	switch (metric->kind) {
	case KIND_COUNTER:
		append_series(out, metric, "", NULL);
		buf_append_u64(out, atomic_load_explicit(&metric->counter.value, memory_order_relaxed));
		buf_append_char(out, '\n');
		break;
	case KIND_GAUGE:
		append_series(out, metric, "", NULL);
		buf_append_i64(out, atomic_load_explicit(&metric->gauge.value, memory_order_relaxed));
		buf_append_char(out, '\n');
		break;
	case KIND_HISTOGRAM:
		render_histogram(metric, out);
		break;
	}
}

void metrics_render(const struct metrics *metrics, struct buf *out) {
	static const char *const kinds[] = {"counter", "gauge", "histogram"};
	const char *name = "";
	for (const struct metric *metric = metrics->first; metric; metric = metric->next) {
		if (strcmp(metric->name, name) != 0) {
			name = metric->name;
			buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, metric->help, name, kinds[metric->kind]);
		}
		render_metric(metric, out);
	}
}
