/* The events of a response as Chat Completions tells them: see cursor_form. */
#include "proto/completion.h"
#include "view.h"

/* Which of the answer's function calls the item is. */
static uint32_t call_number(const struct item_list *output, size_t item) {
	uint32_t calls = 0;
	for (size_t i = 0; i < item; i++) {
		calls += output->items[i].kind == ITEM_FUNCTION_CALL;
	}
	return calls;
}

/* It says who speaks, and comes with the first thing said: a failure before that is an error and nothing else. */
static void write_item_added(const struct item_list *output, size_t item, const struct completion_stream *stream,
			     struct buf *out) {
	bool calls = output->items[item].kind == ITEM_FUNCTION_CALL;
	if (item == 0) {
		completion_write_start(out, stream);
	}
	if (item == 0 && calls) {
		buf_append_char(out, '\n');
	}
	if (calls) {
		completion_write_call(out, stream, &output->items[item], call_number(output, item));
	}
}

static void write_delta(const struct cursor *cursor, const struct completion_stream *stream, struct buf *out) {
	const struct event_log *events = &cursor->response->output.events;
	const struct event_entry entry = event_log_at(events, cursor->next);
	const struct item_list *output = response_output(cursor->response);
	uint32_t call = call_number(output, entry.item);
	struct event_delta delta = {.part = output->items[entry.item].parts[entry.part].kind,
				    .text = event_log_delta(events, cursor->next),
				    .logprobs = event_log_side(events, cursor->next)};
	char padding[VIEW_PADDING_MAX];
	size_t start = out->length;
	completion_write_delta(out, stream, &delta, call);
	if (cursor->pads && !out->failed) {
		delta.obfuscation = (struct str){padding, view_make_padding(out->length - start, padding)};
		out->length = start;
		completion_write_delta(out, stream, &delta, call);
	}
}

int response_completion_failure(const struct response *response, struct api_error *error) {
	struct response_view view;
	view_fill(response, &view);
	if (response_failure(response, error) != 0 && completion_failure(&view, error) != 0) {
		return -1;
	}
	completion_translate_error(error);
	return 0;
}

static void write_end(const struct response *r, const struct completion_stream *stream, struct buf *out) {
	struct api_error error;
	if (response_completion_failure(r, &error) == 0) {
		api_error_write_body(out, &error);
		return;
	}
	if (!response_has_output(r)) {
		completion_write_start(out, stream);
		buf_append_char(out, '\n');
	}
	completion_write_finish(out, stream);
}

void view_write_chunks(const struct cursor *cursor, struct buf *out) {
	const struct response *r = cursor->response;
	const struct event_entry entry = event_log_at(&r->output.events, cursor->next);
	struct response_view view;
	view_fill(r, &view);
	const struct completion_stream stream = {.view = &view,
						 .includes_usage = cursor->sink->form == CURSOR_CHUNKS_OF_USAGE};
	switch ((enum event_kind)entry.kind) {
	case EVENT_ITEM_ADDED:
		write_item_added(response_output(r), entry.item, &stream, out);
		break;
	case EVENT_DELTA:
		write_delta(cursor, &stream, out);
		break;
	case EVENT_ANNOTATION:
		completion_write_annotation(out, &stream, event_log_side(&r->output.events, cursor->next));
		break;
	case EVENT_TERMINAL:
		write_end(r, &stream, out);
		break;
	case EVENT_CREATED:
	case EVENT_IN_PROGRESS:
	case EVENT_PART_ADDED:
	case EVENT_DONE:
	case EVENT_PART_DONE:
	case EVENT_ITEM_DONE:
	case EVENT_KIND_COUNT:
		break;
	}
}
