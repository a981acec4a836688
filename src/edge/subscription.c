#include "subscription.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "lanes.h"
#include "outlet.h"
#include "stream.h"

#define SUBSCRIPTIONS_MAX 32
/* Answers that have ended and are in memory for no other reason than that this client has not read them yet. */
#define UNREAD_MAX 32

struct subscription {
	struct list link;
	struct session *session;
	struct conversation_op *op; /* looks whether there is such a conversation; NULL once it is known */
	struct follower follower;
	struct list followed;
	char conversation[ID_SIZE];
};

/* A response of another connection. */
struct followed {
	struct list link;
	struct subscription *subscription;
	struct stream stream;
	char tag[ID_SIZE + 32];
};

static struct followed *followed_of(struct stream *stream) {
	return container_of(stream, struct followed, stream);
}

/* --- responses ---------------------------------------------------------------------------------------------------- */

static void followed_free(struct followed *followed) {
	stream_close(&followed->stream);
	list_remove(&followed->link);
	mem_free(followed);
}

static void write_input(struct json_writer *w, const struct item_list *input) {
	struct buf item = BUF_INIT;
	jw_array(w);
	for (size_t i = 0; i < input->count; i++) {
		buf_clear(&item);
		item_write(&item, &input->items[i]);
		jw_raw(w, buf_str(&item));
	}
	jw_array_end(w);
	w->out->failed = w->out->failed || item.failed;
	buf_free(&item);
}

/* What was asked: the events of a response do not say. */
static void announce(struct stream *stream, struct buf *out) {
	const struct response *response = stream->cursor.response;
	const char *parent = response_parent(response);
	struct json_writer w = json_writer(out);
	jw_object(&w);
	jw_key(&w, "type");
	jw_text(&w, "sluice:conversation.turn");
	jw_key(&w, "conversation");
	jw_text(&w, followed_of(stream)->subscription->conversation);
	jw_key(&w, "previous_response_id");
	jw_text(&w, parent[0] ? parent : NULL);
	jw_key(&w, "input");
	write_input(&w, response_input(response));
	jw_object_end(&w);
}

static void on_ended(struct stream *stream) {
	struct session *session = stream->session;
	followed_free(followed_of(stream));
	lanes_close_if_over(session);
}

static void on_refused(struct stream *stream, const struct api_error *error) {
	(void)error;
	followed_free(followed_of(stream));
}

static const struct stream_sink sink = {.ended = on_ended, .refused = on_refused, .announce = announce};

static size_t count_unread(const struct session *session) {
	size_t count = 0;
	list_each(node, after, &session->subscriptions) {
		const struct subscription *subscription = container_of(node, struct subscription, link);
		list_each(inner, behind, &subscription->followed) {
			const struct followed *followed = container_of(inner, struct followed, link);
			count += response_ended(followed->stream.cursor.response);
		}
	}
	return count;
}

/* Asked again before each turn, as for one of its own. */
static int check_credential(const struct session *session, struct api_error *error) {
	return auth_recheck(session->edge->deps.auth, &session->who) ? api_error_set(error, API_INVALID_KEY, NULL, NULL)
								     : 0;
}

static bool is_followed(const struct subscription *subscription, const struct response *response) {
	list_each(node, after, &subscription->followed) {
		if (stream_shows(&container_of(node, struct followed, link)->stream, response)) {
			return true;
		}
	}
	return false;
}

static void follow(struct subscription *subscription, struct response *response) {
	struct session *session = subscription->session;
	struct api_error error;
	if (session->closing || lanes_show(session, response) || is_followed(subscription, response)) {
		return;
	}
	if (check_credential(session, &error)) {
		outlet_refuse(session, "", &error);
		return;
	}
	if (count_unread(session) >= UNREAD_MAX) {
		outlet_close(session, CLOSE_POLICY, "answers are not read");
		return;
	}
	struct followed *followed = mem_zalloc(sizeof *followed);
	if (!followed) {
		log_warn(&session->connection->log, "no memory to follow a response",
			 LOG_S("response", response_id(response)));
		return;
	}
	followed->subscription = subscription;
	list_append(&subscription->followed, &followed->link);
	snprintf(followed->tag, sizeof followed->tag, ",\"sluice:response_id\":\"%s\"", response_id(response));
	cursor_open(&followed->stream.cursor, response, 0, &stream_cursor_sink, &followed->stream);
	stream_open(&followed->stream, session, followed->tag, &sink);
}

static void on_began(struct follower *follower, struct response *response) {
	follow(container_of(follower, struct subscription, follower), response);
}

/* --- conversations ------------------------------------------------------------------------------------------------ */

static void subscription_free(struct subscription *subscription) {
	while (!list_empty(&subscription->followed)) {
		followed_free(container_of(subscription->followed.next, struct followed, link));
	}
	engine_unfollow(subscription->session->edge->deps.engine, &subscription->follower);
	conversation_cancel(&subscription->op);
	list_remove(&subscription->link);
	subscription->session->subscription_count--;
	mem_free(subscription);
}

static struct subscription *find(const struct session *session, struct str conversation) {
	list_each(node, after, &session->subscriptions) {
		struct subscription *subscription = container_of(node, struct subscription, link);
		if (str_is(conversation, subscription->conversation)) {
			return subscription;
		}
	}
	return NULL;
}

static void tell(struct session *session, const char *type, const char *conversation) {
	struct buf *event = &session->edge->event;
	buf_clear(event);
	struct json_writer w = json_writer(event);
	jw_object(&w);
	jw_key(&w, "type");
	jw_text(&w, type);
	jw_key(&w, "conversation");
	jw_text(&w, conversation);
	jw_object_end(&w);
	if (!event->failed) {
		outlet_send(session, buf_str(event));
	}
}

static void follow_one(void *arg, struct response *response) {
	follow(arg, response);
}

static void begin(struct subscription *subscription) {
	struct session *session = subscription->session;
	struct engine *engine = session->edge->deps.engine;
	if (engine_follow(engine, &subscription->follower, subscription->conversation, on_began)) {
		struct api_error error;
		api_error_set(&error, API_OVERLOADED, NULL, NULL);
		subscription_free(subscription);
		outlet_error(session, "", &error);
		return;
	}
	tell(session, "sluice:conversation.subscribed", subscription->conversation);
	engine_each_live(engine, subscription->conversation, follow_one, subscription);
}

static void on_found(void *arg, const struct err *err) {
	struct subscription *subscription = arg;
	struct session *session = subscription->session;
	subscription->op = NULL;
	if (!err) {
		begin(subscription);
		return;
	}
	struct api_error error;
	if (err->code == ERR_NOT_FOUND) {
		api_error_set(&error, API_CONVERSATION_NOT_FOUND, "conversation", NULL);
	} else {
		api_error_set(&error, API_STORAGE_FAILED, NULL, NULL);
	}
	subscription_free(subscription);
	outlet_error(session, "", &error);
}

int subscription_add(struct session *session, struct str conversation, struct api_error *error) {
	const struct subscription *old = find(session, conversation);
	char id[ID_SIZE];
	if (check_credential(session, error)) {
		return -1;
	}
	if (old && old->op) {
		return 0;
	}
	if (old) {
		tell(session, "sluice:conversation.subscribed", old->conversation);
		return 0;
	}
	if (session->subscription_count >= SUBSCRIPTIONS_MAX) {
		return api_error_set(error, API_SUBSCRIPTION_LIMIT, "conversation", NULL);
	}
	if (id_copy(id, conversation)) {
		return api_error_set(error, API_CONVERSATION_NOT_FOUND, "conversation", NULL);
	}
	struct subscription *subscription = mem_zalloc(sizeof *subscription);
	if (!subscription) {
		return api_error_set(error, API_OVERLOADED, NULL, NULL);
	}
	subscription->session = session;
	memcpy(subscription->conversation, id, sizeof id);
	list_init(&subscription->followed);
	list_append(&session->subscriptions, &subscription->link);
	session->subscription_count++;
	subscription->op =
		conversation_find(session->edge->deps.conversations, session->who.user, id, on_found, subscription);
	if (!subscription->op) {
		subscription_free(subscription);
		return api_error_set(error, API_OVERLOADED, NULL, NULL);
	}
	return 0;
}

int subscription_remove(struct session *session, struct str conversation, struct api_error *error) {
	struct subscription *subscription = find(session, conversation);
	if (!subscription) {
		return api_error_set(error, API_CONVERSATION_NOT_FOUND, "conversation",
				     "This connection does not watch this conversation.");
	}
	tell(session, "sluice:conversation.unsubscribed", subscription->conversation);
	subscription_free(subscription);
	lanes_close_if_over(session);
	return 0;
}

void subscriptions_free(struct session *session) {
	while (!list_empty(&session->subscriptions)) {
		subscription_free(container_of(session->subscriptions.next, struct subscription, link));
	}
}
