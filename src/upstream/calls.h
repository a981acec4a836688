/* The function calls of one answer, put together from their pieces: which call a piece goes on with, and when a call
 * can be shown. Pure. */
#ifndef SLUICE_UPSTREAM_CALLS_H
#define SLUICE_UPSTREAM_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "upstream/chat.h"

#define CALLS_MAX 128           /* of one answer */
#define CALLS_MAX_UNNAMED 65536 /* bytes of arguments that wait for their function's name */
#define CALLS_NO_INDEX (-1)     /* the piece has none */
#define CALLS_LEGACY_INDEX (-2) /* function_call: there is only the one */

struct call;

/* Zeroed before the first use. */
struct calls {
	struct call *list;
	size_t count;
	uint32_t begun;
};

/* What a piece says; a text that it does not say is empty. */
struct call_piece {
	int64_t index; /* or CALLS_… */
	struct str id, name, arguments;
	bool whole; /* all of a call, in a completion that was not streamed */
};

void calls_free(struct calls *calls);

/* Fills `delta`, whose views are good until `calls` is used again or `piece` is gone. There is nothing to hand on when
 * neither `call_begins` is set nor its text holds anything. Servers number calls as they like: a piece goes on with the
 * call of its index, unless it says another id or name; else with the call of its id; without either, with the last.
 * -1 with ERR_INVALID when the name is no function's or there is too much of something, or with ERR_MEMORY. */
int calls_take(struct calls *calls, const struct call_piece *piece, struct chat_delta *delta, struct err *err);

/* At the end of the answer: -1 with ERR_INVALID when a call never got its name. */
int calls_check(const struct calls *calls, struct err *err);

#endif
