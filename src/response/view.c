#include "view.h"

#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"

#define PAD_BLOCK (VIEW_PADDING_MAX / 2) /* bytes: a padded delta is a multiple of them */
#define PAD_FIELD (sizeof ",\"obfuscation\":\"\"" - 1)

const struct item_list *response_output(const struct response *r) {
	return r->turn ? &r->turn->output : &r->output.items;
}

void view_fill(const struct response *r, struct response_view *view) {
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
		.output = response_output(r)->items,
		.output_count = response_output(r)->count,
		.usage = r->usage,
		.shown_tokens = r->shown_tokens,
	};
	if (!response_ended(r)) {
		/* How it ended is told once that is durable, and then as a whole. */
		view->status = RESPONSE_IN_PROGRESS;
		view->completed_s = 0;
		view->usage = (struct response_usage){0};
	}
}

void response_view(struct response *response, struct response_view *view) {
	view_fill(response, view);
	if (response->state == STATE_STREAMING) {
		item_list_free(&response->so_far);
		/* Without memory it shows what is whole. */
		(void)output_snapshot(&response->output, &response->so_far);
		view->output = response->so_far.items;
		view->output_count = response->so_far.count;
	}
}

/* The part that an event is of; NULL for those of an item or of the response. */
static const struct part *event_part(const struct response *r, const struct event_entry *entry) {
	const struct item_list *output = response_output(r);
	bool has_part = entry->item < output->count && entry->part < output->items[entry->item].part_count;
	return has_part ? &output->items[entry->item].parts[entry->part] : NULL;
}

const char *view_event_name(const struct response *r, uint32_t sequence) {
	const struct event_entry entry = event_log_at(&r->output.events, sequence);
	const struct part *part = event_part(r, &entry);
	const struct event_place place = {.openai_names = r->registry->openai_names};
	return event_name(entry.kind, r->status, part ? part->kind : PART_OUTPUT_TEXT, &place);
}

/* How long the text of a delta is cannot be told from the length of its event, not even after compression: it is filled up
 * to whole blocks, and one more by chance. */
size_t view_make_padding(size_t length, char padding[static VIEW_PADDING_MAX]) {
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned char bytes[2 * PAD_BLOCK + 1];
	random_bytes(bytes, sizeof bytes);
	size_t fill = PAD_BLOCK - (length + PAD_FIELD) % PAD_BLOCK;
	fill += bytes[2 * PAD_BLOCK] & 1 ? PAD_BLOCK : 0;
	for (size_t i = 0; i < fill; i++) {
		padding[i] = alphabet[bytes[i] & 63];
	}
	return fill;
}

static void write_delta(const struct event_place *place, const struct event_delta *delta, bool pads, struct buf *out) {
	size_t start = out->length;
	event_write_delta(out, place, delta);
	if (pads && !out->failed) {
		char padding[VIEW_PADDING_MAX];
		struct event_delta padded = *delta;
		padded.obfuscation = (struct str){padding, view_make_padding(out->length - start, padding)};
		out->length = start;
		event_write_delta(out, place, &padded);
	}
}

static void write_text(const struct response *r, const struct event_place *place, const struct part *part, bool pads,
		       struct buf *out) {
	const struct event_delta delta = {.part = part->kind,
					  .text = event_log_delta(&r->output.events, place->sequence),
					  .logprobs = event_log_side(&r->output.events, place->sequence)};
	write_delta(place, &delta, pads, out);
}

static void write_annotation(const struct response *r, const struct event_place *place, struct buf *out) {
	const struct event_log *events = &r->output.events;
	event_write_annotation(out, place, event_log_annotations_before(events, place->sequence),
			       event_log_side(events, place->sequence));
}

/* An event of an item or of one of its parts. */
static void write_item_event(const struct response *r, const struct event_place *place, const struct item *item,
			     bool pads, struct buf *out) {
	const struct event_entry entry = event_log_at(&r->output.events, place->sequence);
	const struct part *part = &item->parts[entry.part];
	switch ((enum event_kind)entry.kind) {
	case EVENT_DELTA:
		write_text(r, place, part, pads, out);
		break;
	case EVENT_ITEM_ADDED:
		event_write_item_added(out, place, item);
		break;
	case EVENT_PART_ADDED:
		event_write_part_added(out, place, part);
		break;
	case EVENT_DONE:
		event_write_done(out, place, part);
		break;
	case EVENT_PART_DONE:
		event_write_part_done(out, place, part);
		break;
	case EVENT_ITEM_DONE:
		event_write_item_done(out, place, item);
		break;
	case EVENT_ANNOTATION:
		write_annotation(r, place, out);
		break;
	default:
		break;
	}
}

void view_write_event(struct response *r, uint32_t sequence, bool pads, struct buf *out) {
	const struct event_entry entry = event_log_at(&r->output.events, sequence);
	struct response_view view;
	if (event_is_of_response(entry.kind)) {
		view_fill(r, &view);
		event_write_response(out, entry.kind, sequence, &view);
		return;
	}
	const struct item *item = &response_output(r)->items[entry.item];
	const struct event_place place = {.sequence = sequence,
					  .output_index = entry.item,
					  .content_index = entry.part,
					  .item_id = item->id,
					  .openai_names = r->registry->openai_names};
	write_item_event(r, &place, item, pads, out);
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

int64_t response_shown_tokens(const struct response *response) {
	return response->shown_tokens;
}

const struct request_settings *response_settings(const struct response *response) {
	return &response->settings;
}

enum response_status response_status(const struct response *response) {
	return response_ended(response) ? response->status : RESPONSE_IN_PROGRESS;
}

bool response_has_output(const struct response *response) {
	return response_output(response)->count > 0;
}

bool response_ended(const struct response *response) {
	return response->state > STATE_COMMITTING;
}

bool response_is_known(const struct response *response) {
	return response->state != STATE_READING;
}

bool response_runs(const struct response *response) {
	return (response->link || !response->replayed) && !response_ended(response);
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
