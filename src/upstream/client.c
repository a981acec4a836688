#include "upstream/client.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "retry.h"
#include "round.h"
#include "upstream.h"
#include "upstream/sse.h"

/* An error answer is read so far. */
#define MAX_ERROR_BODY 16384
/* After [DONE] the answer should end at once; waiting for it keeps the connection usable. */
#define ENDING_MS 100

enum call_state {
	CALL_ASKING,     /* no byte of an answer's body yet */
	CALL_COLLECTING, /* an answer that is no stream: an error, or a whole completion */
	CALL_STREAMING,
	CALL_ENDING, /* [DONE] came */
	CALL_PAUSED, /* before the first try, and between two */
	CALL_OVER,
};

struct upstream_call {
	struct upstream *upstream;
	struct upstream_sink sink;
	void *owner;
	struct log log;
	struct round round;
	struct transfer transfer;
	struct deadline deadline;
	struct sse_parser sse;
	struct buf request; /* its body */
	struct buf answer;  /* what is collected */
	struct buf said;    /* the upstream's own words about an error; may hold content: never logged */
	enum call_state state;
	enum upstream_error verdict; /* of the event being read; UPSTREAM_OK: go on. Paused: if nobody may be asked */
	bool in_callback;            /* upstream_cancel leaves the memory to whoever runs the callback */
	bool cancelled;
	bool live;                  /* counted as such */
	bool shared;                /* the deadline that runs is its server's share */
	bool touched;               /* a try before it may have come to a model */
	bool texted;                /* the first delta has come */
	bool unflushed;             /* a delta has come with this read */
	bool ending;                /* the deadline of the answer's end runs */
	enum transfer_result ended; /* how the transfer of the last try did; TRANSFER_OK while it has not */
	struct chat_reader *reader; /* of the answer of this try */
	bool called;                /* a function call has come */
	enum chat_finish finish;
	struct chat_usage usage;
	char code[CHAT_CODE_SIZE];
	char service_tier[CHAT_TIER_SIZE];
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
		[CALL_STREAMING] = TO(CALL_ENDING) | TO(CALL_PAUSED) | TO(CALL_OVER),
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
	transfer_stop(&call->transfer);
	if (call->texted) {
		round_answered(&call->round);
	} else {
		round_abandon(&call->round);
	}
	if (call->live) {
		call->live = false;
		gauge_add(call->upstream->live, -1);
	}
}

static void call_free(struct upstream_call *call) {
	call_stop(call);
	buf_free(&call->request);
	buf_free(&call->answer);
	buf_free(&call->said);
	sse_free(&call->sse);
	chat_reader_free(&call->reader);
	mem_free(call);
}

static void outcome_text(const struct upstream_call *call, enum upstream_error error, char *text, size_t size) {
	struct str said = buf_str(&call->said);
	if (said.length == 0 || error == UPSTREAM_UNAUTHORIZED || endpoint_key_in(call->round.target->endpoint, said)) {
		snprintf(text, size, "%s", fault_text(error));
	} else {
		char cut[200];
		str_copy_cut(cut, sizeof cut, said);
		snprintf(text, size, "%s: %s", fault_text(error), cut);
	}
}

/* The last act: the owner hears of it, then the call is gone. */
static void call_finish(struct upstream_call *call, enum upstream_error error) {
	struct target *target = call->round.target;
	struct upstream_outcome outcome = {
		.error = error,
		.finish = error == UPSTREAM_OK ? call->finish : CHAT_FINISH_NONE,
		.usage = call->usage,
		.http_status = call->status,
		.retry_after_ms = call->retry_after_ms,
		.tries = call->tries,
		.untouched = !call->touched && fault_is_harmless(error, call->ended),
	};
	outcome_text(call, error, outcome.text, sizeof outcome.text);
	if (error != UPSTREAM_OK && target && !endpoint_key_in(target->endpoint, str_of(call->code))) {
		str_copy(outcome.code, sizeof outcome.code, str_of(call->code));
	}
	str_copy(outcome.service_tier, sizeof outcome.service_tier, str_of(call->service_tier));
	call_move(call, CALL_OVER);
	if (!target) {
		counter_add(call->upstream->unasked[error], 1);
	} else if (error == UPSTREAM_OK) {
		round_answered(&call->round);
	} else if (call->texted) {
		target_count_error(target, error);
	} else {
		round_failed(&call->round, error);
	}
	call_stop(call);
	if (error != UPSTREAM_OK) {
		log_warn(&call->log, "upstream failed", LOG_S("upstream", target ? target->name : ""),
			 LOG_S("error", upstream_error_name(error)), LOG_S("reason", call->transfer.reason),
			 LOG_I("status", call->status), LOG_I("tries", call->tries));
	}
	call->in_callback = true;
	call->sink.finished(call->owner, &outcome);
	call_free(call);
}

static void call_set_deadline(struct upstream_call *call, enum queue queue, int64_t due_ms) {
	unsigned first = call->round.target ? call->round.target->number * QUEUE_COUNT : 0;
	deadline_set(call->upstream->deadlines, &call->deadline, first + queue, due_ms);
}

/* A silent server gets only its share of the time, if another one is left to ask when that is over. */
static void call_bound(struct upstream_call *call) {
	int64_t share_ms = round_options(&call->round)->first_token_timeout_ms / call->round.route.count;
	int64_t due_ms = deadlines_now_ms(call->upstream->deadlines) + share_ms;
	call->shared = due_ms < call->first_token_due_ms;
	if (call->shared) {
		call_set_deadline(call, QUEUE_SHARE, due_ms);
	} else {
		call_set_deadline(call, QUEUE_FIRST_TOKEN, call->first_token_due_ms);
	}
}

/* Asks the server that the round has come to. */
static int call_try(struct upstream_call *call, struct err *err) {
	const struct target *target = call->round.target;
	buf_clear(&call->answer);
	buf_clear(&call->said);
	sse_free(&call->sse);
	sse_init(&call->sse, target->options.max_event);
	call->code[0] = '\0';
	call->service_tier[0] = '\0';
	call->verdict = UPSTREAM_OK;
	call->ended = TRANSFER_OK;
	call->status = 0;
	call->retry_after_ms = -1;
	call->finish = CHAT_FINISH_NONE;
	call->usage = (struct chat_usage){0};
	if (endpoint_post_chat(target->endpoint, &call->transfer, buf_str(&call->request), err)) {
		return -1;
	}
	call_move(call, CALL_ASKING);
	call->tries++;
	counter_add(target->requests, 1);
	call_bound(call);
	return 0;
}

/* Paused no longer: the next server of this round is asked. */
static void call_turn(struct upstream_call *call) {
	if (!round_next(&call->round)) {
		call_finish(call, call->verdict);
	} else if (call_try(call, NULL)) {
		call_finish(call, UPSTREAM_MEMORY);
	}
}

/* Another round, after a pause, or the end. */
static void call_repeat(struct upstream_call *call, enum upstream_error error) {
	struct upstream *upstream = call->upstream;
	int64_t pause_ms = round_pause_ms(&call->round);
	int64_t due_ms = deadlines_now_ms(upstream->deadlines) + pause_ms;
	if (pause_ms < 0 || due_ms >= call->first_token_due_ms) {
		call_finish(call, error);
		return;
	}
	call->touched = call->touched || !fault_is_harmless(error, call->ended);
	transfer_stop(&call->transfer);
	call_move(call, CALL_PAUSED);
	call->verdict = error;
	round_again(&call->round);
	call_set_deadline(call, QUEUE_PAUSE, due_ms);
	counter_add(upstream->retries, 1);
	log_info(&call->log, "upstream is tried again", LOG_S("upstream", call->round.target->name),
		 LOG_S("error", upstream_error_name(error)), LOG_S("reason", call->transfer.reason),
		 LOG_I("status", call->status), LOG_I("tries", call->tries), LOG_I("pause_ms", pause_ms));
}

/* A try went wrong before the first token: the next server at once, another round, or the end. */
static void call_fail(struct upstream_call *call, enum upstream_error error) {
	if (!fault_is_elsewhere(error, call->status)) {
		call_finish(call, error);
		return;
	}
	round_failed(&call->round, error);
	if (fault_is_passing(error, call->status)) {
		round_may_pass(&call->round, call->retry_after_ms);
	}
	if (!round_has_next(&call->round)) {
		call_repeat(call, error);
		return;
	}
	call->touched = call->touched || !fault_is_harmless(error, call->ended);
	log_info(&call->log, "next upstream is tried", LOG_S("upstream", call->round.target->name),
		 LOG_S("error", upstream_error_name(error)), LOG_S("reason", call->transfer.reason),
		 LOG_I("status", call->status), LOG_I("tries", call->tries));
	transfer_stop(&call->transfer);
	call_move(call, CALL_PAUSED);
	call->verdict = error;
	counter_add(call->upstream->failovers, 1);
	call_turn(call);
}

/* Reading has come to an end, well or not. What was heard of an answer can't be taken back. */
static void call_end(struct upstream_call *call, enum upstream_error error) {
	if (error == UPSTREAM_OK || call->texted || call->state == CALL_ENDING) {
		call_finish(call, error);
	} else {
		call_fail(call, error);
	}
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

static void call_read_stream(struct upstream_call *call, struct str bytes) {
	struct err err = {0};
	if (sse_feed(&call->sse, bytes, on_event, call, &err) == 0) {
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

static void call_collect(struct upstream_call *call, struct str bytes) {
	bool success = is_success(call->status);
	size_t room = (success ? call->round.target->options.max_event : MAX_ERROR_BODY) - call->answer.length;
	if (bytes.length > room) {
		bytes.length = room;
		call->verdict = success ? UPSTREAM_PROTOCOL : fault_of_status(call->status);
	}
	buf_append_str(&call->answer, bytes);
	if (call->answer.failed) {
		call->verdict = UPSTREAM_MEMORY;
	}
}

static void call_expect(struct upstream_call *call) {
	const struct chat_reader_options options = {
		.think = call->round.target->options.think,
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
	const struct transfer_head *head = &call->transfer.head;
	call->status = head->status;
	if (head->retry_after_s > 0) {
		call->retry_after_ms = head->retry_after_s > INT64_MAX / 1000 ? INT64_MAX : head->retry_after_s * 1000;
	}
	if (is_success(call->status)) {
		call_expect(call);
	}
	if (is_success(call->status) && head->type == TRANSFER_TYPE_EVENTS) {
		call_move(call, CALL_STREAMING);
		return;
	}
	call_move(call, CALL_COLLECTING);
	if (is_success(call->status) && call->verdict == UPSTREAM_OK && head->type != TRANSFER_TYPE_JSON) {
		buf_append_text(&call->said, "it is neither an event stream nor JSON");
		call->verdict = UPSTREAM_PROTOCOL;
	}
}

/* The body of the request was kept for another try, which there won't be after the first text. */
static void call_drop_request(struct upstream_call *call) {
	if (call->transfer.sent) {
		buf_free(&call->request);
	}
}

/* What one read brought is used up: the owner may pass it on, and the next deadline runs. */
static void call_flush(struct upstream_call *call) {
	int64_t now_ms = deadlines_now_ms(call->upstream->deadlines);
	if (call->state == CALL_ENDING) {
		if (!call->ending) {
			call->ending = true;
			call_set_deadline(call, QUEUE_ENDING, now_ms + ENDING_MS);
		}
	} else if (call->texted) {
		call_set_deadline(call, QUEUE_SILENCE, now_ms + call->round.target->options.silence_timeout_ms);
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
		call_end(call, call->verdict);
	}
}

static void on_readable(struct transfer *transfer, struct str bytes) {
	struct upstream_call *call = container_of(transfer, struct upstream_call, transfer);
	bool texted = call->texted;
	call->in_callback = true;
	if (call->state == CALL_ASKING) {
		call_answered(call);
	}
	if (call->state == CALL_STREAMING && call->verdict == UPSTREAM_OK) {
		call_read_stream(call, bytes);
	} else if (call->state == CALL_COLLECTING && call->verdict == UPSTREAM_OK) {
		call_collect(call, bytes);
	}
	if (!call->cancelled) {
		if (call->texted && !texted) {
			round_answered(&call->round);
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
		call_end(call, call->verdict);
	}
}

static void on_done(struct transfer *transfer, enum transfer_result result) {
	struct upstream_call *call = container_of(transfer, struct upstream_call, transfer);
	call->ended = result;
	if (result == TRANSFER_MEMORY) {
		call_finish(call, UPSTREAM_MEMORY);
		return;
	}
	if (call->state == CALL_ASKING && transfer->head.status != 0) {
		call_answered(call); /* an answer without a body */
	}
	switch (call->state) {
	case CALL_ASKING:
		call_fail(call, fault_of_transfer(result));
		break;
	case CALL_COLLECTING:
		if (call->verdict != UPSTREAM_OK) {
			call_end(call, call->verdict);
		} else {
			call_judge(call, result == TRANSFER_OK);
		}
		break;
	default:
		/* With a finish reason the text is whole, however the connection ended. */
		call_end(call, call->finish != CHAT_FINISH_NONE ? UPSTREAM_OK
			       : result == TRANSFER_MALFORMED   ? UPSTREAM_PROTOCOL
								: UPSTREAM_CUT);
	}
}

static void on_deadline(struct deadline *deadline) {
	struct upstream_call *call = container_of(deadline, struct upstream_call, deadline);
	if (call->state == CALL_PAUSED) {
		call_turn(call);
	} else if (call->finish != CHAT_FINISH_NONE) {
		call_finish(call, UPSTREAM_OK);
	} else if (call->texted) {
		call_finish(call, UPSTREAM_STALLED);
	} else if (!call->shared) {
		call_finish(call, UPSTREAM_TIMEOUT);
	} else if (round_has_next(&call->round)) {
		call_fail(call, UPSTREAM_TIMEOUT);
	} else {
		call->shared = false;
		call_set_deadline(call, QUEUE_FIRST_TOKEN, call->first_token_due_ms);
	}
}

/* What was sent on a connection that broke may have come to a model all the same. */
static void on_repeated(struct transfer *transfer) {
	struct upstream_call *call = container_of(transfer, struct upstream_call, transfer);
	call->touched = true;
	counter_add(call->round.target->requests, 1);
}

static const struct transfer_events call_events = {.readable = on_readable, .done = on_done, .repeated = on_repeated};

/* --- the interface ---------------------------------------------------------------------------------------------- */

/* Nobody can be asked: the owner hears of it from the loop. */
static void call_give_up(struct upstream_call *call, enum upstream_error error) {
	call->retry_after_ms = round_wait_ms(&call->round);
	call->verdict = error;
	call_set_deadline(call, QUEUE_PAUSE, deadlines_now_ms(call->upstream->deadlines));
}

static int call_begin(struct upstream_call *call, const struct chat_request *request, struct err *err) {
	const struct upstream *upstream = call->upstream;
	if (round_open(&call->round, upstream->pool, request->model, request->needs)) {
		call_give_up(call, UPSTREAM_UNABLE);
		return 0;
	}
	call->first_token_due_ms =
		deadlines_now_ms(upstream->deadlines) + round_options(&call->round)->first_token_timeout_ms;
	if (!round_next(&call->round)) {
		call_give_up(call, UPSTREAM_UNAVAILABLE);
		return 0;
	}
	return call_try(call, err);
}

struct upstream_call *upstream_start(struct upstream *upstream, const struct chat_request *request,
				     const struct log *log, const struct upstream_sink *sink, void *owner,
				     struct err *err) {
	struct upstream_call *call = mem_zalloc(sizeof *call);
	if (!call) {
		err_set(err, ERR_MEMORY, "no memory for an upstream call");
		return NULL;
	}
	call->upstream = upstream;
	call->state = CALL_PAUSED;
	call->sink = *sink;
	call->owner = owner;
	call->log = *log;
	call->transfer.events = &call_events;
	call->deadline.passed = on_deadline;
	call->retry_after_ms = -1;
	call->started_us = clock_monotonic_us(upstream->clock);
	chat_request_write(&call->request, request);
	if (call->request.failed) {
		err_set(err, ERR_MEMORY, "no memory for an upstream request");
		goto fail;
	}
	call->live = true;
	gauge_add(upstream->live, 1);
	if (call_begin(call, request, err)) {
		goto fail;
	}
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
