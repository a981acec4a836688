/* The request to create a response: Open Responses CreateResponseBody and WebSocketResponseCreateEvent. Every field of the
 * schema is known here: read, or refused by name. Unknown fields are refused too. Pure. */
#ifndef SLUICE_PROTO_REQUEST_H
#define SLUICE_PROTO_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/json.h"
#include "proto/error.h"
#include "proto/item.h"
#include "proto/tool.h"

#define REQUEST_MODEL_SIZE 128
#define STREAM_ID_SIZE 257
#define REQUEST_KEY_SIZE 256 /* of an idempotency key, with its NUL */

enum text_format { TEXT_PLAIN, TEXT_JSON_OBJECT, TEXT_JSON_SCHEMA };

/* Open Responses: TextParam. */
struct text_settings {
	enum text_format format;
	char name[ITEM_NAME_SIZE]; /* of the schema; "" when not given */
	char *description;         /* owned; NULL: none */
	char *schema;              /* owned JSON object; NULL: none, and any JSON is asked for */
	bool strict;
	char verbosity[8]; /* "low", "medium", "high"; "" when not given */
};

#define REQUEST_LABEL_SIZE 257 /* 64 characters of UTF-8 and a NUL */

/* What a response repeats of its request. */
struct request_settings {
	char model[REQUEST_MODEL_SIZE]; /* "" when the request named none */
	char *instructions;             /* owned; NULL when not given */
	char *metadata; /* owned JSON object; NULL when not given. At most 16 pairs, 64 and 512 characters */
	bool has_temperature, has_top_p, has_max_output_tokens;
	bool has_presence_penalty, has_frequency_penalty, has_max_tool_calls, has_top_logprobs, has_parallel_tool_calls;
	double temperature;                         /* 0 to 2 */
	double top_p;                               /* 0 to 1 */
	double presence_penalty, frequency_penalty; /* -2 to 2 */
	int64_t max_output_tokens;                  /* 16 or more */
	int64_t max_tool_calls;                     /* 1 or more */
	int64_t top_logprobs;                       /* 0 to 20 */
	bool parallel_tool_calls;
	struct tool_list tools;
	struct tool_choice tool_choice;
	struct text_settings text;
	char effort[8];  /* none, minimal, low, medium, high, xhigh; "" when not given */
	char summary[9]; /* auto: the only one that can be honoured; "" when not given */
	bool truncates;  /* truncation: auto */
	bool background;
	bool includes_logprobs,
		includes_encrypted; /* include: message.output_text.logprobs, reasoning.encrypted_content */
	char service_tier[9];       /* auto, default, flex, priority; "" when not given */
	char safety_identifier[REQUEST_LABEL_SIZE]; /* "" when not given */
	char prompt_cache_key[REQUEST_LABEL_SIZE];  /* "" when not given */
	/* What only Chat Completions knows and this server only hands on: members of a JSON object (stop, seed, logit_bias),
	 * each with a comma before it. Owned; NULL: none. Not shown, not stored. */
	char *chat_members;
	bool store; /* true unless refused */
};

struct request {
	struct request_settings settings;
	char previous_response_id[ID_SIZE]; /* "" for none */
	char conversation[ID_SIZE];         /* to go on with, behind its latest response; "" for none. Not both */
	struct item_list input;             /* empty only when it goes on with one of these */
	bool stream;                        /* HTTP only */
	bool obfuscates;                    /* stream_options.include_obfuscation: deltas carry padding */
	bool prepare_only;                  /* WebSocket only (generate: false): the model is not asked */
	bool counts;                        /* with prepare_only: how many tokens the model would be shown is wanted */
	/* WebSocket: its field of this name. HTTP: whoever read the header puts it here. "" for none. */
	char idempotency_key[REQUEST_KEY_SIZE];
};

enum request_transport { REQUEST_HTTP, REQUEST_WEBSOCKET };

/* Reads the object. On WebSocket `type` is expected and `stream: true` tolerated, `background: true` and
 * `stream_options` refused. null is as if the field were not there. -1 with a filled error; the request is then empty.
 * `now_ms` dates the ids it makes. */
int request_read(const struct json *object, enum request_transport transport, int64_t now_ms, struct request *request,
		 struct api_error *error);
/* The value of `input`: the user's text, or an array of items. -1 with a filled error; the list is empty then. */
int request_read_input(const struct json *value, int64_t now_ms, struct item_list *input, struct api_error *error);
void request_free(struct request *request);
/* The lane that a WebSocket message names with `stream_id`, 1 to 256 of [A-Za-z0-9_.-]; "" when it names none. -1 with
 * INVALID_STREAM_ID for anything else. */
int request_stream_id(const struct json *message, char stream_id[static STREAM_ID_SIZE], struct api_error *error);
/* "colour is not a known field", of a message; returns -1 */
int request_unknown_field(struct api_error *error, struct str name);
/* An idempotency key: 1 to 255 visible ASCII characters. -1 with an error that names `param`. */
int request_read_key(struct str text, const char *param, char key[static REQUEST_KEY_SIZE], struct api_error *error);
/* Appends what the request asks for, in one form for both transports: not how it wants to hear the answer, and not the
 * ids of its items, most of which were made here; only those of references, which ask for something. */
void request_write_asked(struct buf *out, const struct request *request);
void request_settings_free(struct request_settings *settings);
/* Deep copy; -1 when memory is out. */
int request_settings_copy(struct request_settings *to, const struct request_settings *from);

/* The members that a response object repeats of them, defaults filled in: ResponseResource. */
void request_settings_echo(struct json_writer *w, const struct request_settings *settings);
/* The settings as a JSON object, and back: how they are stored. Only what was said is in it. */
void request_settings_write(struct buf *out, const struct request_settings *settings);
int request_settings_read(struct str text, struct request_settings *settings, struct err *err);

#endif
