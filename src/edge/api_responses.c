#include "api.h"
#include "api_common.h"
#include "base/json.h"
#include "event_stream.h"
#include "proto/event.h"

static void reply_view(struct exchange *exchange, const struct response_view *view) {
	struct buf body = BUF_INIT;
	response_write(&body, view);
	reply_json(exchange, 200, &body);
	buf_free(&body);
}

/* --- waiting for the whole response ------------------------------------------------------------------------------- */

static void reply_ended(struct exchange *exchange) {
	struct response *response = exchange->cursor.response;
	struct api_error error;
	struct response_view view;
	response_view(response, &view);
	/* What was said before the failure is worth an answer; SDKs find the error in it. */
	if (view.output_count == 0 && response_failure(response, &error) == 0) {
		api_reply_failure(exchange, &error);
		return;
	}
	reply_view(exchange, &view);
}

static void on_waiting_ready(struct cursor *cursor) {
	if (api_read_to_end(cursor)) {
		reply_ended(cursor->owner);
	}
}

static void on_waiting_refused(struct cursor *cursor, const struct api_error *error) {
	reply_error(cursor->owner, error);
}

static const struct cursor_sink waiting_sink = {.ready = on_waiting_ready, .refused = on_waiting_refused};

/* --- not waiting for it -------------------------------------------------------------------------------------------- */

/* As soon as it is durable that it began. */
static void on_background_ready(struct cursor *cursor) {
	struct response_view view;
	response_view(cursor->response, &view);
	reply_view(cursor->owner, &view);
}

static const struct cursor_sink background_sink = {.ready = on_background_ready, .refused = on_waiting_refused};

/* --- POST /v1/responses ------------------------------------------------------------------------------------------- */

static const struct cursor_sink *sink_for(const struct request *request) {
	if (request->stream) {
		return &event_stream_sink;
	}
	return request->settings.background ? &background_sink : &waiting_sink;
}

static void start(struct exchange *exchange, struct request *request) {
	const struct cursor_sink *sink = sink_for(request);
	const bool pads = request->obfuscates;
	struct engine_start how = {.owner = exchange->who.user, .request = request, .log = &exchange->connection->log};
	struct api_error error;
	if (engine_create(exchange->edge->deps.engine, &how, &exchange->cursor, sink, exchange, &error)) {
		reply_error(exchange, &error);
	} else if (sink == &event_stream_sink) {
		exchange->cursor.pads = pads;
		event_stream_await(exchange);
	}
}

void api_response_create(struct exchange *exchange) {
	struct request request;
	if (api_read_request(exchange, NULL, &request) == 0 && api_read_key(exchange, &request) == 0) {
		start(exchange, &request);
	}
}

/* --- /v1/responses/{id} ------------------------------------------------------------------------------------------- */

static void on_read(void *arg, struct stored_response *stored, const struct err *err) {
	struct exchange *exchange = arg;
	exchange->op = NULL;
	if (err) {
		api_reply_err(exchange, err, API_RESPONSE_NOT_FOUND);
		return;
	}
	struct response_view view;
	stored_response_view(stored, &view);
	reply_view(exchange, &view);
	stored_response_free(&stored);
}

/* How the events of a response are wanted. */
struct stream_query {
	bool streams;
	bool pads;
	uint32_t next;
};

/* Its events, from the one behind `starting_after` on: live, or replayed. */
static void stream(struct exchange *exchange, const char *id, const struct stream_query *query) {
	struct engine_watch watch = {.id = str_of(id), .next = query->next};
	if (api_watch(exchange, &watch, &event_stream_sink) == 0) {
		exchange->cursor.pads = query->pads;
		event_stream_await(exchange);
	}
}

/* A parameter that is true or false; false when it is not there. Answers with an error and gives -1. */
static int query_bool(struct exchange *exchange, const char *name, bool *value) {
	char text[8] = "";
	struct api_error error;
	int got = http_query_get(str_of(exchange->query), name, text, sizeof text);
	*value = got == 0 && str_is(str_of(text), "true");
	if (got < 0 || (got == 0 && !*value && !str_is(str_of(text), "false"))) {
		api_error_set(&error, API_INVALID_VALUE, name, "%s must be true or false.", name);
		reply_error(exchange, &error);
		return -1;
	}
	return 0;
}

/* Answers with an error and gives -1. */
static int read_stream_query(struct exchange *exchange, struct stream_query *query) {
	char value[ID_SIZE] = "";
	uint64_t number = 0;
	struct api_error error;
	if (query_bool(exchange, "stream", &query->streams) ||
	    query_bool(exchange, "include_obfuscation", &query->pads)) {
		return -1;
	}
	int got = http_query_get(str_of(exchange->query), "starting_after", value, sizeof value);
	if (got < 0 || (got == 0 && (!query->streams || str_to_u64(str_of(value), &number) || number >= UINT32_MAX))) {
		api_error_set(&error, API_INVALID_VALUE, "starting_after",
			      "starting_after must be the number of an event, and goes with stream=true.");
		reply_error(exchange, &error);
		return -1;
	}
	query->next = got == 0 ? (uint32_t)number + 1 : 0;
	return 0;
}

void api_response_get(struct exchange *exchange) {
	/* `include` is what SDKs ask for beside: whatever there is of it is there anyway. */
	static const char *const known[] = {"stream",    "starting_after",      "include",
					    "include[]", "include_obfuscation", NULL};
	char id[ID_SIZE];
	struct stream_query query = {0};
	if (api_path_id(exchange, id, API_RESPONSE_NOT_FOUND) || api_query_names(exchange, known) ||
	    read_stream_query(exchange, &query)) {
		return;
	}
	if (query.streams) {
		stream(exchange, id, &query);
		return;
	}
	struct response *live = engine_find(exchange->edge->deps.engine, exchange->who.user, str_of(id));
	if (live && response_is_stored(live)) {
		struct response_view view;
		response_view(live, &view);
		reply_view(exchange, &view);
		return;
	}
	if (engine_has(exchange->edge->deps.engine, exchange->who.user, str_of(id))) {
		struct engine_watch watch = {.id = str_of(id), .glances = true};
		api_watch(exchange, &watch, &background_sink);
		return;
	}
	api_started(exchange, conversation_read_response(exchange->edge->deps.conversations, exchange->who.user, id,
							 on_read, exchange));
}

static void reply_deleted(struct exchange *exchange) {
	char id[ID_SIZE] = "";
	id_copy(id, exchange->match.captures[0]);
	struct buf body = BUF_INIT;
	struct json_writer w = json_writer(&body);
	jw_object(&w);
	jw_key(&w, "id");
	jw_text(&w, id);
	jw_key(&w, "object");
	jw_text(&w, "response");
	jw_key(&w, "deleted");
	jw_bool(&w, true);
	jw_object_end(&w);
	reply_json(exchange, 200, &body);
	buf_free(&body);
}

static void on_deleted(void *arg, const struct err *err) {
	struct exchange *exchange = arg;
	exchange->op = NULL;
	if (err) {
		api_reply_err(exchange, err, API_RESPONSE_NOT_FOUND);
		return;
	}
	reply_deleted(exchange);
}

void api_response_delete(struct exchange *exchange) {
	char id[ID_SIZE];
	if (api_path_id(exchange, id, API_RESPONSE_NOT_FOUND)) {
		return;
	}
	if (engine_runs(exchange->edge->deps.engine, exchange->who.user, str_of(id))) {
		struct api_error error;
		api_error_set(&error, API_RESPONSE_NOT_ACTIVE, NULL, "The response is still running. Cancel it first.");
		reply_error(exchange, &error);
		return;
	}
	api_started(exchange, conversation_delete_response(exchange->edge->deps.conversations, exchange->who.user, id,
							   on_deleted, exchange));
}

/* --- POST /v1/responses/{id}/cancel ------------------------------------------------------------------------------- */

/* It never runs again, so SDKs, which repeat after a 409, are told not to. */
static void refuse_ended(struct exchange *exchange) {
	struct api_error error;
	api_error_set(&error, API_RESPONSE_NOT_ACTIVE, "response_id",
		      "The response has ended. GET /v1/responses/{id} has its state.");
	exchange->no_retry = true;
	reply_error(exchange, &error);
}

/* Not live: either it has ended, or there is none of this id. */
static void on_cancel_read(void *arg, struct stored_response *stored, const struct err *err) {
	struct exchange *exchange = arg;
	exchange->op = NULL;
	if (err) {
		api_reply_err(exchange, err, API_RESPONSE_NOT_FOUND);
		return;
	}
	stored_response_free(&stored);
	refuse_ended(exchange);
}

void api_response_cancel(struct exchange *exchange) {
	char id[ID_SIZE];
	if (api_path_id(exchange, id, API_RESPONSE_NOT_FOUND)) {
		return;
	}
	struct engine *engine = exchange->edge->deps.engine;
	if (engine_runs(engine, exchange->who.user, str_of(id))) {
		struct engine_watch watch = {.id = str_of(id), .own = true};
		if (api_watch(exchange, &watch, &waiting_sink) == 0) {
			engine_cancel(engine, exchange->who.user, str_of(id));
		}
		return;
	}
	if (!engine_find(engine, exchange->who.user, str_of(id))) {
		api_started(exchange, conversation_read_response(exchange->edge->deps.conversations, exchange->who.user,
								 id, on_cancel_read, exchange));
		return;
	}
	refuse_ended(exchange);
}
