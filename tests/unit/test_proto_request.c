#include "proto/request.h"
#include "proto_test.h"

static int read_text(const char *text, enum request_transport transport, struct request *request,
		     struct api_error *error) {
	struct json *json = parse(text);
	int result = request_read(json, transport, NOW_MS, request, error);
	json_free(&json);
	return result;
}

static void read_ok(const char *text, enum request_transport transport, struct request *request) {
	struct api_error error = {0};
	if (read_text(text, transport, request, &error) != 0) {
		fail_msg("%s: %s", error.message, text);
	}
}

static void assert_refused(const char *text, enum request_transport transport, enum api_error_code code,
			   const char *param, const char *message) {
	struct request request;
	struct api_error error = {0};
	memset(&request, 0xAA, sizeof request);
	if (read_text(text, transport, &request, &error) == 0) {
		fail_msg("was taken: %s", text);
	}
	assert_api_error(&error, code, param, message);
	static const struct request empty;
	assert_memory_equal(&request, &empty, sizeof empty);
}

static void test_the_least(void **state) {
	(void)state;
	struct request request;
	read_ok("{\"input\":\"Hi\"}", REQUEST_HTTP, &request);
	assert_string_equal(request.settings.model, "");
	assert_null(request.settings.instructions);
	assert_null(request.settings.metadata);
	assert_false(request.settings.has_temperature || request.settings.has_top_p ||
		     request.settings.has_max_output_tokens);
	assert_true(request.settings.store);
	assert_false(request.stream);
	assert_string_equal(request.previous_response_id, "");
	assert_int_equal(request.input.count, 1);
	const struct item *item = &request.input.items[0];
	assert_int_equal(item->role, ROLE_USER);
	assert_int_equal(item->status, ITEM_COMPLETED);
	assert_int_equal(item->part_count, 1);
	assert_string_equal(item->parts[0].text, "Hi");
	assert_true(id_is(str_of(item->id), "msg"));
	request_free(&request);
}

static void test_the_most(void **state) {
	(void)state;
	struct request request;
	read_ok("{\"type\":\"response.create\",\"model\":\"demo\",\"input\":[{\"role\":\"user\",\"content\":\"a\"},"
		"{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"b\"}]},"
		"{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"c\"}]}],\"instructions\":\"Be brief.\","
		"\"previous_response_id\":\"resp_1\",\"store\":false,\"stream\":true,\"max_output_tokens\":16,"
		"\"temperature\":0.7,\"top_p\":1e0,\"metadata\":{\"k\":\"v\",\"\":\"\"}}",
		REQUEST_WEBSOCKET, &request);
	const struct request_settings *settings = &request.settings;
	assert_string_equal(settings->model, "demo");
	assert_string_equal(settings->instructions, "Be brief.");
	assert_string_equal(settings->metadata, "{\"k\":\"v\",\"\":\"\"}");
	assert_true(settings->has_temperature && settings->temperature == 0.7);
	assert_true(settings->has_top_p && settings->top_p == 1);
	assert_true(settings->has_max_output_tokens);
	assert_int_equal(settings->max_output_tokens, 16);
	assert_false(settings->store);
	assert_true(request.stream);
	assert_string_equal(request.previous_response_id, "resp_1");
	assert_int_equal(request.input.count, 3);
	assert_int_equal(request.input.items[1].role, ROLE_ASSISTANT);
	assert_string_equal(request.input.items[2].parts[0].text, "c");
	request_free(&request);
}

/* Values that ask for nothing are taken, as null is. */
static void test_neutral_values(void **state) {
	(void)state;
	struct request request;
	read_ok("{\"input\":\"x\",\"include\":[],\"tools\":[ ],\"tool_choice\":\"auto\",\"parallel_tool_calls\":true,"
		"\"truncation\":\"disabled\",\"background\":false,\"service_tier\":\"auto\",\"presence_penalty\":0.0,"
		"\"frequency_penalty\":0,\"top_logprobs\":0,\"generate\":true,\"text\":{\"format\":{\"type\":\"text\"},"
		"\"verbosity\":\"medium\"},\"reasoning\":{\"effort\":null,\"summary\":null},\"stream\":false,"
		"\"stream_options\":{\"include_obfuscation\":false}}",
		REQUEST_HTTP, &request);
	request_free(&request);
	read_ok("{\"input\":\"x\",\"service_tier\":\"default\",\"text\":{},\"reasoning\":{},\"stream_options\":{}}",
		REQUEST_HTTP, &request);
	request_free(&request);

	static const char *const fields[] = {"model",
					     "instructions",
					     "previous_response_id",
					     "store",
					     "stream",
					     "max_output_tokens",
					     "temperature",
					     "top_p",
					     "metadata",
					     "text",
					     "reasoning",
					     "stream_options",
					     "include",
					     "tools",
					     "tool_choice",
					     "parallel_tool_calls",
					     "truncation",
					     "background",
					     "service_tier",
					     "presence_penalty",
					     "top_logprobs",
					     "frequency_penalty",
					     "max_tool_calls",
					     "safety_identifier",
					     "prompt",
					     "prompt_cache_key",
					     "user",
					     "prompt_cache_retention",
					     "conversation",
					     "context_management",
					     "generate",
					     "stream_id"};
	for (size_t i = 0; i < COUNT(fields); i++) {
		char text[128];
		snprintf(text, sizeof text, "{\"type\":\"response.create\",\"input\":\"x\",\"%s\":null}", fields[i]);
		read_ok(text, REQUEST_WEBSOCKET, &request);
		assert_true(request.settings.store);
		request_free(&request);
	}
}

static void test_unsupported_values(void **state) {
	(void)state;
	static const struct {
		const char *field;
		const char *value;
		const char *accepted; /* NULL: only to leave it out */
	} cases[] = {
		{"user", "\"u\"", "safety_identifier or prompt_cache_key in its place"},
		{"prompt", "{}", "instructions and input in its place"},
		{"prompt_cache_retention", "\"24h\"", NULL},
		{"context_management", "[]", NULL},
		{"generate", "false", "true"},
		{"stream_id", "\"a\"", NULL},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[256];
		char message[256];
		snprintf(text, sizeof text, "{\"input\":\"x\",\"%s\":%s}", cases[i].field, cases[i].value);
		snprintf(message, sizeof message, "%s is not supported; leave it out%s%s", cases[i].field,
			 cases[i].accepted ? ", or send " : "", cases[i].accepted ? cases[i].accepted : "");
		assert_refused(text, REQUEST_HTTP, API_UNSUPPORTED, cases[i].field, message);
	}
}

/* Where a turn goes on; with it, no input is needed. */
static void test_what_to_go_on_with(void **state) {
	(void)state;
	static const struct {
		const char *text;
		const char *previous, *conversation;
		size_t items;
	} taken[] = {
		{"{'previous_response_id':'resp_1'}", "resp_1", "", 0},
		{"{'previous_response_id':'resp_1','input':null,'conversation':null}", "resp_1", "", 0},
		{"{'conversation':'conv_1','input':'x'}", "", "conv_1", 1},
		{"{'conversation':{'id':'conv_1'}}", "", "conv_1", 0},
	};
	for (size_t i = 0; i < COUNT(taken); i++) {
		struct request request;
		read_ok(quoted(taken[i].text), REQUEST_HTTP, &request);
		assert_string_equal(request.previous_response_id, taken[i].previous);
		assert_string_equal(request.conversation, taken[i].conversation);
		assert_int_equal(request.input.count, taken[i].items);
		request_free(&request);
	}
	static const struct {
		const char *text;
		enum api_error_code code;
		const char *param;
		const char *message;
	} refused[] = {
		{"{'previous_response_id':'resp_1','conversation':'conv_1','input':'x'}", API_INVALID_VALUE,
		 "conversation", "conversation and previous_response_id are mutually exclusive; send one of them"},
		{"{'previous_response_id':'resp_1','input':[]}", API_INVALID_VALUE, "input",
		 "input is an empty array; send at least one item"},
		{"{'conversation':7}", API_INVALID_TYPE, "conversation",
		 "conversation must be the id of a conversation, or an object with its id, not a number"},
		{"{'conversation':''}", API_INVALID_VALUE, "conversation",
		 "conversation must be the id of a conversation, or left out to start one, not \"\""},
		{"{'conversation':'a/b'}", API_CONVERSATION_NOT_FOUND, "conversation", "No conversation has this id."},
		{"{'conversation':{'id':'a/b'}}", API_CONVERSATION_NOT_FOUND, "conversation.id",
		 "No conversation has this id."},
		{"{'conversation':{}}", API_MISSING_FIELD, "conversation.id",
		 "conversation.id is missing; send a string"},
		{"{'conversation':{'id':null}}", API_INVALID_TYPE, "conversation.id",
		 "conversation.id must be a string, not null"},
		{"{'conversation':{'id':'c','title':''}}", API_UNKNOWN_FIELD, "conversation.title",
		 "conversation.title is not a known field; remove it, or check its spelling"},
	};
	for (size_t i = 0; i < COUNT(refused); i++) {
		assert_refused(quoted(refused[i].text), REQUEST_HTTP, refused[i].code, refused[i].param,
			       refused[i].message);
	}
}

static void test_obfuscation(void **state) {
	(void)state;
	static const struct {
		const char *text;
		bool obfuscates;
	} cases[] = {
		{"{'input':'x'}", false},
		{"{'input':'x','stream_options':{}}", false},
		{"{'input':'x','stream_options':{'include_obfuscation':null}}", false},
		{"{'input':'x','stream_options':{'include_obfuscation':false}}", false},
		{"{'input':'x','stream_options':{'include_obfuscation':true}}", true},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct request request;
		read_ok(quoted(cases[i].text), REQUEST_HTTP, &request);
		assert_int_equal(request.obfuscates, cases[i].obfuscates);
		request_free(&request);
	}
	assert_refused(quoted("{'input':'x','stream_options':{'include_obfuscation':1}}"), REQUEST_HTTP,
		       API_INVALID_TYPE, "stream_options.include_obfuscation",
		       "stream_options.include_obfuscation must be true or false, not a number");
	assert_refused(quoted("{'input':'x','stream_options':{'include_usage':true}}"), REQUEST_HTTP, API_UNKNOWN_FIELD,
		       "stream_options.include_usage",
		       "stream_options.include_usage is not a known field; remove it, or check its spelling");
	assert_refused(quoted("{'input':'x','stream_options':true}"), REQUEST_HTTP, API_INVALID_TYPE, "stream_options",
		       "stream_options must be an object, not a boolean");
}

static void test_every_kind_of_input(void **state) {
	(void)state;
	static const enum item_kind kinds[] = {ITEM_MESSAGE,   ITEM_FUNCTION_CALL, ITEM_FUNCTION_CALL_OUTPUT,
					       ITEM_REASONING, ITEM_COMPACTION,    ITEM_REFERENCE,
					       ITEM_EXTENSION};
	struct request request;
	read_ok(quoted("{'input':[{'role':'user','content':'a'},{'type':'function_call','call_id':'c','name':'f',"
		       "'arguments':'{}'},{'type':'function_call_output','call_id':'c','output':'1'},{'type':"
		       "'reasoning','summary':[]},{'type':'compaction','encrypted_content':'e'},{'id':'msg_1'},"
		       "{'type':'v:t'}]}"),
		REQUEST_HTTP, &request);
	assert_int_equal(request.input.count, COUNT(kinds));
	for (size_t i = 0; i < COUNT(kinds); i++) {
		assert_int_equal(request.input.items[i].kind, kinds[i]);
	}
	request_free(&request);
	assert_refused(
		quoted("{'input':[{'role':'user','content':'a'},{'role':'user','content':[{'type':'input_text',"
		       "'text':'a'},{'type':'input_image'}]}]}"),
		REQUEST_HTTP, API_MISSING_FIELD, "input[1].content[1].image_url",
		"input[1].content[1].image_url is missing; send a data: URL of an image, or an http or https URL");
}

static void test_wrong_types_and_values(void **state) {
	(void)state;
	static const struct {
		const char *text;
		enum api_error_code code;
		const char *param;
		const char *message;
	} cases[] = {
		{"[]", API_INVALID_TYPE, "", "the request must be an object, not an array"},
		{"{}", API_MISSING_FIELD, "input", "input is missing; send a string or an array of items"},
		{"{\"input\":null}", API_MISSING_FIELD, "input",
		 "input is missing; send a string or an array of items"},
		{"{\"input\":\"\"}", API_INVALID_VALUE, "input",
		 "input is empty; send the user's text, or an array of items"},
		{"{\"input\":[]}", API_INVALID_VALUE, "input", "input is an empty array; send at least one item"},
		{"{\"input\":{}}", API_INVALID_TYPE, "input",
		 "input must be a string or an array of items, not an object"},
		{"{\"input\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\"}]}", API_MISSING_FIELD,
		 "input[1].content", "input[1].content is missing; send a string or an array of parts"},
		{"{\"model\":1}", API_INVALID_TYPE, "model", "model must be a string, not a number"},
		{"{\"model\":\"\"}", API_INVALID_VALUE, "model",
		 "model must be the name of a model, at most 127 bytes, or left out for the default, not \"\""},
		{"{\"instructions\":[]}", API_INVALID_TYPE, "instructions",
		 "instructions must be a string, not an array"},
		{"{\"previous_response_id\":7}", API_INVALID_TYPE, "previous_response_id",
		 "previous_response_id must be a string, not a number"},
		{"{\"previous_response_id\":\"\"}", API_INVALID_VALUE, "previous_response_id",
		 "previous_response_id must be the id of a response, or left out to start a conversation, not \"\""},
		{"{\"previous_response_id\":\"../x\"}", API_PARENT_NOT_FOUND, "previous_response_id",
		 "No response has this id."},
		{"{\"store\":1}", API_INVALID_TYPE, "store", "store must be true or false, not a number"},
		{"{\"stream\":\"yes\"}", API_INVALID_TYPE, "stream", "stream must be true or false, not a string"},
		{"{\"max_output_tokens\":\"16\"}", API_INVALID_TYPE, "max_output_tokens",
		 "max_output_tokens must be an integer of 16 or more, not a string"},
		{"{\"max_output_tokens\":15}", API_INVALID_VALUE, "max_output_tokens",
		 "max_output_tokens must be an integer of 16 or more, not 15"},
		{"{\"max_output_tokens\":16.5}", API_INVALID_VALUE, "max_output_tokens",
		 "max_output_tokens must be an integer of 16 or more, not 16.5"},
		{"{\"max_output_tokens\":1e300}", API_INVALID_VALUE, "max_output_tokens",
		 "max_output_tokens must be an integer of 16 or more, not 1e+300"},
		{"{\"temperature\":\"hot\"}", API_INVALID_TYPE, "temperature",
		 "temperature must be a number from 0 to 2, not a string"},
		{"{\"temperature\":2.1}", API_INVALID_VALUE, "temperature",
		 "temperature must be a number from 0 to 2, not 2.1"},
		{"{\"temperature\":-0.1}", API_INVALID_VALUE, "temperature",
		 "temperature must be a number from 0 to 2, not -0.1"},
		{"{\"top_p\":true}", API_INVALID_TYPE, "top_p", "top_p must be a number from 0 to 1, not a boolean"},
		{"{\"top_p\":1.5}", API_INVALID_VALUE, "top_p", "top_p must be a number from 0 to 1, not 1.5"},
		{"{\"metadata\":\"m\"}", API_INVALID_TYPE, "metadata",
		 "metadata must be an object of strings, not a string"},
		{"{\"metadata\":{\"a\":1}}", API_INVALID_TYPE, "metadata.a",
		 "metadata.a must be a string, not a number"},
		{"{\"type\":\"response.create\",\"input\":\"x\"}", API_UNKNOWN_FIELD, "type",
		 "type is not a known field; remove it, or check its spelling"},
		{"{\"messages\":[]}", API_UNKNOWN_FIELD, "messages",
		 "messages is not a known field; remove it, or check its spelling"},
		{"{\"Model\":\"x\"}", API_UNKNOWN_FIELD, "Model",
		 "Model is not a known field; remove it, or check its spelling"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_refused(cases[i].text, REQUEST_HTTP, cases[i].code, cases[i].param, cases[i].message);
	}
}

static void test_values_at_their_bounds(void **state) {
	(void)state;
	static const char *const fine[] = {
		"\"temperature\":0",     "\"temperature\":2",        "\"top_p\":0",
		"\"top_p\":1",           "\"max_output_tokens\":16", "\"max_output_tokens\":9007199254740991",
		"\"instructions\":\"\"", "\"metadata\":{}"};
	for (size_t i = 0; i < COUNT(fine); i++) {
		char text[128];
		struct request request;
		snprintf(text, sizeof text, "{\"input\":\"x\",%s}", fine[i]);
		read_ok(text, REQUEST_HTTP, &request);
		request_free(&request);
	}
}

/* {"input":"x",FIELD:"mmm…"} with `length` characters of `piece`. */
static char *with_long(const char *before, const char *piece, size_t length, const char *after) {
	struct buf text = BUF_INIT;
	buf_append_text(&text, before);
	for (size_t i = 0; i < length; i++) {
		buf_append_text(&text, piece);
	}
	buf_append_text(&text, after);
	char *whole = buf_take_text(&text);
	assert_non_null(whole);
	return whole;
}

static void test_lengths(void **state) {
	(void)state;
	static const struct {
		const char *before;
		const char *piece;
		const char *after;
		size_t longest;
	} cases[] = {
		{"{\"input\":\"x\",\"model\":\"", "m", "\"}", 127},
		{"{\"input\":\"x\",\"previous_response_id\":\"", "p", "\"}", 63},
		{"{\"input\":\"x\",\"metadata\":{\"", "\xC3\xA9", "\":\"v\"}}", 64},
		{"{\"input\":\"x\",\"metadata\":{\"k\":\"", "\xF0\x9F\x98\x80", "\"}}", 512},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct request request;
		struct api_error error = {0};
		char *text = with_long(cases[i].before, cases[i].piece, cases[i].longest, cases[i].after);
		read_ok(text, REQUEST_HTTP, &request);
		request_free(&request);
		mem_free(text);
		text = with_long(cases[i].before, cases[i].piece, cases[i].longest + 1, cases[i].after);
		assert_int_equal(read_text(text, REQUEST_HTTP, &request, &error), -1);
		assert_int_equal(error.code, i == 1 ? API_PARENT_NOT_FOUND : API_INVALID_VALUE);
		assert_true(str_is_utf8(str_of(error.message)) && str_is_utf8(str_of(error.param)));
		mem_free(text);
	}
}

static void test_metadata_pairs(void **state) {
	(void)state;
	for (int pairs = 16; pairs <= 17; pairs++) {
		struct buf text = BUF_INIT;
		struct request request;
		struct api_error error = {0};
		buf_append_text(&text, "{\"input\":\"x\",\"metadata\":{");
		for (int i = 0; i < pairs; i++) {
			buf_printf(&text, "%s\"k%d\":\"v\"", i > 0 ? "," : "", i);
		}
		buf_append_text(&text, "}}");
		int result = read_text(buf_text(&text), REQUEST_HTTP, &request, &error);
		assert_int_equal(result, pairs == 16 ? 0 : -1);
		if (result == 0) {
			request_free(&request);
		} else {
			assert_api_error(&error, API_INVALID_VALUE, "metadata",
					 "metadata must have at most 16 pairs, not 17");
		}
		buf_free(&text);
	}
}

static void test_an_unknown_name_is_cut(void **state) {
	(void)state;
	char *text = with_long("{\"a", "\xC3\xA9", 100, "\":1}");
	struct request request;
	struct api_error error = {0};
	assert_int_equal(read_text(text, REQUEST_HTTP, &request, &error), -1);
	assert_int_equal(error.code, API_UNKNOWN_FIELD);
	/* 64 would split a character. */
	assert_int_equal(strlen(error.param), 63);
	assert_true(str_is_utf8(str_of(error.param)));
	mem_free(text);
}

static void test_websocket(void **state) {
	(void)state;
	assert_refused("{\"input\":\"x\"}", REQUEST_WEBSOCKET, API_MISSING_FIELD, "type",
		       "type is missing; send \"response.create\"");
	assert_refused("{\"type\":null,\"input\":\"x\"}", REQUEST_WEBSOCKET, API_MISSING_FIELD, "type",
		       "type is missing; send \"response.create\"");
	assert_refused("{\"type\":\"response.cancel\",\"input\":\"x\"}", REQUEST_WEBSOCKET, API_INVALID_VALUE, "type",
		       "type must be \"response.create\", not \"response.cancel\"");
	assert_refused("{\"type\":[\"response.create\"]}", REQUEST_WEBSOCKET, API_INVALID_TYPE, "type",
		       "type must be \"response.create\", not an array");
	assert_refused("{\"type\":{}}", REQUEST_WEBSOCKET, API_INVALID_TYPE, "type",
		       "type must be \"response.create\", not an object");
	assert_refused("{\"type\":false}", REQUEST_WEBSOCKET, API_INVALID_TYPE, "type",
		       "type must be \"response.create\", not a boolean");
	assert_refused("{\"type\":\"12345678901234567890123456789012345678901234567\"}", REQUEST_WEBSOCKET,
		       API_INVALID_VALUE, "type",
		       "type must be \"response.create\", not \"12345678901234567890123456789012345678901234567\"");
	assert_refused("{\"type\":\"123456789012345678901234567890123456789012345678\"}", REQUEST_WEBSOCKET,
		       API_INVALID_VALUE, "type",
		       "type must be \"response.create\", not \"12345678901234567890123456789012345678901234567...\"");
	assert_refused("{\"type\":\"response.create\",\"input\":\"x\",\"stream\":false}", REQUEST_WEBSOCKET,
		       API_UNSUPPORTED, "stream",
		       "stream can't be false on a WebSocket, which always streams; leave it out");
	assert_refused("{\"type\":\"response.create\",\"input\":\"x\",\"background\":true}", REQUEST_WEBSOCKET,
		       API_UNSUPPORTED, "background", "background is not supported; leave it out, or send false");
	assert_refused("{\"type\":\"response.create\",\"input\":\"x\",\"stream_options\":{}}", REQUEST_WEBSOCKET,
		       API_UNSUPPORTED, "stream_options", "stream_options is not supported; leave it out");
}

static void test_every_failing_allocation_is_an_error(void **state) {
	(void)state;
	struct json *json =
		parse("{\"input\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\",\"content\":\"a\"},"
		      "{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\",\"content\":\"a\"},"
		      "{\"role\":\"user\",\"content\":\"a\"}],\"instructions\":\"i\",\"metadata\":{\"a\":\"b\"},"
		      "\"tools\":[]}");
	int failures = 0;
	for (uint64_t nth = 1;; nth++) {
		struct request request;
		struct api_error error = {0};
		mem_fail_after(nth, false);
		int result = request_read(json, REQUEST_HTTP, NOW_MS, &request, &error);
		mem_fail_after(0, false);
		if (result == 0) {
			request_free(&request);
			break;
		}
		assert_int_equal(error.code, API_OVERLOADED);
		failures++;
	}
	/* Two for each message, four for their list, one each for the rest. */
	assert_int_equal(failures, 16);
	json_free(&json);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_least),
		cmocka_unit_test(test_the_most),
		cmocka_unit_test(test_neutral_values),
		cmocka_unit_test(test_unsupported_values),
		cmocka_unit_test(test_what_to_go_on_with),
		cmocka_unit_test(test_obfuscation),
		cmocka_unit_test(test_every_kind_of_input),
		cmocka_unit_test(test_wrong_types_and_values),
		cmocka_unit_test(test_values_at_their_bounds),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_metadata_pairs),
		cmocka_unit_test(test_an_unknown_name_is_cut),
		cmocka_unit_test(test_websocket),
		cmocka_unit_test(test_every_failing_allocation_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
