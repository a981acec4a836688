#include "idempotency.h"

#include <string.h>

static struct claims *claims_of(const struct response *r) {
	return directory_claims(r->registry->directory);
}

enum claim_state idempotency_take(struct response *r, const struct conversation_claim *claim,
				  struct claim_first *first) {
	struct idempotency how = {
		.loop = r->registry->loop, .stored = r->settings.store, .claim = *claim, .created_ms = r->created_ms};
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
