/* Text as the rules of the demo see it: phrases, sentences, clauses and pieces. Pure; every view is into the argument. */
#ifndef SLUICE_DEMO_TEXT_H
#define SLUICE_DEMO_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* Finds `phrase` (lower case, words parted by one space) as whole words: case does not matter, nor do apostrophes, so
 * that "whats my" is found in "What's my". 0 and the place, or -1. */
int text_find(struct str text, const char *phrase, size_t *start, size_t *end);
bool text_has(struct str text, const char *phrase);
/* What stands behind the first of the NULL-terminated `phrases` that is there; 0 or -1. */
int text_after(struct str text, const char *const *phrases, struct str *rest);
bool text_has_any(struct str text, const char *const *phrases);

/* Cuts the next sentence, its mark included, off `*rest`; false at the end. */
bool text_sentence(struct str *rest, struct str *sentence);
/* Cuts the next clause of a sentence, without what parts it from the next, off `*rest`; false at the end. */
bool text_clause(struct str *rest, struct str *clause);
/* Cuts the next word (letters, digits, bytes over 127, inner apostrophes and hyphens) off `*rest`; false at the end. */
bool text_word(struct str *rest, struct str *word);
/* Without white space and punctuation at its ends. */
struct str text_trim(struct str text);
/* Without the "'s" at its end, if there is one. */
struct str text_owner(struct str text);
/* The text between the first pair of quotation marks, or STR_NONE. */
struct str text_quoted(struct str text);
/* The first unsigned decimal number, at most nine digits, of `*rest`, which is left behind it; 0 or -1. */
int text_number(struct str *rest, long *number);

/* The length of the next piece, the demo's idea of a token: white space and the word behind it, long words in parts.
 * 0 only for the empty text. Never cuts a UTF-8 character in two. */
size_t text_piece(struct str text);
size_t text_piece_count(struct str text);

#endif
