/* Whatever is sent as an item is read or refused with a whole error; and what is read, writes and reads back the same. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct json *json = json_parse((struct str){(const char *)data, size}, NULL);
	if (!json) {
		return 0;
	}
	struct item item;
	struct api_error error;
	if (item_read(json, "input[0]", FUZZ_NOW_MS, &item, &error) != 0) {
		check_error(&error);
	} else {
		check_item(&item);
		item_free(&item);
	}
	json_free(&json);
	return 0;
}
