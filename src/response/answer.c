#include "answer.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

void answer_init(struct answer *answer) {
	*answer = (struct answer){.open = -1};
}

void answer_free(struct answer *answer) {
	event_log_free(&answer->events);
	item_list_free(&answer->items);
	mem_free(answer->calls);
	answer_init(answer);
}

/* --- events --------------------------------------------------------------------------------------------------------- */

static int tell(struct answer *answer, enum event_kind kind, size_t item, size_t part) {
	return event_log_append(&answer->events, kind, (uint32_t)item, (uint32_t)part);
}

int answer_flush(struct answer *answer) {
	if (!event_log_has_pending(&answer->events)) {
		return 0;
	}
	return tell(answer, EVENT_DELTA, answer->pending.item, answer->pending.part);
}

/* --- closing -------------------------------------------------------------------------------------------------------- */

static int close_part(struct answer *answer, size_t index, size_t part) {
	struct part *text = &answer->items.items[index].parts[part];
	const struct event_entry of = {.item = (uint16_t)index, .part = (uint8_t)part};
	if (event_log_collect(&answer->events, 0, of, text) || tell(answer, EVENT_DONE, index, part)) {
		return -1;
	}
	return text->kind == PART_ARGUMENTS ? 0 : tell(answer, EVENT_PART_DONE, index, part);
}

/* An answer that was cut off may have whole function calls before the one that it was cut off in. */
static bool is_whole_call(const struct item *item) {
	const struct part *arguments = item->kind == ITEM_FUNCTION_CALL ? item_part(item, PART_ARGUMENTS) : NULL;
	return arguments && json_check((struct str){arguments->text, arguments->length}, NULL) == 0;
}

/* Only its last part is open: the ones before were closed when it began. */
static int close_item(struct answer *answer, size_t index, enum item_status status) {
	struct item *item = &answer->items.items[index];
	if (answer_flush(answer) || (item->part_count && close_part(answer, index, item->part_count - 1))) {
		return -1;
	}
	item->status = is_whole_call(item) ? ITEM_COMPLETED : status;
	if (answer->closing && answer->closing(answer->owner, item)) {
		return -1;
	}
	return tell(answer, EVENT_ITEM_DONE, index, 0);
}

static int close_open(struct answer *answer, enum item_status status) {
	if (answer->open < 0) {
		return 0;
	}
	size_t index = (size_t)answer->open;
	answer->open = -1;
	return close_item(answer, index, status);
}

int answer_close(struct answer *answer, enum item_status status) {
	int result = answer_flush(answer) | close_open(answer, status);
	for (size_t i = 0; i < answer->call_count; i++) {
		result |= close_item(answer, answer->calls[i], status);
	}
	answer->call_count = 0;
	return result;
}

/* --- opening -------------------------------------------------------------------------------------------------------- */

/* -1, or the index of a new item of this kind. */
static int open_item(struct answer *answer, enum item_kind kind) {
	struct item item = {.kind = kind, .role = ROLE_ASSISTANT, .status = ITEM_IN_PROGRESS};
	size_t index = answer->items.count;
	id_make(item.id, item_id_prefix(kind), answer->now_ms);
	if (index >= EVENT_LOG_MAX_ITEMS || item_list_add(&answer->items, &item)) {
		return -1;
	}
	return (int)index;
}

static int open_part(struct answer *answer, size_t index, enum part_kind kind) {
	struct item *item = &answer->items.items[index];
	if (item->part_count >= EVENT_LOG_MAX_PARTS || !item_add_part(item, kind, STR(""))) {
		return -1;
	}
	return kind == PART_ARGUMENTS ? 0 : tell(answer, EVENT_PART_ADDED, index, item->part_count - 1);
}

/* The open item becomes one of this kind whose last part is of that kind. */
static int open_text(struct answer *answer, enum item_kind kind, enum part_kind part) {
	struct item *item = answer->open < 0 ? NULL : &answer->items.items[answer->open];
	if (item && item->kind == kind && item->parts[item->part_count - 1].kind == part) {
		return 0;
	}
	if (item && item->kind == kind) {
		size_t index = (size_t)answer->open;
		return answer_flush(answer) || close_part(answer, index, item->part_count - 1)
			       ? -1
			       : open_part(answer, index, part);
	}
	if (close_open(answer, ITEM_COMPLETED)) {
		return -1;
	}
	int index = open_item(answer, kind);
	if (index < 0 || tell(answer, EVENT_ITEM_ADDED, (size_t)index, 0)) {
		return -1;
	}
	answer->open = index;
	return open_part(answer, (size_t)index, part);
}

int answer_open_message(struct answer *answer) {
	return open_text(answer, ITEM_MESSAGE, PART_OUTPUT_TEXT);
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

static int open_call(struct answer *answer, const struct chat_delta *delta) {
	uint16_t *calls = mem_realloc(answer->calls, (answer->call_count + 1) * sizeof *calls);
	if (!calls) {
		return -1;
	}
	answer->calls = calls;
	if (answer_flush(answer) || close_open(answer, ITEM_COMPLETED)) {
		return -1;
	}
	int index = open_item(answer, ITEM_FUNCTION_CALL);
	if (index < 0 || name_call(&answer->items.items[index], delta, answer->now_ms) ||
	    tell(answer, EVENT_ITEM_ADDED, (size_t)index, 0)) {
		return -1;
	}
	calls[answer->call_count++] = (uint16_t)index;
	return open_part(answer, (size_t)index, PART_ARGUMENTS);
}

/* --- what comes ----------------------------------------------------------------------------------------------------- */

/* Text of another part than the one that waits makes an event of that. */
static int add_text(struct answer *answer, size_t item, const struct chat_delta *delta) {
	const struct event_entry to = {.item = (uint16_t)item,
				       .part = (uint8_t)(answer->items.items[item].part_count - 1)};
	if ((to.item != answer->pending.item || to.part != answer->pending.part) && answer_flush(answer)) {
		return -1;
	}
	answer->pending = to;
	if (delta->logprobs.length && event_log_add_side(&answer->events, delta->logprobs)) {
		return -1;
	}
	return event_log_add_text(&answer->events, delta->text);
}

static int add_call(struct answer *answer, const struct chat_delta *delta) {
	if (delta->call_begins && open_call(answer, delta)) {
		return -1;
	}
	return delta->call < answer->call_count ? add_text(answer, answer->calls[delta->call], delta) : -1;
}

static int add_annotation(struct answer *answer, const struct chat_delta *delta) {
	if (answer_open_message(answer) || answer_flush(answer) || event_log_add_side(&answer->events, delta->text)) {
		return -1;
	}
	size_t item = (size_t)answer->open;
	return tell(answer, EVENT_ANNOTATION, item, answer->items.items[item].part_count - 1);
}

static int add_words(struct answer *answer, enum item_kind kind, enum part_kind part, const struct chat_delta *delta) {
	return open_text(answer, kind, part) ? -1 : add_text(answer, (size_t)answer->open, delta);
}

int answer_add(struct answer *answer, const struct chat_delta *delta) {
	switch (delta->kind) {
	case CHAT_DELTA_TEXT:
		return add_words(answer, ITEM_MESSAGE, PART_OUTPUT_TEXT, delta);
	case CHAT_DELTA_REASONING:
		return add_words(answer, ITEM_REASONING, PART_REASONING_TEXT, delta);
	case CHAT_DELTA_REFUSAL:
		return add_words(answer, ITEM_MESSAGE, PART_REFUSAL, delta);
	case CHAT_DELTA_CALL:
		return add_call(answer, delta);
	case CHAT_DELTA_ANNOTATION:
		return add_annotation(answer, delta);
	}
	return -1;
}

/* --- looking at it in mid-stream ------------------------------------------------------------------------------------ */

static bool is_closed(const struct item *item) {
	return item->status != ITEM_IN_PROGRESS;
}

static int fill(const struct answer *answer, size_t index, struct item *item) {
	for (size_t p = 0; p < item->part_count; p++) {
		const struct event_entry of = {.item = (uint16_t)index, .part = (uint8_t)p};
		if (event_log_collect(&answer->events, 0, of, &item->parts[p])) {
			return -1;
		}
	}
	return 0;
}

int answer_snapshot(const struct answer *answer, struct item_list *items) {
	struct item_list copy;
	if (item_list_copy(&copy, &answer->items)) {
		return -1;
	}
	for (size_t i = 0; i < copy.count; i++) {
		if (!is_closed(&copy.items[i]) && fill(answer, i, &copy.items[i])) {
			item_list_free(&copy);
			return -1;
		}
	}
	*items = copy;
	return 0;
}
