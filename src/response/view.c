#include "view.h"

#include "base/mem.h"
#include "base/str.h"

/* While it streams, its output is the text so far. */
static void refresh_output(struct response *r) {
	if (r->state == STATE_STREAMING) {
		item_free(&r->output);
		item_message(&r->output, ROLE_ASSISTANT, ITEM_IN_PROGRESS, r->item_id, event_log_text(&r->events));
	}
}

static void fill_view(const struct response *r, struct response_view *view) {
	*view = (struct response_view){
		.id = r->id,
		.conversation = r->conversation_id,
		.previous_response_id = r->parent_id,
		.model = r->model,
		.settings = &r->settings,
		.created_s = r->created_ms / 1000,
		.completed_s = r->completed_ms / 1000,
		.status = r->status,
		.incomplete_reason = r->reason,
		.error_code = r->reason,
		.error_message = r->error_message ? r->error_message : "",
		.output = r->turn ? r->turn->output.items : &r->output,
		.output_count = r->turn ? r->turn->output.count : (r->output.part_count ? 1 : 0),
		.usage = r->usage,
	};
	if (!response_ended(r)) {
		view->status = RESPONSE_IN_PROGRESS;
		view->completed_s = 0;
	}
}

void response_view(struct response *response, struct response_view *view) {
	refresh_output(response);
	fill_view(response, view);
}

static const struct item *output_item(const struct response *r) {
	return r->turn && r->turn->output.count ? &r->turn->output.items[0] : &r->output;
}

const char *view_event_name(const struct response *r, uint32_t sequence) {
	return event_name(r->events.entries[sequence].kind, r->status, PART_OUTPUT_TEXT);
}

void view_write_event(struct response *r, uint32_t sequence, struct buf *out) {
	const struct event_entry *entry = &r->events.entries[sequence];
	const struct event_place place = {.sequence = sequence, .output_index = entry->item, .item_id = r->item_id};
	const struct str text = event_log_text(&r->events);
	const struct part part = {.kind = PART_OUTPUT_TEXT, .text = (char *)text.data, .length = text.length};
	struct item opened = {.kind = ITEM_MESSAGE, .role = ROLE_ASSISTANT};
	struct response_view view;
	str_copy_cut(opened.id, sizeof opened.id, str_of(r->item_id));
	switch ((enum event_kind)entry->kind) {
	case EVENT_DELTA:
		event_write_delta(
			out, &place,
			&(struct event_delta){.part = PART_OUTPUT_TEXT, .text = event_log_delta(&r->events, sequence)});
		break;
	case EVENT_ITEM_ADDED:
		event_write_item_added(out, &place, &opened);
		break;
	case EVENT_PART_ADDED:
		event_write_part_added(out, &place, &part);
		break;
	case EVENT_DONE:
		event_write_done(out, &place, &part);
		break;
	case EVENT_PART_DONE:
		event_write_part_done(out, &place, &part);
		break;
	case EVENT_ITEM_DONE:
		event_write_item_done(out, &place, output_item(r));
		break;
	case EVENT_CREATED:
	case EVENT_IN_PROGRESS:
	case EVENT_TERMINAL:
		fill_view(r, &view);
		event_write_response(out, entry->kind, sequence, &view);
		break;
	case EVENT_ANNOTATION:
	case EVENT_KIND_COUNT:
		break;
	}
}

/* --- what else the outside asks ------------------------------------------------------------------------------------- */

const char *response_id(const struct response *response) {
	return response->id;
}

bool response_is_stored(const struct response *response) {
	return response->settings.store;
}

const char *response_parent(const struct response *response) {
	return response->parent_id;
}

const struct item_list *response_input(const struct response *response) {
	return response->turn ? &response->turn->input : &response->input;
}

enum response_status response_status(const struct response *response) {
	return response_ended(response) ? response->status : RESPONSE_IN_PROGRESS;
}

bool response_ended(const struct response *response) {
	return response->state > STATE_COMMITTING;
}

int response_failure(const struct response *response, struct api_error *error) {
	if (response->state != STATE_FAILED) {
		return -1;
	}
	*error = response->failure;
	return 0;
}

struct turn *response_turn(const struct response *response) {
	return response->replayed ? NULL : response->turn;
}

struct conversation *response_conversation(const struct response *response) {
	return response->conversation;
}
