/* Response objects and streaming events, written into a buffer by template. Open Responses: ResponseResource and the
 * Response…StreamingEvent schemas. Pure; nothing is allocated but the buffer's growth. */
#ifndef SLUICE_PROTO_EVENT_H
#define SLUICE_PROTO_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "proto/item.h"
#include "proto/request.h"

enum response_status {
	RESPONSE_IN_PROGRESS,
	RESPONSE_COMPLETED,
	RESPONSE_INCOMPLETE,
	RESPONSE_FAILED,
	RESPONSE_CANCELLED,
};

const char *response_status_name(enum response_status status);
int response_status_parse(struct str name, enum response_status *out);

struct response_usage {
	bool known;
	int64_t input_tokens, cached_tokens, output_tokens, reasoning_tokens;
};

/* Everything that a response object shows. All borrowed. */
struct response_view {
	const char *id;
	const char *conversation;         /* NULL or "": none */
	const char *previous_response_id; /* NULL or "": none */
	const char *model;
	const struct request_settings *settings;
	int64_t created_s;
	int64_t completed_s; /* when it ended; shown of a COMPLETED response only. 0: not yet */
	enum response_status status;
	const char *incomplete_reason; /* for INCOMPLETE; a CANCELLED one always says "cancelled" */
	const char *error_code;        /* for FAILED; NULL or "": internal_error */
	const char *error_message;
	const struct item *output;
	size_t output_count;
	struct response_usage usage;
	int64_t shown_tokens; /* about how many the model was shown, for who has to tell something; not part of the object */
};

/* The usage object, of usage that is known. */
void response_usage_write(struct json_writer *w, const struct response_usage *usage);
/* Appends the response object (every field that ResponseResource requires). */
void response_write(struct buf *out, const struct response_view *view);

/* What the events of a response say. What a delta is of, an item or part says: see event_name. The numbers are stored. */
enum event_kind {
	EVENT_CREATED,     /* response.created */
	EVENT_IN_PROGRESS, /* response.in_progress */
	EVENT_ITEM_ADDED,  /* response.output_item.added */
	EVENT_PART_ADDED,  /* response.content_part.added */
	EVENT_DELTA,       /* response.output_text.delta, response.function_call_arguments.delta … */
	EVENT_DONE,        /* response.output_text.done … */
	EVENT_PART_DONE,   /* response.content_part.done */
	EVENT_ITEM_DONE,   /* response.output_item.done */
	EVENT_TERMINAL,    /* response.completed, .incomplete or .failed, by status */
	EVENT_ANNOTATION,  /* response.output_text.annotation.added */
	EVENT_KIND_COUNT,
};

/* Whether it carries the response; else it is of an item. */
static inline bool event_is_of_response(enum event_kind kind) {
	return kind == EVENT_CREATED || kind == EVENT_IN_PROGRESS || kind == EVENT_TERMINAL;
}

/* Where an event belongs. */
struct event_place {
	uint32_t sequence;
	uint32_t output_index;
	uint32_t content_index;
	const char *item_id; /* NULL for events of the whole response */
	/* The events of reasoning are called response.reasoning_text.… as OpenAI's service does, not response.reasoning.… */
	bool openai_names;
};

/* What came of a part's text. Only output text has logprobs. */
struct event_delta {
	enum part_kind part;
	struct str text;
	struct str logprobs;    /* JSON objects separated by commas; empty: none */
	struct str obfuscation; /* padding of plain ASCII; empty: none */
};

/* The events that carry a response. The status shown is the view's, but for a stopped one: the terminal event of a
 * CANCELLED response is response.incomplete and shows status incomplete (PROTOCOL.md). */
void event_write_response(struct buf *out, enum event_kind kind, uint32_t sequence, const struct response_view *view);
void event_write_item_added(struct buf *out, const struct event_place *place, const struct item *item);
void event_write_item_done(struct buf *out, const struct event_place *place, const struct item *item);
void event_write_part_added(struct buf *out, const struct event_place *place, const struct part *part);
void event_write_part_done(struct buf *out, const struct event_place *place, const struct part *part);
void event_write_delta(struct buf *out, const struct event_place *place,
		       const struct event_delta *delta); /* the hot one */
void event_write_done(struct buf *out, const struct event_place *place, const struct part *part);
void event_write_annotation(struct buf *out, const struct event_place *place, uint32_t index, struct str annotation);
/* The event's `type`, as SSE's `event:` line repeats it. `part` is what a delta or its end is of; of `place` only the names
 * that it asks for count. */
const char *event_name(enum event_kind kind, enum response_status status, enum part_kind part,
		       const struct event_place *place);

#endif
