#include "lanes.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "outlet.h"
#include "steering.h"
#include "stream.h"

struct lane {
	struct list link;
	struct session *session;
	struct stream stream;
	struct steering steering;
	bool running;
	bool follows;     /* the running turn is one that nobody asked for: the successor of one that was steered */
	uint32_t waiting; /* turns of this lane */
	bool continues_latest; /* the running turn's parent is this lane's latest */
	int64_t turn_started_us;
	struct turn *latest;                       /* the last finished one; NULL if none */
	struct conversation *latest_conversation;  /* NULL when it is not stored */
	uint32_t latest_deletions, turn_deletions; /* of its conversation, before that turn and the running one */
	char tag[];
};

struct waiting_turn {
	struct list link;
	struct lane *lane;
	struct turn_wish wish;
};

static void on_ended(struct stream *stream);
static void on_refused(struct stream *stream, const struct api_error *error);
static const struct stream_sink sink = {.ended = on_ended, .refused = on_refused};

void lane_tag(char tag[static LANE_TAG_SIZE], const char *stream_id) {
	tag[0] = '\0';
	if (stream_id[0]) {
		snprintf(tag, LANE_TAG_SIZE, ",\"stream_id\":\"%s\"", stream_id);
	}
}

/* --- which lane --------------------------------------------------------------------------------------------------- */

static struct lane *lane_of(struct list *node) {
	return container_of(node, struct lane, link);
}

static bool is_busy(const struct lane *lane) {
	return lane->running || lane->waiting > 0;
}

static struct lane *find(const struct session *session, const char *tag) {
	list_each(node, after, &session->lanes) {
		if (strcmp(lane_of(node)->tag, tag) == 0) {
			return lane_of(node);
		}
	}
	return NULL;
}

static void forget(struct lane *lane) {
	turn_release(&lane->latest);
	conversation_release(&lane->latest_conversation);
}

static void lane_free(struct lane *lane) {
	stream_close(&lane->stream);
	steering_settle(&lane->steering);
	forget(lane);
	list_remove(&lane->link);
	lane->session->lane_count--;
	mem_free(lane);
}

/* The idle lane that was used least recently makes room. */
static int make_room(struct session *session) {
	if (session->lane_count < session->edge->options.max_lanes) {
		return 0;
	}
	list_each(node, after, &session->lanes) {
		if (!is_busy(lane_of(node))) {
			steering_fail(&lane_of(node)->steering, session, lane_of(node)->tag, "response_not_active",
				      NULL);
			lane_free(lane_of(node));
			return 0;
		}
	}
	return -1;
}

static struct lane *open_lane(struct session *session, const char *tag, struct api_error *error) {
	if (make_room(session)) {
		counter_add(session->edge->metrics.limit_refusals, 1);
		api_error_set(error, API_STREAM_LIMIT, "stream_id", NULL);
		return NULL;
	}
	size_t size = strlen(tag) + 1;
	struct lane *lane = mem_zalloc(sizeof *lane + size);
	if (!lane) {
		api_error_set(error, API_OVERLOADED, NULL, NULL);
		return NULL;
	}
	lane->session = session;
	steering_init(&lane->steering);
	memcpy(lane->tag, tag, size);
	list_append(&session->lanes, &lane->link);
	session->lane_count++;
	return lane;
}

static struct lane *use(struct session *session, const char *tag, struct api_error *error) {
	struct lane *lane = find(session, tag);
	if (!lane) {
		return open_lane(session, tag, error);
	}
	list_remove(&lane->link);
	list_append(&session->lanes, &lane->link);
	return lane;
}

/* The lane whose latest response this is. */
static struct lane *find_latest(const struct session *session, struct str id) {
	list_each(node, after, &session->lanes) {
		struct lane *lane = lane_of(node);
		if (lane->latest && str_is(id, lane->latest->response_id)) {
			return lane;
		}
	}
	return NULL;
}

/* --- a turn's start and end --------------------------------------------------------------------------------------- */

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

/* `otherwise`: when it is not stored. */
static uint32_t deletions_of(const struct conversation *conversation, uint32_t otherwise) {
	return conversation ? conversation_deletions(conversation) : otherwise;
}

/* What was added to the parent, and waits for this turn, comes before its input. */
static int take_steering(struct lane *lane, struct request *request, struct api_error *error) {
	if (!steering_waits(&lane->steering, str_of(request->previous_response_id)) ||
	    steering_take(&lane->steering, request) == 0) {
		return 0;
	}
	request_free(request);
	return api_error_set(error, API_OVERLOADED, NULL, NULL);
}

static int create(struct lane *lane, struct request *request, struct api_error *error) {
	struct session *session = lane->session;
	struct engine *engine = session->edge->deps.engine;
	struct str parent_id = str_of(request->previous_response_id);
	struct engine_start how = {
		.owner = session->who.user,
		.request = request,
		.log = &session->connection->log,
	};
	struct lane *parent = parent_id.length ? find_latest(session, parent_id) : NULL;
	lane->turn_deletions = parent ? parent->latest_deletions : 0;
	if (parent && deletions_of(parent->latest_conversation, parent->latest_deletions) != parent->latest_deletions) {
		/* Something of it was deleted meanwhile: the store knows what is left. */
		forget(parent);
		parent = NULL;
	}
	if (parent) {
		how.parent = parent->latest;
		how.parent_conversation = parent->latest_conversation;
	}
	lane->continues_latest = parent == lane;
	if (take_steering(lane, request, error) == 0 &&
	    engine_create(engine, &how, &lane->stream.cursor, &stream_cursor_sink, &lane->stream, error) == 0) {
		return 0;
	}
	if (lane->continues_latest) {
		forget(lane);
	}
	return -1;
}

static int resume(struct lane *lane, const struct turn_wish *wish, struct api_error *error) {
	struct session *session = lane->session;
	struct engine *engine = session->edge->deps.engine;
	const struct response *live = engine_find(engine, session->who.user, str_of(wish->resume_id));
	const struct engine_watch watch = {
		.owner = session->who.user,
		.id = str_of(wish->resume_id),
		.next = wish->resume_next,
		.own = live && lanes_show(session, live),
		.log = &session->connection->log,
	};
	lane->continues_latest = false;
	return engine_watch(engine, &watch, &lane->stream.cursor, &stream_cursor_sink, &lane->stream, error);
}

/* The turn can't be had. Of a successor that began by itself it says all there is to say that its input comes back. */
static void refuse(struct lane *lane, const struct api_error *error) {
	if (lane->steering.taken) {
		steering_fail(&lane->steering, lane->session, lane->tag, "successor_creation_failed", error->message);
	}
	if (!lane->follows || error->code == API_INVALID_KEY) {
		outlet_refuse(lane->session, lane->tag, error);
	}
}

/* Refused or started, the wish is used up. */
static void start(struct lane *lane, struct turn_wish *wish) {
	struct session *session = lane->session;
	struct api_error error;
	lane->follows = wish->follows;
	if (check_start(session, &error)) {
		request_free(&wish->request);
		refuse(lane, &error);
		return;
	}
	if (wish->resume_id[0] ? resume(lane, wish, &error) : create(lane, &wish->request, &error)) {
		refuse(lane, &error);
		return;
	}
	stream_open(&lane->stream, session, lane->tag, &sink);
	lane->running = true;
	lane->turn_started_us = edge_now_us(session->edge);
	session->in_flight++;
}

/* The oldest turns first whose lane is free. */
static void start_next(struct session *session) {
	list_each(node, after, &session->waiting) {
		struct waiting_turn *next = container_of(node, struct waiting_turn, link);
		if (session->closing || session->connection->resting ||
		    session->in_flight >= session->edge->options.max_in_flight) {
			break;
		}
		if (next->lane->running) {
			continue;
		}
		list_remove(node);
		next->lane->waiting--;
		session->waiting_count--;
		start(next->lane, &next->wish);
		mem_free(next);
	}
	lanes_close_if_over(session);
}

void lanes_go_on(struct session *session) {
	start_next(session);
}

static void remember(struct lane *lane, const struct response *response) {
	struct turn *turn = response_turn(response);
	if (response_status(response) == RESPONSE_FAILED || !turn) {
		/* What failed can't be continued, and neither can what it continued: the client has to say it all
		 * again. */
		if (lane->continues_latest) {
			forget(lane);
		}
		return;
	}
	struct conversation *conversation = response_conversation(response);
	if (deletions_of(conversation, lane->turn_deletions) != lane->turn_deletions) {
		forget(lane);
		return;
	}
	turn_hold(turn);
	if (conversation) {
		conversation_hold(conversation);
	}
	forget(lane);
	lane->latest = turn;
	lane->latest_conversation = conversation;
	lane->latest_deletions = lane->turn_deletions;
}

/* The turn that follows by itself, with the settings of the one that was steered. -1 when memory is out. */
static int wish_successor(struct lane *lane, const struct response *steered, struct turn_wish *wish) {
	if (request_settings_copy(&wish->request.settings, response_settings(steered)) ||
	    steering_take(&lane->steering, &wish->request)) {
		request_free(&wish->request);
		return -1;
	}
	str_copy_cut(wish->request.previous_response_id, sizeof wish->request.previous_response_id,
		     str_of(response_id(steered)));
	wish->follows = true;
	return 0;
}

static bool can_go_on(const struct response *response) {
	enum response_status status = response_status(response);
	return status == RESPONSE_COMPLETED || status == RESPONSE_INCOMPLETE;
}

/* What was added to the response that has just ended. True: a successor is wished for. */
static bool follow_steering(struct lane *lane, const struct response *ended, struct turn_wish *wish) {
	struct steering *steering = &lane->steering;
	if (steering->taken) {
		steering_settle(steering);
	}
	if (!steering_waits(steering, str_of(response_id(ended)))) {
		return false;
	}
	if (can_go_on(ended) && steering_needs_results(response_output(ended))) {
		steering_pend(steering, lane->session, lane->tag, response_output(ended));
		return false;
	}
	if (can_go_on(ended) && !lane->session->closing && wish_successor(lane, ended, wish) == 0) {
		return true;
	}
	steering_fail(steering, lane->session, lane->tag,
		      can_go_on(ended) ? "successor_creation_failed" : "response_not_active", NULL);
	return false;
}

static void become_free(struct lane *lane) {
	lane->running = false;
	lane->session->in_flight--;
}

/* Resumed behind its terminal event: a client that waits for more has to hear that there is none. */
static void tell_nothing_follows(const struct lane *lane) {
	struct api_error error;
	api_error_set(&error, API_INVALID_VALUE, "starting_after",
		      "The response ended with event %u; nothing follows it.", lane->stream.cursor.next - 1);
	outlet_error(lane->session, lane->tag, &error);
}

static void on_ended(struct stream *stream) {
	struct lane *lane = container_of(stream, struct lane, stream);
	struct session *session = lane->session;
	const struct response *response = stream->cursor.response;
	if (stream->events == 0) {
		tell_nothing_follows(lane);
	}
	log_info(&session->connection->log, "turn ended", LOG_S("response", response_id(response)),
		 LOG_S("status", response_status_name(response_status(response))), LOG_I("events", stream->events),
		 LOG_I("us", edge_now_us(session->edge) - lane->turn_started_us), LOG_S("user", session->who.user));
	remember(lane, response);
	connection_charge_question(session->connection, response, lane->turn_started_us);
	struct turn_wish successor = {0};
	bool follows = follow_steering(lane, response, &successor);
	stream_close(stream);
	become_free(lane);
	if (follows) {
		start(lane, &successor);
	}
	start_next(session);
}

static void on_refused(struct stream *stream, const struct api_error *error) {
	struct lane *lane = container_of(stream, struct lane, stream);
	if (lane->continues_latest) {
		forget(lane);
	}
	refuse(lane, error);
	become_free(lane);
	start_next(lane->session);
}

/* --- what clients ask --------------------------------------------------------------------------------------------- */

static int wait_turn(struct lane *lane, struct turn_wish *wish, struct api_error *error) {
	struct session *session = lane->session;
	if (session->waiting_count >= session->edge->options.max_queued) {
		counter_add(session->edge->metrics.limit_refusals, 1);
		return api_error_set(error, API_QUEUE_FULL, NULL, NULL);
	}
	struct waiting_turn *waiting = mem_zalloc(sizeof *waiting);
	if (!waiting) {
		return api_error_set(error, API_OVERLOADED, NULL, NULL);
	}
	waiting->lane = lane;
	waiting->wish = *wish;
	*wish = (struct turn_wish){0};
	list_append(&session->waiting, &waiting->link);
	session->waiting_count++;
	lane->waiting++;
	return 0;
}

void lanes_add(struct session *session, const char *tag, struct turn_wish *wish) {
	struct api_error error;
	struct lane *lane = use(session, tag, &error);
	if (lane && !is_busy(lane) && !session->connection->resting &&
	    session->in_flight < session->edge->options.max_in_flight) {
		start(lane, wish);
		return;
	}
	/* What could not start now won't be able to later: said at once. */
	if (!lane || check_start(session, &error) || wait_turn(lane, wish, &error)) {
		request_free(&wish->request);
		outlet_refuse(session, tag, &error);
	}
}

static struct lane *find_running(const struct session *session, struct str id) {
	list_each(node, after, &session->lanes) {
		struct lane *lane = lane_of(node);
		if (lane->running && str_is(id, response_id(lane->stream.cursor.response))) {
			return lane;
		}
	}
	return NULL;
}

void lanes_steer(struct session *session, struct str id, const struct json *input) {
	struct lane *lane = find_running(session, id);
	struct response *response = lane ? lane->stream.cursor.response : NULL;
	if (!response || !response_runs(response)) {
		lane = lane ? lane : find_latest(session, id);
		const struct steer_refusal refusal = {
			.response_id = id,
			.input = input,
			.code = lane ? "response_already_completed" : "response_not_found",
		};
		steering_refuse(session, lane ? lane->tag : "", &refusal);
		return;
	}
	if (lane->steering.taken) {
		/* Its input has begun to be answered: the client knows the answer's id. */
		steering_settle(&lane->steering);
	}
	if (steering_add(&lane->steering, session, lane->tag, response_id(response), input) == 0) {
		response_steer(response);
	}
}

struct response *lanes_running(const struct session *session, const char *tag) {
	const struct lane *lane = find(session, tag);
	return lane && lane->running ? lane->stream.cursor.response : NULL;
}

bool lanes_show(const struct session *session, const struct response *response) {
	list_each(node, after, &session->lanes) {
		if (stream_shows(&lane_of(node)->stream, response)) {
			return true;
		}
	}
	return false;
}

bool lanes_remember(const struct session *session, struct str id) {
	return find_latest(session, id) != NULL;
}

bool lanes_idle(const struct session *session) {
	return list_empty(&session->streams) && list_empty(&session->waiting);
}

void lanes_close_if_over(struct session *session) {
	if (!lanes_idle(session)) {
		return;
	}
	if (session->edge->draining) {
		outlet_close(session, CLOSE_RESTART, "the server is about to stop");
	} else if (session->expired) {
		struct api_error error;
		api_error_set(&error, API_CONNECTION_LIMIT, NULL, NULL);
		outlet_error(session, "", &error);
		outlet_close(session, CLOSE_GOING_AWAY, "the connection has lived its time");
	}
}

void lanes_free(struct session *session) {
	while (!list_empty(&session->waiting)) {
		struct waiting_turn *waiting = container_of(session->waiting.next, struct waiting_turn, link);
		list_remove(&waiting->link);
		request_free(&waiting->wish.request);
		mem_free(waiting);
	}
	session->waiting_count = 0;
	while (!list_empty(&session->lanes)) {
		lane_free(lane_of(session->lanes.next));
	}
	session->in_flight = 0;
}
