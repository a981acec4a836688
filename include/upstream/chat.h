/* The wire format of Chat Completions: requests out, streamed chunks in. Pure. */
#ifndef SLUICE_UPSTREAM_CHAT_H
#define SLUICE_UPSTREAM_CHAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum chat_part_kind { CHAT_PART_TEXT, CHAT_PART_REFUSAL, CHAT_PART_IMAGE, CHAT_PART_FILE, CHAT_PART_VIDEO };

struct chat_part {
	enum chat_part_kind kind;
	struct str text;      /* words; or a URL: image_url, video_url; or file_data */
	const char *filename; /* of a file; NULL: none */
	const char *detail;   /* of an image; NULL: none */
};

/* A function that the model called. */
struct chat_call {
	const char *id;
	const char *name;
	struct str arguments;
};

struct chat_message {
	const char *role; /* system, developer, user, assistant, tool */
	const struct chat_part *parts;
	size_t part_count;
	const struct chat_call *calls; /* of an assistant's message */
	size_t call_count;
	const char *call_id;  /* of a tool's message */
	struct str reasoning; /* of an assistant's message; empty: none */
};

struct chat_tool {
	const char *name;
	const char *description; /* NULL: none */
	const char *parameters;  /* a JSON object; NULL: none */
	const char *strict;      /* "true", "false"; NULL: not said */
};

enum chat_tool_choice { CHAT_TOOLS_UNSAID, CHAT_TOOLS_AUTO, CHAT_TOOLS_NONE, CHAT_TOOLS_REQUIRED, CHAT_TOOLS_FUNCTION };

enum chat_format { CHAT_FORMAT_TEXT, CHAT_FORMAT_JSON_OBJECT, CHAT_FORMAT_JSON_SCHEMA };

/* All borrowed. What is not set (NULL, "", has_… false) is left out, so that the upstream's own defaults hold. */
struct chat_request {
	const char *model;
	const struct chat_message *messages;
	size_t message_count;
	bool has_temperature, has_top_p, has_max_tokens, has_presence_penalty, has_frequency_penalty;
	double temperature, top_p, presence_penalty, frequency_penalty;
	int64_t max_tokens;
	const struct chat_tool *tools;
	size_t tool_count;
	enum chat_tool_choice tool_choice;
	const char *tool_function;       /* for CHAT_TOOLS_FUNCTION */
	const char *parallel_tool_calls; /* "true", "false"; NULL: not said */
	enum chat_format format;
	const char *schema_name;        /* for CHAT_FORMAT_JSON_SCHEMA */
	const char *schema_description; /* NULL: none */
	const char *schema;             /* a JSON object */
	bool schema_strict;
	bool logprobs;
	int64_t top_logprobs; /* with logprobs; 0: none */
	const char *reasoning_effort, *verbosity, *service_tier, *safety_identifier, *prompt_cache_key;
	const char *members; /* further members of the body, each with a comma before it; NULL: none */
	uint32_t needs;      /* bits of UPSTREAM_CAN_…: what an upstream must be able to for this request */
};

/* Appends the request body, with stream: true and stream_options.include_usage: true. A content of text parts alone
 * becomes one string, its parts joined as they are. */
void chat_request_write(struct buf *out, const struct chat_request *request);

enum chat_finish {
	CHAT_FINISH_NONE, /* not said (yet) */
	CHAT_FINISH_STOP,
	CHAT_FINISH_LENGTH,
	CHAT_FINISH_FILTER,
	CHAT_FINISH_TOOLS,
	CHAT_FINISH_CUT, /* the server itself gave the answer up: abort, error, … */
	CHAT_FINISH_OTHER,
};

struct chat_usage {
	bool known;
	int64_t input_tokens, cached_tokens, output_tokens, reasoning_tokens;
};

/* Where an answer's text holds the model's reasoning, when the server does not tell the two apart. */
enum chat_think {
	CHAT_THINK_OFF,  /* text is text */
	CHAT_THINK_TAGS, /* an answer that begins with <think> is reasoning up to </think> */
	CHAT_THINK_OPEN, /* the same, but the template of the prompt opened the block: the answer begins within it */
};

enum chat_delta_kind {
	CHAT_DELTA_TEXT,
	CHAT_DELTA_REASONING,
	CHAT_DELTA_REFUSAL,
	CHAT_DELTA_CALL,       /* a function call begins, or its arguments go on */
	CHAT_DELTA_ANNOTATION, /* text: a url_citation as Open Responses writes it: JSON */
};

/* A piece of the answer. Views, valid during the callback. */
struct chat_delta {
	enum chat_delta_kind kind;
	struct str text;      /* valid UTF-8; of a call: more of its arguments, may be empty */
	struct str logprobs;  /* of text: JSON objects (LogProb) separated by commas; empty: none */
	uint32_t call;        /* which call of this answer: 0, 1, 2 … in the order of their beginning */
	bool call_begins;     /* the first delta of this call: it has id and name */
	struct str call_id;   /* "" when the upstream gave none, one of another call, or one that is no call_id */
	struct str call_name; /* 1 to 64 of [a-zA-Z0-9_-] */
};

/* 0 to go on, -1 to stop reading. */
typedef int chat_delta_fn(void *owner, const struct chat_delta *delta);

#define CHAT_CODE_SIZE 64
#define CHAT_TIER_SIZE 16

/* What one chunk said besides its deltas. */
struct chat_chunk {
	enum chat_finish finish;
	struct chat_usage usage;
	bool done;                         /* [DONE] */
	bool is_error;                     /* {"error": …} in the stream */
	char error_text[200];              /* its message, cut */
	char error_code[CHAT_CODE_SIZE];   /* its code, or else its type, cut; "": none */
	char service_tier[CHAT_TIER_SIZE]; /* of [a-z_]; "": not said */
};

struct chat_reader; /* of one answer: what must be remembered from chunk to chunk */

struct chat_reader_options {
	enum chat_think think;
	struct buf *scratch; /* borrowed, may be shared: what it holds is good within one chat_reader_read only */
	chat_delta_fn *each;
	void *owner; /* of `each` */
};

struct chat_reader *chat_reader_new(const struct chat_reader_options *options, struct err *err);
void chat_reader_free(struct chat_reader **reader);

/* Reads one event's data, or a whole completion: the answer of a server that does not stream. The deltas are handed on
 * before this returns. The plain chunk with a piece of text or of reasoning goes through a scanner (about 0.1 µs),
 * everything that the scanner does not know for certain through the JSON gate and cJSON; both give the same result (a
 * test compares them).
 *
 * A finish reason or [DONE] ends the answer: what was held back, because it could have been the start of a tag, is
 * handed on. When an answer breaks off, those few bytes are lost with what would have followed them.
 * -1 with ERR_INVALID when it is no JSON, not the shape of a chunk, or holds a call that cannot be shown (without a
 * name, or with one that is no function's); with ERR_MEMORY; or, `err` untouched, when the callback stopped it. */
int chat_reader_read(struct chat_reader *reader, struct str data, struct chat_chunk *chunk, struct err *err);

/* The message and code of an error answer's body ({"error":{"message","code"|"type"}} or {"error":"…"} or any text,
 * cut). */
void chat_error_read(struct str body, char *message, size_t message_size, char *code, size_t code_size);

#endif
