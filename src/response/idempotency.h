/* Idempotency keys: one answer for all requests that come with the same key and ask the same. Private to the response
 * layer.
 *
 * Two memories hold what a key stands for. This one knows the responses that run, so that a repeat joins them, and the
 * unstored ones of the last day, whose answers are gone. The store knows the rest: it is asked by the response that the
 * repeat would have become, before that does anything else; when it finds an answer, the response hands its cursors over to
 * a replay of it and is never heard of. */
#ifndef SLUICE_RESPONSE_IDEMPOTENCY_H
#define SLUICE_RESPONSE_IDEMPOTENCY_H

#include "response.h"

/* What this process knows of a key. */
struct idempotency {
	struct list link;          /* of the spent ones, oldest first */
	struct response *response; /* that runs; NULL: spent, it ran and its answer is not kept */
	struct conversation_claim claim;
	int64_t created_ms;
};

/* Makes the claim of a request with a key. `running` gets the response that answers it already, or NULL. -1 with an error
 * when the key is another request's or its answer is gone. */
int idempotency_find(struct registry *registry, const struct engine_deps *deps, const struct engine_start *start,
		     struct conversation_claim *claim, struct response **running, struct api_error *error);
/* From now on the response is the claim's. -1 when memory is out. */
int idempotency_take(struct response *response, const struct conversation_claim *claim);
/* It is over: the key is free, or the store knows more, or it is spent. A response without a key is left alone. */
void idempotency_settle(struct response *response, bool spent);
/* Moves its cursors to a replay of the response of this id. -1 when memory is out. */
int idempotency_hand_over(struct response *response, const char *id);
/* Forgets all. */
void idempotency_free(struct registry *registry);

#endif
