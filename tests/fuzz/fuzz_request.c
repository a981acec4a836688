/* Whatever is sent as a request is read or refused with a whole error; and what is read, is stored and read back the
 * same. The first byte chooses the transport. */
#include <stdlib.h>
#include <string.h>

#include "proto/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth) {
	if (!truth) {
		abort();
	}
}

static void check_error(const struct api_error *error) {
	require(error->code > API_OK && error->code < API_ERROR_COUNT);
	require(error->message[0] && str_is_utf8(str_of(error->message)) && str_is_utf8(str_of(error->param)));
	struct buf out = BUF_INIT;
	api_error_write_event(&out, error);
	struct json *json = json_parse(buf_str(&out), NULL);
	require(json != NULL);
	json_free(&json);
	buf_free(&out);
}

static void check_item(const struct item *item) {
	struct buf first = BUF_INIT;
	struct buf second = BUF_INIT;
	struct item again;
	item_write(&first, item);
	require(item_read_stored(buf_str(&first), &again, NULL) == 0);
	item_write(&second, &again);
	require(str_equal(buf_str(&first), buf_str(&second)));
	item_free(&again);
	buf_free(&first);
	buf_free(&second);
}

static void check_settings(const struct request_settings *settings) {
	struct buf first = BUF_INIT;
	struct buf second = BUF_INIT;
	struct request_settings again;
	request_settings_write(&first, settings);
	require(request_settings_read(buf_str(&first), &again, NULL) == 0);
	request_settings_write(&second, &again);
	require(str_equal(buf_str(&first), buf_str(&second)));
	request_settings_free(&again);
	buf_free(&first);
	buf_free(&second);
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
	if (request_read(json, transport, 1790000000000, &request, &error) != 0) {
		check_error(&error);
	} else {
		require(request.input.count > 0);
		for (size_t i = 0; i < request.input.count; i++) {
			check_item(&request.input.items[i]);
		}
		check_settings(&request.settings);
		request_free(&request);
	}
	json_free(&json);
	return 0;
}
