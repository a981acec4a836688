#include "api.h"
#include "api_common.h"
#include "base/json.h"

#define LIST_LIMIT 20
#define LIST_MOST 100
#define ITEMS_LIMIT 100
#define ITEMS_MOST 1000
/* An answer is built whole: items of a megabyte each must not add up. */
#define ITEMS_BYTES (1024 * 1024)

/* {"object":"list","data":[ … the caller writes the elements. */
static struct json_writer list_begin(struct buf *body) {
	struct json_writer w = json_writer(body);
	jw_object(&w);
	jw_key(&w, "object");
	jw_text(&w, "list");
	jw_key(&w, "data");
	jw_array(&w);
	return w;
}

static void list_end(struct json_writer *w, const char *first, const char *last, bool more) {
	jw_array_end(w);
	jw_key(w, "first_id");
	jw_text(w, first);
	jw_key(w, "last_id");
	jw_text(w, last);
	jw_key(w, "has_more");
	jw_bool(w, more);
	jw_object_end(w);
}

static void write_live(void *writer, struct response *response) {
	if (!response_ended(response)) {
		jw_text(writer, response_id(response));
	}
}

static void write_summary(struct json_writer *w, struct engine *engine, const struct conversation_summary *row) {
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
	engine_each_live(engine, row->id, write_live, w);
	jw_array_end(w);
	jw_key(w, "metadata");
	jw_object(w);
	jw_object_end(w);
	jw_object_end(w);
}

static void on_list(void *arg, const struct conversation_summary *rows, size_t count, bool more,
		    const struct err *err) {
	struct exchange *exchange = arg;
	exchange->op = NULL;
	if (err) {
		api_reply_err(exchange, err, API_CONVERSATION_NOT_FOUND);
		return;
	}
	struct buf body = BUF_INIT;
	struct json_writer w = list_begin(&body);
	for (size_t i = 0; i < count; i++) {
		write_summary(&w, exchange->edge->deps.engine, &rows[i]);
	}
	list_end(&w, count ? rows[0].id : NULL, count ? rows[count - 1].id : NULL, more);
	reply_json(exchange, 200, &body);
	buf_free(&body);
}

void api_conversation_list(struct exchange *exchange) {
	struct list_query query;
	if (api_list_query(exchange, &query, LIST_LIMIT, LIST_MOST, false)) {
		return;
	}
	api_started(exchange, conversation_list(exchange->edge->deps.conversations, exchange->who.user, query.after,
						query.limit, query.ascending, on_list, exchange));
}

/* The elements that a list query selects of `count` in order: their indexes, stepping by `step` from `first`. */
struct selection {
	size_t first, count;
	bool ascending, more;
};

static int find_item(const struct conversation_item *items, size_t count, const char *id, size_t *at) {
	for (size_t i = 0; i < count; i++) {
		if (str_is(str_of(items[i].item->id), id)) {
			*at = i;
			return 0;
		}
	}
	return -1;
}

static int select_items(const struct conversation_item *items, size_t count, const struct list_query *query,
			struct selection *selected) {
	size_t skip = 0;
	if (query->after[0]) {
		size_t at;
		if (find_item(items, count, query->after, &at)) {
			return -1;
		}
		skip = query->ascending ? at + 1 : count - at;
	}
	size_t left = count - skip;
	selected->count = left < query->limit ? left : query->limit;
	selected->first = query->ascending ? skip : count - 1 - skip;
	selected->ascending = query->ascending;
	selected->more = left > selected->count;
	return 0;
}

static const struct conversation_item *selected_item(const struct conversation_item *items,
						     const struct selection *selected, size_t i) {
	return &items[selected->ascending ? selected->first + i : selected->first - i];
}

/* With the response's id beside what the item itself has. */
static void write_listed(struct buf *out, const struct conversation_item *listed) {
	item_write(out, listed->item);
	if (!out->failed) {
		out->length--;
		buf_append_text(out, ",\"" ITEM_RESPONSE_ID "\":\"");
		buf_append_text(out, listed->response_id);
		buf_append_text(out, "\"}");
	}
}

static void reply_items(struct exchange *exchange, const struct conversation_item *items,
			const struct selection *selected) {
	struct buf body = BUF_INIT, item = BUF_INIT;
	struct json_writer w = list_begin(&body);
	size_t count = 0;
	while (count < selected->count && (count == 0 || body.length < ITEMS_BYTES)) {
		buf_clear(&item);
		write_listed(&item, selected_item(items, selected, count++));
		jw_raw(&w, buf_str(&item));
		body.failed = body.failed || item.failed;
	}
	list_end(&w, count ? selected_item(items, selected, 0)->item->id : NULL,
		 count ? selected_item(items, selected, count - 1)->item->id : NULL,
		 selected->more || count < selected->count);
	reply_json(exchange, 200, &body);
	buf_free(&item);
	buf_free(&body);
}

static void on_items(void *arg, const struct conversation_item *items, size_t count, const struct err *err) {
	struct exchange *exchange = arg;
	exchange->op = NULL;
	if (err) {
		api_reply_err(exchange, err, API_CONVERSATION_NOT_FOUND);
		return;
	}
	struct list_query query;
	struct selection selected;
	if (api_list_query(exchange, &query, ITEMS_LIMIT, ITEMS_MOST, true)) {
		return;
	}
	if (select_items(items, count, &query, &selected)) {
		struct api_error error;
		api_error_set(&error, API_INVALID_VALUE, "after", "No item of this conversation has this id.");
		reply_error(exchange, &error);
		return;
	}
	reply_items(exchange, items, &selected);
}

void api_conversation_items(struct exchange *exchange) {
	char id[ID_SIZE];
	if (api_path_id(exchange, id, API_CONVERSATION_NOT_FOUND)) {
		return;
	}
	api_started(exchange,
		    conversation_items(exchange->edge->deps.conversations, exchange->who.user, id, on_items, exchange));
}

static void on_deleted(void *arg, const struct err *err) {
	struct exchange *exchange = arg;
	exchange->op = NULL;
	if (err) {
		api_reply_err(exchange, err, API_CONVERSATION_NOT_FOUND);
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
	if (api_path_id(exchange, id, API_CONVERSATION_NOT_FOUND)) {
		return;
	}
	api_started(exchange, conversation_delete(exchange->edge->deps.conversations, exchange->who.user, id,
						  on_deleted, exchange));
}
