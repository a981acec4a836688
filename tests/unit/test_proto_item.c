#include "proto/item.h"
#include "proto_test.h"

static void read_ok(const char *text, struct item *item) {
	struct json *json = parse(text);
	struct api_error error = {0};
	if (item_read(json, "input[0]", NOW_MS, item, &error) != 0) {
		fail_msg("%s: %s", error.message, text);
	}
	json_free(&json);
}

static void assert_reads_as(const char *text, const char *expected) {
	struct item item;
	struct buf out = BUF_INIT;
	read_ok(text, &item);
	item_write(&out, &item);
	item_free(&item);
	assert_written(&out, expected);
}

static void test_messages(void **state) {
	(void)state;
	assert_reads_as(
		"{\"role\":\"user\",\"content\":\"Hi\\n\\u00e9\",\"id\":\"msg_1\"}",
		"{\"type\":\"message\",\"id\":\"msg_1\",\"status\":\"completed\",\"role\":\"user\",\"content\":[{"
		"\"type\":\"input_text\",\"text\":\"Hi\\n\xC3\xA9\"}]}");
	assert_reads_as(
		"{\"type\":\"message\",\"role\":\"developer\",\"status\":\"incomplete\",\"id\":\"a-B_9\",\"content\":["
		"{\"type\":\"input_text\",\"text\":\"a\"},{\"text\":\"\",\"type\":\"input_text\"}],\"phase\":null}",
		"{\"type\":\"message\",\"id\":\"a-B_9\",\"status\":\"incomplete\",\"role\":\"developer\",\"content\":[{"
		"\"type\":\"input_text\",\"text\":\"a\"},{\"type\":\"input_text\",\"text\":\"\"}]}");
	assert_reads_as(
		"{\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"a\",\"annotations\":[],"
		"\"logprobs\":[]},{\"type\":\"output_text\",\"text\":\"b\",\"logprobs\":null}],\"id\":\"m\"}",
		"{\"type\":\"message\",\"id\":\"m\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{"
		"\"type\":\"output_text\",\"text\":\"a\",\"annotations\":[],\"logprobs\":[]},{\"type\":"
		"\"output_text\",\"text\":\"b\",\"annotations\":[],\"logprobs\":[]}]}");
	assert_reads_as(
		"{\"role\":\"assistant\",\"content\":[],\"id\":\"m\",\"status\":\"in_progress\",\"type\":null}",
		"{\"type\":\"message\",\"id\":\"m\",\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}");
	assert_reads_as("{\"role\":\"system\",\"content\":\"s\",\"id\":\"m\",\"status\":null}",
			"{\"type\":\"message\",\"id\":\"m\",\"status\":\"completed\",\"role\":\"system\",\"content\":[{"
			"\"type\":\"input_text\",\"text\":\"s\"}]}");
}

static void test_a_missing_id_is_made(void **state) {
	(void)state;
	static const char *const texts[] = {"{\"role\":\"user\",\"content\":\"x\"}",
					    "{\"role\":\"user\",\"content\":\"x\",\"id\":null}"};
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct item item;
		read_ok(texts[i], &item);
		assert_true(id_is(str_of(item.id), "msg"));
		char dated[32];
		snprintf(dated, sizeof dated, "msg_%012llx", (unsigned long long)NOW_MS);
		assert_true(str_starts(str_of(item.id), dated));
		item_free(&item);
	}
}

#define USER "{\"role\":\"user\",\"content\":"

static void test_refusals(void **state) {
	(void)state;
	static const struct {
		const char *text;
		enum api_error_code code;
		const char *param;
		const char *message;
	} cases[] = {
		{"7", API_INVALID_TYPE, "input[0]",
		 "input[0] must be an object: a message with role and content, or another item, not a number"},
		{"{}", API_MISSING_FIELD, "input[0].role",
		 "input[0].role is missing; send \"user\", \"assistant\", \"system\" or \"developer\""},
		{"{\"role\":null,\"content\":\"x\"}", API_MISSING_FIELD, "input[0].role",
		 "input[0].role is missing; send \"user\", \"assistant\", \"system\" or \"developer\""},
		{"{\"role\":[],\"content\":\"x\"}", API_INVALID_TYPE, "input[0].role",
		 "input[0].role must be \"user\", \"assistant\", \"system\" or \"developer\", not an array"},
		{"{\"role\":\"tool\",\"content\":\"x\"}", API_INVALID_VALUE, "input[0].role",
		 "input[0].role must be \"user\", \"assistant\", \"system\" or \"developer\", not \"tool\""},
		{"{\"type\":5}", API_INVALID_TYPE, "input[0].type", "input[0].type must be a string, not a number"},
		{"{\"type\":\"massage\",\"role\":\"user\",\"content\":\"x\"}", API_INVALID_VALUE, "input[0].type",
		 "input[0].type must be \"message\", \"function_call\", \"function_call_output\", \"reasoning\", "
		 "\"compaction\", \"item_reference\" or \"vendor:name\", not \"massage\""},
		{"{\"type\":\"mcp_call\"}", API_UNSUPPORTED, "input[0].type",
		 "input[0].type \"mcp_call\" is not supported; leave the item out"},
		{"{\"role\":\"user\"}", API_MISSING_FIELD, "input[0].content",
		 "input[0].content is missing; send a string or an array of parts"},
		{USER "null}", API_MISSING_FIELD, "input[0].content",
		 "input[0].content is missing; send a string or an array of parts"},
		{USER "{}}", API_INVALID_TYPE, "input[0].content",
		 "input[0].content must be a string or an array of parts, not an object"},
		{USER "\"\"}", API_INVALID_VALUE, "input[0].content",
		 "input[0].content is empty; send the message's text"},
		{USER "[]}", API_INVALID_VALUE, "input[0].content",
		 "input[0].content is empty; send the message's text"},
		{USER "[\"x\"]}", API_INVALID_TYPE, "input[0].content[0]",
		 "input[0].content[0] must be an object with a type, not a string"},
		{USER "[{\"text\":\"x\"}]}", API_MISSING_FIELD, "input[0].content[0].type",
		 "input[0].content[0].type is missing; send \"input_text\", \"input_image\" or \"input_file\""},
		{USER "[{\"type\":null,\"text\":\"x\"}]}", API_MISSING_FIELD, "input[0].content[0].type",
		 "input[0].content[0].type is missing; send \"input_text\", \"input_image\" or \"input_file\""},
		{USER "[{\"type\":true}]}", API_INVALID_TYPE, "input[0].content[0].type",
		 "input[0].content[0].type must be a string, not a boolean"},
		{USER "[{\"type\":\"input_text\",\"text\":\"x\"},{\"type\":\"input_audio\"}]}", API_UNSUPPORTED,
		 "input[0].content[1].type",
		 "input[0].content[1].type \"input_audio\" is not supported; send \"input_text\", \"input_image\" or \"input_file\""},
		{USER "[{\"type\":\"output_text\",\"text\":\"x\"}]}", API_INVALID_VALUE, "input[0].content[0].type",
		 "input[0].content[0].type must be \"input_text\", \"input_image\" or \"input_file\" in a message of this role, not \"output_text\""},
		{"{\"role\":\"assistant\",\"content\":[{\"type\":\"input_text\",\"text\":\"x\"}]}", API_INVALID_VALUE,
		 "input[0].content[0].type",
		 "input[0].content[0].type must be \"output_text\" or \"refusal\" in a message of this role, not \"input_text\""},
		{USER "[{\"type\":\"input_text\"}]}", API_MISSING_FIELD, "input[0].content[0].text",
		 "input[0].content[0].text is missing; send a string"},
		{USER "[{\"type\":\"input_text\",\"text\":null}]}", API_INVALID_TYPE, "input[0].content[0].text",
		 "input[0].content[0].text must be a string, not null"},
		{USER "[{\"type\":\"input_text\",\"text\":\"x\",\"annotations\":[]}]}", API_UNKNOWN_FIELD,
		 "input[0].content[0].annotations",
		 "input[0].content[0].annotations is not a known field; remove it, or check its spelling"},
		{"{\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"x\",\"annotations\":[{}]}]}",
		 API_MISSING_FIELD, "input[0].content[0].annotations[0].type",
		 "input[0].content[0].annotations[0].type is missing; send \"url_citation\""},
		{USER "\"x\",\"name\":\"Jo\"}", API_UNKNOWN_FIELD, "input[0].name",
		 "input[0].name is not a known field; remove it, or check its spelling"},
		{USER "\"x\",\"phase\":\"commentary\"}", API_INVALID_VALUE, "input[0].phase",
		 "input[0].phase is of messages of the assistant alone; leave it out"},
		{USER "\"x\",\"id\":1}", API_INVALID_TYPE, "input[0].id", "input[0].id must be a string, not a number"},
		{USER "\"x\",\"id\":\"\"}", API_INVALID_VALUE, "input[0].id",
		 "input[0].id must be 1 to 63 characters of A-Z, a-z, 0-9, _ and -, not \"\""},
		{USER "\"x\",\"id\":\"a/b\"}", API_INVALID_VALUE, "input[0].id",
		 "input[0].id must be 1 to 63 characters of A-Z, a-z, 0-9, _ and -, not \"a/b\""},
		{USER "\"x\",\"status\":\"done\"}", API_INVALID_VALUE, "input[0].status",
		 "input[0].status must be \"in_progress\", \"completed\" or \"incomplete\", not \"done\""},
		{USER "\"x\",\"status\":0}", API_INVALID_TYPE, "input[0].status",
		 "input[0].status must be \"in_progress\", \"completed\" or \"incomplete\", not a number"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct json *json = parse(cases[i].text);
		struct api_error error = {0};
		struct item item = {.id = "kept"};
		assert_int_equal(item_read(json, "input[0]", NOW_MS, &item, &error), -1);
		assert_string_equal(item.id, "kept");
		assert_api_error(&error, cases[i].code, cases[i].param, cases[i].message);
		json_free(&json);
	}
}

static void test_ids_at_their_bound(void **state) {
	(void)state;
	char text[160];
	struct api_error error;
	struct item item;
	for (int length = 63; length <= 64; length++) {
		char id[65];
		memset(id, 'i', sizeof id);
		id[length] = '\0';
		snprintf(text, sizeof text, "{\"role\":\"user\",\"content\":\"x\",\"id\":\"%s\"}", id);
		struct json *json = parse(text);
		if (length == 63) {
			assert_int_equal(item_read(json, "i", NOW_MS, &item, &error), 0);
			assert_string_equal(item.id, id);
			item_free(&item);
		} else {
			assert_int_equal(item_read(json, "i", NOW_MS, &item, &error), -1);
			assert_int_equal(error.code, API_INVALID_VALUE);
		}
		json_free(&json);
	}
}

/* A message of `count` parts, as a client would send it. */
static char *message_of_parts(size_t count) {
	struct buf text = BUF_INIT;
	buf_append_text(&text, "{\"role\":\"assistant\",\"content\":[");
	for (size_t i = 0; i < count; i++) {
		buf_append_text(&text, i > 0 ? "," : "");
		buf_append_text(&text, "{\"type\":\"output_text\",\"text\":\"x\"}");
	}
	buf_append_text(&text, "]}");
	char *whole = buf_take_text(&text);
	assert_non_null(whole);
	return whole;
}

static void test_what_is_read_can_be_stored_and_read_again(void **state) {
	(void)state;
	char *text = message_of_parts(1000);
	struct item item;
	struct item again;
	struct buf first = BUF_INIT;
	struct buf second = BUF_INIT;
	struct err err = {0};
	read_ok(text, &item);
	item_write(&first, &item);
	if (item_read_stored(buf_str(&first), &again, &err) != 0) {
		fail_msg("%s", err.text);
	}
	item_write(&second, &again);
	assert_true(str_equal(buf_str(&first), buf_str(&second)));
	assert_int_equal(again.part_count, 1000);
	item_free(&item);
	item_free(&again);
	buf_free(&first);
	buf_free(&second);
	mem_free(text);

	text = message_of_parts(1001);
	struct json *json = parse(text);
	struct api_error error;
	assert_int_equal(item_read(json, "input[0]", NOW_MS, &item, &error), -1);
	assert_api_error(&error, API_INVALID_VALUE, "input[0].content",
			 "input[0].content must have at most 1000 parts, not 1001");
	json_free(&json);
	mem_free(text);
}

static void test_stored(void **state) {
	(void)state;
	struct item item = {0};
	struct err err = {0};
	/* What a client may not send, but an answer stopped early or an older version may have left. */
	assert_int_equal(item_read_stored(STR("{\"role\":\"user\",\"content\":\"\",\"id\":\"m\"}"), &item, &err), 0);
	assert_string_equal(item.id, "m");
	item_free(&item);
	static const char *const bad[] = {"", "{", "[]", "{\"role\":\"user\",\"content\":\"secret\"}",
					  "{\"id\":\"m\",\"role\":\"user\",\"content\":[{\"type\":\"secret\"}]}"};
	for (size_t i = 0; i < COUNT(bad); i++) {
		err = (struct err){0};
		assert_int_equal(item_read_stored(str_of(bad[i]), &item, &err), -1);
		assert_int_equal(err.code, ERR_CORRUPT);
		assert_null(strstr(err.text, "secret"));
	}
}

static void test_lists_move_items(void **state) {
	(void)state;
	struct item_list list = {0};
	for (int i = 0; i < 20; i++) {
		struct item item;
		char text[32];
		snprintf(text, sizeof text, "text %d", i);
		assert_int_equal(
			item_message(&item, i % 2 ? ROLE_ASSISTANT : ROLE_USER, ITEM_COMPLETED, "msg_x", str_of(text)),
			0);
		assert_int_equal(item_list_add(&list, &item), 0);
		assert_null(item.parts);
		assert_int_equal(item.part_count, 0);
	}
	assert_int_equal(list.count, 20);
	assert_int_equal(list.items[18].parts[0].kind, PART_INPUT_TEXT);
	assert_int_equal(list.items[19].parts[0].kind, PART_OUTPUT_TEXT);
	struct buf out = BUF_INIT;
	item_append_text(&list.items[3], &out);
	item_append_text(&list.items[19], &out);
	assert_written(&out, "text 3text 19");
	item_list_free(&list);
	assert_null(list.items);
	assert_int_equal(list.count + list.capacity, 0);
}

static void test_every_failing_allocation_is_an_error(void **state) {
	(void)state;
	struct json *json = parse("{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"a\"},"
				  "{\"type\":\"input_text\",\"text\":\"b\"}]}");
	int failures = 0;
	for (uint64_t nth = 1;; nth++) {
		struct item item = {0};
		struct api_error error = {0};
		mem_fail_after(nth, false);
		int result = item_read(json, "input[0]", NOW_MS, &item, &error);
		mem_fail_after(0, false);
		item_free(&item);
		if (result == 0) {
			break;
		}
		assert_int_equal(error.code, API_OVERLOADED);
		failures++;
	}
	/* A text and room for its part, twice. */
	assert_int_equal(failures, 4);
	json_free(&json);
}

static void test_making_items_without_memory(void **state) {
	(void)state;
	struct item item = {.id = "kept"};
	for (uint64_t nth = 1; nth <= 2; nth++) {
		mem_fail_after(nth, false);
		assert_int_equal(item_message(&item, ROLE_USER, ITEM_COMPLETED, "msg_1", STR("x")), -1);
		mem_fail_after(0, false);
		assert_string_equal(item.id, "kept");
	}
	struct item_list list = {0};
	assert_int_equal(item_message(&item, ROLE_USER, ITEM_COMPLETED, "msg_1", STR("x")), 0);
	mem_fail_after(1, false);
	assert_int_equal(item_list_add(&list, &item), -1);
	mem_fail_after(0, false);
	assert_int_equal(list.count, 0);
	/* Still the caller's. */
	assert_string_equal(item.parts[0].text, "x");
	item_free(&item);
	item_list_free(&list);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_a_missing_id_is_made),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_ids_at_their_bound),
		cmocka_unit_test(test_what_is_read_can_be_stored_and_read_again),
		cmocka_unit_test(test_stored),
		cmocka_unit_test(test_lists_move_items),
		cmocka_unit_test(test_every_failing_allocation_is_an_error),
		cmocka_unit_test(test_making_items_without_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
