/* POST /v1/responses/input_tokens: about how many tokens a request would show the model. */
#include "api.h"
#include "api_common.h"
#include "base/json.h"

static void reply_count(struct exchange *exchange, int64_t tokens) {
	struct buf body = BUF_INIT;
	struct json_writer w = json_writer(&body);
	jw_object(&w);
	jw_key(&w, "object");
	jw_text(&w, "response.input_tokens");
	jw_key(&w, "input_tokens");
	jw_int(&w, tokens);
	/* Chat Completions has no way to ask the model's server. */
	jw_key(&w, "sluice:estimated");
	jw_bool(&w, true);
	jw_object_end(&w);
	reply_json(exchange, 200, &body);
	buf_free(&body);
}

static void on_ready(struct cursor *cursor) {
	if (api_read_to_end(cursor)) {
		struct response_view view;
		response_view(cursor->response, &view);
		reply_count(cursor->owner, view.usage.input_tokens);
	}
}

static void on_refused(struct cursor *cursor, const struct api_error *error) {
	reply_error(cursor->owner, error);
}

static const struct cursor_sink sink = {.ready = on_ready, .refused = on_refused};

void api_response_tokens(struct exchange *exchange) {
	static const char *const fields[] = {"model",        "input",     "previous_response_id", "conversation",
					     "instructions", "tools",     "tool_choice",          "parallel_tool_calls",
					     "text",         "reasoning", "truncation",           NULL};
	struct request request;
	struct api_error error;
	if (api_read_request(exchange, fields, &request)) {
		return;
	}
	request.settings.store = false;
	request.prepare_only = true;
	request.counts = true;
	const struct engine_start how = {
		.owner = exchange->who.user, .request = &request, .log = &exchange->connection->log};
	if (engine_create(exchange->edge->deps.engine, &how, &exchange->cursor, &sink, exchange, &error)) {
		reply_error(exchange, &error);
	}
}
