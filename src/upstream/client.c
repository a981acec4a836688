#include "upstream/client.h"

#include <string.h>

#include "base/mem.h"
#include "call.h"

/* An error answer is read so far. */
#define MAX_ERROR_BODY 16384
/* After [DONE] the answer should end at once; waiting for it keeps the connection usable. */
#define ENDING_MS 100

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
