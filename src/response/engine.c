#include "response/engine.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "checkpoint.h"
#include "failure.h"
#include "followers.h"
#include "idempotency.h"
#include "replay.h"
#include "response.h"
#include "settle.h"
#include "unwatched.h"

#define MODELS_MAX_AGE_MS 60000

struct engine {
	struct engine_deps deps;
	uint32_t max_live;
	uint64_t checkpoint_interval_ms;
	struct registry registry;
};

/* While something is live. */
static void on_tick(uv_timer_t *timer) {
	struct registry *registry = timer->data;
	checkpoint_all(registry);
	unwatched_sweep(registry);
	if (map_count(registry->live) == 0) {
		uv_timer_stop(timer);
	}
}

static void start_ticking(struct engine *engine) {
	uv_timer_t *timer = engine->registry.timer;
	if (engine->checkpoint_interval_ms && !uv_is_active((const uv_handle_t *)timer)) {
		uv_timer_start(timer, on_tick, engine->checkpoint_interval_ms, engine->checkpoint_interval_ms);
	}
}

static void on_closed(uv_handle_t *handle) {
	mem_free(handle);
}

struct engine *engine_new(const struct engine_options *options, const struct engine_deps *deps, struct err *err) {
	struct engine *engine = mem_zalloc(sizeof *engine);
	if (!engine) {
		err_set(err, ERR_MEMORY, "no memory for the response engine");
		return NULL;
	}
	struct registry *registry = &engine->registry;
	engine->deps = *deps;
	engine->max_live = options->max_live;
	registry->max_context = options->max_context;
	registry->max_answer = options->max_answer;
	registry->openai_names = options->openai_names;
	registry->unwatched_ms = options->unwatched_ms;
	registry->max_unwatched = options->max_unwatched;
	engine->checkpoint_interval_ms = (uint64_t)options->checkpoint_interval_ms;
	list_init(&registry->queue);
	list_init(&registry->unwatched);
	list_init(&registry->spent);
	registry->live = map_new();
	registry->watches = map_new();
	registry->claims = map_new();
	registry->turn = mem_zalloc(sizeof *registry->turn);
	registry->timer = mem_zalloc(sizeof *registry->timer);
	registry->unsettled = map_new();
	registry->settler = mem_zalloc(sizeof *registry->settler);
	if (!registry->live || !registry->watches || !registry->claims || !registry->turn || !registry->timer ||
	    !registry->unsettled || !registry->settler) {
		err_set(err, ERR_MEMORY, "no memory for the response engine");
		goto free_registry;
	}
	uv_idle_init(deps->loop, registry->turn);
	uv_timer_init(deps->loop, registry->timer);
	uv_timer_init(deps->loop, registry->settler);
	registry->turn->data = registry;
	registry->timer->data = registry;
	registry->settler->data = registry;
	registry_measure(registry, deps->metrics);
	return engine;

free_registry:
	mem_free(registry->turn);
	mem_free(registry->timer);
	map_free(&registry->watches);
	mem_free(registry->settler);
	map_free(&registry->live);
	map_free(&registry->claims);
	map_free(&registry->unsettled);
	mem_free(engine);
	return NULL;
}

void engine_free(struct engine **engine) {
	struct engine *e = *engine;
	*engine = NULL;
	if (e) {
		size_t position = 0;
		void *live = NULL;
		while (map_next(e->registry.live, &position, NULL, &live)) {
			followers_leave(live);
			response_release(live);
		}
		idempotency_free(&e->registry);
		settle_drop_all(&e->registry);
		uv_close((uv_handle_t *)e->registry.turn, on_closed);
		uv_close((uv_handle_t *)e->registry.timer, on_closed);
		map_free(&e->registry.watches);
		uv_close((uv_handle_t *)e->registry.settler, on_closed);
		map_free(&e->registry.live);
		map_free(&e->registry.unsettled);
		mem_free(e);
	}
}

/* --- models --------------------------------------------------------------------------------------------------------- */

size_t engine_models(struct engine *engine, const struct upstream_model **models) {
	return upstream_models(engine->deps.upstream, MODELS_MAX_AGE_MS, models);
}

bool engine_upstream_known(const struct engine *engine) {
	return upstream_is_up(engine->deps.upstream);
}

bool engine_upstream_state(const struct engine *engine, size_t number, struct upstream_state *state) {
	return upstream_state(engine->deps.upstream, number, state);
}

/* The model that a request means; -1 with an error when there is none such. */
static int choose_model(struct engine *engine, const char *asked, struct upstream_model *model,
			struct api_error *error) {
	const struct upstream_model *models;
	engine_models(engine, &models); /* an old list is asked for again */
	switch (upstream_choose(engine->deps.upstream, asked, model)) {
	case UPSTREAM_CHOSEN:
		return 0;
	case UPSTREAM_NONE_LISTED:
		return api_error_set(
			error, API_UPSTREAM_FAILED, "model",
			"No model is named, none is set as default, and the upstream's list is not known.");
	case UPSTREAM_NO_SUCH_MODEL:
		break;
	}
	return api_error_set(error, API_MODEL_NOT_FOUND, "model", "The model '%s' does not exist.", asked);
}

/* --- responses ------------------------------------------------------------------------------------------------------ */

/* Nobody has to listen to them, so that nothing else bounds how many run. */
static bool background_admits(const struct registry *registry, const char *owner, struct api_error *error) {
	size_t position = 0;
	size_t running = 0;
	void *live = NULL;
	while (map_next(registry->live, &position, NULL, &live)) {
		const struct response *r = live;
		running += r->settings.background && strcmp(r->owner, owner) == 0;
	}
	if (running < registry->max_unwatched) {
		return true;
	}
	api_error_set(error, API_BACKGROUND_LIMIT, "background", NULL);
	return false;
}

int engine_create(struct engine *engine, const struct engine_start *start, struct cursor *cursor,
		  const struct cursor_sink *sink, void *owner, struct api_error *error) {
	struct registry *registry = &engine->registry;
	const bool keyed = start->request->idempotency_key[0] != '\0';
	struct conversation_claim claim;
	struct response *first = NULL;
	int result = -1;
	if (registry->draining) {
		api_error_set(error, API_DRAINING, NULL, NULL);
		goto free_request;
	}
	if (keyed && idempotency_find(registry, &engine->deps, start, &claim, &first, error)) {
		goto free_request;
	}
	if (first) {
		cursor_open(cursor, first, 0, sink, owner);
		result = 0;
		goto free_request;
	}
	/* While the store fails, what it owes counts: it takes memory, too. */
	size_t owed = start->request->settings.store ? map_count(registry->unsettled) : 0;
	if (map_count(registry->live) + owed >= engine->max_live) {
		api_error_set(error, API_OVERLOADED, NULL, NULL);
		goto free_request;
	}
	if (start->request->settings.background && !background_admits(registry, start->owner, error)) {
		goto free_request;
	}
	const struct response *parent = engine_find(engine, start->owner, str_of(start->request->previous_response_id));
	if (parent && !response_ended(parent)) {
		api_error_set(error, API_PARENT_NOT_READY, "previous_response_id", NULL);
		goto free_request;
	}
	struct upstream_model model = {.name = ""};
	const bool chosen = choose_model(engine, start->request->settings.model, &model, error) == 0;
	if (!chosen && !keyed) {
		goto free_request;
	}
	struct engine_start from = *start;
	if (parent && !from.parent) {
		/* The store does not have its end yet. */
		from.parent = parent->turn;
		from.parent_conversation = parent->conversation;
	}
	struct response *response = response_new(registry, &engine->deps, &from, &model);
	if (!response) {
		api_error_set(error, API_OVERLOADED, NULL, NULL);
		goto free_request;
	}
	if (!chosen) {
		response->failure = *error; /* unless the key stands for an answer from when it could be had */
	}
	if ((keyed && idempotency_take(response, &claim)) || registry_add(registry, response->id, response)) {
		api_error_set(error, API_OVERLOADED, NULL, NULL);
		idempotency_settle(response, false);
		response_release(response);
		goto free_request;
	}
	cursor_open(cursor, response, 0, sink, owner);
	start_ticking(engine);
	response_begin(response);
	result = 0;

free_request:
	request_free(start->request);
	return result;
}

int engine_watch(struct engine *engine, const struct engine_watch *watch, struct cursor *cursor,
		 const struct cursor_sink *sink, void *owner, struct api_error *error) {
	struct response *response = engine_find(engine, watch->owner, watch->id);
	char id[ID_SIZE];
	if (response && !response->settings.store && !watch->own) {
		return api_error_set(error, API_RESPONSE_NOT_FOUND, "response_id",
				     "The response is not stored: only the connection that began it can read it.");
	}
	if (response && watch->next > response_shown(response)) {
		failure_past_the_end(response_shown(response), error);
		return -1;
	}
	if (response) {
		cursor_open(cursor, response, watch->next, sink, owner);
		if (response_ended(response)) {
			response_notify_later(response);
		}
		return 0;
	}
	if (id_copy(id, watch->id)) {
		return api_error_set(error, API_RESPONSE_NOT_FOUND, "response_id", NULL);
	}
	response = replay_start(&engine->registry, &engine->deps, watch->owner, id, watch->log);
	if (!response) {
		return api_error_set(error, API_OVERLOADED, NULL, NULL);
	}
	cursor_open(cursor, response, watch->next, sink, owner);
	response_release(response);
	return 0;
}

struct response *engine_find(struct engine *engine, const char *owner, struct str id) {
	struct response *response = map_get(engine->registry.live, id);
	if (!response) {
		response = settle_find(&engine->registry, id);
	}
	return response && strcmp(response->owner, owner) == 0 ? response : NULL;
}

/* The model was not asked yet, and won't be. False: it was, or this is no response that runs. */
static bool stop_early(struct response *response, enum response_status status, const char *reason) {
	if (response->state >= STATE_CONNECTING || response->state == STATE_READING) {
		return false;
	}
	response->stopped = true;
	response->stop_status = status;
	str_copy_cut(response->reason, sizeof response->reason, str_of(reason));
	return true;
}

void response_steer(struct response *response) {
	if (response->stopped || response->output.call_count > 0) {
		return;
	}
	if (!stop_early(response, RESPONSE_INCOMPLETE, "steered")) {
		response_stop(response, RESPONSE_INCOMPLETE, "steered");
	}
}

void response_cancel(struct response *response) {
	const struct clock *clock = response->deps->clock;
	if (stop_early(response, RESPONSE_CANCELLED, "cancelled")) {
		return;
	}
	if (response->state == STATE_CONNECTING || response->state == STATE_STREAMING) {
		struct histogram *histogram = response->registry->metrics.cancel;
		int64_t asked_us = clock_monotonic_us(clock);
		response_stop(response, RESPONSE_CANCELLED, "cancelled");
		histogram_observe_us(histogram, clock_monotonic_us(clock) - asked_us);
	}
}

int engine_follow(struct engine *engine, struct follower *follower, const char *conversation, follower_fn *began) {
	return followers_add(&engine->registry, follower, conversation, began);
}

void engine_unfollow(struct engine *engine, struct follower *follower) {
	followers_remove(&engine->registry, follower);
}

void engine_each_live(struct engine *engine, const char *conversation,
		      void (*each)(void *arg, struct response *response), void *arg) {
	followers_each_live(&engine->registry, conversation, each, arg);
}

/* --- the end of the process ------------------------------------------------------------------------------------------ */

void engine_drain(struct engine *engine) {
	engine->registry.draining = true;
}

size_t engine_live_count(const struct engine *engine) {
	return map_count(engine->registry.live) + map_count(engine->registry.unsettled);
}

void engine_on_idle(struct engine *engine, void (*idle)(void *owner), void *owner) {
	engine->registry.idle = idle;
	engine->registry.idle_owner = owner;
}

void engine_interrupt_all(struct engine *engine, const char *reason) {
	size_t position = 0;
	void *value = NULL;
	while (map_next(engine->registry.live, &position, NULL, &value)) {
		response_stop(value, RESPONSE_INCOMPLETE, reason);
	}
}
