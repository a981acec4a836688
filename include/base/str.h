/* A view of bytes: not owned, not NUL-terminated. Passed by value. Pure, any thread. */
#ifndef SLUICE_BASE_STR_H
#define SLUICE_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
	const char *data; /* may be NULL when length is 0 */
	size_t length;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_NONE ((struct str){NULL, 0})
/* For printf: printf("%.*s", STR_ARG(s)) */
#define STR_ARG(s) (int)(s).length, ((s).data ? (s).data : "")

struct str str_of(const char *text); /* NULL gives the empty view */
bool str_equal(struct str a, struct str b);
bool str_is(struct str a, const char *text);
bool str_equal_nocase(struct str a, struct str b); /* ASCII only */
bool str_starts(struct str a, const char *prefix);
struct str str_trim(struct str a);               /* spaces and tabs off both ends */
struct str str_skip(struct str a, size_t count); /* without its first bytes; past the end gives empty */
/* Cuts `*rest` at the first `separator`: returns what stood before it and leaves what is behind it. Without one,
 * returns all and leaves STR_NONE; behind a last separator an empty view is left whose data is not NULL. */
struct str str_cut(struct str *rest, char separator);
int str_find_char(struct str a, char c, size_t *at); /* 0 and *at, or -1 */

/* Copies into a fixed array with a NUL; -1 and an empty `to` when it does not fit or holds a NUL. */
int str_copy(char *to, size_t size, struct str from);
/* As str_copy, but cuts at a UTF-8 boundary what does not fit, and at a NUL. */
void str_copy_cut(char *to, size_t size, struct str from);

/* Decimal only, the whole view, no sign except str_to_i64's leading '-'. -1 on anything else or overflow. */
int str_to_u64(struct str a, uint64_t *out);
int str_to_i64(struct str a, int64_t *out);

/* RFC 3629 UTF-8: no surrogates, no overlong forms, up to U+10FFFF. */
bool str_is_utf8(struct str a);
/* The longest prefix length of `a`, at most `limit`, that does not cut a character in two. */
size_t str_utf8_prefix(struct str a, size_t limit);

/* Lower-case hex, 2 * length characters and a NUL. */
void str_to_hex(char *to, const uint8_t *bytes, size_t length);
/* Exactly 2 * length hex digits, either case; -1 on anything else. */
int str_from_hex(uint8_t *to, size_t length, struct str from);

#endif
