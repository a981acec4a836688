/* Between a response and its sealed records. Private to the conversation layer. */
#ifndef SLUICE_CONVERSATION_CODEC_H
#define SLUICE_CONVERSATION_CODEC_H

#include "conversation/conversation.h"
#include "vault.h"

/* One checkpoint. */
int codec_write_segment(const struct vault *vault, const struct conversation_segment *segment, int64_t now_ms,
			struct store_write *write, struct err *err);
/* The row as the entry describes it. */
void codec_response_row(const struct conversation_entry *entry, const char *owner, const char *thread,
			struct store_response *row);

/* Opens the records of one response out of a snapshot. `out` is zeroed or freed by the caller's stored_response_free. */
int codec_read(const struct vault *vault, const struct store_snapshot *snapshot, const struct store_response *row,
	       struct stored_response *out, struct err *err);
/* Only its items: what a turn needs. */
int codec_read_items(const struct vault *vault, const struct store_snapshot *snapshot, const char *response,
		     struct item_list *input, struct item_list *output, struct err *err);
/* What checkpoints kept of a response that never finished: its output so far and, if `events` is not NULL, its events.
 * Nothing is added where there is no segment. */
int codec_read_remains(const struct vault *vault, const struct store_snapshot *snapshot, const char *response,
		       struct item_list *output, struct buf *events, struct err *err);
/* One item out of one record. */
int codec_read_item(const struct vault *vault, const struct store_record *record, struct item *item, struct err *err);

#endif
