/* The settings of a request: what is taken, what a response repeats, what is stored. */
#include "proto/request.h"
#include "proto_test.h"

static int read_with(const char *fields, enum request_transport transport, struct request *request,
		     struct api_error *error) {
	struct buf text = BUF_INIT;
	buf_printf(&text, "{%s'input':'x',%s}", transport == REQUEST_WEBSOCKET ? "'type':'response.create'," : "",
		   fields);
	struct json *json = parse(quoted(buf_text(&text)));
	int result = request_read(json, transport, NOW_MS, request, error);
	json_free(&json);
	buf_free(&text);
	return result;
}

static void read_ok(const char *fields, struct request *request) {
	struct api_error error = {0};
	if (read_with(fields, REQUEST_HTTP, request, &error) != 0) {
		fail_msg("%s: %s", error.message, fields);
	}
}

/* Takes it, and compares the printed value. */
static void assert_member(const struct json *object, const char *name, const char *expected) {
	struct buf out = BUF_INIT;
	if (!json_get(object, name)) {
		fail_msg("no %s", name);
	}
	json_print(json_get(object, name), &out);
	assert_written(&out, expected);
}

static struct json *echo(const struct request_settings *settings) {
	struct buf out = BUF_INIT;
	struct json_writer w = json_writer(&out);
	jw_object(&w);
	request_settings_echo(&w, settings);
	jw_object_end(&w);
	struct json *json = parse(buf_text(&out));
	buf_free(&out);
	return json;
}

#define TOOL "{'type':'function','name':'f'}"
#define FULL_TOOL "{'type':'function','name':'f','description':null,'parameters':null,'strict':null}"
#define ALLOWED "{'type':'allowed_tools','tools':[{'type':'function','name':'f'}]"

/* One field each: what is sent, what a response shows and what is stored of it. */
static const struct {
	const char *sent;
	const char *member; /* of the response; NULL: it is not shown */
	const char *shown;
	const char *stored; /* NULL: as it was sent */
} single[] = {
	{"'model':'m'", NULL, NULL, NULL},
	{"'instructions':''", "instructions", "''", NULL},
	{"'instructions':null", "instructions", "null", ""},
	{"'metadata':{'a':'b'}", "metadata", "{'a':'b'}", NULL},
	{"'metadata':null", "metadata", "{}", ""},
	{"'store':false", "store", "false", NULL},
	{"'store':true", "store", "true", ""},
	{"'temperature':0", "temperature", "0", NULL},
	{"'temperature':null", "temperature", "1", ""},
	{"'top_p':0.5", "top_p", "0.5", NULL},
	{"'top_p':null", "top_p", "1", ""},
	{"'presence_penalty':-2", "presence_penalty", "-2", NULL},
	{"'presence_penalty':0", "presence_penalty", "0", NULL},
	{"'presence_penalty':null", "presence_penalty", "0", ""},
	{"'frequency_penalty':2", "frequency_penalty", "2", NULL},
	{"'frequency_penalty':null", "frequency_penalty", "0", ""},
	{"'max_output_tokens':16", "max_output_tokens", "16", NULL},
	{"'max_output_tokens':null", "max_output_tokens", "null", ""},
	{"'max_tool_calls':1", "max_tool_calls", "1", NULL},
	{"'max_tool_calls':null", "max_tool_calls", "null", ""},
	{"'top_logprobs':20", "top_logprobs", "20", NULL},
	{"'top_logprobs':0", "top_logprobs", "0", NULL},
	{"'top_logprobs':null", "top_logprobs", "0", ""},
	{"'tools':[]", "tools", "[]", ""},
	{"'tools':null", "tools", "[]", ""},
	{"'tools':[" TOOL "]", "tools", "[" FULL_TOOL "]", NULL},
	{"'tools':[" FULL_TOOL "]", "tools", "[" FULL_TOOL "]", "'tools':[" TOOL "]"},
	{"'tool_choice':'none'", "tool_choice", "'none'", NULL},
	{"'tool_choice':null", "tool_choice", "'auto'", ""},
	{"'tools':[" TOOL "],'tool_choice':{'type':'function','name':'f'}", "tool_choice",
	 "{'type':'function','name':'f'}", NULL},
	{"'tools':[" TOOL "],'tool_choice':" ALLOWED "}", "tool_choice", ALLOWED ",'mode':'auto'}", NULL},
	{"'tools':[" TOOL "],'tool_choice':" ALLOWED ",'mode':'auto'}", "tool_choice", ALLOWED ",'mode':'auto'}",
	 "'tools':[" TOOL "],'tool_choice':" ALLOWED "}"},
	{"'tools':[" TOOL "],'tool_choice':" ALLOWED ",'mode':'required'}", "tool_choice",
	 ALLOWED ",'mode':'required'}", NULL},
	{"'parallel_tool_calls':false", "parallel_tool_calls", "false", NULL},
	{"'parallel_tool_calls':true", "parallel_tool_calls", "true", NULL},
	{"'parallel_tool_calls':null", "parallel_tool_calls", "true", ""},
	{"'text':null", "text", "{'format':{'type':'text'}}", ""},
	{"'text':{}", "text", "{'format':{'type':'text'}}", ""},
	{"'text':{'format':null,'verbosity':null}", "text", "{'format':{'type':'text'}}", ""},
	{"'text':{'format':{'type':'text'},'verbosity':'high'}", "text",
	 "{'format':{'type':'text'},'verbosity':'high'}", "'text':{'verbosity':'high'}"},
	{"'text':{'format':{'type':'json_object'}}", "text", "{'format':{'type':'json_object'}}", NULL},
	{"'text':{'format':{'type':'json_schema'}}", "text",
	 "{'format':{'type':'json_schema','name':'','description':null,'schema':null,'strict':false}}", NULL},
	{"'text':{'format':{'type':'json_schema','name':'n','description':'d','schema':{'a':1},'strict':true},"
	 "'verbosity':'low'}",
	 "text",
	 "{'format':{'type':'json_schema','name':'n','description':'d','schema':{'a':1},'strict':true},'verbosity':"
	 "'low'}",
	 NULL},
	{"'text':{'format':{'type':'json_schema','name':null,'schema':null,'strict':null}}", "text",
	 "{'format':{'type':'json_schema','name':'','description':null,'schema':null,'strict':false}}",
	 "'text':{'format':{'type':'json_schema'}}"},
	{"'reasoning':{}", "reasoning", "null", ""},
	{"'reasoning':{'effort':null,'summary':null}", "reasoning", "null", ""},
	{"'reasoning':{'effort':'minimal'}", "reasoning", "{'effort':'minimal','summary':null}", NULL},
	{"'reasoning':{'effort':'xhigh','summary':'auto'}", "reasoning", "{'effort':'xhigh','summary':'auto'}", NULL},
	{"'reasoning':{'summary':'auto'}", "reasoning", "{'effort':null,'summary':'auto'}", NULL},
	{"'truncation':'auto'", "truncation", "'auto'", NULL},
	{"'truncation':'disabled'", "truncation", "'disabled'", ""},
	{"'include':[]", NULL, NULL, ""},
	{"'include':['reasoning.encrypted_content','reasoning.encrypted_content']", NULL, NULL,
	 "'include':['reasoning.encrypted_content']"},
	{"'include':['message.output_text.logprobs','reasoning.encrypted_content']", NULL, NULL, NULL},
	{"'service_tier':'auto'", "service_tier", "'default'", NULL},
	{"'service_tier':'default'", "service_tier", "'default'", NULL},
	{"'service_tier':'priority'", "service_tier", "'priority'", NULL},
	{"'service_tier':null", "service_tier", "'default'", ""},
	{"'safety_identifier':'s'", "safety_identifier", "'s'", NULL},
	{"'safety_identifier':null", "safety_identifier", "null", ""},
	{"'prompt_cache_key':'k\\n'", "prompt_cache_key", "'k\\n'", NULL},
	{"'prompt_cache_key':''", "prompt_cache_key", "null", ""},
	{"'background':true", "background", "true", NULL},
	{"'background':false", "background", "false", ""},
};

static void test_each_is_shown_and_stored(void **state) {
	(void)state;
	for (size_t i = 0; i < COUNT(single); i++) {
		struct request request;
		struct request_settings again;
		struct buf out = BUF_INIT;
		char stored[512];
		read_ok(single[i].sent, &request);
		if (single[i].member) {
			struct json *json = echo(&request.settings);
			assert_member(json, single[i].member, quoted(single[i].shown));
			json_free(&json);
		}
		snprintf(stored, sizeof stored, "{%s}", single[i].stored ? single[i].stored : single[i].sent);
		request_settings_write(&out, &request.settings);
		request_free(&request);
		assert_written(&out, quoted(stored));
		/* And back. */
		assert_int_equal(request_settings_read(str_of(quoted(stored)), &again, NULL), 0);
		if (single[i].member) {
			struct json *json = echo(&again);
			assert_member(json, single[i].member, quoted(single[i].shown));
			json_free(&json);
		}
		request_settings_write(&out, &again);
		request_settings_free(&again);
		assert_written(&out, quoted(stored));
	}
}

static void test_refusals(void **state) {
	(void)state;
	static const struct {
		const char *fields;
		enum api_error_code code;
		const char *param;
	} cases[] = {
		{"'presence_penalty':2.1", API_INVALID_VALUE, "presence_penalty"},
		{"'presence_penalty':'1'", API_INVALID_TYPE, "presence_penalty"},
		{"'frequency_penalty':-2.1", API_INVALID_VALUE, "frequency_penalty"},
		{"'max_tool_calls':0", API_INVALID_VALUE, "max_tool_calls"},
		{"'max_tool_calls':true", API_INVALID_TYPE, "max_tool_calls"},
		{"'top_logprobs':21", API_INVALID_VALUE, "top_logprobs"},
		{"'top_logprobs':-1", API_INVALID_VALUE, "top_logprobs"},
		{"'top_logprobs':1.5", API_INVALID_VALUE, "top_logprobs"},
		{"'parallel_tool_calls':'yes'", API_INVALID_TYPE, "parallel_tool_calls"},
		{"'tools':[{'type':'function','name':'f','parameters':7}]", API_INVALID_TYPE, "tools[0].parameters"},
		{"'tool_choice':'required'", API_INVALID_VALUE, "tool_choice"},
		{"'tool_choice':{'type':'function','name':'f'},'tools':[]", API_INVALID_VALUE, "tool_choice.name"},
		{"'tool_choice':" ALLOWED "}", API_INVALID_VALUE, "tool_choice.tools[0].name"},
		{"'text':'json'", API_INVALID_TYPE, "text"},
		{"'text':{'style':'x'}", API_UNKNOWN_FIELD, "text.style"},
		{"'text':{'format':'json_object'}", API_INVALID_TYPE, "text.format"},
		{"'text':{'format':{}}", API_MISSING_FIELD, "text.format.type"},
		{"'text':{'format':{'type':'grammar'}}", API_INVALID_VALUE, "text.format.type"},
		{"'text':{'format':{'type':'text','name':'n'}}", API_UNKNOWN_FIELD, "text.format.name"},
		{"'text':{'format':{'type':'json_object','schema':{}}}", API_UNKNOWN_FIELD, "text.format.schema"},
		{"'text':{'format':{'type':'json_schema','name':'a b'}}", API_INVALID_VALUE, "text.format.name"},
		{"'text':{'format':{'type':'json_schema','schema':[]}}", API_INVALID_TYPE, "text.format.schema"},
		{"'text':{'format':{'type':'json_schema','schema':'{}'}}", API_INVALID_TYPE, "text.format.schema"},
		{"'text':{'format':{'type':'json_schema','description':7}}", API_INVALID_TYPE,
		 "text.format.description"},
		{"'text':{'format':{'type':'json_schema','schema':{},'strict':1}}", API_INVALID_TYPE,
		 "text.format.strict"},
		{"'text':{'format':{'type':'json_schema','json_schema':{}}}", API_UNKNOWN_FIELD,
		 "text.format.json_schema"},
		{"'text':{'format':{'type':'json_schema','schema':{}},'verbosity':'loud'}", API_INVALID_VALUE,
		 "text.verbosity"},
		{"'reasoning':7", API_INVALID_TYPE, "reasoning"},
		{"'reasoning':{'effort':'huge'}", API_INVALID_VALUE, "reasoning.effort"},
		{"'reasoning':{'effort':1}", API_INVALID_TYPE, "reasoning.effort"},
		{"'reasoning':{'summary':'concise'}", API_UNSUPPORTED, "reasoning.summary"},
		{"'reasoning':{'summary':'detailed'}", API_UNSUPPORTED, "reasoning.summary"},
		{"'reasoning':{'summary':'long'}", API_INVALID_VALUE, "reasoning.summary"},
		{"'reasoning':{'generate_summary':'auto'}", API_UNKNOWN_FIELD, "reasoning.generate_summary"},
		{"'truncation':'oldest'", API_INVALID_VALUE, "truncation"},
		{"'truncation':true", API_INVALID_TYPE, "truncation"},
		{"'include':'x'", API_INVALID_TYPE, "include"},
		{"'include':['reasoning.encrypted_content','x']", API_INVALID_VALUE, "include[1]"},
		{"'include':[7]", API_INVALID_TYPE, "include[0]"},
		{"'service_tier':'scale'", API_INVALID_VALUE, "service_tier"},
		{"'safety_identifier':7", API_INVALID_TYPE, "safety_identifier"},
		{"'prompt_cache_key':{}", API_INVALID_TYPE, "prompt_cache_key"},
		{"'background':'yes'", API_INVALID_TYPE, "background"},
		{"'background':true,'store':false", API_INVALID_VALUE, "background"},
		{"'store':false,'background':true", API_INVALID_VALUE, "background"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct request request;
		struct api_error error = {0};
		if (read_with(cases[i].fields, REQUEST_HTTP, &request, &error) == 0) {
			fail_msg("was taken: %s", cases[i].fields);
		}
		assert_field_error(&error, cases[i].code, cases[i].param);
	}
}

static void test_labels_at_their_bound(void **state) {
	(void)state;
	static const char *const names[] = {"safety_identifier", "prompt_cache_key"};
	for (size_t i = 0; i < COUNT(names); i++) {
		for (int length = 64; length <= 65; length++) {
			struct buf fields = BUF_INIT;
			struct request request;
			struct api_error error = {0};
			buf_printf(&fields, "'%s':'", names[i]);
			for (int j = 0; j < length; j++) {
				buf_append_text(&fields, "\xF0\x9F\x98\x80");
			}
			buf_append_char(&fields, '\'');
			int result = read_with(buf_text(&fields), REQUEST_HTTP, &request, &error);
			assert_int_equal(result, length == 64 ? 0 : -1);
			if (result == 0) {
				const char *label =
					i == 0 ? request.settings.safety_identifier : request.settings.prompt_cache_key;
				assert_int_equal(strlen(label), 256);
				request_free(&request);
			} else {
				assert_field_error(&error, API_INVALID_VALUE, names[i]);
			}
			buf_free(&fields);
		}
	}
}

static void test_the_websocket_has_no_background(void **state) {
	(void)state;
	struct request request;
	struct api_error error = {0};
	assert_int_equal(read_with("'background':true", REQUEST_WEBSOCKET, &request, &error), -1);
	assert_field_error(&error, API_UNSUPPORTED, "background");
	assert_int_equal(read_with("'background':false", REQUEST_WEBSOCKET, &request, &error), 0);
	request_free(&request);
}

#define EVERYTHING                                                                                                     \
	"'model':'m','instructions':'i','metadata':{'a':'b'},'temperature':0.1,'top_p':0.30000000000000004,"           \
	"'presence_penalty':-1.5,'frequency_penalty':0.25,'max_output_tokens':9007199254740991,'max_tool_calls':3,"    \
	"'top_logprobs':5,'safety_identifier':'s','prompt_cache_key':'k','tools':[{'type':'function','name':'f',"      \
	"'description':'d','parameters':{'type':'object'},'strict':true}],'tool_choice':" ALLOWED                      \
	"},'parallel_tool_calls':false,'text':{'format':{'type':'json_schema','name':'n','description':'d','schema':"  \
	"{'type':'object'},'strict':true},'verbosity':'low'},'reasoning':{'effort':'low','summary':'auto'},"           \
	"'include':['message.output_text.logprobs','reasoning.encrypted_content'],'truncation':'auto',"                \
	"'service_tier':'flex','background':true"

static void test_everything_at_once(void **state) {
	(void)state;
	struct request request;
	struct request_settings copy, again;
	struct buf out = BUF_INIT;
	read_ok(EVERYTHING, &request);
	request.settings.chat_members = mem_strdup(",\"seed\":7");
	assert_int_equal(request_settings_copy(&copy, &request.settings), 0);
	request_free(&request);
	assert_string_equal(copy.chat_members, ",\"seed\":7");
	request_settings_write(&out, &copy);
	request_settings_free(&copy);
	assert_written(&out, quoted("{" EVERYTHING "}"));
	assert_int_equal(request_settings_read(str_of(quoted("{" EVERYTHING "}")), &again, NULL), 0);
	/* Neither shown nor stored. */
	assert_null(again.chat_members);
	request_settings_free(&again);
}

/* As the version before this one wrote them, which always said whether to store. */
static void test_older_settings_still_read(void **state) {
	(void)state;
	static const struct {
		const char *old, *now;
	} cases[] = {
		{"{'store':true}", "{}"},
		{"{'model':'a','instructions':'','metadata':{},'temperature':0,'top_p':1,'max_output_tokens':16,'store':"
		 "false}",
		 "{'model':'a','instructions':'','metadata':{},'temperature':0,'top_p':1,'max_output_tokens':16,'store':"
		 "false}"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct request_settings settings;
		struct buf out = BUF_INIT;
		assert_int_equal(request_settings_read(str_of(quoted(cases[i].old)), &settings, NULL), 0);
		request_settings_write(&out, &settings);
		request_settings_free(&settings);
		assert_written(&out, quoted(cases[i].now));
	}
}

static void test_damaged_settings(void **state) {
	(void)state;
	static const char *const texts[] = {"",
					    "[]",
					    "{'store':1}",
					    "{'model':7}",
					    "{'instructions':7}",
					    "{'instructions':'owned','metadata':7}",
					    "{'temperature':'1'}",
					    "{'max_output_tokens':1.5}",
					    "{'tools':[{'type':'function','name':'f','parameters':{}}],'text':7}",
					    "{'input':'x'}",
					    "{'colour':'x'}"};
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct request_settings settings = {.model = "kept"};
		struct err err = {0};
		assert_int_equal(request_settings_read(str_of(quoted(texts[i])), &settings, &err), -1);
		assert_int_equal(err.code, ERR_CORRUPT);
		assert_string_equal(settings.model, "kept");
	}
}

static void test_every_failing_allocation_is_an_error(void **state) {
	(void)state;
	struct json *json = parse(quoted("{'input':'x'," EVERYTHING "}"));
	struct request request;
	uint64_t nth = 1;
	for (;; nth++) {
		struct api_error error = {0};
		mem_fail_after(nth, false);
		int result = request_read(json, REQUEST_HTTP, NOW_MS, &request, &error);
		mem_fail_after(0, false);
		if (result == 0) {
			break;
		}
		assert_int_equal(error.code, API_OVERLOADED);
	}
	assert_true(nth > 10);
	json_free(&json);
	for (nth = 1;; nth++) {
		struct request_settings copy = {.model = "kept"};
		mem_fail_after(nth, false);
		int result = request_settings_copy(&copy, &request.settings);
		mem_fail_after(0, false);
		if (result == 0) {
			request_settings_free(&copy);
			break;
		}
		assert_string_equal(copy.model, "kept");
	}
	/* instructions, metadata, the tools and two texts of one, the allowed names, two texts of the format */
	assert_int_equal(nth, 9);
	request_free(&request);
	for (nth = 1;; nth++) {
		struct request_settings settings;
		struct err err = {0};
		mem_fail_after(nth, false);
		int result = request_settings_read(str_of(quoted("{" EVERYTHING "}")), &settings, &err);
		mem_fail_after(0, false);
		if (result == 0) {
			request_settings_free(&settings);
			break;
		}
		assert_int_equal(err.code, ERR_MEMORY);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_is_shown_and_stored),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_labels_at_their_bound),
		cmocka_unit_test(test_the_websocket_has_no_background),
		cmocka_unit_test(test_everything_at_once),
		cmocka_unit_test(test_older_settings_still_read),
		cmocka_unit_test(test_damaged_settings),
		cmocka_unit_test(test_every_failing_allocation_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
