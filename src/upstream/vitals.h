/* How each server has been doing: what one loop learns of it, all go by. Private to the upstream layer. Any thread; the
 * mutex is taken when a server is chosen and when a request to it ends, never for a token. */
#ifndef SLUICE_UPSTREAM_VITALS_H
#define SLUICE_UPSTREAM_VITALS_H

#include <pthread.h>
#include <stdbool.h>

#include "breaker.h"
#include "upstream/client.h"

/* Of one server. */
struct vital {
	pthread_mutex_t mutex;
	struct breaker breaker;
	bool answered;    /* ever */
	struct gauge *up; /* of the first loop; NULL until it is told */
};

/* Of the server of this number; valid while `vitals` are. */
struct vital *vitals_of(struct upstream_vitals *vitals, unsigned number);

void vital_set_policy(struct vital *vital, struct breaker_policy policy);
/* Where it shows: the first gauge that is given, which then shows what all loops learn. */
void vital_show_on(struct vital *vital, struct gauge *up);
/* As the functions of breaker.h; the gauge follows. */
bool vital_lets(struct vital *vital, int64_t now_ms);
enum breaker_leave vital_take(struct vital *vital, int64_t now_ms);
bool vital_succeed(struct vital *vital); /* it answered */
bool vital_fail(struct vital *vital, int64_t now_ms, uint64_t random);
void vital_abandon(struct vital *vital);
int64_t vital_wait_ms(struct vital *vital, int64_t now_ms);

/* It answered something that was no request of a user's. */
void vital_note_answer(struct vital *vital);
enum upstream_health vital_health(struct vital *vital);

#endif
