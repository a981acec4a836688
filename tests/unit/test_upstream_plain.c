/* The client for http://: connections, and servers that misbehave below the level of Chat Completions. */
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/list.h"
#include "plain.h"
#include "upstream_test.h"

static const struct chat_request request = {.model = "m"};

/* The names of these tests: the addresses of each, in this order. On 127.0.0.1 is the server, on the others nobody, unless
 * a test says otherwise. */
static const struct {
	const char *name;
	const char *addresses[3];
} names[] = {
	{"second.invalid", {"127.0.0.2", "127.0.0.1"}},
	{"sixth.invalid", {"::1", "127.0.0.1"}},
	{"nobody.invalid", {"127.0.0.2", "127.0.0.3"}},
	{"silent.invalid", {"127.0.0.2"}},
};
static _Atomic unsigned lookups;

static struct addrinfo *make_answer(const char *address) {
	struct addrinfo *answer = calloc(1, sizeof *answer + sizeof(struct sockaddr_in6));
	answer->ai_addr = (struct sockaddr *)(answer + 1);
	if (uv_ip4_addr(address, 0, (struct sockaddr_in *)answer->ai_addr) == 0) {
		answer->ai_addrlen = sizeof(struct sockaddr_in);
	} else {
		assert_int_equal(uv_ip6_addr(address, 0, (struct sockaddr_in6 *)answer->ai_addr), 0);
		answer->ai_addrlen = sizeof(struct sockaddr_in6);
	}
	answer->ai_family = answer->ai_addr->sa_family;
	return answer;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
	(void)service, (void)hints;
	struct addrinfo **end = result;
	*result = NULL;
	lookups++;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		for (size_t j = 0; strcmp(names[i].name, node) == 0 && names[i].addresses[j]; j++) {
			*end = make_answer(names[i].addresses[j]);
			end = &(*end)->ai_next;
		}
	}
	return *result ? 0 : EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *answer) {
	while (answer) {
		struct addrinfo *next = answer->ai_next;
		free(answer);
		answer = next;
	}
}

static void connect_to(struct world *world, const char *host) {
	char url[64];
	snprintf(url, sizeof url, "http://%s:%d/v1", host, world->port);
	world_connect(world, url);
}

static void assert_outcome(const struct world *world, enum upstream_error error, const char *text) {
	if (world->outcome.error != error) {
		fail_msg("outcome %s (%s), expected %s", upstream_error_name(world->outcome.error), world->outcome.text,
			 upstream_error_name(error));
	}
	assert_text(world, text);
}

/* --- addresses ------------------------------------------------------------------------------------------------------ */

static void test_next_address(void **state) {
	(void)state;
	static const char *const hosts[] = {"second.invalid", "sixth.invalid", "localhost", "127.0.0.1"};
	for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
		WORLD({.bytes = STREAM HELLO});
		connect_to(&world, hosts[i]);
		world_run(&world);
		assert_outcome(&world, UPSTREAM_OK, "Hello");
		assert_int_equal(world.outcome.tries, 1);
		world_close(&world);
	}
}

static void test_names_are_kept(void **state) {
	(void)state;
	WORLD({.bytes = STREAM HELLO});
	unsigned before = lookups;
	connect_to(&world, "second.invalid");
	for (int i = 0; i < 5; i++) {
		world_run(&world);
		world.finished = 0;
	}
	/* The list of models was asked for at the same time. */
	assert_int_equal(lookups - before, 1);
	world_close(&world);
}

static void test_no_address(void **state) {
	(void)state;
	static const struct {
		const char *host;
		enum upstream_error error;
	} cases[] = {{"unknown.invalid", UPSTREAM_UNKNOWN_HOST},
		     {"nobody.invalid", UPSTREAM_REFUSED},
		     {"127.0.0.2", UPSTREAM_REFUSED}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		WORLD({.bytes = STREAM HELLO});
		world.options.retries = 1;
		connect_to(&world, cases[i].host);
		world_run(&world);
		assert_outcome(&world, cases[i].error, "");
		assert_true(world.outcome.untouched);
		assert_int_equal(world.requests, 0);
		world_close(&world);
	}
}

/* That this process has no descriptor left says nothing of the server: it is not passed over for it. */
static void test_no_descriptor(void **state) {
	(void)state;
	WORLD({.bytes = STREAM HELLO});
	struct rlimit all, none;
	connect_to(&world, "127.0.0.1");
	world_wait(&world, &world.ended, 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	none = (struct rlimit){.rlim_cur = 3, .rlim_max = all.rlim_max};
	for (int i = 0; i < 20; i++) {
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
		world.finished = 0;
		world_start(&world);
		while (world.finished == 0) {
			uv_run(&world.loop, UV_RUN_NOWAIT);
		}
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
		assert_outcome(&world, UPSTREAM_MEMORY, "");
	}
	world.finished = 0;
	world_run(&world);
	assert_outcome(&world, UPSTREAM_OK, "Hello");
	world_close(&world);
}

/* A listener whose queue is full: who connects hears nothing. */
struct silence {
	int listener;
	int filler;
};

static void silence_begin(struct silence *silence, int port) {
	struct sockaddr_in address;
	uv_ip4_addr("127.0.0.2", port, &address);
	silence->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(silence->listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(silence->listener, 0), 0);
	silence->filler = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(silence->filler, (struct sockaddr *)&address, sizeof address), 0);
	/* The kernel may still be busy with the last step of its handshake. Of a listener this is the length of its queue. */
	struct tcp_info info = {0};
	while (info.tcpi_unacked == 0) {
		socklen_t size = sizeof info;
		assert_int_equal(getsockopt(silence->listener, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
	}
}

static void silence_end(const struct silence *silence) {
	close(silence->filler);
	close(silence->listener);
}

static void test_silent_address(void **state) {
	(void)state;
	WORLD({.bytes = STREAM HELLO});
	struct silence silence;
	silence_begin(&silence, world.port);
	connect_to(&world, "second.invalid");
	world_run(&world);
	assert_outcome(&world, UPSTREAM_OK, "Hello");
	silence_end(&silence);
	world_close(&world);
}

static void test_connect_timeout(void **state) {
	(void)state;
	WORLD({.bytes = STREAM HELLO});
	struct silence silence;
	silence_begin(&silence, world.port);
	world.options.connect_timeout_ms = 30;
	world.options.retries = 0;
	connect_to(&world, "silent.invalid");
	world_run(&world);
	assert_outcome(&world, UPSTREAM_TIMEOUT, "");
	assert_int_equal(world.outcome.http_status, 0);
	silence_end(&silence);
	world_close(&world);
}

static void test_ipv6(void **state) {
	(void)state;
	WORLD({.bytes = STREAM HELLO});
	uv_tcp_t server;
	struct sockaddr_in6 address;
	uv_ip6_addr("::1", 0, &address);
	uv_tcp_init(&world.loop, &server);
	server.data = &world;
	if (uv_tcp_bind(&server, (struct sockaddr *)&address, UV_TCP_IPV6ONLY) != 0 ||
	    uv_listen((uv_stream_t *)&server, 128, on_connection) != 0) {
		world_close(&world);
		skip();
	}
	int size = sizeof address;
	uv_tcp_getsockname(&server, (struct sockaddr *)&address, &size);
	char host[64];
	world.port = ntohs(address.sin6_port);
	connect_to(&world, "[::1]");
	world_run(&world);
	assert_outcome(&world, UPSTREAM_OK, "Hello");
	snprintf(host, sizeof host, "\r\nHost: [::1]:%d\r\n", world.port);
	assert_non_null(memmem(world.last_request.data, world.last_request.length, host, strlen(host)));
	world_close(&world);
}

static void test_bad_addresses(void **state) {
	(void)state;
	static const char *const urls[] = {"http://",       "http:///v1",     "http://a b/v1",  "http://user@h/v1",
					   "http://h:0/v1", "http://h:65536", "http://h:x/v1",  "http://[::1",
					   "http://[]/v1",  "http://[::1]x",  "http://\xC3\xA9"};
	for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
		WORLD({.bytes = STREAM HELLO});
		world.options.url = urls[i];
		struct upstream_deps deps = {&world.loop, clock_system(), &world.log, world.metrics, world.vitals};
		struct err err = {0};
		assert_null(upstream_new(&world.options, 1, "", &deps, &err));
		assert_int_equal(err.code, ERR_INVALID);
		world_close(&world);
	}
}

/* --- what comes on a connection --------------------------------------------------------------------------------------- */

#define PART_A "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n" /* 47 bytes */
#define PART_DONE "data: [DONE]\n\n"                                       /* 14 bytes */
#define STREAM_HEAD HEAD("200 OK", "text/event-stream")
#define CHUNKED STREAM_HEAD "Transfer-Encoding: chunked\r\n\r\n"
#define KEPT CHUNKED "2f\r\n" PART_A "\r\ne\r\n" PART_DONE "\r\n0\r\n\r\n"

static void test_framing(void **state) {
	(void)state;
	static const struct {
		const char *bytes;
		enum upstream_error error;
		const char *text;
	} cases[] = {
		{KEPT, UPSTREAM_OK, "a"},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" KEPT, UPSTREAM_OK, "a"},
		{CHUNKED "2f;x=\"y\"\r\n" PART_A "\r\nE\r\n" PART_DONE "\r\n0\r\nDigest: x\r\n\r\n", UPSTREAM_OK, "a"},
		{CHUNKED "1\r\nd\r\n2e\r\nata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n\r\n"
			 "e\r\n" PART_DONE "\r\n0\r\n\r\n",
		 UPSTREAM_OK, "a"},
		{"HTTP/1.0 200 OK\nContent-Type: text/event-stream\n\n" PART_A PART_DONE, UPSTREAM_OK, "a"},
		{STREAM_HEAD "Content-Length: 61\r\n\r\n" PART_A PART_DONE, UPSTREAM_OK, "a"},
		{CHUNKED "2f\r\n" PART_A "\r\nx\r\n", UPSTREAM_PROTOCOL, "a"},
		{CHUNKED "x\r\n", UPSTREAM_PROTOCOL, ""},
		{STREAM_HEAD "Content-Length: 61\r\nTransfer-Encoding: chunked\r\n\r\n", UPSTREAM_PROTOCOL, ""},
		{CHUNKED "2f\r\n" PART_A, UPSTREAM_CUT, "a"},
		{"HTTP/1.1 200 OK\r\nContent-", UPSTREAM_REFUSED, ""},
		{"\x15\x03\x01", UPSTREAM_PROTOCOL, ""},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		for (size_t piece = 0; piece <= 7; piece += 7) {
			struct world world;
			struct answer answer = {.bytes = cases[i].bytes, .piece = piece};
			world_open(&world, &answer, 1);
			world.options.retries = 0;
			world_connect(&world, NULL);
			world_run(&world);
			assert_outcome(&world, cases[i].error, cases[i].text);
			world_close(&world);
		}
	}
}

/* Whatever chunks one read brings are handed on together. */
static void test_one_flush_a_read(void **state) {
	(void)state;
	WORLD({.bytes = CHUNKED "2f\r\n" PART_A "\r\n2f\r\n" PART_A "\r\n2f\r\n" PART_A "\r\ne\r\n" PART_DONE
				"\r\n0\r\n\r\n",
	       .then = THEN_HOLD});
	world_connect(&world, NULL);
	world_run(&world);
	assert_outcome(&world, UPSTREAM_OK, "aaa");
	assert_int_equal(world.texts, 3);
	assert_int_equal(world.flushes, 1);
	world_close(&world);
}

/* --- connections that are kept ---------------------------------------------------------------------------------------- */

static void run_again(struct world *world) {
	world->finished = 0;
	world_run(world);
}

static void turn(struct world *world) {
	for (int i = 0; i < 20; i++) {
		uv_run(&world->loop, UV_RUN_NOWAIT);
	}
}

/* The list of models comes and goes on a connection of its own. */
static void run_first(struct world *world) {
	world_connect(world, NULL);
	world_wait(world, &world->ended, 1);
	turn(world);
	world_run(world);
	assert_outcome(world, UPSTREAM_OK, "a");
	assert_int_equal(world->accepted, 2);
}

static void test_kept_connection_breaks_with_the_request(void **state) {
	(void)state;
	static const enum then thens[] = {THEN_CLOSE, THEN_RESET};
	for (size_t i = 0; i < 2; i++) {
		struct answer answers[] = {
			{.bytes = KEPT, .then = THEN_HOLD}, {.then = thens[i]}, {.bytes = KEPT, .then = THEN_HOLD}};
		struct world world;
		world_open(&world, answers, 3);
		run_first(&world);
		run_again(&world);
		assert_outcome(&world, UPSTREAM_OK, "aa");
		assert_int_equal(world.outcome.tries, 1);
		assert_int_equal(world.requests, 3);
		assert_int_equal(world.accepted, 3);
		/* What was sent is counted. */
		assert_metric(&world, "sluice_upstream_requests_total{upstream=\"default\"} 3\n");
		assert_metric(&world, "sluice_upstream_retries_total 0\n");
		world_close(&world);
	}
}

/* On a new connection it is an error; so is an end behind the first byte. */
static void test_broken_twice(void **state) {
	(void)state;
	static const struct {
		struct answer answers[3];
		size_t requests;
	} cases[] = {{{{.bytes = KEPT, .then = THEN_HOLD}, {.then = THEN_CLOSE}, {.then = THEN_CLOSE}}, 3},
		     {{{.bytes = KEPT, .then = THEN_HOLD}, {.bytes = "H", .then = THEN_CLOSE}}, 2}};
	for (size_t i = 0; i < 2; i++) {
		struct world world;
		world_open(&world, cases[i].answers, 3);
		world.options.retries = 0;
		run_first(&world);
		run_again(&world);
		assert_outcome(&world, UPSTREAM_REFUSED, "a");
		assert_false(world.outcome.untouched);
		assert_int_equal(world.requests, cases[i].requests);
		world_close(&world);
	}
}

static void test_kept_connection_is_closed(void **state) {
	(void)state;
	WORLD({.bytes = KEPT, .then = THEN_HOLD});
	run_first(&world);
	peer_close(world.last_peer);
	world_wait(&world, &world.ended, 2);
	turn(&world);
	run_again(&world);
	assert_outcome(&world, UPSTREAM_OK, "aa");
	assert_int_equal(world.accepted, 3);
	assert_metric(&world, "sluice_upstream_requests_total{upstream=\"default\"} 2\n");
	world_close(&world);
}

/* What a server says unasked could be taken for the next answer. */
static void test_stray_bytes(void **state) {
	(void)state;
	static const struct answer stray = {.bytes = KEPT, .then = THEN_HOLD};
	WORLD({.bytes = KEPT, .then = THEN_HOLD});
	run_first(&world);
	world_say(&world, &stray);
	world_wait(&world, &world.closed, 1);
	run_again(&world);
	assert_outcome(&world, UPSTREAM_OK, "aa");
	assert_int_equal(world.accepted, 3);
	world_close(&world);
}

/* The same in the moment in which the next request wants the connection: the loop has not told of it yet. */
static void test_stray_bytes_unseen(void **state) {
	(void)state;
	static const struct answer stray = {.bytes = KEPT, .then = THEN_HOLD};
	WORLD({.bytes = KEPT, .then = THEN_HOLD});
	run_first(&world);
	world_say(&world, &stray);
	run_again(&world);
	assert_outcome(&world, UPSTREAM_OK, "aa");
	assert_int_equal(world.accepted, 3);
	peer_close(world.last_peer);
	run_again(&world);
	assert_outcome(&world, UPSTREAM_OK, "aaa");
	assert_int_equal(world.accepted, 4);
	assert_metric(&world, "sluice_upstream_requests_total{upstream=\"default\"} 3\n");
	world_close(&world);
}

static void test_more_than_the_answer(void **state) {
	(void)state;
	WORLD({.bytes = KEPT KEPT, .then = THEN_HOLD});
	run_first(&world);
	world_wait(&world, &world.closed, 1);
	run_again(&world);
	assert_outcome(&world, UPSTREAM_OK, "aa");
	assert_int_equal(world.accepted, 3);
	world_close(&world);
}

/* --- a large request -------------------------------------------------------------------------------------------------- */

#define LARGE (8 << 20)

struct large {
	uv_loop_t loop;
	uv_tcp_t server, peer;
	struct transfer transfer;
	const char *answer; /* to the whole request */
	size_t received;
	size_t expected; /* length of the request */
	size_t accepted, ended, done;
	enum transfer_result result;
	char buffer[65536];
};

static void large_room(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer) {
	(void)wanted;
	struct large *large = handle->data;
	*buffer = uv_buf_init(large->buffer, sizeof large->buffer);
}

static void large_say(struct large *large) {
	uv_buf_t bytes = uv_buf_init((char *)(uintptr_t)large->answer, (unsigned)strlen(large->answer));
	assert_int_equal(uv_try_write((uv_stream_t *)&large->peer, &bytes, 1), bytes.len);
}

static void large_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer) {
	(void)buffer;
	struct large *large = stream->data;
	if (count < 0) {
		large->ended++;
		uv_close((uv_handle_t *)stream, NULL);
		return;
	}
	large->received += (size_t)count;
	if (large->received == large->expected) {
		large_say(large);
	}
}

static void large_connection(uv_stream_t *server, int status) {
	struct large *large = server->data;
	assert_int_equal(status, 0);
	uv_tcp_init(&large->loop, &large->peer);
	large->peer.data = large;
	uv_accept(server, (uv_stream_t *)&large->peer);
	large->accepted++;
}

static void large_readable(struct transfer *transfer, struct str bytes) {
	(void)transfer, (void)bytes;
}

static void large_done(struct transfer *transfer, enum transfer_result result) {
	struct large *large = container_of(transfer, struct large, transfer);
	large->result = result;
	large->done++;
}

static const struct transfer_events large_events = {.readable = large_readable, .done = large_done};

/* The server takes nothing until it is told to; `early`: it answers without having taken anything. */
static void large_run(bool early) {
	static const char head[] = "POST / HTTP/1.1\r\nHost: x\r\n";
	struct large large = {.answer = "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno"};
	struct sockaddr_in address;
	int size = sizeof address;
	uv_loop_init(&large.loop);
	uv_ip4_addr("127.0.0.1", 0, &address);
	uv_tcp_init(&large.loop, &large.server);
	large.server.data = &large;
	assert_int_equal(uv_tcp_bind(&large.server, (struct sockaddr *)&address, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&large.server, 1, large_connection), 0);
	uv_tcp_getsockname(&large.server, (struct sockaddr *)&address, &size);

	const struct plain_deps deps = {&large.loop, clock_system()};
	struct plain *plain = plain_new(&deps, "127.0.0.1", ntohs(address.sin_port), 10000, NULL);
	assert_non_null(plain);
	char *body = malloc(LARGE);
	memset(body, 'x', LARGE);
	large.expected = strlen(head) + strlen("Content-Length: 8388608\r\n\r\n") + LARGE;
	large.transfer.events = &large_events;
	const struct plain_request post = {.head = STR(head), .body = {body, LARGE}};
	assert_int_equal(plain_start(plain, &large.transfer, &post, NULL), 0);
	while (large.accepted == 0) {
		uv_run(&large.loop, UV_RUN_ONCE);
	}
	for (int i = 0; i < 50; i++) {
		uv_run(&large.loop, UV_RUN_NOWAIT);
	}
	assert_false(large.transfer.sent);
	if (early) {
		large_say(&large);
	} else {
		uv_read_start((uv_stream_t *)&large.peer, large_room, large_read);
	}
	while (large.done == 0) {
		uv_run(&large.loop, UV_RUN_ONCE);
	}
	assert_int_equal(large.result, TRANSFER_OK);
	assert_int_equal(large.transfer.head.status, 413);
	assert_int_equal(large.transfer.sent, !early);
	if (early) {
		/* A connection in the middle of a request is of no more use. */
		uv_read_start((uv_stream_t *)&large.peer, large_room, large_read);
		while (large.ended == 0) {
			uv_run(&large.loop, UV_RUN_ONCE);
		}
		assert_true(large.received < large.expected);
	} else {
		assert_int_equal(large.received, large.expected);
		uv_close((uv_handle_t *)&large.peer, NULL);
	}
	plain_free(&plain);
	uv_close((uv_handle_t *)&large.server, NULL);
	uv_run(&large.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&large.loop), 0);
	free(body);
}

static void test_large_request(void **state) {
	(void)state;
	large_run(false);
}

static void test_answer_before_the_request_is_sent(void **state) {
	(void)state;
	large_run(true);
}

/* --- stopping ---------------------------------------------------------------------------------------------------------- */

static void test_stopped_at_any_time(void **state) {
	(void)state;
	for (int turns = 0; turns < 12; turns++) {
		WORLD({.bytes = KEPT, .then = THEN_HOLD, .piece = 20});
		connect_to(&world, "second.invalid");
		for (int i = 0; i < 4; i++) {
			struct upstream_call *call =
				upstream_start(world.upstream, &request, &world.log, &sink, &world, NULL);
			assert_non_null(call);
			for (int j = 0; j < turns && world.finished == 0; j++) {
				uv_run(&world.loop, UV_RUN_NOWAIT);
			}
			if (world.finished == 0) {
				upstream_cancel(&call);
			}
			world.finished = 0;
		}
		assert_metric(&world, "sluice_upstream_live 0\n");
		world_close(&world);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next_address),
		cmocka_unit_test(test_names_are_kept),
		cmocka_unit_test(test_no_address),
		cmocka_unit_test(test_no_descriptor),
		cmocka_unit_test(test_silent_address),
		cmocka_unit_test(test_connect_timeout),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_bad_addresses),
		cmocka_unit_test(test_framing),
		cmocka_unit_test(test_one_flush_a_read),
		cmocka_unit_test(test_kept_connection_breaks_with_the_request),
		cmocka_unit_test(test_broken_twice),
		cmocka_unit_test(test_kept_connection_is_closed),
		cmocka_unit_test(test_stray_bytes),
		cmocka_unit_test(test_stray_bytes_unseen),
		cmocka_unit_test(test_more_than_the_answer),
		cmocka_unit_test(test_large_request),
		cmocka_unit_test(test_answer_before_the_request_is_sent),
		cmocka_unit_test(test_stopped_at_any_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
