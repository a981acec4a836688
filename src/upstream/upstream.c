#include "upstream.h"

#include <stdio.h>

#include "base/mem.h"

/* Transfers of one multi handle. A handle of its own costs a set of CA certificates, and HTTP/2 needs few connections
 * anyway. */
#define SHARD_SIZE 256

static void register_metrics(struct upstream *upstream, struct metrics *metrics) {
	upstream->retries = metrics_counter(metrics, "sluice_upstream_retries_total", NULL,
					    "Further rounds of tries after one in which all failed.");
	upstream->failovers = metrics_counter(metrics, "sluice_upstream_failovers_total", NULL,
					      "Requests that went on to the next upstream when one had failed.");
	for (enum upstream_error error = UPSTREAM_UNAVAILABLE; error < FAULT_COUNT; error++) {
		char labels[64];
		snprintf(labels, sizeof labels, "upstream=\"\",kind=\"%s\"", fault_kind(error));
		upstream->unasked[error] =
			metrics_counter(metrics, "sluice_upstream_errors_total", labels, "Requests that failed.");
	}
	upstream->first_token = metrics_histogram(metrics, "sluice_upstream_first_token_seconds", NULL,
						  "From the request to the first text.");
	upstream->live = metrics_gauge(metrics, "sluice_upstream_live", NULL, "Answers under way.");
}

/* What all servers share. */
static int fill(struct upstream *upstream, size_t count, const struct upstream_deps *deps, struct err *err) {
	upstream->clock = deps->clock;
	register_metrics(upstream, deps->metrics);
	upstream->multi = multi_new(deps->loop, SHARD_SIZE, err);
	if (!upstream->multi) {
		return -1;
	}
	upstream->deadlines = deadlines_new(deps->loop, deps->clock, (unsigned)count * QUEUE_COUNT, err);
	return upstream->deadlines ? 0 : -1;
}

static int add_servers(struct upstream *upstream, const struct upstream_options *options, size_t count,
		       const struct upstream_deps *deps, struct err *err) {
	for (size_t i = 0; i < count; i++) {
		if (pool_add(upstream->pool, &options[i], upstream->multi, deps, err)) {
			return -1;
		}
	}
	return 0;
}

struct upstream *upstream_new(const struct upstream_options *options, size_t count, const char *default_model,
			      const struct upstream_deps *deps, struct err *err) {
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		err_set(err, ERR_MEMORY, "libcurl did not start");
		return NULL;
	}
	struct upstream *upstream = mem_zalloc(sizeof *upstream);
	if (!upstream) {
		err_set(err, ERR_MEMORY, "no memory for the upstream");
		curl_global_cleanup();
		return NULL;
	}
	if (fill(upstream, count, deps, err)) {
		goto fail;
	}
	upstream->pool = pool_new(default_model, deps->clock, err);
	if (!upstream->pool || add_servers(upstream, options, count, deps, err)) {
		goto fail;
	}
	pool_refresh(upstream->pool, 0);
	return upstream;
fail:
	upstream_free(&upstream);
	return NULL;
}

void upstream_free(struct upstream **upstream) {
	struct upstream *old = *upstream;
	if (!old) {
		return;
	}
	*upstream = NULL;
	pool_free(&old->pool);
	multi_free(&old->multi);
	deadlines_free(&old->deadlines);
	buf_free(&old->scratch);
	mem_free(old);
	curl_global_cleanup();
}

size_t upstream_models(struct upstream *upstream, int64_t max_age_ms, const struct upstream_model **models) {
	pool_refresh(upstream->pool, max_age_ms);
	return pool_models(upstream->pool, models);
}

enum upstream_choice upstream_choose(struct upstream *upstream, const char *asked, struct upstream_model *model) {
	return pool_choose(upstream->pool, asked, model);
}

bool upstream_state(const struct upstream *upstream, size_t number, struct upstream_state *state) {
	const struct target *target = pool_target(upstream->pool, number);
	if (!target) {
		return false;
	}
	char *const *names;
	*state = (struct upstream_state){target->name, target_health(target), models_names(target->models, &names)};
	return true;
}

const char *upstream_health_name(enum upstream_health health) {
	static const char *const names[] = {
		[UPSTREAM_UNSEEN] = "unknown",
		[UPSTREAM_UP] = "ok",
		[UPSTREAM_PASSED] = "open",
		[UPSTREAM_PROBING] = "probing",
	};
	return names[health];
}

bool upstream_is_up(const struct upstream *upstream) {
	struct upstream_state state;
	for (size_t i = 0; upstream_state(upstream, i, &state); i++) {
		if (state.health == UPSTREAM_UP) {
			return true;
		}
	}
	return false;
}
