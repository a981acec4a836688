#include "ask.h"

#include "base/mem.h"
#include "base/str.h"
#include "context.h"

/* NULL for a text that was not given: the upstream's own default holds then. */
static const char *said(const char *text) {
	return text[0] ? text : NULL;
}

static const char *truth(bool value) {
	return value ? "true" : "false";
}

/* --- tools ---------------------------------------------------------------------------------------------------------- */

static bool is_offered(const struct tool_choice *choice, const struct tool *tool) {
	return !choice->restricted || tool_choice_allows(choice, str_of(tool->name));
}

/* Those that may be called. NULL when memory is out. */
static struct chat_tool *list_tools(const struct request_settings *settings, size_t *count) {
	static const char *const strict[] = {[STRICT_UNSAID] = NULL, [STRICT_NO] = "false", [STRICT_YES] = "true"};
	const struct tool_list *tools = &settings->tools;
	struct chat_tool *list = mem_zarray(tools->count + 1, sizeof *list);
	*count = 0;
	for (size_t i = 0; list && i < tools->count; i++) {
		const struct tool *tool = &tools->tools[i];
		if (is_offered(&settings->tool_choice, tool)) {
			list[(*count)++] = (struct chat_tool){.name = tool->name,
							      .description = tool->description,
							      .parameters = tool->parameters,
							      .strict = strict[tool->strict]};
		}
	}
	return list;
}

static enum chat_tool_choice choice_of(const struct tool_choice *choice) {
	static const enum chat_tool_choice modes[] = {[TOOLS_AUTO] = CHAT_TOOLS_AUTO,
						      [TOOLS_NONE] = CHAT_TOOLS_NONE,
						      [TOOLS_REQUIRED] = CHAT_TOOLS_REQUIRED,
						      [TOOLS_FUNCTION] = CHAT_TOOLS_FUNCTION};
	return choice->said ? modes[choice->mode] : CHAT_TOOLS_UNSAID;
}

static void set_tools(struct chat_request *chat, const struct request_settings *settings) {
	if (chat->tool_count) {
		chat->tool_choice = choice_of(&settings->tool_choice);
		chat->tool_function = settings->tool_choice.function;
		chat->parallel_tool_calls =
			settings->has_parallel_tool_calls ? truth(settings->parallel_tool_calls) : NULL;
	}
}

/* --- the other settings --------------------------------------------------------------------------------------------- */

static void set_format(struct chat_request *chat, const struct text_settings *text) {
	bool any = text->format == TEXT_JSON_OBJECT || (text->format == TEXT_JSON_SCHEMA && !text->schema);
	chat->format = any                                ? CHAT_FORMAT_JSON_OBJECT
		       : text->format == TEXT_JSON_SCHEMA ? CHAT_FORMAT_JSON_SCHEMA
							  : CHAT_FORMAT_TEXT;
	chat->schema_name = text->name;
	chat->schema_description = text->description;
	chat->schema = text->schema;
	chat->schema_strict = text->strict;
	chat->verbosity = said(text->verbosity);
}

/* What is the default everywhere need not be said to those that do not know the field. */
static const char *tier_of(const struct request_settings *settings) {
	bool plain =
		str_is(str_of(settings->service_tier), "auto") || str_is(str_of(settings->service_tier), "default");
	return plain ? NULL : said(settings->service_tier);
}

static void set_settings(struct chat_request *chat, const struct request_settings *settings) {
	chat->has_temperature = settings->has_temperature;
	chat->temperature = settings->temperature;
	chat->has_top_p = settings->has_top_p;
	chat->top_p = settings->top_p;
	chat->has_max_tokens = settings->has_max_output_tokens;
	chat->max_tokens = settings->max_output_tokens;
	chat->has_presence_penalty = settings->has_presence_penalty;
	chat->presence_penalty = settings->presence_penalty;
	chat->has_frequency_penalty = settings->has_frequency_penalty;
	chat->frequency_penalty = settings->frequency_penalty;
	chat->logprobs = settings->includes_logprobs || settings->top_logprobs > 0;
	chat->top_logprobs = settings->top_logprobs;
	chat->reasoning_effort = said(settings->effort);
	chat->service_tier = tier_of(settings);
	chat->safety_identifier = said(settings->safety_identifier);
	chat->prompt_cache_key = said(settings->prompt_cache_key);
	chat->members = settings->chat_members;
	set_format(chat, &settings->text);
}

/* --- whether it can be asked ---------------------------------------------------------------------------------------- */

static int require(const struct response *r, uint32_t ability, const char *param, struct api_error *error) {
	if (r->can & ability) {
		return 0;
	}
	return api_error_set(error, API_UNSUPPORTED, param,
			     "The model '%s' does not take %s. Leave it out, or ask another model.", r->model, param);
}

static int check_abilities(const struct response *r, uint32_t *needs, struct api_error *error) {
	const struct request_settings *settings = &r->settings;
	bool thinks = settings->effort[0] && !str_is(str_of(settings->effort), "none");
	*needs |= settings->tools.count ? UPSTREAM_CAN_TOOLS : 0;
	*needs |= thinks ? UPSTREAM_CAN_REASONING : 0;
	if (settings->tools.count && require(r, UPSTREAM_CAN_TOOLS, "tools", error)) {
		return -1;
	}
	return thinks ? require(r, UPSTREAM_CAN_REASONING, "reasoning.effort", error) : 0;
}

/* Items of a vendor, thoughts and calls that were cut off are not shown; there must be something beside them. */
static int check_shown(const struct context *context, struct api_error *error) {
	return context->count ? 0
			      : api_error_set(error, API_INVALID_VALUE, "input",
					      "input has nothing that the model can be shown; send a message too");
}

static struct context_source source_of(const struct response *r) {
	return (struct context_source){
		.conversations = r->deps->conversations,
		.owner = r->owner,
		.settings = &r->settings,
		.parent = r->parent,
		.parent_param = r->continues[0] ? "conversation" : "previous_response_id",
		.input = &r->input,
		.can = r->can,
		.tokens = r->context_tokens,
		.max_size = r->registry->max_context,
	};
}

static int show(const struct response *r, const struct context_source *source, struct context *context,
		struct api_error *error) {
	if (context_build(context, source, error)) {
		return -1;
	}
	if (check_abilities(r, &context->needs, error) || (!r->counts && check_shown(context, error))) {
		context_free(context);
		return -1;
	}
	return 0;
}

int ask_check(const struct response *response, struct api_error *error) {
	const struct context_source source = source_of(response);
	struct context context;
	if (show(response, &source, &context, error)) {
		return -1;
	}
	context_free(&context);
	return 0;
}

int ask_count(const struct response *response, int64_t *tokens, struct api_error *error) {
	struct context_source source = source_of(response);
	struct context context;
	if (!response->settings.truncates) {
		/* By how much it is too large is what is asked. */
		source.tokens = 0;
		source.max_size = 0;
	}
	if (show(response, &source, &context, error)) {
		return -1;
	}
	*tokens = context_tokens(&context, &response->settings);
	context_free(&context);
	return 0;
}

int ask_start(struct response *r, const struct upstream_sink *sink, struct api_error *error) {
	const struct context_source source = source_of(r);
	struct context context;
	if (show(r, &source, &context, error)) {
		return -1;
	}
	struct chat_request chat = {.model = r->model,
				    .messages = context.messages,
				    .message_count = context.count,
				    .needs = context.needs};
	struct chat_tool *tools = list_tools(&r->settings, &chat.tool_count);
	chat.tools = tools;
	set_settings(&chat, &r->settings);
	set_tools(&chat, &r->settings);
	r->shown_tokens = context_tokens(&context, &r->settings);
	struct err err = {0};
	r->call = tools ? upstream_start(r->deps->upstream, &chat, &r->log, sink, r, &err) : NULL;
	mem_free(tools);
	context_free(&context);
	return r->call ? 0 : api_error_set(error, API_OVERLOADED, NULL, NULL);
}
