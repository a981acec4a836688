#include "text.h"

#include <ctype.h>
#include <string.h>

#define PIECE_MAX 24 /* bytes of a word in one piece */

static bool is_space(char c) {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Bytes of an apostrophe, straight or curly, at the front of `text`; 0 if there is none. */
static size_t apostrophe(struct str text) {
	if (text.length > 0 && text.data[0] == '\'') {
		return 1;
	}
	return str_starts(text, "\xE2\x80\x99") ? 3 : 0;
}

static bool is_letter(struct str text) {
	unsigned char c = text.length > 0 ? (unsigned char)text.data[0] : 0;
	return apostrophe(text) == 0 && (isalnum(c) || c > 127);
}

/* Whether a word goes on at the front of `text`. */
static bool in_word(struct str text) {
	size_t mark = apostrophe(text);
	return is_letter(mark > 0 ? str_skip(text, mark) : text);
}

/* The length of `phrase` at the front of `text`, or 0. */
static size_t match_here(struct str text, const char *phrase) {
	struct str rest = text;
	for (; *phrase; phrase++) {
		for (size_t mark; (mark = apostrophe(rest)) > 0;) {
			rest = str_skip(rest, mark);
		}
		if (rest.length == 0) {
			return 0;
		}
		if (*phrase == ' ') {
			if (!is_space(rest.data[0])) {
				return 0;
			}
			while (rest.length > 0 && is_space(rest.data[0])) {
				rest = str_skip(rest, 1);
			}
			continue;
		}
		if (tolower((unsigned char)rest.data[0]) != *phrase) {
			return 0;
		}
		rest = str_skip(rest, 1);
	}
	return in_word(rest) ? 0 : text.length - rest.length;
}

int text_find(struct str text, const char *phrase, size_t *start, size_t *end) {
	bool inside = false;
	for (size_t at = 0; at < text.length; at++) {
		struct str rest = str_skip(text, at);
		size_t length = inside ? 0 : match_here(rest, phrase);
		if (length > 0) {
			*start = at;
			*end = at + length;
			return 0;
		}
		inside = is_letter(rest) || (inside && apostrophe(rest) > 0);
	}
	return -1;
}

bool text_has(struct str text, const char *phrase) {
	size_t start;
	size_t end;
	return text_find(text, phrase, &start, &end) == 0;
}

int text_after(struct str text, const char *const *phrases, struct str *rest) {
	for (; *phrases; phrases++) {
		size_t start;
		size_t end;
		if (text_find(text, *phrases, &start, &end) == 0) {
			*rest = str_skip(text, end);
			return 0;
		}
	}
	return -1;
}

bool text_has_any(struct str text, const char *const *phrases) {
	struct str rest;
	return text_after(text, phrases, &rest) == 0;
}

bool text_sentence(struct str *rest, struct str *sentence) {
	if (rest->length == 0) {
		return false;
	}
	size_t at = 0;
	while (at < rest->length) {
		char c = rest->data[at++];
		bool last = at == rest->length || is_space(rest->data[at]);
		if (c == '\n' || ((c == '.' || c == '!' || c == '?') && last)) {
			break;
		}
	}
	*sentence = (struct str){rest->data, at};
	*rest = str_skip(*rest, at);
	return true;
}

bool text_clause(struct str *rest, struct str *clause) {
	static const char *const joints[] = {"and i", "and im", "and my", "and we", "but", "so", "because", NULL};
	if (rest->length == 0) {
		return false;
	}
	size_t cut = rest->length;
	size_t next = cut;
	for (size_t at = 0; at < rest->length; at++) {
		if (strchr(",;:!?", rest->data[at])) {
			cut = at;
			next = at + 1;
			break;
		}
	}
	for (const char *const *joint = joints; *joint; joint++) {
		size_t start;
		size_t end;
		if (text_find(*rest, *joint, &start, &end) == 0 && start > 0 && start < cut) {
			cut = start;
			next = start + strcspn(*joint, " ");
		}
	}
	*clause = (struct str){rest->data, cut};
	*rest = str_skip(*rest, next);
	return true;
}

bool text_word(struct str *rest, struct str *word) {
	struct str text = *rest;
	while (text.length > 0 && !is_letter(text)) {
		text = str_skip(text, 1);
	}
	size_t length = 0;
	while (length < text.length) {
		struct str here = str_skip(text, length);
		bool inner = here.data[0] == '-' && is_letter(str_skip(here, 1));
		if (!in_word(here) && !inner) {
			break;
		}
		length += apostrophe(here) > 0 ? apostrophe(here) : 1;
	}
	*word = (struct str){text.data, length};
	*rest = str_skip(text, length);
	return length > 0;
}

struct str text_trim(struct str text) {
	static const char edge[] = " \t\r\n.,;:!?\"'()";
	while (text.length > 0 && strchr(edge, text.data[0]) && text.data[0]) {
		text = str_skip(text, 1);
	}
	while (text.length > 0 && strchr(edge, text.data[text.length - 1]) && text.data[text.length - 1]) {
		text.length--;
	}
	return text;
}

struct str text_owner(struct str text) {
	for (size_t mark = 1; mark <= 3 && mark < text.length; mark += 2) {
		struct str end = str_skip(text, text.length - mark - 1);
		if (apostrophe(end) == mark && end.data[mark] == 's') {
			text.length -= mark + 1;
		}
	}
	return text;
}

struct str text_quoted(struct str text) {
	size_t open;
	size_t close;
	if (str_find_char(text, '"', &open) != 0) {
		return STR_NONE;
	}
	struct str inside = str_skip(text, open + 1);
	if (str_find_char(inside, '"', &close) != 0) {
		return STR_NONE;
	}
	return (struct str){inside.data, close};
}

int text_number(struct str *rest, long *number) {
	size_t at = 0;
	while (at < rest->length && !isdigit((unsigned char)rest->data[at])) {
		at++;
	}
	size_t end = at;
	while (end < rest->length && isdigit((unsigned char)rest->data[end])) {
		end++;
	}
	uint64_t value;
	struct str digits = {rest->data ? rest->data + at : NULL, end - at};
	if (digits.length == 0 || digits.length > 9 || str_to_u64(digits, &value) != 0) {
		return -1;
	}
	*number = (long)value;
	*rest = str_skip(*rest, end);
	return 0;
}

size_t text_piece(struct str text) {
	size_t at = 0;
	while (at < text.length && is_space(text.data[at])) {
		at++;
	}
	size_t word = 0;
	while (at + word < text.length && !is_space(text.data[at + word])) {
		word++;
	}
	if (word > PIECE_MAX) {
		struct str rest = str_skip(text, at);
		size_t whole = str_utf8_prefix(rest, PIECE_MAX);
		word = whole > 0 ? whole : PIECE_MAX;
	}
	return at + word;
}

size_t text_piece_count(struct str text) {
	size_t count = 0;
	for (size_t length; (length = text_piece(text)) > 0; count++) {
		text = str_skip(text, length);
	}
	return count;
}
