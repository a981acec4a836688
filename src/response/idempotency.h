/* Idempotency keys: one answer for all requests that come with the same key and ask the same. Private to the response
 * layer.
 *
 * Two memories hold what a key stands for. This one knows the responses that run, so that a repeat joins them, and the
 * unstored ones of the last day, whose answers are gone. The store knows the rest: it is asked by the response that the
 * repeat would have become, before that does anything else; when it finds an answer, the response hands its cursors over to
 * a replay of it and is never heard of. */
#ifndef SLUICE_RESPONSE_IDEMPOTENCY_H
#define SLUICE_RESPONSE_IDEMPOTENCY_H

#include "claims.h"
#include "response.h"

/* From now on the response is the claim's: FREE. Else what the key stands for, as claims_find. */
enum claim_state idempotency_take(struct response *response, const struct conversation_claim *claim,
				  struct claim_first *first);
/* It is over: the key is free, or the store knows more, or it is spent. A response without a key is left alone. */
void idempotency_settle(struct response *response, bool spent);
/* What to answer when a key is not free, and the same request does not run. */
void idempotency_refuse(enum claim_state state, struct api_error *error);

#endif
