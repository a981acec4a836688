/* The upstream: any server with the Chat Completions API, reached through libcurl's multi interface on the loop.
 *
 * Loop thread only. Tokens rise through `struct upstream_sink`; no callback runs inside upstream_start. After
 * upstream_cancel none runs, and the connection is closed at once. The sole user of libcurl. */
#ifndef SLUICE_UPSTREAM_CLIENT_H
#define SLUICE_UPSTREAM_CLIENT_H

#include <uv.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/metrics.h"
#include "upstream/chat.h"

struct upstream;
struct upstream_call; /* one request under way; freed by the client after `finished`, or by upstream_cancel */

struct upstream_options {
	const char *url;                /* base, without the trailing slash: http://127.0.0.1:8081/v1 */
	const char *api_key;            /* NULL: no Authorization header */
	const char *ca_file;            /* NULL: the system's */
	int64_t connect_timeout_ms;     /* name, TCP and TLS */
	int64_t first_token_timeout_ms; /* from upstream_start to the first text, all tries included */
	int64_t silence_timeout_ms;     /* between any two reads after it */
	uint32_t retries;               /* more tries before the first token, at most */
	int64_t retry_base_ms;          /* the first pause; doubles, with full jitter; a longer Retry-After wins */
	int64_t retry_max_ms;           /* no pause is longer; a longer Retry-After ends the tries */
	size_t max_event;               /* bytes of one SSE event */
	enum chat_think think;          /* how its models' texts hold their reasoning */
};

struct upstream_deps {
	uv_loop_t *loop;
	const struct clock *clock;
	const struct log *log;
	struct metrics *metrics;
};

enum upstream_error {
	UPSTREAM_OK,
	UPSTREAM_REFUSED, /* connection refused, reset before an answer, unreachable */
	UPSTREAM_UNKNOWN_HOST,
	UPSTREAM_TLS,
	UPSTREAM_UNAUTHORIZED, /* 401, 403: our key is wrong; the client can't mend it */
	UPSTREAM_REJECTED,     /* other 4xx: the request was not to its liking */
	UPSTREAM_RATE_LIMITED, /* 429 */
	UPSTREAM_SERVER,       /* 5xx */
	UPSTREAM_TIMEOUT,      /* connect or first-token deadline */
	UPSTREAM_STALLED,      /* silence deadline, in mid-stream */
	UPSTREAM_CUT,          /* closed before a finish reason or [DONE] */
	UPSTREAM_PROTOCOL,     /* not SSE, not JSON, an event too large */
	UPSTREAM_REPORTED,     /* an error object within the stream */
	UPSTREAM_MEMORY,
};

/* A stable name for error.code, logs and metrics: "upstream_refused". Static. */
const char *upstream_error_name(enum upstream_error error);

/* What a model's server can do, as its settings declare. */
#define UPSTREAM_CAN_TOOLS 1u
#define UPSTREAM_CAN_IMAGES 2u
#define UPSTREAM_CAN_FILES 4u
#define UPSTREAM_CAN_REASONING 8u

struct upstream_outcome {
	enum upstream_error error;
	enum chat_finish finish; /* when error is UPSTREAM_OK; FINISH_NONE never is OK */
	struct chat_usage usage; /* also with an error, if it was said before */
	int http_status;         /* 0: none came */
	int64_t retry_after_ms;  /* from the last answer; -1: not said */
	uint32_t tries;
	bool untouched; /* an error that surely cost nothing: no try came to a model, which could not be reached or refused */
	char text[256]; /* what happened, for the user: may quote the upstream, so not for logs; never the key */
	char code[64];  /* the upstream's own code for an error that it told of: context_length_exceeded; "": none */
	char service_tier[16]; /* the one that served, of [a-z_]; "": not said */
};

struct upstream_sink {
	/* One piece of the answer, in order. Borrowed. */
	void (*delta)(void *owner, const struct chat_delta *delta);
	/* One read from the socket is used up: what came with it may now be passed on together. */
	void (*flush)(void *owner);
	/* The last callback. The call is gone when it returns. */
	void (*finished)(void *owner, const struct upstream_outcome *outcome);
};

struct upstream *upstream_new(const struct upstream_options *options, const struct upstream_deps *deps,
			      struct err *err);
/* All calls must have finished or been cancelled; not from within a callback. The loop then still has handles to close:
 * call uv_run afterwards. */
void upstream_free(struct upstream **upstream);

/* Copies what it needs of the request. NULL when memory is out. */
struct upstream_call *upstream_start(struct upstream *upstream, const struct chat_request *request,
				     const struct log *log, const struct upstream_sink *sink, void *owner,
				     struct err *err);
/* Stops it, also from within a callback: the connection is closed before this returns (over HTTP/2 the stream is
 * reset), no callback runs any more. Sets *call to NULL; NULL is fine. */
void upstream_cancel(struct upstream_call **call);

/* The names of GET /models, as they last were; asked at start and again when older than `max_age_ms` (the answer then
 * is the old one). Returns how many, and the array (borrowed until the loop runs on). */
size_t upstream_models(struct upstream *upstream, int64_t max_age_ms, char *const **names);
/* Whether the model list was ever fetched well: for /readyz, and so that a model is only called unknown when it is. */
bool upstream_models_known(const struct upstream *upstream);

#endif
