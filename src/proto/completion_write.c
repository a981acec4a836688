/* A response as a chat.completion, and its events as the chunks of one. */
#include "proto/completion.h"
#include "settings_parts.h"

static struct str text_of(const struct part *part) {
	return (struct str){part->text, part->length};
}

/* --- how it ended --------------------------------------------------------------------------------------------------- */

static bool is_cut(const struct response_view *view, const char *reason) {
	return view->status == RESPONSE_INCOMPLETE && view->incomplete_reason &&
	       str_is(str_of(view->incomplete_reason), reason);
}

static bool has_calls(const struct response_view *view) {
	for (size_t i = 0; i < view->output_count; i++) {
		if (view->output[i].kind == ITEM_FUNCTION_CALL) {
			return true;
		}
	}
	return false;
}

/* NULL when there is none for it: see completion_failure. */
static const char *finish_reason(const struct response_view *view) {
	if (is_cut(view, "max_output_tokens")) {
		return "length";
	}
	if (is_cut(view, "content_filter")) {
		return "content_filter";
	}
	if (view->status != RESPONSE_COMPLETED) {
		return NULL;
	}
	return has_calls(view) ? "tool_calls" : "stop";
}

/* What other reasons there are are the doing of this user. */
static enum api_error_code code_of_reason(struct str reason) {
	static const struct {
		const char *reason;
		enum api_error_code code;
	} codes[] = {
		{"upstream_cut", API_UPSTREAM_FAILED},
		{"upstream_stalled", API_UPSTREAM_TIMEOUT},
		{"server_restart", API_DRAINING},
	};
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		if (str_is(reason, codes[i].reason)) {
			return codes[i].code;
		}
	}
	return API_RESPONSE_NOT_ACTIVE;
}

int completion_failure(const struct response_view *view, struct api_error *error) {
	if (finish_reason(view)) {
		return -1;
	}
	if (view->status == RESPONSE_FAILED) {
		enum api_error_code code = api_error_named(str_of(view->error_code));
		api_error_set(error, code ? code : API_INTERNAL, NULL, "%s",
			      view->error_message ? view->error_message : "");
		return 0;
	}
	const char *reason =
		view->status == RESPONSE_INCOMPLETE ? view->incomplete_reason : response_status_name(view->status);
	api_error_set(error, code_of_reason(str_of(reason)), NULL, "The answer was cut short (%s).",
		      reason ? reason : "no reason is known");
	return 0;
}

/* --- what both forms have ------------------------------------------------------------------------------------------- */

/* The random part of the response's id, so that one can be told from the other. */
static void write_head(struct json_writer *w, const struct response_view *view, const char *object) {
	struct str id = str_of(view->id);
	str_cut(&id, '_');
	jw_object(w);
	jw_key(w, "id");
	jw_raw(w, STR("\"chatcmpl-"));
	json_escape(w->out, id);
	buf_append_char(w->out, '"');
	jw_key(w, "object");
	jw_text(w, object);
	jw_key(w, "created");
	jw_int(w, view->created_s);
	jw_key(w, "model");
	jw_text(w, view->model ? view->model : "");
	jw_key(w, "service_tier");
	jw_text(w, settings_shown_tier(view->settings));
	jw_key(w, "system_fingerprint");
	jw_null(w);
}

static void write_usage(struct json_writer *w, const struct response_usage *usage) {
	jw_key(w, "usage");
	if (!usage->known) {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_key(w, "prompt_tokens");
	jw_int(w, usage->input_tokens);
	jw_key(w, "completion_tokens");
	jw_int(w, usage->output_tokens);
	jw_key(w, "total_tokens");
	jw_int(w, usage->input_tokens + usage->output_tokens);
	jw_key(w, "prompt_tokens_details");
	jw_object(w);
	jw_key(w, "cached_tokens");
	jw_int(w, usage->cached_tokens);
	jw_object_end(w);
	jw_key(w, "completion_tokens_details");
	jw_object(w);
	jw_key(w, "reasoning_tokens");
	jw_int(w, usage->reasoning_tokens);
	jw_object_end(w);
	jw_object_end(w);
}

/* {"type":…,"url_citation":{…}}: Open Responses has the members beside the type. */
static void write_annotation(struct json_writer *w, const struct json *flat) {
	struct str type = json_str(json_get(flat, "type"));
	jw_object(w);
	jw_key(w, "type");
	jw_str(w, type);
	jw_key_str(w, type);
	jw_object(w);
	for (const struct json *member = json_first(flat); member; member = json_next(member)) {
		if (!str_is(json_key(member), "type")) {
			jw_key_str(w, json_key(member));
			/* An empty raw value sees to the comma behind it. */
			jw_raw(w, STR_NONE);
			json_print(member, w->out);
		}
	}
	jw_object_end(w);
	jw_object_end(w);
}

/* Of elements separated by commas, as parts keep them. */
static void write_annotations(struct json_writer *w, struct str elements) {
	struct buf array = BUF_INIT;
	buf_append_char(&array, '[');
	buf_append_str(&array, elements);
	buf_append_char(&array, ']');
	struct json *json = array.failed ? NULL : json_parse_stored(buf_str(&array), NULL);
	/* Only for want of memory: they were written by this server. */
	w->out->failed = w->out->failed || !json;
	for (const struct json *element = json_first(json); element; element = json_next(element)) {
		write_annotation(w, element);
	}
	json_free(&json);
	buf_free(&array);
}

static void write_logprobs(struct json_writer *w, struct str elements) {
	jw_key(w, "logprobs");
	if (elements.length == 0) {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_key(w, "content");
	jw_array(w);
	jw_raw(w, elements);
	jw_array_end(w);
	jw_key(w, "refusal");
	jw_null(w);
	jw_object_end(w);
}

/* --- the whole ------------------------------------------------------------------------------------------------------ */

static const struct part *next_part(const struct response_view *view, enum part_kind kind, size_t *item, size_t *part) {
	for (; *item < view->output_count; (*item)++, *part = 0) {
		const struct item *at = &view->output[*item];
		while (*part < at->part_count) {
			const struct part *found = &at->parts[(*part)++];
			if (found->kind == kind) {
				return found;
			}
		}
	}
	return NULL;
}

static bool has_part(const struct response_view *view, enum part_kind kind) {
	size_t item = 0, at = 0;
	return next_part(view, kind, &item, &at) != NULL;
}

/* The texts of all parts of this kind as one, or null. */
static void write_joined(struct json_writer *w, const char *key, const struct response_view *view,
			 enum part_kind kind) {
	size_t item = 0, at = 0;
	const struct part *part = next_part(view, kind, &item, &at);
	jw_key(w, key);
	if (!part) {
		jw_null(w);
		return;
	}
	jw_raw(w, STR("\""));
	for (; part; part = next_part(view, kind, &item, &at)) {
		json_escape(w->out, text_of(part));
	}
	buf_append_char(w->out, '"');
}

static void write_all_annotations(struct json_writer *w, const struct response_view *view) {
	size_t item = 0, at = 0;
	bool any = false;
	const struct part *part;
	while ((part = next_part(view, PART_OUTPUT_TEXT, &item, &at)) != NULL) {
		if (!part->annotations) {
			continue;
		}
		if (!any) {
			jw_key(w, "annotations");
			jw_array(w);
			any = true;
		}
		write_annotations(w, str_of(part->annotations));
	}
	if (any) {
		jw_array_end(w);
	}
}

static void write_all_logprobs(struct json_writer *w, const struct response_view *view) {
	size_t item = 0, at = 0;
	const struct part *part;
	struct buf elements = BUF_INIT;
	while ((part = next_part(view, PART_OUTPUT_TEXT, &item, &at)) != NULL) {
		if (part->logprobs) {
			buf_append_text(&elements, elements.length > 0 ? "," : "");
			buf_append_text(&elements, part->logprobs);
		}
	}
	w->out->failed = w->out->failed || elements.failed;
	write_logprobs(w, buf_str(&elements));
	buf_free(&elements);
}

static void write_call(struct json_writer *w, const struct item *item, struct str arguments) {
	jw_key(w, "id");
	jw_text(w, item->call_id);
	jw_key(w, "type");
	jw_text(w, "function");
	jw_key(w, "function");
	jw_object(w);
	jw_key(w, "name");
	jw_text(w, item->name);
	jw_key(w, "arguments");
	jw_str(w, arguments);
	jw_object_end(w);
}

static void write_calls(struct json_writer *w, const struct response_view *view) {
	if (!has_calls(view)) {
		return;
	}
	jw_key(w, "tool_calls");
	jw_array(w);
	for (size_t i = 0; i < view->output_count; i++) {
		const struct item *item = &view->output[i];
		if (item->kind == ITEM_FUNCTION_CALL) {
			const struct part *arguments = item_part(item, PART_ARGUMENTS);
			jw_object(w);
			write_call(w, item, arguments ? text_of(arguments) : STR(""));
			jw_object_end(w);
		}
	}
	jw_array_end(w);
}

void completion_write(struct buf *out, const struct response_view *view) {
	struct json_writer w = json_writer(out);
	write_head(&w, view, "chat.completion");
	jw_key(&w, "choices");
	jw_array(&w);
	jw_object(&w);
	jw_key(&w, "index");
	jw_int(&w, 0);
	jw_key(&w, "message");
	jw_object(&w);
	jw_key(&w, "role");
	jw_text(&w, "assistant");
	write_joined(&w, "content", view, PART_OUTPUT_TEXT);
	write_joined(&w, "refusal", view, PART_REFUSAL);
	if (has_part(view, PART_REASONING_TEXT)) {
		write_joined(&w, "reasoning_content", view, PART_REASONING_TEXT);
	}
	write_all_annotations(&w, view);
	write_calls(&w, view);
	jw_object_end(&w);
	write_all_logprobs(&w, view);
	jw_key(&w, "finish_reason");
	jw_text(&w, finish_reason(view));
	jw_object_end(&w);
	jw_array_end(&w);
	write_usage(&w, &view->usage);
	jw_object_end(&w);
}

/* --- chunks --------------------------------------------------------------------------------------------------------- */

/* Up to and with the opening of what the delta says. */
static struct json_writer open_chunk(struct buf *out, const struct completion_stream *stream) {
	struct json_writer w = json_writer(out);
	write_head(&w, stream->view, "chat.completion.chunk");
	jw_key(&w, "choices");
	jw_array(&w);
	jw_object(&w);
	jw_key(&w, "index");
	jw_int(&w, 0);
	jw_key(&w, "delta");
	jw_object(&w);
	return w;
}

static void close_chunk(struct json_writer *w, const struct completion_stream *stream, struct str logprobs,
			const char *finish) {
	jw_object_end(w);
	write_logprobs(w, logprobs);
	jw_key(w, "finish_reason");
	jw_text(w, finish);
	jw_object_end(w);
	jw_array_end(w);
	if (stream->includes_usage) {
		jw_key(w, "usage");
		jw_null(w);
	}
}

void completion_write_start(struct buf *out, const struct completion_stream *stream) {
	struct json_writer w = open_chunk(out, stream);
	jw_key(&w, "role");
	jw_text(&w, "assistant");
	jw_key(&w, "content");
	jw_text(&w, "");
	close_chunk(&w, stream, STR_NONE, NULL);
	jw_object_end(&w);
}

static void open_call(struct json_writer *w, uint32_t call) {
	jw_key(w, "tool_calls");
	jw_array(w);
	jw_object(w);
	jw_key(w, "index");
	jw_int(w, call);
}

static void close_call(struct json_writer *w) {
	jw_object_end(w);
	jw_array_end(w);
}

static void write_piece(struct json_writer *w, const struct event_delta *delta, uint32_t call) {
	switch (delta->part) {
	case PART_ARGUMENTS:
		open_call(w, call);
		jw_key(w, "function");
		jw_object(w);
		jw_key(w, "arguments");
		jw_str(w, delta->text);
		jw_object_end(w);
		close_call(w);
		return;
	case PART_REASONING_TEXT:
		jw_key(w, "reasoning_content");
		break;
	case PART_REFUSAL:
		jw_key(w, "refusal");
		break;
	default:
		jw_key(w, "content");
	}
	jw_str(w, delta->text);
}

void completion_write_delta(struct buf *out, const struct completion_stream *stream, const struct event_delta *delta,
			    uint32_t call) {
	struct json_writer w = open_chunk(out, stream);
	write_piece(&w, delta, call);
	close_chunk(&w, stream, delta->logprobs, NULL);
	if (delta->obfuscation.length > 0) {
		jw_key(&w, "obfuscation");
		jw_str(&w, delta->obfuscation);
	}
	jw_object_end(&w);
}

void completion_write_call(struct buf *out, const struct completion_stream *stream, const struct item *item,
			   uint32_t call) {
	struct json_writer w = open_chunk(out, stream);
	open_call(&w, call);
	write_call(&w, item, STR(""));
	close_call(&w);
	close_chunk(&w, stream, STR_NONE, NULL);
	jw_object_end(&w);
}

void completion_write_annotation(struct buf *out, const struct completion_stream *stream, struct str annotation) {
	struct json_writer w = open_chunk(out, stream);
	jw_key(&w, "annotations");
	jw_array(&w);
	write_annotations(&w, annotation);
	jw_array_end(&w);
	close_chunk(&w, stream, STR_NONE, NULL);
	jw_object_end(&w);
}

static void write_usage_chunk(struct buf *out, const struct response_view *view) {
	struct json_writer w = json_writer(out);
	write_head(&w, view, "chat.completion.chunk");
	jw_key(&w, "choices");
	jw_array(&w);
	jw_array_end(&w);
	write_usage(&w, &view->usage);
	jw_object_end(&w);
}

void completion_write_finish(struct buf *out, const struct completion_stream *stream) {
	struct json_writer w = open_chunk(out, stream);
	close_chunk(&w, stream, STR_NONE, finish_reason(stream->view));
	jw_object_end(&w);
	if (stream->includes_usage) {
		buf_append_char(out, '\n');
		write_usage_chunk(out, stream->view);
	}
}
