/* All servers of the upstream, in order: which of them a request may go to, and the models that they have together. Loop
 * thread only. */
#ifndef SLUICE_UPSTREAM_POOL_H
#define SLUICE_UPSTREAM_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "target.h"

struct pool;

/* The servers that a request may go to, in the order in which they are asked. */
struct route {
	uint8_t count;
	uint8_t numbers[UPSTREAM_MAX];
};

struct pool *pool_new(const char *default_model, const struct clock *clock, struct err *err);
/* All requests to its targets must have ended. */
void pool_free(struct pool **pool);
/* Adds the next in order. -1 as target_new, or with ERR_LIMIT. */
int pool_add(struct pool *pool, const struct upstream_options *options, struct multi *multi,
	     const struct upstream_deps *deps, struct err *err);

struct target *pool_target(const struct pool *pool, size_t number); /* NULL: there is none */
/* Asks for the lists that are older. */
void pool_refresh(struct pool *pool, int64_t max_age_ms);

/* Those that can do what the request needs and have the model; behind them those that may have it. What none lists goes to
 * those whose list is not declared: the default model may be none of the list, and a list may have come since the model was
 * chosen. */
void pool_route(const struct pool *pool, const char *model, uint32_t needs, struct route *route);

/* As upstream_models and upstream_choose. */
size_t pool_models(struct pool *pool, const struct upstream_model **models);
enum upstream_choice pool_choose(struct pool *pool, const char *asked, struct upstream_model *model);

#endif
