#include "event_log.h"

#include "base/mem.h"

#define ENCODING_VERSION 1
/* Deltas leave this many places free, so that the events of the end never lack memory. */
#define TAIL 5

void event_log_free(struct event_log *log) {
	mem_free(log->entries);
	buf_free(&log->text);
	*log = (struct event_log){0};
}

int event_log_add_text(struct event_log *log, struct str text) {
	if (text.length > UINT32_MAX - log->text.length) {
		return -1;
	}
	buf_append_str(&log->text, text);
	return log->text.failed ? -1 : 0;
}

static uint32_t last_end(const struct event_log *log) {
	return log->count ? log->entries[log->count - 1].end : 0;
}

bool event_log_has_pending(const struct event_log *log) {
	return log->text.length > last_end(log);
}

static int grow(struct event_log *log) {
	uint32_t capacity = log->capacity ? log->capacity * 2 : 16;
	struct event_entry *entries = mem_realloc(log->entries, capacity * sizeof *entries);
	if (!entries) {
		return -1;
	}
	log->entries = entries;
	log->capacity = capacity;
	return 0;
}

int event_log_append(struct event_log *log, enum event_kind kind, uint16_t item) {
	uint32_t spare = kind == EVENT_DELTA ? TAIL : 0;
	if (log->count + spare >= log->capacity && grow(log)) {
		return -1;
	}
	uint32_t end = kind == EVENT_DELTA ? (uint32_t)log->text.length : last_end(log);
	log->entries[log->count++] = (struct event_entry){.end = end, .kind = (uint8_t)kind, .item = item};
	return 0;
}

struct str event_log_delta(const struct event_log *log, uint32_t sequence) {
	uint32_t start = sequence ? log->entries[sequence - 1].end : 0;
	return (struct str){log->text.data + start, log->entries[sequence].end - start};
}

struct str event_log_text(const struct event_log *log) {
	return (struct str){log->text.data, last_end(log)};
}

static void put_varint(struct buf *out, uint32_t value) {
	while (value >= 0x80) {
		buf_append_char(out, (char)(value | 0x80));
		value >>= 7;
	}
	buf_append_char(out, (char)value);
}

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

void event_log_encode(const struct event_log *log, uint32_t first, struct buf *out) {
	if (first == 0) {
		buf_append_char(out, ENCODING_VERSION);
	}
	for (uint32_t i = first; i < log->count; i++) {
		buf_append_char(out, (char)log->entries[i].kind);
		if (log->entries[i].kind == EVENT_DELTA) {
			put_varint(out, (uint32_t)event_log_delta(log, i).length);
		}
	}
}

static int decode_entry(struct event_log *log, struct str *rest, struct str *text) {
	uint8_t kind = (uint8_t)rest->data[0];
	uint32_t length = 0;
	*rest = str_skip(*rest, 1);
	if (kind > EVENT_TERMINAL) {
		return -1;
	}
	if (kind == EVENT_DELTA) {
		if (get_varint(rest, &length) || length > text->length ||
		    event_log_add_text(log, (struct str){text->data, length})) {
			return -1;
		}
		*text = str_skip(*text, length);
	}
	return event_log_append(log, kind, 0);
}

int event_log_decode(struct event_log *log, struct str encoded, struct str text, struct err *err) {
	struct event_log decoded = {0};
	if (encoded.length == 0 || encoded.data[0] != ENCODING_VERSION) {
		return err_set(err, ERR_CORRUPT, "event log of an unknown version");
	}
	struct str rest = str_skip(encoded, 1);
	while (rest.length) {
		if (decode_entry(&decoded, &rest, &text)) {
			event_log_free(&decoded);
			return err_set(err, ERR_CORRUPT, "event log does not fit its text at event %u", decoded.count);
		}
	}
	if (text.length) {
		event_log_free(&decoded);
		return err_set(err, ERR_CORRUPT, "event log ends %zu bytes before its text", text.length);
	}
	*log = decoded;
	return 0;
}

bool event_log_ended(const struct event_log *log) {
	return log->count && log->entries[log->count - 1].kind == EVENT_TERMINAL;
}

int event_log_close(struct event_log *log) {
	static const enum event_kind start[] = {EVENT_CREATED, EVENT_IN_PROGRESS};
	static const enum event_kind end[] = {EVENT_DONE, EVENT_PART_DONE, EVENT_ITEM_DONE};
	enum event_kind last = log->count ? log->entries[log->count - 1].kind : EVENT_TERMINAL;
	int result = 0;
	if (event_log_ended(log)) {
		return 0;
	}
	for (size_t i = log->count; i < 2; i++) {
		result |= event_log_append(log, start[i], 0);
	}
	for (size_t i = 0; i < 3 && (last == EVENT_DELTA || last == EVENT_PART_ADDED); i++) {
		result |= event_log_append(log, end[i], 0);
	}
	return result | event_log_append(log, EVENT_TERMINAL, 0);
}
