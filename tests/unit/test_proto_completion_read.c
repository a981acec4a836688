#include "base/mem.h"
#include "proto/completion.h"
#include "proto_test.h"

static int read_text(const char *text, struct completion_request *completion, struct api_error *error) {
	struct json *json = parse(quoted(text));
	int result = completion_request_read(json, NOW_MS, completion, error);
	json_free(&json);
	return result;
}

static void read_ok(const char *text, struct completion_request *completion) {
	struct api_error error = {0};
	if (read_text(text, completion, &error) != 0) {
		fail_msg("%s: %s", error.message, text);
	}
}

/* The items that were read, as the API shows them, each id in place of what was made for it. */
static void assert_items(const struct item_list *items, const char *expected) {
	struct buf out = BUF_INIT;
	struct json_writer w = json_writer(&out);
	jw_array(&w);
	for (size_t i = 0; i < items->count; i++) {
		struct item shown = items->items[i];
		assert_true(id_is(str_of(shown.id), item_id_prefix(shown.kind)));
		str_copy_cut(shown.id, sizeof shown.id, STR("i"));
		jw_raw(&w, STR_NONE);
		item_write(&out, &shown);
	}
	jw_array_end(&w);
	assert_written(&out, quoted(expected));
}

#define MESSAGE(role, part) "{'type':'message','id':'i','status':'completed','role':'" role "','content':[" part "]}"
#define IN(text) "{'type':'input_text','text':'" text "'}"
#define OUT(text) "{'type':'output_text','text':'" text "','annotations':[],'logprobs':[]}"
#define REASONING "{'type':'reasoning','id':'i','summary':[],'content':[{'type':'reasoning_text','text':'hm'}]}"
#define CALL "{'type':'function_call','id':'i','status':'completed','call_id':'c1','name':'f','arguments':'{}'}"
#define BROKEN_CALL "{'type':'function_call','id':'i','status':'completed','call_id':'c2','name':'g','arguments':'{'}"
#define OUTPUTS                                                                                                        \
	"{'type':'function_call_output','id':'i','status':'completed','call_id':'c1','output':'one'},"                 \
	"{'type':'function_call_output','id':'i','status':'completed','call_id':'c2','output':[" IN("two") "]}"
#define SENT_CALL "{'id':'c1','type':'function','function':{'name':'f','arguments':'{}'}}"

static void test_messages(void **state) {
	(void)state;
	static const struct {
		const char *messages, *items;
	} cases[] = {
		{"[{'role':'user','content':'Hi'}]", "[" MESSAGE("user", IN("Hi")) "]"},
		{"[{'role':'system','content':''},{'role':'developer','content':[{'type':'text','text':'d'}]},"
		 "{'role':'user','content':[{'type':'text','text':'a'},{'text':'b','type':'text'}]}]",
		 "[" MESSAGE("system", IN("")) "," MESSAGE("developer", IN("d")) "," MESSAGE("user",
											     IN("a") "," IN("b")) "]"},
		{"[{'role':'user','name':null,'content':[{'type':'image_url','image_url':{'url':'https://a.example/b.png'}},"
		 "{'type':'image_url','image_url':{'url':'data:image/png;base64,AAAA','detail':'high'}},"
		 "{'type':'file','file':{'filename':'a.pdf','file_data':'data:application/pdf;base64,AAAA'}},"
		 "{'type':'file','file':{'file_data':'AAAA','file_id':null}}]}]",
		 "[" MESSAGE("user", "{'type':'input_image','image_url':'https://a.example/b.png','detail':'auto'},"
				     "{'type':'input_image','image_url':'data:image/png;base64,AAAA','detail':'high'},"
				     "{'type':'input_file','filename':'a.pdf','file_data':'data:application/pdf;base64,"
				     "AAAA'},{'type':'input_file','file_data':'AAAA'}") "]"},
		{"[{'role':'assistant','content':'','refusal':null}]", "[" MESSAGE("assistant", OUT("")) "]"},
		{"[{'role':'assistant','content':[{'type':'text','text':'a'},{'type':'refusal','refusal':'r'}]},"
		 "{'role':'assistant','content':null,'refusal':'no','function_call':null,'audio':null,'parsed':null}]",
		 "[" MESSAGE("assistant", OUT("a") ",{'type':'refusal','refusal':'r'}") "," MESSAGE(
			 "assistant", "{'type':'refusal','refusal':'no'}") "]"},
		{"[{'role':'assistant','content':'a','annotations':[{'type':'url_citation','url_citation':"
		 "{'url':'u','title':'t','start_index':0,'end_index':1}}]}]",
		 "[" MESSAGE("assistant",
			     "{'type':'output_text','text':'a','annotations':[{'type':'url_citation','url':'u',"
			     "'start_index':0,'end_index':1,'title':'t'}],'logprobs':[]}") "]"},
		{"[{'role':'assistant','content':null,'reasoning_content':'hm','tool_calls':[" SENT_CALL
		 ",{'id':'c2','index':1,'type':'function','function':{'name':'g','arguments':'{','parsed_arguments':{}}}]},"
		 "{'role':'tool','tool_call_id':'c1','name':'f','content':'one'},"
		 "{'role':'tool','tool_call_id':'c2','content':[{'type':'text','text':'two'}]}]",
		 "[" REASONING "," CALL "," BROKEN_CALL "," OUTPUTS "]"},
		{"[{'role':'assistant','content':'a','reasoning_content':'','tool_calls':[" SENT_CALL "]},"
		 "{'role':'assistant','content':'b','tool_calls':[]}]",
		 "[" MESSAGE("assistant", OUT("a")) "," CALL "," MESSAGE("assistant", OUT("b")) "]"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[4096];
		struct completion_request completion;
		snprintf(text, sizeof text, "{'messages':%s}", cases[i].messages);
		read_ok(text, &completion);
		assert_items(&completion.request.input, cases[i].items);
		completion_request_free(&completion);
	}
}

#define HI "'messages':[{'role':'user','content':'Hi'}]"

static void test_the_least(void **state) {
	(void)state;
	struct completion_request completion;
	read_ok("{" HI ",'store':null,'stream':null,'tools':null,'functions':null}", &completion);
	struct buf out = BUF_INIT;
	request_settings_write(&out, &completion.request.settings);
	assert_written(&out, quoted("{'store':false}"));
	assert_false(completion.request.stream || completion.includes_usage);
	assert_null(completion.request.settings.chat_members);
	completion_request_free(&completion);
}

/* What each field becomes: as settings are stored, and what is handed on. */
static void test_settings(void **state) {
	(void)state;
	static const struct {
		const char *sent, *stored, *members;
	} cases[] = {
		{"'model':'m'", "{'model':'m','store':false}", NULL},
		{"'store':true,'metadata':{'a':'b'}", "{'metadata':{'a':'b'}}", NULL},
		{"'temperature':0.5,'top_p':1,'presence_penalty':-2,'frequency_penalty':2",
		 "{'temperature':0.5,'top_p':1,'presence_penalty':-2,'frequency_penalty':2,'store':false}", NULL},
		{"'max_tokens':1", "{'max_output_tokens':1,'store':false}", NULL},
		{"'max_completion_tokens':9,'max_tokens':9", "{'max_output_tokens':9,'store':false}", NULL},
		{"'max_completion_tokens':16,'store':true", "{'max_output_tokens':16}", NULL},
		{"'logprobs':true,'top_logprobs':20",
		 "{'top_logprobs':20,'include':['message.output_text.logprobs'],'store':false}", NULL},
		{"'logprobs':false", "{'store':false}", NULL},
		{"'tools':[{'type':'function','function':{'name':'f','description':'d','parameters':{'a':1},'strict':true}},"
		 "{'type':'function','function':{'name':'g'}}],'parallel_tool_calls':false,'tool_choice':'required'",
		 "{'tools':[{'type':'function','name':'f','description':'d','parameters':{'a':1},'strict':true},"
		 "{'type':'function','name':'g'}],'tool_choice':'required','parallel_tool_calls':false,'store':false}",
		 NULL},
		{"'tools':[{'type':'function','function':{'name':'f'}}],"
		 "'tool_choice':{'type':'function','function':{'name':'f'}}",
		 "{'tools':[{'type':'function','name':'f'}],'tool_choice':{'type':'function','name':'f'},'store':false}",
		 NULL},
		{"'tools':[{'type':'function','function':{'name':'f'}}],'tool_choice':{'type':'allowed_tools',"
		 "'allowed_tools':{'mode':'required','tools':[{'type':'function','function':{'name':'f'}}]}}",
		 "{'tools':[{'type':'function','name':'f'}],'tool_choice':{'type':'allowed_tools','tools':"
		 "[{'type':'function','name':'f'}],'mode':'required'},'store':false}",
		 NULL},
		{"'response_format':{'type':'text'}", "{'store':false}", NULL},
		{"'response_format':{'type':'json_object'},'verbosity':'low'",
		 "{'text':{'format':{'type':'json_object'},'verbosity':'low'},'store':false}", NULL},
		{"'verbosity':'high','response_format':{'type':'json_schema','json_schema':{'name':'n','description':'d',"
		 "'schema':{'type':'object'},'strict':true}}",
		 "{'text':{'format':{'type':'json_schema','name':'n','description':'d','schema':{'type':'object'},"
		 "'strict':true},'verbosity':'high'},'store':false}",
		 NULL},
		{"'reasoning_effort':'minimal'", "{'reasoning':{'effort':'minimal'},'store':false}", NULL},
		{"'service_tier':'flex','safety_identifier':'s','prompt_cache_key':'p'",
		 "{'safety_identifier':'s','prompt_cache_key':'p','service_tier':'flex','store':false}", NULL},
		{"'n':1,'modalities':['text']", "{'store':false}", NULL},
		{"'stop':'a','seed':-7,'logit_bias':{'50256':-100,'1':0.5},'user':'u\\n'", "{'store':false}",
		 ",'stop':'a','seed':-7,'logit_bias':{'50256':-100,'1':0.5},'user':'u\\n'"},
		{"'stop':['a','b','c','d'],'logit_bias':{}", "{'store':false}", ",'stop':['a','b','c','d']"},
		{"'stop':[],'seed':9007199254740991", "{'store':false}", ",'seed':9007199254740991"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[4096];
		struct completion_request completion;
		struct buf out = BUF_INIT;
		snprintf(text, sizeof text, "{%s," HI "}", cases[i].sent);
		read_ok(text, &completion);
		request_settings_write(&out, &completion.request.settings);
		assert_written(&out, quoted(cases[i].stored));
		const char *members = completion.request.settings.chat_members;
		assert_string_equal(members ? members : "", cases[i].members ? quoted(cases[i].members) : "");
		completion_request_free(&completion);
	}
}

static void test_how_the_answer_is_wanted(void **state) {
	(void)state;
	static const struct {
		const char *sent;
		bool stream, usage, obfuscates;
	} cases[] = {
		{"'stream':false", false, false, false},
		{"'stream':true", true, false, false},
		{"'stream':true,'stream_options':{}", true, false, false},
		{"'stream_options':{'include_usage':true,'include_obfuscation':false},'stream':true", true, true,
		 false},
		{"'stream':true,'stream_options':{'include_usage':false,'include_obfuscation':true}", true, false,
		 true},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[512];
		struct completion_request completion;
		snprintf(text, sizeof text, "{%s," HI "}", cases[i].sent);
		read_ok(text, &completion);
		assert_int_equal(completion.request.stream, cases[i].stream);
		assert_int_equal(completion.includes_usage, cases[i].usage);
		assert_int_equal(completion.request.obfuscates, cases[i].obfuscates);
		completion_request_free(&completion);
	}
}

struct refused {
	const char *sent;
	enum api_error_code code;
	const char *param;
};

static void assert_refused(const struct refused *refused, const char *format) {
	char text[4096];
	struct completion_request completion;
	struct api_error error = {0};
	memset(&completion, 0xAA, sizeof completion);
	snprintf(text, sizeof text, format, refused->sent);
	if (read_text(text, &completion, &error) == 0) {
		fail_msg("was taken: %s", text);
	}
	assert_field_error(&error, refused->code, refused->param);
	static const struct completion_request empty;
	assert_memory_equal(&completion, &empty, sizeof empty);
}

static void test_refused_messages(void **state) {
	(void)state;
	static const struct refused cases[] = {
		{"'Hi'", API_INVALID_TYPE, "messages"},
		{"[]", API_INVALID_VALUE, "messages"},
		{"null", API_MISSING_FIELD, "messages"},
		{"['Hi']", API_INVALID_TYPE, "messages[0]"},
		{"[{'content':'Hi'}]", API_MISSING_FIELD, "messages[0].role"},
		{"[{'role':7}]", API_INVALID_TYPE, "messages[0].role"},
		{"[{'role':'pirate'}]", API_INVALID_VALUE, "messages[0].role"},
		{"[{'role':'function','name':'f','content':'x'}]", API_UNSUPPORTED, "messages[0].role"},
		{"[{'role':'user'}]", API_MISSING_FIELD, "messages[0].content"},
		{"[{'role':'user','content':7}]", API_INVALID_TYPE, "messages[0].content"},
		{"[{'role':'user','content':'x','name':'bob'}]", API_UNSUPPORTED, "messages[0].name"},
		{"[{'role':'system','content':'x','name':'bob'}]", API_UNSUPPORTED, "messages[0].name"},
		{"[{'role':'assistant','content':'x','name':'bob'}]", API_UNSUPPORTED, "messages[0].name"},
		{"[{'role':'user','content':'x','colour':1}]", API_UNKNOWN_FIELD, "messages[0].colour"},
		{"[{'role':'user','content':'x','tool_calls':[]}]", API_UNKNOWN_FIELD, "messages[0].tool_calls"},
		{"[{'role':'user','content':['x']}]", API_INVALID_TYPE, "messages[0].content[0]"},
		{"[{'role':'user','content':[{'text':'x'}]}]", API_MISSING_FIELD, "messages[0].content[0].type"},
		{"[{'role':'user','content':[{'type':'text'}]}]", API_MISSING_FIELD, "messages[0].content[0].text"},
		{"[{'role':'user','content':[{'type':'text','text':'x','url':'y'}]}]", API_UNKNOWN_FIELD,
		 "messages[0].content[0].url"},
		{"[{'role':'user','content':[{'type':'input_audio','input_audio':{}}]}]", API_UNSUPPORTED,
		 "messages[0].content[0].type"},
		{"[{'role':'user','content':[{'type':'refusal','refusal':'x'}]}]", API_INVALID_VALUE,
		 "messages[0].content[0].type"},
		{"[{'role':'system','content':[{'type':'image_url','image_url':{'url':'https://a.b/c'}}]}]",
		 API_INVALID_VALUE, "messages[0].content[0].type"},
		{"[{'role':'user','content':[{'type':'image_url'}]}]", API_INVALID_TYPE,
		 "messages[0].content[0].image_url"},
		{"[{'role':'user','content':[{'type':'image_url','image_url':{}}]}]", API_MISSING_FIELD,
		 "messages[0].content[0].image_url.url"},
		{"[{'role':'user','content':[{'type':'image_url','image_url':{'url':'file:///etc/passwd'}}]}]",
		 API_INVALID_VALUE, "messages[0].content[0].image_url.url"},
		{"[{'role':'user','content':[{'type':'image_url','image_url':{'url':'https://a.b/c','detail':'much'}}]}]",
		 API_INVALID_VALUE, "messages[0].content[0].image_url.detail"},
		{"[{'role':'user','content':[{'type':'image_url','image_url':{'url':'https://a.b/c'},'x':1}]}]",
		 API_UNKNOWN_FIELD, "messages[0].content[0].x"},
		{"[{'role':'user','content':[{'type':'file','file':{'file_id':'file_1'}}]}]", API_UNSUPPORTED,
		 "messages[0].content[0].file.file_id"},
		{"[{'role':'user','content':[{'type':'file','file':{'filename':'a'}}]}]", API_MISSING_FIELD,
		 "messages[0].content[0].file.file_data"},
		{"[{'role':'user','content':[{'type':'file','file':{'file_data':'%'}}]}]", API_INVALID_VALUE,
		 "messages[0].content[0].file.file_data"},
		{"[{'role':'assistant'}]", API_MISSING_FIELD, "messages[0].content"},
		{"[{'role':'assistant','content':null,'tool_calls':[]}]", API_MISSING_FIELD, "messages[0].content"},
		{"[{'role':'assistant','content':'x','function_call':{'name':'f'}}]", API_UNSUPPORTED,
		 "messages[0].function_call"},
		{"[{'role':'assistant','content':'x','audio':{'id':'a'}}]", API_UNSUPPORTED, "messages[0].audio"},
		{"[{'role':'assistant','content':'x','reasoning_content':7}]", API_INVALID_TYPE,
		 "messages[0].reasoning_content"},
		{"[{'role':'assistant','content':null,'refusal':'x','annotations':[{'type':'url_citation','url_citation':"
		 "{'url':'u','title':'t','start_index':0,'end_index':1}}]}]",
		 API_INVALID_VALUE, "messages[0].annotations"},
		{"[{'role':'assistant','content':'x','annotations':[{'type':'url_citation','url_citation':{'url':'u'}}]}]",
		 API_MISSING_FIELD, "messages[0].annotations[0].url_citation.start_index"},
		{"[{'role':'assistant','content':'x','annotations':[{'type':'file_citation'}]}]", API_INVALID_VALUE,
		 "messages[0].annotations[0].type"},
		{"[{'role':'assistant','tool_calls':{'a':1}}]", API_INVALID_TYPE, "messages[0].tool_calls"},
		{"[{'role':'assistant','tool_calls':['f']}]", API_INVALID_TYPE, "messages[0].tool_calls[0]"},
		{"[{'role':'assistant','tool_calls':[{'id':'c','function':{'name':'f','arguments':''}}]}]",
		 API_MISSING_FIELD, "messages[0].tool_calls[0].type"},
		{"[{'role':'assistant','tool_calls':[{'id':'c','type':'custom','custom':{}}]}]", API_UNSUPPORTED,
		 "messages[0].tool_calls[0].type"},
		{"[{'role':'assistant','tool_calls':[{'type':'function','function':{'name':'f','arguments':''}}]}]",
		 API_MISSING_FIELD, "messages[0].tool_calls[0].id"},
		{"[{'role':'assistant','tool_calls':[{'id':'c d','type':'function','function':{'name':'f'}}]}]",
		 API_INVALID_VALUE, "messages[0].tool_calls[0].id"},
		{"[{'role':'assistant','tool_calls':[{'id':'c','type':'function'}]}]", API_INVALID_TYPE,
		 "messages[0].tool_calls[0].function"},
		{"[{'role':'assistant','tool_calls':[{'id':'c','type':'function','function':{'name':'f'}}]}]",
		 API_MISSING_FIELD, "messages[0].tool_calls[0].function.arguments"},
		{"[{'role':'tool','content':'x'}]", API_MISSING_FIELD, "messages[0].tool_call_id"},
		{"[{'role':'tool','tool_call_id':'c'}]", API_MISSING_FIELD, "messages[0].content"},
		{"[{'role':'user','content':'a'},{'role':'tool','tool_call_id':'c','content':[{'type':'image_url'}]}]",
		 API_INVALID_VALUE, "messages[1].content[0].type"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_refused(&cases[i], "{'messages':%s}");
	}
}

static void test_refused_fields(void **state) {
	(void)state;
	static const struct refused cases[] = {
		{"'colour':'red'", API_UNKNOWN_FIELD, "colour"},
		{"'input':'x'", API_UNKNOWN_FIELD, "input"},
		{"'instructions':'x'", API_UNKNOWN_FIELD, "instructions"},
		{"'previous_response_id':'resp_1'", API_UNKNOWN_FIELD, "previous_response_id"},
		{"'model':7", API_INVALID_TYPE, "model"},
		{"'functions':[]", API_UNSUPPORTED, "functions"},
		{"'function_call':'auto'", API_UNSUPPORTED, "function_call"},
		{"'audio':{}", API_UNSUPPORTED, "audio"},
		{"'prediction':{}", API_UNSUPPORTED, "prediction"},
		{"'web_search_options':{}", API_UNSUPPORTED, "web_search_options"},
		{"'moderation':{}", API_UNSUPPORTED, "moderation"},
		{"'prompt_cache_options':{}", API_UNSUPPORTED, "prompt_cache_options"},
		{"'prompt_cache_retention':'24h'", API_UNSUPPORTED, "prompt_cache_retention"},
		{"'modalities':['text','audio']", API_UNSUPPORTED, "modalities"},
		{"'modalities':'text'", API_INVALID_TYPE, "modalities"},
		{"'n':2", API_UNSUPPORTED, "n"},
		{"'n':'1'", API_INVALID_TYPE, "n"},
		{"'max_tokens':0", API_INVALID_VALUE, "max_tokens"},
		{"'max_tokens':1.5", API_INVALID_VALUE, "max_tokens"},
		{"'max_completion_tokens':'9'", API_INVALID_TYPE, "max_completion_tokens"},
		{"'max_completion_tokens':9,'max_tokens':10", API_INVALID_VALUE, "max_tokens"},
		{"'max_tokens':15,'store':true", API_INVALID_VALUE, "max_tokens"},
		{"'store':true,'max_completion_tokens':15", API_INVALID_VALUE, "max_completion_tokens"},
		{"'temperature':2.1", API_INVALID_VALUE, "temperature"},
		{"'logprobs':1", API_INVALID_TYPE, "logprobs"},
		{"'top_logprobs':2", API_INVALID_VALUE, "top_logprobs"},
		{"'top_logprobs':21,'logprobs':true", API_INVALID_VALUE, "top_logprobs"},
		{"'stream':'yes'", API_INVALID_TYPE, "stream"},
		{"'stream_options':{}", API_INVALID_VALUE, "stream_options"},
		{"'stream':true,'stream_options':{'a':1}", API_UNKNOWN_FIELD, "stream_options.a"},
		{"'stream':true,'stream_options':{'include_usage':1}", API_INVALID_TYPE,
		 "stream_options.include_usage"},
		{"'tools':[{'type':'function','name':'f'}]", API_UNKNOWN_FIELD, "tools[0].name"},
		{"'tools':[{'type':'function'}]", API_MISSING_FIELD, "tools[0].function"},
		{"'tools':[{'type':'custom','custom':{}}]", API_UNSUPPORTED, "tools[0].type"},
		{"'tools':[{'type':'function','function':{'name':'a b'}}]", API_INVALID_VALUE,
		 "tools[0].function.name"},
		{"'tools':[{'type':'function','function':{'type':'function','name':'f'}}]", API_UNKNOWN_FIELD,
		 "tools[0].function.type"},
		{"'tool_choice':'any'", API_INVALID_VALUE, "tool_choice"},
		{"'tool_choice':'required'", API_INVALID_VALUE, "tool_choice"},
		{"'tool_choice':{'type':'function','name':'f'}", API_UNKNOWN_FIELD, "tool_choice.name"},
		{"'tool_choice':{'type':'function','function':{'name':'f'}}", API_INVALID_VALUE,
		 "tool_choice.function.name"},
		{"'tool_choice':{'type':'allowed_tools','tools':[]}", API_UNKNOWN_FIELD, "tool_choice.tools"},
		{"'tool_choice':{'type':'allowed_tools'}", API_MISSING_FIELD, "tool_choice.allowed_tools"},
		{"'tool_choice':{'type':'allowed_tools','allowed_tools':{'tools':[{'type':'function','function':"
		 "{'name':'f'}}]}}",
		 API_INVALID_VALUE, "tool_choice.allowed_tools.tools[0].function.name"},
		{"'response_format':'json'", API_INVALID_TYPE, "response_format"},
		{"'response_format':{'type':'grammar'}", API_INVALID_VALUE, "response_format.type"},
		{"'response_format':{'type':'json_object','schema':{}}", API_UNKNOWN_FIELD, "response_format.schema"},
		{"'response_format':{'type':'json_schema'}", API_MISSING_FIELD, "response_format.json_schema"},
		{"'response_format':{'type':'json_schema','json_schema':{'name':'n','schema':'x'}}", API_INVALID_TYPE,
		 "response_format.json_schema.schema"},
		{"'reasoning_effort':'huge'", API_INVALID_VALUE, "reasoning_effort"},
		{"'verbosity':7", API_INVALID_TYPE, "verbosity"},
		{"'metadata':{'a':1}", API_INVALID_TYPE, "metadata.a"},
		{"'stop':7", API_INVALID_TYPE, "stop"},
		{"'stop':''", API_INVALID_VALUE, "stop"},
		{"'stop':['a','b','c','d','e']", API_INVALID_VALUE, "stop"},
		{"'stop':['a',7]", API_INVALID_TYPE, "stop[1]"},
		{"'seed':0.5", API_INVALID_VALUE, "seed"},
		{"'seed':'7'", API_INVALID_TYPE, "seed"},
		{"'logit_bias':[]", API_INVALID_TYPE, "logit_bias"},
		{"'logit_bias':{'word':1}", API_INVALID_VALUE, "logit_bias.word"},
		{"'logit_bias':{'1':101}", API_INVALID_VALUE, "logit_bias.1"},
		{"'logit_bias':{'1':'x'}", API_INVALID_TYPE, "logit_bias.1"},
		{"'user':7", API_INVALID_TYPE, "user"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_refused(&cases[i], "{" HI ",%s}");
	}
}

static void test_no_request(void **state) {
	(void)state;
	assert_refused(&(struct refused){"7", API_INVALID_TYPE, ""}, "%s");
	assert_refused(&(struct refused){"{'model':'m'}", API_MISSING_FIELD, "messages"}, "%s");
	assert_refused(&(struct refused){"'content':''", API_INVALID_VALUE, "messages"},
		       "{'store':true,'messages':[{'role':'system',%s}]}");
}

static void test_as_many_parts_as_can_be_stored(void **state) {
	(void)state;
	static const struct {
		size_t count;
		int result;
	} cases[] = {{1000, 0}, {1001, -1}};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf text = BUF_INIT;
		struct completion_request completion;
		struct api_error error = {0};
		buf_append_text(&text, "{\"messages\":[{\"role\":\"assistant\",\"content\":[");
		for (size_t n = 0; n < cases[i].count; n++) {
			buf_append_text(&text, n ? "," : "");
			buf_append_text(&text, "{\"type\":\"text\",\"text\":\"x\"}");
		}
		buf_append_text(&text, "]}]}");
		struct json *json = parse(buf_text(&text));
		assert_int_equal(completion_request_read(json, NOW_MS, &completion, &error), cases[i].result);
		if (cases[i].result != 0) {
			assert_field_error(&error, API_INVALID_VALUE, "messages[0].content");
		}
		completion_request_free(&completion);
		json_free(&json);
		buf_free(&text);
	}
}

static void test_every_failing_allocation_is_an_error(void **state) {
	(void)state;
	struct json *json = parse(quoted(
		"{'messages':[{'role':'assistant','content':'a','reasoning_content':'r','annotations':[{'type':'url_citation',"
		"'url_citation':{'url':'u','title':'t','start_index':0,'end_index':1}}],'tool_calls':[" SENT_CALL "]},"
		"{'role':'tool','tool_call_id':'c1','content':'o'},{'role':'user','content':[{'type':'file',"
		"'file':{'filename':'n','file_data':'AAAA'}}]}],'metadata':{'a':'b'},'stop':['a'],'seed':1,"
		"'tools':[{'type':'function','function':{'name':'f','parameters':{}}}]}"));
	int failures = 0;
	for (uint64_t nth = 1;; nth++) {
		struct completion_request completion;
		struct api_error error = {0};
		mem_fail_after(nth, false);
		int result = completion_request_read(json, NOW_MS, &completion, &error);
		mem_fail_after(0, false);
		if (result == 0) {
			completion_request_free(&completion);
			break;
		}
		assert_int_equal(error.code, API_OVERLOADED);
		failures++;
	}
	assert_true(failures > 15);
	json_free(&json);
}

static void test_names_of_later_errors(void **state) {
	(void)state;
	static const struct {
		const char *param, *told;
	} cases[] = {
		{"input[2].content[0]", "messages"},
		{"previous_response_id", "messages"},
		{"reasoning.effort", "reasoning_effort"},
		{"max_output_tokens", "max_completion_tokens"},
		{"tools", "tools"},
		{"", ""},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct api_error error;
		api_error_set(&error, API_UNSUPPORTED, cases[i].param, "m");
		completion_translate_error(&error);
		assert_string_equal(error.param, cases[i].told);
		assert_string_equal(error.message, "m");
	}
	struct api_error error;
	api_error_set(&error, API_CONTEXT_TOO_LARGE, "input", "Send truncation \"auto\".");
	completion_translate_error(&error);
	assert_api_error(
		&error, API_CONTEXT_TOO_LARGE, "messages",
		"The messages are together larger than the model's context may be; send fewer or shorter ones.");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_the_least),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_how_the_answer_is_wanted),
		cmocka_unit_test(test_refused_messages),
		cmocka_unit_test(test_refused_fields),
		cmocka_unit_test(test_no_request),
		cmocka_unit_test(test_as_many_parts_as_can_be_stored),
		cmocka_unit_test(test_every_failing_allocation_is_an_error),
		cmocka_unit_test(test_names_of_later_errors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
