#include "base/mem.h"
#include "proto/completion.h"
#include "proto_test.h"

static const struct request_settings plain;

static struct response_view view_of(const struct item *items, size_t count) {
	return (struct response_view){.id = "resp_0a1b",
				      .model = "demo",
				      .settings = &plain,
				      .created_s = 1790000000,
				      .status = RESPONSE_COMPLETED,
				      .output = items,
				      .output_count = count};
}

#define HEAD(object)                                                                                                   \
	"{'id':'chatcmpl-0a1b','object':'" object "','created':1790000000,'model':'demo','service_tier':'default',"    \
	"'system_fingerprint':null,"

#define WHOLE(message, logprobs, finish, usage)                                                                        \
	HEAD("chat.completion")                                                                                        \
	"'choices':[{'index':0,'message':{'role':'assistant'," message "},'logprobs':" logprobs                        \
	",'finish_reason':'" finish "'}],'usage':" usage "}"

static void add(struct item *item, enum part_kind kind, const char *text) {
	assert_non_null(item_add_part(item, kind, str_of(text)));
}

static void assert_completion(const struct response_view *view, const char *expected) {
	struct buf out = BUF_INIT;
	completion_write(&out, view);
	assert_written(&out, quoted(expected));
}

#define CITATION "{'type':'url_citation','url':'u','start_index':0,'end_index':1,'title':'t'}"
#define LOGPROB(token) "{'token':'" token "','logprob':-1,'bytes':[],'top_logprobs':[]}"

static void test_words(void **state) {
	(void)state;
	struct item items[3] = {{.kind = ITEM_REASONING}, {.kind = ITEM_MESSAGE}, {.kind = ITEM_MESSAGE}};
	struct response_view view = view_of(items, 0);
	assert_completion(&view, WHOLE("'content':null,'refusal':null", "null", "stop", "null"));
	add(&items[0], PART_SUMMARY_TEXT, "not shown");
	add(&items[0], PART_REASONING_TEXT, "h");
	add(&items[0], PART_REASONING_TEXT, "m");
	add(&items[1], PART_OUTPUT_TEXT, "a\n");
	add(&items[2], PART_OUTPUT_TEXT, "b");
	view.output_count = 3;
	view.usage = (struct response_usage){
		.known = true, .input_tokens = 4, .cached_tokens = 3, .output_tokens = 2, .reasoning_tokens = 1};
	assert_completion(
		&view,
		WHOLE("'content':'a\\nb','refusal':null,'reasoning_content':'hm'", "null", "stop",
		      "{'prompt_tokens':4,'completion_tokens':2,'total_tokens':6,'prompt_tokens_details':{'cached_tokens':3},"
		      "'completion_tokens_details':{'reasoning_tokens':1}}"));
	for (size_t i = 0; i < COUNT(items); i++) {
		item_free(&items[i]);
	}
}

static void test_what_is_beside_the_words(void **state) {
	(void)state;
	struct item items[2] = {{.kind = ITEM_MESSAGE}, {.kind = ITEM_MESSAGE}};
	for (size_t i = 0; i < COUNT(items); i++) {
		add(&items[i], PART_OUTPUT_TEXT, "a");
		part_append_json(&items[i].parts[0].annotations, str_of(quoted(CITATION)));
		part_append_json(&items[i].parts[0].logprobs, str_of(quoted(i ? LOGPROB("y") : LOGPROB("x"))));
	}
	const struct response_view view = view_of(items, 2);
	assert_completion(&view,
			  WHOLE("'content':'aa','refusal':null,'annotations':[{'type':'url_citation',"
				"'url_citation':{'url':'u','start_index':0,'end_index':1,'title':'t'}},"
				"{'type':'url_citation','url_citation':{'url':'u','start_index':0,'end_index':1,"
				"'title':'t'}}]",
				"{'content':[" LOGPROB("x") "," LOGPROB("y") "],'refusal':null}", "stop", "null"));
	item_free(&items[0]);
	item_free(&items[1]);
}

static void test_refusal_and_calls(void **state) {
	(void)state;
	struct item items[3] = {{.kind = ITEM_MESSAGE},
				{.kind = ITEM_FUNCTION_CALL, .call_id = "c1", .name = "f"},
				{.kind = ITEM_FUNCTION_CALL, .call_id = "c2", .name = "g"}};
	add(&items[0], PART_REFUSAL, "no");
	add(&items[1], PART_ARGUMENTS, "{\"a\":1}");
	const struct response_view refused = view_of(items, 1);
	assert_completion(&refused, WHOLE("'content':null,'refusal':'no'", "null", "stop", "null"));
	const struct response_view calls = view_of(items + 1, 2);
	struct buf out = BUF_INIT;
	completion_write(&out, &calls);
	struct json *json = json_parse(buf_str(&out), NULL);
	const struct json *choice = json_first(json_get(json, "choices"));
	assert_true(str_is(json_str(json_get(choice, "finish_reason")), "tool_calls"));
	struct buf printed = BUF_INIT;
	json_print(json_get(json_get(choice, "message"), "tool_calls"), &printed);
	assert_string_equal(buf_text(&printed),
			    "[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
			    "\"{\\\"a\\\":1}\"}},{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"g\","
			    "\"arguments\":\"\"}}]");
	buf_free(&printed);
	buf_free(&out);
	json_free(&json);
	item_free(&items[0]);
	item_free(&items[1]);
}

static void test_ends(void **state) {
	(void)state;
	static const struct {
		enum response_status status;
		const char *reason, *code;
		const char *finish; /* NULL: it is an error */
		enum api_error_code error;
	} cases[] = {
		{RESPONSE_COMPLETED, "", NULL, "stop", API_OK},
		{RESPONSE_INCOMPLETE, "max_output_tokens", NULL, "length", API_OK},
		{RESPONSE_INCOMPLETE, "content_filter", NULL, "content_filter", API_OK},
		{RESPONSE_INCOMPLETE, "upstream_cut", NULL, NULL, API_UPSTREAM_FAILED},
		{RESPONSE_INCOMPLETE, "upstream_stalled", NULL, NULL, API_UPSTREAM_TIMEOUT},
		{RESPONSE_INCOMPLETE, "server_restart", NULL, NULL, API_DRAINING},
		{RESPONSE_INCOMPLETE, "abandoned", NULL, NULL, API_RESPONSE_NOT_ACTIVE},
		{RESPONSE_INCOMPLETE, NULL, NULL, NULL, API_RESPONSE_NOT_ACTIVE},
		{RESPONSE_CANCELLED, "max_output_tokens", NULL, NULL, API_RESPONSE_NOT_ACTIVE},
		{RESPONSE_FAILED, NULL, "upstream_rate_limited", NULL, API_UPSTREAM_RATE_LIMITED},
		{RESPONSE_FAILED, NULL, "of_another_version", NULL, API_INTERNAL},
		{RESPONSE_FAILED, NULL, NULL, NULL, API_INTERNAL},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct response_view view = view_of(NULL, 0);
		struct api_error error = {0};
		view.status = cases[i].status;
		view.incomplete_reason = cases[i].reason;
		view.error_code = cases[i].code;
		view.error_message = "it broke";
		assert_int_equal(completion_failure(&view, &error), cases[i].finish ? -1 : 0);
		assert_int_equal(error.code, cases[i].error);
		if (cases[i].status == RESPONSE_FAILED) {
			assert_string_equal(error.message, "it broke");
		}
		if (!cases[i].finish) {
			continue;
		}
		struct buf out = BUF_INIT;
		completion_write(&out, &view);
		struct json *json = json_parse(buf_str(&out), NULL);
		const struct json *choice = json_first(json_get(json, "choices"));
		assert_true(str_is(json_str(json_get(choice, "finish_reason")), cases[i].finish));
		json_free(&json);
		buf_free(&out);
	}
}

#define CHUNK(delta, logprobs, finish)                                                                                 \
	HEAD("chat.completion.chunk")                                                                                  \
	"'choices':[{'index':0,'delta':{" delta "},'logprobs':" logprobs ",'finish_reason':" finish "}]"

static void test_chunks(void **state) {
	(void)state;
	const struct item call = {.kind = ITEM_FUNCTION_CALL, .call_id = "c", .name = "f"};
	const struct response_view view = view_of(&call, 1);
	const struct completion_stream stream = {.view = &view};
	struct buf out = BUF_INIT;
	completion_write_start(&out, &stream);
	assert_written(&out, quoted(CHUNK("'role':'assistant','content':''", "null", "null") "}"));
	completion_write_call(&out, &stream, &call, 1);
	assert_written(&out, quoted(CHUNK("'tool_calls':[{'index':1,'id':'c','type':'function','function':{'name':'f',"
					  "'arguments':''}}]",
					  "null", "null") "}"));
	completion_write_annotation(&out, &stream, str_of(quoted(CITATION)));
	assert_written(&out, quoted(CHUNK("'annotations':[{'type':'url_citation','url_citation':{'url':'u',"
					  "'start_index':0,'end_index':1,'title':'t'}}]",
					  "null", "null") "}"));
	completion_write_finish(&out, &stream);
	assert_written(&out, quoted(CHUNK("", "null", "'tool_calls'") "}"));
}

static void test_delta_chunks(void **state) {
	(void)state;
	const struct response_view view = view_of(NULL, 0);
	const struct completion_stream stream = {.view = &view};
	static const struct {
		enum part_kind part;
		const char *logprobs, *obfuscation, *chunk;
	} cases[] = {
		{PART_OUTPUT_TEXT, NULL, NULL, CHUNK("'content':'a\\n'", "null", "null") "}"},
		{PART_REASONING_TEXT, NULL, NULL, CHUNK("'reasoning_content':'a\\n'", "null", "null") "}"},
		{PART_REFUSAL, NULL, NULL, CHUNK("'refusal':'a\\n'", "null", "null") "}"},
		{PART_ARGUMENTS, NULL, NULL,
		 CHUNK("'tool_calls':[{'index':2,'function':{'arguments':'a\\n'}}]", "null", "null") "}"},
		{PART_OUTPUT_TEXT, LOGPROB("x"), "zz",
		 CHUNK("'content':'a\\n'", "{'content':[" LOGPROB("x") "],'refusal':null}",
		       "null") ",'obfuscation':'zz'}"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf out = BUF_INIT;
		const struct event_delta delta = {
			.part = cases[i].part,
			.text = STR("a\n"),
			.logprobs = str_of(cases[i].logprobs ? quoted(cases[i].logprobs) : NULL),
			.obfuscation = str_of(cases[i].obfuscation),
		};
		completion_write_delta(&out, &stream, &delta, 2);
		assert_written(&out, quoted(cases[i].chunk));
	}
}

static void test_usage_in_a_stream(void **state) {
	(void)state;
	struct response_view view = view_of(NULL, 0);
	const struct completion_stream stream = {.view = &view, .includes_usage = true};
	struct buf out = BUF_INIT;
	completion_write_start(&out, &stream);
	assert_written(&out, quoted(CHUNK("'role':'assistant','content':''", "null", "null") ",'usage':null}"));
	completion_write_finish(&out, &stream);
	assert_written(&out, quoted(CHUNK("", "null", "'stop'") ",'usage':null}\n" HEAD(
				     "chat.completion.chunk") "'choices':[],'usage':null}"));
	view.usage = (struct response_usage){.known = true, .input_tokens = 1, .output_tokens = 2};
	completion_write_finish(&out, &stream);
	assert_written(
		&out,
		quoted(CHUNK("", "null", "'stop'") ",'usage':null}\n" HEAD(
			"chat.completion.chunk") "'choices':[],'usage':{'prompt_tokens':1,'completion_tokens':2,'total_tokens':3,"
						 "'prompt_tokens_details':{'cached_tokens':0},"
						 "'completion_tokens_details':{'reasoning_tokens':0}}}"));
}

static void test_memory_runs_out(void **state) {
	(void)state;
	struct item item = {.kind = ITEM_MESSAGE};
	add(&item, PART_OUTPUT_TEXT, "a");
	part_append_json(&item.parts[0].annotations, str_of(quoted(CITATION)));
	part_append_json(&item.parts[0].logprobs, str_of(quoted(LOGPROB("x"))));
	const struct response_view view = view_of(&item, 1);
	struct buf whole = BUF_INIT;
	completion_write(&whole, &view);
	int failures = 0;
	for (uint64_t nth = 1;; nth++) {
		struct buf out = BUF_INIT;
		mem_fail_after(nth, false);
		completion_write(&out, &view);
		mem_fail_after(0, false);
		bool failed = out.failed;
		/* What is not said to have failed is whole. */
		assert_true(failed || str_equal(buf_str(&out), buf_str(&whole)));
		buf_free(&out);
		if (!failed) {
			break;
		}
		failures++;
	}
	assert_true(failures > 2);
	buf_free(&whole);
	item_free(&item);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_what_is_beside_the_words),
		cmocka_unit_test(test_refusal_and_calls),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_delta_chunks),
		cmocka_unit_test(test_usage_in_a_stream),
		cmocka_unit_test(test_memory_runs_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
