/* A growing byte buffer. Owned by one thread at a time.
 *
 * Failure is sticky: when memory runs out `failed` is set, the content stays as it was and later appends do
 * nothing, so that a writer of many parts checks once, at the end. */
#ifndef SLUICE_BASE_BUF_H
#define SLUICE_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct buf {
	char *data; /* NULL while nothing was stored */
	size_t length;
	size_t capacity;
	bool failed;
};

#define BUF_INIT ((struct buf){0})

void buf_free(struct buf *b);                 /* back to BUF_INIT */
void buf_clear(struct buf *b);                /* length 0, failed off, memory kept */
bool buf_reserve(struct buf *b, size_t more); /* room for `more` bytes behind length; false sets failed */
/* The same with little in reserve, for buffers that are many and live long: grows by a quarter, not to twice its size. */
bool buf_reserve_tight(struct buf *b, size_t more);
void buf_append(struct buf *b, const void *bytes, size_t length);
void buf_append_str(struct buf *b, struct str s);
void buf_append_text(struct buf *b, const char *text); /* NUL-terminated */
void buf_append_char(struct buf *b, char c);
void buf_append_u64(struct buf *b, uint64_t value); /* decimal */
void buf_append_i64(struct buf *b, int64_t value);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_consume(struct buf *b, size_t count); /* drops bytes from the front */
struct str buf_str(const struct buf *b);       /* a view, valid until the next change */
char *buf_text(struct buf *b);                 /* puts a NUL behind the content (not counted); NULL when failed */
/* Hands the content over as a mem_alloc'ed NUL-terminated text; NULL when failed. Either way the buffer is BUF_INIT
 * afterwards and needs no buf_free. */
char *buf_take_text(struct buf *b);

#endif
