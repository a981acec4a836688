#include "idempotency.h"

#include <string.h>

#include "replay.h"
#include "settle.h"

static struct claims *claims_of(const struct response *r) {
	return directory_claims(r->registry->directory);
}

enum claim_state idempotency_take(struct response *r, const struct conversation_claim *claim,
				  struct claim_first *first) {
	struct idempotency how = {.loop = r->registry->loop, .claim = *claim, .created_ms = r->created_ms};
	memcpy(how.response, r->id, sizeof how.response);
	return claims_take(claims_of(r), &how, &r->idempotency, first);
}

void idempotency_settle(struct response *r, bool spent) {
	struct idempotency *known = r->idempotency;
	r->idempotency = NULL;
	if (known) {
		claims_settle(claims_of(r), known, spent);
	}
}

void idempotency_refuse(enum claim_state state, struct api_error *error) {
	enum api_error_code code = state == CLAIM_OTHER   ? API_IDEMPOTENCY_REUSED
				   : state == CLAIM_SPENT ? API_IDEMPOTENCY_SPENT
							  : API_OVERLOADED;
	api_error_set(error, code, code == API_OVERLOADED ? NULL : "idempotency_key", NULL);
}

int idempotency_hand_over(struct response *r, const char *id) {
	struct response *first = settle_find(r->registry, str_of(id));
	if (first) {
		/* The store does not have its end yet. */
		response_hold(first);
		response_notify_later(first);
	} else {
		const struct engine_watch watch = {.owner = r->owner, .log = r->deps->log};
		first = replay_find(r->registry, &watch, id);
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
