#include "steering.h"

#include <string.h>

#include "base/mem.h"
#include "outlet.h"

struct steer {
	struct list link;
	char id[ID_SIZE];
	struct item_list input;
	char *original; /* JSON, as it came */
};

static const struct {
	const char *code;
	const char *message;
} reasons[] = {
	{"response_not_found", "No lane of this connection has this response."},
	{"response_already_completed", "The response has ended; send the input with response.create."},
	{"response_not_active", "The response was stopped or failed; send the input with response.create."},
	{"too_many_pending_steers", "As much input waits for this response as may."},
	{"successor_creation_failed", "There was no memory for the response that was to take the input."},
};

static const char *explain(const char *code) {
	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
		if (strcmp(reasons[i].code, code) == 0) {
			return reasons[i].message;
		}
	}
	return "";
}

/* --- what is said --------------------------------------------------------------------------------------------------- */

static struct json_writer begin_event(struct session *session, const char *type) {
	struct buf *event = &session->edge->event;
	buf_clear(event);
	struct json_writer w = json_writer(event);
	jw_object(&w);
	jw_key(&w, "type");
	jw_text(&w, type);
	/* Of these events alone: the numbers of a response's events have no gaps. */
	jw_key(&w, "sequence_number");
	jw_int(&w, session->steer_events++);
	return w;
}

static void write_steer(struct json_writer *w, const char *id, struct str response_id, const char *input) {
	jw_key(w, "steer");
	jw_object(w);
	if (id) {
		jw_key(w, "id");
		jw_text(w, id);
	}
	jw_key(w, "previous_response_id");
	jw_str(w, response_id);
	if (input) {
		jw_key(w, "input");
		jw_raw(w, str_of(input));
	}
	jw_object_end(w);
}

static void end_event(struct session *session, struct json_writer *w, const char *tag) {
	jw_object_end(w);
	outlet_tag(w->out, tag);
	if (!w->out->failed) {
		outlet_send(session, buf_str(w->out));
	}
}

static void tell_accepted(struct session *session, const char *tag, const struct steer *steer,
			  const char *response_id) {
	struct json_writer w = begin_event(session, "response.steer.accepted");
	write_steer(&w, steer->id, str_of(response_id), NULL);
	end_event(session, &w, tag);
}

struct failure {
	const char *id; /* of the submission; NULL: it got none */
	struct str response_id;
	const char *input; /* JSON */
	const char *code;
	const char *message;
};

static void tell_failed(struct session *session, const char *tag, const struct failure *failure) {
	struct json_writer w = begin_event(session, "response.steer.failed");
	jw_key(&w, "error");
	jw_object(&w);
	jw_key(&w, "type");
	jw_text(&w, "invalid_request_error");
	jw_key(&w, "code");
	jw_text(&w, failure->code);
	jw_key(&w, "message");
	jw_text(&w, failure->message);
	jw_object_end(&w);
	write_steer(&w, failure->id, failure->response_id, failure->input ? failure->input : "null");
	end_event(session, &w, tag);
}

static char *print(const struct json *input) {
	struct buf text = BUF_INIT;
	json_print(input, &text);
	return buf_take_text(&text);
}

void steering_refuse(struct session *session, const char *tag, const struct steer_refusal *refusal) {
	char *original = print(refusal->input);
	const struct failure failure = {.response_id = refusal->response_id,
					.input = original,
					.code = refusal->code,
					.message = refusal->message ? refusal->message : explain(refusal->code)};
	tell_failed(session, tag, &failure);
	mem_free(original);
}

/* --- what is kept --------------------------------------------------------------------------------------------------- */

void steering_init(struct steering *steering) {
	*steering = (struct steering){0};
	list_init(&steering->queue);
}

static struct steer *first(const struct steering *steering) {
	return list_empty(&steering->queue) ? NULL : container_of(steering->queue.next, struct steer, link);
}

static void steer_free(struct steer *steer) {
	item_list_free(&steer->input);
	mem_free(steer->original);
	mem_free(steer);
}

/* Users add to what they asked; nobody else speaks in the middle of an answer. */
static int check_input(const struct item_list *input, struct api_error *error) {
	for (size_t i = 0; i < input->count; i++) {
		if (input->items[i].kind != ITEM_MESSAGE || input->items[i].role != ROLE_USER) {
			return api_error_set(error, API_INVALID_VALUE, "input",
					     "input[%zu] must be a message of the role user: nothing else steers.", i);
		}
	}
	return 0;
}

/* NULL with an error. */
static struct steer *read_steer(struct session *session, const struct json *input, struct api_error *error) {
	struct steer *steer = mem_zalloc(sizeof *steer);
	if (!steer) {
		api_error_set(error, API_OVERLOADED, NULL, NULL);
		return NULL;
	}
	int64_t now_ms = edge_wall_ms(session->edge);
	id_make(steer->id, "steer", now_ms);
	steer->original = print(input);
	if (request_read_input(input, now_ms, &steer->input, error) || check_input(&steer->input, error)) {
		steer_free(steer);
		return NULL;
	}
	return steer;
}

int steering_add(struct steering *steering, struct session *session, const char *tag, const char *response_id,
		 const struct json *input) {
	struct api_error error;
	struct steer_refusal refusal = {.response_id = str_of(response_id), .input = input};
	bool is_same = strcmp(steering->response, response_id) == 0;
	bool is_full = steering->count >= STEERING_MAX || steering->bytes >= session->edge->options.max_message;
	if (is_same && is_full) {
		refusal.code = "too_many_pending_steers";
		steering_refuse(session, tag, &refusal);
		return -1;
	}
	struct steer *steer = read_steer(session, input, &error);
	if (!steer) {
		refusal.code = "invalid_input";
		refusal.message = error.message;
		steering_refuse(session, tag, &refusal);
		return -1;
	}
	if (!is_same) {
		/* The lane has gone on from what these wait for. */
		steering_fail(steering, session, tag, "response_not_active", NULL);
	}
	str_copy_cut(steering->response, sizeof steering->response, str_of(response_id));
	list_append(&steering->queue, &steer->link);
	steering->count++;
	steering->bytes += steer->original ? strlen(steer->original) : 0;
	tell_accepted(session, tag, steer, response_id);
	return 0;
}

bool steering_waits(const struct steering *steering, struct str response_id) {
	return steering->count && !steering->taken && str_is(response_id, steering->response);
}

static int add_copies(struct item_list *to, const struct item_list *from) {
	struct item_list copy;
	if (item_list_copy(&copy, from)) {
		return -1;
	}
	int result = 0;
	for (size_t i = 0; i < copy.count && result == 0; i++) {
		result = item_list_add(to, &copy.items[i]);
	}
	item_list_free(&copy);
	return result;
}

int steering_take(struct steering *steering, struct request *request) {
	struct item_list input = {0};
	list_each(node, after, &steering->queue) {
		if (add_copies(&input, &container_of(node, struct steer, link)->input)) {
			item_list_free(&input);
			return -1;
		}
	}
	for (size_t i = 0; i < request->input.count; i++) {
		if (item_list_add(&input, &request->input.items[i])) {
			item_list_free(&input);
			return -1;
		}
	}
	item_list_free(&request->input);
	request->input = input;
	steering->taken = true;
	return 0;
}

void steering_settle(struct steering *steering) {
	struct steer *steer = NULL;
	while ((steer = first(steering))) {
		list_remove(&steer->link);
		steer_free(steer);
	}
	steering_init(steering);
}

void steering_fail(struct steering *steering, struct session *session, const char *tag, const char *code,
		   const char *why) {
	list_each(node, after, &steering->queue) {
		const struct steer *steer = container_of(node, struct steer, link);
		const struct failure failure = {.id = steer->id,
						.response_id = str_of(steering->response),
						.input = steer->original,
						.code = code,
						.message = why ? why : explain(code)};
		tell_failed(session, tag, &failure);
	}
	steering_settle(steering);
}

/* --- function calls ------------------------------------------------------------------------------------------------- */

bool steering_needs_results(const struct item_list *output) {
	for (size_t i = 0; i < output->count; i++) {
		if (output->items[i].kind == ITEM_FUNCTION_CALL && output->items[i].status == ITEM_COMPLETED) {
			return true;
		}
	}
	return false;
}

static void write_required(struct json_writer *w, const struct item_list *output) {
	jw_key(w, "required_input");
	jw_array(w);
	for (size_t i = 0; i < output->count; i++) {
		const struct item *item = &output->items[i];
		if (item->kind != ITEM_FUNCTION_CALL || item->status != ITEM_COMPLETED) {
			continue;
		}
		jw_object(w);
		jw_key(w, "type");
		jw_text(w, "function_call_output");
		jw_key(w, "call_id");
		jw_text(w, item->call_id);
		jw_key(w, "name");
		jw_text(w, item->name);
		jw_object_end(w);
	}
	jw_array_end(w);
}

void steering_pend(const struct steering *steering, struct session *session, const char *tag,
		   const struct item_list *output) {
	list_each(node, after, &steering->queue) {
		const struct steer *steer = container_of(node, struct steer, link);
		struct json_writer w = begin_event(session, "response.steer.pending");
		jw_key(&w, "reason");
		jw_text(&w, "waiting_for_required_input");
		write_required(&w, output);
		write_steer(&w, steer->id, str_of(steering->response), NULL);
		end_event(session, &w, tag);
	}
}
