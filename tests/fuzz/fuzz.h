/* What fuzz targets share: a broken promise aborts, which the fuzzer reports with the input that broke it. */
#ifndef SLUICE_TESTS_FUZZ_H
#define SLUICE_TESTS_FUZZ_H

#include <stdlib.h>

#include "proto/error.h"
#include "proto/file.h"
#include "proto/item.h"

#define FUZZ_NOW_MS INT64_C(1790000000000)

static inline void require(bool truth) {
	if (!truth) {
		abort();
	}
}

/* Whole: a code of the table, texts that are UTF-8, and JSON in both forms. */
static inline void check_error(const struct api_error *error) {
	require(error->code > API_OK && error->code < API_ERROR_COUNT);
	require(error->message[0] && str_is_utf8(str_of(error->message)) && str_is_utf8(str_of(error->param)));
	struct buf out = BUF_INIT;
	api_error_write_event(&out, error);
	struct json *json = json_parse(buf_str(&out), NULL);
	require(json != NULL);
	json_free(&json);
	buf_free(&out);
}

/* Writes the item, which is freed, and compares. */
static inline void require_written(struct item *item, struct str expected) {
	struct buf out = BUF_INIT;
	item_write(&out, item);
	require(str_equal(buf_str(&out), expected));
	buf_free(&out);
	item_free(item);
}

static inline void check_files(const struct item *item) {
	for (size_t i = 0; i < item->part_count; i++) {
		struct buf text = BUF_INIT;
		if (item->parts[i].kind == PART_INPUT_FILE && file_text(&item->parts[i], &text) == 0) {
			require(str_is_utf8(buf_str(&text)));
		}
		buf_free(&text);
	}
}

/* What was read is written as JSON that reads back the same: from the store, sent back, and copied. */
static inline void check_item(const struct item *item) {
	struct buf written = BUF_INIT;
	struct item again;
	struct api_error error;
	item_write(&written, item);
	struct json *json = json_parse(buf_str(&written), NULL);
	require(json != NULL && item->id[0]);
	require(str_is(json_str(json_get(json, "id")), item->id));
	require(item_read(json, "item", FUZZ_NOW_MS, &again, &error) == 0);
	require_written(&again, buf_str(&written));
	require(item_read_stored(buf_str(&written), &again, NULL) == 0);
	require_written(&again, buf_str(&written));
	require(item_copy(&again, item) == 0);
	require_written(&again, buf_str(&written));
	check_files(item);
	json_free(&json);
	buf_free(&written);
}

#endif
