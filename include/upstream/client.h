/* The upstream: servers with the Chat Completions API, reached over http:// or https://.
 *
 * A request goes to the first server in order that serves its model and can do what it needs. One that fails before the
 * first token gives it to the next; one that fails again and again is passed over for a while.
 *
 * Loop thread only. Tokens rise through `struct upstream_sink`; no callback runs inside upstream_start. After
 * upstream_cancel none runs, and the connection is closed at once. */
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

#define UPSTREAM_MAX 17 /* servers */
#define UPSTREAM_NAME_SIZE 33

/* What a model's server can do, as its settings declare. */
#define UPSTREAM_CAN_TOOLS 1u
#define UPSTREAM_CAN_IMAGES 2u
#define UPSTREAM_CAN_FILES 4u
#define UPSTREAM_CAN_REASONING 8u

/* Of one server. All is copied. */
struct upstream_options {
	const char *name;                 /* of [a-z0-9-]: in lists, logs and metrics; NULL: "default" */
	const char *url;                  /* base, without the trailing slash: http://127.0.0.1:8081/v1 */
	const char *api_key;              /* NULL: no Authorization header */
	const char *ca_file;              /* NULL: the system's */
	const char *models;               /* names separated by single spaces; NULL, "": what GET /models lists */
	uint32_t can;                     /* UPSTREAM_CAN_… */
	uint32_t context;                 /* tokens; 0: not declared */
	double input_price, output_price; /* per million tokens; negative: not declared */
	enum chat_think think;            /* how its models' texts hold their reasoning */
	int64_t connect_timeout_ms;       /* name, TCP and TLS */
	/* From upstream_start to the first text, all tries included. That of the first server asked holds for all; while
	 * another is left to ask, one gets an even share of it. */
	int64_t first_token_timeout_ms;
	int64_t silence_timeout_ms; /* between any two reads after it */
	/* Of the first server asked. A try is a round: every server that has the model is asked once. */
	uint32_t retries;          /* more rounds before the first token, at most */
	int64_t retry_base_ms;     /* the first pause; doubles, with full jitter; a longer Retry-After wins */
	int64_t retry_max_ms;      /* no pause is longer; a longer Retry-After ends the tries */
	uint32_t breaker_failures; /* so many in a row, and it is passed over while there is another; 0: never */
	int64_t breaker_pause_ms;  /* for so long at first; doubles up to 5 minutes while it goes on failing */
	size_t max_event;          /* bytes of one SSE event */
};

/* How the servers have been doing, for all loops that ask them: one that fails again and again is passed over by all. */
struct upstream_vitals;
struct upstream_vitals *upstream_vitals_new(struct err *err);
void upstream_vitals_free(struct upstream_vitals **vitals); /* after all that use it */

struct upstream_deps {
	uv_loop_t *loop;
	const struct clock *clock;
	const struct log *log;
	struct metrics *metrics;
	struct upstream_vitals *vitals;
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
	UPSTREAM_UNAVAILABLE, /* no server was asked: all that have the model are being passed over */
	UPSTREAM_UNABLE,      /* no server was asked: none that has the model can do what the request needs */
};

/* A stable name for error.code, logs and metrics: "upstream_refused". Static. */
const char *upstream_error_name(enum upstream_error error);

struct upstream_outcome {
	enum upstream_error error;
	enum chat_finish finish; /* when error is UPSTREAM_OK; FINISH_NONE never is OK */
	struct chat_usage usage; /* also with an error, if it was said before */
	int http_status;         /* 0: none came */
	int64_t retry_after_ms;  /* from the last answer; -1: not said */
	uint32_t tries;
	bool untouched; /* an error that surely cost nothing: no try came to a model, which could not be reached or refused */
	char text[256]; /* what happened, for the user: may quote the upstream, so not for logs; never the key */
	char code
		[CHAT_CODE_SIZE]; /* the upstream's own for an error that it told of: context_length_exceeded; "": none */
	char service_tier[CHAT_TIER_SIZE]; /* the one that served, of [a-z_]; "": not said */
};

struct upstream_sink {
	/* One piece of the answer, in order. Borrowed. */
	void (*delta)(void *owner, const struct chat_delta *delta);
	/* One read from the socket is used up: what came with it may now be passed on together. */
	void (*flush)(void *owner);
	/* The last callback. The call is gone when it returns. */
	void (*finished)(void *owner, const struct upstream_outcome *outcome);
};

/* `options` is an array, in the order in which the servers are asked; 1 to UPSTREAM_MAX. `default_model` is for a request
 * that names none; "" takes the first that is listed. Asks for the lists of models. */
struct upstream *upstream_new(const struct upstream_options *options, size_t count, const char *default_model,
			      const struct upstream_deps *deps, struct err *err);
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

/* A model as GET /v1/models shows it. Where several servers have it, the first in order says what is declared. */
struct upstream_model {
	const char *name;
	const char *upstream;             /* name of the server */
	uint32_t can;                     /* UPSTREAM_CAN_…: what at least one of its servers can */
	uint32_t context;                 /* tokens; 0: not declared */
	double input_price, output_price; /* per million tokens; negative: not declared */
	int64_t seen_ms;                  /* when it was first listed, wall time; 0: it never was */
};

/* All models, each name once, in the servers' order: as declared, or as their lists last were; these are asked for at start
 * and again when older than `max_age_ms` (the answer then is the old one). Returns how many, and the array (borrowed until
 * the loop runs on). */
size_t upstream_models(struct upstream *upstream, int64_t max_age_ms, const struct upstream_model **models);

enum upstream_choice {
	UPSTREAM_CHOSEN,
	UPSTREAM_NO_SUCH_MODEL, /* all lists are known, and none has it */
	UPSTREAM_NONE_LISTED,   /* none was asked for, none is the default, and no list is known */
};

/* Which model a request means that names `asked` ("": the default), and what may be asked of it. `model` borrows `asked`,
 * and otherwise until the loop runs on. */
enum upstream_choice upstream_choose(struct upstream *upstream, const char *asked, struct upstream_model *model);

enum upstream_health {
	UPSTREAM_UNSEEN,  /* it has not answered yet */
	UPSTREAM_UP,      /* it answered, and has not failed too often since */
	UPSTREAM_PASSED,  /* it failed too often and is passed over */
	UPSTREAM_PROBING, /* one request is trying it */
};

struct upstream_state {
	const char *name;
	enum upstream_health health;
	size_t models; /* it serves; 0 while that is not known */
};

/* The state of the server with this number, from 0 on in order. False: there is none. */
bool upstream_state(const struct upstream *upstream, size_t number, struct upstream_state *state);
/* "ok", "unknown", "open", "probing". Static. */
const char *upstream_health_name(enum upstream_health health);
/* Whether at least one server is up. */
bool upstream_is_up(const struct upstream *upstream);

#endif
