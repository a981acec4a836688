/* Whatever is sent as a request is read or refused with a whole error; and what is read, is shown, stored and read back the
 * same. The first byte chooses the transport: 'h' or 'w' in the seeds. */
#include "fuzz.h"
#include "proto/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require_stored(struct request_settings *settings, struct str expected) {
	struct buf out = BUF_INIT;
	request_settings_write(&out, settings);
	require(str_equal(buf_str(&out), expected));
	buf_free(&out);
	request_settings_free(settings);
}

static void check_settings(const struct request_settings *settings) {
	struct buf stored = BUF_INIT;
	struct request_settings again;
	request_settings_write(&stored, settings);
	require(request_settings_read(buf_str(&stored), &again, NULL) == 0);
	require_stored(&again, buf_str(&stored));
	require(request_settings_copy(&again, settings) == 0);
	require_stored(&again, buf_str(&stored));
	buf_free(&stored);
}

/* What a response repeats is JSON, and what is asked is text. */
static void check_written(const struct request *request) {
	struct buf out = BUF_INIT;
	struct json_writer w = json_writer(&out);
	jw_object(&w);
	request_settings_echo(&w, &request->settings);
	jw_object_end(&w);
	struct json *json = json_parse(buf_str(&out), NULL);
	require(json != NULL && json_get(json, "tool_choice") && json_get(json, "service_tier"));
	json_free(&json);
	buf_clear(&out);
	request_write_asked(&out, request);
	require(!out.failed && out.length > 0 && str_is_utf8(buf_str(&out)));
	buf_free(&out);
}

static void check_request(const struct request *request) {
	require(request->input.count > 0 || request->previous_response_id[0] || request->conversation[0]);
	require(!request->previous_response_id[0] || !request->conversation[0]);
	for (size_t i = 0; i < request->input.count; i++) {
		check_item(&request->input.items[i]);
	}
	check_settings(&request->settings);
	check_written(request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	if (size == 0) {
		return 0;
	}
	struct json *json = json_parse((struct str){(const char *)data + 1, size - 1}, NULL);
	if (!json) {
		return 0;
	}
	struct request request;
	struct api_error error;
	enum request_transport transport = data[0] & 1 ? REQUEST_WEBSOCKET : REQUEST_HTTP;
	if (request_read(json, transport, FUZZ_NOW_MS, &request, &error) != 0) {
		check_error(&error);
	} else {
		check_request(&request);
		request_free(&request);
	}
	json_free(&json);
	return 0;
}
