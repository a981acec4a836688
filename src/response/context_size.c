#include "context_size.h"

#include <string.h>

#include "base/mem.h"

#define MESSAGE_TOKENS 4 /* of what a template puts around it */
#define IMAGE_TOKENS 1000
#define BYTES_OF_A_FILE_TOKEN 16 /* base64 of pages: a guess */
#define ANSWER_SHARE 4           /* of the context, for an answer whose length is not said: one in so many */
#define ANSWER_MOST 4096

/* --- measuring ------------------------------------------------------------------------------------------------------ */

/* How many bytes of a word are 1, all others being 0. */
static size_t sum_of_bytes(uint64_t word) {
	return word * UINT64_C(0x0101010101010101) >> 56;
}

/* Eight bytes at a time: a long text is counted between two tokens of somebody else. */
static int64_t text_tokens(struct str text) {
	size_t above = 0;  /* bytes beyond ASCII */
	size_t others = 0; /* of them, the first byte of a character */
	size_t at = 0;
	for (uint64_t word; at + sizeof word <= text.length; at += sizeof word) {
		memcpy(&word, text.data + at, sizeof word);
		uint64_t high = word >> 7 & UINT64_C(0x0101010101010101);
		above += sum_of_bytes(high);
		others += sum_of_bytes(high & word >> 6);
	}
	for (; at < text.length; at++) {
		unsigned char c = (unsigned char)text.data[at];
		above += c >= 0x80;
		others += c >= 0xC0;
	}
	return (int64_t)((text.length - above + 3) / 4 + others);
}

static int64_t part_tokens(const struct chat_part *part) {
	switch (part->kind) {
	case CHAT_PART_IMAGE:
		return IMAGE_TOKENS;
	case CHAT_PART_FILE:
	case CHAT_PART_VIDEO:
		return (int64_t)(part->text.length / BYTES_OF_A_FILE_TOKEN) + 1;
	default:
		return text_tokens(part->text);
	}
}

static int64_t message_tokens(const struct chat_message *message) {
	int64_t tokens = MESSAGE_TOKENS + text_tokens(message->reasoning);
	for (size_t i = 0; i < message->part_count; i++) {
		tokens += part_tokens(&message->parts[i]);
	}
	for (size_t i = 0; i < message->call_count; i++) {
		tokens += text_tokens(str_of(message->calls[i].name)) + text_tokens(message->calls[i].arguments);
	}
	return tokens;
}

static size_t message_size(const struct chat_message *message) {
	size_t size = message->reasoning.length;
	for (size_t i = 0; i < message->part_count; i++) {
		size += message->parts[i].text.length;
	}
	for (size_t i = 0; i < message->call_count; i++) {
		size += message->calls[i].arguments.length;
	}
	return size;
}

static int64_t tool_tokens(const struct tool_list *tools) {
	int64_t tokens = 0;
	for (size_t i = 0; i < tools->count; i++) {
		tokens += MESSAGE_TOKENS + text_tokens(str_of(tools->tools[i].name)) +
			  text_tokens(str_of(tools->tools[i].description)) +
			  text_tokens(str_of(tools->tools[i].parameters));
	}
	return tokens;
}

int64_t context_tokens(const struct context *context, const struct request_settings *settings) {
	int64_t tokens = tool_tokens(&settings->tools);
	for (size_t i = 0; i < context->count; i++) {
		tokens += message_tokens(&context->messages[i]);
	}
	return tokens;
}

static size_t context_bytes(const struct context *context) {
	size_t size = 0;
	for (size_t i = 0; i < context->count; i++) {
		size += message_size(&context->messages[i]);
	}
	return size;
}

/* --- fitting -------------------------------------------------------------------------------------------------------- */

struct bound {
	int64_t tokens; /* INT64_MAX: none */
	size_t bytes;   /* SIZE_MAX: none */
};

static struct bound bound_of(const struct context_source *source) {
	const struct request_settings *settings = source->settings;
	struct bound bound = {INT64_MAX, source->max_size ? source->max_size : SIZE_MAX};
	if (!source->tokens) {
		return bound;
	}
	int64_t whole = source->tokens;
	if (!settings->truncates) {
		bound.tokens = whole + whole / 4;
		return bound;
	}
	int64_t answer = whole / ANSWER_SHARE < ANSWER_MOST ? whole / ANSWER_SHARE : ANSWER_MOST;
	if (settings->has_max_output_tokens) {
		/* Some say more than the model has: it is what they allow, not what they need. */
		answer = settings->max_output_tokens < whole / 2 ? settings->max_output_tokens : whole / 2;
	}
	bound.tokens = whole - answer;
	return bound;
}

static bool is_tool(const struct chat_message *message) {
	return strcmp(message->role, "tool") == 0;
}

/* Instructions that come before all else, the request's own or a client's first items: they stay. */
static size_t count_instructions(const struct context *context) {
	size_t count = 0;
	while (count < context->count && (strcmp(context->messages[count].role, "system") == 0 ||
					  strcmp(context->messages[count].role, "developer") == 0)) {
		count++;
	}
	return count;
}

/* Whether the call that this result is of is one of the messages between `start` and it. */
static bool has_call(const struct context *context, size_t start, size_t result) {
	for (size_t i = result; i-- > start;) {
		const struct chat_message *message = &context->messages[i];
		for (size_t c = 0; c < message->call_count; c++) {
			if (strcmp(message->calls[c].id, context->messages[result].call_id) == 0) {
				return true;
			}
		}
	}
	return false;
}

static bool leaves_result(const struct context *context, size_t start) {
	for (size_t i = start; i < context->count; i++) {
		if (is_tool(&context->messages[i]) && !has_call(context, start, i)) {
			return true;
		}
	}
	return false;
}

/* Where the context may begin next: with another turn. 0: nowhere. */
static size_t next_start(const struct context *context, size_t from) {
	for (size_t i = from + 1; i < context->count; i++) {
		if (context->begins[i] && !is_tool(&context->messages[i])) {
			return i;
		}
	}
	return 0;
}

/* Instructions are moved up to what is left. */
static void cut(struct context *context, size_t instructions, size_t start) {
	size_t skipped = start - instructions;
	memmove(context->messages + skipped, context->messages, instructions * sizeof *context->messages);
	context->messages += skipped;
	context->count -= skipped;
	context->skipped += skipped;
}

int context_fit(struct context *context, const struct context_source *source, struct api_error *error) {
	const struct bound bound = bound_of(source);
	const size_t instructions = count_instructions(context);
	int64_t tokens = context_tokens(context, source->settings);
	size_t bytes = context_bytes(context);
	size_t start = instructions;
	/* A result without its call is what no model's server takes. */
	while (tokens > bound.tokens || bytes > bound.bytes ||
	       (start > instructions && leaves_result(context, start))) {
		size_t next = source->settings->truncates ? next_start(context, start) : 0;
		if (!next) {
			return api_error_set(error, API_CONTEXT_TOO_LARGE, "input", NULL);
		}
		for (; start < next; start++) {
			tokens -= message_tokens(&context->messages[start]);
			bytes -= message_size(&context->messages[start]);
		}
	}
	if (start > instructions) {
		cut(context, instructions, start);
	}
	return 0;
}
