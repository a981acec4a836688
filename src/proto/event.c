#include "proto/event.h"

#include <string.h>

#include "base/json.h"

static const char *const status_names[] = {[RESPONSE_IN_PROGRESS] = "in_progress",
					   [RESPONSE_COMPLETED] = "completed",
					   [RESPONSE_INCOMPLETE] = "incomplete",
					   [RESPONSE_FAILED] = "failed",
					   [RESPONSE_CANCELLED] = "cancelled"};

const char *response_status_name(enum response_status status) {
	return status_names[status];
}

int response_status_parse(struct str name, enum response_status *out) {
	for (size_t i = 0; i < sizeof status_names / sizeof status_names[0]; i++) {
		if (str_is(name, status_names[i])) {
			*out = (enum response_status)i;
			return 0;
		}
	}
	return -1;
}

/* How the text of a part is told. */
struct streamed {
	struct str delta;
	struct str done;
	struct str member; /* of the end: the whole text */
	bool has_index;    /* content_index */
	bool has_logprobs;
};

#define STREAMED(name, member, index, logprobs)                                                                        \
	{                                                                                                              \
		{name ".delta", sizeof(name ".delta") - 1}, {name ".done", sizeof(name ".done") - 1},                  \
			{member, sizeof(member) - 1}, index, logprobs                                                  \
	}
static const struct streamed streamed[] = {
	[PART_OUTPUT_TEXT] = STREAMED("response.output_text", "text", true, true),
	[PART_REFUSAL] = STREAMED("response.refusal", "refusal", true, false),
	[PART_REASONING_TEXT] = STREAMED("response.reasoning", "text", true, false),
	[PART_ARGUMENTS] = STREAMED("response.function_call_arguments", "arguments", false, false),
};
static const struct streamed streamed_reasoning = STREAMED("response.reasoning_text", "text", true, false);
#undef STREAMED

static const struct streamed *streamed_as(enum part_kind part, const struct event_place *place) {
	return part == PART_REASONING_TEXT && place->openai_names ? &streamed_reasoning : &streamed[part];
}

const char *event_name(enum event_kind kind, enum response_status status, enum part_kind part,
		       const struct event_place *place) {
	static const char *const names[] = {[EVENT_CREATED] = "response.created",
					    [EVENT_IN_PROGRESS] = "response.in_progress",
					    [EVENT_ITEM_ADDED] = "response.output_item.added",
					    [EVENT_PART_ADDED] = "response.content_part.added",
					    [EVENT_PART_DONE] = "response.content_part.done",
					    [EVENT_ITEM_DONE] = "response.output_item.done",
					    [EVENT_TERMINAL] = "response.incomplete",
					    [EVENT_ANNOTATION] = "response.output_text.annotation.added"};
	switch (kind) {
	case EVENT_DELTA:
		return streamed_as(part, place)->delta.data;
	case EVENT_DONE:
		return streamed_as(part, place)->done.data;
	case EVENT_TERMINAL:
		return status == RESPONSE_COMPLETED ? "response.completed"
		       : status == RESPONSE_FAILED  ? "response.failed"
						    : names[kind];
	default:
		return names[kind];
	}
}

static bool is_set(const char *text) {
	return text && text[0];
}

/* A text, or null when it is empty. */
static void write_text_or_null(struct json_writer *w, const char *key, const char *text) {
	jw_key(w, key);
	jw_text(w, is_set(text) ? text : NULL);
}

/* Why a response was cut short, or NULL. */
static const char *stop_reason(const struct response_view *view) {
	if (view->status == RESPONSE_CANCELLED) {
		return "cancelled";
	}
	return view->status == RESPONSE_INCOMPLETE && is_set(view->incomplete_reason) ? view->incomplete_reason : NULL;
}

static void write_ending(struct json_writer *w, const struct response_view *view) {
	const char *reason = stop_reason(view);
	jw_key(w, "incomplete_details");
	if (reason) {
		jw_object(w);
		jw_key(w, "reason");
		jw_text(w, reason);
		jw_object_end(w);
	} else {
		jw_null(w);
	}
	jw_key(w, "error");
	if (view->status == RESPONSE_FAILED) {
		jw_object(w);
		jw_key(w, "code");
		jw_text(w, is_set(view->error_code) ? view->error_code : api_error_row(API_INTERNAL)->code);
		jw_key(w, "message");
		jw_text(w, view->error_message ? view->error_message : "");
		jw_object_end(w);
	} else {
		jw_null(w);
	}
}

void response_usage_write(struct json_writer *w, const struct response_usage *usage) {
	jw_object(w);
	jw_key(w, "input_tokens");
	jw_int(w, usage->input_tokens);
	jw_key(w, "input_tokens_details");
	jw_object(w);
	jw_key(w, "cached_tokens");
	jw_int(w, usage->cached_tokens);
	jw_object_end(w);
	jw_key(w, "output_tokens");
	jw_int(w, usage->output_tokens);
	jw_key(w, "output_tokens_details");
	jw_object(w);
	jw_key(w, "reasoning_tokens");
	jw_int(w, usage->reasoning_tokens);
	jw_object_end(w);
	jw_key(w, "total_tokens");
	jw_int(w, usage->input_tokens + usage->output_tokens);
	jw_object_end(w);
}

static void write_usage(struct json_writer *w, const struct response_usage *usage) {
	jw_key(w, "usage");
	if (usage->known) {
		response_usage_write(w, usage);
	} else {
		jw_null(w);
	}
}

static void write_output(struct json_writer *w, const struct response_view *view) {
	jw_key(w, "output");
	jw_array(w);
	for (size_t i = 0; i < view->output_count; i++) {
		/* An empty raw value sees to the comma. */
		jw_raw(w, STR_NONE);
		item_write(w->out, &view->output[i]);
	}
	jw_array_end(w);
}

void response_write(struct buf *out, const struct response_view *view) {
	struct json_writer w = json_writer(out);
	jw_object(&w);
	jw_key(&w, "id");
	jw_text(&w, view->id);
	jw_key(&w, "object");
	jw_text(&w, "response");
	jw_key(&w, "created_at");
	jw_int(&w, view->created_s);
	jw_key(&w, "completed_at");
	if (view->status == RESPONSE_COMPLETED && view->completed_s > 0) {
		jw_int(&w, view->completed_s);
	} else {
		jw_null(&w);
	}
	jw_key(&w, "status");
	jw_text(&w, status_names[view->status]);
	write_ending(&w, view);
	jw_key(&w, "model");
	jw_text(&w, view->model ? view->model : "");
	write_text_or_null(&w, "previous_response_id", view->previous_response_id);
	jw_key(&w, "conversation");
	if (is_set(view->conversation)) {
		jw_object(&w);
		jw_key(&w, "id");
		jw_text(&w, view->conversation);
		jw_object_end(&w);
	} else {
		jw_null(&w);
	}
	request_settings_echo(&w, view->settings);
	write_output(&w, view);
	write_usage(&w, &view->usage);
	jw_object_end(&w);
}

void event_write_response(struct buf *out, enum event_kind kind, uint32_t sequence, const struct response_view *view) {
	struct response_view shown = *view;
	if (kind == EVENT_TERMINAL) {
		if (view->status == RESPONSE_CANCELLED) {
			shown.status = RESPONSE_INCOMPLETE;
			shown.incomplete_reason = "cancelled";
		}
	} else {
		/* As it was when the event happened, so that a replay gives the bytes that were sent live. */
		shown.status = RESPONSE_IN_PROGRESS;
		shown.completed_s = 0;
		shown.output_count = 0;
		shown.usage = (struct response_usage){0};
	}
	struct json_writer w = json_writer(out);
	jw_object(&w);
	jw_key(&w, "type");
	jw_text(&w, event_name(kind, view->status, PART_OUTPUT_TEXT, NULL));
	jw_key(&w, "sequence_number");
	jw_int(&w, sequence);
	jw_key(&w, "response");
	response_write(out, &shown);
	jw_object_end(&w);
}

#define TEMPLATE_SIZE 256 /* all of an event's fixed text and numbers; the id and the text come on top */

/* Copies a piece of text to `at` and returns the place behind it: the caller has made room for all pieces at once. */
static char *put(char *at, const char *bytes, size_t length) {
	memcpy(at, bytes, length);
	return at + length;
}

#define PUT(at, literal) put((at), (literal), sizeof(literal) - 1)

static char *put_u32(char *at, uint32_t value) {
	char digits[10];
	size_t first = sizeof digits;
	do {
		digits[--first] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	return put(at, digits + first, sizeof digits - first);
}

/* {"type":NAME,"sequence_number":…,"item_id":…,"output_index":…,"content_index":…,  with room for `more` bytes behind it.
 * Ids are of our own making or passed id_copy: nothing in them needs an escape. */
static bool open_event(struct buf *out, struct str name, const struct event_place *place, bool has_index, size_t more) {
	size_t id_length = strlen(place->item_id);
	if (!buf_reserve(out, TEMPLATE_SIZE + id_length + more)) {
		return false;
	}
	char *at = PUT(out->data + out->length, "{\"type\":\"");
	at = put(at, name.data, name.length);
	at = PUT(at, "\",\"sequence_number\":");
	at = put_u32(at, place->sequence);
	at = PUT(at, ",\"item_id\":\"");
	at = put(at, place->item_id, id_length);
	at = PUT(at, "\",\"output_index\":");
	at = put_u32(at, place->output_index);
	if (has_index) {
		at = PUT(at, ",\"content_index\":");
		at = put_u32(at, place->content_index);
	}
	out->length = (size_t)(at - out->data);
	return true;
}

static void write_logprobs(struct buf *out, struct str elements) {
	buf_append_text(out, ",\"logprobs\":[");
	buf_append_str(out, elements);
	buf_append_char(out, ']');
}

void event_write_delta(struct buf *out, const struct event_place *place, const struct event_delta *delta) {
	const struct streamed *how = streamed_as(delta->part, place);
	if (!open_event(out, how->delta, place, how->has_index, delta->text.length)) {
		return;
	}
	buf_append(out, ",\"delta\":\"", 10);
	json_escape(out, delta->text);
	buf_append_char(out, '"');
	if (how->has_logprobs) {
		write_logprobs(out, delta->logprobs);
	}
	if (delta->obfuscation.length) {
		buf_append_text(out, ",\"obfuscation\":\"");
		buf_append_str(out, delta->obfuscation);
		buf_append_char(out, '"');
	}
	buf_append_char(out, '}');
}

void event_write_done(struct buf *out, const struct event_place *place, const struct part *part) {
	const struct streamed *how = streamed_as(part->kind, place);
	if (!open_event(out, how->done, place, how->has_index, part->length)) {
		return;
	}
	buf_append_text(out, ",\"");
	buf_append_str(out, how->member);
	buf_append_text(out, "\":\"");
	json_escape(out, (struct str){part->text, part->length});
	buf_append_char(out, '"');
	if (how->has_logprobs) {
		write_logprobs(out, str_of(part->logprobs));
	}
	buf_append_char(out, '}');
}

static void write_part_event(struct buf *out, enum event_kind kind, const struct event_place *place,
			     const struct part *part) {
	struct str name = str_of(event_name(kind, RESPONSE_IN_PROGRESS, part->kind, place));
	if (open_event(out, name, place, true, 0)) {
		buf_append_text(out, ",\"part\":");
		part_write(out, part, kind == EVENT_PART_ADDED);
		buf_append_char(out, '}');
	}
}

void event_write_part_added(struct buf *out, const struct event_place *place, const struct part *part) {
	write_part_event(out, EVENT_PART_ADDED, place, part);
}

void event_write_part_done(struct buf *out, const struct event_place *place, const struct part *part) {
	write_part_event(out, EVENT_PART_DONE, place, part);
}

void event_write_annotation(struct buf *out, const struct event_place *place, uint32_t index, struct str annotation) {
	struct str name = str_of(event_name(EVENT_ANNOTATION, RESPONSE_IN_PROGRESS, PART_OUTPUT_TEXT, place));
	if (open_event(out, name, place, true, annotation.length)) {
		buf_append_text(out, ",\"annotation_index\":");
		buf_append_u64(out, index);
		buf_append_text(out, ",\"annotation\":");
		buf_append_str(out, annotation);
		buf_append_char(out, '}');
	}
}

/* {"type":NAME,"sequence_number":…,"output_index":…,"item":  */
static void open_item_event(struct buf *out, enum event_kind kind, const struct event_place *place) {
	buf_append_text(out, "{\"type\":\"");
	buf_append_text(out, event_name(kind, RESPONSE_IN_PROGRESS, PART_OUTPUT_TEXT, place));
	buf_append_text(out, "\",\"sequence_number\":");
	buf_append_u64(out, place->sequence);
	buf_append_text(out, ",\"output_index\":");
	buf_append_u64(out, place->output_index);
	buf_append_text(out, ",\"item\":");
}

void event_write_item_added(struct buf *out, const struct event_place *place, const struct item *item) {
	open_item_event(out, EVENT_ITEM_ADDED, place);
	item_write_opened(out, item);
	buf_append_char(out, '}');
}

void event_write_item_done(struct buf *out, const struct event_place *place, const struct item *item) {
	open_item_event(out, EVENT_ITEM_DONE, place);
	item_write(out, item);
	buf_append_char(out, '}');
}
