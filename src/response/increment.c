#include "increment.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

void increment_free(struct increment *increment) {
	mem_free(increment->entries);
	mem_free(increment->side_ends);
	buf_free(&increment->text);
	buf_free(&increment->side);
	for (size_t i = 0; i < increment->item_count; i++) {
		item_free(&increment->items[i].item);
	}
	mem_free(increment->items);
	request_settings_free(&increment->head.settings);
	item_list_free(&increment->head.input);
	mem_free(increment->end.error_message);
	*increment = (struct increment){0};
}

/* --- taking --------------------------------------------------------------------------------------------------------- */

static int take_head(struct increment_head *head, const struct response *from) {
	memcpy(head->conversation_id, from->conversation_id, sizeof head->conversation_id);
	memcpy(head->parent_id, from->parent_id, sizeof head->parent_id);
	memcpy(head->model, from->model, sizeof head->model);
	head->created_ms = from->created_ms;
	head->shown_tokens = from->shown_tokens;
	return request_settings_copy(&head->settings, &from->settings) ||
			       item_list_copy(&head->input, response_input(from))
		       ? -1
		       : 0;
}

static int take_end(struct increment_end *end, const struct response *from) {
	end->status = from->status;
	end->completed_ms = from->completed_ms;
	memcpy(end->reason, from->reason, sizeof end->reason);
	end->failure = from->failure;
	end->usage = from->usage;
	if (from->error_message) {
		end->error_message = mem_strdup(from->error_message);
		return end->error_message ? 0 : -1;
	}
	return 0;
}

static uint32_t side_end(const struct event_log *log, uint32_t count) {
	return count && log->side_ends ? log->side_ends[count - 1] : 0;
}

/* The new part of a text: up to the last event, not what waits for its event. */
static void take_text(struct buf *out, const struct buf *text, uint32_t start, uint32_t end) {
	buf_append(out, text->data + start, end - start);
}

static int take_log(struct increment *increment, const struct event_log *log) {
	const uint32_t first = increment->first;
	const uint32_t count = log->count - first;
	increment->count = count;
	increment->entries = mem_zarray(count + 1, sizeof *increment->entries);
	increment->side_ends = log->side_ends ? mem_zarray(count + 1, sizeof *increment->side_ends) : NULL;
	if (!increment->entries || (log->side_ends && !increment->side_ends)) {
		return -1;
	}
	for (uint32_t i = 0; i < count; i++) {
		increment->entries[i] = event_log_at(log, first + i);
	}
	if (log->side_ends) {
		memcpy(increment->side_ends, log->side_ends + first, count * sizeof *increment->side_ends);
		take_text(&increment->side, &log->side, side_end(log, first), side_end(log, log->count));
	}
	take_text(&increment->text, &log->text, first ? log->ends[first - 1] : 0,
		  log->count ? log->ends[log->count - 1] : 0);
	return increment->text.failed || increment->side.failed ? -1 : 0;
}

static bool has_item(const struct increment *increment, size_t index) {
	for (size_t i = 0; i < increment->item_count; i++) {
		if (increment->items[i].index == index) {
			return true;
		}
	}
	return false;
}

static int take_item(struct increment *increment, const struct item_list *output, size_t index) {
	if (index >= output->count || has_item(increment, index)) {
		return 0;
	}
	struct increment_item *grown =
		mem_realloc(increment->items, (increment->item_count + 1) * sizeof *increment->items);
	if (!grown) {
		return -1;
	}
	increment->items = grown;
	grown[increment->item_count].index = index;
	if (item_copy(&grown[increment->item_count].item, &output->items[index])) {
		return -1;
	}
	increment->item_count++;
	return 0;
}

/* Those that an event changes; a delta changes none: an open item has no text of its own yet. */
static int take_items(struct increment *increment, const struct item_list *output) {
	for (uint32_t i = 0; i < increment->count; i++) {
		const struct event_entry *entry = &increment->entries[i];
		bool changes = !event_is_of_response(entry->kind) && entry->kind != EVENT_DELTA;
		if (changes && take_item(increment, output, entry->item)) {
			return -1;
		}
	}
	return 0;
}

int increment_take(struct increment *increment, struct response *from, uint32_t first) {
	increment->kind = INCREMENT_EVENTS;
	increment->first = first;
	increment->ends = response_over(from);
	if ((first == 0 && take_head(&increment->head, from)) || take_log(increment, &from->output.events) ||
	    take_items(increment, response_output(from)) || (increment->ends && take_end(&increment->end, from))) {
		increment_free(increment);
		return -1;
	}
	return 0;
}

/* --- applying ------------------------------------------------------------------------------------------------------- */

static void apply_head(struct increment_head *head, struct response *to) {
	memcpy(to->conversation_id, head->conversation_id, sizeof to->conversation_id);
	memcpy(to->parent_id, head->parent_id, sizeof to->parent_id);
	memcpy(to->model, head->model, sizeof to->model);
	to->created_ms = head->created_ms;
	to->shown_tokens = head->shown_tokens;
	request_settings_free(&to->settings);
	to->settings = head->settings;
	to->input = head->input;
	head->settings = (struct request_settings){0};
	head->input = (struct item_list){0};
}

static void apply_end(struct increment_end *end, struct response *to) {
	to->status = end->status;
	to->completed_ms = end->completed_ms;
	memcpy(to->reason, end->reason, sizeof to->reason);
	to->failure = end->failure;
	to->usage = end->usage;
	to->error_message = end->error_message;
	end->error_message = NULL;
}

static int apply_items(struct increment *increment, struct item_list *output) {
	for (size_t i = 0; i < increment->item_count; i++) {
		struct increment_item *from = &increment->items[i];
		if (from->index == output->count) {
			if (item_list_add(output, &from->item)) {
				return -1;
			}
		} else if (from->index < output->count) {
			item_free(&output->items[from->index]);
			output->items[from->index] = from->item;
		}
		from->item = (struct item){0};
	}
	return 0;
}

int increment_apply(struct increment *increment, struct response *to) {
	const struct event_log_tail tail = {
		.entries = increment->entries,
		.side_ends = increment->side_ends,
		.count = increment->count,
		.text = buf_str(&increment->text),
		.side = buf_str(&increment->side),
	};
	if (increment->first == 0) {
		apply_head(&increment->head, to);
	}
	if (event_log_join(&to->output.events, &tail) || apply_items(increment, &to->output.items)) {
		return -1;
	}
	if (increment->ends) {
		apply_end(&increment->end, to);
	}
	return 0;
}
