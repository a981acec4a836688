/* A story of any length, for testing: it says the same again and again. Pure. */
#ifndef SLUICE_DEMO_STORY_H
#define SLUICE_DEMO_STORY_H

#include <stddef.h>

#include "base/buf.h"

#define STORY_DEFAULT_WORDS 120
#define STORY_MAX_WORDS 20000

/* Appends exactly `words` words. */
void story_tell(size_t words, struct buf *out);

#endif
