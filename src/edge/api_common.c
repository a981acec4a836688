#include "api_common.h"

static int path_id(struct exchange *exchange, size_t capture, char id[static ID_SIZE], enum api_error_code missing) {
	if (id_copy(id, exchange->match.captures[capture])) {
		reply_code(exchange, missing);
		return -1;
	}
	return 0;
}

int api_path_id(struct exchange *exchange, char id[static ID_SIZE], enum api_error_code missing) {
	return path_id(exchange, 0, id, missing);
}

int api_path_second_id(struct exchange *exchange, char id[static ID_SIZE], enum api_error_code missing) {
	return path_id(exchange, 1, id, missing);
}

int api_query_names(struct exchange *exchange, const char *const *known) {
	char name[64] = "";
	struct api_error error;
	if (http_query_unknown(str_of(exchange->query), known, name, sizeof name)) {
		return 0;
	}
	api_error_set(&error, API_UNKNOWN_FIELD, name, "'%s' is not a query parameter of this path.", name);
	reply_error(exchange, &error);
	return -1;
}

int api_no_query(struct exchange *exchange) {
	static const char *const none[] = {NULL};
	return api_query_names(exchange, none);
}

static int bad_query(struct exchange *exchange, const char *param, const char *cure) {
	struct api_error error;
	api_error_set(&error, API_INVALID_VALUE, param, "%s", cure);
	reply_error(exchange, &error);
	return -1;
}

int api_list_query(struct exchange *exchange, struct list_query *query, uint32_t limit, uint32_t most, bool ascending) {
	struct str text = str_of(exchange->query);
	char value[ID_SIZE];
	*query = (struct list_query){.limit = limit, .ascending = ascending};
	int got = http_query_get(text, "limit", value, sizeof value);
	uint64_t number = 0;
	if (got < 0 || (got == 0 && (str_to_u64(str_of(value), &number) || number < 1 || number > most))) {
		return bad_query(exchange, "limit", "limit must be a number within the bounds of this list.");
	}
	query->limit = got == 0 ? (uint32_t)number : limit;
	got = http_query_get(text, "order", value, sizeof value);
	if (got < 0 || (got == 0 && !str_is(str_of(value), "asc") && !str_is(str_of(value), "desc"))) {
		return bad_query(exchange, "order", "order must be asc or desc.");
	}
	query->ascending = got == 0 ? str_is(str_of(value), "asc") : ascending;
	got = http_query_get(text, "after", value, sizeof value);
	if (got < 0 || (got == 0 && id_copy(query->after, str_of(value)))) {
		return bad_query(exchange, "after", "after must be the id of an element of the list.");
	}
	return 0;
}

static enum api_error_code code_of(enum err_code code, enum api_error_code missing) {
	switch (code) {
	case ERR_NOT_FOUND:
		return missing;
	case ERR_CONFLICT:
		return API_RESPONSE_NOT_ACTIVE;
	case ERR_FULL:
		return API_STORAGE_FULL;
	case ERR_OUTCOME_UNKNOWN:
		return API_STORAGE_UNKNOWN;
	case ERR_MEMORY:
	case ERR_LIMIT:
		return API_OVERLOADED;
	default:
		return API_STORAGE_FAILED;
	}
}

void api_reply_err(struct exchange *exchange, const struct err *err, enum api_error_code missing) {
	enum api_error_code code = code_of(err->code, missing);
	if (code != missing) {
		log_warn(&exchange->connection->log, "request failed", LOG_S("request", exchange->request_id),
			 LOG_ERR(err));
	}
	reply_code(exchange, code);
}

static void note_deprecated(struct exchange *exchange, const struct json *body) {
	for (const struct json *member = json_first(body); http_deprecated.count && member;
	     member = json_next(member)) {
		const struct http_deprecation *row =
			http_deprecation_find(&http_deprecated, exchange->match.route, json_key(member));
		exchange->deprecation = http_deprecation_sooner(exchange->deprecation, row);
	}
}

void api_reply_edit_err(struct exchange *exchange, const struct err *err, enum api_error_code missing) {
	if (err->code == ERR_CONFLICT) {
		reply_code(exchange, API_CONVERSATION_LOCKED);
	} else {
		api_reply_err(exchange, err, missing);
	}
}

struct json_writer api_list_begin(struct buf *body) {
	struct json_writer w = json_writer(body);
	jw_object(&w);
	jw_key(&w, "object");
	jw_text(&w, "list");
	jw_key(&w, "data");
	jw_array(&w);
	return w;
}

void api_list_end(struct json_writer *w, const char *first, const char *last, bool more) {
	jw_array_end(w);
	jw_key(w, "first_id");
	jw_text(w, first);
	jw_key(w, "last_id");
	jw_text(w, last);
	jw_key(w, "has_more");
	jw_bool(w, more);
	jw_object_end(w);
}

struct json *api_body_json(struct exchange *exchange) {
	struct err err;
	struct json *json = json_parse(buf_str(&exchange->body), &err);
	if (json && json_type(json) == JSON_OBJECT) {
		note_deprecated(exchange, json);
		return json;
	}
	struct api_error error;
	api_error_set(&error, API_INVALID_JSON, NULL, "%s", json ? "The body must be a JSON object." : err.text);
	json_free(&json);
	reply_error(exchange, &error);
	return NULL;
}

int api_conversation_body(struct exchange *exchange, enum conversation_body_kind kind, struct conversation_body *body) {
	struct json *json = api_body_json(exchange);
	struct api_error error;
	if (!json) {
		return -1;
	}
	int bad = conversation_body_read(json, kind, edge_wall_ms(exchange->edge), body, &error);
	json_free(&json);
	if (bad) {
		reply_error(exchange, &error);
	}
	return bad;
}

static int check_fields(const struct json *body, const char *const *fields, struct api_error *error) {
	for (const struct json *member = json_first(body); fields && member; member = json_next(member)) {
		size_t i = 0;
		while (fields[i] && !str_is(json_key(member), fields[i])) {
			i++;
		}
		if (!fields[i]) {
			return request_unknown_field(error, json_key(member));
		}
	}
	return 0;
}

int api_read_request(struct exchange *exchange, const char *const *fields, struct request *request) {
	struct json *json = api_body_json(exchange);
	struct api_error error;
	if (!json) {
		return -1;
	}
	*request = (struct request){0};
	int bad = check_fields(json, fields, &error) ||
		  request_read(json, REQUEST_HTTP, edge_wall_ms(exchange->edge), request, &error);
	json_free(&json);
	if (bad) {
		reply_error(exchange, &error);
	}
	return bad ? -1 : 0;
}

int api_read_key(struct exchange *exchange, struct request *request) {
	struct api_error error;
	if (!exchange->idempotency_key || request_read_key(str_of(exchange->idempotency_key), "Idempotency-Key",
							   request->idempotency_key, &error) == 0) {
		return 0;
	}
	request_free(request);
	reply_error(exchange, &error);
	return -1;
}

void api_reply_failure(struct exchange *exchange, const struct api_error *error) {
	exchange->no_retry = error->code != API_UPSTREAM_RATE_LIMITED;
	reply_error(exchange, error);
}

bool api_read_to_end(struct cursor *cursor) {
	const struct exchange *exchange = cursor->owner;
	struct buf *scratch = &exchange->edge->event;
	do {
		buf_clear(scratch);
	} while (cursor_next(cursor, scratch, NULL));
	return cursor_finished(cursor);
}

int api_watch(struct exchange *exchange, struct engine_watch *watch, const struct cursor_sink *sink) {
	struct api_error error;
	watch->owner = exchange->who.user;
	watch->log = &exchange->connection->log;
	if (engine_watch(exchange->edge->deps.engine, watch, &exchange->cursor, sink, exchange, &error)) {
		reply_error(exchange, &error);
		return -1;
	}
	exchange_wait(exchange);
	return 0;
}

bool api_started(struct exchange *exchange, struct conversation_op *op) {
	if (!op) {
		reply_code(exchange, API_OVERLOADED);
		return false;
	}
	exchange->op = op;
	exchange_wait(exchange);
	return true;
}
