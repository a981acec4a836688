/* The streams of a WebSocket session: each is a cursor on a response, with a tag that marks its events on the shared
 * socket. Events are written as they come, or in turn when the socket can take more again. */
#ifndef SLUICE_EDGE_STREAM_H
#define SLUICE_EDGE_STREAM_H

#include "session.h"

struct stream;

struct stream_sink {
	/* The terminal event was written. The stream is still open. */
	void (*ended)(struct stream *stream);
	/* As of a cursor: the response is not to be had, and the stream is closed. */
	void (*refused)(struct stream *stream, const struct api_error *error);
	/* Writes an event of our own that comes before the first one; NULL for none. */
	void (*announce)(struct stream *stream, struct buf *out);
};

/* Embedded by a lane or by what follows a response; zeroed is closed. */
struct stream {
	struct list link; /* of session->streams, while open */
	struct session *session;
	struct cursor cursor;
	const char
		*tag; /* JSON members that each event ends with, such as ,"stream_id":"a"; "" for none. The owner's */
	const struct stream_sink *sink;
	bool announced;
	uint64_t events; /* written so far */
};

extern const struct cursor_sink stream_cursor_sink;

/* Begins with a cursor that was opened, or is about to be, with stream_cursor_sink and this stream as its owner. */
void stream_open(struct stream *stream, struct session *session, const char *tag, const struct stream_sink *sink);
/* Lets go. A closed one is left alone. */
void stream_close(struct stream *stream);
/* Whether it is open on this response: by id, since one of another loop may be there more than once. */
bool stream_shows(const struct stream *stream, const struct response *response);
/* Writes what waits, of all streams, taking turns. For the writable callback. */
void streams_pump(struct session *session);

#endif
