#include "breaker.h"

#include <stddef.h>

#define TO(state) (1U << (state))

/* To closed from open: a request that was sent before, or although it is open, has got its answer. */
static const uint32_t transitions[] = {
	[BREAKER_CLOSED] = TO(BREAKER_OPEN),
	[BREAKER_OPEN] = TO(BREAKER_HALF_OPEN) | TO(BREAKER_CLOSED),
	[BREAKER_HALF_OPEN] = TO(BREAKER_CLOSED) | TO(BREAKER_OPEN),
};

static bool breaker_move(struct breaker *breaker, enum breaker_state to) {
	if (!(transitions[breaker->state] & TO(to))) {
		return false;
	}
	breaker->state = to;
	return true;
}

/* From half of the pause up to all of it, so that several servers behind one fault are not all tried at once. */
static int64_t pause_ms(const struct breaker *breaker, uint64_t random) {
	int64_t max_ms = BREAKER_MAX_PAUSE_MS;
	int64_t pause = breaker->policy.pause_ms < max_ms ? breaker->policy.pause_ms : max_ms;
	for (uint32_t i = 1; i < breaker->opened && pause > 0 && pause < max_ms; i++) {
		pause = pause > max_ms / 2 ? max_ms : pause * 2;
	}
	int64_t half = pause / 2;
	return pause - (int64_t)(random % (uint64_t)(half + 1));
}

static void open_it(struct breaker *breaker, int64_t now_ms, uint64_t random) {
	if (!breaker_move(breaker, BREAKER_OPEN)) {
		return;
	}
	breaker->failures = 0;
	if (breaker->opened < UINT32_MAX) {
		breaker->opened++;
	}
	if (__builtin_add_overflow(now_ms, pause_ms(breaker, random), &breaker->until_ms)) {
		breaker->until_ms = INT64_MAX;
	}
}

bool breaker_lets(const struct breaker *breaker, int64_t now_ms) {
	return breaker->state == BREAKER_CLOSED || (breaker->state == BREAKER_OPEN && now_ms >= breaker->until_ms);
}

enum breaker_leave breaker_take(struct breaker *breaker, int64_t now_ms) {
	if (!breaker_lets(breaker, now_ms)) {
		return BREAKER_NO;
	}
	return breaker_move(breaker, BREAKER_HALF_OPEN) ? BREAKER_TRIAL : BREAKER_ASK;
}

bool breaker_succeed(struct breaker *breaker) {
	breaker->failures = 0;
	breaker->opened = 0;
	return breaker_move(breaker, BREAKER_CLOSED);
}

bool breaker_fail(struct breaker *breaker, int64_t now_ms, uint64_t random) {
	switch (breaker->state) {
	case BREAKER_CLOSED:
		if (breaker->policy.failures == 0 || ++breaker->failures < breaker->policy.failures) {
			return false;
		}
		break;
	case BREAKER_OPEN:
		/* One that was sent before: it tells nothing new. */
		return false;
	case BREAKER_HALF_OPEN:
		break;
	}
	open_it(breaker, now_ms, random);
	return true;
}

void breaker_abandon(struct breaker *breaker) {
	if (breaker->state == BREAKER_HALF_OPEN && breaker_move(breaker, BREAKER_OPEN)) {
		breaker->until_ms = INT64_MIN;
	}
}

int64_t breaker_wait_ms(const struct breaker *breaker, int64_t now_ms) {
	if (breaker->state != BREAKER_OPEN || now_ms >= breaker->until_ms) {
		return 0;
	}
	int64_t wait_ms;
	return __builtin_sub_overflow(breaker->until_ms, now_ms, &wait_ms) ? INT64_MAX : wait_ms;
}
