/* A timer wheel for deadlines that mostly never come: pings, header and body deadlines, lifetimes. Setting and cancelling
 * cost the same with one timer as with ten thousand. Pure; time is passed in, in microseconds of a monotonic clock.
 *
 * Deadlines are kept to the next WHEEL_TICK_US: late by up to one tick, never early. */
#ifndef SLUICE_EDGE_WHEEL_H
#define SLUICE_EDGE_WHEEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

#define WHEEL_TICK_US 50000
#define WHEEL_SLOTS 1024

/* Embedded by its owner; zeroed means not set. */
struct wheel_timer {
	struct list link;
	int64_t due_tick;
};

struct wheel {
	struct list slots[WHEEL_SLOTS];
	int64_t tick; /* the last one that was visited */
	size_t count; /* timers that are set */
};

void wheel_init(struct wheel *wheel, int64_t now_us);
/* Sets the timer, or moves it when it is set. */
void wheel_set(struct wheel *wheel, struct wheel_timer *timer, int64_t due_us);
void wheel_cancel(struct wheel *wheel, struct wheel_timer *timer);

typedef void wheel_fire_fn(void *owner, struct wheel_timer *timer);
/* Fires every timer that is due, each once and unset. `fire` may set and cancel any timer. */
void wheel_advance(struct wheel *wheel, int64_t now_us, wheel_fire_fn *fire, void *owner);

#endif
