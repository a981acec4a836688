/* One HTTP request and its answer. Made when the headers are there, gone when the answer is written: after any function
 * that says "ends the exchange", the pointer is dead. Whatever a handler waits for (a conversation's records, a response's
 * events, a credential) hangs on the exchange and is let go with it. */
#ifndef SLUICE_EDGE_EXCHANGE_H
#define SLUICE_EDGE_EXCHANGE_H

#include "auth/auth.h"
#include "connection.h"
#include "http/deprecation.h"
#include "http/route.h"
#include "proto/error.h"
#include "response/engine.h"

struct exchange {
	uint32_t magic;
	struct connection *connection;
	struct edge *edge;
	char request_id[ID_SIZE];
	int64_t started_us;

	enum http_method method;
	bool options; /* the method is OPTIONS */
	char *path;   /* owned; percent-decoded */
	char *query;  /* owned; "" if none */
	struct http_match match;
	bool http11;
	bool keep_alive; /* may the connection go on after the answer */
	bool has_body;   /* a Content-Length was sent: wait for the body's end */
	bool body_complete;
	bool delayed;    /* served when the connection has rested */
	bool is_read_on; /* libwebsockets reads while we answer, and so notices when the client leaves */
	struct buf body;
	struct buf answer;     /* what a handler keeps for its answer while it waits */
	char *idempotency_key; /* owned, as it came; NULL if none, "" if it was too long to keep */
	bool refused;          /* `refusal` is told once the body was read */
	struct api_error refusal;
	char allow_origin[256]; /* for CORS; "" for none */

	struct principal who; /* of routes that need one */
	struct api_limit_state limits;
	const struct http_deprecation *deprecation; /* of what the request used; NULL: nothing */
	bool no_retry;                              /* the answer says x-should-retry: false */
	bool streaming;                             /* the head of an event stream is out */
	int64_t written_us;                         /* the last time that something of the stream went to the socket */

	struct conversation_op *op;
	struct cursor cursor;
	void (*on_writable)(struct exchange *exchange);
};

struct exchange *exchange_new(struct connection *connection);
/* The one under way on this connection; NULL if none. */
struct exchange *exchange_of(const struct connection *connection);
/* For an answer that comes later. */
void exchange_wait(struct exchange *exchange);
/* Lets go of everything that is waited for and frees. */
void exchange_free(struct exchange *exchange);

/* The answer. Each ends the exchange. */
struct reply {
	int status;
	const char *type; /* media type; NULL for an answer without a body */
	struct str body;
	const char *headers; /* more header lines, each ending in CRLF, or NULL */
	bool cacheable;      /* no-cache instead of no-store */
};
void reply_send(struct exchange *exchange, const struct reply *reply);
void reply_json(struct exchange *exchange, int status, const struct buf *body);
void reply_error(struct exchange *exchange, const struct api_error *error);
void reply_code(struct exchange *exchange, enum api_error_code code);

/* For answers of unknown length: the head goes out at once. -1 when the connection is lost (it then closes by itself). */
int reply_stream_begin(struct exchange *exchange, const char *type);
/* Ends the exchange; everything of the body has been written. */
void reply_stream_end(struct exchange *exchange);

#endif
