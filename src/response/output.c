#include "output.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

void output_init(struct output *output) {
	*output = (struct output){.open = -1};
}

void output_free(struct output *output) {
	event_log_free(&output->events);
	item_list_free(&output->items);
	mem_free(output->calls);
	output_init(output);
}

/* --- events --------------------------------------------------------------------------------------------------------- */

static int tell(struct output *output, enum event_kind kind, size_t item, size_t part) {
	return event_log_append(&output->events, kind, (uint32_t)item, (uint32_t)part);
}

int output_flush(struct output *output) {
	if (!event_log_has_pending(&output->events)) {
		return 0;
	}
	return tell(output, EVENT_DELTA, output->pending.item, output->pending.part);
}

/* --- closing -------------------------------------------------------------------------------------------------------- */

static int close_part(struct output *output, size_t index, size_t part) {
	struct part *text = &output->items.items[index].parts[part];
	const struct event_entry of = {.item = (uint16_t)index, .part = (uint8_t)part};
	if (event_log_collect(&output->events, 0, of, text) || tell(output, EVENT_DONE, index, part)) {
		return -1;
	}
	return text->kind == PART_ARGUMENTS ? 0 : tell(output, EVENT_PART_DONE, index, part);
}

/* Only its last part is open: the ones before were closed when it began. */
static int close_item(struct output *output, size_t index, enum item_status status) {
	struct item *item = &output->items.items[index];
	if (output_flush(output) || (item->part_count && close_part(output, index, item->part_count - 1))) {
		return -1;
	}
	item_end(item, status);
	if (output->closing && output->closing(output->owner, item)) {
		return -1;
	}
	return tell(output, EVENT_ITEM_DONE, index, 0);
}

static int close_open(struct output *output, enum item_status status) {
	if (output->open < 0) {
		return 0;
	}
	size_t index = (size_t)output->open;
	output->open = -1;
	return close_item(output, index, status);
}

int output_close(struct output *output, enum item_status status) {
	int result = output_flush(output) | close_open(output, status);
	for (size_t i = 0; i < output->call_count; i++) {
		result |= close_item(output, output->calls[i], status);
	}
	output->call_count = 0;
	return result;
}

/* --- opening -------------------------------------------------------------------------------------------------------- */

/* -1, or the index of a new item of this kind. */
static int open_item(struct output *output, enum item_kind kind) {
	struct item item = {.kind = kind, .role = ROLE_ASSISTANT, .status = ITEM_IN_PROGRESS};
	size_t index = output->items.count;
	id_make(item.id, item_id_prefix(kind), output->now_ms);
	if (index >= EVENT_LOG_MAX_ITEMS || item_list_add(&output->items, &item)) {
		return -1;
	}
	return (int)index;
}

static int open_part(struct output *output, size_t index, enum part_kind kind) {
	struct item *item = &output->items.items[index];
	if (item->part_count >= EVENT_LOG_MAX_PARTS || !item_add_part(item, kind, STR(""))) {
		return -1;
	}
	return kind == PART_ARGUMENTS ? 0 : tell(output, EVENT_PART_ADDED, index, item->part_count - 1);
}

/* A part of this kind is the last of the open item, which is of the right kind. */
static int go_on_with(struct output *output, size_t index, enum part_kind part) {
	const struct item *item = &output->items.items[index];
	size_t last = item->part_count - 1;
	if (item->parts[last].kind == part) {
		return 0;
	}
	return output_flush(output) || close_part(output, index, last) ? -1 : open_part(output, index, part);
}

/* The open item becomes one of this kind whose last part is of that kind. */
static int open_text(struct output *output, enum item_kind kind, enum part_kind part) {
	if (output->open >= 0 && output->items.items[output->open].kind == kind) {
		return go_on_with(output, (size_t)output->open, part);
	}
	if (output_flush(output) || close_open(output, ITEM_COMPLETED)) {
		return -1;
	}
	int index = open_item(output, kind);
	if (index < 0 || tell(output, EVENT_ITEM_ADDED, (size_t)index, 0)) {
		return -1;
	}
	output->open = index;
	return open_part(output, (size_t)index, part);
}

int output_open_message(struct output *output) {
	return open_text(output, ITEM_MESSAGE, PART_OUTPUT_TEXT);
}

static int name_call(struct item *item, const struct chat_delta *delta, int64_t now_ms) {
	if (delta->call_id.length) {
		return str_copy(item->call_id, sizeof item->call_id, delta->call_id) |
		       str_copy(item->name, sizeof item->name, delta->call_name);
	}
	char id[ID_SIZE];
	id_make(id, "call", now_ms);
	str_copy_cut(item->call_id, sizeof item->call_id, str_of(id));
	return str_copy(item->name, sizeof item->name, delta->call_name);
}

static int open_call(struct output *output, const struct chat_delta *delta) {
	uint16_t *calls = mem_realloc(output->calls, (output->call_count + 1) * sizeof *calls);
	if (!calls) {
		return -1;
	}
	output->calls = calls;
	if (output_flush(output) || close_open(output, ITEM_COMPLETED)) {
		return -1;
	}
	int index = open_item(output, ITEM_FUNCTION_CALL);
	if (index < 0 || name_call(&output->items.items[index], delta, output->now_ms) ||
	    tell(output, EVENT_ITEM_ADDED, (size_t)index, 0)) {
		return -1;
	}
	calls[output->call_count++] = (uint16_t)index;
	return open_part(output, (size_t)index, PART_ARGUMENTS);
}

/* --- what comes ----------------------------------------------------------------------------------------------------- */

/* Text of another part than the one that waits makes an event of that. */
static int add_text(struct output *output, size_t item, const struct chat_delta *delta) {
	const struct event_entry to = {.item = (uint16_t)item,
				       .part = (uint8_t)(output->items.items[item].part_count - 1)};
	if ((to.item != output->pending.item || to.part != output->pending.part) && output_flush(output)) {
		return -1;
	}
	output->pending = to;
	if (delta->logprobs.length && event_log_add_side(&output->events, delta->logprobs)) {
		return -1;
	}
	return event_log_add_text(&output->events, delta->text);
}

static int add_call(struct output *output, const struct chat_delta *delta) {
	if (delta->call_begins && open_call(output, delta)) {
		return -1;
	}
	return delta->call < output->call_count ? add_text(output, output->calls[delta->call], delta) : -1;
}

static int add_annotation(struct output *output, const struct chat_delta *delta) {
	if (output_open_message(output) || output_flush(output) || event_log_add_side(&output->events, delta->text)) {
		return -1;
	}
	size_t item = (size_t)output->open;
	return tell(output, EVENT_ANNOTATION, item, output->items.items[item].part_count - 1);
}

static int add_words(struct output *output, enum item_kind kind, enum part_kind part, const struct chat_delta *delta) {
	return open_text(output, kind, part) ? -1 : add_text(output, (size_t)output->open, delta);
}

int output_add(struct output *output, const struct chat_delta *delta) {
	switch (delta->kind) {
	case CHAT_DELTA_TEXT:
		return add_words(output, ITEM_MESSAGE, PART_OUTPUT_TEXT, delta);
	case CHAT_DELTA_REASONING:
		return add_words(output, ITEM_REASONING, PART_REASONING_TEXT, delta);
	case CHAT_DELTA_REFUSAL:
		return add_words(output, ITEM_MESSAGE, PART_REFUSAL, delta);
	case CHAT_DELTA_CALL:
		return add_call(output, delta);
	case CHAT_DELTA_ANNOTATION:
		return add_annotation(output, delta);
	}
	return -1;
}

/* --- looking at it in mid-stream ------------------------------------------------------------------------------------ */

static bool is_closed(const struct item *item) {
	return item->status != ITEM_IN_PROGRESS;
}

static int fill(const struct output *output, size_t index, struct item *item) {
	for (size_t p = 0; p < item->part_count; p++) {
		const struct event_entry of = {.item = (uint16_t)index, .part = (uint8_t)p};
		if (event_log_collect(&output->events, 0, of, &item->parts[p])) {
			return -1;
		}
	}
	return 0;
}

int output_snapshot(const struct output *output, struct item_list *items) {
	struct item_list copy;
	if (item_list_copy(&copy, &output->items)) {
		return -1;
	}
	for (size_t i = 0; i < copy.count; i++) {
		if (!is_closed(&copy.items[i]) && fill(output, i, &copy.items[i])) {
			item_list_free(&copy);
			return -1;
		}
	}
	*items = copy;
	return 0;
}
