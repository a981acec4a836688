#include "message.h"

#include "base/json.h"
#include "outlet.h"
#include "turns.h"

void message_refuse(struct session *session, const struct api_error *error) {
	struct edge *edge = session->edge;
	outlet_error(session, error);
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
static int charge(struct session *session) {
	struct edge *edge = session->edge;
	struct api_error error;
	if (limiter_take_request(&session->connection->limiter.requests, &edge->options.requests, edge_now_us(edge),
				 NULL, &error)) {
		message_refuse(session, &error);
		return -1;
	}
	return 0;
}

/* Refuses what is no message at all; it costs as much as one that is. */
static void refuse_garbage(struct session *session, const struct api_error *error) {
	if (charge(session) == 0) {
		message_refuse(session, error);
	}
}

static void on_create(struct session *session, const struct json *message) {
	struct turn_wish wish = {0};
	struct api_error error;
	if (charge(session)) {
		return;
	}
	if (request_read(message, REQUEST_WEBSOCKET, edge_wall_ms(session->edge), &wish.request, &error)) {
		message_refuse(session, &error);
		return;
	}
	turns_add(session, &wish);
}

static int read_resume(const struct json *message, struct turn_wish *wish, struct api_error *error) {
	const struct json *id = json_get(message, "response_id");
	const struct json *after = json_get(message, "starting_after");
	int64_t number = -1;
	if (!id) {
		return api_error_set(error, API_MISSING_FIELD, "response_id",
				     "response_id is missing: the response to resume.");
	}
	if (json_type(id) != JSON_STRING) {
		return api_error_set(error, API_INVALID_TYPE, "response_id", "response_id must be a string, not %s.",
				     json_type_name(json_type(id)));
	}
	if (id_copy(wish->resume_id, json_str(id)) || !wish->resume_id[0]) {
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

/* A turn like any other: it waits until the one before it has ended. */
static void on_resume(struct session *session, const struct json *message) {
	struct turn_wish wish = {0};
	struct api_error error;
	if (charge(session)) {
		return;
	}
	if (read_resume(message, &wish, &error)) {
		message_refuse(session, &error);
		return;
	}
	turns_add(session, &wish);
}

/* Costs nothing when it stops something: whoever is over the limit may still do that. */
static void on_cancel(struct session *session, const struct json *message) {
	const struct json *id = json_get(message, "response_id");
	struct api_error error;
	if (json_type(id) == JSON_STRING) {
		if (turns_cancel(session, json_str(id)) && charge(session) == 0) {
			turns_explain_cancel(session, json_str(id));
		}
		return;
	}
	if (json_type(id) == JSON_NULL) {
		api_error_set(&error, API_MISSING_FIELD, "response_id", "The field response_id is missing.");
	} else {
		api_error_set(&error, API_INVALID_TYPE, "response_id", "response_id must be a string, not %s.",
			      json_type_name(json_type(id)));
	}
	refuse_garbage(session, &error);
}

/* Codex tells what it has processed; nobody asked. */
static void on_processed(struct session *session, const struct json *message) {
	(void)session;
	(void)message;
}

static const struct {
	const char *type;
	void (*handle)(struct session *session, const struct json *message);
} types[] = {
	{"response.create", on_create},        {"response.cancel", on_cancel},
	{"sluice:response.cancel", on_cancel}, {"sluice:response.resume", on_resume},
	{"response.processed", on_processed},
};

static void dispatch(struct session *session, const struct json *message) {
	const struct json *type = json_get(message, "type");
	struct api_error error;
	if (json_type(message) != JSON_OBJECT) {
		api_error_set(&error, API_INVALID_JSON, NULL, "The message must be a JSON object, not %s.",
			      json_type_name(json_type(message)));
	} else if (!type) {
		api_error_set(&error, API_MISSING_FIELD, "type", "The field type is missing.");
	} else if (json_type(type) != JSON_STRING) {
		api_error_set(&error, API_INVALID_TYPE, "type", "type must be a string, not %s.",
			      json_type_name(json_type(type)));
	} else {
		for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
			if (str_is(json_str(type), types[i].type)) {
				types[i].handle(session, message);
				return;
			}
		}
		api_error_set(&error, API_UNKNOWN_EVENT, "type", NULL);
	}
	refuse_garbage(session, &error);
}

void message_handle(struct session *session, struct str text) {
	struct err err;
	struct json *message = json_parse(text, &err);
	if (!message) {
		struct api_error error;
		api_error_set(&error, err.code == ERR_MEMORY ? API_OVERLOADED : API_INVALID_JSON, NULL, "%s", err.text);
		refuse_garbage(session, &error);
		return;
	}
	dispatch(session, message);
	json_free(&message);
}
