#include "message.h"

#include "base/json.h"
#include "cancel.h"
#include "lanes.h"
#include "outlet.h"
#include "subscription.h"

/* One that was parsed, and the lane that it is about. */
struct message {
	const struct json *json;
	char tag[LANE_TAG_SIZE];
};

void message_refuse(struct session *session, const char *tag, const struct api_error *error) {
	struct edge *edge = session->edge;
	outlet_refuse(session, tag, error);
	/* Mistakes cost requests; only who goes on after the requests are used up is a nuisance. */
	if (error->code != API_RATE_LIMITED) {
		return;
	}
	counter_add(edge->metrics.limit_refusals, 1);
	if (limiter_is_abuse(&session->connection->limiter, edge->options.abuse_refusals, edge_now_us(edge))) {
		counter_add(edge->metrics.abuse_closes, 1);
		outlet_close(session, CLOSE_POLICY, "too many requests over the limit");
	}
}

/* -1: over the limit, and told so. */
static int charge(struct session *session, const char *tag) {
	struct edge *edge = session->edge;
	struct api_error error;
	if (limiter_take_request(&session->connection->limiter.requests, &edge->options.requests, edge_now_us(edge),
				 NULL, &error)) {
		message_refuse(session, tag, &error);
		return -1;
	}
	return 0;
}

void message_refuse_garbage(struct session *session, const char *tag, const struct api_error *error) {
	if (charge(session, tag) == 0) {
		message_refuse(session, tag, error);
	}
}

static void on_create(struct session *session, const struct message *message) {
	struct turn_wish wish = {0};
	struct api_error error;
	if (charge(session, message->tag)) {
		return;
	}
	if (request_read(message->json, REQUEST_WEBSOCKET, edge_wall_ms(session->edge), &wish.request, &error)) {
		message_refuse(session, message->tag, &error);
		return;
	}
	lanes_add(session, message->tag, &wish);
}

/* A field that must be a string; `what` it is for. */
static int read_name(const struct json *message, const char *field, const char *what, struct str *name,
		     struct api_error *error) {
	const struct json *value = json_get(message, field);
	*name = json_str(value);
	if (json_type(value) == JSON_NULL) {
		return api_error_set(error, API_MISSING_FIELD, field, "%s is missing: %s.", field, what);
	}
	if (json_type(value) != JSON_STRING) {
		return api_error_set(error, API_INVALID_TYPE, field, "%s must be a string, not %s.", field,
				     json_type_name(json_type(value)));
	}
	return 0;
}

static int read_resume(const struct json *message, struct turn_wish *wish, struct api_error *error) {
	const struct json *after = json_get(message, "starting_after");
	int64_t number = -1;
	struct str id;
	if (read_name(message, "response_id", "the response to resume", &id, error)) {
		return -1;
	}
	if (id_copy(wish->resume_id, id) || !wish->resume_id[0]) {
		return api_error_set(error, API_RESPONSE_NOT_FOUND, "response_id", NULL);
	}
	if (after && json_type(after) != JSON_NULL &&
	    (json_integer(after, &number) || number < 0 || number >= UINT32_MAX)) {
		return api_error_set(error, json_type(after) == JSON_NUMBER ? API_INVALID_VALUE : API_INVALID_TYPE,
				     "starting_after", "starting_after must be the number of an event, 0 or more.");
	}
	wish->resume_next = (uint32_t)(number + 1);
	return 0;
}

/* A turn like any other: it waits until the one before it in its lane has ended. */
static void on_resume(struct session *session, const struct message *message) {
	struct turn_wish wish = {0};
	struct api_error error;
	if (charge(session, message->tag)) {
		return;
	}
	if (read_resume(message->json, &wish, &error)) {
		message_refuse(session, message->tag, &error);
		return;
	}
	lanes_add(session, message->tag, &wish);
}

/* Costs nothing when it stops something: whoever is over the limit may still do that. */
static void on_cancel(struct session *session, const struct message *message) {
	struct response *running = lanes_running(session, message->tag);
	struct api_error error;
	if (json_type(json_get(message->json, "response_id")) == JSON_NULL && running) {
		response_cancel(running);
		return;
	}
	struct str id;
	if (read_name(message->json, "response_id", "no response runs in this lane", &id, &error)) {
		message_refuse_garbage(session, message->tag, &error);
	} else if (cancel_response(session, id) && charge(session, message->tag) == 0) {
		cancel_explain(session, message->tag, id);
	}
}

static void on_steer(struct session *session, const struct message *message) {
	struct api_error error;
	struct str id;
	if (charge(session, message->tag)) {
		return;
	}
	if (read_name(message->json, "previous_response_id", "the response to steer", &id, &error)) {
		message_refuse(session, message->tag, &error);
		return;
	}
	lanes_steer(session, id, json_get(message->json, "input"));
}

static void on_subscribe(struct session *session, const struct message *message) {
	struct api_error error;
	if (charge(session, message->tag)) {
		return;
	}
	struct str id;
	if (read_name(message->json, "conversation", "the conversation to watch", &id, &error) ||
	    subscription_add(session, id, &error)) {
		message_refuse(session, message->tag, &error);
	}
}

static void on_unsubscribe(struct session *session, const struct message *message) {
	struct api_error error;
	struct str id;
	if (charge(session, message->tag)) {
		return;
	}
	if (read_name(message->json, "conversation", "the conversation that is watched", &id, &error) ||
	    subscription_remove(session, id, &error)) {
		message_refuse(session, message->tag, &error);
	}
}

/* A browser can't send WebSocket pings of its own: this one is answered where it can hear it. */
static void on_ping(struct session *session, const struct message *message) {
	struct buf *event = &session->edge->event;
	if (charge(session, message->tag)) {
		return;
	}
	buf_clear(event);
	buf_append_text(event, "{\"type\":\"sluice:pong\"}");
	outlet_tag(event, message->tag);
	if (!event->failed) {
		outlet_send(session, buf_str(event));
	}
}

/* Codex tells what it has processed; nobody asked. */
static void on_processed(struct session *session, const struct message *message) {
	(void)session;
	(void)message;
}

/* `fields`: what a message may have beside type and stream_id. */
struct message_type {
	const char *name;
	void (*handle)(struct session *session, const struct message *message);
	bool any_field; /* its handler looks at the fields, or nobody does */
	const char *fields[2];
};

static const struct message_type types[] = {
	{"response.create", on_create, true, {NULL}},
	{"response.cancel", on_cancel, false, {"response_id"}},
	{"response.steer", on_steer, false, {"previous_response_id", "input"}},
	{"response.processed", on_processed, true, {NULL}},
	{"sluice:response.cancel", on_cancel, false, {"response_id"}},
	{"sluice:response.resume", on_resume, false, {"response_id", "starting_after"}},
	{"sluice:conversation.subscribe", on_subscribe, false, {"conversation"}},
	{"sluice:conversation.unsubscribe", on_unsubscribe, false, {"conversation"}},
	{"sluice:ping", on_ping, false, {NULL}},
};

static bool has_field(const struct message_type *type, struct str name) {
	if (type->any_field || str_is(name, "type") || str_is(name, "stream_id")) {
		return true;
	}
	for (size_t i = 0; i < sizeof type->fields / sizeof type->fields[0]; i++) {
		if (type->fields[i] && str_is(name, type->fields[i])) {
			return true;
		}
	}
	return false;
}

/* A misspelt starting_after, ignored, would send text a second time. */
static int check_fields(const struct message_type *type, const struct json *message, struct api_error *error) {
	for (const struct json *member = json_first(message); member; member = json_next(member)) {
		if (!has_field(type, json_key(member))) {
			return request_unknown_field(error, json_key(member));
		}
	}
	return 0;
}

static int read_tag(struct message *message, struct api_error *error) {
	char stream_id[STREAM_ID_SIZE];
	message->tag[0] = '\0';
	if (request_stream_id(message->json, stream_id, error)) {
		return -1;
	}
	lane_tag(message->tag, stream_id);
	return 0;
}

static void handle(struct session *session, const struct message_type *type, const struct message *message) {
	struct api_error error;
	if (check_fields(type, message->json, &error)) {
		message_refuse_garbage(session, message->tag, &error);
		return;
	}
	type->handle(session, message);
}

static void dispatch(struct session *session, struct message *message) {
	const struct json *type = json_get(message->json, "type");
	struct api_error error;
	if (json_type(message->json) != JSON_OBJECT) {
		api_error_set(&error, API_INVALID_JSON, NULL, "The message must be a JSON object, not %s.",
			      json_type_name(json_type(message->json)));
	} else if (!type) {
		api_error_set(&error, API_MISSING_FIELD, "type", "The field type is missing.");
	} else if (json_type(type) != JSON_STRING) {
		api_error_set(&error, API_INVALID_TYPE, "type", "type must be a string, not %s.",
			      json_type_name(json_type(type)));
	} else if (read_tag(message, &error) == 0) {
		for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
			if (str_is(json_str(type), types[i].name)) {
				handle(session, &types[i], message);
				return;
			}
		}
		api_error_set(&error, API_UNKNOWN_EVENT, "type", NULL);
	}
	message_refuse_garbage(session, message->tag, &error);
}

void message_handle(struct session *session, struct str text) {
	struct err err;
	struct json *json = json_parse(text, &err);
	if (!json) {
		struct api_error error;
		api_error_set(&error, err.code == ERR_MEMORY ? API_OVERLOADED : API_INVALID_JSON, NULL, "%s", err.text);
		message_refuse_garbage(session, "", &error);
		return;
	}
	struct message message = {.json = json};
	dispatch(session, &message);
	json_free(&json);
}
