/* What a write of a response says, in the open: kept until it is written, so that it can be sealed anew when the thread
 * turns out to have another head than was thought. Private to the conversation layer. */
#ifndef SLUICE_CONVERSATION_DRAFT_H
#define SLUICE_CONVERSATION_DRAFT_H

#include "conversation/conversation.h"
#include "vault.h"

struct draft; /* the row and the texts of a response's beginning, of its end, or of an edit */

/* Where sealed records go: numbered on from the head, put on its chain and into the write. */
struct draft_writer {
	const struct vault *vault;
	struct seal_head *head; /* extended; the caller restores it when the write is given up */
	struct store_write *write;
	int64_t now_ms;
};

/* NULL when memory is out. Nothing of the entry is kept but copies. */
struct draft *draft_new(const struct conversation_entry *entry, const char *owner, const char *thread);
/* Of items as a turn of their own, and of metadata, as far as the edit names them. */
struct draft *draft_new_edit(const struct conversation_edit *edit, const char *thread, int64_t now_ms);
void draft_free(struct draft **draft);
/* Whether it is a beginning: its response is not in the store yet. */
bool draft_begins(const struct draft *draft);
bool draft_edits(const struct draft *draft);
/* Whether its metadata take the place of those that are there. */
bool draft_has_metadata(const struct draft *draft);
/* The response that it writes; "" for none. */
const char *draft_response(const struct draft *draft);
/* Behind which response an edit's own comes. */
void draft_follow(struct draft *draft, const char *parent);
/* Adds the row and the sealed records to the write, but not the thread. */
int draft_seal(const struct draft *draft, const struct draft_writer *writer, struct err *err);
/* Seals one item of a response as a record of this kind and adds it to the write. */
int draft_put_item(const struct draft_writer *writer, const char *response, enum record_kind kind,
		   const struct item *item, struct err *err);

#endif
