#include "wheel.h"

static struct list *slot_of(struct wheel *wheel, int64_t tick) {
	return &wheel->slots[(uint64_t)tick % WHEEL_SLOTS];
}

void wheel_init(struct wheel *wheel, int64_t now_us) {
	for (size_t i = 0; i < WHEEL_SLOTS; i++) {
		list_init(&wheel->slots[i]);
	}
	wheel->tick = now_us / WHEEL_TICK_US;
	wheel->count = 0;
}

void wheel_set(struct wheel *wheel, struct wheel_timer *timer, int64_t due_us) {
	wheel_cancel(wheel, timer);
	timer->due_tick = (due_us + WHEEL_TICK_US - 1) / WHEEL_TICK_US;
	/* What is due already fires with the next tick: its slot has been visited. */
	if (timer->due_tick <= wheel->tick) {
		timer->due_tick = wheel->tick + 1;
	}
	list_append(slot_of(wheel, timer->due_tick), &timer->link);
	wheel->count++;
}

void wheel_cancel(struct wheel *wheel, struct wheel_timer *timer) {
	if (list_linked(&timer->link)) {
		list_remove(&timer->link);
		wheel->count--;
	}
}

static void collect(struct list *slot, int64_t tick, struct list *due) {
	list_each(node, after, slot) {
		struct wheel_timer *timer = container_of(node, struct wheel_timer, link);
		if (timer->due_tick <= tick) {
			list_remove(node);
			list_append(due, node);
		}
	}
}

void wheel_advance(struct wheel *wheel, int64_t now_us, wheel_fire_fn *fire, void *owner) {
	int64_t now = now_us / WHEEL_TICK_US;
	int64_t from = wheel->tick + 1;
	/* After a long pause one round visits every slot. */
	if (now - from >= WHEEL_SLOTS) {
		from = now - WHEEL_SLOTS + 1;
	}
	struct list due;
	list_init(&due);
	for (int64_t tick = from; tick <= now; tick++) {
		collect(slot_of(wheel, tick), now, &due);
	}
	if (now > wheel->tick) {
		wheel->tick = now;
	}
	while (!list_empty(&due)) {
		struct wheel_timer *timer = container_of(due.next, struct wheel_timer, link);
		wheel_cancel(wheel, timer);
		fire(owner, timer);
	}
}
