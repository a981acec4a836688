#include "chunk_parse.h"

#include <string.h>

#include "base/json.h"
#include "chunk_detail.h"

/* What servers call the reasons, in whatever case. */
static const struct {
	struct str name;
	enum chat_finish finish;
} finish_names[] = {
#define ROW(name_, finish_)                                                                                            \
	{ {(name_), sizeof(name_) - 1}, CHAT_FINISH_##finish_ }
	ROW("", NONE),
	ROW("stop", STOP),
	ROW("eos", STOP),
	ROW("eos_token", STOP),
	ROW("stop_sequence", STOP),
	ROW("end_turn", STOP),
	ROW("length", LENGTH),
	ROW("max_tokens", LENGTH),
	ROW("model_length", LENGTH),
	ROW("content_filter", FILTER),
	ROW("safety", FILTER),
	ROW("recitation", FILTER),
	ROW("tool_calls", TOOLS),
	ROW("tool_use", TOOLS),
	ROW("function_call", TOOLS),
	ROW("abort", CUT),
	ROW("cancelled", CUT),
	ROW("error", CUT),
	ROW("insufficient_system_resource", CUT),
	ROW("network_error", CUT),
#undef ROW
};

static bool is_object(const struct json *value) {
	return value && json_type(value) == JSON_OBJECT;
}

static bool is_string(const struct json *value) {
	return value && json_type(value) == JSON_STRING;
}

static bool is_array(const struct json *value) {
	return value && json_type(value) == JSON_ARRAY;
}

static bool is_absent(const struct json *value) {
	return !value || json_type(value) == JSON_NULL;
}

static int64_t read_count(const struct json *object, const char *key) {
	const struct json *value = json_get(object, key);
	int64_t count;
	return value && json_integer(value, &count) == 0 && count > 0 ? count : 0;
}

static void read_usage(const struct json *usage, struct chat_usage *out) {
	if (!is_object(usage)) {
		return;
	}
	*out = (struct chat_usage){
		.known = true,
		.input_tokens = read_count(usage, "prompt_tokens"),
		.output_tokens = read_count(usage, "completion_tokens"),
		.cached_tokens = read_count(json_get(usage, "prompt_tokens_details"), "cached_tokens"),
		.reasoning_tokens = read_count(json_get(usage, "completion_tokens_details"), "reasoning_tokens"),
	};
	if (out->cached_tokens == 0) {
		out->cached_tokens = read_count(usage, "prompt_cache_hit_tokens"); /* DeepSeek's name */
	}
}

static void read_error(const struct json *error, struct chat_chunk *chunk) {
	chunk->is_error = true;
	if (is_string(error)) {
		str_copy_cut(chunk->error_text, sizeof chunk->error_text, json_str(error));
		return;
	}
	str_copy_cut(chunk->error_text, sizeof chunk->error_text, json_str(json_get(error, "message")));
	const struct json *code = json_get(error, "code");
	code = is_string(code) ? code : json_get(error, "type");
	str_copy_cut(chunk->error_code, sizeof chunk->error_code, json_str(code));
}

static enum chat_finish read_finish(const struct json *reason) {
	if (!is_string(reason)) {
		return CHAT_FINISH_NONE;
	}
	for (size_t i = 0; i < sizeof finish_names / sizeof finish_names[0]; i++) {
		if (str_equal_nocase(json_str(reason), finish_names[i].name)) {
			return finish_names[i].finish;
		}
	}
	return CHAT_FINISH_OTHER;
}

/* Text, or the list of typed parts that some servers make of their reasoning. */
static int read_thinking(const struct json *thinking, struct answer *answer) {
	if (!is_array(thinking)) {
		return answer_reasoning(answer, json_str(thinking));
	}
	for (const struct json *part = json_first(thinking); part; part = json_next(part)) {
		if (answer_reasoning(answer, json_str(json_get(part, "text")))) {
			return -1;
		}
	}
	return 0;
}

static int read_part(const struct json *part, struct answer *answer) {
	struct str type = json_str(json_get(part, "type"));
	if (str_is(type, "text")) {
		return answer_text(answer, json_str(json_get(part, "text")));
	}
	if (str_is(type, "thinking")) {
		return read_thinking(json_get(part, "thinking"), answer);
	}
	return str_is(type, "refusal") ? answer_refusal(answer, json_str(json_get(part, "refusal"))) : 0;
}

/* A string, or the list of typed parts that some servers give. */
static int read_content(const struct json *content, struct answer *answer, struct err *err) {
	if (is_absent(content) || is_string(content)) {
		return answer_text(answer, json_str(content));
	}
	if (!is_array(content)) {
		return err_set(err, ERR_INVALID, "content is %s", json_type_name(json_type(content)));
	}
	for (const struct json *part = json_first(content); part; part = json_next(part)) {
		if (read_part(part, answer)) {
			return -1;
		}
	}
	return answer_text(answer, STR_NONE);
}

/* The same text comes under two names; a server that uses both says it twice. */
static int read_reasoning(const struct json *delta, struct answer *answer) {
	struct str reasoning = json_str(json_get(delta, "reasoning_content"));
	if (reasoning.length == 0) {
		reasoning = json_str(json_get(delta, "reasoning"));
	}
	return answer_reasoning(answer, reasoning);
}

static int read_annotations(const struct json *annotations, struct answer *answer, struct err *err) {
	if (!is_array(annotations)) {
		return 0;
	}
	for (const struct json *item = json_first(annotations); item; item = json_next(item)) {
		buf_clear(answer->scratch);
		if (!detail_annotation(item, answer->scratch)) {
			continue;
		}
		if (answer->scratch->failed) {
			return err_set(err, ERR_MEMORY, "no memory for an annotation");
		}
		if (answer_annotation(answer, buf_str(answer->scratch))) {
			return -1;
		}
	}
	return 0;
}

/* `function` holds name and arguments; some local servers give the arguments as the object that they are. */
static int read_function(const struct json *function, struct call_piece *piece, struct answer *answer,
			 struct err *err) {
	const struct json *arguments = json_get(function, "arguments");
	piece->name = json_str(json_get(function, "name"));
	piece->arguments = json_str(arguments);
	if (is_object(arguments)) {
		buf_clear(answer->scratch);
		json_print(arguments, answer->scratch);
		if (answer->scratch->failed) {
			return err_set(err, ERR_MEMORY, "no memory for the arguments of a call");
		}
		piece->arguments = buf_str(answer->scratch);
	} else if (!is_absent(arguments) && !is_string(arguments)) {
		return err_set(err, ERR_INVALID, "the arguments of a call are %s",
			       json_type_name(json_type(arguments)));
	}
	return answer_call(answer, piece, err);
}

static int read_call(const struct json *call, bool whole, struct answer *answer, struct err *err) {
	if (!is_object(call)) {
		return err_set(err, ERR_INVALID, "a tool call is not an object");
	}
	struct call_piece piece = {.id = json_str(json_get(call, "id")), .whole = whole};
	if (json_integer(json_get(call, "index"), &piece.index) || piece.index < 0) {
		piece.index = CALLS_NO_INDEX;
	}
	return read_function(json_get(call, "function"), &piece, answer, err);
}

static int read_calls(const struct json *delta, bool whole, struct answer *answer, struct err *err) {
	const struct json *calls = json_get(delta, "tool_calls");
	const struct json *legacy = json_get(delta, "function_call");
	if (is_absent(calls)) {
		struct call_piece piece = {.index = CALLS_LEGACY_INDEX};
		return is_object(legacy) ? read_function(legacy, &piece, answer, err) : 0;
	}
	if (!is_array(calls)) {
		return err_set(err, ERR_INVALID, "tool_calls is not an array");
	}
	for (const struct json *call = json_first(calls); call; call = json_next(call)) {
		if (read_call(call, whole, answer, err)) {
			return -1;
		}
	}
	return 0;
}

/* In the order in which they are shown: a model thinks, speaks, and calls. */
static int read_delta(const struct json *delta, bool whole, struct answer *answer, struct err *err) {
	if (read_reasoning(delta, answer) || read_content(json_get(delta, "content"), answer, err) ||
	    answer_refusal(answer, json_str(json_get(delta, "refusal"))) ||
	    read_annotations(json_get(delta, "annotations"), answer, err)) {
		return -1;
	}
	return read_calls(delta, whole, answer, err);
}

static int read_choice(const struct json *choice, struct answer *answer, struct chat_chunk *chunk, struct err *err) {
	if (!is_object(choice)) {
		return err_set(err, ERR_INVALID, "a choice is not an object");
	}
	const struct json *delta = json_get(choice, "delta");
	bool whole = is_absent(delta) && is_object(json_get(choice, "message"));
	if (is_absent(delta)) {
		delta = json_get(choice, "message");
	}
	if (!is_absent(delta) && !is_object(delta)) {
		return err_set(err, ERR_INVALID, "a delta is not an object");
	}
	detail_logprobs(json_get(json_get(choice, "logprobs"), "content"), &answer->logprobs);
	if (answer->logprobs.failed) {
		return err_set(err, ERR_MEMORY, "no memory for logprobs");
	}
	if (read_delta(delta, whole, answer, err)) {
		return -1;
	}
	chunk->finish = read_finish(json_get(choice, "finish_reason"));
	return chunk->finish != CHAT_FINISH_NONE || whole ? answer_end(answer, chunk->finish, err) : 0;
}

/* One completion was asked for; whatever claims another place in the list is not ours. */
static bool is_ours(const struct json *choice) {
	const struct json *index = json_get(choice, "index");
	return is_absent(index) || json_number(index) == 0;
}

static int read_choices(const struct json *choices, struct answer *answer, struct chat_chunk *chunk, struct err *err) {
	if (!is_array(choices)) {
		return err_set(err, ERR_INVALID, "choices is not an array");
	}
	for (const struct json *choice = json_first(choices); choice; choice = json_next(choice)) {
		if (is_ours(choice)) {
			return read_choice(choice, answer, chunk, err);
		}
	}
	return 0;
}

static int read_root(const struct json *root, struct answer *answer, struct chat_chunk *chunk, struct err *err) {
	if (!is_object(root)) {
		return err_set(err, ERR_INVALID, "a chunk is not an object");
	}
	const struct json *usage = json_get(root, "usage");
	read_usage(usage, &chunk->usage);
	detail_tier(json_str(json_get(root, "service_tier")), chunk->service_tier);
	const struct json *error = json_get(root, "error");
	if (!is_absent(error)) {
		read_error(error, chunk);
		return 0;
	}
	const struct json *choices = json_get(root, "choices");
	if (!is_absent(choices)) {
		return read_choices(choices, answer, chunk, err);
	}
	/* The same error without the wrapping. */
	if (str_is(json_str(json_get(root, "object")), "error")) {
		read_error(root, chunk);
		return 0;
	}
	return is_object(usage) ? 0 : err_set(err, ERR_INVALID, "a chunk has no choices");
}

static bool read_unit(struct str at, uint32_t *unit) {
	uint8_t bytes[2];
	if (at.length < 6 || at.data[0] != '\\' || at.data[1] != 'u' ||
	    str_from_hex(bytes, 2, (struct str){at.data + 2, 4})) {
		return false;
	}
	*unit = (uint32_t)bytes[0] << 8 | bytes[1];
	return true;
}

/* Servers that cut UTF-16 text where it comes escape each half of a character on its own. JSON has no meaning for that
 * and the gate refuses it: put U+FFFD in the place of each half. true when there was one. */
static bool mend_surrogates(struct str text, struct buf *out) {
	bool mended = false;
	for (size_t at = 0; at < text.length;) {
		struct str rest = str_skip(text, at);
		uint32_t unit;
		uint32_t low;
		size_t length = rest.data[0] == '\\' && rest.length > 1 ? 2 : 1;
		if (read_unit(rest, &unit)) {
			length = 6;
			bool high = unit >= 0xD800 && unit <= 0xDBFF;
			if (high && read_unit(str_skip(rest, 6), &low) && low >= 0xDC00 && low <= 0xDFFF) {
				length = 12;
			} else if (unit >= 0xD800 && unit <= 0xDFFF) {
				buf_append_text(out, "\\ufffd");
				mended = true;
				at += length;
				continue;
			}
		}
		buf_append(out, rest.data, length);
		at += length;
	}
	return mended && !out->failed;
}

static struct json *parse(struct str data, struct err *err) {
	struct json *root = json_parse(data, err);
	if (root || !data.data || !memmem(data.data, data.length, "\\u", 2)) {
		return root;
	}
	struct buf mended = BUF_INIT;
	if (mend_surrogates(data, &mended)) {
		root = json_parse(buf_str(&mended), err);
	}
	if (root && err) {
		*err = (struct err){0};
	}
	buf_free(&mended);
	return root;
}

int chunk_parse(struct str data, struct answer *answer, struct chat_chunk *chunk, struct err *err) {
	struct json *root = parse(data, err);
	if (!root) {
		return -1;
	}
	int failed = read_root(root, answer, chunk, err);
	json_free(&root);
	return failed;
}
