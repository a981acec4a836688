/* Every kind of item and part: what is taken, how it is shown, what is refused and by which name. */
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

static void assert_refused(const char *text, enum api_error_code code, const char *param) {
	struct json *json = parse(text);
	struct api_error error = {0};
	struct item item = {.id = "kept"};
	if (item_read(json, "input[0]", NOW_MS, &item, &error) == 0) {
		fail_msg("was taken: %s", text);
	}
	assert_string_equal(item.id, "kept");
	assert_field_error(&error, code, param);
	json_free(&json);
}

/* Shown, sent back, and stored, it stays what it is. */
static void assert_stays(const char *shown) {
	struct item item;
	struct buf out = BUF_INIT;
	read_ok(shown, &item);
	item_write(&out, &item);
	item_free(&item);
	assert_written(&out, shown);
	assert_int_equal(item_read_stored(str_of(shown), &item, NULL), 0);
	item_write(&out, &item);
	item_free(&item);
	assert_written(&out, shown);
}

#define CALL "'type':'function_call','id':'i','status':'completed','call_id':'c','name':'f','arguments':'{}'"
#define OUTPUT "'type':'function_call_output','id':'i','status':'completed','call_id':'c'"
#define MESSAGE "'type':'message','id':'i','status':'completed'"
#define CITATION "{'type':'url_citation','url':'u','start_index':0,'end_index':9007199254740991,'title':''}"
#define LOGPROB(token) "{'token':'" token "','logprob':-0.5,'bytes':[0,255],'top_logprobs':[]}"

static void test_what_is_taken_and_how_it_is_shown(void **state) {
	(void)state;
	static const struct {
		const char *sent;
		const char *shown; /* NULL: the same */
	} cases[] = {
		/* Messages. */
		{"{'role':'assistant','id':'i','content':'a','phase':'commentary'}",
		 "{" MESSAGE ",'role':'assistant','content':[{'type':'output_text','text':'a','annotations':[],"
		 "'logprobs':[]}],'phase':'commentary'}"},
		{"{" MESSAGE
		 ",'role':'assistant','content':[{'type':'refusal','refusal':'No.'}],'phase':'final_answer'}",
		 NULL},
		{"{" MESSAGE ",'role':'assistant','content':[{'type':'output_text','text':'a','annotations':[" CITATION
		 "," CITATION "],'logprobs':[" LOGPROB("a") "," LOGPROB("") "]}]}",
		 NULL},
		{"{" MESSAGE ",'role':'assistant','content':[{'type':'output_text','text':'a','annotations':[{'title':"
		 "'','end_index':9007199254740991,'start_index':0,'url':'u','type':'url_citation'}],'logprobs':null,"
		 "'parsed':{'a':1}}],'phase':null}",
		 "{" MESSAGE ",'role':'assistant','content':[{'type':'output_text','text':'a','annotations':[" CITATION
		 "],'logprobs':[]}]}"},
		/* What Chat Completions leaves out of a token. */
		{"{" MESSAGE
		 ",'role':'assistant','content':[{'type':'output_text','text':'a','annotations':[],'logprobs':"
		 "[{'token':'a','logprob':0,'bytes':null,'top_logprobs':[{'token':'b','logprob':-1}]}]}]}",
		 NULL},
		{"{" MESSAGE ",'role':'developer','content':[{'type':'input_text','text':'a'}]}", NULL},
		{"{" MESSAGE ",'role':'system','content':[{'type':'input_text','text':'a'}]}", NULL},
		{"{" MESSAGE ",'role':'user','content':[{'type':'input_image','image_url':'data:image/png;base64,AAAA',"
		 "'detail':'low'},{'type':'input_file','filename':'a.pdf','file_data':'data:application/pdf;base64,"
		 "AAA='},{'type':'input_file','file_data':'QQ=='}]}",
		 NULL},
		{"{'role':'user','id':'i','content':[{'type':'input_image','image_url':'HTTPS://x/a?b','detail':null,"
		 "'file_id':null},{'type':'input_file','filename':null,'file_url':null,'file_data':'QQ=='}],'" ITEM_RESPONSE_ID
		 "':'resp_1'}",
		 "{" MESSAGE
		 ",'role':'user','content':[{'type':'input_image','image_url':'HTTPS://x/a?b','detail':'auto'},"
		 "{'type':'input_file','file_data':'QQ=='}]}"},
		/* Calls and their outputs. */
		{"{" CALL "}", NULL},
		{"{'type':'function_call','id':'i','call_id':'c','name':'f','arguments':'{','status':null,"
		 "'parsed_arguments':null}",
		 "{'type':'function_call','id':'i','status':'completed','call_id':'c','name':'f','arguments':'{'}"},
		{"{" OUTPUT ",'output':'done'}", NULL},
		{"{" OUTPUT ",'output':''}", NULL},
		{"{" OUTPUT ",'output':[]}", NULL},
		{"{" OUTPUT ",'output':[{'type':'input_text','text':'a'},{'type':'input_image','image_url':'http://h/',"
		 "'detail':'high'},{'type':'input_file','filename':'','file_data':'QQ=='},{'type':'input_video',"
		 "'video_url':'https://h/v'},{'type':'input_video','video_url':'data:video/mp4;base64,AAAA'}]}",
		 NULL},
		/* Reasoning. */
		{"{'type':'reasoning','id':'i','summary':[{'type':'summary_text','text':'s'}],'content':[{'type':"
		 "'reasoning_text','text':'t'}],'encrypted_content':'e'}",
		 NULL},
		{"{'type':'reasoning','id':'i','summary':[],'content':null,'encrypted_content':null,'status':'completed'}",
		 "{'type':'reasoning','id':'i','summary':[],'content':[]}"},
		{"{'type':'compaction','id':'i','encrypted_content':'e'}", NULL},
		/* References. */
		{"{'id':'i'}", "{'type':'item_reference','id':'i'}"},
		{"{'type':null,'id':'i','" ITEM_RESPONSE_ID "':'resp_1'}", "{'type':'item_reference','id':'i'}"},
		{"{'type':'item_reference','id':'i'}", NULL},
		/* Extensions. */
		{"{'type':'vendor:thing','id':'i','a':[1,null,{'b':'\\u00e9'}],'status':7}",
		 "{'type':'vendor:thing','id':'i','a':[1,null,{'b':'\xC3\xA9'}],'status':7}"},
		{"{ 'id' : 'i', 'type' : 'a:b:c', '" ITEM_RESPONSE_ID "' : 'resp_1', 'x\\'y' : 1.50 }",
		 "{'id':'i','type':'a:b:c','x\\'y':1.5}"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *shown = quoted(cases[i].shown ? cases[i].shown : cases[i].sent);
		struct item item;
		struct buf out = BUF_INIT;
		read_ok(quoted(cases[i].sent), &item);
		item_write(&out, &item);
		item_free(&item);
		assert_written(&out, shown);
		assert_stays(shown);
	}
}

static void test_ids_are_made_by_kind(void **state) {
	(void)state;
	static const struct {
		const char *text;
		const char *prefix;
	} cases[] = {
		{"{'role':'user','content':'x'}", "msg"},
		{"{'type':'function_call','call_id':'c','name':'f','arguments':'','id':null}", "fc"},
		{"{'type':'function_call_output','call_id':'c','output':''}", "fco"},
		{"{'type':'reasoning','summary':[]}", "rs"},
		{"{'type':'compaction','encrypted_content':''}", "cmp"},
		{"{'type':'v:t','id':null}", "ext"},
		{"{'type':'v:t'}", "ext"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct item item;
		struct buf out = BUF_INIT;
		read_ok(quoted(cases[i].text), &item);
		assert_true(id_is(str_of(item.id), cases[i].prefix));
		/* And it is shown, once. */
		item_write(&out, &item);
		struct json *json = parse(buf_text(&out));
		assert_str(json_str(json_get(json, "id")), item.id);
		json_free(&json);
		buf_free(&out);
		item_free(&item);
	}
	struct item item;
	read_ok(quoted("{'type':'v:t','id':null,'a':1}"), &item);
	assert_true(str_starts(str_of(item.parts[0].text), quoted("{'type':'v:t','a':1,'id':'ext_")));
	item_free(&item);
}

#define PART(fields) "{'role':'user','content':[{" fields "}]}"
#define CONTENT "input[0].content[0]"
#define ANSWER(fields) "{'role':'assistant','content':[{'type':'output_text','text':'a'," fields "}]}"
#define CITED(fields) ANSWER("'annotations':[" CITATION ",{" fields "}]")
#define PROBABLE(fields) ANSWER("'logprobs':[{" fields "}]")
#define CALLED(fields) "{'type':'function_call'," fields "}"
#define RETURNED(fields) "{'type':'function_call_output','call_id':'c'," fields "}"

static void test_refusals(void **state) {
	(void)state;
	static const struct {
		const char *text;
		enum api_error_code code;
		const char *param;
	} cases[] = {
		/* Types. */
		{"{'type':':x','id':'i'}", API_INVALID_VALUE, "input[0].type"},
		{"{'type':'x:','id':'i'}", API_INVALID_VALUE, "input[0].type"},
		{"{'type':':'}", API_INVALID_VALUE, "input[0].type"},
		{"{'type':'custom_tool_call'}", API_UNSUPPORTED, "input[0].type"},
		{"{'type':'web_search_call','id':'i'}", API_UNSUPPORTED, "input[0].type"},
		{"{'type':'v:t','id':7}", API_INVALID_TYPE, "input[0].id"},
		{"{'type':'v:t','id':'a b'}", API_INVALID_VALUE, "input[0].id"},
		{"{'type':'item_reference'}", API_MISSING_FIELD, "input[0].id"},
		{"{'type':'item_reference','id':null}", API_MISSING_FIELD, "input[0].id"},
		{"{'type':'item_reference','id':'i','role':'user'}", API_UNKNOWN_FIELD, "input[0].role"},
		{"{'id':'i','status':'completed'}", API_UNKNOWN_FIELD, "input[0].status"},
		{"{'id':'i','content':'x'}", API_MISSING_FIELD, "input[0].role"},
		/* Messages. */
		{"{'role':'user','content':'x','phase':'final_answer'}", API_INVALID_VALUE, "input[0].phase"},
		{"{'role':'assistant','content':'x','phase':'done'}", API_INVALID_VALUE, "input[0].phase"},
		{"{'role':'assistant','content':'x','phase':1}", API_INVALID_TYPE, "input[0].phase"},
		{"{'role':'system','content':[{'type':'input_image','image_url':'http://h/'}]}", API_INVALID_VALUE,
		 CONTENT ".type"},
		{PART("'type':'input_video','video_url':'http://h/'"), API_INVALID_VALUE, CONTENT ".type"},
		{PART("'type':'reasoning_text','text':''"), API_INVALID_VALUE, CONTENT ".type"},
		{PART("'type':'input_text','refusal':''"), API_UNKNOWN_FIELD, CONTENT ".refusal"},
		{"{'role':'assistant','content':[{'type':'refusal','text':''}]}", API_UNKNOWN_FIELD, CONTENT ".text"},
		{"{'role':'assistant','content':[{'type':'refusal'}]}", API_MISSING_FIELD, CONTENT ".refusal"},
		/* Images. */
		{PART("'type':'input_image'"), API_MISSING_FIELD, CONTENT ".image_url"},
		{PART("'type':'input_image','image_url':null"), API_MISSING_FIELD, CONTENT ".image_url"},
		{PART("'type':'input_image','image_url':{'url':'http://h/'}"), API_INVALID_TYPE, CONTENT ".image_url"},
		{PART("'type':'input_image','image_url':''"), API_INVALID_VALUE, CONTENT ".image_url"},
		{PART("'type':'input_image','image_url':'ftp://h/a.png'"), API_INVALID_VALUE, CONTENT ".image_url"},
		{PART("'type':'input_image','image_url':'http://'"), API_INVALID_VALUE, CONTENT ".image_url"},
		{PART("'type':'input_image','image_url':'http:///x'"), API_INVALID_VALUE, CONTENT ".image_url"},
		{PART("'type':'input_image','image_url':'http://h/a b'"), API_INVALID_VALUE, CONTENT ".image_url"},
		{PART("'type':'input_image','image_url':'file:///etc/passwd'"), API_INVALID_VALUE,
		 CONTENT ".image_url"},
		{PART("'type':'input_image','image_url':'data:text/html;base64,AAAA'"), API_INVALID_VALUE,
		 CONTENT ".image_url"},
		{PART("'type':'input_image','image_url':'data:image/png;base64,'"), API_INVALID_VALUE,
		 CONTENT ".image_url"},
		{PART("'type':'input_image','image_url':'data:image/png'"), API_INVALID_VALUE, CONTENT ".image_url"},
		{PART("'type':'input_image','image_url':'http://h/','detail':'medium'"), API_INVALID_VALUE,
		 CONTENT ".detail"},
		{PART("'type':'input_image','file_id':'file_1'"), API_UNSUPPORTED, CONTENT ".file_id"},
		/* Files. */
		{PART("'type':'input_file','filename':'a'"), API_MISSING_FIELD, CONTENT ".file_data"},
		{PART("'type':'input_file','file_url':'http://h/a'"), API_UNSUPPORTED, CONTENT ".file_url"},
		{PART("'type':'input_file','file_id':'file_1'"), API_UNSUPPORTED, CONTENT ".file_id"},
		{PART("'type':'input_file','file_data':'QQ==','filename':7"), API_INVALID_TYPE, CONTENT ".filename"},
		{PART("'type':'input_file','file_data':''"), API_INVALID_VALUE, CONTENT ".file_data"},
		{PART("'type':'input_file','file_data':'QQ='"), API_INVALID_VALUE, CONTENT ".file_data"},
		{PART("'type':'input_file','file_data':'Q-Q='"), API_INVALID_VALUE, CONTENT ".file_data"},
		{PART("'type':'input_file','file_data':'data:text/plain,abcd'"), API_INVALID_VALUE,
		 CONTENT ".file_data"},
		{PART("'type':'input_file','file_data':'data:text/plain;base64'"), API_INVALID_VALUE,
		 CONTENT ".file_data"},
		{PART("'type':'input_file','file_data':'data:text/plain;base64,/w=='"), API_INVALID_VALUE,
		 CONTENT ".file_data"},
		{PART("'type':'input_file','file_data':'data:application/json;base64,AAAA'"), API_INVALID_VALUE,
		 CONTENT ".file_data"},
		/* What output text carries. */
		{ANSWER("'annotations':{}"), API_INVALID_TYPE, CONTENT ".annotations"},
		{CITED("'type':'file_citation'"), API_INVALID_VALUE, CONTENT ".annotations[1].type"},
		{CITED("'type':'url_citation','start_index':0,'end_index':0,'title':''"), API_MISSING_FIELD,
		 CONTENT ".annotations[1].url"},
		{CITED("'type':'url_citation','url':'','end_index':0,'title':''"), API_MISSING_FIELD,
		 CONTENT ".annotations[1].start_index"},
		{CITED("'type':'url_citation','url':'','start_index':-1,'end_index':0,'title':''"), API_INVALID_VALUE,
		 CONTENT ".annotations[1].start_index"},
		{CITED("'type':'url_citation','url':'','start_index':0,'end_index':'1','title':''"), API_INVALID_TYPE,
		 CONTENT ".annotations[1].end_index"},
		{CITED("'type':'url_citation','url':'','start_index':0,'end_index':0.5,'title':''"), API_INVALID_VALUE,
		 CONTENT ".annotations[1].end_index"},
		{CITED("'type':'url_citation','url':'','start_index':0,'end_index':0,'title':null"), API_INVALID_TYPE,
		 CONTENT ".annotations[1].title"},
		{CITED("'type':'url_citation','uri':''"), API_UNKNOWN_FIELD, CONTENT ".annotations[1].uri"},
		{ANSWER("'logprobs':'x'"), API_INVALID_TYPE, CONTENT ".logprobs"},
		{ANSWER("'logprobs':[7]"), API_INVALID_TYPE, CONTENT ".logprobs[0]"},
		{PROBABLE("'logprob':0"), API_MISSING_FIELD, CONTENT ".logprobs[0].token"},
		{PROBABLE("'token':'a'"), API_MISSING_FIELD, CONTENT ".logprobs[0].logprob"},
		{PROBABLE("'token':'a','logprob':'0'"), API_INVALID_TYPE, CONTENT ".logprobs[0].logprob"},
		{PROBABLE("'token':'a','logprob':0,'bytes':'a'"), API_INVALID_TYPE, CONTENT ".logprobs[0].bytes"},
		{PROBABLE("'token':'a','logprob':0,'bytes':[0,256]"), API_INVALID_VALUE,
		 CONTENT ".logprobs[0].bytes[1]"},
		{PROBABLE("'token':'a','logprob':0,'top_logprobs':{}"), API_INVALID_TYPE,
		 CONTENT ".logprobs[0].top_logprobs"},
		{PROBABLE("'token':'a','logprob':0,'top_logprobs':[{'token':'b','logprob':0,'top_logprobs':[]}]"),
		 API_UNKNOWN_FIELD, CONTENT ".logprobs[0].top_logprobs[0].top_logprobs"},
		{PROBABLE("'token':'a','logprob':0,'id':1"), API_UNKNOWN_FIELD, CONTENT ".logprobs[0].id"},
		/* Calls. */
		{CALLED("'name':'f','arguments':''"), API_MISSING_FIELD, "input[0].call_id"},
		{CALLED("'call_id':'','name':'f','arguments':''"), API_INVALID_VALUE, "input[0].call_id"},
		{CALLED("'call_id':'a b','name':'f','arguments':''"), API_INVALID_VALUE, "input[0].call_id"},
		{CALLED("'call_id':'a\\\\b','name':'f','arguments':''"), API_INVALID_VALUE, "input[0].call_id"},
		{CALLED("'call_id':'a\\u0022b','name':'f','arguments':''"), API_INVALID_VALUE, "input[0].call_id"},
		{CALLED("'call_id':'\xC3\xA9','name':'f','arguments':''"), API_INVALID_VALUE, "input[0].call_id"},
		{CALLED("'call_id':null,'name':'f','arguments':''"), API_INVALID_TYPE, "input[0].call_id"},
		{CALLED("'call_id':'c','arguments':''"), API_MISSING_FIELD, "input[0].name"},
		{CALLED("'call_id':'c','name':'a.b','arguments':''"), API_INVALID_VALUE, "input[0].name"},
		{CALLED("'call_id':'c','name':'','arguments':''"), API_INVALID_VALUE, "input[0].name"},
		{CALLED("'call_id':'c','name':'f'"), API_MISSING_FIELD, "input[0].arguments"},
		{CALLED("'call_id':'c','name':'f','arguments':{}"), API_INVALID_TYPE, "input[0].arguments"},
		{CALLED("'call_id':'c','name':'f','arguments':'','status':'ok'"), API_INVALID_VALUE, "input[0].status"},
		{CALLED("'call_id':'c','name':'f','arguments':'','output':''"), API_UNKNOWN_FIELD, "input[0].output"},
		{"{'type':'function_call_output','output':''}", API_MISSING_FIELD, "input[0].call_id"},
		{RETURNED("'id':'i'"), API_MISSING_FIELD, "input[0].output"},
		{RETURNED("'output':null"), API_MISSING_FIELD, "input[0].output"},
		{RETURNED("'output':{}"), API_INVALID_TYPE, "input[0].output"},
		{RETURNED("'output':[{'type':'output_text','text':''}]"), API_INVALID_VALUE, "input[0].output[0].type"},
		{RETURNED("'output':[{'type':'input_video'}]"), API_MISSING_FIELD, "input[0].output[0].video_url"},
		{RETURNED("'output':[{'type':'input_video','video_url':'x'}]"), API_INVALID_VALUE,
		 "input[0].output[0].video_url"},
		/* Reasoning and compaction. */
		{"{'type':'reasoning'}", API_MISSING_FIELD, "input[0].summary"},
		{"{'type':'reasoning','summary':'s'}", API_INVALID_TYPE, "input[0].summary"},
		{"{'type':'reasoning','summary':[{'type':'reasoning_text','text':''}]}", API_INVALID_VALUE,
		 "input[0].summary[0].type"},
		{"{'type':'reasoning','summary':[],'content':[{'type':'summary_text','text':''}]}", API_INVALID_VALUE,
		 "input[0].content[0].type"},
		{"{'type':'reasoning','summary':[],'content':''}", API_INVALID_TYPE, "input[0].content"},
		{"{'type':'reasoning','summary':[],'encrypted_content':7}", API_INVALID_TYPE,
		 "input[0].encrypted_content"},
		{"{'type':'compaction'}", API_MISSING_FIELD, "input[0].encrypted_content"},
		{"{'type':'compaction','encrypted_content':null}", API_INVALID_TYPE, "input[0].encrypted_content"},
		{"{'type':'compaction','encrypted_content':'e','summary':[]}", API_UNKNOWN_FIELD, "input[0].summary"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_refused(quoted(cases[i].text), cases[i].code, cases[i].param);
	}
}

/* BEFORE, then `count` times PIECE, then AFTER; with ' for ". */
static char *repeated(const char *before, const char *piece, size_t count, const char *after) {
	struct buf text = BUF_INIT;
	const char *one = quoted(piece);
	buf_append_text(&text, quoted(before));
	for (size_t i = 0; i < count; i++) {
		buf_append_text(&text, one);
	}
	buf_append_text(&text, quoted(after));
	char *whole = buf_take_text(&text);
	assert_non_null(whole);
	return whole;
}

static void test_bounds(void **state) {
	(void)state;
	static const struct {
		const char *before, *piece;
		size_t most;
		const char *after, *param;
	} cases[] = {
		{"{'type':'function_call','name':'f','arguments':'','call_id':'", "c", 64, "'}", "input[0].call_id"},
		{"{'type':'function_call','call_id':'c','arguments':'','name':'", "n", 64, "'}", "input[0].name"},
		{"{'role':'user','content':'", "\xC3\xA9", 10485760, "'}", "input[0].content"},
		{"{'type':'reasoning','summary':[{'type':'summary_text','text':''}",
		 ",{'type':'summary_text','text':''}", 999, "],'content':[]}", "input[0].summary"},
		{"{'type':'reasoning','content':[{'type':'reasoning_text','text':''}],'summary':[{'type':'summary_text',"
		 "'text':''}",
		 ",{'type':'summary_text','text':''}", 998, "]}", "input[0].content"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct item item;
		char *text = repeated(cases[i].before, cases[i].piece, cases[i].most, cases[i].after);
		read_ok(text, &item);
		item_free(&item);
		mem_free(text);
		text = repeated(cases[i].before, cases[i].piece, cases[i].most + 1, cases[i].after);
		assert_refused(text, API_INVALID_VALUE, cases[i].param);
		mem_free(text);
	}
}

/* An answer with the probabilities of 2,000 tokens is more than a request may be, but it was not sent: it is stored. */
static void test_a_long_answer_with_logprobs_is_read_back(void **state) {
	(void)state;
	struct item item, again;
	struct buf first = BUF_INIT, second = BUF_INIT;
	assert_int_equal(item_message(&item, ROLE_ASSISTANT, ITEM_COMPLETED, "msg_1", STR("Hi")), 0);
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(part_append_json(&item.parts[0].logprobs, str_of(quoted(LOGPROB("a")))), 0);
	}
	item_write(&first, &item);
	item_free(&item);
	assert_int_equal(json_check(buf_str(&first), NULL), -1);
	assert_int_equal(item_read_stored(buf_str(&first), &again, NULL), 0);
	item_write(&second, &again);
	item_free(&again);
	assert_true(str_equal(buf_str(&first), buf_str(&second)));
	buf_free(&first);
	buf_free(&second);
}

static void test_opened(void **state) {
	(void)state;
	static const struct {
		const char *item, *opened;
	} cases[] = {
		{"{" MESSAGE ",'role':'assistant','content':'a','phase':'commentary'}",
		 "{'type':'message','id':'i','status':'in_progress','role':'assistant','content':[],'phase':'commentary'}"},
		{"{" CALL "}", "{'type':'function_call','id':'i','status':'in_progress','call_id':'c','name':'f',"
			       "'arguments':''}"},
		{"{'type':'reasoning','id':'i','summary':[{'type':'summary_text','text':'s'}],'encrypted_content':'e'}",
		 "{'type':'reasoning','id':'i','summary':[],'content':[]}"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct item item;
		struct buf out = BUF_INIT;
		read_ok(quoted(cases[i].item), &item);
		item_write_opened(&out, &item);
		assert_written(&out, quoted(cases[i].opened));
		item_free(&item);
	}
}

/* Everything that an item owns. */
#define EVERYTHING                                                                                                     \
	"{'role':'assistant','id':'i','content':[{'type':'output_text','text':'a','annotations':[" CITATION            \
	"],'logprobs':[" LOGPROB("a") "]}]}"
#define EVERY_INPUT                                                                                                    \
	"{'role':'user','id':'i','content':[{'type':'input_image','image_url':'http://h/','detail':'low'},"            \
	"{'type':'input_file','filename':'a','file_data':'data:text/plain;base64,QQ=='}]}"

static void test_copies_are_deep(void **state) {
	(void)state;
	static const char *const texts[] = {EVERYTHING, EVERY_INPUT, "{'type':'v:t','id':'i','a':1}"};
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct item item, copy;
		struct buf before = BUF_INIT, after = BUF_INIT;
		read_ok(quoted(texts[i]), &item);
		item_write(&before, &item);
		uint64_t nth = 1;
		for (;; nth++) {
			mem_fail_after(nth, false);
			int result = item_copy(&copy, &item);
			mem_fail_after(0, false);
			if (result == 0) {
				break;
			}
		}
		assert_true(nth > 2);
		item_free(&item);
		item_write(&after, &copy);
		item_free(&copy);
		assert_written(&after, buf_text(&before));
		buf_free(&before);
	}
}

static void test_every_failing_allocation_is_an_error(void **state) {
	(void)state;
	static const char *const texts[] = {EVERYTHING, EVERY_INPUT, "{'type':'v:t','a':1}"};
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct json *json = parse(quoted(texts[i]));
		uint64_t nth = 1;
		for (;; nth++) {
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
		}
		assert_true(nth > 2);
		json_free(&json);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_taken_and_how_it_is_shown),
		cmocka_unit_test(test_ids_are_made_by_kind),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_a_long_answer_with_logprobs_is_read_back),
		cmocka_unit_test(test_opened),
		cmocka_unit_test(test_copies_are_deep),
		cmocka_unit_test(test_every_failing_allocation_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
