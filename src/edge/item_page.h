/* Pages of items: of a conversation, or of what a response was asked. */
#ifndef SLUICE_EDGE_ITEM_PAGE_H
#define SLUICE_EDGE_ITEM_PAGE_H

#include "api_common.h"
#include "conversation/conversation.h"
#include "exchange.h"

struct item_page_bounds {
	uint32_t limit, most; /* elements of a page: unless told, and at most */
	bool ascending;       /* unless told */
};

/* Reads the query of a page: `limit`, `order`, `after`; `include`, which SDKs send, is let through. Answers with an error and
 * gives -1 when it is none. For before what is listed is fetched. */
int item_page_query(struct exchange *exchange, const struct item_page_bounds *bounds, struct list_query *query);
/* Answers with the page that the query selects of these, which stand in ascending order. Ends the exchange. */
void item_page_reply(struct exchange *exchange, const struct conversation_item *items, size_t count,
		     const struct item_page_bounds *bounds);
/* Appends an item as it stands in a list: with its response's id, if it has one, beside what the item itself has. */
void item_page_write(struct buf *out, const struct conversation_item *listed);

#endif
