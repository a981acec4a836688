/* What a write of a response says, in the open: kept until it is written, so that it can be sealed anew when the thread
 * turns out to have another head than was thought. Private to the conversation layer. */
#ifndef SLUICE_CONVERSATION_DRAFT_H
#define SLUICE_CONVERSATION_DRAFT_H

#include "conversation/conversation.h"
#include "vault.h"

struct draft; /* the row and the texts of a response's beginning, or of its end */

/* Where sealed records go: numbered on from the head, put on its chain and into the write. */
struct draft_writer {
	const struct vault *vault;
	struct seal_head *head; /* extended; the caller restores it when the write is given up */
	struct store_write *write;
	int64_t now_ms;
};

/* NULL when memory is out. Nothing of the entry is kept but copies. */
struct draft *draft_new(const struct conversation_entry *entry, const char *owner, const char *thread);
void draft_free(struct draft **draft);
/* Whether it is a beginning: its response is not in the store yet. */
bool draft_begins(const struct draft *draft);
/* Adds the row and the sealed records to the write, but not the thread. */
int draft_seal(const struct draft *draft, const struct draft_writer *writer, struct err *err);

#endif
