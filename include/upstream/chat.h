/* The wire format of Chat Completions: requests out, streamed chunks in. Pure. */
#ifndef SLUICE_UPSTREAM_CHAT_H
#define SLUICE_UPSTREAM_CHAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct chat_message {
	const char *role; /* system, developer, user, assistant */
	struct str text;
};

/* All borrowed. Numbers that are not set are left out, so that the upstream's own defaults hold. */
struct chat_request {
	const char *model;
	const struct chat_message *messages;
	size_t message_count;
	bool has_temperature, has_top_p, has_max_tokens;
	double temperature, top_p;
	int64_t max_tokens;
};

/* Appends the request body, with stream: true and stream_options.include_usage: true. */
void chat_request_write(struct buf *out, const struct chat_request *request);

enum chat_finish {
	CHAT_FINISH_NONE, /* not said (yet) */
	CHAT_FINISH_STOP,
	CHAT_FINISH_LENGTH,
	CHAT_FINISH_FILTER,
	CHAT_FINISH_TOOLS,
	CHAT_FINISH_OTHER,
};

struct chat_usage {
	bool known;
	int64_t input_tokens, cached_tokens, output_tokens, reasoning_tokens;
};

/* What one chunk said. Views into the chunk or into `scratch`, valid until its next use. */
struct chat_chunk {
	struct str text; /* choices[0].delta.content; empty when there is none */
	enum chat_finish finish;
	struct chat_usage usage;
	bool done;            /* [DONE] */
	bool is_error;        /* {"error": …} in the stream */
	char error_text[200]; /* its message, cut */
	char error_code[64];
};

/* Reads one event's data. The plain delta chunk goes through a scanner (about 0.1 µs), everything that the scanner does
 * not know for certain through the JSON gate and cJSON; both give the same result (a test compares them). `scratch`
 * holds unescaped text. -1 with ERR_INVALID when it is no JSON or not the shape of a chunk. */
int chat_chunk_read(struct str data, struct buf *scratch, struct chat_chunk *chunk, struct err *err);

/* The message and code of an error answer's body ({"error":{"message","code"|"type"}} or {"error":"…"} or any text,
 * cut). */
void chat_error_read(struct str body, char *message, size_t message_size, char *code, size_t code_size);

#endif
