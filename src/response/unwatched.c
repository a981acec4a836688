#include "unwatched.h"

#include <string.h>

static struct response *response_of(struct list *node) {
	return container_of(node, struct response, unwatched_link);
}

static void stop(struct response *r) {
	log_info(&r->log, "response stopped: nobody watches it any more");
	list_remove(&r->unwatched_link);
	response_stop(r, RESPONSE_INCOMPLETE, "abandoned");
}

/* The oldest one of this user, if he has more than he may. */
static struct response *one_too_many(struct registry *registry, const char *owner) {
	struct response *oldest = NULL;
	uint32_t count = 0;
	list_each(node, after, &registry->unwatched) {
		struct response *r = response_of(node);
		if (strcmp(r->owner, owner) == 0) {
			oldest = oldest ? oldest : r;
			count++;
		}
	}
	return count > registry->max_unwatched ? oldest : NULL;
}

void unwatched_add(struct response *r) {
	struct registry *registry = r->registry;
	if (r->settings.background) {
		return; /* it was asked for without a watcher */
	}
	r->unwatched_us = clock_monotonic_us(r->deps->clock);
	list_append(&registry->unwatched, &r->unwatched_link);
	struct response *oldest = registry->unwatched_ms == 0 ? r : one_too_many(registry, r->owner);
	if (oldest) {
		stop(oldest);
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
