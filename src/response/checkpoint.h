/* Checkpoints: every stored response that streams hands what it has to the store, all at once, so that
 * they share a commit. Private to the response layer. */
#ifndef SLUICE_RESPONSE_CHECKPOINT_H
#define SLUICE_RESPONSE_CHECKPOINT_H

#include "registry.h"

void checkpoint_all(struct registry *registry);

#endif
