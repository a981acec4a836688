#include "api.h"
#include "api_common.h"
#include "event_stream.h"
#include "proto/completion.h"

static void reply_completion(struct exchange *exchange) {
	struct response *response = exchange->cursor.response;
	struct response_view view;
	struct api_error error;
	/* A completion has no place for an error beside what was said before it. */
	if (response_completion_failure(response, &error) == 0) {
		api_reply_failure(exchange, &error);
		return;
	}
	struct buf body = BUF_INIT;
	response_view(response, &view);
	completion_write(&body, &view);
	reply_json(exchange, 200, &body);
	buf_free(&body);
}

static void on_waiting_ready(struct cursor *cursor) {
	if (api_read_to_end(cursor)) {
		reply_completion(cursor->owner);
	}
}

static void refuse(struct exchange *exchange, const struct api_error *error) {
	struct api_error told = *error;
	completion_translate_error(&told);
	reply_error(exchange, &told);
}

static void on_waiting_refused(struct cursor *cursor, const struct api_error *error) {
	refuse(cursor->owner, error);
}

static const struct cursor_sink waiting_sink = {
	.form = CURSOR_CHUNKS, .ready = on_waiting_ready, .refused = on_waiting_refused};

static const struct cursor_sink *sink_for(const struct completion_request *completion) {
	if (!completion->request.stream) {
		return &waiting_sink;
	}
	return completion->includes_usage ? &chunk_stream_usage_sink : &chunk_stream_sink;
}

static void start(struct exchange *exchange, struct completion_request *completion) {
	const struct cursor_sink *sink = sink_for(completion);
	const bool pads = completion->request.obfuscates;
	const struct engine_start how = {
		.owner = exchange->who.user, .request = &completion->request, .log = &exchange->connection->log};
	struct api_error error;
	if (engine_create(exchange->edge->deps.engine, &how, &exchange->cursor, sink, exchange, &error)) {
		refuse(exchange, &error);
	} else if (sink != &waiting_sink) {
		exchange->cursor.pads = pads;
		event_stream_await(exchange);
	}
}

void api_chat_create(struct exchange *exchange) {
	struct json *json = api_body_json(exchange);
	struct completion_request completion;
	struct api_error error;
	if (!json) {
		return;
	}
	int bad = completion_request_read(json, edge_wall_ms(exchange->edge), &completion, &error);
	json_free(&json);
	if (bad) {
		reply_error(exchange, &error);
	} else if (api_read_key(exchange, &completion.request) == 0) {
		start(exchange, &completion);
	}
}
