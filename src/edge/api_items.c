/* Items: /v1/conversations/{id}/items, and those that a response was asked. */
#include "api.h"
#include "api_common.h"
#include "base/mem.h"
#include "item_page.h"

static const struct item_page_bounds CONVERSATION_PAGE = {.limit = 100, .most = 1000, .ascending = true};
static const struct item_page_bounds INPUT_PAGE = {.limit = 20, .most = 100, .ascending = false};

static const char *const include_only[] = {"include", "include[]", NULL};

/* --- a conversation's list -------------------------------------------------------------------------------------------- */

static void on_list(void *arg, const struct conversation_item *items, size_t count, const struct err *err) {
	struct exchange *exchange = arg;
	exchange->op = NULL;
	if (err) {
		api_reply_err(exchange, err, API_CONVERSATION_NOT_FOUND);
		return;
	}
	item_page_reply(exchange, items, count, &CONVERSATION_PAGE);
}

void api_item_list(struct exchange *exchange) {
	char id[ID_SIZE];
	struct list_query query;
	if (api_path_id(exchange, id, API_CONVERSATION_NOT_FOUND) ||
	    item_page_query(exchange, &CONVERSATION_PAGE, &query)) {
		return;
	}
	const struct conversation_page page = {
		.owner = exchange->who.user,
		.id = id,
		.item = query.after[0] ? query.after : NULL,
		.ascending = query.ascending,
		.most = query.limit + 1, /* one that tells whether there are more */
	};
	api_started(exchange, conversation_items(exchange->edge->deps.conversations, &page, on_list, exchange));
}

/* --- adding --------------------------------------------------------------------------------------------------------- */

static void write_created(struct buf *out, const struct item_list *items) {
	struct buf item = BUF_INIT;
	struct json_writer w = api_list_begin(out);
	for (size_t i = 0; i < items->count; i++) {
		buf_clear(&item);
		item_write(&item, &items->items[i]);
		jw_raw(&w, buf_str(&item));
		out->failed = out->failed || item.failed;
	}
	api_list_end(&w, items->items[0].id, items->items[items->count - 1].id, false);
	buf_free(&item);
}

static void on_created(void *arg, const struct err *err) {
	struct exchange *exchange = arg;
	exchange->op = NULL;
	if (err) {
		api_reply_edit_err(exchange, err, API_CONVERSATION_NOT_FOUND);
		return;
	}
	reply_json(exchange, 200, &exchange->answer);
}

void api_item_create(struct exchange *exchange) {
	char id[ID_SIZE];
	struct conversation_body body;
	if (api_path_id(exchange, id, API_CONVERSATION_NOT_FOUND) || api_query_names(exchange, include_only) ||
	    api_conversation_body(exchange, CONVERSATION_BODY_ITEMS, &body)) {
		return;
	}
	const struct conversation_edit edit = {.owner = exchange->who.user, .id = id, .items = &body.items};
	write_created(&exchange->answer, &body.items);
	api_started(exchange, conversation_edit(exchange->edge->deps.conversations, &edit, on_created, exchange));
	conversation_body_free(&body);
}

/* --- one ------------------------------------------------------------------------------------------------------------ */

/* The newest, should several bear this id. */
static const struct conversation_item *find_newest(const struct conversation_item *items, size_t count,
						   const char *id) {
	for (size_t i = count; i-- > 0;) {
		if (str_is(str_of(items[i].item->id), id)) {
			return &items[i];
		}
	}
	return NULL;
}

static void on_get(void *arg, const struct conversation_item *items, size_t count, const struct err *err) {
	struct exchange *exchange = arg;
	char id[ID_SIZE];
	exchange->op = NULL;
	if (err) {
		api_reply_err(exchange, err, API_CONVERSATION_NOT_FOUND);
		return;
	}
	if (api_path_second_id(exchange, id, API_ITEM_NOT_FOUND)) {
		return;
	}
	const struct conversation_item *found = find_newest(items, count, id);
	if (!found) {
		reply_code(exchange, API_ITEM_NOT_FOUND);
		return;
	}
	struct buf body = BUF_INIT;
	item_page_write(&body, found);
	reply_json(exchange, 200, &body);
	buf_free(&body);
}

void api_item_get(struct exchange *exchange) {
	char id[ID_SIZE], item[ID_SIZE];
	if (api_path_id(exchange, id, API_CONVERSATION_NOT_FOUND) ||
	    api_path_second_id(exchange, item, API_ITEM_NOT_FOUND) || api_query_names(exchange, include_only)) {
		return;
	}
	const struct conversation_page page = {.owner = exchange->who.user, .id = id, .item = item, .most = 1};
	api_started(exchange, conversation_items(exchange->edge->deps.conversations, &page, on_get, exchange));
}

/* What was not found: the item, if there is such a conversation. */
static void on_looked(void *arg, const struct err *err) {
	struct exchange *exchange = arg;
	exchange->op = NULL;
	if (err) {
		api_reply_err(exchange, err, API_CONVERSATION_NOT_FOUND);
	} else {
		reply_code(exchange, API_ITEM_NOT_FOUND);
	}
}

static void on_deleted(void *arg, const struct err *err) {
	struct exchange *exchange = arg;
	char id[ID_SIZE];
	exchange->op = NULL;
	if (api_path_id(exchange, id, API_CONVERSATION_NOT_FOUND)) {
		return;
	}
	if (!err) {
		api_conversation_reply(exchange, id);
	} else if (err->code == ERR_NOT_FOUND) {
		api_started(exchange, conversation_find(exchange->edge->deps.conversations, exchange->who.user, id,
							on_looked, exchange));
	} else {
		api_reply_edit_err(exchange, err, API_ITEM_NOT_FOUND);
	}
}

void api_item_delete(struct exchange *exchange) {
	char id[ID_SIZE], item[ID_SIZE];
	if (api_path_id(exchange, id, API_CONVERSATION_NOT_FOUND) ||
	    api_path_second_id(exchange, item, API_ITEM_NOT_FOUND) || api_no_query(exchange)) {
		return;
	}
	const struct conversation_place place = {exchange->who.user, id, item};
	api_started(exchange,
		    conversation_delete_item(exchange->edge->deps.conversations, &place, on_deleted, exchange));
}

/* --- GET /v1/responses/{id}/input_items ------------------------------------------------------------------------------- */

static void reply_input(struct exchange *exchange, const struct item_list *input) {
	struct conversation_item *items = mem_zarray(input->count + 1, sizeof *items);
	if (!items) {
		reply_code(exchange, API_OVERLOADED);
		return;
	}
	for (size_t i = 0; i < input->count; i++) {
		items[i].item = &input->items[i];
	}
	item_page_reply(exchange, items, input->count, &INPUT_PAGE);
	mem_free(items);
}

static void on_response(void *arg, struct stored_response *stored, const struct err *err) {
	struct exchange *exchange = arg;
	exchange->op = NULL;
	if (err) {
		api_reply_err(exchange, err, API_RESPONSE_NOT_FOUND);
		return;
	}
	reply_input(exchange, &stored->input);
	stored_response_free(&stored);
}

static void on_ready(struct cursor *cursor) {
	reply_input(cursor->owner, response_input(cursor->response));
}

static void on_refused(struct cursor *cursor, const struct api_error *error) {
	reply_error(cursor->owner, error);
}

void api_response_input_items(struct exchange *exchange) {
	char id[ID_SIZE];
	struct list_query query;
	if (api_path_id(exchange, id, API_RESPONSE_NOT_FOUND) || item_page_query(exchange, &INPUT_PAGE, &query)) {
		return;
	}
	const struct response *live = engine_find(exchange->edge->deps.engine, exchange->who.user, str_of(id));
	if (live && response_is_stored(live)) {
		reply_input(exchange, response_input(live));
		return;
	}
	if (engine_has(exchange->edge->deps.engine, exchange->who.user, str_of(id))) {
		static const struct cursor_sink sink = {.ready = on_ready, .refused = on_refused};
		struct engine_watch watch = {.id = str_of(id), .glances = true};
		api_watch(exchange, &watch, &sink);
		return;
	}
	api_started(exchange, conversation_read_response(exchange->edge->deps.conversations, exchange->who.user, id,
							 on_response, exchange));
}
