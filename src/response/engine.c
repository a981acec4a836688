#include "response/engine.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "checkpoint.h"
#include "errand.h"
#include "failure.h"
#include "followers.h"
#include "idempotency.h"
#include "mirror.h"
#include "mirror_home.h"
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
	registry->deps = &engine->deps;
	registry->directory = deps->directory;
	registry->mirror_home = &mirror_home_side;
	list_init(&registry->queue);
	list_init(&registry->unwatched);
	list_init(&registry->links);
	registry->live = map_new();
	registry->watches = map_new();
	registry->mirrors = map_new();
	registry->turn = mem_zalloc(sizeof *registry->turn);
	registry->timer = mem_zalloc(sizeof *registry->timer);
	registry->unsettled = map_new();
	registry->settler = mem_zalloc(sizeof *registry->settler);
	if (!registry->live || !registry->watches || !registry->mirrors || !registry->turn || !registry->timer ||
	    !registry->unsettled || !registry->settler) {
		err_set(err, ERR_MEMORY, "no memory for the response engine");
		goto free_registry;
	}
	if (directory_join(deps->directory, registry, deps->mailbox, &registry->loop, err)) {
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
	map_free(&registry->mirrors);
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
		mirror_home_close(&e->registry);
		while (map_next(e->registry.live, &position, NULL, &live)) {
			response_release(live);
		}
		settle_drop_all(&e->registry);
		uv_close((uv_handle_t *)e->registry.turn, on_closed);
		uv_close((uv_handle_t *)e->registry.timer, on_closed);
		map_free(&e->registry.watches);
		uv_close((uv_handle_t *)e->registry.settler, on_closed);
		map_free(&e->registry.live);
		map_free(&e->registry.mirrors);
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

/* A cursor that is to be opened. */
struct opening {
	struct cursor *cursor;
	const struct cursor_sink *sink;
	void *owner;
};

static void open_at_start(const struct opening *opening, struct response *response) {
	cursor_open(opening->cursor, response, 0, opening->sink, opening->owner);
}

/* The parent of a new response may run still; here it is found if it lives on this loop. */
static int find_parent(struct engine *engine, const struct engine_start *start, const struct response **parent,
		       struct api_error *error) {
	struct str id = str_of(start->request->previous_response_id);
	*parent = engine_find(engine, start->owner, id);
	bool runs = *parent ? !response_ended(*parent) : id.length && engine_runs(engine, start->owner, id);
	return runs ? api_error_set(error, API_PARENT_NOT_READY, "previous_response_id", NULL) : 0;
}

static int admit(struct engine *engine, const struct engine_start *start, struct api_error *error) {
	const struct request_settings *settings = &start->request->settings;
	struct directory_load load;
	directory_load(engine->registry.directory, start->owner, &load);
	/* While the store fails, what it owes counts: it takes memory, too. */
	if (load.running + (settings->store ? load.owed : 0) >= engine->max_live) {
		return api_error_set(error, API_OVERLOADED, NULL, NULL);
	}
	/* Nobody has to listen to these, so that nothing else bounds how many run. */
	if (settings->background && load.background >= engine->registry.max_unwatched) {
		return api_error_set(error, API_BACKGROUND_LIMIT, "background", NULL);
	}
	return 0;
}

/* The key is not free: the answer of the request that has it, if that runs. */
static int repeat(struct engine *engine, const struct engine_start *start, enum claim_state state,
		  const struct claim_first *first, const struct opening *opening, struct api_error *error) {
	struct registry *registry = &engine->registry;
	if (state != CLAIM_RUNS) {
		idempotency_refuse(state, error);
		return -1;
	}
	struct place home = {.loop = first->loop, .stored = first->stored};
	memcpy(home.id, first->response, sizeof home.id);
	str_copy_cut(home.owner, sizeof home.owner, str_of(start->owner));
	counter_add(registry->metrics.repeated, 1);
	if (home.loop == registry->loop) {
		open_at_start(opening, map_get(registry->live, str_of(home.id)));
		return 0;
	}
	struct response *mirror = replay_from(registry, &home, start->log);
	if (!mirror || replay_repeats(mirror, &first->claim)) {
		if (mirror) {
			response_release(mirror);
		}
		return api_error_set(error, API_OVERLOADED, NULL, NULL);
	}
	open_at_start(opening, mirror);
	response_release(mirror);
	return 0;
}

/* Makes it known here and to the other loops. */
static int enter(struct response *response, const struct engine_start *from) {
	struct registry *registry = response->registry;
	const bool stored = response->settings.store;
	if (directory_enter(registry->directory, &response->presence, registry->loop, stored) ||
	    registry_add(registry, response->id, response)) {
		return -1;
	}
	if (stored && from->parent_conversation) {
		response_set_conversation(response, conversation_hold(from->parent_conversation));
	}
	return 0;
}

static int create(struct engine *engine, const struct engine_start *start, const struct opening *opening,
		  struct api_error *error) {
	struct registry *registry = &engine->registry;
	const bool keyed = start->request->idempotency_key[0] != '\0';
	struct conversation_claim claim;
	struct claim_first first;
	if (registry->draining) {
		return api_error_set(error, API_DRAINING, NULL, NULL);
	}
	if (keyed) {
		int failed = conversation_claim_make(engine->deps.conversations, start->owner, start->request, &claim);
		enum claim_state state = failed ? CLAIM_NO_MEMORY
						: claims_find(directory_claims(registry->directory), &claim,
							      clock_wall_ms(engine->deps.clock), &first);
		if (state != CLAIM_FREE) {
			return repeat(engine, start, state, &first, opening, error);
		}
	}
	const struct response *parent;
	if (admit(engine, start, error) || find_parent(engine, start, &parent, error)) {
		return -1;
	}
	struct upstream_model model = {.name = ""};
	const bool chosen = choose_model(engine, start->request->settings.model, &model, error) == 0;
	if (!chosen && !keyed) {
		return -1;
	}
	struct engine_start from = *start;
	if (parent && !from.parent) {
		/* The store does not have its end yet. */
		from.parent = parent->turn;
		from.parent_conversation = parent->conversation;
	}
	struct response *response = response_new(registry, &engine->deps, &from, &model);
	if (!response) {
		return api_error_set(error, API_OVERLOADED, NULL, NULL);
	}
	if (!chosen) {
		response->failure = *error; /* unless the key stands for an answer from when it could be had */
	}
	enum claim_state state = keyed ? idempotency_take(response, &claim, &first) : CLAIM_FREE;
	if (state != CLAIM_FREE) {
		/* Another loop was quicker. */
		response_release(response);
		return repeat(engine, start, state, &first, opening, error);
	}
	if (enter(response, &from)) {
		idempotency_settle(response, false);
		response_release(response);
		return api_error_set(error, API_OVERLOADED, NULL, NULL);
	}
	open_at_start(opening, response);
	start_ticking(engine);
	response_begin(response);
	return 0;
}

int engine_create(struct engine *engine, const struct engine_start *start, struct cursor *cursor,
		  const struct cursor_sink *sink, void *owner, struct api_error *error) {
	const struct opening opening = {cursor, sink, owner};
	int result = create(engine, start, &opening, error);
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
	response = replay_find(&engine->registry, watch, id);
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

static void cancel_there(struct registry *there, const struct errand *errand) {
	struct response *response = map_get(there->live, str_of(errand->place.id));
	if (response) {
		response_cancel(response);
	}
}

static void steer_there(struct registry *there, const struct errand *errand) {
	struct response *response = map_get(there->live, str_of(errand->place.id));
	if (response) {
		response_steer(response);
	}
}

/* Without memory it is not asked. */
static void ask_there(const struct registry *registry, const struct place *place,
		      void (*run)(struct registry *there, const struct errand *errand)) {
	errand_send(&(struct errand){.directory = registry->directory, .to = place->loop, .place = *place, .run = run});
}

bool engine_has(struct engine *engine, const char *owner, struct str id) {
	struct place place;
	bool running;
	return directory_find(engine->registry.directory, owner, id, &place, &running);
}

bool engine_runs(struct engine *engine, const char *owner, struct str id) {
	struct place place;
	bool running = false;
	return directory_find(engine->registry.directory, owner, id, &place, &running) && running;
}

int engine_cancel(struct engine *engine, const char *owner, struct str id) {
	struct response *response = engine_find(engine, owner, id);
	struct place place;
	bool running = false;
	if (response && !response_ended(response)) {
		response_cancel(response);
		return 0;
	}
	if (response || !directory_find(engine->registry.directory, owner, id, &place, &running) || !running ||
	    place.loop == engine->registry.loop) {
		return -1;
	}
	ask_there(&engine->registry, &place, cancel_there);
	return 0;
}

/* The model was not asked yet, and won't be. False: it was. */
static bool stop_early(struct response *response, enum response_status status, const char *reason) {
	if (response->state >= STATE_CONNECTING) {
		return false;
	}
	response->stopped = true;
	response->stop_status = status;
	str_copy_cut(response->reason, sizeof response->reason, str_of(reason));
	return true;
}

/* What is only read here is stopped where it runs, if it does. */
static void ask_home(const struct response *response,
		     void (*run)(struct registry *there, const struct errand *errand)) {
	if (response->link) {
		ask_there(response->registry, mirror_home(response), run);
	}
}

void response_steer(struct response *response) {
	if (response->replayed) {
		ask_home(response, steer_there);
		return;
	}
	if (response->stopped || response->output.call_count > 0) {
		return;
	}
	if (!stop_early(response, RESPONSE_INCOMPLETE, "steered")) {
		response_stop(response, RESPONSE_INCOMPLETE, "steered");
	}
}

void response_cancel(struct response *response) {
	const struct clock *clock = response->deps->clock;
	if (response->replayed) {
		ask_home(response, cancel_there);
		return;
	}
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

void engine_each_live_id(struct engine *engine, const char *conversation, void (*each)(void *arg, const char *id),
			 void *arg) {
	struct place *places;
	size_t count;
	/* Without memory there are none. */
	directory_list(engine->registry.directory, conversation, &places, &count);
	for (size_t i = 0; i < count; i++) {
		each(arg, places[i].id);
	}
	mem_free(places);
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
