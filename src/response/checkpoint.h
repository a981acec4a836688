/* Checkpoints: a few times a second every stored response that streams hands what it has to the store, all at once, so that
 * they share a commit. Private to the response layer. */
#ifndef SLUICE_RESPONSE_CHECKPOINT_H
#define SLUICE_RESPONSE_CHECKPOINT_H

#include "registry.h"

/* Starts the timer's work; it runs while something is live. */
void checkpoint_start(struct registry *registry, uint64_t interval_ms);

#endif
