#include "proto/event.h"
#include "proto_test.h"

static const struct event_place place = {
	.sequence = 4294967295U, .output_index = 1, .content_index = 20, .item_id = "msg_1"};

#define PLACE "\"sequence_number\":4294967295,\"item_id\":\"msg_1\",\"output_index\":1,\"content_index\":20"

static struct event_delta text_delta(struct str text) {
	return (struct event_delta){.part = PART_OUTPUT_TEXT, .text = text};
}

static void test_deltas(void **state) {
	(void)state;
	struct buf out = BUF_INIT;
	struct event_delta delta = text_delta(STR(" a\"\n\x01\xC3\xA9"));
	event_write_delta(&out, &place, &delta);
	assert_written(&out, "{\"type\":\"response.output_text.delta\"," PLACE
			     ",\"delta\":\" a\\\"\\n\\u0001\xC3\xA9\",\"logprobs\":[]}");
	delta = (struct event_delta){.part = PART_OUTPUT_TEXT,
				     .text = STR("x"),
				     .logprobs = STR("{\"token\":\"x\"},{\"token\":\"\"}"),
				     .obfuscation = STR("abc")};
	event_write_delta(&out, &place, &delta);
	assert_written(&out, "{\"type\":\"response.output_text.delta\"," PLACE
			     ",\"delta\":\"x\",\"logprobs\":[{\"token\":\"x\"},{\"token\":\"\"}],"
			     "\"obfuscation\":\"abc\"}");
	delta = text_delta(STR_NONE);
	event_write_delta(&out, &(struct event_place){.item_id = ""}, &delta);
	assert_written(&out, "{\"type\":\"response.output_text.delta\",\"sequence_number\":0,\"item_id\":\"\","
			     "\"output_index\":0,\"content_index\":0,\"delta\":\"\",\"logprobs\":[]}");
}

#define CALL_PLACE "\"sequence_number\":4294967295,\"item_id\":\"msg_1\",\"output_index\":1"

/* Each kind of part that streams: its delta, and its end with the whole text. */
static void test_every_streamed_kind(void **state) {
	(void)state;
	static const struct {
		enum part_kind kind;
		const char *delta;
		const char *done;
	} cases[] = {
		{PART_OUTPUT_TEXT,
		 "{\"type\":\"response.output_text.delta\"," PLACE ",\"delta\":\"a\\\\\",\"logprobs\":[]}",
		 "{\"type\":\"response.output_text.done\"," PLACE ",\"text\":\"a\\\\\",\"logprobs\":[]}"},
		{PART_REFUSAL, "{\"type\":\"response.refusal.delta\"," PLACE ",\"delta\":\"a\\\\\"}",
		 "{\"type\":\"response.refusal.done\"," PLACE ",\"refusal\":\"a\\\\\"}"},
		{PART_REASONING_TEXT, "{\"type\":\"response.reasoning.delta\"," PLACE ",\"delta\":\"a\\\\\"}",
		 "{\"type\":\"response.reasoning.done\"," PLACE ",\"text\":\"a\\\\\"}"},
		{PART_ARGUMENTS,
		 "{\"type\":\"response.function_call_arguments.delta\"," CALL_PLACE ",\"delta\":\"a\\\\\"}",
		 "{\"type\":\"response.function_call_arguments.done\"," CALL_PLACE ",\"arguments\":\"a\\\\\"}"},
	};
	char text[] = "a\\";
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf out = BUF_INIT;
		struct event_delta delta = {.part = cases[i].kind, .text = str_of(text)};
		struct part part = {.kind = cases[i].kind, .text = text, .length = strlen(text)};
		event_write_delta(&out, &place, &delta);
		assert_written(&out, cases[i].delta);
		event_write_done(&out, &place, &part);
		assert_written(&out, cases[i].done);
	}
}

static void test_part_events(void **state) {
	(void)state;
	struct buf out = BUF_INIT;
	char text[] = "\"a\"", annotations[] = "{\"n\":1}", logprobs[] = "{\"l\":1}";
	struct part part = {.kind = PART_OUTPUT_TEXT,
			    .text = text,
			    .length = strlen(text),
			    .annotations = annotations,
			    .logprobs = logprobs};
	event_write_part_added(&out, &place, &part);
	assert_written(&out, "{\"type\":\"response.content_part.added\"," PLACE
			     ",\"part\":{\"type\":\"output_text\",\"text\":\"\",\"annotations\":[],\"logprobs\":[]}}");
	event_write_part_done(&out, &place, &part);
	assert_written(&out,
		       "{\"type\":\"response.content_part.done\"," PLACE ",\"part\":{\"type\":\"output_text\",\"text\":"
		       "\"\\\"a\\\"\",\"annotations\":[{\"n\":1}],\"logprobs\":[{\"l\":1}]}}");
	part = (struct part){.kind = PART_REFUSAL, .text = text, .length = strlen(text)};
	event_write_part_added(&out, &place, &part);
	assert_written(&out, "{\"type\":\"response.content_part.added\"," PLACE
			     ",\"part\":{\"type\":\"refusal\",\"refusal\":\"\"}}");
	event_write_annotation(&out, &place, 3, STR("{\"type\":\"url_citation\"}"));
	assert_written(&out, "{\"type\":\"response.output_text.annotation.added\"," PLACE
			     ",\"annotation_index\":3,\"annotation\":{\"type\":\"url_citation\"}}");
}

static void test_item_events(void **state) {
	(void)state;
	struct buf out = BUF_INIT;
	struct item item;
	assert_int_equal(item_message(&item, ROLE_ASSISTANT, ITEM_INCOMPLETE, "msg_1", STR("Hi")), 0);
	event_write_item_added(&out, &place, &item);
	assert_written(&out,
		       "{\"type\":\"response.output_item.added\",\"sequence_number\":4294967295,\"output_index\":1,"
		       "\"item\":{\"type\":\"message\",\"id\":\"msg_1\",\"status\":\"in_progress\",\"role\":"
		       "\"assistant\",\"content\":[]}}");
	event_write_item_done(&out, &place, &item);
	assert_written(&out,
		       "{\"type\":\"response.output_item.done\",\"sequence_number\":4294967295,\"output_index\":1,"
		       "\"item\":{\"type\":\"message\",\"id\":\"msg_1\",\"status\":\"incomplete\",\"role\":"
		       "\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"Hi\",\"annotations\":[],"
		       "\"logprobs\":[]}]}}");
	item_free(&item);
}

static void test_events_append(void **state) {
	(void)state;
	struct buf out = BUF_INIT;
	struct event_delta delta = text_delta(STR("x"));
	buf_append_text(&out, "data: ");
	event_write_delta(&out, &place, &delta);
	buf_append_text(&out, "\n\n");
	assert_written(&out,
		       "data: {\"type\":\"response.output_text.delta\"," PLACE ",\"delta\":\"x\",\"logprobs\":[]}\n\n");
}

/* Every control character, every escape and a longer text, through the parser and back. */
static void test_deltas_read_back(void **state) {
	(void)state;
	char text[0x500];
	size_t length = 0;
	for (int c = 1; c < 0x80; c++) {
		text[length++] = (char)c;
	}
	while (length + 4 < sizeof text) {
		memcpy(text + length, "\xF0\x9F\x98\x80", 4);
		length += 4;
	}
	struct buf out = BUF_INIT;
	struct event_delta delta = text_delta((struct str){text, length});
	event_write_delta(&out, &place, &delta);
	struct json *json = parse(buf_text(&out));
	assert_true(str_equal(json_str(json_get(json, "delta")), (struct str){text, length}));
	json_free(&json);
	buf_free(&out);
}

static void test_memory_runs_out(void **state) {
	(void)state;
	struct buf out = BUF_INIT;
	char text[] = "x";
	struct event_delta delta = text_delta(str_of(text));
	struct part part = {.kind = PART_OUTPUT_TEXT, .text = text, .length = 1};
	struct item item = {.kind = ITEM_MESSAGE, .id = "msg_1"};
	mem_fail_after(1, true);
	event_write_delta(&out, &place, &delta);
	event_write_done(&out, &place, &part);
	event_write_part_done(&out, &place, &part);
	event_write_item_added(&out, &place, &item);
	mem_fail_after(0, false);
	assert_true(out.failed);
	assert_int_equal(out.length, 0);
	buf_free(&out);
}

static void test_names(void **state) {
	(void)state;
	const struct event_place here = {0};
	const struct event_place there = {.openai_names = true};
	assert_string_equal(event_name(EVENT_DELTA, RESPONSE_IN_PROGRESS, PART_REASONING_TEXT, &here),
			    "response.reasoning.delta");
	assert_string_equal(event_name(EVENT_DONE, RESPONSE_IN_PROGRESS, PART_REASONING_TEXT, &there),
			    "response.reasoning_text.done");
	assert_string_equal(event_name(EVENT_DONE, RESPONSE_IN_PROGRESS, PART_OUTPUT_TEXT, &there),
			    "response.output_text.done");
	assert_string_equal(event_name(EVENT_CREATED, RESPONSE_COMPLETED, PART_OUTPUT_TEXT, &here), "response.created");
	assert_string_equal(event_name(EVENT_DELTA, RESPONSE_FAILED, PART_OUTPUT_TEXT, &here),
			    "response.output_text.delta");
	assert_string_equal(event_name(EVENT_TERMINAL, RESPONSE_COMPLETED, PART_OUTPUT_TEXT, &here),
			    "response.completed");
	assert_string_equal(event_name(EVENT_TERMINAL, RESPONSE_FAILED, PART_OUTPUT_TEXT, &here), "response.failed");
	assert_string_equal(event_name(EVENT_TERMINAL, RESPONSE_INCOMPLETE, PART_OUTPUT_TEXT, &here),
			    "response.incomplete");
	assert_string_equal(event_name(EVENT_TERMINAL, RESPONSE_CANCELLED, PART_OUTPUT_TEXT, &here),
			    "response.incomplete");
	assert_string_equal(event_name(EVENT_DELTA, RESPONSE_IN_PROGRESS, PART_ARGUMENTS, &here),
			    "response.function_call_arguments.delta");
	assert_string_equal(event_name(EVENT_DONE, RESPONSE_IN_PROGRESS, PART_REFUSAL, &here), "response.refusal.done");
	static const enum response_status all[] = {RESPONSE_IN_PROGRESS, RESPONSE_COMPLETED, RESPONSE_INCOMPLETE,
						   RESPONSE_FAILED, RESPONSE_CANCELLED};
	for (size_t i = 0; i < COUNT(all); i++) {
		enum response_status status = RESPONSE_IN_PROGRESS;
		assert_int_equal(response_status_parse(str_of(response_status_name(all[i])), &status), 0);
		assert_int_equal(status, all[i]);
	}
	enum response_status kept = RESPONSE_FAILED;
	assert_int_equal(response_status_parse(STR("queued"), &kept), -1);
	assert_int_equal(kept, RESPONSE_FAILED);
}

static const struct request_settings plain = {.store = true};

static struct response_view plain_view(void) {
	return (struct response_view){.id = "resp_1", .model = "demo", .settings = &plain, .created_s = 1790000000};
}

/* What a request that says nothing gets back. */
#define SETTINGS                                                                                                       \
	"\"instructions\":null,\"metadata\":{},\"temperature\":1,\"top_p\":1,\"presence_penalty\":0,"                  \
	"\"frequency_penalty\":0,\"max_output_tokens\":null,\"max_tool_calls\":null,\"top_logprobs\":0,"               \
	"\"safety_identifier\":null,\"prompt_cache_key\":null," REST("true")
#define REST(store)                                                                                                     \
	"\"tools\":[],\"tool_choice\":\"auto\",\"parallel_tool_calls\":true,\"text\":{\"format\":{\"type\":\"text\"}}," \
	"\"reasoning\":null,\"truncation\":\"disabled\",\"service_tier\":\"default\",\"background\":false,"             \
	"\"store\":" store
#define IN_PROGRESS                                                                                                    \
	"{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":1790000000,\"completed_at\":null,\"status\":"       \
	"\"in_progress\",\"incomplete_details\":null,\"error\":null,\"model\":\"demo\",\"previous_response_id\":null," \
	"\"conversation\":null," SETTINGS ",\"output\":[],\"usage\":null}"

static void test_a_new_response(void **state) {
	(void)state;
	struct response_view view = plain_view();
	struct buf out = BUF_INIT;
	response_write(&out, &view);
	assert_written(&out, IN_PROGRESS);
	event_write_response(&out, EVENT_CREATED, 0, &view);
	assert_written(&out, "{\"type\":\"response.created\",\"sequence_number\":0,\"response\":" IN_PROGRESS "}");
}

#define MESSAGE(id, text)                                                                                              \
	"{\"type\":\"message\",\"id\":\"" id                                                                           \
	"\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":"                                   \
	"\"output_text\",\"text\":\"" text "\",\"annotations\":[],\"logprobs\":[]}]}"

static void test_a_full_response(void **state) {
	(void)state;
	struct item items[2];
	assert_int_equal(item_message(&items[0], ROLE_ASSISTANT, ITEM_COMPLETED, "msg_1", STR("a")), 0);
	assert_int_equal(item_message(&items[1], ROLE_ASSISTANT, ITEM_COMPLETED, "msg_2", STR("b")), 0);
	char instructions[] = "Say \"a\".";
	char metadata[] = "{\"k\":\"v\"}";
	struct request_settings settings = {.instructions = instructions,
					    .metadata = metadata,
					    .has_temperature = true,
					    .has_top_p = true,
					    .has_max_output_tokens = true,
					    .temperature = 0.7,
					    .top_p = 0,
					    .max_output_tokens = 50};
	struct response_view view = plain_view();
	view.settings = &settings;
	view.conversation = "conv_1";
	view.previous_response_id = "resp_0";
	view.completed_s = 1790000002;
	view.status = RESPONSE_COMPLETED;
	view.output = items;
	view.output_count = 2;
	view.usage = (struct response_usage){
		.known = true, .input_tokens = 10, .cached_tokens = 4, .output_tokens = 3, .reasoning_tokens = 1};
	/* These belong to other ends. */
	view.incomplete_reason = "x";
	view.error_code = "x";
#define HEAD(completed, status)                                                                                         \
	"{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":1790000000,\"completed_at\":" completed              \
	",\"status\":\"" status "\",\"incomplete_details\":null,\"error\":null,\"model\":\"demo\","                     \
	"\"previous_response_id\":\"resp_0\",\"conversation\":{\"id\":\"conv_1\"},\"instructions\":\"Say \\\"a\\\".\"," \
	"\"metadata\":{\"k\":\"v\"},\"temperature\":0.7,\"top_p\":0,\"presence_penalty\":0,"                            \
	"\"frequency_penalty\":0,\"max_output_tokens\":50,\"max_tool_calls\":null,\"top_logprobs\":0,"                  \
	"\"safety_identifier\":null,\"prompt_cache_key\":null," REST("false") ","
#define DONE                                                                                                                \
	HEAD("1790000002", "completed")                                                                                     \
	"\"output\":[" MESSAGE("msg_1", "a") "," MESSAGE(                                                                   \
		"msg_2",                                                                                                    \
		"b") "],\"usage\":{\"input_tokens\":10,\"input_tokens_details\":{\"cached_tokens\":4},\"output_tokens\":3," \
		     "\"output_tokens_details\":{\"reasoning_tokens\":1},\"total_tokens\":13}}"
	struct buf out = BUF_INIT;
	response_write(&out, &view);
	assert_written(&out, DONE);
	event_write_response(&out, EVENT_TERMINAL, 9, &view);
	assert_written(&out, "{\"type\":\"response.completed\",\"sequence_number\":9,\"response\":" DONE "}");
	/* A replay shows the first events as they were. */
	event_write_response(&out, EVENT_IN_PROGRESS, 1, &view);
	assert_written(&out, "{\"type\":\"response.in_progress\",\"sequence_number\":1,\"response\":" HEAD(
				     "null", "in_progress") "\"output\":[],\"usage\":null}}");
	item_free(&items[0]);
	item_free(&items[1]);
}

/* The early events of a response have the same bytes whatever became of it. */
static void test_a_replay_is_what_was_live(void **state) {
	(void)state;
	struct response_view view = plain_view();
	struct buf live = BUF_INIT;
	event_write_response(&live, EVENT_CREATED, 0, &view);
	static const enum response_status ends[] = {RESPONSE_COMPLETED, RESPONSE_INCOMPLETE, RESPONSE_FAILED,
						    RESPONSE_CANCELLED};
	for (size_t i = 0; i < COUNT(ends); i++) {
		view.status = ends[i];
		view.completed_s = 1;
		view.incomplete_reason = "max_output_tokens";
		view.error_code = "upstream_failed";
		view.error_message = "m";
		view.usage.known = true;
		struct buf replay = BUF_INIT;
		event_write_response(&replay, EVENT_CREATED, 0, &view);
		assert_written(&replay, buf_text(&live));
	}
	buf_free(&live);
}

static void assert_ending(const struct json *response, const char *status, const char *reason, const char *code) {
	assert_str(json_str(json_get(response, "status")), status);
	assert_str(json_str(json_get(json_get(response, "incomplete_details"), "reason")), reason);
	assert_str(json_str(json_get(json_get(response, "error"), "code")), code);
	if (!reason[0]) {
		assert_int_equal(json_type(json_get(response, "incomplete_details")), JSON_NULL);
	}
	if (!code[0]) {
		assert_int_equal(json_type(json_get(response, "error")), JSON_NULL);
	}
}

static void assert_view(const struct response_view *view, const char *status, const char *reason, const char *code) {
	struct buf out = BUF_INIT;
	response_write(&out, view);
	struct json *json = parse(buf_text(&out));
	assert_ending(json, status, reason, code);
	json_free(&json);
	buf_free(&out);
}

static void assert_terminal(const struct response_view *view, const char *type, const char *status,
			    const char *reason) {
	struct buf out = BUF_INIT;
	event_write_response(&out, EVENT_TERMINAL, 3, view);
	struct json *json = parse(buf_text(&out));
	assert_str(json_str(json_get(json, "type")), type);
	assert_ending(json_get(json, "response"), status, reason,
		      view->status == RESPONSE_FAILED ? "upstream_failed" : "");
	json_free(&json);
	buf_free(&out);
}

static void test_other_ends(void **state) {
	(void)state;
	struct response_view view = plain_view();
	view.incomplete_reason = "max_output_tokens";
	view.error_code = "upstream_failed";
	view.error_message = "m";
	view.status = RESPONSE_INCOMPLETE;
	assert_view(&view, "incomplete", "max_output_tokens", "");
	assert_terminal(&view, "response.incomplete", "incomplete", "max_output_tokens");
	view.status = RESPONSE_FAILED;
	assert_view(&view, "failed", "", "upstream_failed");
	assert_terminal(&view, "response.failed", "failed", "");
	view.status = RESPONSE_CANCELLED;
	view.incomplete_reason = "cancelled";
	assert_view(&view, "cancelled", "cancelled", "");
	assert_terminal(&view, "response.incomplete", "incomplete", "cancelled");
	view.incomplete_reason = NULL;
	assert_view(&view, "cancelled", "cancelled", "");
	assert_terminal(&view, "response.incomplete", "incomplete", "cancelled");
	/* What nobody said is null, not an empty text. */
	view.status = RESPONSE_INCOMPLETE;
	view.incomplete_reason = "";
	assert_view(&view, "incomplete", "", "");
	view.status = RESPONSE_FAILED;
	view.error_code = "";
	view.error_message = NULL;
	assert_view(&view, "failed", "", "internal_error");
}

/* ResponseResource, version 2026-04-24: all of them are required. */
static void test_no_required_field_is_missing(void **state) {
	(void)state;
	static const char *const required[] = {"id",
					       "object",
					       "created_at",
					       "completed_at",
					       "status",
					       "model",
					       "incomplete_details",
					       "previous_response_id",
					       "instructions",
					       "output",
					       "error",
					       "tools",
					       "tool_choice",
					       "truncation",
					       "parallel_tool_calls",
					       "text",
					       "top_p",
					       "presence_penalty",
					       "frequency_penalty",
					       "top_logprobs",
					       "temperature",
					       "reasoning",
					       "usage",
					       "max_output_tokens",
					       "store",
					       "max_tool_calls",
					       "background",
					       "service_tier",
					       "metadata",
					       "safety_identifier",
					       "prompt_cache_key"};
	struct response_view view = plain_view();
	struct buf out = BUF_INIT;
	response_write(&out, &view);
	struct json *json = parse(buf_text(&out));
	for (size_t i = 0; i < COUNT(required); i++) {
		if (!json_get(json, required[i])) {
			fail_msg("no %s", required[i]);
		}
	}
	/* And one of OpenAI's. */
	assert_non_null(json_get(json, "conversation"));
	assert_int_equal(json_count(json), COUNT(required) + 1);
	json_free(&json);
	buf_free(&out);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deltas),
		cmocka_unit_test(test_every_streamed_kind),
		cmocka_unit_test(test_part_events),
		cmocka_unit_test(test_item_events),
		cmocka_unit_test(test_events_append),
		cmocka_unit_test(test_deltas_read_back),
		cmocka_unit_test(test_memory_runs_out),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_a_new_response),
		cmocka_unit_test(test_a_full_response),
		cmocka_unit_test(test_a_replay_is_what_was_live),
		cmocka_unit_test(test_other_ends),
		cmocka_unit_test(test_no_required_field_is_missing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
