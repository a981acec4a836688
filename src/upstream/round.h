/* Which server a call asks next, and what the servers hear of how it went. A round asks each server of a route at most once;
 * when all have failed, and one of the errors may pass, another round may follow after a pause. Loop thread only. */
#ifndef SLUICE_UPSTREAM_ROUND_H
#define SLUICE_UPSTREAM_ROUND_H

#include "pool.h"

/* Embedded by the call, zeroed at first. */
struct round {
	const struct pool *pool;
	struct route route;
	struct target *target;  /* the one being asked, or that was asked last; NULL before the first */
	uint32_t asked;         /* bits of the route's places, in this round */
	uint32_t rounds;        /* that are over */
	bool trial;             /* this request probes its server */
	bool told;              /* the server has heard how it went */
	bool passing;           /* an error of this round may be gone in the next */
	int64_t retry_after_ms; /* the soonest of those errors; -1: not said */
};

/* -1 when no server that may have the model can do what is needed. */
int round_open(struct round *round, const struct pool *pool, const char *model, uint32_t needs);
/* The options that hold for the whole call: those of the first server in order. */
const struct upstream_options *round_options(const struct round *round);

/* Whether there is a server that was not asked in this round and that may be now. */
bool round_has_next(const struct round *round);
/* Goes on to it; false when there is none. The only one of a route may always be asked. The server hears of the end with one of the three below, once. */
bool round_next(struct round *round);
void round_answered(struct round *round);
void round_failed(struct round *round, enum upstream_error error);
void round_abandon(struct round *round);

/* The last error may be gone in another round; `retry_after_ms` is when its server wants to be asked again, -1: not said. */
void round_may_pass(struct round *round, int64_t retry_after_ms);
/* This round has failed: the pause before the next one, in ms, or -1 to give up. */
int64_t round_pause_ms(struct round *round);
/* Begins it. */
void round_again(struct round *round);

/* How long until one of its servers may be asked, when none may; -1: not known. */
int64_t round_wait_ms(const struct round *round);

#endif
