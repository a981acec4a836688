/* What makes one request the repeat of another. */
#include "base/mem.h"
#include "proto/request.h"
#include "proto_test.h"

static void read_ok(const char *text, enum request_transport transport, struct request *request) {
	struct json *json = parse(text);
	struct api_error error = {0};
	if (request_read(json, transport, NOW_MS, request, &error) != 0) {
		fail_msg("%s: %s", error.message, text);
	}
	json_free(&json);
}

static void assert_refused(const char *text, enum request_transport transport, enum api_error_code code) {
	struct json *json = parse(text);
	struct request request;
	struct api_error error = {0};
	assert_int_equal(request_read(json, transport, NOW_MS, &request, &error), -1);
	assert_int_equal(error.code, code);
	assert_string_equal(error.param, "idempotency_key");
	json_free(&json);
}

static void a_key_is_visible_ascii_of_bounded_length(void **state) {
	(void)state;
	char key[REQUEST_KEY_SIZE];
	char text[REQUEST_KEY_SIZE + 1];
	struct api_error error;
	for (int c = 0; c < 256; c++) {
		const char one[] = {'a', (char)c, 'z'};
		bool good = c > 0x20 && c < 0x7F;
		assert_int_equal(request_read_key((struct str){one, 3}, "field", key, &error), good ? 0 : -1);
		if (good) {
			assert_memory_equal(key, one, 3);
			assert_int_equal(strlen(key), 3);
		} else {
			assert_api_error(&error, API_INVALID_VALUE, "field",
					 "field must be 1 to 255 visible ASCII characters, without spaces");
		}
	}
	memset(text, 'k', sizeof text);
	assert_int_equal(request_read_key(STR_NONE, "field", key, &error), -1);
	assert_int_equal(request_read_key((struct str){text, 1}, "field", key, &error), 0);
	assert_int_equal(request_read_key((struct str){text, 255}, "field", key, &error), 0);
	assert_int_equal(strlen(key), 255);
	assert_int_equal(request_read_key((struct str){text, 256}, "field", key, &error), -1);
	assert_int_equal(request_read_key((struct str){text, 257}, "field", key, &error), -1);
}

static void the_field_is_the_websockets(void **state) {
	(void)state;
#define CREATE(field) "{\"type\":\"response.create\",\"input\":\"x\",\"idempotency_key\":" field "}"
	struct request request;
	read_ok(CREATE("\"k-1\""), REQUEST_WEBSOCKET, &request);
	assert_string_equal(request.idempotency_key, "k-1");
	request_free(&request);
	assert_string_equal(request.idempotency_key, "");
	read_ok(CREATE("null"), REQUEST_WEBSOCKET, &request);
	assert_string_equal(request.idempotency_key, "");
	request_free(&request);
	assert_refused(CREATE("\"\""), REQUEST_WEBSOCKET, API_INVALID_VALUE);
	assert_refused(CREATE("\"a b\""), REQUEST_WEBSOCKET, API_INVALID_VALUE);
	assert_refused(CREATE("7"), REQUEST_WEBSOCKET, API_INVALID_TYPE);
	assert_refused("{\"input\":\"x\",\"idempotency_key\":\"k\"}", REQUEST_HTTP, API_UNKNOWN_FIELD);
}

static char *asked(const char *fields, enum request_transport transport) {
	struct buf text = BUF_INIT, out = BUF_INIT;
	struct request request;
	buf_printf(&text, "{%s%s}", transport == REQUEST_WEBSOCKET ? "\"type\":\"response.create\"," : "",
		   strchr(fields, '\'') ? quoted(fields) : fields);
	read_ok(buf_text(&text), transport, &request);
	request_write_asked(&out, &request);
	assert_false(out.failed);
	request_free(&request);
	buf_free(&text);
	return buf_take_text(&out);
}

static bool ask_the_same(const char *one, const char *other) {
	char *a = asked(one, REQUEST_HTTP), *b = asked(other, REQUEST_HTTP);
	bool same = strcmp(a, b) == 0;
	mem_free(a);
	mem_free(b);
	return same;
}

static void what_means_the_same_is_the_same(void **state) {
	(void)state;
	static const char *const same[] = {
		"\"input\":\"Hi\"",
		"\"input\":\"Hi\",\"stream\":true",
		"\"stream\":false,\"input\":\"Hi\"",
		"\"input\":\"Hi\",\"store\":true,\"temperature\":null,\"tools\":[]",
		"\"input\":[{\"role\":\"user\",\"content\":\"Hi\"}]",
		"\"input\":[{\"type\":\"message\",\"id\":\"msg_1\",\"role\":\"user\",\"content\":"
		"[{\"type\":\"input_text\",\"text\":\"Hi\"}]}]",
		"\"input\":\"Hi\",\"stream_options\":{\"include_obfuscation\":true}",
	};
	for (size_t i = 0; i < COUNT(same); i++) {
		if (!ask_the_same(same[0], same[i])) {
			fail_msg("not the same: %s", same[i]);
		}
	}
	/* Ids that were made here, or might have been. */
	static const char *const items[] = {"{'type':'v:t','a':[1]%s}", "{'type':'reasoning','summary':[]%s}",
					    "{'type':'function_call','call_id':'c','name':'f','arguments':''%s}",
					    "{'type':'function_call_output','call_id':'c','output':''%s}",
					    "{'type':'compaction','encrypted_content':'e'%s}"};
	for (size_t i = 0; i < COUNT(items); i++) {
		char without[256], with[256], input[2][320];
		snprintf(without, sizeof without, items[i], "");
		snprintf(with, sizeof with, items[i], ",'id':'i'");
		snprintf(input[0], sizeof input[0], "\"input\":[%s]", quoted(without));
		snprintf(input[1], sizeof input[1], "\"input\":[%s]", quoted(with));
		assert_true(ask_the_same(input[0], input[1]));
	}
	/* On the other transport, and with another key. */
	char *http = asked("\"input\":\"Hi\"", REQUEST_HTTP);
	char *websocket = asked("\"input\":\"Hi\",\"stream\":true,\"idempotency_key\":\"k\"", REQUEST_WEBSOCKET);
	assert_string_equal(http, websocket);
	char *prepared = asked("\"input\":\"Hi\",\"generate\":false", REQUEST_WEBSOCKET);
	assert_string_not_equal(prepared, websocket);
	mem_free(http);
	mem_free(websocket);
	mem_free(prepared);
}

#define INPUT(item) "'input':[" item "]"
#define HI(fields) "'input':'Hi'," fields

/* Every one differs from every other. */
static void whatever_the_model_or_the_store_would_see_counts(void **state) {
	(void)state;
	static const char *const different[] = {
		"\"input\":\"Hi\"",
		"\"input\":\"hi\"",
		"\"input\":\"Hi\",\"store\":false",
		"\"input\":\"Hi\",\"model\":\"m\"",
		"\"input\":\"Hi\",\"model\":\"n\"",
		"\"input\":\"Hi\",\"instructions\":\"m\"",
		"\"input\":\"Hi\",\"instructions\":\"\"",
		"\"input\":\"Hi\",\"metadata\":{\"a\":\"b\"}",
		"\"input\":\"Hi\",\"metadata\":{\"a\":\"c\"}",
		"\"input\":\"Hi\",\"temperature\":1",
		"\"input\":\"Hi\",\"temperature\":0.99999999999999",
		"\"input\":\"Hi\",\"top_p\":1",
		"\"input\":\"Hi\",\"max_output_tokens\":16",
		"\"input\":\"Hi\",\"max_output_tokens\":17",
		"\"input\":\"Hi\",\"previous_response_id\":\"resp_1\"",
		"\"input\":\"Hi\",\"previous_response_id\":\"resp_2\"",
		"\"input\":[{\"role\":\"system\",\"content\":\"Hi\"}]",
		"\"input\":[{\"role\":\"assistant\",\"content\":\"Hi\"}]",
		"\"input\":[{\"role\":\"user\",\"content\":\"H\"},{\"role\":\"user\",\"content\":\"i\"}]",
		"\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"H\"},"
		"{\"type\":\"input_text\",\"text\":\"i\"}]}]",
		"\"input\":\"Hi\\\"]},{\\\"\"",
		"\"conversation\":\"resp_1\",\"input\":\"Hi\"",
		"\"conversation\":\"resp_1\"",
		"\"previous_response_id\":\"resp_1\"",
		INPUT("{'id':'i'}"),
		INPUT("{'id':'j'}"),
		INPUT("{'role':'assistant','content':'Hi','phase':'commentary'}"),
		INPUT("{'role':'assistant','content':[{'type':'refusal','refusal':'Hi'}]}"),
		INPUT("{'type':'function_call','call_id':'c','name':'f','arguments':''}"),
		INPUT("{'type':'function_call','call_id':'d','name':'f','arguments':''}"),
		INPUT("{'type':'function_call','call_id':'c','name':'g','arguments':''}"),
		INPUT("{'type':'function_call_output','call_id':'c','output':'Hi'}"),
		INPUT("{'type':'function_call_output','call_id':'c','output':[{'type':'input_text','text':'Hi'}]}"),
		INPUT("{'type':'reasoning','summary':[],'content':[{'type':'reasoning_text','text':'Hi'}]}"),
		INPUT("{'type':'reasoning','summary':[{'type':'summary_text','text':'Hi'}]}"),
		INPUT("{'type':'reasoning','summary':[],'encrypted_content':'Hi'}"),
		INPUT("{'type':'compaction','encrypted_content':'Hi'}"),
		INPUT("{'type':'v:t','a':1}"),
		INPUT("{'type':'v:t','a':2}"),
		INPUT("{'role':'user','content':[{'type':'input_image','image_url':'http://h/'}]}"),
		INPUT("{'role':'user','content':[{'type':'input_image','image_url':'http://h/','detail':'low'}]}"),
		INPUT("{'role':'user','content':[{'type':'input_file','file_data':'QQ=='}]}"),
		INPUT("{'role':'user','content':[{'type':'input_file','file_data':'QQ==','filename':'a'}]}"),
		HI("'tools':[{'type':'function','name':'f'}]"),
		HI("'tools':[{'type':'function','name':'f','strict':false}]"),
		HI("'tools':[{'type':'function','name':'f','description':''}]"),
		HI("'tools':[{'type':'function','name':'f','parameters':{}}]"),
		HI("'tools':[{'type':'function','name':'f'}],'tool_choice':'required'"),
		HI("'tools':[{'type':'function','name':'f'}],'tool_choice':{'type':'function','name':'f'}"),
		HI("'tools':[{'type':'function','name':'f'}],'tool_choice':{'type':'allowed_tools','tools':[{'type':"
		   "'function','name':'f'}]}"),
		HI("'tool_choice':'none'"),
		HI("'parallel_tool_calls':true"),
		HI("'parallel_tool_calls':false"),
		HI("'max_tool_calls':1"),
		HI("'text':{'format':{'type':'json_object'}}"),
		HI("'text':{'format':{'type':'json_schema'}}"),
		HI("'text':{'format':{'type':'json_schema','strict':true}}"),
		HI("'text':{'format':{'type':'json_schema','schema':{}}}"),
		HI("'text':{'verbosity':'low'}"),
		HI("'reasoning':{'effort':'low'}"),
		HI("'reasoning':{'summary':'auto'}"),
		HI("'truncation':'auto'"),
		HI("'presence_penalty':1"),
		HI("'frequency_penalty':1"),
		HI("'top_logprobs':1"),
		HI("'include':['message.output_text.logprobs']"),
		HI("'include':['reasoning.encrypted_content']"),
		HI("'service_tier':'flex'"),
		HI("'safety_identifier':'s'"),
		HI("'prompt_cache_key':'s'"),
		HI("'background':true"),
	};
	char *texts[COUNT(different)];
	for (size_t i = 0; i < COUNT(different); i++) {
		texts[i] = asked(different[i], REQUEST_HTTP);
		for (size_t j = 0; j < i; j++) {
			if (strcmp(texts[i], texts[j]) == 0) {
				fail_msg("%s\n%s", different[i], different[j]);
			}
		}
	}
	for (size_t i = 0; i < COUNT(different); i++) {
		mem_free(texts[i]);
	}
}

/* What only Chat Completions can ask for counts as well. */
static void what_is_handed_on_counts(void **state) {
	(void)state;
	char *plain = asked("\"input\":\"Hi\"", REQUEST_HTTP);
	char members[] = ",\"seed\":7";
	struct request request;
	struct buf out = BUF_INIT;
	read_ok("{\"input\":\"Hi\"}", REQUEST_HTTP, &request);
	request.settings.chat_members = mem_strdup(members);
	request_write_asked(&out, &request);
	assert_string_not_equal(buf_text(&out), plain);
	request_free(&request);
	buf_free(&out);
	mem_free(plain);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_is_visible_ascii_of_bounded_length),
		cmocka_unit_test(the_field_is_the_websockets),
		cmocka_unit_test(what_means_the_same_is_the_same),
		cmocka_unit_test(whatever_the_model_or_the_store_would_see_counts),
		cmocka_unit_test(what_is_handed_on_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
