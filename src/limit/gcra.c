#include "limit/gcra.h"

/* A tick is 1/limit of a microsecond: at the steady rate a unit takes exactly period_us ticks, so that no division rounds
 * what is kept. 32 bits of a count times 63 bits of time need the wide type. */
__extension__ typedef __int128 ticks;

struct gcra_rate gcra_rate(uint32_t units, int64_t period_us, uint32_t burst) {
	return (struct gcra_rate){
		.period_us = period_us > 0 ? period_us : 1, .limit = units, .burst = burst > 0 ? burst : 1};
}

/* In whole microseconds, rounded up: whoever waits that long has waited long enough. */
static int64_t ticks_to_us(const struct gcra_rate *rate, ticks count) {
	ticks us = (count + rate->limit - 1) / rate->limit;
	return us > INT64_MAX ? INT64_MAX : (int64_t)us;
}

static ticks capacity(const struct gcra_rate *rate) {
	return (ticks)rate->burst * rate->period_us;
}

/* How far the bucket runs ahead of the clock: 0 when full, the capacity when empty. */
static ticks ahead_of(const struct gcra *state, const struct gcra_rate *rate, int64_t now_us) {
	ticks ahead = ((ticks)state->tat_us - now_us) * rate->limit + state->tat_part;
	if (ahead < 0) {
		return 0;
	}
	/* Further than any request can have brought it: the clock went back. */
	return ahead > capacity(rate) ? capacity(rate) : ahead;
}

static void set_ahead(struct gcra *state, const struct gcra_rate *rate, int64_t now_us, ticks ahead) {
	ticks tat_us = now_us + ahead / rate->limit;
	if (tat_us > INT64_MAX) {
		*state = (struct gcra){.tat_us = INT64_MAX};
		return;
	}
	*state = (struct gcra){.tat_us = (int64_t)tat_us, .tat_part = (uint32_t)(ahead % rate->limit)};
}

static struct gcra_verdict unlimited(void) {
	return (struct gcra_verdict){.allowed = true, .remaining = UINT32_MAX};
}

static struct gcra_verdict verdict(const struct gcra_rate *rate, ticks ahead, bool allowed) {
	return (struct gcra_verdict){
		.allowed = allowed,
		.remaining = (uint32_t)((capacity(rate) - ahead) / rate->period_us),
		.reset_us = ticks_to_us(rate, ahead),
	};
}

/* What to say to `cost` units at this state; *after is where the bucket then stands. */
static struct gcra_verdict judge(const struct gcra_rate *rate, ticks before, uint32_t cost, ticks *after) {
	ticks wanted = before + (ticks)cost * rate->period_us;
	bool allowed = cost == 0 || wanted <= capacity(rate);
	*after = allowed ? wanted : before;
	struct gcra_verdict said = verdict(rate, *after, allowed);
	if (!allowed) {
		said.retry_after_us = cost > rate->burst ? -1 : ticks_to_us(rate, wanted - capacity(rate));
	}
	return said;
}

struct gcra_verdict gcra_take(struct gcra *state, const struct gcra_rate *rate, int64_t now_us, uint32_t cost) {
	if (rate->limit == 0) {
		return unlimited();
	}
	ticks after;
	struct gcra_verdict said = judge(rate, ahead_of(state, rate, now_us), cost, &after);
	/* Also when refused, so that a bucket far in the future after the clock went back is drawn to where it belongs. */
	set_ahead(state, rate, now_us, after);
	return said;
}

struct gcra_verdict gcra_peek(const struct gcra *state, const struct gcra_rate *rate, int64_t now_us) {
	if (rate->limit == 0) {
		return unlimited();
	}
	ticks before = ahead_of(state, rate, now_us);
	ticks after;
	struct gcra_verdict said = judge(rate, before, 1, &after);
	/* Nothing was taken: the counts are those of now. */
	struct gcra_verdict now = verdict(rate, before, said.allowed);
	now.retry_after_us = said.retry_after_us;
	return now;
}
