#include "stream.h"

#include <string.h>

#include "frame.h"
#include "outlet.h"

#define BATCH_BYTES (16 * 1024)
/* What one turn of the loop may write of a session: a reader that takes everything as it comes, such as one that resumes a
 * long answer over a fast network, else has the loop to itself until the end of its log. */
#define SLICE_BATCHES 4

static void on_ready(struct cursor *cursor);
static void on_refused(struct cursor *cursor, const struct api_error *error);
const struct cursor_sink stream_cursor_sink = {.ready = on_ready, .refused = on_refused};

void stream_open(struct stream *stream, struct session *session, const char *tag, const struct stream_sink *sink) {
	stream->session = session;
	stream->tag = tag;
	stream->sink = sink;
	stream->announced = !sink->announce;
	stream->events = 0;
	list_append(&session->streams, &stream->link);
}

void stream_close(struct stream *stream) {
	list_remove(&stream->link);
	cursor_close(&stream->cursor);
}

bool stream_shows(const struct stream *stream, const struct response *response) {
	const struct response *shown = stream->cursor.response;
	return shown && strcmp(response_id(shown), response_id(response)) == 0;
}

static bool next_event(struct stream *stream, struct buf *out) {
	if (!stream->announced) {
		if (!response_is_known(stream->cursor.response)) {
			return false;
		}
		stream->announced = true;
		stream->sink->announce(stream, out);
		return true;
	}
	if (!cursor_next(&stream->cursor, out, NULL)) {
		return false;
	}
	stream->events++;
	return true;
}

/* Whether nothing waits behind what was appended. */
static bool append_events(struct stream *stream, struct buf *out) {
	uint64_t before = stream->events;
	bool drained = false;
	while (!drained && out->length < BATCH_BYTES) {
		size_t start = frame_begin(out);
		if (next_event(stream, out)) {
			outlet_tag(out, stream->tag);
			frame_end(out, start);
		} else {
			frame_drop(out, start);
			drained = true;
		}
	}
	counter_add(stream->session->edge->metrics.events_out, stream->events - before);
	return drained;
}

static bool can_write(const struct session *session) {
	return session->connection->wsi && !session->closing && !connection_is_blocked(session->connection);
}

/* -1: the connection is lost. */
static int write_batch(struct session *session, struct buf *out) {
	return out->length > LWS_HEADROOM || out->failed ? outlet_write(session, out) : 0;
}

/* The slice is used up: the rest goes out after everybody else's turn. */
static void go_on_later(const struct session *session) {
	if (can_write(session)) {
		lws_callback_on_writable(session->connection->wsi);
	}
}

/* What one wake-up brought: this stream alone has something new. */
static void pump(struct stream *stream) {
	struct session *session = stream->session;
	struct buf *out = &session->edge->out;
	bool drained = false;
	for (int batch = 0; batch < SLICE_BATCHES && !drained && can_write(session); batch++) {
		edge_out_begin(out);
		outlet_take_kept(session, out);
		drained = append_events(stream, out);
		if (write_batch(session, out)) {
			return;
		}
	}
	if (!drained) {
		go_on_later(session);
	}
	if (cursor_finished(&stream->cursor)) {
		stream->sink->ended(stream);
	}
}

static void on_ready(struct cursor *cursor) {
	pump(cursor->owner);
}

/* Whether the client has seen something of it. */
static bool has_begun(const struct stream *stream) {
	return stream->events > 0 || (stream->sink->announce && stream->announced);
}

static void on_refused(struct cursor *cursor, const struct api_error *error) {
	struct stream *stream = cursor->owner;
	list_remove(&stream->link);
	if (has_begun(stream)) {
		/* An error would say that it never began; who connects again goes on behind the last event. */
		outlet_close(stream->session, CLOSE_INTERNAL, "a response cannot be followed any more");
	}
	stream->sink->refused(stream, error);
}

/* The list goes on behind this one, so that every stream gets its turn. */
static void rotate(struct session *session, struct list *last) {
	list_remove(&session->streams);
	list_append(last->next, &session->streams);
}

/* One batch of all streams. Whether nothing waits behind it. */
static bool fill(struct session *session, struct buf *out) {
	edge_out_begin(out);
	outlet_take_kept(session, out);
	list_each(node, after, &session->streams) {
		if (!append_events(container_of(node, struct stream, link), out)) {
			rotate(session, node);
			return false;
		}
	}
	return true;
}

static struct stream *find_ended(struct session *session) {
	list_each(node, after, &session->streams) {
		struct stream *stream = container_of(node, struct stream, link);
		if (cursor_finished(&stream->cursor)) {
			return stream;
		}
	}
	return NULL;
}

void streams_pump(struct session *session) {
	struct buf *out = &session->edge->out;
	bool drained = false;
	for (int batch = 0; batch < SLICE_BATCHES && !drained && can_write(session); batch++) {
		drained = fill(session, out);
		if (write_batch(session, out)) {
			return;
		}
	}
	if (!drained) {
		go_on_later(session);
	}
	struct stream *ended = NULL;
	while (!session->closing && (ended = find_ended(session))) {
		ended->sink->ended(ended);
	}
}
