#include "deadline.h"

#include "base/mem.h"

#define NEVER INT64_MAX

struct deadlines {
	uv_timer_t timer;
	const struct clock *clock;
	int64_t armed_ms; /* when the timer fires, at the latest; NEVER: it does not run */
	unsigned queue_count;
	struct list queues[];
};

int64_t deadlines_now_ms(const struct deadlines *deadlines) {
	return clock_monotonic_us(deadlines->clock) / 1000;
}

static struct deadline *first(const struct list *queue) {
	return list_empty(queue) ? NULL : container_of(queue->next, struct deadline, link);
}

static void on_timer(uv_timer_t *timer);

static void arm(struct deadlines *deadlines, int64_t due_ms) {
	int64_t wait_ms = due_ms - deadlines_now_ms(deadlines);
	deadlines->armed_ms = due_ms;
	uv_timer_start(&deadlines->timer, on_timer, wait_ms > 0 ? (uint64_t)wait_ms : 0, 0);
}

/* What has passed is gathered first, so that the callbacks may set and clear whatever they like. */
static void on_timer(uv_timer_t *timer) {
	struct deadlines *deadlines = timer->data;
	int64_t now_ms = deadlines_now_ms(deadlines);
	struct list passed;
	list_init(&passed);
	for (unsigned i = 0; i < deadlines->queue_count; i++) {
		struct deadline *deadline;
		while ((deadline = first(&deadlines->queues[i])) && deadline->due_ms <= now_ms) {
			list_remove(&deadline->link);
			list_append(&passed, &deadline->link);
		}
	}
	deadlines->armed_ms = NEVER;
	while (!list_empty(&passed)) {
		struct deadline *deadline = first(&passed);
		list_remove(&deadline->link);
		deadline->passed(deadline);
	}
	int64_t next_ms = NEVER;
	for (unsigned i = 0; i < deadlines->queue_count; i++) {
		struct deadline *deadline = first(&deadlines->queues[i]);
		if (deadline && deadline->due_ms < next_ms) {
			next_ms = deadline->due_ms;
		}
	}
	if (next_ms != NEVER) {
		arm(deadlines, next_ms);
	}
}

struct deadlines *deadlines_new(uv_loop_t *loop, const struct clock *clock, unsigned queues, struct err *err) {
	struct deadlines *deadlines = mem_zalloc(sizeof *deadlines + queues * sizeof deadlines->queues[0]);
	if (!deadlines) {
		err_set(err, ERR_MEMORY, "no memory for deadlines");
		return NULL;
	}
	deadlines->clock = clock;
	deadlines->queue_count = queues;
	deadlines->armed_ms = NEVER;
	for (unsigned i = 0; i < deadlines->queue_count; i++) {
		list_init(&deadlines->queues[i]);
	}
	uv_timer_init(loop, &deadlines->timer);
	deadlines->timer.data = deadlines;
	return deadlines;
}

static void on_closed(uv_handle_t *handle) {
	mem_free(handle->data);
}

void deadlines_free(struct deadlines **deadlines) {
	if (*deadlines) {
		uv_close((uv_handle_t *)&(*deadlines)->timer, on_closed);
		*deadlines = NULL;
	}
}

void deadline_set(struct deadlines *deadlines, struct deadline *deadline, unsigned queue, int64_t due_ms) {
	list_remove(&deadline->link);
	deadline->due_ms = due_ms;
	struct list *before = deadlines->queues[queue].prev;
	while (before != &deadlines->queues[queue] && container_of(before, struct deadline, link)->due_ms > due_ms) {
		before = before->prev;
	}
	/* Appending to what stands behind `before` puts it between the two. */
	list_append(before->next, &deadline->link);
	if (due_ms < deadlines->armed_ms) {
		arm(deadlines, due_ms);
	}
}

void deadline_clear(struct deadline *deadline) {
	list_remove(&deadline->link);
}
