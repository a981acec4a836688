/* Letters from one loop to another: the only way in which the loops of a process touch each other's objects.
 *
 * A mailbox belongs to one loop. Anybody may post to it; its letters are delivered on its loop, never inside the call that
 * posts, those of one sender in the order in which they were posted. A letter is embedded in what it carries and belongs to
 * the mailbox from the post on, until it is delivered or dropped: exactly one of the two happens. */
#ifndef SLUICE_LOOP_MAILBOX_H
#define SLUICE_LOOP_MAILBOX_H

#include <uv.h>

#include "base/err.h"
#include "base/list.h"

struct mailbox;

struct letter {
	struct list link;
	/* On the mailbox's loop. The letter is the callee's again, who frees it or posts it anew. */
	void (*deliver)(struct letter *letter);
	/* The mailbox was closed: on the loop that closed it, or inside the post, on the loop of whoever posted. */
	void (*drop)(struct letter *letter);
};

/* While it is open it keeps its loop alive. */
struct mailbox *mailbox_new(uv_loop_t *loop, struct err *err);
/* From any thread. */
void mailbox_post(struct mailbox *mailbox, struct letter *letter);
/* On its own loop: nothing is delivered any more. What waits is dropped, as is what comes later. NULL is fine. */
void mailbox_close(struct mailbox *mailbox);
/* After its loop has run out, and when nobody is left who could post to it. */
void mailbox_free(struct mailbox **mailbox);

#endif
