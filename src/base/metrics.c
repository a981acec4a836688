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

enum kind { KIND_COUNTER, KIND_GAUGE, KIND_STATE, KIND_HISTOGRAM };

/* More than a cache line: what two loops count is never in one. */
#define APART 64

struct metric {
	struct metric *next;         /* row of the family */
	struct metric *beside;       /* the same row of another of the family */
	const struct metrics *owner; /* compared only */
	enum kind kind;
	const char *name;
	const char *help;
	union {
		struct counter counter;
		struct gauge gauge;
		struct histogram histogram;
	};
	char apart[APART];
	char labels[]; /* "" when there are none */
};

struct metrics {
	struct metrics *family; /* the first of it, this one perhaps */
	struct metric *first;   /* the family's rows, in the first of it; each has its like of the others beside it */
};

struct metrics *metrics_new(void) {
	struct metrics *metrics = mem_zalloc(sizeof *metrics);
	if (metrics) {
		metrics->family = metrics;
	}
	return metrics;
}

struct metrics *metrics_new_beside(struct metrics *first) {
	struct metrics *metrics = metrics_new();
	if (metrics) {
		metrics->family = first->family;
	}
	return metrics;
}

void metrics_free(struct metrics **metrics) {
	if (!*metrics) {
		return;
	}
	while ((*metrics)->first) {
		struct metric *metric = (*metrics)->first;
		(*metrics)->first = metric->beside ? metric->beside : metric->next;
		if (metric->beside) {
			metric->beside->next = metric->next;
		}
		mem_free(metric);
	}
	mem_free(*metrics);
	*metrics = NULL;
}

static struct metric *metric_new(const struct metrics *owner, const struct metric *like, const char *labels) {
	size_t size = strlen(labels) + 1;
	struct metric *metric = mem_zalloc(sizeof *metric + size);
	if (metric) {
		metric->owner = owner;
		metric->kind = like->kind;
		metric->name = like->name;
		metric->help = like->help;
		memcpy(metric->labels, labels, size);
	}
	return metric;
}

/* The family's row of that name and those labels, or NULL; `last` is then the link behind the other rows of its name. */
static struct metric *find(struct metrics *family, const struct metric *like, const char *labels,
			   struct metric ***last) {
	*last = NULL;
	struct metric **link = &family->first;
	for (; *link; link = &(*link)->next) {
		if (strcmp((*link)->name, like->name) != 0) {
			continue;
		}
		if (strcmp((*link)->labels, labels) == 0 && (*link)->kind == like->kind) {
			return *link;
		}
		*last = &(*link)->next;
	}
	*last = *last ? *last : link;
	return NULL;
}

/* The row of that name and those labels, made if there is none. */
static struct metric *add(struct metrics *metrics, enum kind kind, const char *name, const char *labels,
			  const char *help) {
	static struct metric spares[KIND_HISTOGRAM + 1]; /* counted into when memory is out, never read */
	if (!metrics) {
		return &spares[kind];
	}
	const struct metric like = {.kind = kind, .name = name, .help = help};
	labels = labels ? labels : "";
	struct metric **last;
	struct metric *row = find(metrics->family, &like, labels, &last);
	for (struct metric *metric = row; metric; metric = metric->beside) {
		if (metric->owner == metrics) {
			return metric;
		}
	}
	struct metric *metric = metric_new(metrics, &like, labels);
	if (!metric) {
		return &spares[kind];
	}
	if (row) {
		metric->beside = row->beside;
		row->beside = metric;
	} else {
		metric->next = *last;
		*last = metric;
	}
	return metric;
}

struct counter *metrics_counter(struct metrics *metrics, const char *name, const char *labels, const char *help) {
	return &add(metrics, KIND_COUNTER, name, labels, help)->counter;
}

struct gauge *metrics_gauge(struct metrics *metrics, const char *name, const char *labels, const char *help) {
	return &add(metrics, KIND_GAUGE, name, labels, help)->gauge;
}

struct gauge *metrics_state(struct metrics *metrics, const char *name, const char *labels, const char *help) {
	return &add(metrics, KIND_STATE, name, labels, help)->gauge;
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

static uint64_t bucket_sum(const struct metric *row, size_t bucket) {
	uint64_t sum = 0;
	for (const struct metric *metric = row; metric; metric = metric->beside) {
		sum += atomic_load_explicit(&metric->histogram.buckets[bucket], memory_order_relaxed);
	}
	return sum;
}

static void render_histogram(const struct metric *row, struct buf *out) {
	/* The count is the sum of what was read here, so that it fits the buckets while others count on. */
	uint64_t count = 0;
	uint64_t sum_us = 0;
	for (size_t i = 0; i <= BUCKETS; i++) {
		uint64_t bound = i < BUCKETS ? (uint64_t)FIRST_BUCKET_US << i : UINT64_MAX;
		count += bucket_sum(row, i);
		append_series(out, row, "_bucket", &bound);
		buf_append_u64(out, count);
		buf_append_char(out, '\n');
	}
	for (const struct metric *metric = row; metric; metric = metric->beside) {
		sum_us += atomic_load_explicit(&metric->histogram.sum_us, memory_order_relaxed);
	}
	append_series(out, row, "_sum", NULL);
	append_seconds(out, sum_us);
	buf_append_char(out, '\n');
	append_series(out, row, "_count", NULL);
	buf_append_u64(out, count);
	buf_append_char(out, '\n');
}

static void render_counter(const struct metric *row, struct buf *out) {
	uint64_t sum = 0;
	for (const struct metric *metric = row; metric; metric = metric->beside) {
		sum += atomic_load_explicit(&metric->counter.value, memory_order_relaxed);
	}
	append_series(out, row, "", NULL);
	buf_append_u64(out, sum);
	buf_append_char(out, '\n');
}

/* Amounts add up, of states the highest counts. */
static void render_gauge(const struct metric *row, struct buf *out) {
	int64_t value = atomic_load_explicit(&row->gauge.value, memory_order_relaxed);
	for (const struct metric *metric = row->beside; metric; metric = metric->beside) {
		int64_t other = atomic_load_explicit(&metric->gauge.value, memory_order_relaxed);
		if (row->kind == KIND_STATE) {
			value = other > value ? other : value;
		} else {
			value += other;
		}
	}
	append_series(out, row, "", NULL);
	buf_append_i64(out, value);
	buf_append_char(out, '\n');
}

static void render_row(const struct metric *row, struct buf *out) {
	switch (row->kind) {
	case KIND_COUNTER:
		render_counter(row, out);
		break;
	case KIND_GAUGE:
	case KIND_STATE:
		render_gauge(row, out);
		break;
	case KIND_HISTOGRAM:
		render_histogram(row, out);
		break;
	}
}

void metrics_render(const struct metrics *metrics, struct buf *out) {
	static const char *const kinds[] = {"counter", "gauge", "gauge", "histogram"};
	const char *name = "";
	for (const struct metric *row = metrics->family->first; row; row = row->next) {
		if (strcmp(row->name, name) != 0) {
			name = row->name;
			buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, row->help, name, kinds[row->kind]);
		}
		render_row(row, out);
	}
}
