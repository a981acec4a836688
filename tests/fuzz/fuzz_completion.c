/* Whatever is sent as a Chat Completions request is read or refused with a whole error; what is read can be stored and read
 * back the same, and what is handed on is JSON. */
#include "fuzz.h"
#include "proto/completion.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_members(const char *members) {
	struct buf out = BUF_INIT;
	buf_printf(&out, "{\"model\":\"m\"%s}", members ? members : "");
	struct json *json = json_parse(buf_str(&out), NULL);
	require(json != NULL);
	json_free(&json);
	buf_free(&out);
}

static void check_settings(const struct request_settings *settings) {
	struct buf first = BUF_INIT, second = BUF_INIT;
	struct request_settings again;
	request_settings_write(&first, settings);
	if (settings->store) {
		require(request_settings_read(buf_str(&first), &again, NULL) == 0);
		request_settings_write(&second, &again);
		require(str_equal(buf_str(&first), buf_str(&second)));
		request_settings_free(&again);
	}
	buf_free(&first);
	buf_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct json *json = json_parse((struct str){(const char *)data, size}, NULL);
	struct completion_request completion;
	struct api_error error;
	if (!json) {
		return 0;
	}
	if (completion_request_read(json, FUZZ_NOW_MS, &completion, &error) != 0) {
		check_error(&error);
		completion_translate_error(&error);
		check_error(&error);
	} else {
		require(completion.request.input.count > 0);
		/* What may be said here alone can't be stored, and so is not sent back. */
		for (size_t i = 0; completion.request.settings.store && i < completion.request.input.count; i++) {
			check_item(&completion.request.input.items[i]);
		}
		check_settings(&completion.request.settings);
		check_members(completion.request.settings.chat_members);
		completion_request_free(&completion);
	}
	json_free(&json);
	return 0;
}
