#include "call.h"

#include <stdio.h>

#include "base/mem.h"

void call_move(struct upstream_call *call, enum call_state to) {
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

void call_stop(struct upstream_call *call) {
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

void call_free(struct upstream_call *call) {
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

void call_finish(struct upstream_call *call, enum upstream_error error) {
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

void call_set_deadline(struct upstream_call *call, enum queue queue, int64_t due_ms) {
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

int call_try(struct upstream_call *call, struct err *err) {
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

void call_turn(struct upstream_call *call) {
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

void call_fail(struct upstream_call *call, enum upstream_error error) {
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

void call_end(struct upstream_call *call, enum upstream_error error) {
	if (error == UPSTREAM_OK || call->texted || call->state == CALL_ENDING) {
		call_finish(call, error);
	} else {
		call_fail(call, error);
	}
}
