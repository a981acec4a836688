#include "chunk_parse.h"

#include <string.h>

#include "base/json.h"
#include "upstream/chat.h"

static const struct {
	const char *name;
	enum chat_finish finish;
} finish_names[] = {
	{"stop", CHAT_FINISH_STOP},        {"length", CHAT_FINISH_LENGTH},       {"content_filter", CHAT_FINISH_FILTER},
	{"tool_calls", CHAT_FINISH_TOOLS}, {"function_call", CHAT_FINISH_TOOLS}, {"", CHAT_FINISH_NONE},
};

static bool is_object(const struct json *value) {
	return value && json_type(value) == JSON_OBJECT;
}

static bool is_string(const struct json *value) {
	return value && json_type(value) == JSON_STRING;
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
		if (str_is(json_str(reason), finish_names[i].name)) {
			return finish_names[i].finish;
		}
	}
	return CHAT_FINISH_OTHER;
}

/* A string, or the list of typed parts that some servers give. The tree dies before its reader is done: copied. */
static int read_content(const struct json *content, struct buf *scratch, struct chat_chunk *chunk, struct err *err) {
	buf_clear(scratch);
	if (is_absent(content)) {
		return 0;
	}
	if (is_string(content)) {
		buf_append_str(scratch, json_str(content));
	} else if (json_type(content) == JSON_ARRAY) {
		for (const struct json *part = json_first(content); part; part = json_next(part)) {
			if (str_is(json_str(json_get(part, "type")), "text")) {
				buf_append_str(scratch, json_str(json_get(part, "text")));
			}
		}
	} else {
		return err_set(err, ERR_INVALID, "content is %s", json_type_name(json_type(content)));
	}
	chunk->text = buf_str(scratch);
	return scratch->failed ? err_set(err, ERR_MEMORY, "no memory for the text of a chunk") : 0;
}

static int read_choice(const struct json *choice, struct buf *scratch, struct chat_chunk *chunk, struct err *err) {
	if (!is_object(choice)) {
		return err_set(err, ERR_INVALID, "a choice is not an object");
	}
	const struct json *delta = json_get(choice, "delta");
	if (is_absent(delta)) {
		delta = json_get(choice, "message");
	}
	if (!is_absent(delta) && !is_object(delta)) {
		return err_set(err, ERR_INVALID, "a delta is not an object");
	}
	if (read_content(json_get(delta, "content"), scratch, chunk, err)) {
		return -1;
	}
	chunk->finish = read_finish(json_get(choice, "finish_reason"));
	return 0;
}

/* One completion was asked for; whatever claims another place in the list is not ours. */
static bool is_ours(const struct json *choice) {
	const struct json *index = json_get(choice, "index");
	return is_absent(index) || json_number(index) == 0;
}

static int read_choices(const struct json *choices, struct buf *scratch, struct chat_chunk *chunk, struct err *err) {
	if (json_type(choices) != JSON_ARRAY) {
		return err_set(err, ERR_INVALID, "choices is not an array");
	}
	for (const struct json *choice = json_first(choices); choice; choice = json_next(choice)) {
		if (is_ours(choice)) {
			return read_choice(choice, scratch, chunk, err);
		}
	}
	return 0;
}

static int read_root(const struct json *root, struct buf *scratch, struct chat_chunk *chunk, struct err *err) {
	if (!is_object(root)) {
		return err_set(err, ERR_INVALID, "a chunk is not an object");
	}
	const struct json *usage = json_get(root, "usage");
	read_usage(usage, &chunk->usage);
	const struct json *error = json_get(root, "error");
	if (!is_absent(error)) {
		read_error(error, chunk);
		return 0;
	}
	const struct json *choices = json_get(root, "choices");
	if (!is_absent(choices)) {
		return read_choices(choices, scratch, chunk, err);
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
	buf_free(&mended);
	return root;
}

int chunk_parse(struct str data, struct buf *scratch, struct chat_chunk *chunk, struct err *err) {
	struct json *root = parse(data, err);
	if (!root) {
		return -1;
	}
	int failed = read_root(root, scratch, chunk, err);
	json_free(&root);
	return failed;
}
