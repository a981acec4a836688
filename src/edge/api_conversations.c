/* Conversations: what they are called, made of and told as. */
#include "api.h"
#include "api_common.h"

#define LIST_LIMIT 20
#define LIST_MOST 100

/* --- the object ------------------------------------------------------------------------------------------------------- */

static void write_live(void *writer, const char *id) {
	jw_text(writer, id);
}

static void write_conversation(struct json_writer *w, struct engine *engine, const struct conversation_summary *row) {
	jw_object(w);
	jw_key(w, "id");
	jw_text(w, row->id);
	jw_key(w, "object");
	jw_text(w, "conversation");
	jw_key(w, "created_at");
	jw_int(w, row->created_ms / 1000);
	jw_key(w, "updated_at");
	jw_int(w, row->updated_ms / 1000);
	jw_key(w, "title");
	jw_text(w, row->title);
	jw_key(w, "last_response_id");
	jw_text(w, row->last_response[0] ? row->last_response : NULL);
	jw_key(w, "live_responses");
	jw_array(w);
	engine_each_live_id(engine, row->id, write_live, w);
	jw_array_end(w);
	jw_key(w, "metadata");
	jw_raw(w, str_of(row->metadata));
	jw_object_end(w);
}

static void on_read(void *arg, const struct conversation_summary *summary, const struct err *err) {
	struct exchange *exchange = arg;
	exchange->op = NULL;
	if (err) {
		api_reply_err(exchange, err, API_CONVERSATION_NOT_FOUND);
		return;
	}
	struct buf body = BUF_INIT;
	struct json_writer w = json_writer(&body);
	write_conversation(&w, exchange->edge->deps.engine, summary);
	reply_json(exchange, 200, &body);
	buf_free(&body);
}

void api_conversation_reply(struct exchange *exchange, const char *id) {
	api_started(exchange,
		    conversation_read(exchange->edge->deps.conversations, exchange->who.user, id, on_read, exchange));
}

void api_conversation_get(struct exchange *exchange) {
	char id[ID_SIZE];
	if (api_path_id(exchange, id, API_CONVERSATION_NOT_FOUND) || api_no_query(exchange)) {
		return;
	}
	api_conversation_reply(exchange, id);
}

/* --- the list --------------------------------------------------------------------------------------------------------- */

static void on_list(void *arg, const struct conversation_summary *rows, size_t count, bool more,
		    const struct err *err) {
	struct exchange *exchange = arg;
	exchange->op = NULL;
	if (err) {
		api_reply_err(exchange, err, API_CONVERSATION_NOT_FOUND);
		return;
	}
	struct buf body = BUF_INIT;
	struct json_writer w = api_list_begin(&body);
	for (size_t i = 0; i < count; i++) {
		write_conversation(&w, exchange->edge->deps.engine, &rows[i]);
	}
	api_list_end(&w, count ? rows[0].id : NULL, count ? rows[count - 1].id : NULL, more);
	reply_json(exchange, 200, &body);
	buf_free(&body);
}

void api_conversation_list(struct exchange *exchange) {
	static const char *const known[] = {"limit", "order", "after", NULL};
	struct list_query query;
	if (api_query_names(exchange, known) || api_list_query(exchange, &query, LIST_LIMIT, LIST_MOST, false)) {
		return;
	}
	api_started(exchange, conversation_list(exchange->edge->deps.conversations, exchange->who.user, query.after,
						query.limit, query.ascending, on_list, exchange));
}

/* --- making and changing ---------------------------------------------------------------------------------------------- */

/* exchange->answer has the id. */
static void on_created(void *arg, const struct err *err) {
	struct exchange *exchange = arg;
	const char *id = buf_text(&exchange->answer);
	exchange->op = NULL;
	if (err) {
		api_reply_err(exchange, err, API_CONVERSATION_NOT_FOUND);
	} else if (!id) {
		reply_code(exchange, API_OVERLOADED);
	} else {
		api_conversation_reply(exchange, id);
	}
}

static void create(struct exchange *exchange, const struct conversation_body *body) {
	struct conversation_edit edit = {
		.owner = exchange->who.user, .items = &body->items, .metadata = body->metadata};
	struct err err;
	struct conversation *fresh = conversation_start(exchange->edge->deps.conversations, exchange->who.user, &err);
	if (!fresh) {
		api_reply_err(exchange, &err, API_CONVERSATION_NOT_FOUND);
		return;
	}
	buf_append_text(&exchange->answer, conversation_id(fresh));
	api_started(exchange, conversation_create(fresh, &edit, on_created, exchange));
	conversation_release(&fresh);
}

void api_conversation_create(struct exchange *exchange) {
	struct conversation_body body;
	if (api_no_query(exchange) || api_conversation_body(exchange, CONVERSATION_BODY_CREATE, &body)) {
		return;
	}
	create(exchange, &body);
	conversation_body_free(&body);
}

static void on_updated(void *arg, const struct err *err) {
	struct exchange *exchange = arg;
	char id[ID_SIZE];
	exchange->op = NULL;
	if (err) {
		api_reply_edit_err(exchange, err, API_CONVERSATION_NOT_FOUND);
	} else if (api_path_id(exchange, id, API_CONVERSATION_NOT_FOUND) == 0) {
		api_conversation_reply(exchange, id);
	}
}

void api_conversation_update(struct exchange *exchange) {
	char id[ID_SIZE];
	struct conversation_body body;
	if (api_path_id(exchange, id, API_CONVERSATION_NOT_FOUND) || api_no_query(exchange) ||
	    api_conversation_body(exchange, CONVERSATION_BODY_UPDATE, &body)) {
		return;
	}
	const struct conversation_edit edit = {.owner = exchange->who.user, .id = id, .metadata = body.metadata};
	api_started(exchange, conversation_edit(exchange->edge->deps.conversations, &edit, on_updated, exchange));
	conversation_body_free(&body);
}

/* --- deleting --------------------------------------------------------------------------------------------------------- */

static void on_deleted(void *arg, const struct err *err) {
	struct exchange *exchange = arg;
	exchange->op = NULL;
	if (err) {
		api_reply_edit_err(exchange, err, API_CONVERSATION_NOT_FOUND);
		return;
	}
	char id[ID_SIZE] = "";
	id_copy(id, exchange->match.captures[0]);
	struct buf body = BUF_INIT;
	struct json_writer w = json_writer(&body);
	jw_object(&w);
	jw_key(&w, "id");
	jw_text(&w, id);
	jw_key(&w, "object");
	jw_text(&w, "conversation.deleted");
	jw_key(&w, "deleted");
	jw_bool(&w, true);
	jw_object_end(&w);
	reply_json(exchange, 200, &body);
	buf_free(&body);
}

void api_conversation_delete(struct exchange *exchange) {
	char id[ID_SIZE];
	if (api_path_id(exchange, id, API_CONVERSATION_NOT_FOUND) || api_no_query(exchange)) {
		return;
	}
	api_started(exchange, conversation_delete(exchange->edge->deps.conversations, exchange->who.user, id,
						  on_deleted, exchange));
}
