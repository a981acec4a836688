/* Many deadlines on one uv_timer. Loop thread only.
 *
 * A queue is for deadlines of the same length: each is then due after all that were set before it, setting one again
 * costs a few pointers, and no system call, and nothing is touched while it does not pass. Of other lengths it may hold
 * a few. */
#ifndef SLUICE_UPSTREAM_DEADLINE_H
#define SLUICE_UPSTREAM_DEADLINE_H

#include <stdint.h>
#include <uv.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"

struct deadline;
/* Runs from the loop when one has passed; it is off its queue by then. May set and clear any. */
typedef void deadline_fn(struct deadline *deadline);

/* Embedded by its owner, zeroed at first, who sets `passed`. */
struct deadline {
	struct list link;
	int64_t due_ms;
	deadline_fn *passed;
};

struct deadlines;

struct deadlines *deadlines_new(uv_loop_t *loop, const struct clock *clock, unsigned queues, struct err *err);
/* None is called any more. The memory goes when the loop has closed the timer. */
void deadlines_free(struct deadlines **deadlines);

int64_t deadlines_now_ms(const struct deadlines *deadlines);
/* Sets or moves. `queue` is below the number of queues. */
void deadline_set(struct deadlines *deadlines, struct deadline *deadline, unsigned queue, int64_t due_ms);
void deadline_clear(struct deadline *deadline);

#endif
