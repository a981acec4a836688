#include "completion.h"

#include "base/id.h"
#include "base/json.h"
#include "base/mem.h"

#include "rules.h"
#include "text.h"
#include "tools.h"

#define MESSAGE_OVERHEAD 4 /* tokens that a message costs besides its text */

enum stage { STAGE_ROLE, STAGE_THOUGHT, STAGE_BODY, STAGE_FINISH, STAGE_USAGE, STAGE_DONE, STAGE_OVER };

struct completion {
	struct json *request;
	struct str model;
	char id[ID_SIZE];
	char call_id[ID_SIZE];
	int64_t created;
	bool streams;
	bool counts;        /* stream_options.include_usage */
	struct buf thought; /* what is told before the answer, where some reasoning is asked for */
	struct str musing;  /* what of it is still to be told */
	struct buf answer;  /* the text, or the arguments of the call */
	struct str tool;    /* the function to call; empty for an answer in words */
	struct str rest;    /* what of the answer is still to be told */
	size_t left;        /* pieces that may still be told */
	size_t told;
	size_t asked; /* tokens of the request */
	enum stage stage;
};

struct messages {
	struct talk_message *list;
	struct buf *texts; /* the text of messages whose content comes in parts */
	size_t count;
};

static void messages_free(struct messages *messages) {
	for (size_t i = 0; messages->texts && i < messages->count; i++) {
		buf_free(&messages->texts[i]);
	}
	mem_free(messages->texts);
	mem_free(messages->list);
}

static int role_parse(struct str role, enum talk_role *out) {
	static const struct {
		const char *name;
		enum talk_role role;
	} roles[] = {{"system", TALK_SYSTEM},
		     {"developer", TALK_SYSTEM},
		     {"user", TALK_USER},
		     {"assistant", TALK_ASSISTANT},
		     {"tool", TALK_TOOL}};
	for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
		if (str_is(role, roles[i].name)) {
			*out = roles[i].role;
			return 0;
		}
	}
	return -1;
}

/* The name of the tool that call `id` called, from the assistant's messages. */
static struct str called_tool(const struct json *list, struct str id) {
	for (const struct json *message = json_first(list); message; message = json_next(message)) {
		const struct json *call = json_first(json_get(message, "tool_calls"));
		for (; call; call = json_next(call)) {
			if (str_equal(json_str(json_get(call, "id")), id)) {
				return json_str(json_get(json_get(call, "function"), "name"));
			}
		}
	}
	return STR_NONE;
}

static int messages_read(struct messages *messages, const struct json *list, struct err *err) {
	size_t count = json_type(list) == JSON_ARRAY ? json_count(list) : 0;
	if (count == 0) {
		return err_set(err, ERR_INVALID, "messages must be a list of at least one message");
	}
	messages->count = count;
	messages->list = mem_zarray(count, sizeof messages->list[0]);
	messages->texts = mem_zarray(count, sizeof messages->texts[0]);
	if (!messages->list || !messages->texts) {
		return err_set(err, ERR_MEMORY, "out of memory");
	}
	size_t at = 0;
	for (const struct json *entry = json_first(list); entry; entry = json_next(entry), at++) {
		struct talk_message *message = &messages->list[at];
		if (role_parse(json_str(json_get(entry, "role")), &message->role) != 0) {
			return err_set(err, ERR_INVALID,
				       "messages[%zu].role must be system, developer, user, assistant or tool", at);
		}
		const struct json *content = json_get(entry, "content");
		message->text = json_str(content);
		if (content && json_type(content) == JSON_ARRAY) {
			for (const struct json *part = json_first(content); part; part = json_next(part)) {
				buf_append_str(&messages->texts[at], json_str(json_get(part, "text")));
			}
			message->text = buf_str(&messages->texts[at]);
		}
		if (message->role == TALK_TOOL) {
			message->tool = called_tool(list, json_str(json_get(entry, "tool_call_id")));
		}
	}
	return 0;
}

static int limit_read(const struct json *request, size_t *limit, struct err *err) {
	const struct json *value = json_get(request, "max_completion_tokens");
	value = value && json_type(value) != JSON_NULL ? value : json_get(request, "max_tokens");
	*limit = SIZE_MAX;
	if (!value || json_type(value) == JSON_NULL) {
		return 0;
	}
	int64_t tokens;
	if (json_integer(value, &tokens) != 0 || tokens < 1) {
		return err_set(err, ERR_INVALID, "max_tokens must be a whole number of at least 1");
	}
	*limit = (size_t)tokens;
	return 0;
}

/* It reasons as well as it answers: it tells what it does. */
static void think(struct completion *c, struct str question) {
	struct str effort = json_str(json_get(c->request, "reasoning_effort"));
	if (effort.length > 0 && !str_is(effort, "none")) {
		buf_append_text(&c->thought, "I am asked: ");
		buf_append_str(&c->thought, question);
		buf_append_text(&c->thought, "\nI look for a rule that fits.");
		c->musing = buf_str(&c->thought);
	}
}

static int decide(struct completion *c, const struct talk *talk, struct err *err) {
	const struct talk_message *asked = talk_last_user(talk, talk->count);
	struct tool_question question = {
		.tools = json_get(c->request, "tools"),
		.choice = json_get(c->request, "tool_choice"),
		.text = asked ? asked->text : STR_NONE,
		.answered = talk->count > 0 && talk->messages[talk->count - 1].role == TALK_TOOL,
	};
	const struct json *function = NULL;
	if (tools_choose(&question, &function, err) != 0) {
		return -1;
	}
	if (function) {
		c->tool = json_str(json_get(function, "name"));
		c->left = SIZE_MAX; /* half a call is no call */
		tools_arguments(function, question.text, &c->answer);
	} else {
		rules_answer(talk, &c->answer);
		think(c, question.text);
	}
	return c->answer.failed || c->thought.failed ? err_set(err, ERR_MEMORY, "out of memory") : 0;
}

static int read_request(struct completion *c, struct err *err) {
	struct messages messages = {0};
	const struct json *model = json_get(c->request, "model");
	int result = -1;
	if (json_type(c->request) != JSON_OBJECT) {
		err_set(err, ERR_INVALID, "the body must be a JSON object");
		return -1;
	}
	c->model = json_str(model).length > 0 ? json_str(model) : STR(DEMO_MODEL);
	c->streams = json_is_true(json_get(c->request, "stream"));
	c->counts = json_is_true(json_get(json_get(c->request, "stream_options"), "include_usage"));
	if (limit_read(c->request, &c->left, err) != 0 ||
	    messages_read(&messages, json_get(c->request, "messages"), err) != 0) {
		goto messages;
	}
	for (size_t i = 0; i < messages.count; i++) {
		c->asked += MESSAGE_OVERHEAD + text_piece_count(messages.list[i].text);
	}
	result = decide(c, &(struct talk){messages.list, messages.count}, err);
	c->rest = buf_str(&c->answer);
messages:
	messages_free(&messages);
	return result;
}

struct completion *completion_new(struct str body, int64_t wall_ms, struct err *err) {
	struct completion *c = mem_zalloc(sizeof *c);
	if (!c) {
		err_set(err, ERR_MEMORY, "out of memory");
		return NULL;
	}
	id_make(c->id, "chatcmpl", wall_ms);
	id_make(c->call_id, "call", wall_ms);
	c->created = wall_ms / 1000;
	c->request = json_parse(body, err);
	if (!c->request || read_request(c, err) != 0) {
		completion_free(&c);
	}
	return c;
}

void completion_free(struct completion **completion) {
	struct completion *c = *completion;
	if (c) {
		json_free(&c->request);
		buf_free(&c->answer);
		buf_free(&c->thought);
		mem_free(c);
		*completion = NULL;
	}
}

bool completion_streams(const struct completion *c) {
	return c->streams;
}

static bool thinks(const struct completion *c) {
	return c->stage == STAGE_THOUGHT && c->musing.length > 0 && c->left > 0;
}

bool completion_speaks(const struct completion *c) {
	return thinks(c) || (c->stage == STAGE_BODY && c->rest.length > 0 && c->left > 0);
}

/* Takes the next piece of the answer, or of the thought before it, if the limit allows one. */
static struct str take_piece(struct completion *c, struct str *rest) {
	struct str piece = {rest->data, c->left > 0 ? text_piece(*rest) : 0};
	if (piece.length > 0) {
		*rest = str_skip(*rest, piece.length);
		c->left--;
		c->told++;
	}
	return piece;
}

static const char *finish_reason(const struct completion *c) {
	return c->tool.length > 0 ? "tool_calls" : c->rest.length > 0 ? "length" : "stop";
}

static void write_head(const struct completion *c, struct json_writer *w, const char *object) {
	jw_key(w, "id");
	jw_text(w, c->id);
	jw_key(w, "object");
	jw_text(w, object);
	jw_key(w, "created");
	jw_int(w, c->created);
	jw_key(w, "model");
	jw_str(w, c->model);
}

static void write_usage(const struct completion *c, struct json_writer *w) {
	jw_key(w, "usage");
	jw_object(w);
	jw_key(w, "prompt_tokens");
	jw_int(w, (int64_t)c->asked);
	jw_key(w, "completion_tokens");
	jw_int(w, (int64_t)c->told);
	jw_key(w, "total_tokens");
	jw_int(w, (int64_t)(c->asked + c->told));
	jw_object_end(w);
}

/* "tool_calls": the call whole (`arguments` are all of them), or one part of it in a stream. */
static void write_call(const struct completion *c, struct json_writer *w, bool named, struct str arguments) {
	jw_key(w, "tool_calls");
	jw_array(w);
	jw_object(w);
	jw_key(w, "index");
	jw_int(w, 0);
	if (named) {
		jw_key(w, "id");
		jw_text(w, c->call_id);
		jw_key(w, "type");
		jw_text(w, "function");
	}
	jw_key(w, "function");
	jw_object(w);
	if (named) {
		jw_key(w, "name");
		jw_str(w, c->tool);
	}
	jw_key(w, "arguments");
	jw_str(w, arguments);
	jw_object_end(w);
	jw_object_end(w);
	jw_array_end(w);
}

void completion_write(struct completion *c, struct buf *out) {
	struct json_writer w = json_writer(out);
	while (take_piece(c, &c->musing).length > 0 || take_piece(c, &c->rest).length > 0) {
	}
	struct str told = {c->answer.data, c->answer.length - c->rest.length};
	jw_object(&w);
	write_head(c, &w, "chat.completion");
	jw_key(&w, "choices");
	jw_array(&w);
	jw_object(&w);
	jw_key(&w, "index");
	jw_int(&w, 0);
	jw_key(&w, "message");
	jw_object(&w);
	jw_key(&w, "role");
	jw_text(&w, "assistant");
	if (c->thought.length > 0) {
		jw_key(&w, "reasoning_content");
		jw_str(&w, (struct str){c->thought.data, c->thought.length - c->musing.length});
	}
	jw_key(&w, "content");
	if (c->tool.length > 0) {
		jw_null(&w);
		write_call(c, &w, true, told);
	} else {
		jw_str(&w, told);
	}
	jw_object_end(&w);
	jw_key(&w, "finish_reason");
	jw_text(&w, finish_reason(c));
	jw_object_end(&w);
	jw_array_end(&w);
	write_usage(c, &w);
	jw_object_end(&w);
}

static void write_delta(struct completion *c, struct json_writer *w) {
	if (c->stage == STAGE_ROLE) {
		jw_key(w, "role");
		jw_text(w, "assistant");
	}
	if (c->stage == STAGE_ROLE && c->tool.length > 0) {
		write_call(c, w, true, STR_NONE);
		return;
	}
	if (c->stage == STAGE_THOUGHT) {
		jw_key(w, "reasoning_content");
		jw_str(w, take_piece(c, &c->musing));
		return;
	}
	if (c->stage == STAGE_FINISH) {
		return;
	}
	struct str piece = c->stage == STAGE_BODY ? take_piece(c, &c->rest) : STR_NONE;
	if (c->tool.length > 0) {
		write_call(c, w, false, piece);
	} else {
		jw_key(w, "content");
		jw_str(w, piece);
	}
}

static void write_chunk(struct completion *c, struct buf *out) {
	buf_append_text(out, "data: ");
	struct json_writer w = json_writer(out);
	jw_object(&w);
	write_head(c, &w, "chat.completion.chunk");
	jw_key(&w, "choices");
	jw_array(&w);
	if (c->stage != STAGE_USAGE) {
		jw_object(&w);
		jw_key(&w, "index");
		jw_int(&w, 0);
		jw_key(&w, "delta");
		jw_object(&w);
		write_delta(c, &w);
		jw_object_end(&w);
		jw_key(&w, "finish_reason");
		jw_text(&w, c->stage == STAGE_FINISH ? finish_reason(c) : NULL);
		jw_object_end(&w);
	}
	jw_array_end(&w);
	if (c->stage == STAGE_USAGE) {
		write_usage(c, &w);
	}
	jw_object_end(&w);
	buf_append_text(out, "\n\n");
}

bool completion_next(struct completion *c, struct buf *out) {
	if (c->stage == STAGE_THOUGHT && !thinks(c)) {
		c->stage = STAGE_BODY;
	}
	if (c->stage == STAGE_BODY && !completion_speaks(c)) {
		c->stage = STAGE_FINISH;
	}
	switch (c->stage) {
	case STAGE_ROLE:
		write_chunk(c, out);
		c->stage = STAGE_THOUGHT;
		return true;
	case STAGE_THOUGHT:
	case STAGE_BODY:
		write_chunk(c, out);
		return true;
	case STAGE_FINISH:
		write_chunk(c, out);
		c->stage = c->counts ? STAGE_USAGE : STAGE_DONE;
		return true;
	case STAGE_USAGE:
		write_chunk(c, out);
		c->stage = STAGE_DONE;
		return true;
	case STAGE_DONE:
		buf_append_text(out, "data: [DONE]\n\n");
		c->stage = STAGE_OVER;
		return true;
	default:
		return false;
	}
}
