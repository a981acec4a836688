#include "idempotency.h"

#include <string.h>

#include "base/mem.h"
#include "replay.h"
#include "settle.h"

#define SPENT_MAX 10000 /* the oldest are forgotten first */

static struct str key_of(const struct conversation_claim *claim) {
	return (struct str){(const char *)claim->key, sizeof claim->key};
}

static void forget(struct registry *registry, struct idempotency *known) {
	if (list_linked(&known->link)) {
		list_remove(&known->link);
		registry->spent_count--;
	}
	map_remove(registry->claims, key_of(&known->claim));
	mem_free(known);
}

int idempotency_find(struct registry *registry, const struct engine_deps *deps, const struct engine_start *start,
		     struct conversation_claim *claim, struct response **running, struct api_error *error) {
	*running = NULL;
	if (conversation_claim_make(deps->conversations, start->owner, start->request, claim)) {
		return api_error_set(error, API_OVERLOADED, NULL, NULL);
	}
	struct idempotency *known = map_get(registry->claims, key_of(claim));
	if (!known) {
		return 0;
	}
	if (!known->response && known->created_ms <= clock_wall_ms(deps->clock) - CONVERSATION_CLAIM_MS) {
		forget(registry, known);
		return 0;
	}
	if (memcmp(known->claim.body, claim->body, sizeof claim->body) != 0) {
		return api_error_set(error, API_IDEMPOTENCY_REUSED, "idempotency_key", NULL);
	}
	if (!known->response) {
		return api_error_set(error, API_IDEMPOTENCY_SPENT, "idempotency_key", NULL);
	}
	counter_add(registry->metrics.repeated, 1);
	*running = known->response;
	return 0;
}

int idempotency_take(struct response *r, const struct conversation_claim *claim) {
	struct idempotency *known = mem_zalloc(sizeof *known);
	if (!known || map_put(r->registry->claims, key_of(claim), known)) {
		mem_free(known);
		return -1;
	}
	known->response = r;
	known->claim = *claim;
	known->created_ms = r->created_ms;
	r->idempotency = known;
	return 0;
}

void idempotency_settle(struct response *r, bool spent) {
	struct registry *registry = r->registry;
	struct idempotency *known = r->idempotency;
	r->idempotency = NULL;
	if (!known) {
		return;
	}
	known->response = NULL;
	if (!spent) {
		forget(registry, known);
		return;
	}
	list_append(&registry->spent, &known->link);
	registry->spent_count++;
	if (registry->spent_count > SPENT_MAX) {
		forget(registry, container_of(registry->spent.next, struct idempotency, link));
	}
}

int idempotency_hand_over(struct response *r, const char *id) {
	struct response *first = settle_find(r->registry, str_of(id));
	if (first) {
		/* The store does not have its end yet. */
		response_hold(first);
		response_notify_later(first);
	} else {
		first = replay_start(r->registry, r->deps, r->owner, id, r->deps->log);
	}
	if (!first) {
		return -1;
	}
	counter_add(r->registry->metrics.repeated, 1);
	first->repeated = true;
	while (!list_empty(&r->cursors)) {
		struct cursor *cursor = container_of(r->cursors.next, struct cursor, link);
		list_remove(&cursor->link);
		cursor->response = first;
		response_hold(first);
		list_append(&first->cursors, &cursor->link);
		response_release(r);
	}
	response_release(first);
	return 0;
}

void idempotency_free(struct registry *registry) {
	size_t position = 0;
	void *known = NULL;
	while (registry->claims && map_next(registry->claims, &position, NULL, &known)) {
		mem_free(known);
	}
	map_free(&registry->claims);
}
