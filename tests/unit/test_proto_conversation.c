/* Bodies that change conversations: what they may have, and what is said of what they may not. */
#include "base/mem.h"
#include "proto/conversation.h"
#include "proto_test.h"

static int read_body(enum conversation_body_kind kind, const char *text, struct conversation_body *body,
		     struct api_error *error) {
	struct json *json = parse(quoted(text));
	*body = (struct conversation_body){0};
	int result = conversation_body_read(json, kind, NOW_MS, body, error);
	json_free(&json);
	return result;
}

static void test_items_and_metadata(void **state) {
	(void)state;
	struct conversation_body body;
	struct api_error error = {0};
	assert_int_equal(read_body(CONVERSATION_BODY_CREATE,
				   "{'items':[{'role':'user','content':'hi'},"
				   "{'type':'message','id':'msg_own','role':'assistant','content':"
				   "[{'type':'output_text','text':'ho'}]}],'metadata':{'a':'b'}}",
				   &body, &error),
			 0);
	assert_int_equal(body.items.count, 2);
	assert_true(body.items.items[0].id[0]);
	assert_string_equal(body.items.items[1].id, "msg_own");
	assert_string_equal(body.metadata, quoted("{'a':'b'}"));
	conversation_body_free(&body);
	assert_int_equal(
		read_body(CONVERSATION_BODY_ITEMS, "{'items':[{'role':'user','content':'hi'}]}", &body, &error), 0);
	assert_int_equal(body.items.count, 1);
	conversation_body_free(&body);
}

static void test_what_may_be_left_out(void **state) {
	static const struct {
		enum conversation_body_kind kind;
		const char *text;
	} bodies[] = {
		{CONVERSATION_BODY_CREATE, "{}"},
		{CONVERSATION_BODY_CREATE, "{'items':null,'metadata':null}"},
		{CONVERSATION_BODY_CREATE, "{'items':[],'metadata':{}}"},
		{CONVERSATION_BODY_UPDATE, "{'metadata':null}"},
		{CONVERSATION_BODY_UPDATE, "{'metadata':{}}"},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(bodies); i++) {
		struct conversation_body body;
		struct api_error error = {0};
		assert_int_equal(read_body(bodies[i].kind, bodies[i].text, &body, &error), 0);
		assert_int_equal(body.items.count, 0);
		assert_string_equal(body.metadata, "{}");
		conversation_body_free(&body);
	}
}

static void test_refusals_name_the_field(void **state) {
	static const struct {
		enum conversation_body_kind kind;
		const char *text;
		enum api_error_code code;
		const char *param;
	} refusals[] = {
		{CONVERSATION_BODY_CREATE, "{'colour':1}", API_UNKNOWN_FIELD, "colour"},
		{CONVERSATION_BODY_UPDATE, "{'metadata':{},'items':[]}", API_UNKNOWN_FIELD, "items"},
		{CONVERSATION_BODY_ITEMS, "{'items':[{'role':'user','content':'x'}],'metadata':{}}", API_UNKNOWN_FIELD,
		 "metadata"},
		{CONVERSATION_BODY_CREATE, "{'items':{}}", API_INVALID_TYPE, "items"},
		{CONVERSATION_BODY_CREATE, "{'items':['x']}", API_INVALID_TYPE, "items[0]"},
		{CONVERSATION_BODY_CREATE, "{'items':[{'role':'user','content':'x'},{'role':'king','content':'x'}]}",
		 API_INVALID_VALUE, "items[1].role"},
		{CONVERSATION_BODY_CREATE, "{'items':[{'role':'user','content':'x','hue':1}]}", API_UNKNOWN_FIELD,
		 "items[0].hue"},
		{CONVERSATION_BODY_CREATE, "{'items':[{'type':'item_reference','id':'msg_1'}]}", API_UNSUPPORTED,
		 "items[0]"},
		{CONVERSATION_BODY_ITEMS, "{}", API_MISSING_FIELD, "items"},
		{CONVERSATION_BODY_ITEMS, "{'items':[]}", API_INVALID_VALUE, "items"},
		{CONVERSATION_BODY_UPDATE, "{}", API_MISSING_FIELD, "metadata"},
		{CONVERSATION_BODY_UPDATE, "{'metadata':'x'}", API_INVALID_TYPE, "metadata"},
		{CONVERSATION_BODY_UPDATE, "{'metadata':{'a':1}}", API_INVALID_TYPE, "metadata.a"},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(refusals); i++) {
		struct conversation_body body;
		struct api_error error = {0};
		assert_int_equal(read_body(refusals[i].kind, refusals[i].text, &body, &error), -1);
		assert_field_error(&error, refusals[i].code, refusals[i].param);
		assert_null(body.metadata);
	}
}

static void test_at_most_twenty_items(void **state) {
	(void)state;
	for (size_t count = 20; count <= 21; count++) {
		struct buf text = BUF_INIT;
		struct conversation_body body;
		struct api_error error = {0};
		buf_append_text(&text, "{'items':[");
		for (size_t i = 0; i < count; i++) {
			buf_printf(&text, "%s{'role':'user','content':'x'}", i ? "," : "");
		}
		buf_append_text(&text, "]}");
		assert_int_equal(read_body(CONVERSATION_BODY_ITEMS, buf_text(&text), &body, &error),
				 count > 20 ? -1 : 0);
		if (count > 20) {
			assert_api_error(&error, API_INVALID_VALUE, "items", "items must have 1 to 20 items, not 21");
		}
		conversation_body_free(&body);
		buf_free(&text);
	}
}

static void test_every_failing_allocation_is_an_error(void **state) {
	(void)state;
	int result = -1;
	for (uint64_t n = 1; result != 0; n++) {
		struct json *json = parse(quoted("{'items':[{'role':'user','content':'hi'}],'metadata':{'a':'b'}}"));
		struct conversation_body body = {0};
		struct api_error error = {0};
		mem_fail_after(n, false);
		result = conversation_body_read(json, CONVERSATION_BODY_CREATE, NOW_MS, &body, &error);
		mem_fail_after(0, false);
		assert_int_equal(error.code, result ? API_OVERLOADED : API_OK);
		conversation_body_free(&body);
		json_free(&json);
		assert_true(n < 100);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items_and_metadata),
		cmocka_unit_test(test_what_may_be_left_out),
		cmocka_unit_test(test_refusals_name_the_field),
		cmocka_unit_test(test_at_most_twenty_items),
		cmocka_unit_test(test_every_failing_allocation_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
