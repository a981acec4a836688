/* A turn in memory: what was said and answered, and the turn before it. Turns are shared and never change once made, so
 * that many continuations of one conversation hold its text once. Loop thread. */
#ifndef SLUICE_CONVERSATION_TURN_H
#define SLUICE_CONVERSATION_TURN_H

#include "proto/item.h"

struct turn {
	uint32_t references;
	struct turn *parent; /* held; NULL for the first */
	char response_id[ID_SIZE];
	struct item_list input;  /* owned */
	struct item_list output; /* owned */
	bool cut;                /* its response did not end as completed */
};

/* Takes the lists over (the sources are emptied) and a reference of its own on `parent` (may be NULL). NULL when memory is
 * out; the lists then are still the caller's. */
struct turn *turn_new(struct turn *parent, const char *response_id, struct item_list *input, struct item_list *output);
struct turn *turn_hold(struct turn *turn); /* NULL gives NULL */
void turn_release(struct turn **turn);     /* NULL is fine; long chains are released without recursion */

#endif
