/* One chat completion of the demo: the request is read, the answer decided, and told whole or piece by piece. Pure.
 *
 * A token, as far as usage and max_tokens go, is a piece of text.h: about a word. */
#ifndef SLUICE_DEMO_COMPLETION_H
#define SLUICE_DEMO_COMPLETION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define DEMO_MODEL "demo"

struct completion;

/* Reads the body of POST /v1/chat/completions and decides the answer. NULL with ERR_INVALID when the request is wrong,
 * the text fit for the client. */
struct completion *completion_new(struct str body, int64_t wall_ms, struct err *err);
void completion_free(struct completion **completion);

bool completion_streams(const struct completion *completion);
/* Appends the whole answer as one JSON document. */
void completion_write(struct completion *completion, struct buf *out);
/* Appends the next event of the stream; false, with nothing appended, behind the last. */
bool completion_next(struct completion *completion, struct buf *out);
/* Whether the next event carries a piece of the answer, so that it should come at the pace of speech. */
bool completion_speaks(const struct completion *completion);

#endif
