#include "upstream/chat.h"

#include <string.h>

#include "base/json.h"
#include "chunk_parse.h"
#include "chunk_scan.h"

/* `developer` is the newer name of `system`; the templates of many local models know only the older. */
static const char *wire_role(const char *role) {
	return strcmp(role, "developer") == 0 ? "system" : role;
}

void chat_request_write(struct buf *out, const struct chat_request *request) {
	struct json_writer w = json_writer(out);
	jw_object(&w);
	jw_key(&w, "model");
	jw_text(&w, request->model);
	jw_key(&w, "messages");
	jw_array(&w);
	for (size_t i = 0; i < request->message_count; i++) {
		jw_object(&w);
		jw_key(&w, "role");
		jw_text(&w, wire_role(request->messages[i].role));
		jw_key(&w, "content");
		jw_str(&w, request->messages[i].part_count ? request->messages[i].parts[0].text : STR(""));
		jw_object_end(&w);
	}
	jw_array_end(&w);
	jw_key(&w, "stream");
	jw_bool(&w, true);
	jw_key(&w, "stream_options");
	jw_object(&w);
	jw_key(&w, "include_usage");
	jw_bool(&w, true);
	jw_object_end(&w);
	if (request->has_temperature) {
		jw_key(&w, "temperature");
		jw_double(&w, request->temperature);
	}
	if (request->has_top_p) {
		jw_key(&w, "top_p");
		jw_double(&w, request->top_p);
	}
	if (request->has_max_tokens) {
		jw_key(&w, "max_tokens");
		jw_int(&w, request->max_tokens);
	}
	jw_object_end(&w);
}

int chat_chunk_read(struct str data, struct buf *scratch, struct chat_chunk *chunk, struct err *err) {
	struct chat_chunk read = {0};
	if (!chunk_scan(data, scratch, &read.text)) {
		if (str_is(str_trim(data), "[DONE]")) {
			read.done = true;
		} else if (chunk_parse(data, scratch, &read, err)) {
			return -1;
		}
	}
	*chunk = read;
	return 0;
}

void chat_error_read(struct str body, char *message, size_t message_size, char *code, size_t code_size) {
	struct chat_chunk chunk = {0};
	struct buf scratch = BUF_INIT;
	if (chunk_parse(body, &scratch, &chunk, NULL) == 0 && chunk.is_error) {
		str_copy_cut(message, message_size, str_of(chunk.error_text));
		str_copy_cut(code, code_size, str_of(chunk.error_code));
	} else {
		str_copy_cut(message, message_size, str_is_utf8(body) ? str_trim(body) : STR_NONE);
		str_copy_cut(code, code_size, STR_NONE);
	}
	buf_free(&scratch);
}
