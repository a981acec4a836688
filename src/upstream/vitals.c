#include "vitals.h"

#include "base/mem.h"

struct upstream_vitals {
	struct vital of[UPSTREAM_MAX];
};

struct upstream_vitals *upstream_vitals_new(struct err *err) {
	struct upstream_vitals *vitals = mem_zalloc(sizeof *vitals);
	if (!vitals) {
		err_set(err, ERR_MEMORY, "no memory for what is known of the upstreams");
		return NULL;
	}
	for (unsigned i = 0; i < UPSTREAM_MAX; i++) {
		pthread_mutex_init(&vitals->of[i].mutex, NULL);
	}
	return vitals;
}

void upstream_vitals_free(struct upstream_vitals **vitals) {
	struct upstream_vitals *old = *vitals;
	*vitals = NULL;
	for (unsigned i = 0; old && i < UPSTREAM_MAX; i++) {
		pthread_mutex_destroy(&old->of[i].mutex);
	}
	mem_free(old);
}

struct vital *vitals_of(struct upstream_vitals *vitals, unsigned number) {
	return &vitals->of[number];
}

static void lock(struct vital *vital) {
	pthread_mutex_lock(&vital->mutex);
}

static void unlock(struct vital *vital) {
	pthread_mutex_unlock(&vital->mutex);
}

static enum upstream_health health_of(const struct vital *vital) {
	static const enum upstream_health broken[] = {
		[BREAKER_OPEN] = UPSTREAM_PASSED, [BREAKER_HALF_OPEN] = UPSTREAM_PROBING};
	if (vital->breaker.state == BREAKER_CLOSED) {
		return vital->answered ? UPSTREAM_UP : UPSTREAM_UNSEEN;
	}
	return broken[vital->breaker.state];
}

/* What was learnt shows. */
static void unlock_changed(struct vital *vital) {
	if (vital->up) {
		gauge_set(vital->up, health_of(vital) == UPSTREAM_UP);
	}
	unlock(vital);
}

void vital_show_on(struct vital *vital, struct gauge *up) {
	lock(vital);
	vital->up = vital->up ? vital->up : up;
	unlock(vital);
}

void vital_set_policy(struct vital *vital, struct breaker_policy policy) {
	lock(vital);
	vital->breaker.policy = policy;
	unlock(vital);
}

bool vital_lets(struct vital *vital, int64_t now_ms) {
	lock(vital);
	bool lets = breaker_lets(&vital->breaker, now_ms);
	unlock(vital);
	return lets;
}

enum breaker_leave vital_take(struct vital *vital, int64_t now_ms) {
	lock(vital);
	enum breaker_leave leave = breaker_take(&vital->breaker, now_ms);
	unlock_changed(vital);
	return leave;
}

bool vital_succeed(struct vital *vital) {
	lock(vital);
	vital->answered = true;
	bool closed = breaker_succeed(&vital->breaker);
	unlock_changed(vital);
	return closed;
}

bool vital_fail(struct vital *vital, int64_t now_ms, uint64_t random) {
	lock(vital);
	bool opened = breaker_fail(&vital->breaker, now_ms, random);
	unlock_changed(vital);
	return opened;
}

void vital_abandon(struct vital *vital) {
	lock(vital);
	breaker_abandon(&vital->breaker);
	unlock_changed(vital);
}

int64_t vital_wait_ms(struct vital *vital, int64_t now_ms) {
	lock(vital);
	int64_t wait_ms = breaker_wait_ms(&vital->breaker, now_ms);
	unlock(vital);
	return wait_ms;
}

void vital_note_answer(struct vital *vital) {
	lock(vital);
	vital->answered = true;
	unlock_changed(vital);
}

enum upstream_health vital_health(struct vital *vital) {
	lock(vital);
	enum upstream_health health = health_of(vital);
	unlock(vital);
	return health;
}
