#include "response.h"

#include "ask.h"
#include "base/mem.h"
#include "base/str.h"
#include "failure.h"
#include "followers.h"
#include "idempotency.h"
#include "references.h"
#include "replay.h"
#include "settle.h"

static int64_t now_us(const struct response *r) {
	return clock_monotonic_us(r->deps->clock);
}

/* --- its end -------------------------------------------------------------------------------------------------------- */

static bool is_stored(const struct response *r) {
	return r->settings.store;
}

/* To other loops it runs no more. May come more than once. */
static void leave_directory(struct response *r) {
	response_watched(r);
	directory_leave(&r->presence, settle_find(r->registry, str_of(r->id)) == r);
}

static void leave_registry(struct response *r) {
	leave_directory(r);
	registry_remove(r->registry, r->id);
	if (r->state != STATE_JOINED) {
		counter_add(r->registry->metrics.ended[r->state == STATE_REFUSED ? RESPONSE_IN_PROGRESS : r->status],
			    1);
	}
	response_release(r);
}

/* It never began: nobody saw an event of it, and nothing of it is kept in the open. */
static void refuse(struct response *r, const struct api_error *error) {
	if (!response_move(r, STATE_REFUSED)) {
		return;
	}
	/* What was not answered may be asked again. */
	idempotency_settle(r, false);
	upstream_cancel(&r->call);
	conversation_cancel(&r->loading);
	conversation_cancel(&r->finishing);
	log_info(&r->log, "response refused", LOG_S("code", api_error_row(error->code)->code));
	response_tell_refused(r, error);
	leave_registry(r);
}

static void refuse_for(struct response *r, enum api_error_code code, const char *param) {
	struct api_error error;
	api_error_set(&error, code, param, NULL);
	refuse(r, &error);
}

static void become_turn(struct response *r) {
	r->turn = turn_new(r->parent, r->id, &r->input, &r->output.items);
	if (r->turn) {
		r->turn->cut = r->status != RESPONSE_COMPLETED;
		turn_release(&r->parent);
	}
}

/* No model was made to work, and perhaps one will be the next time: no answer that a repeat should get. */
static bool is_worth_asking_again(const struct response *r) {
	return r->status == RESPONSE_FAILED && r->untouched;
}

static void end(struct response *r) {
	if (!response_move(r, response_end_state(r->status))) {
		return;
	}
	idempotency_settle(r, !is_stored(r) && !is_worth_asking_again(r));
	/* Before anybody hears of the end: he may continue it on another loop, at once. */
	leave_directory(r);
	event_log_append(&r->output.events, EVENT_TERMINAL, 0, 0);
	become_turn(r);
	log_info(&r->log, "response ended", LOG_S("status", response_status_name(r->status)),
		 LOG_S("reason", r->reason), LOG_S("model", r->model), LOG_I("events", r->output.events.count),
		 LOG_I("bytes", r->output.events.text.length),
		 LOG_I("input_tokens", r->usage.known ? r->usage.input_tokens : -1),
		 LOG_I("output_tokens", r->usage.known ? r->usage.output_tokens : -1),
		 LOG_I("ms", (now_us(r) - r->started_us) / 1000));
	response_notify(r);
	leave_registry(r);
}

static void set_failure(struct response *r, const struct api_error *error) {
	r->status = RESPONSE_FAILED;
	r->failure = *error;
	str_copy_cut(r->reason, sizeof r->reason, str_of(api_error_row(error->code)->code));
	mem_free(r->error_message);
	r->error_message = mem_strdup(error->message);
}

static void on_committed(void *owner, const struct err *err) {
	struct response *r = owner;
	r->finishing = NULL;
	if (err) {
		struct api_error error;
		failure_of_store(err, &error);
		set_failure(r, &error);
		settle_later(r, err);
	} else {
		histogram_observe_us(r->registry->metrics.commit,
				     (clock_wall_ms(r->deps->clock) - r->completed_ms) * INT64_C(1000));
	}
	end(r);
}

static int write_end(struct response *r) {
	r->frees_claim = r->idempotency && is_worth_asking_again(r);
	r->finishing = settle_write(r, conversation_finish, on_committed);
	return r->finishing ? 0 : -1;
}

/* Closes what is open, in the log and as items. */
static void close_answer(struct response *r) {
	enum item_status status = r->status == RESPONSE_COMPLETED ? ITEM_COMPLETED : ITEM_INCOMPLETE;
	if (r->state == STATE_STREAMING && output_close(&r->output, status)) {
		struct api_error error;
		api_error_set(&error, API_OVERLOADED, NULL, NULL);
		set_failure(r, &error);
	}
}

/* The upstream is through, whatever the cause; r->status says how. */
static void commit(struct response *r) {
	r->completed_ms = clock_wall_ms(r->deps->clock);
	close_answer(r);
	if (!response_move(r, STATE_COMMITTING)) {
		return;
	}
	response_notify(r);
	if (!is_stored(r)) {
		end(r);
	} else if (write_end(r)) {
		struct err err = {.code = ERR_MEMORY};
		on_committed(r, &err);
	}
}

void response_stop(struct response *r, enum response_status status, const char *reason) {
	if (r->state == STATE_CONNECTING || r->state == STATE_STREAMING) {
		response_hold(r);
		upstream_cancel(&r->call);
		r->status = status;
		str_copy_cut(r->reason, sizeof r->reason, str_of(reason));
		commit(r);
		response_release(r);
	} else if (r->state < STATE_COMMITTING) {
		struct api_error error;
		api_error_set(&error, API_DRAINING, NULL, NULL);
		refuse(r, &error);
	}
}

void response_abandon(struct response *r) {
	upstream_cancel(&r->call);
	conversation_cancel(&r->loading);
	registry_undefer(&r->step);
	bool asked = r->state >= STATE_CONNECTING;
	if (response_move(r, STATE_CANCELLED)) {
		idempotency_settle(r, asked);
		r->status = RESPONSE_CANCELLED;
		log_info(&r->log, "response dropped: nobody listens and it is not stored");
		leave_registry(r);
	}
}

/* --- the upstream's words ------------------------------------------------------------------------------------------- */

static void fail(struct response *r, enum api_error_code code) {
	struct api_error error;
	api_error_set(&error, code, NULL, NULL);
	upstream_cancel(&r->call);
	set_failure(r, &error);
	commit(r);
}

/* Its bytes so far, and what would come on top. */
static bool is_too_long(const struct response *r, const struct chat_delta *delta) {
	const struct event_log *events = &r->output.events;
	size_t max = r->registry->max_answer;
	return max && events->text.length + events->side.length + delta->text.length + delta->logprobs.length > max;
}

/* Whether the model may make one more function call. If not, it is stopped: what it has said so far is what counts. */
static bool admit_call(struct response *r, struct str name) {
	const struct request_settings *settings = &r->settings;
	size_t made = r->output.call_count;
	if (!tool_choice_allows(&settings->tool_choice, name)) {
		fail(r, API_TOOL_NOT_ALLOWED);
		return false;
	}
	if (settings->has_max_tool_calls && made >= (size_t)settings->max_tool_calls) {
		response_stop(r, RESPONSE_INCOMPLETE, "max_tool_calls");
		return false;
	}
	if (settings->has_parallel_tool_calls && !settings->parallel_tool_calls && made > 0) {
		response_stop(r, RESPONSE_COMPLETED, "");
		return false;
	}
	return true;
}

static void on_delta(void *owner, const struct chat_delta *delta) {
	struct response *r = owner;
	if (r->state == STATE_CONNECTING) {
		histogram_observe_us(r->registry->metrics.first_text, now_us(r) - r->started_us);
		response_move(r, STATE_STREAMING);
	}
	if (is_too_long(r, delta)) {
		response_stop(r, RESPONSE_INCOMPLETE, "max_output_tokens");
		return;
	}
	if (delta->kind == CHAT_DELTA_CALL && delta->call_begins && !admit_call(r, delta->call_name)) {
		return;
	}
	if (output_add(&r->output, delta)) {
		fail(r, API_OVERLOADED);
	}
}

static void on_flush(void *owner) {
	struct response *r = owner;
	uint32_t before = r->output.events.count;
	if (output_flush(&r->output)) {
		fail(r, API_OVERLOADED);
		return;
	}
	counter_add(r->registry->metrics.deltas, r->output.events.count - before);
	response_notify(r);
}

/* A stream that broke off after it had begun is kept and marked; one that never began has failed. */
static bool broke_off(const struct response *r, enum upstream_error error) {
	return r->state == STATE_STREAMING && (error == UPSTREAM_CUT || error == UPSTREAM_STALLED);
}

static void set_outcome(struct response *r, const struct upstream_outcome *outcome) {
	const char *reason = "";
	r->status = RESPONSE_INCOMPLETE;
	if (broke_off(r, outcome->error)) {
		reason = upstream_error_name(outcome->error);
	} else if (outcome->error != UPSTREAM_OK) {
		struct api_error error;
		failure_of_upstream(outcome, &error);
		set_failure(r, &error);
		return;
	} else if (outcome->finish == CHAT_FINISH_LENGTH) {
		reason = "max_output_tokens";
	} else if (outcome->finish == CHAT_FINISH_FILTER) {
		reason = "content_filter";
	} else if (outcome->finish == CHAT_FINISH_CUT) {
		reason = upstream_error_name(UPSTREAM_CUT);
	} else {
		r->status = RESPONSE_COMPLETED;
	}
	str_copy_cut(r->reason, sizeof r->reason, str_of(reason));
}

static void on_finished(void *owner, const struct upstream_outcome *outcome) {
	struct response *r = owner;
	r->call = NULL;
	r->untouched = outcome->untouched;
	r->usage = (struct response_usage){
		.known = outcome->usage.known,
		.input_tokens = outcome->usage.input_tokens,
		.cached_tokens = outcome->usage.cached_tokens,
		.output_tokens = outcome->usage.output_tokens,
		.reasoning_tokens = outcome->usage.reasoning_tokens,
	};
	if (outcome->error != UPSTREAM_OK) {
		/* Not its text: that may quote what the upstream said. */
		log_warn(&r->log, "upstream failed", LOG_S("error", upstream_error_name(outcome->error)),
			 LOG_I("status", outcome->http_status), LOG_I("tries", outcome->tries));
	}
	set_outcome(r, outcome);
	/* An answer of no words is still a message. */
	if (r->status == RESPONSE_COMPLETED && r->state == STATE_CONNECTING) {
		response_move(r, STATE_STREAMING);
		if (output_open_message(&r->output)) {
			fail(r, API_OVERLOADED);
			return;
		}
	}
	commit(r);
}

static const struct upstream_sink sink = {.delta = on_delta, .flush = on_flush, .finished = on_finished};

/* --- its start ------------------------------------------------------------------------------------------------------ */

/* A request with an idempotency key is billed once even if the server is killed between asking and writing: that it began
 * is durable before the upstream is asked, at the cost of that commit before the first token. What can be refused is
 * refused before that. */
static bool asks_late(const struct response *r) {
	return r->idempotency && is_stored(r);
}

static void on_begun(void *owner, const struct err *err) {
	struct response *r = owner;
	struct api_error error;
	r->beginning = NULL;
	if (err) {
		failure_of_store(err, &error);
		if (err->code == ERR_OUTCOME_UNKNOWN) {
			set_failure(r, &error);
			settle_later(r, err);
		}
		if (response_ended(r)) {
			/* Without memory it ended before this; it was not shown. */
			response_tell_refused(r, &error);
			return;
		}
		refuse(r, &error);
		return;
	}
	r->shown = true;
	if (!response_ended(r)) {
		followers_enter(r);
	}
	response_hold(r);
	if (asks_late(r) && r->state == STATE_CONNECTING && ask_start(r, &sink, &error)) {
		set_failure(r, &error);
		commit(r);
	}
	response_notify(r);
	response_release(r);
}

static int write_begin(struct response *r, struct err *err) {
	if (!r->conversation) {
		struct conversation *fresh = conversation_start(r->deps->conversations, r->owner, err);
		if (!fresh) {
			return -1;
		}
		response_set_conversation(r, fresh);
	}
	if (r->conversation) {
		struct conversation_entry entry = settle_entry(r);
		entry.claim = r->idempotency ? &r->idempotency->claim : NULL;
		r->beginning = conversation_begin(r->conversation, &entry, on_begun, r);
	}
	return r->beginning ? 0 : -1;
}

static int count(struct response *r, struct api_error *error) {
	r->usage.known = true;
	return ask_count(r, &r->usage.input_tokens, error);
}

/* The upstream is asked, or, if it is to be asked later, can be. */
static int ask(struct response *r, struct api_error *error) {
	if (r->prepare_only || r->stopped) {
		return r->counts ? count(r, error) : 0;
	}
	return asks_late(r) ? ask_check(r, error) : ask_start(r, &sink, error);
}

static int begin_log(struct response *r) {
	struct event_log *events = &r->output.events;
	return event_log_append(events, EVENT_CREATED, 0, 0) || event_log_append(events, EVENT_IN_PROGRESS, 0, 0) ? -1
														  : 0;
}

/* Asks the upstream and writes the beginning, both at once; nothing is shown before the beginning is durable. With an
 * idempotency key one after the other. */
static void connect_upstream(struct response *r) {
	struct err err = {.code = ERR_MEMORY};
	struct api_error error = {0};
	bool asks = !r->prepare_only && !r->stopped;
	if (!response_move(r, STATE_CONNECTING)) {
		return;
	}
	if (ask(r, &error)) {
		refuse(r, &error);
		return;
	}
	if (begin_log(r) || (is_stored(r) && write_begin(r, &err))) {
		failure_of_store(&err, &error);
		refuse(r, &error);
		return;
	}
	r->shown = !is_stored(r);
	if (asks) {
		if (r->shown) {
			response_notify(r);
		}
		return;
	}
	/* Prepared only, or stopped before the model was asked: r->reason says why. */
	r->status = r->stopped ? r->stop_status : RESPONSE_COMPLETED;
	commit(r);
}

static void find_references(struct response *r);

static void on_reference(struct response *r, const struct api_error *error) {
	if (error) {
		refuse(r, error);
	} else {
		find_references(r);
	}
}

/* The last thing that its input may lack. */
static void find_references(struct response *r) {
	struct api_error error;
	int found = references_next(r, on_reference, &error);
	if (found < 0) {
		refuse(r, &error);
	} else if (found > 0) {
		connect_upstream(r);
	} else if (r->state != STATE_LOADING) {
		response_move(r, STATE_LOADING);
	}
}

/* Of what is being loaded, somebody else's turn is under way: known here before the store knows of it. */
static bool is_locked(struct response *r, const struct conversation *conversation) {
	const char *id = conversation_id(conversation);
	if (!r->continues[0]) {
		return false;
	}
	return is_stored(r) ? directory_occupy(&r->presence, id, true) == OCCUPIED_BY_OTHERS
			    : directory_is_occupied(r->registry->directory, id);
}

static void on_context(void *owner, struct conversation *conversation, struct turn *turn, const struct err *err) {
	struct response *r = owner;
	const struct err locked = {.code = ERR_CONFLICT};
	r->loading = NULL;
	err = !err && is_locked(r, conversation) ? &locked : err;
	if (err) {
		struct api_error error;
		if (r->continues[0]) {
			failure_of_conversation(err, r->continues, &error);
		} else {
			failure_of_parent(err, r->parent_id, &error);
		}
		turn_release(&turn);
		conversation_release(&conversation);
		refuse(r, &error);
		return;
	}
	r->parent = turn;
	if (turn) {
		str_copy_cut(r->parent_id, sizeof r->parent_id, str_of(turn->response_id));
	}
	if (is_stored(r)) {
		response_set_conversation(r, conversation);
	} else {
		conversation_release(&conversation);
	}
	find_references(r);
}

static struct conversation_op *load(struct response *r) {
	struct conversations *conversations = r->deps->conversations;
	const struct conversation_wish wish = {
		.owner = r->owner,
		.id = r->continues[0] ? r->continues : r->parent_id,
		.may_cut = r->settings.truncates,
	};
	return r->continues[0] ? conversation_load_latest(conversations, &wish, on_context, r)
			       : conversation_load(conversations, &wish, on_context, r);
}

/* It is not the repeat of another. */
static void set_out(struct response *r) {
	if (r->failure.code) {
		refuse(r, &r->failure);
		return;
	}
	if (!r->continues[0] && (!r->parent_id[0] || r->parent)) {
		find_references(r);
		return;
	}
	response_move(r, STATE_LOADING);
	r->loading = load(r);
	if (!r->loading) {
		refuse_for(r, API_OVERLOADED, NULL);
	}
}

/* Its watchers get what the first one got; this one never was. */
static void join(struct response *r, const char *first) {
	if (replay_hand_over(r, first)) {
		refuse_for(r, API_OVERLOADED, NULL);
	} else if (response_move(r, STATE_JOINED)) {
		counter_add(r->registry->metrics.repeated, 1);
		log_info(&r->log, "request repeated", LOG_S("first", first));
		idempotency_settle(r, false);
		leave_registry(r);
	}
}

static void on_claim(void *owner, const char *first, bool same, const struct err *err) {
	struct response *r = owner;
	r->loading = NULL;
	if (err && err->code == ERR_NOT_FOUND) {
		set_out(r);
	} else if (err) {
		struct api_error error;
		failure_of_store(err, &error);
		refuse(r, &error);
	} else if (!same) {
		refuse_for(r, API_IDEMPOTENCY_REUSED, "idempotency_key");
	} else {
		join(r, first);
	}
}

static void on_step(struct deferred *step) {
	struct response *r = container_of(step, struct response, step);
	if (!r->idempotency) {
		set_out(r);
		return;
	}
	response_move(r, STATE_CLAIMING);
	r->loading = conversation_find_claim(r->deps->conversations, r->owner, &r->idempotency->claim, r->created_ms,
					     on_claim, r);
	if (!r->loading) {
		refuse_for(r, API_OVERLOADED, NULL);
	}
}

void response_begin(struct response *r) {
	registry_defer(r->registry, &r->step, on_step);
}
