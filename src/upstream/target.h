/* One server among the upstreams: how it is reached, which models it has, and how it has been doing. Loop thread only. */
#ifndef SLUICE_UPSTREAM_TARGET_H
#define SLUICE_UPSTREAM_TARGET_H

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "breaker.h"
#include "endpoint.h"
#include "fault.h"
#include "models.h"
#include "multi.h"
#include "upstream/client.h"

/* Its fields are read by the client; its functions alone change them. */
struct target {
	struct upstream_options options; /* numbers only; the texts are elsewhere */
	char name[UPSTREAM_NAME_SIZE];
	unsigned number; /* in order, from 0 on */
	const struct clock *clock;
	struct log log;
	struct endpoint *endpoint;
	struct models *models;
	struct breaker breaker;
	bool answered; /* ever */
	struct counter *requests;
	struct counter *errors[FAULT_COUNT];
	struct counter *opens;
	struct gauge *up;
};

/* `multi` is for https://. Borrowed, like what is in `deps`. */
struct target *target_new(const struct upstream_options *options, unsigned number, struct multi *multi,
			  const struct upstream_deps *deps, struct err *err);
void target_free(struct target **target);

enum target_match { TARGET_LACKS, TARGET_MAY_HAVE, TARGET_HAS };

/* Whether it has this model: perhaps, while its list is not known. */
enum target_match target_match(const struct target *target, const char *model);
/* What it shows of a model of this name. */
void target_describe(const struct target *target, const char *model, struct upstream_model *shown);

/* Whether it may be asked now, as breaker_lets and breaker_take say. */
bool target_lets(const struct target *target);
enum breaker_leave target_take(struct target *target);
/* How a request to it went: it answered; or it failed, which is counted and may open the breaker; `trial`: it was one. */
void target_answered(struct target *target);
void target_failed(struct target *target, enum upstream_error error, bool trial, uint64_t random);
/* An error behind its first token: that it answers is known by then. */
void target_count_error(struct target *target, enum upstream_error error);
/* The trial was called off. */
void target_abandon(struct target *target);
/* Until it may be asked again: as breaker_wait_ms. */
int64_t target_wait_ms(const struct target *target);

enum upstream_health target_health(const struct target *target);

#endif
