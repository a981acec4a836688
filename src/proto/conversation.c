#include "proto/conversation.h"

#include "base/mem.h"
#include "settings_parts.h"

#define MOST_ITEMS 20

/* What each kind of body may have and what it must have. */
static const struct {
	const char *names[2];
	size_t count;
	bool needs_items;
	bool needs_metadata;
} kinds[] = {
	[CONVERSATION_BODY_CREATE] = {{"items", "metadata"}, 2, false, false},
	[CONVERSATION_BODY_UPDATE] = {{"metadata"}, 1, false, true},
	[CONVERSATION_BODY_ITEMS] = {{"items"}, 1, true, false},
};

void conversation_body_free(struct conversation_body *body) {
	item_list_free(&body->items);
	mem_free(body->metadata);
	body->metadata = NULL;
}

static int read_item(const struct field *field, int64_t now_ms, struct item_list *items) {
	struct item item = {0};
	if (item_read(field->value, field->path, now_ms, &item, field->error) != 0) {
		return -1;
	}
	int result = 0;
	if (item.kind == ITEM_REFERENCE) {
		result = api_error_set(field->error, API_UNSUPPORTED, field->path,
				       "%s is an item_reference; send the item itself", field->path);
	} else if (item_list_add(items, &item) != 0) {
		result = field_no_memory(field);
	}
	item_free(&item);
	return result;
}

static int read_items(const struct field *field, bool needed, int64_t now_ms, struct item_list *items) {
	if (!field_given(field)) {
		return needed ? field_missing(field, "an array of items") : 0;
	}
	if (json_type(field->value) != JSON_ARRAY) {
		return field_wrong_type(field, "an array of items");
	}
	size_t count = json_count(field->value);
	if (count > MOST_ITEMS || (needed && count == 0)) {
		return api_error_set(field->error, API_INVALID_VALUE, field->path, "%s must have %s%d items, not %zu",
				     field->path, needed ? "1 to " : "at most ", MOST_ITEMS, count);
	}
	size_t index = 0;
	for (const struct json *one = json_first(field->value); one; one = json_next(one), index++) {
		const struct field element = field_element(field, index, one);
		if (read_item(&element, now_ms, items) != 0) {
			return -1;
		}
	}
	return 0;
}

static int read_metadata(const struct field *field, bool needed, char **metadata) {
	if (field_given(field)) {
		return settings_read_metadata(field, metadata);
	}
	if (needed && !field->value) {
		return field_missing(field, "an object of strings, or null for none");
	}
	*metadata = mem_strdup("{}");
	return *metadata ? 0 : field_no_memory(field);
}

int conversation_body_read(const struct json *object, enum conversation_body_kind kind, int64_t now_ms,
			   struct conversation_body *body, struct api_error *error) {
	const struct field whole = field_root("", object, error);
	const struct field items = field_member(&whole, "items");
	const struct field metadata = field_member(&whole, "metadata");
	struct conversation_body made = {0};
	if (field_object(&whole, "an object", kinds[kind].names, kinds[kind].count) != 0 ||
	    read_items(&items, kinds[kind].needs_items, now_ms, &made.items) != 0 ||
	    read_metadata(&metadata, kinds[kind].needs_metadata, &made.metadata) != 0) {
		conversation_body_free(&made);
		return -1;
	}
	*body = made;
	return 0;
}
