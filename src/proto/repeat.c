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

static void write_item(struct json_writer *w, const struct item *item) {
	jw_object(w);
	jw_key(w, "role");
	jw_text(w, item_role_name(item->role));
	jw_key(w, "content");
	jw_array(w);
	for (size_t i = 0; i < item->part_count; i++) {
		jw_str(w, (struct str){item->parts[i].text, item->parts[i].length});
	}
	jw_array_end(w);
	jw_object_end(w);
}

void request_write_asked(struct buf *out, const struct request *request) {
	struct json_writer w = json_writer(out);
	jw_array(&w);
	jw_text(&w, request->previous_response_id);
	jw_bool(&w, request->prepare_only);
	for (size_t i = 0; i < request->input.count; i++) {
		write_item(&w, &request->input.items[i]);
	}
	jw_array_end(&w);
	request_settings_write(out, &request->settings);
}
