#include "upstream/client.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "deadline.h"
#include "endpoint.h"
#include "fault.h"
#include "models.h"
#include "multi.h"
#include "retry.h"
#include "upstream/sse.h"

/* Transfers of one multi handle. Over TLS a handle of its own costs a set of CA certificates, and HTTP/2 needs few
 * connections anyway. */
#define SHARD_SIZE 64
#define SHARD_SIZE_TLS 256
/* An error answer is read so far. */
#define MAX_ERROR_BODY 16384
/* After [DONE] the answer should end at once; waiting for it keeps the connection usable. */
#define ENDING_MS 100

enum queue { QUEUE_FIRST_TOKEN, QUEUE_SILENCE, QUEUE_ENDING, QUEUE_PAUSE };

struct upstream {
	struct upstream_options options; /* numbers only; the texts are the endpoint's */
	const struct clock *clock;
	struct multi *multi;
	struct endpoint *endpoint;
	struct models *models;
	struct deadlines *deadlines;
	struct buf scratch; /* of the chunk being read */
	struct counter *requests;
	struct counter *retries;
	struct counter *errors[FAULT_COUNT];
	struct histogram *first_token;
	struct gauge *live;
};

enum call_state {
	CALL_ASKING,     /* no byte of an answer's body yet */
	CALL_COLLECTING, /* an answer that is no stream: an error, or a whole completion */
	CALL_STREAMING,
	CALL_ENDING, /* [DONE] came */
	CALL_PAUSED, /* until the next try */
	CALL_OVER,
};

struct upstream_call {
	struct upstream *upstream;
	struct upstream_sink sink;
	void *owner;
	struct log log;
	struct transfer transfer;
	struct deadline deadline;
	struct sse_parser sse;
	struct buf request; /* its body */
	struct buf answer;  /* what is collected */
	struct buf said;    /* the upstream's own words about an error; may hold content: never logged */
	enum call_state state;
	enum upstream_error verdict; /* of the event being read; UPSTREAM_OK: go on */
	bool in_callback;            /* upstream_cancel leaves the memory to whoever runs the callback */
	bool cancelled;
	bool unconnected;           /* the last try found nobody */
	bool touched;               /* a try before it may have come to a model */
	bool texted;                /* the first text has come */
	bool unflushed;             /* text has come with this read */
	bool ending;                /* the deadline of the answer's end runs */
	const char *reason;         /* libcurl's words for a failed transfer; static */
	struct chat_reader *reader; /* of the answer of this try */
	bool called;                /* a function call has come */
	enum chat_finish finish;
	struct chat_usage usage;
	char code[64];
	char service_tier[16];
	int64_t started_us;
	int64_t first_token_due_ms;
	int64_t retry_after_ms;
	int status;
	uint32_t tries;
};

/* --- life of a call --------------------------------------------------------------------------------------------- */

static void call_move(struct upstream_call *call, enum call_state to) {
#define TO(state) (1u << (state))
	static const unsigned allowed[] = {
		[CALL_ASKING] = TO(CALL_COLLECTING) | TO(CALL_STREAMING) | TO(CALL_PAUSED) | TO(CALL_OVER),
		[CALL_COLLECTING] = TO(CALL_PAUSED) | TO(CALL_OVER),
		[CALL_STREAMING] = TO(CALL_ENDING) | TO(CALL_OVER),
		[CALL_ENDING] = TO(CALL_OVER),
		[CALL_PAUSED] = TO(CALL_ASKING) | TO(CALL_OVER),
		[CALL_OVER] = 0,
	};
	if (!(allowed[call->state] & TO(to))) {
		log_error(&call->log, "upstream call moved out of turn", LOG_I("from", call->state), LOG_I("to", to));
	}
	call->state = to;
#undef TO
}

/* Nothing runs for it any more; its connection is closed. */
static void call_stop(struct upstream_call *call) {
	deadline_clear(&call->deadline);
	multi_stop(&call->transfer);
	if (call->transfer.easy) {
		curl_easy_cleanup(call->transfer.easy);
		call->transfer.easy = NULL;
		gauge_add(call->upstream->live, -1);
	}
}

static void call_free(struct upstream_call *call) {
	call_stop(call);
	buf_free(&call->transfer.input);
	buf_free(&call->request);
	buf_free(&call->answer);
	buf_free(&call->said);
	sse_free(&call->sse);
	chat_reader_free(&call->reader);
	mem_free(call);
}

static void outcome_text(const struct upstream_call *call, enum upstream_error error, char *text, size_t size) {
	struct str said = buf_str(&call->said);
	if (said.length == 0 || error == UPSTREAM_UNAUTHORIZED || endpoint_key_in(call->upstream->endpoint, said)) {
		snprintf(text, size, "%s", fault_text(error));
	} else {
		char cut[200];
		str_copy_cut(cut, sizeof cut, said);
		snprintf(text, size, "%s: %s", fault_text(error), cut);
	}
}

/* Whether a try that ended so surely made no model work. */
static bool is_harmless(const struct upstream_call *call, enum upstream_error error) {
	switch (error) {
	case UPSTREAM_UNKNOWN_HOST:
	case UPSTREAM_TLS:
	case UPSTREAM_UNAUTHORIZED:
	case UPSTREAM_RATE_LIMITED:
		return true;
	case UPSTREAM_REFUSED:
		return call->unconnected; /* and not a connection that broke behind the request */
	default:
		return false;
	}
}

/* The last act: the owner hears of it, then the call is gone. */
static void call_finish(struct upstream_call *call, enum upstream_error error) {
	struct upstream_outcome outcome = {
		.error = error,
		.finish = error == UPSTREAM_OK ? call->finish : CHAT_FINISH_NONE,
		.usage = call->usage,
		.http_status = call->status,
		.retry_after_ms = call->retry_after_ms,
		.tries = call->tries,
		.untouched = !call->touched && is_harmless(call, error),
	};
	outcome_text(call, error, outcome.text, sizeof outcome.text);
	if (error != UPSTREAM_OK && !endpoint_key_in(call->upstream->endpoint, str_of(call->code))) {
		str_copy(outcome.code, sizeof outcome.code, str_of(call->code));
	}
	str_copy(outcome.service_tier, sizeof outcome.service_tier, str_of(call->service_tier));
	call_move(call, CALL_OVER);
	call_stop(call);
	if (error != UPSTREAM_OK) {
		counter_add(call->upstream->errors[error], 1);
		log_warn(&call->log, "upstream failed", LOG_S("error", upstream_error_name(error)),
			 LOG_S("reason", call->reason), LOG_I("status", call->status), LOG_I("tries", call->tries));
	}
	call->in_callback = true;
	call->sink.finished(call->owner, &outcome);
	call_free(call);
}

static int call_try(struct upstream_call *call, struct err *err) {
	struct upstream *upstream = call->upstream;
	buf_clear(&call->answer);
	buf_clear(&call->said);
	call->code[0] = '\0';
	call->verdict = UPSTREAM_OK;
	call->reason = "";
	call->status = 0;
	call->retry_after_ms = -1;
	if (multi_start(upstream->multi, &call->transfer, err)) {
		return -1;
	}
	call->tries++;
	deadline_set(upstream->deadlines, &call->deadline, QUEUE_FIRST_TOKEN, call->first_token_due_ms);
	return 0;
}

static uint64_t random_u64(void) {
	uint64_t random = 0;
	uv_random(NULL, NULL, &random, sizeof random, 0, NULL);
	return random;
}

/* A try went wrong before the first token: another one, after a pause, or the end. */
static void call_fail(struct upstream_call *call, enum upstream_error error) {
	struct upstream *upstream = call->upstream;
	const struct retry_policy policy = {upstream->options.retries, upstream->options.retry_base_ms,
					    upstream->options.retry_max_ms};
	int64_t pause_ms = -1;
	if (fault_is_passing(error, call->status)) {
		pause_ms = retry_pause_ms(&policy, call->tries, call->retry_after_ms, random_u64());
	}
	int64_t due_ms = deadlines_now_ms(upstream->deadlines) + pause_ms;
	if (pause_ms < 0 || due_ms >= call->first_token_due_ms) {
		call_finish(call, error);
		return;
	}
	call->touched = call->touched || !is_harmless(call, error);
	multi_stop(&call->transfer);
	call_move(call, CALL_PAUSED);
	deadline_set(upstream->deadlines, &call->deadline, QUEUE_PAUSE, due_ms);
	counter_add(upstream->retries, 1);
	log_info(&call->log, "upstream is tried again", LOG_S("error", upstream_error_name(error)),
		 LOG_S("reason", call->reason), LOG_I("status", call->status), LOG_I("tries", call->tries),
		 LOG_I("pause_ms", pause_ms));
}

/* --- reading the answer ----------------------------------------------------------------------------------------- */

/* -1: the owner cancelled. */
static int on_delta(void *owner, const struct chat_delta *delta) {
	struct upstream_call *call = owner;
	struct upstream *upstream = call->upstream;
	if (!call->texted) {
		call->texted = true;
		histogram_observe_us(upstream->first_token, clock_monotonic_us(upstream->clock) - call->started_us);
	}
	call->called = call->called || delta->kind == CHAT_DELTA_CALL;
	call->unflushed = true;
	call->sink.delta(call->owner, delta);
	return call->cancelled ? -1 : 0;
}

/* What a chunk, or a whole completion, said besides its deltas. false: stop reading. */
static bool call_take(struct upstream_call *call, const struct chat_chunk *chunk) {
	if (chunk->usage.known) {
		call->usage = chunk->usage;
	}
	if (chunk->service_tier[0] != '\0') {
		memcpy(call->service_tier, chunk->service_tier, sizeof call->service_tier);
	}
	if (chunk->is_error) {
		buf_append_text(&call->said, chunk->error_text);
		memcpy(call->code, chunk->error_code, sizeof call->code);
		call->verdict = UPSTREAM_REPORTED;
		return false;
	}
	if (chunk->finish != CHAT_FINISH_NONE) {
		call->finish = chunk->finish;
	}
	return true;
}

/* Several servers say that they are done and not why. */
static enum chat_finish finish_unsaid(const struct upstream_call *call) {
	return call->called ? CHAT_FINISH_TOOLS : CHAT_FINISH_STOP;
}

static enum upstream_error verdict_of(const struct err *err) {
	return err->code == ERR_MEMORY ? UPSTREAM_MEMORY : UPSTREAM_PROTOCOL;
}

static int on_event(void *owner, struct str data) {
	struct upstream_call *call = owner;
	if (call->state == CALL_ENDING) {
		return 0;
	}
	struct chat_chunk chunk;
	struct err err = {0};
	if (chat_reader_read(call->reader, data, &chunk, &err)) {
		if (!call->cancelled) {
			call->verdict = verdict_of(&err);
			log_warn(&call->log, "upstream event not understood", LOG_ERR(&err));
		}
		return -1;
	}
	if (chunk.done) {
		if (call->finish == CHAT_FINISH_NONE) {
			call->finish = finish_unsaid(call);
		}
		call_move(call, CALL_ENDING);
		return 0;
	}
	return call_take(call, &chunk) ? 0 : -1;
}

static void call_read_stream(struct upstream_call *call) {
	struct err err = {0};
	if (sse_feed(&call->sse, buf_str(&call->transfer.input), on_event, call, &err) == 0) {
		return;
	}
	if (!call->cancelled && call->verdict == UPSTREAM_OK) {
		call->verdict = verdict_of(&err);
		log_warn(&call->log, "upstream stream not understood", LOG_ERR(&err));
	}
}

static bool is_success(int status) {
	return status >= 200 && status <= 299;
}

static void call_collect(struct upstream_call *call) {
	bool success = is_success(call->status);
	size_t room = (success ? call->upstream->options.max_event : MAX_ERROR_BODY) - call->answer.length;
	struct str input = buf_str(&call->transfer.input);
	if (input.length > room) {
		input.length = room;
		call->verdict = success ? UPSTREAM_PROTOCOL : fault_of_status(call->status);
	}
	buf_append_str(&call->answer, input);
	if (call->answer.failed) {
		call->verdict = UPSTREAM_MEMORY;
	}
}

static bool is_type(const char *content_type, const char *wanted) {
	size_t length = strlen(wanted);
	return content_type && strncasecmp(content_type, wanted, length) == 0 &&
	       (content_type[length] == '\0' || strchr("; \t", content_type[length]));
}

static void call_expect(struct upstream_call *call) {
	const struct chat_reader_options options = {
		.think = call->upstream->options.think,
		.scratch = &call->upstream->scratch,
		.each = on_delta,
		.owner = call,
	};
	chat_reader_free(&call->reader);
	call->reader = chat_reader_new(&options, NULL);
	if (!call->reader) {
		call->verdict = UPSTREAM_MEMORY;
	}
}

/* The head of the answer is there: what its body will be. */
static void call_answered(struct upstream_call *call) {
	CURL *easy = call->transfer.easy;
	long status = 0;
	char *type = NULL;
	curl_off_t retry_after_s = 0;
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
	curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after_s);
	call->status = (int)status;
	if (retry_after_s > 0) {
		call->retry_after_ms = retry_after_s > INT64_MAX / 1000 ? INT64_MAX : retry_after_s * 1000;
	}
	if (is_success(call->status)) {
		call_expect(call);
	}
	if (is_success(call->status) && is_type(type, "text/event-stream")) {
		call_move(call, CALL_STREAMING);
		return;
	}
	call_move(call, CALL_COLLECTING);
	if (is_success(call->status) && call->verdict == UPSTREAM_OK && !is_type(type, "application/json")) {
		buf_append_text(&call->said, "it is neither an event stream nor JSON");
		call->verdict = UPSTREAM_PROTOCOL;
	}
}

/* The body of the request was kept for another try, which there won't be after the first text. libcurl sends from it
 * until all is sent. */
static void call_drop_request(struct upstream_call *call) {
	curl_off_t sent = 0;
	curl_easy_getinfo(call->transfer.easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	if (!endpoint_is_tls(call->upstream->endpoint) && (size_t)sent == call->request.length) {
		buf_free(&call->request);
	}
}

/* What one read brought is used up: the owner may pass it on, and the next deadline runs. */
static void call_flush(struct upstream_call *call) {
	struct upstream *upstream = call->upstream;
	int64_t now_ms = deadlines_now_ms(upstream->deadlines);
	if (call->state == CALL_ENDING) {
		if (!call->ending) {
			call->ending = true;
			deadline_set(upstream->deadlines, &call->deadline, QUEUE_ENDING, now_ms + ENDING_MS);
		}
	} else if (call->texted) {
		deadline_set(upstream->deadlines, &call->deadline, QUEUE_SILENCE,
			     now_ms + upstream->options.silence_timeout_ms);
	}
	if (call->unflushed) {
		call->unflushed = false;
		call->sink.flush(call->owner);
	}
}

/* The answer of a server that does not stream. */
static void call_read_whole(struct upstream_call *call) {
	struct chat_chunk chunk;
	struct err err = {0};
	if (chat_reader_read(call->reader, buf_str(&call->answer), &chunk, &err)) {
		call->verdict = call->cancelled ? UPSTREAM_OK : verdict_of(&err);
	} else if (call_take(call, &chunk)) {
		if (call->finish == CHAT_FINISH_NONE) {
			call->finish = finish_unsaid(call);
		}
		call_flush(call);
	}
}

/* What was collected is all that comes. */
static void call_judge(struct upstream_call *call, bool complete) {
	if (!is_success(call->status)) {
		char message[200];
		chat_error_read(buf_str(&call->answer), message, sizeof message, call->code, sizeof call->code);
		buf_append_text(&call->said, message);
		call_fail(call, fault_of_status(call->status));
		return;
	}
	if (complete) {
		call->in_callback = true;
		call_read_whole(call);
		call->in_callback = false;
	} else {
		call->verdict = UPSTREAM_CUT;
	}
	if (call->cancelled) {
		call_free(call);
	} else {
		call_finish(call, call->verdict);
	}
}

static void on_readable(struct transfer *transfer) {
	struct upstream_call *call = container_of(transfer, struct upstream_call, transfer);
	bool texted = call->texted;
	call->in_callback = true;
	if (call->state == CALL_ASKING) {
		call_answered(call);
	}
	if (call->state == CALL_STREAMING && call->verdict == UPSTREAM_OK) {
		call_read_stream(call);
	} else if (call->state == CALL_COLLECTING && call->verdict == UPSTREAM_OK) {
		call_collect(call);
	}
	if (!call->cancelled) {
		buf_clear(&transfer->input);
		if (call->texted && !texted) {
			call_drop_request(call);
		}
		call_flush(call);
	}
	call->in_callback = false;
	if (call->cancelled) {
		call_free(call);
	} else if (call->verdict != UPSTREAM_OK && call->state == CALL_COLLECTING && !is_success(call->status)) {
		call_judge(call, false);
	} else if (call->verdict != UPSTREAM_OK) {
		call_finish(call, call->verdict);
	}
}

static void on_done(struct transfer *transfer, CURLcode code) {
	struct upstream_call *call = container_of(transfer, struct upstream_call, transfer);
	long status = 0;
	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	call->reason = code == CURLE_OK ? "" : curl_easy_strerror(code);
	call->unconnected = code == CURLE_COULDNT_CONNECT;
	if (fault_of_transfer(code) == UPSTREAM_MEMORY) {
		call_finish(call, UPSTREAM_MEMORY);
		return;
	}
	if (call->state == CALL_ASKING && status != 0) {
		call_answered(call); /* an answer without a body */
	}
	switch (call->state) {
	case CALL_ASKING:
		call_fail(call, fault_of_transfer(code));
		break;
	case CALL_COLLECTING:
		if (call->verdict != UPSTREAM_OK) {
			call_finish(call, call->verdict);
		} else {
			call_judge(call, code == CURLE_OK);
		}
		break;
	default:
		/* With a finish reason the text is whole, however the connection ended. */
		call_finish(call, call->finish == CHAT_FINISH_NONE ? UPSTREAM_CUT : UPSTREAM_OK);
	}
}

static void on_deadline(struct deadline *deadline) {
	struct upstream_call *call = container_of(deadline, struct upstream_call, deadline);
	if (call->state == CALL_PAUSED) {
		call_move(call, CALL_ASKING);
		if (call_try(call, NULL)) {
			call_finish(call, UPSTREAM_MEMORY);
		}
	} else if (call->finish != CHAT_FINISH_NONE) {
		call_finish(call, UPSTREAM_OK);
	} else {
		call_finish(call, call->texted ? UPSTREAM_STALLED : UPSTREAM_TIMEOUT);
	}
}

static const struct transfer_events call_events = {.readable = on_readable, .done = on_done};

/* --- the interface ---------------------------------------------------------------------------------------------- */

struct upstream_call *upstream_start(struct upstream *upstream, const struct chat_request *request,
				     const struct log *log, const struct upstream_sink *sink, void *owner,
				     struct err *err) {
	struct upstream_call *call = mem_zalloc(sizeof *call);
	if (!call) {
		err_set(err, ERR_MEMORY, "no memory for an upstream call");
		return NULL;
	}
	call->upstream = upstream;
	call->sink = *sink;
	call->owner = owner;
	call->log = *log;
	call->transfer.events = &call_events;
	call->started_us = clock_monotonic_us(upstream->clock);
	call->first_token_due_ms = deadlines_now_ms(upstream->deadlines) + upstream->options.first_token_timeout_ms;
	sse_init(&call->sse, upstream->options.max_event);
	chat_request_write(&call->request, request);
	if (call->request.failed) {
		err_set(err, ERR_MEMORY, "no memory for an upstream request");
		goto fail;
	}
	call->transfer.easy = endpoint_post_chat(upstream->endpoint, buf_str(&call->request));
	if (!call->transfer.easy) {
		err_set(err, ERR_MEMORY, "no memory for an upstream request");
		goto fail;
	}
	gauge_add(upstream->live, 1);
	if (call_try(call, err)) {
		goto fail;
	}
	counter_add(upstream->requests, 1);
	return call;
fail:
	call_free(call);
	return NULL;
}

void upstream_cancel(struct upstream_call **call) {
	struct upstream_call *old = *call;
	if (!old) {
		return;
	}
	*call = NULL;
	call_stop(old);
	if (old->in_callback) {
		old->cancelled = true;
	} else {
		call_free(old);
	}
}

size_t upstream_models(struct upstream *upstream, int64_t max_age_ms, char *const **names) {
	models_refresh(upstream->models, max_age_ms);
	return models_names(upstream->models, names);
}

bool upstream_models_known(const struct upstream *upstream) {
	return models_known(upstream->models);
}

static void register_metrics(struct upstream *upstream, struct metrics *metrics) {
	upstream->requests =
		metrics_counter(metrics, "sluice_upstream_requests_total", NULL, "Answers asked of the upstream.");
	upstream->retries =
		metrics_counter(metrics, "sluice_upstream_retries_total", NULL, "Further tries after a failed one.");
	for (enum upstream_error error = UPSTREAM_OK + 1; error < FAULT_COUNT; error++) {
		upstream->errors[error] = metrics_counter(metrics, "sluice_upstream_errors_total", fault_label(error),
							  "Answers that ended with an error.");
	}
	upstream->first_token = metrics_histogram(metrics, "sluice_upstream_first_token_seconds", NULL,
						  "From the request to the first text.");
	upstream->live = metrics_gauge(metrics, "sluice_upstream_live", NULL, "Answers under way.");
}

static int fill(struct upstream *upstream, const struct upstream_options *options, const struct upstream_deps *deps,
		struct err *err) {
	upstream->options = *options;
	upstream->clock = deps->clock;
	register_metrics(upstream, deps->metrics);
	upstream->endpoint = endpoint_new(options, err);
	if (!upstream->endpoint) {
		return -1;
	}
	unsigned shard_size = endpoint_is_tls(upstream->endpoint) ? SHARD_SIZE_TLS : SHARD_SIZE;
	upstream->multi = multi_new(deps->loop, shard_size, err);
	upstream->deadlines = deadlines_new(deps->loop, deps->clock, on_deadline, err);
	if (!upstream->multi || !upstream->deadlines) {
		return -1;
	}
	upstream->models = models_new(upstream->multi, upstream->endpoint, deps->clock, deps->log, err);
	return upstream->models ? 0 : -1;
}

struct upstream *upstream_new(const struct upstream_options *options, const struct upstream_deps *deps,
			      struct err *err) {
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		err_set(err, ERR_MEMORY, "libcurl did not start");
		return NULL;
	}
	struct upstream *upstream = mem_zalloc(sizeof *upstream);
	if (!upstream) {
		err_set(err, ERR_MEMORY, "no memory for the upstream");
		curl_global_cleanup();
		return NULL;
	}
	if (fill(upstream, options, deps, err)) {
		upstream_free(&upstream);
		return NULL;
	}
	models_refresh(upstream->models, 0);
	return upstream;
}

void upstream_free(struct upstream **upstream) {
	struct upstream *old = *upstream;
	if (!old) {
		return;
	}
	*upstream = NULL;
	models_free(&old->models);
	multi_free(&old->multi);
	deadlines_free(&old->deadlines);
	endpoint_free(&old->endpoint);
	buf_free(&old->scratch);
	mem_free(old);
	curl_global_cleanup();
}
