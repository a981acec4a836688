#include "unwatched.h"

#include "base/str.h"
#include "errand.h"

static struct response *response_of(struct list *node) {
	return container_of(node, struct response, unwatched_link);
}

static void stop(struct response *r) {
	log_info(&r->log, "response stopped: nobody watches it any more");
	response_watched(r);
	response_stop(r, RESPONSE_INCOMPLETE, "abandoned");
}

static void stop_if_unwatched(struct registry *registry, const struct errand *errand) {
	struct response *r = map_get(registry->live, str_of(errand->place.id));
	if (r && list_linked(&r->unwatched_link)) {
		stop(r);
	}
}

/* The oldest one of a user who has more than he may. Without memory it goes on. */
static void stop_oldest(struct registry *registry, const struct place *oldest) {
	struct response *r = map_get(registry->live, str_of(oldest->id));
	if (oldest->loop != registry->loop) {
		errand_send(&(struct errand){.directory = registry->directory,
					     .to = oldest->loop,
					     .place = *oldest,
					     .run = stop_if_unwatched});
	} else if (r) {
		stop(r);
	}
}

void unwatched_add(struct response *r) {
	struct registry *registry = r->registry;
	struct place oldest;
	if (r->settings.background) {
		return; /* it was asked for without a watcher */
	}
	r->unwatched_us = clock_monotonic_us(r->deps->clock);
	list_append(&registry->unwatched, &r->unwatched_link);
	if (registry->unwatched_ms == 0) {
		stop(r);
	} else if (directory_unwatched(&r->presence, registry->max_unwatched, &oldest)) {
		stop_oldest(registry, &oldest);
	}
}

void unwatched_sweep(struct registry *registry) {
	while (!list_empty(&registry->unwatched)) {
		struct response *r = response_of(registry->unwatched.next);
		if (clock_monotonic_us(r->deps->clock) - r->unwatched_us < registry->unwatched_ms * 1000) {
			return;
		}
		stop(r);
	}
}
