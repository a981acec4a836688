/* The live responses and the work that waits for the loop's next turn. Private to the response layer. */
#ifndef SLUICE_RESPONSE_REGISTRY_H
#define SLUICE_RESPONSE_REGISTRY_H

#include <stdbool.h>
#include <uv.h>

#include "base/list.h"
#include "base/map.h"
#include "base/metrics.h"
#include "presence.h"

struct engine_deps;
struct mirror_home;
struct response;

/* A callback that waits: embedded in its owner, on at most one queue. Zeroed waits for nothing. */
struct deferred {
	struct list link;
	void (*run)(struct deferred *deferred);
};

struct engine_metrics {
	struct gauge *live;
	struct counter *ended[5]; /* by enum response_status; IN_PROGRESS counts the refused */
	struct counter *repeated;
	struct counter *deltas;
	struct histogram *first_text;
	struct histogram *commit;
	struct histogram *cancel;
	struct gauge *unsettled;
	struct counter *checkpoint_failures;
};

struct registry {
	const struct engine_deps *deps;
	struct directory *directory;
	unsigned loop;    /* this engine's number in the directory */
	struct map *live; /* by response id */
	const struct mirror_home *mirror_home;
	struct map *mirrors;   /* by response id: those that live on other loops and are watched here */
	struct list links;     /* those that live here and are watched on other loops */
	struct map *watches;   /* struct conversation_watch, by conversation id */
	struct list unwatched; /* stored responses without a cursor, the one that lost it first at the head */
	struct list queue;
	uv_idle_t *turn;       /* runs while the queue holds something */
	uv_timer_t *timer;     /* of checkpoints; runs while something is live */
	struct map *unsettled; /* by response id: ended, and their end is not in the store yet */
	uv_timer_t *settler;   /* of their writes; runs while there are some */
	size_t settling;       /* such writes under way */
	bool settles;          /* the last of them went well */
	bool draining;
	size_t max_context;
	size_t max_answer;
	bool openai_names; /* of the events of reasoning */
	int64_t unwatched_ms;
	uint32_t max_unwatched;
	struct deferred idle_notice;
	void (*idle)(void *owner);
	void *idle_owner;
	struct engine_metrics metrics;
};

/* Runs it on the loop's next turn; one that waits already is left where it is. */
void registry_defer(struct registry *registry, struct deferred *deferred, void (*run)(struct deferred *deferred));
void registry_undefer(struct deferred *deferred);
int registry_add(struct registry *registry, const char *id, struct response *response);
void registry_remove(struct registry *registry, const char *id);
/* Tells, later, that nothing is live and all is written, if that is so. */
void registry_rest(struct registry *registry);
/* Gets the metrics their names. */
void registry_measure(struct registry *registry, struct metrics *metrics);

#endif
