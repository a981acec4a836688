#include "item_page.h"

/* An answer is built whole: items of a megabyte each must not add up. */
#define PAGE_BYTES (1024 * 1024)

/* What a query selects of items in order: `count` of them, stepping from `first`. */
struct selection {
	size_t first, count;
	bool ascending, more;
};

/* The first of this id in the direction of the page. */
static int find_item(const struct conversation_item *items, size_t count, const struct list_query *query, size_t *at) {
	for (size_t i = 0; i < count; i++) {
		*at = query->ascending ? i : count - 1 - i;
		if (str_is(str_of(items[*at].item->id), query->after)) {
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
		if (find_item(items, count, query, &at)) {
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

void item_page_write(struct buf *out, const struct conversation_item *listed) {
	item_write(out, listed->item);
	if (!out->failed && listed->response_id) {
		out->length--;
		buf_append_text(out, ",\"" ITEM_RESPONSE_ID "\":\"");
		buf_append_text(out, listed->response_id);
		buf_append_text(out, "\"}");
	}
}

static void reply_selected(struct exchange *exchange, const struct conversation_item *items,
			   const struct selection *selected) {
	struct buf body = BUF_INIT, item = BUF_INIT;
	struct json_writer w = api_list_begin(&body);
	size_t count = 0;
	while (count < selected->count && (count == 0 || body.length < PAGE_BYTES)) {
		buf_clear(&item);
		item_page_write(&item, selected_item(items, selected, count++));
		jw_raw(&w, buf_str(&item));
		body.failed = body.failed || item.failed;
	}
	api_list_end(&w, count ? selected_item(items, selected, 0)->item->id : NULL,
		     count ? selected_item(items, selected, count - 1)->item->id : NULL,
		     selected->more || count < selected->count);
	reply_json(exchange, 200, &body);
	buf_free(&item);
	buf_free(&body);
}

int item_page_query(struct exchange *exchange, const struct item_page_bounds *bounds, struct list_query *query) {
	static const char *const known[] = {"limit", "order", "after", "include", "include[]", NULL};
	return api_query_names(exchange, known) ||
			       api_list_query(exchange, query, bounds->limit, bounds->most, bounds->ascending)
		       ? -1
		       : 0;
}

void item_page_reply(struct exchange *exchange, const struct conversation_item *items, size_t count,
		     const struct item_page_bounds *bounds) {
	struct list_query query;
	struct selection selected;
	if (api_list_query(exchange, &query, bounds->limit, bounds->most, bounds->ascending)) {
		return;
	}
	if (select_items(items, count, &query, &selected)) {
		struct api_error error;
		api_error_set(&error, API_INVALID_VALUE, "after", "No item of this list has this id.");
		reply_error(exchange, &error);
		return;
	}
	reply_selected(exchange, items, &selected);
}
