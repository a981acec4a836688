/* The input of a request: what the user says, or items. */
#include "base/mem.h"
#include "field.h"
#include "proto/request.h"

#define INPUT_MAX 10485760 /* characters of an input that is one text: Open Responses' maxLength */

struct list_reader {
	struct item_list *items;
	int64_t now_ms;
};

static int add_item(const struct field *field, const struct list_reader *reader, struct item *item) {
	if (item_list_add(reader->items, item) != 0) {
		item_free(item);
		return field_no_memory(field);
	}
	return 0;
}

static int read_input_text(const struct field *field, const struct list_reader *reader) {
	struct str text;
	if (field_bounded(field, INPUT_MAX, &text) != 0) {
		return -1;
	}
	if (text.length == 0) {
		return api_error_set(field->error, API_INVALID_VALUE, field->path,
				     "input is empty; send the user's text, or an array of items");
	}
	char id[ID_SIZE];
	id_make(id, item_id_prefix(ITEM_MESSAGE), reader->now_ms);
	struct item item;
	if (item_message(&item, ROLE_USER, ITEM_COMPLETED, id, text) != 0) {
		return field_no_memory(field);
	}
	return add_item(field, reader, &item);
}

static int read_items(const struct field *field, const struct list_reader *reader) {
	if (json_type(field->value) == JSON_STRING) {
		return read_input_text(field, reader);
	}
	if (json_type(field->value) != JSON_ARRAY) {
		return field_wrong_type(field, "a string or an array of items");
	}
	if (!json_first(field->value)) {
		return api_error_set(field->error, API_INVALID_VALUE, field->path,
				     "input is an empty array; send at least one item");
	}
	size_t index = 0;
	for (const struct json *value = json_first(field->value); value; value = json_next(value), index++) {
		struct field element = field_element(field, index, value);
		struct item item;
		if (item_read(value, element.path, reader->now_ms, &item, field->error) != 0 ||
		    add_item(field, reader, &item) != 0) {
			return -1;
		}
	}
	return 0;
}

int request_read_input(const struct json *value, int64_t now_ms, struct item_list *input, struct api_error *error) {
	const struct field field = field_root("input", value, error);
	const struct list_reader reader = {input, now_ms};
	*input = (struct item_list){0};
	if (read_items(&field, &reader) != 0) {
		item_list_free(input);
		return -1;
	}
	return 0;
}
