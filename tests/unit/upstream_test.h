/* A scripted model server on the loop of the test, and a sink that writes down what the client reports. */
#ifndef SLUICE_TESTS_UPSTREAM_TEST_H
#define SLUICE_TESTS_UPSTREAM_TEST_H

#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <uv.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "upstream/client.h"

#define CHUNK(choice)                                                                                                  \
	"data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[" choice \
	"]}\n\n"
#define DELTA(text) CHUNK("{\"index\":0,\"delta\":{\"content\":\"" text "\"},\"logprobs\":null,\"finish_reason\":null}")
#define FINISH(reason) CHUNK("{\"index\":0,\"delta\":{},\"finish_reason\":\"" reason "\"}")
#define USAGE                                                                                                          \
	"data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{\"prompt_tokens\":7,"     \
	"\"completion_tokens\":5,\"total_tokens\":12,\"prompt_tokens_details\":{\"cached_tokens\":3},"                 \
	"\"completion_tokens_details\":{\"reasoning_tokens\":2}}}\n\n"
#define DONE "data: [DONE]\n\n"

#define HEAD(status, type) "HTTP/1.1 " status "\r\nContent-Type: " type "\r\n"
#define STREAM HEAD("200 OK", "text/event-stream; charset=utf-8") "Connection: close\r\n\r\n"
#define CLOSED(status, type, body) HEAD(status, type) "Connection: close\r\n\r\n" body
#define HELLO DELTA("Hel") DELTA("lo") FINISH("stop") USAGE DONE

enum then { THEN_CLOSE, THEN_HOLD, THEN_RESET };

/* What the server does with the nth request for a completion; the last answer also serves all that follow. */
struct answer {
	const char *bytes; /* NULL: nothing is written */
	enum then then;
	size_t piece;  /* bytes of one write; 0: all at once */
	size_t length; /* 0: strlen(bytes) */
};

struct world {
	uv_loop_t loop;
	uv_tcp_t server;
	uv_timer_t watchdog;
	int port;
	const struct answer *answers;
	size_t answer_count;
	bool repeats;                   /* after the last answer comes the first one again, and not the last one */
	const char *models;             /* the whole answer to GET /models */
	size_t requests;                /* for completions */
	size_t accepted, closed, ended; /* connections; closed by the client; by either side */
	struct buf last_request;
	struct peer *last_peer; /* that asked for a completion */

	struct metrics *metrics;
	struct upstream_vitals *vitals;
	struct log log;
	struct upstream_options options;
	const char *default_model; /* NULL: none */
	struct upstream *upstream;
	struct upstream_call *call;

	struct buf text;
	size_t texts, flushes, finished, callbacks;
	size_t cancel_at; /* the callback within which the call is cancelled; 0: never */
	bool cancelled;
	struct upstream_outcome outcome;
};

struct peer {
	uv_tcp_t tcp;
	struct world *world;
	char received[65536]; /* not a buf: its memory must not fail with the client's */
	size_t received_length;
	const struct answer *answer;
	size_t written;
};

static void peer_close(struct peer *peer);

static inline void on_peer_closed(uv_handle_t *handle) {
	struct peer *peer = handle->data;
	peer->world->ended++;
	free(peer);
}

static void peer_close(struct peer *peer) {
	if (!uv_is_closing((uv_handle_t *)&peer->tcp)) {
		uv_close((uv_handle_t *)&peer->tcp, on_peer_closed);
	}
}

static void peer_write(struct peer *peer);

static inline void on_written(uv_write_t *write, int status) {
	struct peer *peer = write->data;
	free(write);
	if (status == 0 && !uv_is_closing((uv_handle_t *)&peer->tcp)) {
		peer_write(peer);
	}
}

static void peer_write(struct peer *peer) {
	const struct answer *answer = peer->answer;
	size_t length = answer->length ? answer->length : answer->bytes ? strlen(answer->bytes) : 0;
	if (peer->written == length) {
		if (answer->then == THEN_CLOSE) {
			peer_close(peer);
		} else if (answer->then == THEN_RESET) {
			uv_tcp_close_reset(&peer->tcp, on_peer_closed);
		}
		peer->answer = NULL;
		peer->written = 0;
		return;
	}
	size_t piece = length - peer->written;
	if (answer->piece && piece > answer->piece) {
		piece = answer->piece;
	}
	uv_write_t *write = calloc(1, sizeof *write);
	uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)answer->bytes + peer->written, (unsigned)piece);
	peer->written += piece;
	write->data = peer;
	uv_write(write, (uv_stream_t *)&peer->tcp, &buffer, 1, on_written);
}

/* The length of the first request in `bytes`, head and body; 0 while it is not complete. */
static inline size_t request_length(struct str bytes) {
	const char *head_end = memmem(bytes.data, bytes.length, "\r\n\r\n", 4);
	if (!head_end) {
		return 0;
	}
	size_t head = (size_t)(head_end - bytes.data) + 4;
	const char *field = memmem(bytes.data, head, "Content-Length: ", 16);
	size_t length = head + (field ? strtoul(field + 16, NULL, 10) : 0);
	return bytes.length >= length ? length : 0;
}

static inline void peer_answer(struct peer *peer, struct str request) {
	struct world *world = peer->world;
	static const struct answer models_of_none = {
		.bytes = HEAD("404 Not Found", "text/plain") "Connection: close\r\n\r\n"};
	static struct answer models_answer;
	if (str_starts(request, "GET ")) {
		models_answer = (struct answer){.bytes = world->models};
		peer->answer = world->models ? &models_answer : &models_of_none;
	} else {
		size_t n = world->requests < world->answer_count ? world->requests : world->answer_count - 1;
		n = world->repeats ? world->requests % world->answer_count : n;
		world->requests++;
		buf_clear(&world->last_request);
		buf_append_str(&world->last_request, request);
		peer->answer = &world->answers[n];
		world->last_peer = peer;
	}
	peer_write(peer);
}

static inline void on_peer_room(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer) {
	(void)wanted;
	struct peer *peer = handle->data;
	*buffer = uv_buf_init(peer->received + peer->received_length,
			      (unsigned)(sizeof peer->received - peer->received_length));
}

static inline void on_peer_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer) {
	(void)buffer;
	struct peer *peer = stream->data;
	if (count < 0) {
		peer->world->closed++;
		peer_close(peer);
		return;
	}
	peer->received_length += (size_t)count;
	/* A TLS client says hello to a server that knows nothing of it. */
	if (peer->received[0] == 0x16) {
		peer->answer = &peer->world->answers[0];
		peer_write(peer);
		return;
	}
	struct str request = {peer->received, 0};
	while (!uv_is_closing((uv_handle_t *)stream)) {
		request.length = request_length((struct str){peer->received, peer->received_length});
		if (request.length == 0) {
			return;
		}
		peer_answer(peer, request);
		peer->received_length -= request.length;
		memmove(peer->received, peer->received + request.length, peer->received_length);
	}
}

static inline void on_connection(uv_stream_t *server, int status) {
	assert_int_equal(status, 0);
	struct world *world = server->data;
	struct peer *peer = calloc(1, sizeof *peer);
	assert_non_null(peer);
	peer->world = world;
	peer->tcp.data = peer;
	uv_tcp_init(&world->loop, &peer->tcp);
	uv_accept(server, (uv_stream_t *)&peer->tcp);
	uv_tcp_nodelay(&peer->tcp, 1);
	world->accepted++;
	uv_read_start((uv_stream_t *)&peer->tcp, on_peer_room, on_peer_read);
}

static inline void on_watchdog(uv_timer_t *timer) {
	(void)timer;
	fail_msg("the test waited for 20 s");
}

/* Counts a callback, checks that it may come, and cancels when its turn has come. */
static inline void callback_seen(struct world *world) {
	assert_false(world->cancelled);
	assert_int_equal(world->finished, 0);
	if (++world->callbacks == world->cancel_at) {
		world->cancelled = true;
		upstream_cancel(&world->call);
		assert_null(world->call);
	}
}

/* Text as it is; a delta of another kind as the first letter of its kind, what it holds, and a closing bracket. */
static inline void on_delta(void *owner, const struct chat_delta *delta) {
	static const char *const marks[] = {
		[CHAT_DELTA_TEXT] = "",   [CHAT_DELTA_REASONING] = "[r ",  [CHAT_DELTA_REFUSAL] = "[f ",
		[CHAT_DELTA_CALL] = "[c", [CHAT_DELTA_ANNOTATION] = "[a ",
	};
	struct world *world = owner;
	bool plain = delta->kind == CHAT_DELTA_TEXT;
	assert_true(delta->text.length > 0 || delta->logprobs.length > 0 || delta->kind == CHAT_DELTA_CALL);
	assert_true(str_is_utf8(delta->text));
	buf_append_text(&world->text, marks[delta->kind]);
	if (delta->kind == CHAT_DELTA_CALL) {
		buf_printf(&world->text, "%u %.*s ", delta->call, STR_ARG(delta->call_name));
	}
	buf_append_str(&world->text, delta->text);
	buf_append_text(&world->text, plain ? "" : "]");
	world->texts++;
	callback_seen(world);
}

static inline void on_flush(void *owner) {
	struct world *world = owner;
	world->flushes++;
	callback_seen(world);
}

static inline void on_finished(void *owner, const struct upstream_outcome *outcome) {
	struct world *world = owner;
	callback_seen(world);
	world->finished++;
	world->outcome = *outcome;
	world->call = NULL;
}

static const struct upstream_sink sink = {.delta = on_delta, .flush = on_flush, .finished = on_finished};

static inline void world_open(struct world *world, const struct answer *answers, size_t count) {
	*world = (struct world){.answers = answers, .answer_count = count};
	signal(SIGPIPE, SIG_IGN); /* the server writes to clients that are gone */
	assert_int_equal(uv_loop_init(&world->loop), 0);
	uv_timer_init(&world->loop, &world->watchdog);
	uv_timer_start(&world->watchdog, on_watchdog, 20000, 0);
	uv_unref((uv_handle_t *)&world->watchdog);
	struct sockaddr_in address;
	uv_ip4_addr("127.0.0.1", 0, &address);
	uv_tcp_init(&world->loop, &world->server);
	world->server.data = world;
	assert_int_equal(uv_tcp_bind(&world->server, (struct sockaddr *)&address, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&world->server, 128, on_connection), 0);
	int size = sizeof address;
	uv_tcp_getsockname(&world->server, (struct sockaddr *)&address, &size);
	world->port = ntohs(address.sin_port);
	world->metrics = metrics_new();
	world->vitals = upstream_vitals_new(&(struct err){0});
	world->options = (struct upstream_options){
		.connect_timeout_ms = 10000,
		.first_token_timeout_ms = 15000,
		.silence_timeout_ms = 15000,
		.retries = 2,
		.retry_base_ms = 1,
		.retry_max_ms = 3000,
		.max_event = 1 << 20,
	};
}

/* Starts the client; `url` is a format for the port, NULL the server itself. */
static inline void world_connect(struct world *world, const char *url) {
	char text[128];
	struct err err = {0};
	snprintf(text, sizeof text, "%s", "");
	if (url) {
		snprintf(text, sizeof text, "%s", url);
	} else {
		snprintf(text, sizeof text, "http://127.0.0.1:%d/v1", world->port);
	}
	world->options.url = text;
	struct upstream_deps deps = {&world->loop, clock_system(), &world->log, world->metrics, world->vitals};
	const char *model = world->default_model ? world->default_model : "";
	world->upstream = upstream_new(&world->options, 1, model, &deps, &err);
	assert_non_null(world->upstream);
}

static inline struct upstream_call *world_start(struct world *world) {
	static const struct chat_part words = {.kind = CHAT_PART_TEXT, .text = {"Hi", 2}};
	static const struct chat_message messages[] = {{.role = "user", .parts = &words, .part_count = 1}};
	const struct chat_request request = {.model = "m", .messages = messages, .message_count = 1};
	struct err err = {0};
	size_t callbacks = world->callbacks;
	world->call = upstream_start(world->upstream, &request, &world->log, &sink, world, &err);
	assert_non_null(world->call);
	assert_int_equal(world->callbacks, callbacks);
	return world->call;
}

/* Runs the loop until *what is at least `at_least`. */
static inline void world_wait(struct world *world, const size_t *what, size_t at_least) {
	while (*what < at_least) {
		uv_run(&world->loop, UV_RUN_ONCE);
	}
}

/* The server that holds the last request goes on with this answer. */
static inline void world_say(struct world *world, const struct answer *answer) {
	assert_null(world->last_peer->answer);
	world->last_peer->answer = answer;
	peer_write(world->last_peer);
}

static inline void world_run(struct world *world) {
	world_start(world);
	world_wait(world, &world->finished, 1);
}

static inline void close_handle(uv_handle_t *handle, void *world) {
	if (!uv_is_closing(handle)) {
		uv_close(handle, handle->type == UV_TCP && handle->data != world ? on_peer_closed : NULL);
	}
}

static inline void world_close(struct world *world) {
	upstream_cancel(&world->call);
	upstream_free(&world->upstream);
	uv_run(&world->loop, UV_RUN_NOWAIT);
	uv_walk(&world->loop, close_handle, world);
	uv_run(&world->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&world->loop), 0);
	metrics_free(&world->metrics);
	upstream_vitals_free(&world->vitals);
	buf_free(&world->text);
	buf_free(&world->last_request);
}

#define WORLD(...)                                                                                                     \
	static const struct answer answers_[] = {__VA_ARGS__};                                                         \
	struct world world;                                                                                            \
	world_open(&world, answers_, sizeof answers_ / sizeof answers_[0])

static inline void assert_text(const struct world *world, const char *text) {
	assert_true(str_is(buf_str(&world->text), text));
}

/* Whether the metrics page has this line. */
static inline void assert_metric(const struct world *world, const char *line) {
	struct buf page = BUF_INIT;
	metrics_render(world->metrics, &page);
	if (!memmem(page.data, page.length, line, strlen(line))) {
		fail_msg("no %s in\n%.*s", line, STR_ARG(buf_str(&page)));
	}
	buf_free(&page);
}

#endif
