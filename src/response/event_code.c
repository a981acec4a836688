/* The stored form of an event log. Each event is a byte: its kind in the low six bits, SAME when it is of the same item and
 * part as the one before, SIDE when something is beside its text. Then, as varints: item and part unless SAME; of a delta the
 * length of its text; with SIDE the length of that. Version 1 had no bits, no items, and one text. */
#include "base/mem.h"
#include "event_log.h"

#define VERSION_ONE_TEXT 1
#define VERSION 2
#define KIND_MASK 0x3f
#define SAME 0x40
#define SIDE 0x80

/* --- writing -------------------------------------------------------------------------------------------------------- */

static void put_varint(struct buf *out, uint32_t value) {
	while (value >= 0x80) {
		buf_append_char(out, (char)(value | 0x80));
		value >>= 7;
	}
	buf_append_char(out, (char)value);
}

void event_log_encode(const struct event_log *log, uint32_t first, struct buf *out) {
	if (first == 0) {
		buf_append_char(out, VERSION);
	}
	struct event_entry before = first ? event_log_at(log, first - 1) : (struct event_entry){0};
	for (uint32_t i = first; i < log->count; i++) {
		const struct event_entry entry = event_log_at(log, i);
		bool same = i && before.item == entry.item && before.part == entry.part;
		struct str side = event_log_side(log, i);
		buf_append_char(out, (char)(entry.kind | (same ? SAME : 0) | (side.length ? SIDE : 0)));
		if (!same && !event_is_of_response(entry.kind)) {
			put_varint(out, entry.item);
			put_varint(out, entry.part);
		}
		before = entry;
		if (entry.kind == EVENT_DELTA) {
			put_varint(out, (uint32_t)event_log_delta(log, i).length);
		}
		if (side.length) {
			put_varint(out, (uint32_t)side.length);
		}
	}
}

/* --- reading -------------------------------------------------------------------------------------------------------- */

static int get_varint(struct str *rest, uint32_t *value) {
	uint64_t result = 0;
	for (unsigned shift = 0; shift < 35; shift += 7) {
		if (rest->length == 0) {
			return -1;
		}
		uint8_t byte = (uint8_t)rest->data[0];
		*rest = str_skip(*rest, 1);
		result |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*value = (uint32_t)result;
			return result > UINT32_MAX ? -1 : 0;
		}
	}
	return -1;
}

/* What of a part no event has taken yet. */
struct source {
	struct str text, logprobs, annotations;
};

struct decoder {
	struct event_log log;
	struct str rest; /* of the encoded events */
	const struct item *items;
	size_t item_count;
	struct source *sources; /* of all parts of all items, one after another */
	size_t *first_source;   /* of each item */
};

static int decoder_open(struct decoder *d) {
	size_t parts = 0;
	d->first_source = mem_zarray(d->item_count + 1, sizeof *d->first_source);
	if (!d->first_source) {
		return -1;
	}
	for (size_t i = 0; i < d->item_count; i++) {
		d->first_source[i] = parts;
		parts += d->items[i].part_count;
	}
	d->sources = mem_zarray(parts + 1, sizeof *d->sources);
	if (!d->sources) {
		return -1;
	}
	for (size_t i = 0; i < d->item_count; i++) {
		for (size_t p = 0; p < d->items[i].part_count; p++) {
			const struct part *part = &d->items[i].parts[p];
			d->sources[d->first_source[i] + p] = (struct source){
				{part->text, part->length}, str_of(part->logprobs), str_of(part->annotations)};
		}
	}
	return 0;
}

static void decoder_close(struct decoder *d) {
	mem_free(d->sources);
	mem_free(d->first_source);
	event_log_free(&d->log);
}

static int take(struct str *from, uint32_t length, struct str *out) {
	if (length > from->length) {
		return -1;
	}
	*out = (struct str){from->data, length};
	*from = str_skip(*from, length);
	return 0;
}

/* JSON elements, with the comma that parts them from those before. */
static int take_side(struct decoder *d, struct str *from, const char *whole, uint32_t length) {
	struct str side;
	if (from->length && from->data != whole) {
		*from = str_skip(*from, 1);
	}
	return take(from, length, &side) || event_log_add_side(&d->log, side) ? -1 : 0;
}

/* Whether there is what the event is of. */
static bool is_placed(const struct decoder *d, const struct event_entry *entry) {
	bool of_item = entry->kind == EVENT_ITEM_ADDED || entry->kind == EVENT_ITEM_DONE;
	return event_is_of_response(entry->kind) ||
	       (entry->item < d->item_count && (of_item || entry->part < d->items[entry->item].part_count));
}

static int take_content(struct decoder *d, const struct event_entry *entry, bool has_side) {
	const struct part *part = &d->items[entry->item].parts[entry->part];
	struct source *source = &d->sources[d->first_source[entry->item] + entry->part];
	struct str text = STR_NONE;
	uint32_t length = 0;
	if (entry->kind == EVENT_DELTA && (get_varint(&d->rest, &length) || take(&source->text, length, &text) ||
					   event_log_add_text(&d->log, text))) {
		return -1;
	}
	if (!has_side) {
		return 0;
	}
	if (get_varint(&d->rest, &length)) {
		return -1;
	}
	return entry->kind == EVENT_DELTA ? take_side(d, &source->logprobs, part->logprobs, length)
					  : take_side(d, &source->annotations, part->annotations, length);
}

static int decode_entry(struct decoder *d, struct event_entry *entry) {
	uint8_t byte = (uint8_t)d->rest.data[0];
	uint32_t item = 0;
	uint32_t part = 0;
	d->rest = str_skip(d->rest, 1);
	entry->kind = byte & KIND_MASK;
	if (entry->kind >= EVENT_KIND_COUNT) {
		return -1;
	}
	if (!(byte & SAME)) {
		if (!event_is_of_response(entry->kind) &&
		    (get_varint(&d->rest, &item) || get_varint(&d->rest, &part))) {
			return -1;
		}
		if (item >= EVENT_LOG_MAX_ITEMS || part > EVENT_LOG_MAX_PARTS) {
			return -1;
		}
		entry->item = (uint16_t)item;
		entry->part = (uint8_t)part;
	}
	if (!is_placed(d, entry)) {
		return -1;
	}
	bool brings = entry->kind == EVENT_DELTA || entry->kind == EVENT_ANNOTATION;
	if ((brings && take_content(d, entry, byte & SIDE)) || (!brings && (byte & SIDE))) {
		return -1;
	}
	return event_log_append(&d->log, entry->kind, entry->item, entry->part);
}

static int decode_one_text(struct decoder *d, struct event_entry *entry) {
	entry->kind = (uint8_t)d->rest.data[0];
	d->rest = str_skip(d->rest, 1);
	if (entry->kind > EVENT_TERMINAL || !is_placed(d, entry) ||
	    (entry->kind == EVENT_DELTA && take_content(d, entry, false))) {
		return -1;
	}
	return event_log_append(&d->log, entry->kind, 0, 0);
}

/* Whether all that streams was taken. Reasoning's encrypted form comes with the end of its item. */
static bool is_used_up(const struct decoder *d) {
	for (size_t i = 0; i < d->item_count; i++) {
		for (size_t p = 0; p < d->items[i].part_count; p++) {
			const struct source *source = &d->sources[d->first_source[i] + p];
			bool streams = d->items[i].parts[p].kind != PART_ENCRYPTED;
			if (streams && source->text.length + source->logprobs.length + source->annotations.length) {
				return false;
			}
		}
	}
	return true;
}

static int decode_all(struct decoder *d, struct str encoded, struct err *err) {
	uint8_t version = encoded.length ? (uint8_t)encoded.data[0] : 0;
	struct event_entry entry = {0};
	if (version != VERSION && version != VERSION_ONE_TEXT) {
		return err_set(err, ERR_CORRUPT, "event log of an unknown version");
	}
	d->rest = str_skip(encoded, 1);
	while (d->rest.length) {
		if (version == VERSION ? decode_entry(d, &entry) : decode_one_text(d, &entry)) {
			return err_set(err, ERR_CORRUPT, "event log does not fit its text at event %u", d->log.count);
		}
	}
	return is_used_up(d) ? 0 : err_set(err, ERR_CORRUPT, "event log ends before its text");
}

int event_log_decode(struct event_log *log, struct str encoded, const struct item *items, size_t count,
		     struct err *err) {
	struct decoder d = {.items = items, .item_count = count};
	int result = decoder_open(&d) ? err_set(err, ERR_MEMORY, "no memory for an event log")
				      : decode_all(&d, encoded, err);
	if (result == 0) {
		*log = d.log;
		d.log = (struct event_log){0};
	}
	decoder_close(&d);
	return result;
}

/* --- closing -------------------------------------------------------------------------------------------------------- */

/* Which events of an item or part are there. */
static bool has_event(const struct event_log *log, enum event_kind kind, size_t item, size_t part) {
	for (uint32_t i = 0; i < log->count; i++) {
		const struct event_entry entry = event_log_at(log, i);
		if (entry.kind == kind && entry.item == item && entry.part == part) {
			return true;
		}
	}
	return false;
}

static int close_part(struct event_log *log, const struct item *item, size_t index, size_t part) {
	bool framed = item->parts[part].kind != PART_ARGUMENTS;
	if (framed && !has_event(log, EVENT_PART_ADDED, index, part)) {
		return 0;
	}
	int result = 0;
	if (!has_event(log, EVENT_DONE, index, part)) {
		result |= event_log_append(log, EVENT_DONE, (uint32_t)index, (uint32_t)part);
	}
	if (framed && !has_event(log, EVENT_PART_DONE, index, part)) {
		result |= event_log_append(log, EVENT_PART_DONE, (uint32_t)index, (uint32_t)part);
	}
	return result;
}

static int close_item(struct event_log *log, const struct item *item, size_t index) {
	int result = 0;
	if (!has_event(log, EVENT_ITEM_ADDED, index, 0) || has_event(log, EVENT_ITEM_DONE, index, 0)) {
		return 0;
	}
	for (size_t p = 0; p < item->part_count; p++) {
		result |= close_part(log, item, index, p);
	}
	return result | event_log_append(log, EVENT_ITEM_DONE, (uint32_t)index, 0);
}

int event_log_close(struct event_log *log, const struct item *items, size_t count) {
	static const enum event_kind start[] = {EVENT_CREATED, EVENT_IN_PROGRESS};
	int result = 0;
	if (event_log_ended(log)) {
		return 0;
	}
	for (size_t i = log->count; i < 2; i++) {
		result |= event_log_append(log, start[i], 0, 0);
	}
	for (size_t i = 0; i < count; i++) {
		result |= close_item(log, &items[i], i);
	}
	return result | event_log_append(log, EVENT_TERMINAL, 0, 0);
}
