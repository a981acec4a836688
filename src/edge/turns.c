#include "turns.h"

#include "base/mem.h"
#include "frame.h"
#include "outlet.h"

#define BATCH_BYTES (16 * 1024)

struct waiting_turn {
	struct list link;
	struct turn_wish wish;
};

/* Work for turns_explain_cancel. */
struct lookup {
	struct list link;
	struct session *session;
	struct conversation_op *op;
};

static void on_ready(struct cursor *cursor);
static void on_refused(struct cursor *cursor, const struct api_error *error);
static const struct cursor_sink sink = {.ready = on_ready, .refused = on_refused};

/* --- what the connection remembers -------------------------------------------------------------------------------- */

static void forget(struct session *session) {
	turn_release(&session->latest);
	conversation_release(&session->latest_conversation);
}

static void remember(struct session *session, const struct response *response) {
	struct turn *turn = response_turn(response);
	if (response_status(response) == RESPONSE_FAILED || !turn) {
		/* What failed can't be continued, and neither can what it continued: the client has to say it all again. */
		if (session->continues_latest) {
			forget(session);
		}
		return;
	}
	struct conversation *conversation = response_conversation(response);
	turn_hold(turn);
	if (conversation) {
		conversation_hold(conversation);
	}
	forget(session);
	session->latest = turn;
	session->latest_conversation = conversation;
}

/* --- start and end ------------------------------------------------------------------------------------------------ */

static int check_start(struct session *session, struct api_error *error) {
	if (session->expired) {
		return api_error_set(error, API_CONNECTION_LIMIT, NULL, NULL);
	}
	if (session->edge->draining) {
		return api_error_set(error, API_DRAINING, NULL, NULL);
	}
	if (auth_recheck(session->edge->deps.auth, &session->who)) {
		return api_error_set(error, API_INVALID_KEY, NULL, NULL);
	}
	return 0;
}

static void refuse(struct session *session, const struct api_error *error) {
	outlet_error(session, error);
	if (error->code == API_INVALID_KEY) {
		outlet_close(session, CLOSE_POLICY, "the credential is not valid any more");
	}
}

static int create(struct session *session, struct request *request, struct api_error *error) {
	struct engine_start how = {
		.owner = session->who.user,
		.request = request,
		.log = &session->connection->log,
	};
	session->continues_latest = session->latest && request->previous_response_id[0] &&
				    str_is(str_of(session->latest->response_id), request->previous_response_id);
	if (session->continues_latest) {
		how.parent = session->latest;
		how.parent_conversation = session->latest_conversation;
	}
	if (engine_create(session->edge->deps.engine, &how, &session->cursor, &sink, session, error) == 0) {
		return 0;
	}
	if (session->continues_latest) {
		forget(session);
	}
	return -1;
}

static int resume(struct session *session, const struct turn_wish *wish, struct api_error *error) {
	const struct engine_watch watch = {
		.owner = session->who.user,
		.id = str_of(wish->resume_id),
		.next = wish->resume_next,
		.log = &session->connection->log,
	};
	session->continues_latest = false;
	return engine_watch(session->edge->deps.engine, &watch, &session->cursor, &sink, session, error);
}

/* Refused or started, the wish is used up. */
static void start(struct session *session, struct turn_wish *wish) {
	struct api_error error;
	if (check_start(session, &error)) {
		request_free(&wish->request);
		refuse(session, &error);
		return;
	}
	if (wish->resume_id[0] ? resume(session, wish, &error) : create(session, &wish->request, &error)) {
		refuse(session, &error);
		return;
	}
	session->running = true;
	session->turn_started_us = edge_now_us(session->edge);
	session->turn_events = 0;
}

static void start_next(struct session *session) {
	while (!session->running && !session->closing && !list_empty(&session->waiting)) {
		struct waiting_turn *next = container_of(session->waiting.next, struct waiting_turn, link);
		list_remove(&next->link);
		session->waiting_count--;
		start(session, &next->wish);
		mem_free(next);
	}
	turns_close_if_over(session);
}

static void finish(struct session *session) {
	const struct response *response = session->cursor.response;
	log_info(&session->connection->log, "turn ended", LOG_S("response", response_id(response)),
		 LOG_S("status", response_status_name(response_status(response))),
		 LOG_I("events", session->turn_events),
		 LOG_I("us", edge_now_us(session->edge) - session->turn_started_us), LOG_S("user", session->who.user));
	remember(session, response);
	cursor_close(&session->cursor);
	session->running = false;
	start_next(session);
}

void turns_add(struct session *session, struct turn_wish *wish) {
	if (!session->running) {
		start(session, wish);
		return;
	}
	struct api_error error;
	struct waiting_turn *waiting = NULL;
	/* What could not start now won't be able to later: say so at once. */
	if (check_start(session, &error)) {
		request_free(&wish->request);
		refuse(session, &error);
		return;
	}
	if (session->waiting_count >= session->edge->options.max_queued) {
		api_error_set(&error, API_QUEUE_FULL, NULL, NULL);
		counter_add(session->edge->metrics.limit_refusals, 1);
	} else {
		api_error_set(&error, API_OVERLOADED, NULL, NULL);
		waiting = mem_zalloc(sizeof *waiting);
	}
	if (!waiting) {
		request_free(&wish->request);
		outlet_error(session, &error);
		return;
	}
	waiting->wish = *wish;
	*wish = (struct turn_wish){0};
	list_append(&session->waiting, &waiting->link);
	session->waiting_count++;
}

bool turns_idle(const struct session *session) {
	return !session->running && list_empty(&session->waiting);
}

void turns_close_if_over(struct session *session) {
	if (!turns_idle(session)) {
		return;
	}
	if (session->edge->draining) {
		outlet_close(session, CLOSE_RESTART, "the server is about to stop");
	} else if (session->expired) {
		struct api_error error;
		api_error_set(&error, API_CONNECTION_LIMIT, NULL, NULL);
		outlet_error(session, &error);
		outlet_close(session, CLOSE_GOING_AWAY, "the connection has lived its time");
	}
}

/* --- events ------------------------------------------------------------------------------------------------------- */

/* All frames that wait, up to a bound, for one write. */
static void fill(struct session *session, struct buf *out) {
	edge_out_begin(out);
	outlet_take_kept(session, out);
	while (session->running && out->length < BATCH_BYTES) {
		size_t start_of_frame = frame_begin(out);
		if (!cursor_next(&session->cursor, out, NULL)) {
			frame_drop(out, start_of_frame);
			return;
		}
		frame_end(out, start_of_frame);
		session->turn_events++;
	}
}

void turns_pump(struct session *session) {
	struct connection *connection = session->connection;
	struct edge *edge = session->edge;
	while (connection->wsi && !session->closing && !connection_is_blocked(connection)) {
		uint64_t before = session->turn_events;
		fill(session, &edge->out);
		bool some = edge->out.length > LWS_HEADROOM || edge->out.failed;
		bool last = session->running && cursor_finished(&session->cursor);
		if (!some && !last) {
			return;
		}
		counter_add(edge->metrics.events_out, session->turn_events - before);
		if (some && outlet_write(session, &edge->out)) {
			return;
		}
		if (last) {
			finish(session);
		}
	}
}

static void on_ready(struct cursor *cursor) {
	turns_pump(cursor->owner);
}

static void on_refused(struct cursor *cursor, const struct api_error *error) {
	struct session *session = cursor->owner;
	session->running = false;
	if (session->continues_latest) {
		forget(session);
	}
	refuse(session, error);
	start_next(session);
}

/* --- stop --------------------------------------------------------------------------------------------------------- */

int turns_cancel(struct session *session, struct str id) {
	struct response *response = engine_find(session->edge->deps.engine, session->who.user, id);
	if (!response || response_ended(response)) {
		return -1;
	}
	response_cancel(response);
	return 0;
}

static void on_looked_up(void *arg, struct stored_response *stored, const struct err *err) {
	struct lookup *lookup = arg;
	struct session *session = lookup->session;
	struct api_error error;
	list_remove(&lookup->link);
	mem_free(lookup);
	if (!err) {
		api_error_set(&error, API_RESPONSE_NOT_ACTIVE, "response_id", "The response has ended.");
		stored_response_free(&stored);
	} else if (err->code == ERR_NOT_FOUND) {
		api_error_set(&error, API_RESPONSE_NOT_FOUND, "response_id", NULL);
	} else if (err->code == ERR_CONFLICT) {
		api_error_set(&error, API_RESPONSE_NOT_ACTIVE, "response_id", NULL);
	} else {
		api_error_set(&error, API_STORAGE_FAILED, NULL, NULL);
	}
	outlet_error(session, &error);
}

void turns_explain_cancel(struct session *session, struct str id) {
	struct api_error error;
	char name[ID_SIZE];
	if (session->latest && str_is(id, session->latest->response_id)) {
		api_error_set(&error, API_RESPONSE_NOT_ACTIVE, "response_id", "The response has ended.");
		outlet_error(session, &error);
		return;
	}
	/* Stored and ended, or none at all: only the store can tell. */
	struct lookup *lookup = id_copy(name, id) ? NULL : mem_zalloc(sizeof *lookup);
	if (lookup) {
		lookup->session = session;
		list_append(&session->lookups, &lookup->link);
		lookup->op = conversation_read_response(session->edge->deps.conversations, session->who.user, name,
							on_looked_up, lookup);
		if (lookup->op) {
			return;
		}
		list_remove(&lookup->link);
		mem_free(lookup);
	}
	api_error_set(&error, API_RESPONSE_NOT_FOUND, "response_id", NULL);
	outlet_error(session, &error);
}

void turns_free(struct session *session) {
	cursor_close(&session->cursor);
	session->running = false;
	while (!list_empty(&session->waiting)) {
		struct waiting_turn *waiting = container_of(session->waiting.next, struct waiting_turn, link);
		list_remove(&waiting->link);
		request_free(&waiting->wish.request);
		mem_free(waiting);
	}
	session->waiting_count = 0;
	while (!list_empty(&session->lookups)) {
		struct lookup *lookup = container_of(session->lookups.next, struct lookup, link);
		list_remove(&lookup->link);
		conversation_cancel(&lookup->op);
		mem_free(lookup);
	}
	forget(session);
}
