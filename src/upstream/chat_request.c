#include <string.h>

#include "base/json.h"
#include "upstream/chat.h"

/* `developer` is the newer name of `system`; the templates of many local models know only the older. */
static const char *wire_role(const char *role) {
	return strcmp(role, "developer") == 0 ? "system" : role;
}

static bool is_given(const char *text) {
	return text && text[0] != '\0';
}

static void write_text(struct json_writer *w, const char *key, const char *text) {
	if (is_given(text)) {
		jw_key(w, key);
		jw_text(w, text);
	}
}

static void write_raw(struct json_writer *w, const char *key, const char *json) {
	if (is_given(json)) {
		jw_key(w, key);
		jw_raw(w, str_of(json));
	}
}

static void write_double(struct json_writer *w, const char *key, bool given, double value) {
	if (given) {
		jw_key(w, key);
		jw_double(w, value);
	}
}

/* --- messages --------------------------------------------------------------------------------------------------- */

/* How each kind of part is written: {"type": TYPE, KEY: TEXT}, or {"type": TYPE, TYPE: {KEY: TEXT, …}}. */
static const struct {
	const char *type;
	const char *key;
	bool nested;
} part_forms[] = {
	[CHAT_PART_TEXT] = {"text", "text", false},     [CHAT_PART_REFUSAL] = {"refusal", "refusal", false},
	[CHAT_PART_IMAGE] = {"image_url", "url", true}, [CHAT_PART_FILE] = {"file", "file_data", true},
	[CHAT_PART_VIDEO] = {"video_url", "url", true},
};

static void write_part(struct json_writer *w, const struct chat_part *part) {
	jw_object(w);
	jw_key(w, "type");
	jw_text(w, part_forms[part->kind].type);
	if (part_forms[part->kind].nested) {
		jw_key(w, part_forms[part->kind].type);
		jw_object(w);
	}
	write_text(w, "filename", part->kind == CHAT_PART_FILE ? part->filename : NULL);
	jw_key(w, part_forms[part->kind].key);
	jw_str(w, part->text);
	write_text(w, "detail", part->kind == CHAT_PART_IMAGE ? part->detail : NULL);
	if (part_forms[part->kind].nested) {
		jw_object_end(w);
	}
	jw_object_end(w);
}

static bool is_text_alone(const struct chat_message *message) {
	for (size_t i = 0; i < message->part_count; i++) {
		if (message->parts[i].kind != CHAT_PART_TEXT) {
			return false;
		}
	}
	return true;
}

/* As a string, which every server takes. */
static void write_joined(struct json_writer *w, const struct chat_message *message) {
	jw_raw(w, STR("\""));
	for (size_t i = 0; i < message->part_count; i++) {
		json_escape(w->out, message->parts[i].text);
	}
	buf_append_char(w->out, '"');
}

static void write_content(struct json_writer *w, const struct chat_message *message) {
	jw_key(w, "content");
	if (message->part_count == 0 && message->call_count > 0) {
		jw_null(w);
	} else if (is_text_alone(message)) {
		write_joined(w, message);
	} else {
		jw_array(w);
		for (size_t i = 0; i < message->part_count; i++) {
			write_part(w, &message->parts[i]);
		}
		jw_array_end(w);
	}
}

static void write_call(struct json_writer *w, const struct chat_call *call) {
	jw_object(w);
	jw_key(w, "id");
	jw_text(w, call->id);
	jw_key(w, "type");
	jw_text(w, "function");
	jw_key(w, "function");
	jw_object(w);
	jw_key(w, "name");
	jw_text(w, call->name);
	jw_key(w, "arguments");
	jw_str(w, call->arguments);
	jw_object_end(w);
	jw_object_end(w);
}

static void write_message(struct json_writer *w, const struct chat_message *message) {
	jw_object(w);
	jw_key(w, "role");
	jw_text(w, wire_role(message->role));
	write_text(w, "tool_call_id", message->call_id);
	write_content(w, message);
	if (message->reasoning.length > 0) {
		jw_key(w, "reasoning_content");
		jw_str(w, message->reasoning);
	}
	if (message->call_count > 0) {
		jw_key(w, "tool_calls");
		jw_array(w);
		for (size_t i = 0; i < message->call_count; i++) {
			write_call(w, &message->calls[i]);
		}
		jw_array_end(w);
	}
	jw_object_end(w);
}

/* --- controls --------------------------------------------------------------------------------------------------- */

static void write_tool(struct json_writer *w, const struct chat_tool *tool) {
	jw_object(w);
	jw_key(w, "type");
	jw_text(w, "function");
	jw_key(w, "function");
	jw_object(w);
	jw_key(w, "name");
	jw_text(w, tool->name);
	write_text(w, "description", tool->description);
	write_raw(w, "parameters", tool->parameters);
	write_raw(w, "strict", tool->strict);
	jw_object_end(w);
	jw_object_end(w);
}

static void write_tool_choice(struct json_writer *w, const struct chat_request *request) {
	static const char *const words[] = {
		[CHAT_TOOLS_AUTO] = "auto",
		[CHAT_TOOLS_NONE] = "none",
		[CHAT_TOOLS_REQUIRED] = "required",
	};
	if (request->tool_choice != CHAT_TOOLS_FUNCTION) {
		write_text(w, "tool_choice",
			   request->tool_choice == CHAT_TOOLS_UNSAID ? NULL : words[request->tool_choice]);
		return;
	}
	jw_key(w, "tool_choice");
	jw_object(w);
	jw_key(w, "type");
	jw_text(w, "function");
	jw_key(w, "function");
	jw_object(w);
	jw_key(w, "name");
	jw_text(w, request->tool_function);
	jw_object_end(w);
	jw_object_end(w);
}

static void write_tools(struct json_writer *w, const struct chat_request *request) {
	if (request->tool_count > 0) {
		jw_key(w, "tools");
		jw_array(w);
		for (size_t i = 0; i < request->tool_count; i++) {
			write_tool(w, &request->tools[i]);
		}
		jw_array_end(w);
	}
	write_tool_choice(w, request);
	write_raw(w, "parallel_tool_calls", request->parallel_tool_calls);
}

static void write_schema(struct json_writer *w, const struct chat_request *request) {
	jw_key(w, "json_schema");
	jw_object(w);
	jw_key(w, "name");
	jw_text(w, is_given(request->schema_name) ? request->schema_name : "response");
	write_text(w, "description", request->schema_description);
	write_raw(w, "schema", request->schema);
	jw_key(w, "strict");
	jw_bool(w, request->schema_strict);
	jw_object_end(w);
}

static void write_format(struct json_writer *w, const struct chat_request *request) {
	if (request->format == CHAT_FORMAT_TEXT) {
		return;
	}
	bool schema = request->format == CHAT_FORMAT_JSON_SCHEMA;
	jw_key(w, "response_format");
	jw_object(w);
	jw_key(w, "type");
	jw_text(w, schema ? "json_schema" : "json_object");
	if (schema) {
		write_schema(w, request);
	}
	jw_object_end(w);
}

static void write_sampling(struct json_writer *w, const struct chat_request *request) {
	write_double(w, "temperature", request->has_temperature, request->temperature);
	write_double(w, "top_p", request->has_top_p, request->top_p);
	write_double(w, "presence_penalty", request->has_presence_penalty, request->presence_penalty);
	write_double(w, "frequency_penalty", request->has_frequency_penalty, request->frequency_penalty);
	if (request->has_max_tokens) {
		jw_key(w, "max_tokens");
		jw_int(w, request->max_tokens);
	}
	if (request->logprobs) {
		jw_key(w, "logprobs");
		jw_bool(w, true);
	}
	if (request->logprobs && request->top_logprobs > 0) {
		jw_key(w, "top_logprobs");
		jw_int(w, request->top_logprobs);
	}
}

void chat_request_write(struct buf *out, const struct chat_request *request) {
	struct json_writer w = json_writer(out);
	jw_object(&w);
	jw_key(&w, "model");
	jw_text(&w, request->model);
	jw_key(&w, "messages");
	jw_array(&w);
	for (size_t i = 0; i < request->message_count; i++) {
		write_message(&w, &request->messages[i]);
	}
	jw_array_end(&w);
	jw_key(&w, "stream");
	jw_bool(&w, true);
	jw_key(&w, "stream_options");
	jw_object(&w);
	jw_key(&w, "include_usage");
	jw_bool(&w, true);
	jw_object_end(&w);
	write_sampling(&w, request);
	write_tools(&w, request);
	write_format(&w, request);
	write_text(&w, "reasoning_effort", request->reasoning_effort);
	write_text(&w, "verbosity", request->verbosity);
	write_text(&w, "service_tier", request->service_tier);
	write_text(&w, "safety_identifier", request->safety_identifier);
	write_text(&w, "prompt_cache_key", request->prompt_cache_key);
	if (request->members) {
		buf_append_text(out, request->members);
	}
	jw_object_end(&w);
}
