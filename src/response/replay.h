/* Replay: an ended response, read from the store, becomes what it was at its end, so that cursors read its events with the
 * same numbers as the first time. Private to the response layer. */
#ifndef SLUICE_RESPONSE_REPLAY_H
#define SLUICE_RESPONSE_REPLAY_H

#include "response.h"

/* Starts reading; it lives as long as a cursor is on it. The caller holds it and opens the cursor, then releases it.
 * NULL when memory is out. */
struct response *replay_start(struct registry *registry, const struct engine_deps *deps, const char *owner,
			      const char *id, const struct log *log);

#endif
