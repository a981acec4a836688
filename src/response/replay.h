/* Replay: an ended response, read from the store, becomes what it was at its end, so that cursors read its events with the
 * same numbers as the first time. One that runs on another loop is mirrored instead.
 *
 * It lives as long as a cursor is on it: the caller holds it and opens the cursor, then releases it. NULL when memory is out.
 * Private to the response layer. */
#ifndef SLUICE_RESPONSE_REPLAY_H
#define SLUICE_RESPONSE_REPLAY_H

#include "response.h"

/* Of the store. */
struct response *replay_start(struct registry *registry, const char *owner, const char *id, const struct log *log);
/* Of the loop where it lives, from event 0 on; of the store if it has ended there. */
struct response *replay_from(struct registry *registry, const struct place *home, const struct log *log);
/* Of another loop, if it lives there, or else of the store. */
struct response *replay_find(struct registry *registry, const struct engine_watch *watch, const char *id);
/* It answers a request that came with the key of this claim, and has not ended: if its loop has lost it by then, and the store
 * does not know it, because it joined an earlier one itself, the store is asked for that. -1 when memory is out. */
int replay_repeats(struct response *response, const struct conversation_claim *claim);
/* Moves the cursors of one that never was to the response of this id, which its idempotency key stands for. -1 when memory
 * is out. */
int replay_hand_over(struct response *response, const char *id);

#endif
