/* Tells reasoning from text where a model writes both as one: "<think>reasoning</think>text". Pure: bytes in, callbacks
 * out; any split of the input gives the same output.
 *
 * Only an answer's beginning may open a block; white space before it is allowed. White space behind either tag is
 * dropped, so that an empty block is no reasoning at all. Nothing of a tag is ever shown. What may still become one is
 * held back: within a block at most 7 bytes, and at the beginning of the answer 8 bytes of white space more. */
#ifndef SLUICE_UPSTREAM_THINK_H
#define SLUICE_UPSTREAM_THINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "upstream/chat.h"

#define THINK_MAX_SPACE 8

enum think_state {
	THINK_TEXT,   /* for good */
	THINK_START,  /* nothing but white space and, perhaps, the start of <think> */
	THINK_OPENED, /* white space behind <think> */
	THINK_BLOCK,
	THINK_CLOSED, /* white space behind </think> */
};

struct think {
	enum think_state state;
	uint8_t held_length;
	char held[THINK_MAX_SPACE + 8];
};

/* A piece, never empty. 0 to go on, -1 to stop. */
typedef int think_fn(void *owner, bool reasoning, struct str piece);

void think_init(struct think *think, enum chat_think mode);
/* -1 when the callback stopped it. */
int think_feed(struct think *think, struct str text, think_fn *each, void *owner);
/* The end of the answer: what was held back is shown as what it is part of. Harmless when repeated. */
int think_end(struct think *think, think_fn *each, void *owner);

#endif
