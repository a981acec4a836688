/* A response as the outside sees it: objects and events. Private to the response layer. */
#ifndef SLUICE_RESPONSE_VIEW_H
#define SLUICE_RESPONSE_VIEW_H

#include "response.h"

/* Appends event `sequence` of the response to `out`. With `pads` a delta gets an obfuscation, another one each time. */
void view_write_event(struct response *response, uint32_t sequence, bool pads, struct buf *out);
/* The same in the cursor's form of chunks, of the event that it wants next: nothing, one or more of them, or an error. */
void view_write_chunks(const struct cursor *cursor, struct buf *out);
/* Fills a view of it; items that are open are without their text. */
void view_fill(const struct response *response, struct response_view *view);
/* An obfuscation for an event of so many bytes: its length. */
#define VIEW_PADDING_MAX 64
size_t view_make_padding(size_t length, char padding[static VIEW_PADDING_MAX]);
/* Its type. Static. */
const char *view_event_name(const struct response *response, uint32_t sequence);

#endif
