/* The timer wheel: never early, at most a tick late, each timer once, whatever the callbacks do to the wheel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "wheel.h"

#define MANY 2000

struct entry {
	struct wheel_timer timer;
	int64_t due_us;
	int64_t fired_us; /* -1: not yet */
};

struct stage {
	struct wheel wheel;
	int64_t now_us;
	int64_t last_us; /* of the advance before */
	int fired;
	struct wheel_timer *cancel; /* what the callback cancels */
	struct wheel_timer *again;  /* what it sets anew */
	int64_t again_us;
};

static void note(void *owner, struct wheel_timer *timer) {
	struct stage *stage = owner;
	struct entry *entry = container_of(timer, struct entry, timer);
	entry->fired_us = stage->now_us;
	stage->fired++;
	if (stage->cancel) {
		wheel_cancel(&stage->wheel, stage->cancel);
	}
	if (stage->again) {
		wheel_set(&stage->wheel, stage->again, stage->again_us);
		stage->again = NULL;
	}
}

static void advance(struct stage *stage, int64_t to_us) {
	stage->last_us = stage->now_us;
	stage->now_us = to_us;
	wheel_advance(&stage->wheel, to_us, note, stage);
}

static void start(struct stage *stage, int64_t now_us) {
	*stage = (struct stage){.now_us = now_us};
	wheel_init(&stage->wheel, now_us);
}

static void fires_once_and_not_early(void **state) {
	(void)state;
	struct stage stage;
	start(&stage, 7 * WHEEL_TICK_US + 1);
	struct entry entry = {.fired_us = -1};
	wheel_set(&stage.wheel, &entry.timer, 9 * WHEEL_TICK_US + 1);
	advance(&stage, 9 * WHEEL_TICK_US + WHEEL_TICK_US - 1);
	assert_int_equal(stage.fired, 0);
	advance(&stage, 10 * WHEEL_TICK_US);
	assert_int_equal(stage.fired, 1);
	assert_int_equal(stage.wheel.count, 0);
	advance(&stage, 3 * WHEEL_SLOTS * (int64_t)WHEEL_TICK_US);
	assert_int_equal(stage.fired, 1);
}

static void what_is_due_already_fires_with_the_next_tick(void **state) {
	(void)state;
	struct stage stage;
	start(&stage, 5 * WHEEL_TICK_US);
	struct entry entry = {.fired_us = -1};
	wheel_set(&stage.wheel, &entry.timer, 0);
	advance(&stage, 6 * WHEEL_TICK_US);
	assert_int_equal(stage.fired, 1);
}

static void a_moved_timer_fires_at_its_new_time_only(void **state) {
	(void)state;
	struct stage stage;
	start(&stage, 0);
	struct entry entry = {.fired_us = -1};
	wheel_set(&stage.wheel, &entry.timer, 2 * WHEEL_TICK_US);
	wheel_set(&stage.wheel, &entry.timer, 8 * WHEEL_TICK_US);
	assert_int_equal(stage.wheel.count, 1);
	advance(&stage, 7 * WHEEL_TICK_US);
	assert_int_equal(stage.fired, 0);
	advance(&stage, 8 * WHEEL_TICK_US);
	assert_int_equal(stage.fired, 1);
}

static void a_cancelled_timer_never_fires(void **state) {
	(void)state;
	struct stage stage;
	start(&stage, 0);
	struct entry entry = {.fired_us = -1};
	wheel_set(&stage.wheel, &entry.timer, WHEEL_TICK_US);
	wheel_cancel(&stage.wheel, &entry.timer);
	wheel_cancel(&stage.wheel, &entry.timer);
	assert_int_equal(stage.wheel.count, 0);
	advance(&stage, 10 * WHEEL_TICK_US);
	assert_int_equal(stage.fired, 0);
}

/* A slot holds timers of many rounds. */
static void a_round_does_not_fire_what_is_due_in_a_later_one(void **state) {
	(void)state;
	struct stage stage;
	start(&stage, 0);
	struct entry near = {.fired_us = -1}, far = {.fired_us = -1};
	wheel_set(&stage.wheel, &near.timer, 3 * WHEEL_TICK_US);
	wheel_set(&stage.wheel, &far.timer, (3 + 2 * WHEEL_SLOTS) * (int64_t)WHEEL_TICK_US);
	advance(&stage, 3 * WHEEL_TICK_US);
	assert_int_equal(stage.fired, 1);
	advance(&stage, (3 + WHEEL_SLOTS) * (int64_t)WHEEL_TICK_US);
	assert_int_equal(stage.fired, 1);
	advance(&stage, (3 + 2 * WHEEL_SLOTS) * (int64_t)WHEEL_TICK_US);
	assert_int_equal(stage.fired, 2);
}

static void a_callback_may_cancel_another_that_is_due(void **state) {
	(void)state;
	struct stage stage;
	start(&stage, 0);
	struct entry first = {.fired_us = -1}, second = {.fired_us = -1};
	wheel_set(&stage.wheel, &first.timer, WHEEL_TICK_US);
	wheel_set(&stage.wheel, &second.timer, WHEEL_TICK_US);
	stage.cancel = &second.timer;
	advance(&stage, WHEEL_TICK_US);
	assert_int_equal(first.fired_us, WHEEL_TICK_US);
	assert_int_equal(second.fired_us, -1);
	assert_int_equal(stage.wheel.count, 0);
}

static void a_callback_may_set_itself_anew(void **state) {
	(void)state;
	struct stage stage;
	start(&stage, 0);
	struct entry entry = {.fired_us = -1};
	wheel_set(&stage.wheel, &entry.timer, WHEEL_TICK_US);
	stage.again = &entry.timer;
	stage.again_us = 0;
	advance(&stage, 5 * WHEEL_TICK_US);
	assert_int_equal(stage.fired, 1);
	assert_int_equal(stage.wheel.count, 1);
	advance(&stage, 6 * WHEEL_TICK_US);
	assert_int_equal(stage.fired, 2);
}

static unsigned int seed_of_run(void) {
	const char *given = getenv("SLUICE_TEST_SEED");
	unsigned int seed = given ? (unsigned int)strtoul(given, NULL, 10) : (unsigned int)time(NULL);
	printf("SLUICE_TEST_SEED=%u\n", seed);
	return seed;
}

static int64_t below(int64_t bound) {
	return (int64_t)(((uint64_t)rand() << 20 ^ (uint64_t)rand()) % (uint64_t)bound);
}

static void many_at_random_keep_their_time(void **state) {
	(void)state;
	static struct entry entries[MANY];
	const int64_t longest = 3 * WHEEL_SLOTS * (int64_t)WHEEL_TICK_US;
	struct stage stage;
	srand(seed_of_run());
	start(&stage, below(longest));
	int64_t end = stage.now_us + longest + WHEEL_TICK_US;
	for (size_t i = 0; i < MANY; i++) {
		entries[i] = (struct entry){.due_us = stage.now_us + below(longest), .fired_us = -1};
		wheel_set(&stage.wheel, &entries[i].timer, entries[i].due_us);
	}
	while (stage.now_us < end) {
		/* Mostly small steps, now and then more than a whole round at once. */
		advance(&stage, stage.now_us + 1 + below(below(50) == 0 ? longest : 4 * WHEEL_TICK_US));
		for (size_t i = 0; i < MANY; i++) {
			bool fired_now = entries[i].fired_us == stage.now_us;
			if (fired_now) {
				assert_true(entries[i].due_us <= stage.now_us);
				assert_true(entries[i].due_us > stage.last_us - 2 * WHEEL_TICK_US);
			}
			if (entries[i].fired_us < 0) {
				assert_true(stage.now_us < entries[i].due_us + WHEEL_TICK_US);
			}
		}
	}
	assert_int_equal(stage.fired, MANY);
	assert_int_equal(stage.wheel.count, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fires_once_and_not_early),
		cmocka_unit_test(what_is_due_already_fires_with_the_next_tick),
		cmocka_unit_test(a_moved_timer_fires_at_its_new_time_only),
		cmocka_unit_test(a_cancelled_timer_never_fires),
		cmocka_unit_test(a_round_does_not_fire_what_is_due_in_a_later_one),
		cmocka_unit_test(a_callback_may_cancel_another_that_is_due),
		cmocka_unit_test(a_callback_may_set_itself_anew),
		cmocka_unit_test(many_at_random_keep_their_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
