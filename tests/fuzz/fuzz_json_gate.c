/* Whatever the gate passes, json_parse takes; and what is printed passes again and prints the same. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth) {
	if (!truth) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct str text = {(const char *)data, size};
	struct err err = {0};
	int verdict = json_check(text, &err);
	require(verdict == 0 || (err.code == ERR_INVALID && strstr(err.text, " at byte ")));
	struct json *root = json_parse(text, NULL);
	require((root != NULL) == (verdict == 0));
	if (!root) {
		return 0;
	}
	require(str_is_utf8(text));

	struct buf printed = BUF_INIT;
	json_print(root, &printed);
	require(!printed.failed);
	struct json *again = json_parse(buf_str(&printed), NULL);
	require(again != NULL);
	struct buf twice = BUF_INIT;
	json_print(again, &twice);
	require(str_equal(buf_str(&printed), buf_str(&twice)));

	buf_free(&twice);
	json_free(&again);
	buf_free(&printed);
	json_free(&root);
	return 0;
}
