/* Segments: what checkpoints keep of a response that runs, and how it is put together again when it never finished. Their
 * text is NUL, how many bytes of JSON follow (decimal), NUL, the pieces, the events; each piece is {"index","item"}, or {"index","more"} with the new text of each part. Before
 * there were items of several kinds it was the item's id, NUL, how many bytes of text follow, NUL, the text, the events. */
#include <string.h>

#include "base/str.h"
#include "codec.h"

/* --- writing -------------------------------------------------------------------------------------------------------- */

static void write_more(struct json_writer *w, const struct item *item) {
	jw_key(w, "more");
	jw_array(w);
	for (size_t i = 0; i < item->part_count; i++) {
		jw_str(w, (struct str){item->parts[i].text, item->parts[i].length});
	}
	jw_array_end(w);
}

static void write_pieces(struct buf *out, const struct conversation_segment *segment) {
	struct json_writer w = json_writer(out);
	jw_array(&w);
	for (size_t i = 0; i < segment->piece_count; i++) {
		jw_object(&w);
		jw_key(&w, "index");
		jw_int(&w, segment->pieces[i].index);
		if (segment->pieces[i].goes_on) {
			write_more(&w, &segment->pieces[i].item);
		} else {
			jw_key(&w, "item");
			jw_raw(&w, STR_NONE);
			item_write(out, &segment->pieces[i].item);
		}
		jw_object_end(&w);
	}
	jw_array_end(&w);
}

int codec_write_segment(const struct vault *vault, const struct conversation_segment *segment, int64_t now_ms,
			struct store_write *write, struct err *err) {
	struct store_record record = {.sealed = BUF_INIT};
	struct buf pieces = BUF_INIT;
	struct buf text = BUF_INIT;
	write_pieces(&pieces, segment);
	buf_printf(&text, "%c%zu%c", 0, pieces.length, 0);
	buf_append_str(&text, buf_str(&pieces));
	buf_append_str(&text, segment->events);
	int result = text.failed || pieces.failed ? err_set(err, ERR_MEMORY, "no memory for a checkpoint")
						  : vault_seal(vault, segment->response_id, RECORD_SEGMENT,
							       segment->number, now_ms, buf_str(&text), &record, err);
	if (result == 0 && store_put_segment(write, &record)) {
		result = err_set(err, ERR_MEMORY, "no memory for a checkpoint");
	}
	buf_free(&record.sealed);
	buf_free(&pieces);
	buf_free(&text);
	return result;
}

/* --- reading -------------------------------------------------------------------------------------------------------- */

struct remains {
	struct item_list items;
	struct buf events;
	uint32_t next; /* segment expected */
};

static int no_memory(struct err *err) {
	return err_set(err, ERR_MEMORY, "no memory for a segment");
}

/* Puts the parts of `more` behind those of `item`. */
static int join(struct item *item, const struct item *more) {
	item->status = more->status;
	for (size_t i = 0; i < more->part_count; i++) {
		const struct part *part = &more->parts[i];
		struct str text = {part->text, part->length};
		if (i < item->part_count ? part_append(&item->parts[i], text)
					 : !item_add_part(item, part->kind, text)) {
			return -1;
		}
		if (part_append_json(&item->parts[i].annotations, str_of(part->annotations)) ||
		    part_append_json(&item->parts[i].logprobs, str_of(part->logprobs))) {
			return -1;
		}
	}
	return 0;
}

/* Takes the item over. */
static int add_piece(struct remains *remains, uint64_t index, struct item *item, struct err *err) {
	struct item_list *items = &remains->items;
	int failed = index < items->count    ? join(&items->items[index], item)
		     : index == items->count ? item_list_add(items, item)
					     : 1;
	item_free(item);
	return failed > 0 ? err_set(err, ERR_CORRUPT, "segment %u skips an item", remains->next)
	       : failed   ? no_memory(err)
			  : 0;
}

/* Text of parts that an earlier segment has brought. */
static int read_more(struct remains *remains, const struct json *piece, struct err *err) {
	const struct item_list *items = &remains->items;
	int64_t index = 0;
	size_t part = 0;
	if (json_integer(json_get(piece, "index"), &index) || index < 0 || (uint64_t)index >= items->count) {
		return err_set(err, ERR_CORRUPT, "segment %u goes on with an item that is not there", remains->next);
	}
	struct item *item = &items->items[index];
	for (const struct json *text = json_first(json_get(piece, "more")); text; text = json_next(text), part++) {
		if (!json_str(text).data || part >= item->part_count) {
			return err_set(err, ERR_CORRUPT, "segment %u goes on with a part that is not there",
				       remains->next);
		}
		if (part_append(&item->parts[part], json_str(text))) {
			return no_memory(err);
		}
	}
	return 0;
}

static int read_piece(struct remains *remains, const struct json *piece, struct err *err) {
	int64_t index = 0;
	if (json_get(piece, "more")) {
		return read_more(remains, piece, err);
	}
	struct buf text = BUF_INIT;
	struct item item = {0};
	json_print(json_get(piece, "item"), &text);
	int result = text.failed ? no_memory(err) : item_read_stored(buf_str(&text), &item, err);
	buf_free(&text);
	if (result == 0 && (json_integer(json_get(piece, "index"), &index) || index < 0)) {
		item_free(&item);
		return err_set(err, ERR_CORRUPT, "segment %u has no index", remains->next);
	}
	return result ? -1 : add_piece(remains, (uint64_t)index, &item, err);
}

static int read_pieces(struct remains *remains, struct str text, struct err *err) {
	struct json *pieces = json_parse_stored(text, err);
	int result = pieces ? 0 : -1;
	for (const struct json *piece = json_first(pieces); piece && result == 0; piece = json_next(piece)) {
		result = read_piece(remains, piece, err);
	}
	json_free(&pieces);
	return result;
}

/* One text of one message, as earlier versions kept it. */
static int read_text(struct remains *remains, struct str id, struct str text, struct err *err) {
	struct item item;
	char item_id[ID_SIZE];
	if (str_copy(item_id, sizeof item_id, id)) {
		return err_set(err, ERR_CORRUPT, "segment %u has no head", remains->next);
	}
	return item_message(&item, ROLE_ASSISTANT, ITEM_INCOMPLETE, item_id, text) ? no_memory(err)
										   : add_piece(remains, 0, &item, err);
}

static int split_segment(struct str plain, struct remains *remains, struct err *err) {
	struct str rest = plain;
	struct str id = str_cut(&rest, '\0');
	uint64_t length = 0;
	if (str_to_u64(str_cut(&rest, '\0'), &length) || length > rest.length) {
		return err_set(err, ERR_CORRUPT, "segment %u has no head", remains->next);
	}
	struct str content = {rest.data, (size_t)length};
	if (id.length ? read_text(remains, id, content, err) : read_pieces(remains, content, err)) {
		return -1;
	}
	buf_append_str(&remains->events, str_skip(rest, (size_t)length));
	return remains->events.failed ? no_memory(err) : 0;
}

static int read_segment(const struct vault *vault, const struct store_record *record, struct remains *remains,
			struct err *err) {
	struct buf plain = BUF_INIT;
	int result = record->number == remains->next ? vault_unseal(vault, record, &plain, err)
						     : err_set(err, ERR_CORRUPT, "segment %u of %s is missing",
							       remains->next, record->response);
	if (result == 0) {
		result = split_segment(buf_str(&plain), remains, err);
	}
	remains->next++;
	buf_free(&plain);
	return result;
}

static int take_items(struct remains *remains, struct item_list *output, struct err *err) {
	for (size_t i = 0; i < remains->items.count; i++) {
		struct item *item = &remains->items.items[i];
		if (item->status == ITEM_IN_PROGRESS) {
			item_end(item, ITEM_INCOMPLETE);
		}
		if (item_list_add(output, item)) {
			return no_memory(err);
		}
	}
	return 0;
}

int codec_read_remains(const struct vault *vault, const struct store_snapshot *snapshot, const char *response,
		       struct item_list *output, struct buf *events, struct err *err) {
	struct remains remains = {0};
	int result = 0;
	for (size_t i = 0; result == 0 && i < snapshot->record_count; i++) {
		const struct store_record *record = &snapshot->records[i];
		if (record->kind == RECORD_SEGMENT && strcmp(record->response, response) == 0) {
			result = read_segment(vault, record, &remains, err);
		}
	}
	if (result == 0) {
		result = take_items(&remains, output, err);
	}
	if (result == 0 && events) {
		buf_append_str(events, buf_str(&remains.events));
		result = events->failed ? no_memory(err) : 0;
	}
	item_list_free(&remains.items);
	buf_free(&remains.events);
	return result;
}
