/* What makes a request the repeat of another: its key, and what it asks for. */
#include "proto/request.h"

int request_read_key(struct str text, const char *param, char key[static REQUEST_KEY_SIZE], struct api_error *error) {
	bool good = text.length > 0 && text.length < REQUEST_KEY_SIZE;
	for (size_t i = 0; good && i < text.length; i++) {
		good = text.data[i] > ' ' && text.data[i] <= '~';
	}
	if (!good) {
		return api_error_set(error, API_INVALID_VALUE, param,
				     "%s must be 1 to %d visible ASCII characters, without spaces", param,
				     REQUEST_KEY_SIZE - 1);
	}
	str_copy(key, REQUEST_KEY_SIZE, text);
	return 0;
}

/* An extension without its id, which may have been made here. */
static void write_extension(struct buf *out, const struct part *whole) {
	struct err err = {0};
	struct json *json = json_parse_stored((struct str){whole->text, whole->length}, &err);
	struct json_writer w = json_writer(out);
	/* Only for want of memory: what is in an extension was read from JSON. */
	out->failed = out->failed || !json;
	jw_object(&w);
	for (const struct json *member = json_first(json); member; member = json_next(member)) {
		if (!str_is(json_key(member), "id")) {
			jw_key_str(&w, json_key(member));
			/* An empty raw value sees to the comma behind it. */
			jw_raw(&w, STR_NONE);
			json_print(member, out);
		}
	}
	jw_object_end(&w);
	json_free(&json);
}

static void write_item(struct json_writer *w, const struct item *item) {
	jw_raw(w, STR_NONE);
	if (item->kind == ITEM_EXTENSION) {
		write_extension(w->out, &item->parts[0]);
		return;
	}
	struct item shown = *item;
	if (item->kind != ITEM_REFERENCE) {
		shown.id[0] = '\0';
	}
	item_write(w->out, &shown);
}

void request_write_asked(struct buf *out, const struct request *request) {
	struct json_writer w = json_writer(out);
	jw_array(&w);
	jw_text(&w, request->previous_response_id);
	jw_text(&w, request->conversation);
	jw_bool(&w, request->prepare_only);
	for (size_t i = 0; i < request->input.count; i++) {
		write_item(&w, &request->input.items[i]);
	}
	jw_text(&w, request->settings.chat_members);
	jw_array_end(&w);
	request_settings_write(out, &request->settings);
}
