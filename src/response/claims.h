/* The idempotency keys whose requests run in this process, and those of unstored answers of the last day, which are gone.
 * One for all loops: a key that comes in twice at once, by two loops, still begins one answer. Private to the response
 * layer. Any thread. */
#ifndef SLUICE_RESPONSE_CLAIMS_H
#define SLUICE_RESPONSE_CLAIMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/list.h"
#include "conversation/conversation.h"

struct claims;

/* What this process knows of a key. Of whoever took it, until it is settled: it reads `claim` without asking. */
struct idempotency {
	struct list link;       /* of the spent ones, oldest first */
	bool spent;             /* it ran, and its answer is not kept */
	char response[ID_SIZE]; /* that runs */
	unsigned loop;          /* where */
	bool stored;
	struct conversation_claim claim;
	int64_t created_ms;
};

enum claim_state {
	CLAIM_FREE,
	CLAIM_RUNS,  /* the same request does, as response `first` */
	CLAIM_SPENT, /* the same request did */
	CLAIM_OTHER, /* it stands for another request */
	CLAIM_NO_MEMORY,
};

struct claims *claims_new(void); /* NULL: memory is out */
void claims_free(struct claims **claims);

struct claim_first {
	char response[ID_SIZE];
	unsigned loop;
	bool stored;
	struct conversation_claim claim;
};
/* What the key stands for now. */
enum claim_state claims_find(struct claims *claims, const struct conversation_claim *claim, int64_t now_ms,
			     struct claim_first *first);
/* From now on it stands for this response; `taken` is how. FREE: it does. Else what it stands for already. */
enum claim_state claims_take(struct claims *claims, const struct idempotency *how, struct idempotency **taken,
			     struct claim_first *first);
/* It is over: the key is free, or, if `spent`, its answer is not to be had any more. */
void claims_settle(struct claims *claims, struct idempotency *taken, bool spent);

#endif
