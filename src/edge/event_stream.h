/* Server-sent events: a response's log written to an HTTP answer as its reader takes it. */
#ifndef SLUICE_EDGE_EVENT_STREAM_H
#define SLUICE_EDGE_EVENT_STREAM_H

#include "exchange.h"

/* For a cursor whose owner is an exchange. The head goes out with the first event, so that a refusal before it still is an
 * HTTP error, unless a heartbeat had to go out before: then it is an `error` event. */
extern const struct cursor_sink event_stream_sink;
/* The same as chunks of Chat Completions, without and with what it cost. Their head goes out with the model's first word, and
 * their errors are {"error":…}. */
extern const struct cursor_sink chunk_stream_sink;
extern const struct cursor_sink chunk_stream_usage_sink;
/* From now on silence is broken by heartbeats: once the cursor is open. */
void event_stream_await(struct exchange *exchange);

#endif
