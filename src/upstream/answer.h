/* One model's answer as it is read, whichever way its chunks were: hands its deltas on. Pure.
 *
 * Every function returns 0; or -1, `err` untouched, when the callback stopped it. */
#ifndef SLUICE_UPSTREAM_ANSWER_H
#define SLUICE_UPSTREAM_ANSWER_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "calls.h"
#include "think.h"
#include "upstream/chat.h"

struct answer {
	chat_delta_fn *each;
	void *owner;
	struct buf *scratch; /* borrowed; for what lasts no longer than one chunk */
	struct buf logprobs; /* of the text that is handed on next */
	struct think think;
	struct calls calls;
	enum chat_finish finish; /* as far as it was said */
};

void answer_init(struct answer *answer, const struct chat_reader_options *options);
void answer_free(struct answer *answer);

/* Text, or what may hold reasoning too. Empty text is nothing, unless it has logprobs. */
int answer_text(struct answer *answer, struct str text);
/* What the server itself calls reasoning: its text then holds no more of it. */
int answer_reasoning(struct answer *answer, struct str text);
int answer_refusal(struct answer *answer, struct str text);
int answer_annotation(struct answer *answer, struct str json);
/* Also -1 with an error of calls_take. */
int answer_call(struct answer *answer, const struct call_piece *piece, struct err *err);
/* The server says that it is done, and perhaps why: shows what was held back. Also -1 with ERR_INVALID when a call has no
 * name, which may be only in an answer that was cut off. */
int answer_end(struct answer *answer, enum chat_finish finish, struct err *err);

#endif
