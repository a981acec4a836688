#include "proto/item.h"

#include <string.h>

#include "base/mem.h"
#include "item_parts.h"

const char *const item_role_names[ITEM_ROLES] = {
	[ROLE_USER] = "user", [ROLE_ASSISTANT] = "assistant", [ROLE_SYSTEM] = "system", [ROLE_DEVELOPER] = "developer"};
const char *const item_status_names[ITEM_STATUSES] = {
	[ITEM_IN_PROGRESS] = "in_progress", [ITEM_COMPLETED] = "completed", [ITEM_INCOMPLETE] = "incomplete"};
const char *const item_phase_names[ITEM_PHASES] = {
	[PHASE_NONE] = "", [PHASE_COMMENTARY] = "commentary", [PHASE_FINAL_ANSWER] = "final_answer"};

static const struct {
	const char *name; /* its `type`; NULL: it names itself */
	const char *prefix;
} kinds[] = {
	[ITEM_MESSAGE] = {"message", "msg"},
	[ITEM_FUNCTION_CALL] = {"function_call", "fc"},
	[ITEM_FUNCTION_CALL_OUTPUT] = {"function_call_output", "fco"},
	[ITEM_REASONING] = {"reasoning", "rs"},
	[ITEM_COMPACTION] = {"compaction", "cmp"},
	[ITEM_REFERENCE] = {"item_reference", "ref"},
	[ITEM_EXTENSION] = {NULL, "ext"},
};

static const char *const part_names[] = {
	[PART_INPUT_TEXT] = "input_text",
	[PART_OUTPUT_TEXT] = "output_text",
	[PART_REFUSAL] = "refusal",
	[PART_INPUT_IMAGE] = "input_image",
	[PART_INPUT_FILE] = "input_file",
	[PART_INPUT_VIDEO] = "input_video",
	[PART_SUMMARY_TEXT] = "summary_text",
	[PART_REASONING_TEXT] = "reasoning_text",
	[PART_ENCRYPTED] = "encrypted_content",
	[PART_ARGUMENTS] = "arguments",
	[PART_OUTPUT] = "output",
	[PART_JSON] = "",
};

/* --- names ---------------------------------------------------------------------------------------------------------- */

const char *item_role_name(enum item_role role) {
	return item_role_names[role];
}

const char *item_status_name(enum item_status status) {
	return item_status_names[status];
}

const char *item_kind_name(enum item_kind kind) {
	return kinds[kind].name;
}

const char *item_id_prefix(enum item_kind kind) {
	return kinds[kind].prefix;
}

const char *item_part_name(enum part_kind kind) {
	return part_names[kind];
}

enum part_kind item_part_kind(enum item_role role) {
	return role == ROLE_ASSISTANT ? PART_OUTPUT_TEXT : PART_INPUT_TEXT;
}

/* --- memory --------------------------------------------------------------------------------------------------------- */

static void part_free(struct part *part) {
	mem_free(part->text);
	mem_free(part->filename);
	mem_free(part->detail);
	mem_free(part->annotations);
	mem_free(part->logprobs);
	*part = (struct part){0};
}

void item_free(struct item *item) {
	for (size_t i = 0; i < item->part_count; i++) {
		part_free(&item->parts[i]);
	}
	mem_free(item->parts);
	*item = (struct item){0};
}

void item_list_free(struct item_list *list) {
	for (size_t i = 0; i < list->count; i++) {
		item_free(&list->items[i]);
	}
	mem_free(list->items);
	*list = (struct item_list){0};
}

/* From 1 on: most questions and answers are one item, and thousands of them are alive at once. */
int item_list_add(struct item_list *list, struct item *item) {
	if (list->count == list->capacity) {
		size_t capacity = list->capacity > 0 ? list->capacity * 2 : 1;
		if (capacity > SIZE_MAX / sizeof *list->items) {
			return -1;
		}
		struct item *items = mem_realloc(list->items, capacity * sizeof *items);
		if (!items) {
			return -1;
		}
		list->items = items;
		list->capacity = capacity;
	}
	list->items[list->count++] = *item;
	*item = (struct item){0};
	return 0;
}

/* Room is made for 1, 2, 4, 8 … parts: a power of two that is full means that there is no more. */
static int make_room(struct item *item) {
	size_t count = item->part_count;
	if (count & (count - 1)) {
		return 0;
	}
	size_t capacity = count ? count * 2 : 1;
	if (capacity > SIZE_MAX / sizeof *item->parts) {
		return -1;
	}
	struct part *parts = mem_realloc(item->parts, capacity * sizeof *parts);
	if (!parts) {
		return -1;
	}
	item->parts = parts;
	return 0;
}

struct part *item_add_part(struct item *item, enum part_kind kind, struct str text) {
	char *copy = mem_memdup_str(text.data, text.length);
	if (!copy || make_room(item)) {
		mem_free(copy);
		return NULL;
	}
	struct part *part = &item->parts[item->part_count++];
	*part = (struct part){.kind = kind, .text = copy, .length = text.length};
	return part;
}

/* NULL stays NULL. */
static int copy_text(char **to, const char *from) {
	*to = mem_strdup(from);
	return from && !*to ? -1 : 0;
}

static int copy_part(struct item *to, const struct part *from) {
	struct part *part = item_add_part(to, from->kind, (struct str){from->text, from->length});
	if (!part) {
		return -1;
	}
	return copy_text(&part->filename, from->filename) | copy_text(&part->detail, from->detail) |
	       copy_text(&part->annotations, from->annotations) | copy_text(&part->logprobs, from->logprobs);
}

int item_copy(struct item *to, const struct item *from) {
	struct item copy = *from;
	copy.parts = NULL;
	copy.part_count = 0;
	for (size_t i = 0; i < from->part_count; i++) {
		if (copy_part(&copy, &from->parts[i])) {
			item_free(&copy);
			return -1;
		}
	}
	*to = copy;
	return 0;
}

int item_list_copy(struct item_list *to, const struct item_list *from) {
	struct item_list copy = {0};
	for (size_t i = 0; i < from->count; i++) {
		struct item item = {0};
		if (item_copy(&item, &from->items[i]) || item_list_add(&copy, &item)) {
			item_free(&item);
			item_list_free(&copy);
			return -1;
		}
	}
	*to = copy;
	return 0;
}

int part_append(struct part *part, struct str text) {
	if (text.length >= SIZE_MAX - part->length) {
		return -1;
	}
	char *longer = mem_realloc(part->text, part->length + text.length + 1);
	if (!longer) {
		return -1;
	}
	if (text.length) {
		memcpy(longer + part->length, text.data, text.length);
	}
	part->length += text.length;
	longer[part->length] = '\0';
	part->text = longer;
	return 0;
}

int part_append_json(char **elements, struct str more) {
	size_t length = *elements ? strlen(*elements) : 0;
	if (more.length == 0) {
		return 0;
	}
	char *longer = mem_realloc(*elements, length + 1 + more.length + 1);
	if (!longer) {
		return -1;
	}
	if (length) {
		longer[length++] = ',';
	}
	memcpy(longer + length, more.data, more.length);
	longer[length + more.length] = '\0';
	*elements = longer;
	return 0;
}

int item_message(struct item *item, enum item_role role, enum item_status status, const char *id, struct str text) {
	struct item made = {.kind = ITEM_MESSAGE, .role = role, .status = status};
	str_copy_cut(made.id, sizeof made.id, str_of(id));
	if (!item_add_part(&made, item_part_kind(role), text)) {
		item_free(&made);
		return -1;
	}
	*item = made;
	return 0;
}

/* --- looking at one ------------------------------------------------------------------------------------------------- */

static bool is_word(enum part_kind kind) {
	return kind == PART_INPUT_TEXT || kind == PART_OUTPUT_TEXT || kind == PART_REFUSAL;
}

void item_append_text(const struct item *item, struct buf *out) {
	for (size_t i = 0; item->kind == ITEM_MESSAGE && i < item->part_count; i++) {
		if (is_word(item->parts[i].kind)) {
			buf_append(out, item->parts[i].text, item->parts[i].length);
		}
	}
}

const struct part *item_part(const struct item *item, enum part_kind kind) {
	for (size_t i = 0; i < item->part_count; i++) {
		if (item->parts[i].kind == kind) {
			return &item->parts[i];
		}
	}
	return NULL;
}

void item_end(struct item *item, enum item_status status) {
	const struct part *arguments = item->kind == ITEM_FUNCTION_CALL ? item_part(item, PART_ARGUMENTS) : NULL;
	bool is_whole = arguments && json_check((struct str){arguments->text, arguments->length}, NULL) == 0;
	item->status = is_whole ? ITEM_COMPLETED : status;
}
