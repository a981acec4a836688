#include "pool.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"

/* The names are copies: a list that is replaced takes its own along. */
struct merged {
	struct upstream_model *models;
	size_t count;
	struct map *by_name; /* of `models` */
	uint64_t generation; /* of the lists that it is made of, all together */
};

struct pool {
	const struct clock *clock;
	char *default_model;
	struct target *targets[UPSTREAM_MAX];
	size_t count;
	struct merged merged;
};

static void merged_free(struct merged *merged) {
	for (size_t i = 0; i < merged->count; i++) {
		mem_free((void *)(uintptr_t)merged->models[i].name);
	}
	mem_free(merged->models);
	map_free(&merged->by_name);
	*merged = (struct merged){0};
}

struct pool *pool_new(const char *default_model, const struct clock *clock, struct err *err) {
	struct pool *pool = mem_zalloc(sizeof *pool);
	if (pool) {
		pool->clock = clock;
		pool->default_model = mem_strdup(default_model);
	}
	if (!pool || !pool->default_model) {
		err_set(err, ERR_MEMORY, "no memory for the upstreams");
		pool_free(&pool);
	}
	return pool;
}

void pool_free(struct pool **pool) {
	struct pool *old = *pool;
	if (!old) {
		return;
	}
	*pool = NULL;
	merged_free(&old->merged);
	for (size_t i = 0; i < old->count; i++) {
		target_free(&old->targets[i]);
	}
	mem_free(old->default_model);
	mem_free(old);
}

int pool_add(struct pool *pool, const struct upstream_options *options, struct multi *multi,
	     const struct upstream_deps *deps, struct err *err) {
	if (pool->count == UPSTREAM_MAX) {
		return err_set(err, ERR_LIMIT, "there are more than %d upstreams", UPSTREAM_MAX);
	}
	struct target *target = target_new(options, (unsigned)pool->count, multi, deps, err);
	if (!target) {
		return -1;
	}
	pool->targets[pool->count++] = target;
	return 0;
}

struct target *pool_target(const struct pool *pool, size_t number) {
	return number < pool->count ? pool->targets[number] : NULL;
}

void pool_refresh(struct pool *pool, int64_t max_age_ms) {
	for (size_t i = 0; i < pool->count; i++) {
		models_refresh(pool->targets[i]->models, max_age_ms);
	}
}

/* --- who is asked ------------------------------------------------------------------------------------------------- */

static void route_add(struct route *route, const struct target *target, uint32_t needs) {
	if ((target->options.can & needs) == needs) {
		route->numbers[route->count++] = (uint8_t)target->number;
	}
}

/* How many servers match that well. */
static size_t add_matching(const struct pool *pool, const char *model, uint32_t needs, enum target_match match,
			   struct route *route) {
	size_t found = 0;
	for (size_t i = 0; i < pool->count; i++) {
		if (target_match(pool->targets[i], model) == match) {
			route_add(route, pool->targets[i], needs);
			found++;
		}
	}
	return found;
}

/* How many servers have it or may have it, able or not. */
static size_t add_listed(const struct pool *pool, const char *model, uint32_t needs, struct route *route) {
	*route = (struct route){0};
	size_t found = add_matching(pool, model, needs, TARGET_HAS, route);
	return found + add_matching(pool, model, needs, TARGET_MAY_HAVE, route);
}

static bool is_default(const struct pool *pool, const char *model) {
	return strcmp(model, pool->default_model) == 0;
}

/* Some servers take names that they don't list. */
static void add_unlisted(const struct pool *pool, const char *model, uint32_t needs, struct route *route) {
	size_t found = 0;
	for (size_t i = 0; i < pool->count; i++) {
		if (!models_declared(pool->targets[i]->models)) {
			route_add(route, pool->targets[i], needs);
			found++;
		}
	}
	if (found == 0 && is_default(pool, model)) {
		route_add(route, pool->targets[0], needs);
	}
}

void pool_route(const struct pool *pool, const char *model, uint32_t needs, struct route *route) {
	if (add_listed(pool, model, needs, route) == 0) {
		add_unlisted(pool, model, needs, route);
	}
}

/* --- what they have ------------------------------------------------------------------------------------------------ */

static int merge_name(const struct pool *pool, struct merged *merged, const struct target *target, const char *name) {
	struct upstream_model *known = map_get(merged->by_name, str_of(name));
	if (known) {
		known->can |= target->options.can;
		return 0;
	}
	char *copy = mem_strdup(name);
	if (!copy) {
		return -1;
	}
	struct upstream_model *model = &merged->models[merged->count++];
	target_describe(target, copy, model);
	const struct upstream_model *before = pool->merged.by_name ? map_get(pool->merged.by_name, str_of(name)) : NULL;
	model->seen_ms = before ? before->seen_ms : clock_wall_ms(pool->clock);
	return map_put(merged->by_name, str_of(name), model);
}

static int merge_all(const struct pool *pool, struct merged *merged) {
	char *const *names;
	size_t room = 1;
	for (size_t i = 0; i < pool->count; i++) {
		room += models_names(pool->targets[i]->models, &names);
	}
	merged->models = mem_zarray(room, sizeof *merged->models);
	merged->by_name = map_new();
	if (!merged->models || !merged->by_name) {
		return -1;
	}
	for (size_t i = 0; i < pool->count; i++) {
		size_t count = models_names(pool->targets[i]->models, &names);
		for (size_t j = 0; j < count; j++) {
			if (merge_name(pool, merged, pool->targets[i], names[j])) {
				return -1;
			}
		}
	}
	return 0;
}

size_t pool_models(struct pool *pool, const struct upstream_model **models) {
	struct merged merged = {0};
	for (size_t i = 0; i < pool->count; i++) {
		merged.generation += models_generation(pool->targets[i]->models);
	}
	if (merged.generation != pool->merged.generation) {
		if (merge_all(pool, &merged)) {
			merged_free(&merged); /* out of memory the old one stays */
		} else {
			merged_free(&pool->merged);
			pool->merged = merged;
		}
	}
	*models = pool->merged.models;
	return pool->merged.count;
}

/* One that is only guessed to be there shows what the guessed ones can; it was never listed. */
static void describe(const struct pool *pool, const char *name, const struct route *route,
		     struct upstream_model *model) {
	const struct target *first = pool->targets[route->numbers[0]];
	enum target_match match = target_match(first, name);
	target_describe(first, name, model);
	for (uint8_t i = 1; i < route->count; i++) {
		const struct target *target = pool->targets[route->numbers[i]];
		if (target_match(target, name) == match) {
			model->can |= target->options.can;
		}
	}
}

enum upstream_choice pool_choose(struct pool *pool, const char *asked, struct upstream_model *model) {
	const char *name = asked[0] ? asked : pool->default_model;
	if (!name[0]) {
		const struct upstream_model *models;
		if (pool_models(pool, &models) == 0) {
			return UPSTREAM_NONE_LISTED;
		}
		*model = models[0];
		return UPSTREAM_CHOSEN;
	}
	struct route route;
	if (add_listed(pool, name, 0, &route) == 0) {
		if (!is_default(pool, name)) {
			return UPSTREAM_NO_SUCH_MODEL;
		}
		add_unlisted(pool, name, 0, &route);
	}
	describe(pool, name, &route, model);
	return UPSTREAM_CHOSEN;
}
