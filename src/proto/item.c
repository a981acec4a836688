#include "proto/item.h"

#include "base/mem.h"
#include "item_parts.h"

static const char *const role_names[] = {
	[ROLE_USER] = "user", [ROLE_ASSISTANT] = "assistant", [ROLE_SYSTEM] = "system", [ROLE_DEVELOPER] = "developer"};
static const char *const status_names[] = {
	[ITEM_IN_PROGRESS] = "in_progress", [ITEM_COMPLETED] = "completed", [ITEM_INCOMPLETE] = "incomplete"};
static const char *const part_names[] = {[PART_INPUT_TEXT] = "input_text", [PART_OUTPUT_TEXT] = "output_text"};

/* The name's index, or -1. */
static int name_index(const char *const *names, size_t count, struct str name) {
	for (size_t i = 0; i < count; i++) {
		if (str_is(name, names[i])) {
			return (int)i;
		}
	}
	return -1;
}

int item_role_parse(struct str name, enum item_role *out) {
	int index = name_index(role_names, sizeof role_names / sizeof role_names[0], name);
	if (index < 0) {
		return -1;
	}
	*out = (enum item_role)index;
	return 0;
}

int item_status_parse(struct str name, enum item_status *out) {
	int index = name_index(status_names, sizeof status_names / sizeof status_names[0], name);
	if (index < 0) {
		return -1;
	}
	*out = (enum item_status)index;
	return 0;
}

const char *item_role_name(enum item_role role) {
	return role_names[role];
}

const char *item_status_name(enum item_status status) {
	return status_names[status];
}

const char *item_part_name(enum part_kind kind) {
	return part_names[kind];
}

void item_free(struct item *item) {
	for (size_t i = 0; i < item->part_count; i++) {
		mem_free(item->parts[i].text);
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

int item_list_add(struct item_list *list, struct item *item) {
	if (list->count == list->capacity) {
		size_t capacity = list->capacity > 0 ? list->capacity * 2 : 4;
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

enum part_kind item_part_kind(enum item_role role) {
	return role == ROLE_ASSISTANT ? PART_OUTPUT_TEXT : PART_INPUT_TEXT;
}

int item_reserve_parts(struct item *item, size_t count) {
	item->parts = mem_zarray(count, sizeof *item->parts);
	return item->parts ? 0 : -1;
}

int item_add_part(struct item *item, struct str text) {
	char *copy = mem_memdup_str(text.data, text.length);
	if (!copy) {
		return -1;
	}
	item->parts[item->part_count++] =
		(struct part){.kind = item_part_kind(item->role), .text = copy, .length = text.length};
	return 0;
}

int item_message(struct item *item, enum item_role role, enum item_status status, const char *id, struct str text) {
	struct item made = {.kind = ITEM_MESSAGE, .role = role, .status = status};
	str_copy_cut(made.id, sizeof made.id, str_of(id));
	if (item_reserve_parts(&made, 1) != 0 || item_add_part(&made, text) != 0) {
		item_free(&made);
		return -1;
	}
	*item = made;
	return 0;
}

void item_append_text(const struct item *item, struct buf *out) {
	for (size_t i = 0; i < item->part_count; i++) {
		buf_append(out, item->parts[i].text, item->parts[i].length);
	}
}

static void write_head(struct json_writer *w, const char *id, enum item_role role, enum item_status status) {
	jw_object(w);
	jw_key(w, "type");
	jw_text(w, "message");
	jw_key(w, "id");
	jw_text(w, id);
	jw_key(w, "status");
	jw_text(w, status_names[status]);
	jw_key(w, "role");
	jw_text(w, role_names[role]);
	jw_key(w, "content");
	jw_array(w);
}

static void write_part(struct json_writer *w, const struct part *part) {
	jw_object(w);
	jw_key(w, "type");
	jw_text(w, part_names[part->kind]);
	jw_key(w, "text");
	jw_str(w, (struct str){part->text, part->length});
	if (part->kind == PART_OUTPUT_TEXT) {
		jw_key(w, "annotations");
		jw_raw(w, STR("[]"));
		jw_key(w, "logprobs");
		jw_raw(w, STR("[]"));
	}
	jw_object_end(w);
}

void item_write(struct buf *out, const struct item *item) {
	struct json_writer w = json_writer(out);
	write_head(&w, item->id, item->role, item->status);
	for (size_t i = 0; i < item->part_count; i++) {
		write_part(&w, &item->parts[i]);
	}
	jw_array_end(&w);
	jw_object_end(&w);
}

void item_write_empty(struct buf *out, const char *id, enum item_role role) {
	struct json_writer w = json_writer(out);
	write_head(&w, id, role, ITEM_IN_PROGRESS);
	jw_array_end(&w);
	jw_object_end(&w);
}
