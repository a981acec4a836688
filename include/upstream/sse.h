/* An incremental parser of server-sent events (WHATWG HTML, 9.2.6). Pure: bytes in, callbacks out; any split gives the
 * same events. LF, CR and CRLF end lines; a leading BOM is skipped; comments, `id` and `retry` are ignored. */
#ifndef SLUICE_UPSTREAM_SSE_H
#define SLUICE_UPSTREAM_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct sse_parser {
	struct buf line; /* an unfinished line from the reads before */
	struct buf data; /* data lines of the unfinished event, joined by LF, when there is more than one */
	size_t max_event;
	bool after_cr;
	bool started;
	bool has_data;
};

/* `data` is valid during the call only. Returns 0 to go on, -1 to stop (sse_feed then returns -1 at once). */
typedef int sse_event_fn(void *owner, struct str data);

void sse_init(struct sse_parser *parser, size_t max_event); /* bytes of one event, at most */
void sse_free(struct sse_parser *parser);
/* -1: the callback stopped it (err untouched), an event passed max_event (ERR_LIMIT), or memory is out. An event that
 * lies whole within `bytes` is handed on without a copy. */
int sse_feed(struct sse_parser *parser, struct str bytes, sse_event_fn *event, void *owner, struct err *err);

#endif
