/* One client of a streamed answer: it connects, asks, and checks every token for its place. It reads the framing for what it
 * is (WebSocket frames, chunks), so that a token is counted once, where a delta says it: "NUMBER:MICROSECOND ".
 *
 *   CLIENT_RAW   the model server's own bytes: POST /v1/chat/completions, asked as soon as it is connected
 *   CLIENT_WS    GET /v1/responses with an upgrade, then response.create
 *   CLIENT_SSE   POST /v1/responses with stream: true
 *
 * Callbacks run inside client_on_ready. */
#ifndef SLUICE_BENCH_CLIENT_H
#define SLUICE_BENCH_CLIENT_H

#include "bench.h"

enum client_mode { CLIENT_RAW, CLIENT_WS, CLIENT_SSE };

enum client_state {
	CLIENT_CLOSED,
	CLIENT_CONNECTING,
	CLIENT_OPENING,   /* waits for the answer to its upgrade */
	CLIENT_OPEN,      /* connected, asks nothing */
	CLIENT_ASKED,     /* has asked */
	CLIENT_STREAMING, /* has had a token */
};

enum client_end { CLIENT_COMPLETED, CLIENT_FAILED, CLIENT_REFUSED };

struct client;

struct client_plan {
	enum client_mode mode;
	int port, epoll;
	int sources; /* 127.0.0.1 and so many addresses behind it to connect from, in turn */
	const char *key;
	const char *input; /* what is asked for */
	bool unstored;
	void (*on_open)(struct client *c); /* CLIENT_WS only */
	void (*on_token)(struct client *c, int64_t age_us);
	/* An answer ended, a connection was refused (c->status has the HTTP status, 0 without any) or lost. After
	 * CLIENT_COMPLETED a WebSocket is open and may ask again. */
	void (*on_end)(struct client *c, enum client_end end);
};

enum match_kind { MATCH_DELTA, MATCH_TYPE, MATCH_DONE, MATCHES };

struct client {
	const struct client_plan *plan;
	void *user; /* the caller's */
	int fd, number;
	enum client_state state;
	int status;
	long tokens; /* wanted */
	long next;   /* expected */
	long text;   /* bytes of text so far */
	int64_t connect_us, open_us, ask_us, first_us;

	/* framing */
	bool headers_done, chunked, unreadable;
	uint8_t head[14], control[125];
	size_t head_length, control_length;
	uint64_t left; /* of the frame's or chunk's payload */
	int line;      /* bytes of the header's line or of the chunk's size so far */
	uint64_t size;

	/* text */
	int matched[MATCHES], matched_chunked;
	bool in_delta, in_type, in_stamp;
	long long token, stamp;
	char type[40];
	size_t type_length;
	bool ended;
};

/* The first complaint of a server, for people; empty if there was none. */
extern char client_complaint[400];

void client_connect(struct client *c, const struct client_plan *plan, int number);
void client_ask(struct client *c, long tokens);
/* Its socket has news, as epoll says. */
void client_on_ready(struct client *c);
void client_close(struct client *c);

#endif
