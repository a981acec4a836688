#include "proto/tool.h"
#include "proto_test.h"

static int read_tools(const char *text, struct tool_list *list, struct api_error *error) {
	struct json *json = parse(quoted(text));
	int result = tool_list_read(json, list, error);
	json_free(&json);
	return result;
}

static int read_choice(const char *text, struct tool_choice *choice, struct api_error *error) {
	struct json *json = parse(quoted(text));
	int result = tool_choice_read(json, choice, error);
	json_free(&json);
	return result;
}

#define TOOL(name) "{'type':'function','name':'" name "','description':null,'parameters':null,'strict':null}"

static void test_tools(void **state) {
	(void)state;
	static const struct {
		const char *sent, *shown;
	} cases[] = {
		{"[]", "[]"},
		{"[{'type':'function','name':'f'}]", "[" TOOL("f") "]"},
		{"[" TOOL("f") "," TOOL("a-B_9") "]", "[" TOOL("f") "," TOOL("a-B_9") "]"},
		{"[{'parameters':{ 'type' : 'object' },'strict':true,'name':'f','description':'d\\n','type':'function'}]",
		 "[{'type':'function','name':'f','description':'d\\n','parameters':{'type':'object'},'strict':true}]"},
		{"[{'type':'function','name':'f','description':'','parameters':{},'strict':false}]",
		 "[{'type':'function','name':'f','description':'','parameters':{},'strict':false}]"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct tool_list list, copy;
		struct api_error error = {0};
		struct buf out = BUF_INIT;
		struct json_writer w = json_writer(&out);
		if (read_tools(cases[i].sent, &list, &error) != 0) {
			fail_msg("%s: %s", error.message, cases[i].sent);
		}
		assert_int_equal(tool_list_copy(&copy, &list), 0);
		tool_list_free(&list);
		assert_null(list.tools);
		tool_list_write(&w, &copy);
		assert_written(&out, quoted(cases[i].shown));
		tool_list_free(&copy);
	}
}

#define NAMED(fields) "[" TOOL("a") ",{'type':'function'," fields "}]"

static void test_refused_tools(void **state) {
	(void)state;
	static const struct {
		const char *text;
		enum api_error_code code;
		const char *param;
	} cases[] = {
		{"{}", API_INVALID_TYPE, "tools"},
		{"['f']", API_INVALID_TYPE, "tools[0]"},
		{"[{'name':'f'}]", API_MISSING_FIELD, "tools[0].type"},
		{"[{'type':7}]", API_INVALID_TYPE, "tools[0].type"},
		{"[" TOOL("a") ",{'type':'web_search'}]", API_UNSUPPORTED, "tools[1].type"},
		{"[{'type':'mcp','server_url':'x'}]", API_UNSUPPORTED, "tools[0].type"},
		{"[{'type':'custom','name':'x'}]", API_UNSUPPORTED, "tools[0].type"},
		{NAMED("'function':{'name':'f'}"), API_UNKNOWN_FIELD, "tools[1].function"},
		{NAMED("'strict':true"), API_MISSING_FIELD, "tools[1].name"},
		{NAMED("'name':null"), API_INVALID_TYPE, "tools[1].name"},
		{NAMED("'name':''"), API_INVALID_VALUE, "tools[1].name"},
		{NAMED("'name':'a.b'"), API_INVALID_VALUE, "tools[1].name"},
		{NAMED("'name':'a'"), API_INVALID_VALUE, "tools[1].name"},
		{NAMED("'name':'b','description':7"), API_INVALID_TYPE, "tools[1].description"},
		{NAMED("'name':'b','description':'d','parameters':[]"), API_INVALID_TYPE, "tools[1].parameters"},
		{NAMED("'name':'b','parameters':{'a':1},'strict':'yes'"), API_INVALID_TYPE, "tools[1].strict"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct tool_list list = {.count = 77};
		struct api_error error = {0};
		if (read_tools(cases[i].text, &list, &error) == 0) {
			fail_msg("was taken: %s", cases[i].text);
		}
		assert_int_equal(list.count, 77);
		assert_field_error(&error, cases[i].code, cases[i].param);
	}
}

static void test_how_many(void **state) {
	(void)state;
	for (int count = TOOLS_MAX; count <= TOOLS_MAX + 1; count++) {
		struct buf text = BUF_INIT;
		struct tool_list list;
		struct api_error error = {0};
		buf_append_char(&text, '[');
		for (int i = 0; i < count; i++) {
			buf_printf(&text, "%s{\"type\":\"function\",\"name\":\"f%d\"}", i ? "," : "", i);
		}
		buf_append_char(&text, ']');
		struct json *json = parse(buf_text(&text));
		int result = tool_list_read(json, &list, &error);
		assert_int_equal(result, count == TOOLS_MAX ? 0 : -1);
		if (result == 0) {
			assert_int_equal(list.count, TOOLS_MAX);
			tool_list_free(&list);
		} else {
			assert_api_error(&error, API_INVALID_VALUE, "tools",
					 "tools must have at most 128 tools, not 129");
		}
		json_free(&json);
		buf_free(&text);
	}
}

#define FUNCTION(name) "{'type':'function','name':'" name "'}"
#define ALLOWED(tools, more) "{'type':'allowed_tools','tools':[" tools "]" more "}"

static void test_choices(void **state) {
	(void)state;
	static const struct {
		const char *sent, *shown;
		/* Whether the model may call a, b (both are tools) and c (which is none). */
		bool a, b, c;
	} cases[] = {
		{"'auto'", NULL, true, true, true},
		{"'none'", NULL, false, false, false},
		{"'required'", NULL, true, true, true},
		{FUNCTION("a"), NULL, true, false, false},
		{ALLOWED(FUNCTION("a"), ""), ALLOWED(FUNCTION("a"), ",'mode':'auto'"), true, false, false},
		{ALLOWED(FUNCTION("b") "," FUNCTION("a"), ",'mode':'required'"), NULL, true, true, false},
		{ALLOWED(FUNCTION("b"), ",'mode':'none'"), NULL, false, false, false},
	};
	struct tool_list tools;
	struct api_error error = {0};
	assert_int_equal(read_tools("[" TOOL("a") "," TOOL("b") "]", &tools, &error), 0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct tool_choice choice, copy;
		struct buf out = BUF_INIT;
		struct json_writer w = json_writer(&out);
		if (read_choice(cases[i].sent, &choice, &error) != 0) {
			fail_msg("%s: %s", error.message, cases[i].sent);
		}
		assert_int_equal(tool_choice_copy(&copy, &choice), 0);
		tool_choice_free(&choice);
		assert_true(copy.said);
		assert_int_equal(tool_choice_check(&copy, &tools, &error), 0);
		assert_int_equal(tool_choice_allows(&copy, STR("a")), cases[i].a);
		assert_int_equal(tool_choice_allows(&copy, STR("b")), cases[i].b);
		assert_int_equal(tool_choice_allows(&copy, STR("c")), cases[i].c);
		tool_choice_write(&w, &copy);
		assert_written(&out, quoted(cases[i].shown ? cases[i].shown : cases[i].sent));
		tool_choice_free(&copy);
	}
	tool_list_free(&tools);

	const struct tool_choice unsaid = {0};
	struct buf out = BUF_INIT;
	struct json_writer w = json_writer(&out);
	tool_choice_write(&w, &unsaid);
	assert_written(&out, "\"auto\"");
	assert_true(tool_choice_allows(&unsaid, STR("c")));
}

static void test_refused_choices(void **state) {
	(void)state;
	static const struct {
		const char *text;
		enum api_error_code code;
		const char *param;
	} cases[] = {
		{"7", API_INVALID_TYPE, "tool_choice"},
		{"'any'", API_INVALID_VALUE, "tool_choice"},
		{"{}", API_MISSING_FIELD, "tool_choice.type"},
		{"{'type':'web_search'}", API_UNSUPPORTED, "tool_choice.type"},
		{"{'type':'function'}", API_MISSING_FIELD, "tool_choice.name"},
		{"{'type':'function','name':''}", API_INVALID_VALUE, "tool_choice.name"},
		{"{'type':'function','function':{'name':'f'}}", API_UNKNOWN_FIELD, "tool_choice.function"},
		{"{'type':'allowed_tools'}", API_MISSING_FIELD, "tool_choice.tools"},
		{"{'type':'allowed_tools','tools':{}}", API_INVALID_TYPE, "tool_choice.tools"},
		{ALLOWED("", ""), API_INVALID_VALUE, "tool_choice.tools"},
		{ALLOWED("'f'", ""), API_INVALID_TYPE, "tool_choice.tools[0]"},
		{ALLOWED(FUNCTION("f") ",{'type':'mcp'}", ""), API_UNSUPPORTED, "tool_choice.tools[1].type"},
		{ALLOWED(FUNCTION("f") "," FUNCTION("a b"), ""), API_INVALID_VALUE, "tool_choice.tools[1].name"},
		{ALLOWED(FUNCTION("f"), ",'mode':'any'"), API_INVALID_VALUE, "tool_choice.mode"},
		{ALLOWED(FUNCTION("f"), ",'name':'f'"), API_UNKNOWN_FIELD, "tool_choice.name"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct tool_choice choice = {.allowed_count = 77};
		struct api_error error = {0};
		if (read_choice(cases[i].text, &choice, &error) == 0) {
			fail_msg("was taken: %s", cases[i].text);
		}
		assert_int_equal(choice.allowed_count, 77);
		assert_field_error(&error, cases[i].code, cases[i].param);
	}
}

static void test_what_a_choice_needs(void **state) {
	(void)state;
	static const struct {
		const char *tools, *choice;
		const char *param; /* NULL: it fits */
	} cases[] = {
		{"[]", "'auto'", NULL},
		{"[]", "'none'", NULL},
		{"[]", "'required'", "tool_choice"},
		{"[" TOOL("a") "]", "'required'", NULL},
		{"[" TOOL("a") "]", FUNCTION("b"), "tool_choice.name"},
		{"[" TOOL("a") "]", ALLOWED(FUNCTION("a") "," FUNCTION("b"), ""), "tool_choice.tools[1].name"},
		{"[]", ALLOWED(FUNCTION("a"), ",'mode':'none'"), "tool_choice.tools[0].name"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct tool_list tools;
		struct tool_choice choice;
		struct api_error error = {0};
		assert_int_equal(read_tools(cases[i].tools, &tools, &error), 0);
		assert_int_equal(read_choice(cases[i].choice, &choice, &error), 0);
		assert_int_equal(tool_choice_check(&choice, &tools, &error), cases[i].param ? -1 : 0);
		if (cases[i].param) {
			assert_field_error(&error, API_INVALID_VALUE, cases[i].param);
		}
		tool_list_free(&tools);
		tool_choice_free(&choice);
	}
}

static void test_memory_runs_out(void **state) {
	(void)state;
	struct json *tools =
		parse(quoted("[" TOOL("a") ",{'type':'function','name':'f','description':'d','parameters':{}}]"));
	struct json *allowed = parse(quoted(ALLOWED(FUNCTION("a"), "")));
	struct tool_list list, list_copy;
	struct tool_choice choice, choice_copy;
	struct api_error error = {0};
	int failures[4] = {0};
	for (uint64_t nth = 1;; nth++, failures[0]++) {
		mem_fail_after(nth, false);
		if (tool_list_read(tools, &list, &error) == 0) {
			break;
		}
		assert_int_equal(error.code, API_OVERLOADED);
	}
	for (uint64_t nth = 1;; nth++, failures[1]++) {
		mem_fail_after(nth, false);
		if (tool_list_copy(&list_copy, &list) == 0) {
			break;
		}
	}
	for (uint64_t nth = 1;; nth++, failures[2]++) {
		mem_fail_after(nth, false);
		if (tool_choice_read(allowed, &choice, &error) == 0) {
			break;
		}
		assert_int_equal(error.code, API_OVERLOADED);
	}
	for (uint64_t nth = 1;; nth++, failures[3]++) {
		mem_fail_after(nth, false);
		if (tool_choice_copy(&choice_copy, &choice) == 0) {
			break;
		}
	}
	mem_fail_after(0, false);
	assert_true(failures[0] >= 3);
	assert_int_equal(failures[1], 3);
	assert_int_equal(failures[2], 1);
	assert_int_equal(failures[3], 1);
	tool_list_free(&list);
	tool_list_free(&list_copy);
	tool_choice_free(&choice);
	tool_choice_free(&choice_copy);
	json_free(&tools);
	json_free(&allowed);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tools),           cmocka_unit_test(test_refused_tools),
		cmocka_unit_test(test_how_many),        cmocka_unit_test(test_choices),
		cmocka_unit_test(test_refused_choices), cmocka_unit_test(test_what_a_choice_needs),
		cmocka_unit_test(test_memory_runs_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
