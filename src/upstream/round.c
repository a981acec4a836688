#include "round.h"

#include <uv.h>

#include "retry.h"

static uint64_t random_u64(void) {
	uint64_t random = 0;
	uv_random(NULL, NULL, &random, sizeof random, 0, NULL);
	return random;
}

static struct target *at(const struct round *round, uint8_t place) {
	return pool_target(round->pool, round->route.numbers[place]);
}

int round_open(struct round *round, const struct pool *pool, const char *model, uint32_t needs) {
	round->pool = pool;
	pool_route(pool, model, needs, &round->route);
	return round->route.count ? 0 : -1;
}

const struct upstream_options *round_options(const struct round *round) {
	return &at(round, 0)->options;
}

bool round_has_next(const struct round *round) {
	for (uint8_t i = 0; i < round->route.count; i++) {
		if (!(round->asked & 1U << i) && target_lets(at(round, i))) {
			return true;
		}
	}
	return false;
}

bool round_next(struct round *round) {
	for (uint8_t i = 0; i < round->route.count; i++) {
		if (round->asked & 1U << i) {
			continue;
		}
		enum breaker_leave leave = target_take(at(round, i));
		if (leave == BREAKER_NO && round->route.count > 1) {
			continue;
		}
		round->target = at(round, i);
		round->asked |= 1U << i;
		round->trial = leave == BREAKER_TRIAL;
		round->told = false;
		return true;
	}
	return false;
}

/* The server that is still to hear; NULL when it has heard. */
static struct target *tell(struct round *round) {
	struct target *target = round->told ? NULL : round->target;
	round->told = true;
	return target;
}

void round_answered(struct round *round) {
	struct target *target = tell(round);
	if (target) {
		target_answered(target);
	}
}

void round_failed(struct round *round, enum upstream_error error) {
	struct target *target = tell(round);
	if (target) {
		target_failed(target, error, round->trial, random_u64());
	}
}

void round_abandon(struct round *round) {
	struct target *target = tell(round);
	if (target && round->trial) {
		target_abandon(target);
	}
}

void round_may_pass(struct round *round, int64_t retry_after_ms) {
	if (!round->passing || retry_after_ms < round->retry_after_ms) {
		round->retry_after_ms = retry_after_ms;
	}
	round->passing = true;
}

int64_t round_pause_ms(struct round *round) {
	const struct upstream_options *options = round_options(round);
	const struct retry_policy policy = {options->retries, options->retry_base_ms, options->retry_max_ms};
	round->rounds++;
	return round->passing ? retry_pause_ms(&policy, round->rounds, round->retry_after_ms, random_u64()) : -1;
}

void round_again(struct round *round) {
	round->asked = 0;
	round->passing = false;
}

int64_t round_wait_ms(const struct round *round) {
	int64_t soonest_ms = INT64_MAX;
	for (uint8_t i = 0; i < round->route.count; i++) {
		int64_t wait_ms = target_wait_ms(at(round, i));
		soonest_ms = wait_ms < soonest_ms ? wait_ms : soonest_ms;
	}
	return round->route.count && soonest_ms > 0 ? soonest_ms : -1;
}
