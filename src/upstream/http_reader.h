/* An incremental parser of one HTTP/1 answer (RFC 9112) to a GET or POST. Pure: any split of the input gives the same
 * result.
 *
 * Informational answers (1xx) are skipped, chunk extensions and trailers too. What leaves open where the answer ends is
 * refused and not guessed: two lengths, a length beside a transfer coding, a coding other than chunked, a size that is
 * none. Lines of the head may end with a bare LF, those of the chunked coding may not. */
#ifndef SLUICE_UPSTREAM_HTTP_READER_H
#define SLUICE_UPSTREAM_HTTP_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "transfer.h"

#define HTTP_MAX_HEAD 65536     /* bytes of a head, and of the trailers */
#define HTTP_MAX_INTERIM 16     /* 1xx answers before the one that counts */
#define HTTP_MAX_EXTENSION 4096 /* bytes behind a chunk's size */

enum http_state {
	HTTP_STATUS_LINE,
	HTTP_HEADERS,
	HTTP_BODY_LENGTH,
	HTTP_BODY_CLOSE, /* up to the end of the connection */
	HTTP_CHUNK_SIZE,
	HTTP_CHUNK_EXTENSION,
	HTTP_CHUNK_SIZE_LF,
	HTTP_CHUNK_DATA,
	HTTP_CHUNK_CR,
	HTTP_CHUNK_LF,
	HTTP_TRAILERS,
	HTTP_OVER,
};

/* Zeroed before the first use. */
struct http_reader {
	/* Of the answer, complete with HTTP_READ_HEAD. */
	int status;
	enum transfer_type type;
	int64_t retry_after_s; /* 0: not said so */
	int64_t retry_at_s;    /* said as a date, seconds since 1970; 0: not said so */
	bool keeps_alive;      /* the server will take another request on this connection */

	enum http_state state;
	struct buf line; /* an unfinished line from the reads before */
	uint64_t left;   /* of the body or chunk */
	uint32_t size;   /* of the head so far, of the trailers, or of a chunk's extension */
	uint8_t digits;  /* of the chunk size */
	uint8_t interim;
	bool has_length, chunked, minor_0;
};

enum http_read {
	HTTP_READ_MORE, /* all is used up; more must come */
	HTTP_READ_HEAD, /* the head is complete */
	HTTP_READ_BODY, /* `body` is a view into the input */
	HTTP_READ_END,  /* the answer is complete; what is left in `*rest` is none of it */
	HTTP_READ_BAD,
	HTTP_READ_MEMORY,
};

/* Takes bytes off `*rest` up to the next thing to tell. Call again until HTTP_READ_MORE; after the last three, not any
 * more. An answer without a body ends when this is called behind its head, also with an empty `*rest`. */
enum http_read http_reader_next(struct http_reader *reader, struct str *rest, struct str *body);
/* The connection has ended: whether the answer is complete with that. */
bool http_reader_ends(const struct http_reader *reader);
void http_reader_free(struct http_reader *reader);

#endif
