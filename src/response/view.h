/* A response as the outside sees it: objects and events. Private to the response layer. */
#ifndef SLUICE_RESPONSE_VIEW_H
#define SLUICE_RESPONSE_VIEW_H

#include "response.h"

/* Appends event `sequence` of the response to `out`. With `pads` a delta gets an obfuscation, another one each time. */
void view_write_event(struct response *response, uint32_t sequence, bool pads, struct buf *out);
/* Its type. Static. */
const char *view_event_name(const struct response *response, uint32_t sequence);

#endif
