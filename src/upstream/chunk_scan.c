#include "chunk_scan.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

/* What a member's value may be. A null is fine everywhere but in choices, delta and index. */
enum value {
	VALUE_IGNORED, /* a plain string, a small integer, true or false */
	VALUE_NULL,    /* null alone */
	VALUE_CHOICES,
	VALUE_INDEX,
	VALUE_DELTA,
	VALUE_CONTENT,
	VALUE_REASONING,
	VALUE_TIER, /* a plain string */
};

struct member {
	struct str name;
	enum value value;
};

struct shape {
	const struct member *members;
	uint32_t count;
	uint32_t required; /* bit n: member n must be there */
};

#define MEMBER(name, value)                                                                                            \
	{ {(name), sizeof(name) - 1}, (value) }

static const struct member chunk_members[] = {
	MEMBER("choices", VALUE_CHOICES),       MEMBER("id", VALUE_IGNORED),
	MEMBER("object", VALUE_IGNORED),        MEMBER("created", VALUE_IGNORED),
	MEMBER("model", VALUE_IGNORED),         MEMBER("system_fingerprint", VALUE_IGNORED),
	MEMBER("service_tier", VALUE_TIER),     MEMBER("provider", VALUE_IGNORED),
	MEMBER("obfuscation", VALUE_IGNORED),   MEMBER("usage", VALUE_NULL),
	MEMBER("prompt_token_ids", VALUE_NULL),
};
static const struct member choice_members[] = {
	MEMBER("delta", VALUE_DELTA),        MEMBER("index", VALUE_INDEX),
	MEMBER("finish_reason", VALUE_NULL), MEMBER("logprobs", VALUE_NULL),
	MEMBER("stop_reason", VALUE_NULL),   MEMBER("matched_stop", VALUE_NULL),
	MEMBER("token_ids", VALUE_NULL),     MEMBER("native_finish_reason", VALUE_NULL),
};
static const struct member delta_members[] = {
	MEMBER("content", VALUE_CONTENT),     MEMBER("role", VALUE_IGNORED),
	MEMBER("refusal", VALUE_NULL),        MEMBER("tool_calls", VALUE_NULL),
	MEMBER("function_call", VALUE_NULL),  MEMBER("reasoning_content", VALUE_REASONING),
	MEMBER("reasoning", VALUE_REASONING),
};

#define SHAPE(table, required_) ((struct shape){(table), sizeof(table) / sizeof(table)[0], (required_)})

struct scan {
	const char *at;
	const char *end;
	struct chunk_plain plain;
	struct buf *scratch;
};

static bool scan_object(struct scan *s, struct shape shape);

static void skip_space(struct scan *s) {
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r')) {
		s->at++;
	}
}

static bool take(struct scan *s, char c) {
	skip_space(s);
	if (s->at < s->end && *s->at == c) {
		s->at++;
		return true;
	}
	return false;
}

static bool take_word(struct scan *s, struct str word) {
	if ((size_t)(s->end - s->at) < word.length || memcmp(s->at, word.data, word.length) != 0) {
		return false;
	}
	s->at += word.length;
	return true;
}

/* The first byte that is a quote, a backslash, a control character or not ASCII; eight bytes at a time. A borrow can
 * only spoil bytes above the first hit, so that the lowest flag is exact. */
static const char *find_special(const char *at, const char *end) {
	const uint64_t ones = UINT64_C(0x0101010101010101);
	while (end - at >= 8) {
		uint64_t word;
		memcpy(&word, at, sizeof word);
		word = le64toh(word);
		uint64_t hits =
			((word ^ ones * '"') - ones) | ((word ^ ones * '\\') - ones) | (word - ones * 0x20) | word;
		hits &= ones * 0x80;
		if (hits) {
			return at + __builtin_ctzll(hits) / 8;
		}
		at += 8;
	}
	while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20 && (unsigned char)*at < 0x80) {
		at++;
	}
	return at;
}

/* An ASCII string without escapes. */
static bool take_plain(struct scan *s, struct str *out) {
	if (!take(s, '"')) {
		return false;
	}
	const char *stop = find_special(s->at, s->end);
	if (stop == s->end || *stop != '"') {
		return false;
	}
	*out = (struct str){s->at, (size_t)(stop - s->at)};
	s->at = stop + 1;
	return true;
}

/* At most 15 digits, so that it is exact as a double too. A fraction or exponent fails on what must follow. */
static bool take_integer(struct scan *s) {
	const char *first = s->at;
	while (s->at < s->end && *s->at >= '0' && *s->at <= '9') {
		s->at++;
	}
	size_t digits = (size_t)(s->at - first);
	return digits > 0 && digits <= 15 && (digits == 1 || *first != '0');
}

static bool take_hex4(struct scan *s, uint32_t *unit) {
	uint8_t bytes[2];
	if (s->end - s->at < 4 || str_from_hex(bytes, 2, (struct str){s->at, 4})) {
		return false;
	}
	s->at += 4;
	*unit = (uint32_t)bytes[0] << 8 | bytes[1];
	return true;
}

static void append_utf8(struct buf *out, uint32_t point) {
	char bytes[4];
	size_t length = 0;
	if (point < 0x80) {
		bytes[length++] = (char)point;
	} else if (point < 0x800) {
		bytes[length++] = (char)(0xC0 | point >> 6);
		bytes[length++] = (char)(0x80 | (point & 0x3F));
	} else if (point < 0x10000) {
		bytes[length++] = (char)(0xE0 | point >> 12);
		bytes[length++] = (char)(0x80 | (point >> 6 & 0x3F));
		bytes[length++] = (char)(0x80 | (point & 0x3F));
	} else {
		bytes[length++] = (char)(0xF0 | point >> 18);
		bytes[length++] = (char)(0x80 | (point >> 12 & 0x3F));
		bytes[length++] = (char)(0x80 | (point >> 6 & 0x3F));
		bytes[length++] = (char)(0x80 | (point & 0x3F));
	}
	buf_append(out, bytes, length);
}

/* Behind "\u". NUL and surrogates without their other half are the gate's to judge. */
static bool take_unicode(struct scan *s) {
	uint32_t point;
	if (!take_hex4(s, &point) || point == 0 || (point >= 0xDC00 && point <= 0xDFFF)) {
		return false;
	}
	if (point >= 0xD800 && point <= 0xDBFF) {
		uint32_t low;
		if (!take_word(s, STR("\\u")) || !take_hex4(s, &low) || low < 0xDC00 || low > 0xDFFF) {
			return false;
		}
		point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
	}
	append_utf8(s->scratch, point);
	return true;
}

/* Behind a backslash. */
static bool take_escape(struct scan *s) {
	static const char from[] = "nt\"\\/rbf";
	static const char to[] = "\n\t\"\\/\r\b\f";
	if (s->at == s->end) {
		return false;
	}
	char c = *s->at++;
	if (c == 'u') {
		return take_unicode(s);
	}
	const char *found = c ? strchr(from, c) : NULL;
	if (found) {
		buf_append_char(s->scratch, to[found - from]);
	}
	return found != NULL;
}

/* A string with escapes or beyond ASCII, from its first character on. */
static bool take_text(struct scan *s, struct str *out) {
	buf_clear(s->scratch);
	const char *run = s->at;
	bool escaped = false;
	bool ascii = true;
	for (;;) {
		const char *stop = find_special(s->at, s->end);
		if (stop == s->end || (unsigned char)*stop < 0x20) {
			return false;
		}
		s->at = stop + 1;
		if ((unsigned char)*stop >= 0x80) {
			ascii = false;
			continue;
		}
		struct str piece = {run, (size_t)(stop - run)};
		if (*stop == '"' && !escaped) {
			*out = piece;
			return ascii || str_is_utf8(piece);
		}
		buf_append_str(s->scratch, piece);
		if (*stop == '"') {
			*out = buf_str(s->scratch);
			return !s->scratch->failed && (ascii || str_is_utf8(*out));
		}
		escaped = true;
		if (!take_escape(s)) {
			return false;
		}
		run = s->at;
	}
}

/* Where one piece of text is, another may only be empty: there is one scratch, and one thing to hand on. */
static bool take_content(struct scan *s, struct str *out) {
	if (*s->at != '"') {
		return take_word(s, STR("null"));
	}
	if (s->plain.text.length > 0 || s->plain.reasoning.length > 0) {
		return take_word(s, STR("\"\""));
	}
	const char *first = ++s->at;
	if (!take_text(s, out)) {
		return false;
	}
	if (out->length > 0) {
		s->plain.quoted = (struct str){first, (size_t)(s->at - 1 - first)};
	}
	return true;
}

bool chunk_scan_string(struct str *rest, struct buf *scratch, struct str *text) {
	struct scan s = {.at = rest->data, .end = rest->data + rest->length, .scratch = scratch};
	if (!take_text(&s, text)) {
		return false;
	}
	*rest = (struct str){s.at, (size_t)(s.end - s.at)};
	return true;
}

static bool take_ignored(struct scan *s) {
	struct str ignored;
	switch (*s->at) {
	case '"':
		return take_plain(s, &ignored);
	case 'n':
		return take_word(s, STR("null"));
	case 't':
		return take_word(s, STR("true"));
	case 'f':
		return take_word(s, STR("false"));
	default:
		return take_integer(s);
	}
}

static bool take_value(struct scan *s, enum value value) {
	skip_space(s);
	if (s->at == s->end) {
		return false;
	}
	switch (value) {
	case VALUE_IGNORED:
		return take_ignored(s);
	case VALUE_NULL:
		return take_word(s, STR("null"));
	case VALUE_CHOICES:
		return take(s, '[') && scan_object(s, SHAPE(choice_members, 1)) && take(s, ']');
	case VALUE_INDEX:
		return take_word(s, STR("0"));
	case VALUE_DELTA:
		return scan_object(s, SHAPE(delta_members, 0));
	case VALUE_CONTENT:
		return take_content(s, &s->plain.text);
	case VALUE_REASONING:
		return take_content(s, &s->plain.reasoning);
	case VALUE_TIER:
		return *s->at == '"' ? take_plain(s, &s->plain.service_tier) : take_word(s, STR("null"));
	}
	return false;
}

static const struct member *find_member(struct shape shape, struct str name) {
	for (uint32_t i = 0; i < shape.count; i++) {
		const struct member *member = &shape.members[i];
		if (member->name.length == name.length && member->name.data[0] == name.data[0] &&
		    memcmp(member->name.data, name.data, name.length) == 0) {
			return member;
		}
	}
	return NULL;
}

static bool scan_object(struct scan *s, struct shape shape) {
	uint32_t seen = 0;
	if (!take(s, '{')) {
		return false;
	}
	if (take(s, '}')) {
		return shape.required == 0;
	}
	do {
		struct str name;
		if (!take_plain(s, &name)) {
			return false;
		}
		const struct member *member = find_member(shape, name);
		uint32_t bit = member ? UINT32_C(1) << (member - shape.members) : 0;
		if (!member || (seen & bit) || !take(s, ':') || !take_value(s, member->value)) {
			return false;
		}
		seen |= bit;
	} while (take(s, ','));
	return take(s, '}') && (seen & shape.required) == shape.required;
}

bool chunk_scan(struct str data, struct buf *scratch, struct chunk_plain *plain) {
	struct scan s = {.at = data.data, .end = data.data + data.length, .scratch = scratch};
	if (!scan_object(&s, SHAPE(chunk_members, 1))) {
		return false;
	}
	skip_space(&s);
	if (s.at != s.end) {
		return false;
	}
	*plain = s.plain;
	return true;
}
