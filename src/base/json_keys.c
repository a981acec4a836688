#include "json_keys.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"

void json_keys_init(struct json_keys *keys, const char *document) {
	memset(keys, 0, sizeof *keys);
	keys->document = document;
	keys->slots = keys->first;
	keys->capacity = JSON_KEYS_FIRST_CAPACITY;
}

void json_keys_free(struct json_keys *keys) {
	if (keys->slots != keys->first) {
		mem_free(keys->slots);
	}
	keys->slots = NULL;
	buf_free(&keys->unescaped);
}

static uint32_t hex4(const char *at) {
	uint8_t bytes[2] = {0};
	(void)str_from_hex(bytes, sizeof bytes, (struct str){at, 4});
	return (uint32_t)bytes[0] << 8 | bytes[1];
}

static void append_utf8(struct buf *out, uint32_t point) {
	char bytes[4];
	size_t length;
	if (point < 0x80) {
		bytes[0] = (char)point;
		length = 1;
	} else if (point < 0x800) {
		bytes[0] = (char)(0xC0 | point >> 6);
		bytes[1] = (char)(0x80 | (point & 0x3F));
		length = 2;
	} else if (point < 0x10000) {
		bytes[0] = (char)(0xE0 | point >> 12);
		bytes[1] = (char)(0x80 | (point >> 6 & 0x3F));
		bytes[2] = (char)(0x80 | (point & 0x3F));
		length = 3;
	} else {
		bytes[0] = (char)(0xF0 | point >> 18);
		bytes[1] = (char)(0x80 | (point >> 12 & 0x3F));
		bytes[2] = (char)(0x80 | (point >> 6 & 0x3F));
		bytes[3] = (char)(0x80 | (point & 0x3F));
		length = 4;
	}
	buf_append(out, bytes, length);
}

/* Appends the escape at `at` (a backslash) and returns how many bytes it took. */
static size_t unescape_one(struct buf *out, const char *at) {
	static const char names[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	if (at[1] != 'u') {
		buf_append_char(out, meanings[strchr(names, at[1]) - names]);
		return 2;
	}
	uint32_t unit = hex4(at + 2);
	if (unit < 0xD800 || unit > 0xDBFF) {
		append_utf8(out, unit);
		return 6;
	}
	append_utf8(out, 0x10000 + ((unit - 0xD800) << 10) + (hex4(at + 8) - 0xDC00));
	return 12;
}

static void unescape(struct buf *out, struct str raw) {
	while (raw.length > 0) {
		size_t plain;
		if (str_find_char(raw, '\\', &plain) != 0) {
			plain = raw.length;
		}
		buf_append(out, raw.data, plain);
		raw = str_skip(raw, plain);
		if (raw.length > 0) {
			raw = str_skip(raw, unescape_one(out, raw.data));
		}
	}
}

static struct str slot_text(const struct json_keys *keys, const struct json_key_slot *slot) {
	const char *base = slot->escaped ? keys->unescaped.data : keys->document;
	/* A key of escapes only may be empty in a buffer that holds nothing yet. */
	return slot->length > 0 ? (struct str){base + slot->start, slot->length} : STR_NONE;
}

static int grow(struct json_keys *keys) {
	size_t capacity = keys->capacity * 2;
	struct json_key_slot *slots = mem_zarray(capacity, sizeof *slots);
	if (!slots) {
		return -1;
	}
	for (size_t i = 0; i < keys->capacity; i++) {
		if (keys->slots[i].object == 0) {
			continue;
		}
		size_t at = (size_t)keys->slots[i].hash & (capacity - 1);
		while (slots[at].object != 0) {
			at = (at + 1) & (capacity - 1);
		}
		slots[at] = keys->slots[i];
	}
	if (keys->slots != keys->first) {
		mem_free(keys->slots);
	}
	keys->slots = slots;
	keys->capacity = capacity;
	return 0;
}

enum json_keys_result json_keys_add(struct json_keys *keys, uint32_t object, struct str raw, bool escaped) {
	if (keys->count + 1 > keys->capacity / 2 && grow(keys) != 0) {
		return JSON_KEYS_NO_MEMORY;
	}
	struct json_key_slot fresh = {.object = object & 0x7FFFFFFF, .escaped = escaped};
	if (escaped) {
		fresh.start = keys->unescaped.length;
		unescape(&keys->unescaped, raw);
		if (keys->unescaped.failed) {
			return JSON_KEYS_NO_MEMORY;
		}
		fresh.length = (uint32_t)(keys->unescaped.length - fresh.start);
	} else {
		fresh.start = (size_t)(raw.data - keys->document);
		fresh.length = (uint32_t)raw.length;
	}
	struct str text = slot_text(keys, &fresh);
	/* An odd factor spreads the same key in different objects over different slots. */
	fresh.hash = map_hash(text) ^ object * UINT64_C(0x9E3779B97F4A7C15);

	size_t at = (size_t)fresh.hash & (keys->capacity - 1);
	for (; keys->slots[at].object != 0; at = (at + 1) & (keys->capacity - 1)) {
		const struct json_key_slot *slot = &keys->slots[at];
		if (slot->hash == fresh.hash && slot->object == fresh.object &&
		    str_equal(slot_text(keys, slot), text)) {
			return JSON_KEYS_DUPLICATE;
		}
	}
	keys->slots[at] = fresh;
	keys->count++;
	return JSON_KEYS_ADDED;
}
