#include <netdb.h>
#include <semaphore.h>

#include "upstream_test.h"

static sem_t slow_name; /* posted when the slow name may be answered */
static sem_t slow_done;

/* The names of these tests, so that they need no network: one unknown, one whose answer takes as long as a test
 * wants. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
	(void)service, (void)hints, (void)result;
	if (strcmp(node, "slow.invalid") == 0) {
		sem_wait(&slow_name);
		sem_post(&slow_done);
	}
	return EAI_NONAME;
}

static void assert_outcome(const struct world *world, enum upstream_error error, const char *text) {
	if (world->outcome.error != error) {
		fail_msg("outcome %s (%s), expected %s", upstream_error_name(world->outcome.error), world->outcome.text,
			 upstream_error_name(error));
	}
	assert_int_equal(world->outcome.finish == CHAT_FINISH_NONE, error != UPSTREAM_OK);
	assert_text(world, text);
	assert_metric(world, "sluice_upstream_live 0\n");
}

/* One call against one answer; the world stays open for more looks. */
static void run_answer(struct world *world, const struct answer *answer) {
	world_open(world, answer, 1);
	world_connect(world, NULL);
	world_run(world);
}

static void expect(struct answer answer, enum upstream_error error, const char *text) {
	struct world world;
	run_answer(&world, &answer);
	assert_outcome(&world, error, text);
	assert_int_equal(world.outcome.tries, 1);
	world_close(&world);
}

static void test_whole_stream(void **state) {
	(void)state;
	WORLD({.bytes = STREAM HELLO});
	world.options.api_key = "sk-secret";
	world_connect(&world, NULL);
	world_run(&world);
	assert_outcome(&world, UPSTREAM_OK, "Hello");
	assert_int_equal(world.outcome.finish, CHAT_FINISH_STOP);
	assert_int_equal(world.outcome.http_status, 200);
	assert_int_equal(world.outcome.tries, 1);
	assert_true(world.outcome.usage.known);
	assert_int_equal(world.outcome.usage.input_tokens, 7);
	assert_int_equal(world.outcome.usage.cached_tokens, 3);
	assert_int_equal(world.outcome.usage.output_tokens, 5);
	assert_int_equal(world.outcome.usage.reasoning_tokens, 2);
	/* Both deltas came with one read, so they may be passed on together. */
	assert_int_equal(world.texts, 2);
	assert_int_equal(world.flushes, 1);
	assert_metric(&world, "sluice_upstream_requests_total{upstream=\"default\"} 1\n");
	assert_metric(&world, "sluice_upstream_errors_total{upstream=\"default\",kind=\"cut\"} 0\n");
	assert_metric(&world, "sluice_upstream_first_token_seconds_count 1\n");

	struct str request = buf_str(&world.last_request);
	assert_true(str_starts(request, "POST /v1/chat/completions HTTP/1.1\r\n"));
	assert_non_null(memmem(request.data, request.length, "\r\nAuthorization: Bearer sk-secret\r\n", 34));
	assert_null(memmem(request.data, request.length, "Expect", 6));
	const char body[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"stream\":true,"
			    "\"stream_options\":{\"include_usage\":true}}";
	assert_non_null(memmem(request.data, request.length, body, strlen(body)));
	world_close(&world);
}

static void test_byte_by_byte(void **state) {
	(void)state;
	expect((struct answer){.bytes = STREAM HELLO, .piece = 1}, UPSTREAM_OK, "Hello");
	expect((struct answer){.bytes = STREAM DELTA("h\xC3\xA9\xF0\x9F\x98\x80") FINISH("length"), .piece = 1},
	       UPSTREAM_OK, "h\xC3\xA9\xF0\x9F\x98\x80");
}

static void test_line_ends_and_comments(void **state) {
	(void)state;
	expect((struct answer){.bytes = STREAM
			       "\xEF\xBB\xBF: hi\r\n\r\nevent: x\r\nid: 7\r\nretry: 1\r\ndata: "
			       "{\"choices\":[{\"index\":0,\r\ndata: \"delta\":{\"content\":\"a\"}}]}\r\n\r\n"
			       ": keep-alive\r\rdata:{\"choices\":[{\"delta\":{\"content\":\"b\"},"
			       "\"finish_reason\":\"stop\"}],\"new\":{\"field\":[1]}}\r\r"},
	       UPSTREAM_OK, "ab");
}

static void test_ends_of_streams(void **state) {
	(void)state;
	static const struct {
		struct answer answer;
		enum upstream_error error;
		const char *text;
	} cases[] = {
		{{.bytes = STREAM DELTA("a") FINISH("stop")}, UPSTREAM_OK, "a"},
		{{.bytes = STREAM DELTA("a") DONE}, UPSTREAM_OK, "a"},
		{{.bytes = STREAM DONE}, UPSTREAM_OK, ""},
		{{.bytes = STREAM FINISH("stop") DONE}, UPSTREAM_OK, ""},
		{{.bytes = STREAM DELTA("a")}, UPSTREAM_CUT, "a"},
		{{.bytes = STREAM}, UPSTREAM_CUT, ""},
		{{.bytes = STREAM DELTA("a") "data: {\"choices\":[{\"index\":0,\"del"}, UPSTREAM_CUT, "a"},
		{{.bytes = STREAM DELTA("a"), .then = THEN_RESET}, UPSTREAM_CUT, "a"},
		{{.bytes = STREAM DELTA("a") FINISH("stop"), .then = THEN_RESET}, UPSTREAM_OK, "a"},
		{{.bytes = STREAM DELTA("a") FINISH("stop") DONE DONE}, UPSTREAM_OK, "a"},
		{{.bytes = STREAM DELTA("a") FINISH("stop") DONE DELTA("b") "data: x\n\n"}, UPSTREAM_OK, "a"},
		{{.bytes = STREAM DELTA("a") DONE, .then = THEN_HOLD}, UPSTREAM_OK, "a"},
		{{.bytes = HEAD("200 OK", "text/event-stream") "Content-Length: 0\r\n\r\n"}, UPSTREAM_CUT, ""},
		{{.bytes = HEAD("200 OK", "text/event-stream") "Content-Length: 9999\r\n\r\n" DELTA("a")},
		 UPSTREAM_CUT,
		 "a"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		expect(cases[i].answer, cases[i].error, cases[i].text);
	}
}

static void test_finish_reasons(void **state) {
	(void)state;
	static const struct {
		const char *bytes;
		enum chat_finish finish;
	} cases[] = {
		{STREAM DELTA("a") FINISH("length") DONE, CHAT_FINISH_LENGTH},
		{STREAM DELTA("a") FINISH("content_filter") DONE, CHAT_FINISH_FILTER},
		{STREAM DELTA("a") FINISH("tool_calls") DONE, CHAT_FINISH_TOOLS},
		{STREAM DELTA("a") FINISH("paused") DONE, CHAT_FINISH_OTHER},
		{STREAM DELTA("a") DONE, CHAT_FINISH_STOP},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct world world;
		run_answer(&world, &(struct answer){.bytes = cases[i].bytes});
		assert_outcome(&world, UPSTREAM_OK, "a");
		assert_int_equal(world.outcome.finish, cases[i].finish);
		world_close(&world);
	}
}

static void test_what_is_no_stream(void **state) {
	(void)state;
	expect((struct answer){.bytes = CLOSED(
				       "200 OK", "application/json",
				       "{\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{"
				       "\"role\":\"assistant\",\"content\":\"all\"},\"finish_reason\":\"stop\"}],"
				       "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}")},
	       UPSTREAM_OK, "all");
	expect((struct answer){.bytes = CLOSED("200 OK", "application/json", "{\"error\":{\"message\":\"no\"}}")},
	       UPSTREAM_REPORTED, "");
	expect((struct answer){.bytes = CLOSED("200 OK", "application/json", "{\"choices\":[{\"mess")},
	       UPSTREAM_PROTOCOL, "");
	expect((struct answer){.bytes = HEAD("200 OK", "application/json") "Content-Length: 99\r\n\r\n{\"choices\":"},
	       UPSTREAM_CUT, "");
	expect((struct answer){.bytes = CLOSED("200 OK", "text/html", "<p>It works!</p>")}, UPSTREAM_PROTOCOL, "");
	expect((struct answer){.bytes = CLOSED("200 OK", "text/event-streams", HELLO)}, UPSTREAM_PROTOCOL, "");
	expect((struct answer){.bytes = "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"},
	       UPSTREAM_PROTOCOL, "");
	expect((struct answer){.bytes = "SSH-2.0-OpenSSH_9.2\r\n"}, UPSTREAM_PROTOCOL, "");
}

#define PIECE(members) CHUNK("{\"index\":0,\"delta\":{" members "},\"finish_reason\":null}")
#define CALL(id, name, arguments)                                                                                      \
	PIECE("\"tool_calls\":[{\"index\":0,\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"" name    \
	      "\",\"arguments\":\"" arguments "\"}}]")

static void test_answers_of_all_kinds(void **state) {
	(void)state;
	static const struct {
		enum chat_think think;
		const char *bytes;
		const char *said;
		enum chat_finish finish;
	} cases[] = {
		{CHAT_THINK_OFF,
		 STREAM PIECE("\"reasoning_content\":\"why\"") DELTA("a") PIECE("\"refusal\":\"no\"")
			 PIECE("\"annotations\":[{\"type\":\"url_citation\",\"url\":\"u\"}]") DONE,
		 "[r why]a[f no][a {\"type\":\"url_citation\",\"url\":\"u\",\"start_index\":0,\"end_index\":0,"
		 "\"title\":\"\"}]",
		 CHAT_FINISH_STOP},
		{CHAT_THINK_OFF, STREAM CALL("a", "f", "") CALL("", "", "{}") CALL("b", "g", "") DONE,
		 "[c0 f ][c0 f {}][c1 g ]", CHAT_FINISH_TOOLS},
		{CHAT_THINK_OFF, STREAM CALL("a", "f", "{") FINISH("length") DONE, "[c0 f {]", CHAT_FINISH_LENGTH},
		{CHAT_THINK_OFF,
		 CLOSED("200 OK", "application/json",
			"{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[{\"id\":\"a\",\"function\":{"
			"\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}"),
		 "[c0 f {}]", CHAT_FINISH_TOOLS},
		{CHAT_THINK_OFF, STREAM DELTA("<think>a</think>b") DONE, "<think>a</think>b", CHAT_FINISH_STOP},
		{CHAT_THINK_TAGS, STREAM DELTA("<think>a</think>b") DONE, "[r a]b", CHAT_FINISH_STOP},
		{CHAT_THINK_TAGS, STREAM DELTA("<thi") DONE, "<thi", CHAT_FINISH_STOP},
		{CHAT_THINK_OPEN, STREAM DELTA("a</thi") DELTA("nk>\\n") DELTA("b") FINISH("eos"), "[r a]b",
		 CHAT_FINISH_STOP},
		{CHAT_THINK_OPEN,
		 CLOSED("200 OK", "application/json", "{\"choices\":[{\"message\":{\"content\":\"a</think>b\"}}]}"),
		 "[r a]b", CHAT_FINISH_STOP},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		for (size_t piece = 0; piece <= 100; piece += 50) {
			struct world world;
			struct answer answer = {.bytes = cases[i].bytes, .piece = piece};
			world_open(&world, &answer, 1);
			world.options.think = cases[i].think;
			world_connect(&world, NULL);
			world_run(&world);
			assert_outcome(&world, UPSTREAM_OK, cases[i].said);
			assert_int_equal(world.outcome.finish, cases[i].finish);
			assert_true(world.flushes > 0);
			assert_metric(&world, "sluice_upstream_first_token_seconds_count 1\n");
			world_close(&world);
		}
	}
}

/* One chunk, several deltas: after the cancel none of those that are left comes. */
static void test_cancel_between_the_deltas_of_a_chunk(void **state) {
	(void)state;
	static const char *const answers[] = {
		STREAM PIECE("\"reasoning\":\"r\",\"content\":\"t\",\"refusal\":\"f\""),
		CLOSED("200 OK", "application/json",
		       "{\"choices\":[{\"message\":{\"reasoning\":\"r\",\"content\":\"t\",\"refusal\":\"f\"}}]}"),
	};
	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
		for (size_t n = 1; n <= 3; n++) {
			struct world world;
			struct answer answer = {.bytes = answers[i]};
			world_open(&world, &answer, 1);
			world.cancel_at = n;
			world_connect(&world, NULL);
			world_start(&world);
			while (!world.cancelled) {
				uv_run(&world.loop, UV_RUN_ONCE);
			}
			/* A callback after the cancel fails in callback_seen. */
			assert_int_equal(world.texts, n);
			world_close(&world);
		}
	}
}

static void test_what_an_outcome_tells(void **state) {
	(void)state;
	static const struct {
		const char *bytes;
		enum upstream_error error;
		const char *code;
		const char *tier;
	} cases[] = {
		{CLOSED("400 No", "application/json",
			"{\"error\":{\"message\":\"m\",\"code\":\"context_length_exceeded\",\"type\":\"t\"}}"),
		 UPSTREAM_REJECTED, "context_length_exceeded", ""},
		{CLOSED("400 No", "application/json",
			"{\"error\":{\"message\":\"m\",\"code\":400,\"type\":\"exceed_context_size_error\"}}"),
		 UPSTREAM_REJECTED, "exceed_context_size_error", ""},
		{CLOSED("400 No", "application/json", "{\"error\":{\"message\":\"m\",\"code\":\"is sk-secret\"}}"),
		 UPSTREAM_REJECTED, "", ""},
		{CLOSED("400 No", "text/plain", "no"), UPSTREAM_REJECTED, "", ""},
		{STREAM "data: {\"service_tier\":\"flex\",\"error\":{\"message\":\"m\",\"code\":\"busy\"}}\n\n",
		 UPSTREAM_REPORTED, "busy", "flex"},
		{STREAM "data: {\"service_tier\":\"default\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n" DONE,
		 UPSTREAM_OK, "", "default"},
		{CLOSED("200 OK", "application/json",
			"{\"choices\":[{\"message\":{\"content\":\"a\"}}],\"service_tier\":\"priority\"}"),
		 UPSTREAM_OK, "", "priority"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct world world;
		struct answer answer = {.bytes = cases[i].bytes};
		world_open(&world, &answer, 1);
		world.options.api_key = "sk-secret";
		world_connect(&world, NULL);
		world_run(&world);
		assert_outcome(&world, cases[i].error, cases[i].error == UPSTREAM_OK ? "a" : "");
		assert_string_equal(world.outcome.code, cases[i].code);
		assert_string_equal(world.outcome.service_tier, cases[i].tier);
		world_close(&world);
	}
}

/* What an error of an earlier try was called is none of the last one's. */
static void test_code_of_the_last_try(void **state) {
	(void)state;
	WORLD({.bytes = CLOSED("503 No", "application/json", "{\"error\":{\"message\":\"m\",\"code\":\"busy\"}}")},
	      {.bytes = "", .then = THEN_CLOSE});
	world.options.retries = 1;
	world_connect(&world, NULL);
	world_run(&world);
	assert_outcome(&world, UPSTREAM_REFUSED, "");
	assert_int_equal(world.outcome.tries, 2);
	assert_string_equal(world.outcome.code, "");
	world_close(&world);
}

static void test_events_that_make_no_sense(void **state) {
	(void)state;
	expect((struct answer){.bytes = STREAM DELTA("a") "data: {\"choices\":}\n\n", .then = THEN_HOLD},
	       UPSTREAM_PROTOCOL, "a");
	expect((struct answer){.bytes = STREAM DELTA("a") DELTA("\xFF"), .then = THEN_HOLD}, UPSTREAM_PROTOCOL, "a");
	expect((struct answer){.bytes = STREAM DELTA("a") DELTA("\xE2\x82"), .then = THEN_HOLD}, UPSTREAM_PROTOCOL,
	       "a");
	expect((struct answer){.bytes = STREAM "data: [1]\n\n", .then = THEN_HOLD}, UPSTREAM_PROTOCOL, "");
	expect((struct answer){.bytes = STREAM CALL("a", "", "{}") DONE, .then = THEN_HOLD}, UPSTREAM_PROTOCOL, "");
	expect((struct answer){.bytes = STREAM CALL("a", "f g", "{}"), .then = THEN_HOLD}, UPSTREAM_PROTOCOL, "");
	/* Half a surrogate pair is shown as what it is, a character that is missing. */
	expect((struct answer){.bytes = STREAM DELTA("\\ud83d") DELTA("\\ude00") DONE}, UPSTREAM_OK,
	       "\xEF\xBF\xBD\xEF\xBF\xBD");
}

static void test_error_in_the_stream(void **state) {
	(void)state;
	struct world world;
	run_answer(&world, &(struct answer){
				   .bytes = STREAM DELTA("a") USAGE "data: {\"error\":{\"message\":\"overloaded\","
								    "\"code\":\"busy\"}}\n\n" DELTA("b"),
				   .then = THEN_HOLD,
			   });
	assert_outcome(&world, UPSTREAM_REPORTED, "a");
	assert_true(world.outcome.usage.known);
	assert_string_equal(world.outcome.text, "the model server reported an error: overloaded");
	assert_metric(&world, "sluice_upstream_errors_total{upstream=\"default\",kind=\"reported\"} 1\n");
	world_wait(&world, &world.closed, 1);
	world_close(&world);
}

static void test_large_event(void **state) {
	(void)state;
	size_t length = 10 << 20;
	char *bytes = malloc(length);
	assert_non_null(bytes);
	memset(bytes, 'x', length);
	memcpy(bytes, STREAM "data: ", strlen(STREAM "data: "));
	struct world world;
	run_answer(&world, &(struct answer){.bytes = bytes, .length = length, .then = THEN_HOLD});
	assert_outcome(&world, UPSTREAM_PROTOCOL, "");
	world_wait(&world, &world.closed, 1);
	world_close(&world);
	free(bytes);
}

static void test_large_answers(void **state) {
	(void)state;
	size_t length = 4 << 20;
	char *bytes = malloc(length);
	assert_non_null(bytes);
	memset(bytes, 'x', length);
	memcpy(bytes, CLOSED("200 OK", "application/json", ""), strlen(CLOSED("200 OK", "application/json", "")));
	expect((struct answer){.bytes = bytes, .length = length, .then = THEN_HOLD}, UPSTREAM_PROTOCOL, "");
	memset(bytes, 'x', length);
	memcpy(bytes, CLOSED("400 No", "text/plain", ""), strlen(CLOSED("400 No", "text/plain", "")));
	/* It never ends; the start is enough. */
	expect((struct answer){.bytes = bytes, .length = length, .then = THEN_HOLD}, UPSTREAM_REJECTED, "");
	free(bytes);
}

static void test_statuses(void **state) {
	(void)state;
	static const struct {
		const char *bytes;
		enum upstream_error error;
		const char *text;
	} cases[] = {
		{CLOSED("400 Bad Request", "application/json", "{\"error\":{\"message\":\"too long\",\"code\":\"c\"}}"),
		 UPSTREAM_REJECTED, "the model server rejected the request: too long"},
		{CLOSED("404 Not Found", "application/json", "{\"error\":\"no such model\"}"), UPSTREAM_REJECTED,
		 "the model server rejected the request: no such model"},
		{CLOSED("422 No", "text/plain", " plain words "), UPSTREAM_REJECTED,
		 "the model server rejected the request: plain words"},
		{CLOSED("400 Bad Request", "text/plain", "you said sk-secret"), UPSTREAM_REJECTED,
		 "the model server rejected the request"},
		{CLOSED("413 No", "text/plain", "\xFF"), UPSTREAM_REJECTED, "the model server rejected the request"},
		{CLOSED("401 No", "application/json", "{\"error\":{\"message\":\"bad key sk-s...\"}}"),
		 UPSTREAM_UNAUTHORIZED, "the model server did not accept this server's key"},
		{CLOSED("403 No", "text/plain", ""), UPSTREAM_UNAUTHORIZED,
		 "the model server did not accept this server's key"},
		{CLOSED("501 No", "text/plain", "not here"), UPSTREAM_SERVER, "the model server failed: not here"},
		{"HTTP/1.1 501 No\r\nContent-Length: 0\r\n\r\n", UPSTREAM_SERVER, "the model server failed"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct world world;
		struct answer answer = {.bytes = cases[i].bytes};
		world_open(&world, &answer, 1);
		world.options.api_key = "sk-secret";
		world_connect(&world, NULL);
		world_run(&world);
		assert_outcome(&world, cases[i].error, "");
		assert_string_equal(world.outcome.text, cases[i].text);
		assert_int_equal(world.outcome.http_status, strtol(cases[i].bytes + 9, NULL, 10));
		assert_int_equal(world.requests, 1);
		world_close(&world);
	}
}

static void test_no_connection(void **state) {
	(void)state;
	static const struct {
		const char *url;
		enum upstream_error error;
	} cases[] = {
		{"http://unknown.invalid/v1", UPSTREAM_UNKNOWN_HOST},
		{"http://127.0.0.1:1/v1", UPSTREAM_REFUSED},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		WORLD({.bytes = STREAM HELLO});
		world.options.retries = 0;
		world_connect(&world, cases[i].url);
		world_run(&world);
		assert_outcome(&world, cases[i].error, "");
		assert_int_equal(world.outcome.http_status, 0);
		world_close(&world);
	}
}

static void test_tls_failure(void **state) {
	(void)state;
	WORLD({.bytes = "HTTP/1.1 400 Bad Request\r\n\r\n"});
	char url[64];
	snprintf(url, sizeof url, "https://127.0.0.1:%d/v1", world.port);
	world_connect(&world, url);
	world_run(&world);
	assert_outcome(&world, UPSTREAM_TLS, "");
	assert_int_equal(world.outcome.tries, 1);
	world_close(&world);
}

/* The loop must not wait for a resolver that does not answer: neither at the deadline nor when a call is cancelled. */
static void test_slow_name(void **state) {
	(void)state;
	sem_init(&slow_name, 0, 0);
	sem_init(&slow_done, 0, 0);
	WORLD({.bytes = STREAM HELLO});
	world.options.connect_timeout_ms = 30;
	world.options.retries = 0;
	world_connect(&world, "http://slow.invalid/v1");
	world_run(&world);
	assert_outcome(&world, UPSTREAM_TIMEOUT, "");
	world.finished = 0;
	world_start(&world);
	while (uv_run(&world.loop, UV_RUN_NOWAIT) && world.finished == 0) {
	}
	world_start(&world);
	uv_run(&world.loop, UV_RUN_NOWAIT);
	upstream_cancel(&world.call);
	/* One question for the model list and three calls. */
	sem_post(&slow_name);
	sem_wait(&slow_done);
	world_close(&world);
}

static void test_first_token_deadline(void **state) {
	(void)state;
	static const struct answer answers[] = {
		{.bytes = NULL, .then = THEN_HOLD},
		{.bytes =
			 STREAM ": busy\n\n" CHUNK("{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}"),
		 .then = THEN_HOLD},
		{.bytes = HEAD("200 OK", "application/json") "\r\n{", .then = THEN_HOLD},
	};
	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
		struct world world;
		world_open(&world, &answers[i], 1);
		world.options.first_token_timeout_ms = 60;
		world_connect(&world, NULL);
		uint64_t start = uv_hrtime();
		world_run(&world);
		assert_true(uv_hrtime() - start >= 59 * (uint64_t)1000000);
		assert_outcome(&world, UPSTREAM_TIMEOUT, "");
		assert_int_equal(world.outcome.tries, 1);
		world_wait(&world, &world.closed, 1);
		world_close(&world);
	}
}

static void test_silence_deadline(void **state) {
	(void)state;
	static const struct {
		const char *bytes;
		enum upstream_error error;
		const char *said;
	} cases[] = {
		{STREAM DELTA("a"), UPSTREAM_STALLED, "a"},
		{STREAM DELTA("a") "data: {\"cho", UPSTREAM_STALLED, "a"},
		{STREAM DELTA("a") FINISH("stop"), UPSTREAM_OK, "a"},
		{STREAM PIECE("\"reasoning\":\"r\""), UPSTREAM_STALLED, "[r r]"},
		{STREAM CALL("a", "f", ""), UPSTREAM_STALLED, "[c0 f ]"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct world world;
		struct answer answer = {.bytes = cases[i].bytes, .then = THEN_HOLD};
		world_open(&world, &answer, 1);
		world.options.silence_timeout_ms = 40;
		world_connect(&world, NULL);
		world_run(&world);
		assert_outcome(&world, cases[i].error, cases[i].said);
		world_wait(&world, &world.closed, 1);
		world_close(&world);
	}
}

static void test_connection_is_used_again(void **state) {
	(void)state;
	WORLD({.bytes = HEAD("200 OK", "text/event-stream") "Transfer-Encoding: chunked\r\n\r\n"
							    "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n",
	       .then = THEN_HOLD});
	world_connect(&world, NULL);
	for (size_t i = 0; i < 5; i++) {
		world_run(&world);
		assert_outcome(&world, UPSTREAM_OK, "");
		world.finished = 0;
	}
	/* One for the calls and one for the list of models, which started at the same time. */
	assert_in_range(world.accepted, 1, 2);
	assert_int_equal(world.requests, 5);
	world_close(&world);
}

struct crowd {
	struct world *world;
	size_t finished;
};

static void crowd_text(void *owner, const struct chat_delta *delta) {
	(void)owner, (void)delta;
}

static void crowd_flush(void *owner) {
	(void)owner;
}

static void crowd_finished(void *owner, const struct upstream_outcome *outcome) {
	struct crowd *crowd = owner;
	assert_int_equal(outcome->error, UPSTREAM_OK);
	crowd->finished++;
}

static void test_many_at_once(void **state) {
	(void)state;
	static const struct upstream_sink crowd_sink = {crowd_text, crowd_flush, crowd_finished};
	WORLD({.bytes = STREAM HELLO, .piece = 100});
	world_connect(&world, NULL);
	struct crowd crowd = {.world = &world};
	const struct chat_request request = {.model = "m"};
	for (int i = 0; i < 100; i++) {
		assert_non_null(upstream_start(world.upstream, &request, &world.log, &crowd_sink, &crowd, NULL));
	}
	assert_metric(&world, "sluice_upstream_live 100\n");
	world_wait(&world, &crowd.finished, 100);
	assert_metric(&world, "sluice_upstream_live 0\n");
	world_close(&world);
}

static void test_bad_options(void **state) {
	(void)state;
	static const struct {
		const char *url;
		const char *key;
	} cases[] = {{"ftp://127.0.0.1", NULL}, {"127.0.0.1", NULL}, {"http://127.0.0.1", "a\r\nb: c"}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		WORLD({.bytes = STREAM HELLO});
		world.options.url = cases[i].url;
		world.options.api_key = cases[i].key;
		struct upstream_deps deps = {&world.loop, clock_system(), &world.log, world.metrics};
		struct err err = {0};
		assert_null(upstream_new(&world.options, 1, "", &deps, &err));
		assert_int_equal(err.code, ERR_INVALID);
		world_close(&world);
	}
}

/* Each allocation of a call fails once, then from one on: an outcome or no start, and no leak. */
static void allocation_fails(bool persistent) {
	for (uint64_t n = 1;; n++) {
		WORLD({.bytes = STREAM CALL("a", "f", "{}") HELLO});
		world.options.retries = 0;
		world_connect(&world, NULL);
		const struct chat_request request = {.model = "m"};
		struct err err = {0};
		uint64_t before = mem_alloc_count();
		mem_fail_after(n, persistent);
		world.call = upstream_start(world.upstream, &request, &world.log, &sink, &world, &err);
		if (!world.call) {
			assert_int_equal(err.code, ERR_MEMORY);
		}
		while (world.call && mem_alloc_count() < before + n) {
			uv_run(&world.loop, UV_RUN_ONCE);
		}
		bool failed = mem_alloc_count() >= before + n;
		for (int i = 0; persistent && world.call && i < 50; i++) {
			uv_run(&world.loop, UV_RUN_NOWAIT);
		}
		mem_fail_after(0, false);
		while (world.call) {
			uv_run(&world.loop, UV_RUN_ONCE);
		}
		world_close(&world);
		if (!failed) {
			assert_true(n > 5);
			return;
		}
	}
}

static void test_allocation_fails_once(void **state) {
	(void)state;
	allocation_fails(false);
}

static void test_allocation_fails_from_then_on(void **state) {
	(void)state;
	allocation_fails(true);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_stream),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_line_ends_and_comments),
		cmocka_unit_test(test_ends_of_streams),
		cmocka_unit_test(test_finish_reasons),
		cmocka_unit_test(test_what_is_no_stream),
		cmocka_unit_test(test_answers_of_all_kinds),
		cmocka_unit_test(test_cancel_between_the_deltas_of_a_chunk),
		cmocka_unit_test(test_what_an_outcome_tells),
		cmocka_unit_test(test_code_of_the_last_try),
		cmocka_unit_test(test_events_that_make_no_sense),
		cmocka_unit_test(test_error_in_the_stream),
		cmocka_unit_test(test_large_event),
		cmocka_unit_test(test_large_answers),
		cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_no_connection),
		cmocka_unit_test(test_tls_failure),
		cmocka_unit_test(test_slow_name),
		cmocka_unit_test(test_first_token_deadline),
		cmocka_unit_test(test_silence_deadline),
		cmocka_unit_test(test_connection_is_used_again),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_bad_options),
		cmocka_unit_test(test_allocation_fails_once),
		cmocka_unit_test(test_allocation_fails_from_then_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
