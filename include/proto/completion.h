/* Chat Completions, for clients that know nothing newer: its request read into that of Open Responses, its answer written
 * from a response. OpenAI API reference: "Create chat completion", "The chat completion chunk object". Pure. */
#ifndef SLUICE_PROTO_COMPLETION_H
#define SLUICE_PROTO_COMPLETION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "proto/error.h"
#include "proto/event.h"
#include "proto/request.h"

/* --- the request ---------------------------------------------------------------------------------------------------- */

struct completion_request {
	struct request request; /* stored only when it says store: true */
	bool includes_usage;    /* stream_options.include_usage: a stream ends with what it cost */
};

/* Reads the body. Every field of the reference is known here: read, or refused by name; unknown ones are refused too; null
 * is as if the field were not there. What only a model's server understands (stop, seed, logit_bias, user) is checked and
 * handed on in settings.chat_members. -1 with a filled error; the request is then empty. `now_ms` dates the ids it makes. */
int completion_request_read(const struct json *object, int64_t now_ms, struct completion_request *completion,
			    struct api_error *error);
void completion_request_free(struct completion_request *completion);
/* An error about such a request that was found after it was read, and speaks of fields of Open Responses: makes it speak of
 * those here. */
void completion_translate_error(struct api_error *error);

/* --- the answer ----------------------------------------------------------------------------------------------------- */

/* Whether an ended response is no completion: it failed, was cancelled or broke off. 0 with the error that an HTTP client
 * should get; -1 when it can be written, `error` is untouched then. One that is cut short by max_tokens or by a filter of
 * content can: its finish_reason says so. */
int completion_failure(const struct response_view *view, struct api_error *error);
/* Appends the chat.completion object of an ended response. Its id is the response's with "chatcmpl-" in place of "resp_". */
void completion_write(struct buf *out, const struct response_view *view);

/* Appends a chat.completion.chunk. All say "usage": null when the request includes usage. */
struct completion_stream {
	const struct response_view *view; /* id, model, created_s and settings are shown */
	bool includes_usage;
};

/* The first: {"role":"assistant","content":""} */
void completion_write_start(struct buf *out, const struct completion_stream *stream);
/* A piece of text, of reasoning, of a refusal, or of the arguments of the answer's call number `call`. */
void completion_write_delta(struct buf *out, const struct completion_stream *stream, const struct event_delta *delta,
			    uint32_t call);
/* A function call begins. */
void completion_write_call(struct buf *out, const struct completion_stream *stream, const struct item *item,
			   uint32_t call);
/* An annotation as Open Responses writes it: one JSON object. */
void completion_write_annotation(struct buf *out, const struct completion_stream *stream, struct str annotation);
/* The last: why it ended. When the request includes usage, behind it a line end and a chunk without choices that has it, or
 * null when the model's server said nothing of it. */
void completion_write_finish(struct buf *out, const struct completion_stream *stream);

#endif
