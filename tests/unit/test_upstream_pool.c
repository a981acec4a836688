/* Several servers: who is asked, what goes on to the next one, who is passed over. One scripted server plays them all, each
 * under a path of its own: the nth request gets the nth answer. */

#include "base/list.h"
#include "upstream_test.h"

#define MODELS(body) CLOSED("200 OK", "application/json", body)
#define BUSY                                                                                                           \
	{ .bytes = CLOSED("503 No", "application/json", "{\"error\":{\"message\":\"busy\"}}") }
#define GOOD                                                                                                           \
	{ .bytes = STREAM HELLO }
#define HOUR_MS (INT64_C(3600) * 1000)

/* Runs ahead when told. */
struct jumping_clock {
	struct clock clock;
	int64_t ahead_us;
};

static int64_t monotonic_us(const struct clock *clock) {
	return clock_monotonic_us(clock_system()) + container_of(clock, struct jumping_clock, clock)->ahead_us;
}

static int64_t wall_ms(const struct clock *clock) {
	return clock_wall_ms(clock_system()) + container_of(clock, struct jumping_clock, clock)->ahead_us / 1000;
}

static struct jumping_clock now = {.clock = {monotonic_us, wall_ms}};

static void jump_ms(int64_t by_ms) {
	now.ahead_us += by_ms * 1000;
}

/* Starts the client with these servers; those without a URL are the scripted one's. */
static void connect_to(struct world *world, const char *default_model, struct upstream_options *options, size_t count) {
	char urls[UPSTREAM_MAX][64];
	const struct upstream_deps deps = {&world->loop, &now.clock, &world->log, world->metrics, world->vitals};
	struct err err = {0};
	for (size_t i = 0; i < count; i++) {
		struct upstream_options *o = &options[i];
		const struct upstream_options given = *o;
		*o = world->options;
		o->name = given.name;
		o->models = given.models;
		o->can = given.can;
		o->context = given.context;
		o->api_key = given.api_key;
		o->think = given.think;
		o->input_price = given.input_price;
		o->breaker_failures = given.breaker_failures;
		o->breaker_pause_ms = 1000;
		snprintf(urls[i], sizeof urls[i], "http://127.0.0.1:%d/%s", world->port, given.name);
		o->url = given.url ? given.url : urls[i];
	}
	world->upstream = upstream_new(options, count, default_model, &deps, &err);
	if (!world->upstream) {
		fail_msg("%s", err.text);
	}
}

#define CONNECT(world, ...)                                                                                            \
	do {                                                                                                           \
		struct upstream_options list_[] = {__VA_ARGS__};                                                       \
		connect_to((world), "m", list_, sizeof list_ / sizeof list_[0]);                                       \
	} while (0)

/* A fresh call for the same world. */
static void begin(struct world *world, const char *model, uint32_t needs) {
	static const struct chat_part words = {.kind = CHAT_PART_TEXT, .text = {"Hi", 2}};
	static const struct chat_message messages[] = {{.role = "user", .parts = &words, .part_count = 1}};
	const struct chat_request request = {.model = model, .messages = messages, .message_count = 1, .needs = needs};
	struct err err = {0};
	world->finished = 0;
	world->cancelled = false;
	buf_clear(&world->text);
	world->call = upstream_start(world->upstream, &request, &world->log, &sink, world, &err);
	assert_non_null(world->call);
	assert_int_equal(world->finished, 0);
}

/* Without waiting in the loop: when nobody is asked, a timer ends the call and no socket wakes the loop after it. */
static void ask(struct world *world, const char *model, uint32_t needs) {
	begin(world, model, needs);
	while (world->finished == 0) {
		uv_run(&world->loop, UV_RUN_NOWAIT);
	}
}

static void assert_asked(const struct world *world, const char *name, unsigned times) {
	char line[128];
	snprintf(line, sizeof line, "sluice_upstream_requests_total{upstream=\"%s\"} %u\n", name, times);
	assert_metric(world, line);
}

static enum upstream_health health(const struct world *world, size_t number) {
	struct upstream_state state;
	assert_true(upstream_state(world->upstream, number, &state));
	return state.health;
}

static void the_model_decides(void **state) {
	(void)state;
	WORLD(GOOD);
	CONNECT(&world, {.name = "a", .models = "x y"}, {.name = "b", .models = "m llama:latest"},
		{.name = "c", .models = "m z"});
	ask(&world, "m", 0);
	assert_int_equal(world.outcome.error, UPSTREAM_OK);
	assert_int_equal(world.outcome.tries, 1);
	assert_true(str_starts(buf_str(&world.last_request), "POST /b/chat/completions "));
	ask(&world, "z", 0);
	assert_true(str_starts(buf_str(&world.last_request), "POST /c/"));
	ask(&world, "llama", 0);
	assert_true(str_starts(buf_str(&world.last_request), "POST /b/"));
	assert_non_null(memmem(world.last_request.data, world.last_request.length, "\"llama\"", 7));
	ask(&world, "x", 0);
	assert_true(str_starts(buf_str(&world.last_request), "POST /a/"));
	assert_int_equal(world.requests, 4);
	assert_asked(&world, "a", 1);
	assert_asked(&world, "b", 2);
	assert_asked(&world, "c", 1);
	world_close(&world);
}

static void who_surely_has_it_comes_first(void **state) {
	(void)state;
	WORLD(BUSY, GOOD);
	/* The first one's list never comes. */
	CONNECT(&world, {.name = "a"}, {.name = "b", .models = "m"});
	ask(&world, "m", 0);
	assert_int_equal(world.outcome.error, UPSTREAM_OK);
	assert_asked(&world, "b", 1);
	assert_asked(&world, "a", 1);
	assert_true(str_starts(buf_str(&world.last_request), "POST /a/"));
	/* What no list has may be there. */
	ask(&world, "other", 0);
	assert_asked(&world, "a", 2);
	assert_asked(&world, "b", 1);
	world_close(&world);
}

static void abilities_decide(void **state) {
	(void)state;
	WORLD(GOOD);
	CONNECT(&world, {.name = "a", .models = "m", .can = UPSTREAM_CAN_TOOLS},
		{.name = "b", .models = "m", .can = UPSTREAM_CAN_IMAGES},
		{.name = "c", .models = "m", .can = UPSTREAM_CAN_TOOLS | UPSTREAM_CAN_FILES});
	static const struct {
		uint32_t needs;
		const char *request;
	} cases[] = {
		{0, "POST /a/"},
		{UPSTREAM_CAN_TOOLS, "POST /a/"},
		{UPSTREAM_CAN_IMAGES, "POST /b/"},
		{UPSTREAM_CAN_FILES, "POST /c/"},
		{UPSTREAM_CAN_TOOLS | UPSTREAM_CAN_FILES, "POST /c/"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		ask(&world, "m", cases[i].needs);
		assert_int_equal(world.outcome.error, UPSTREAM_OK);
		assert_true(str_starts(buf_str(&world.last_request), cases[i].request));
	}
	ask(&world, "m", UPSTREAM_CAN_TOOLS | UPSTREAM_CAN_IMAGES);
	assert_int_equal(world.outcome.error, UPSTREAM_UNABLE);
	assert_int_equal(world.outcome.tries, 0);
	assert_true(world.outcome.untouched);
	assert_int_equal(world.requests, 5);
	assert_metric(&world, "sluice_upstream_errors_total{upstream=\"\",kind=\"unable\"} 1\n");
	world_close(&world);
}

static void a_fault_goes_on_to_the_next(void **state) {
	(void)state;
	static const struct {
		const char *bytes;
		const char *kind;
	} cases[] = {
		{"", "refused"},
		{CLOSED("500 No", "text/plain", ""), "server"},
		{CLOSED("501 No", "text/plain", ""), "server"},
		{CLOSED("401 No", "text/plain", ""), "unauthorized"},
		{CLOSED("403 No", "text/plain", ""), "unauthorized"},
		{CLOSED("404 No", "application/json", "{\"error\":\"no such model\"}"), "rejected"},
		{CLOSED("429 No", "text/plain", ""), "rate_limited"},
		{HEAD("429 No", "text/plain") "Retry-After: 1000\r\nConnection: close\r\n\r\n", "rate_limited"},
		{CLOSED("200 OK", "text/html", "<p>"), "protocol"},
		{STREAM "data: {\n\n", "protocol"},
		{CLOSED("200 OK", "application/json", "[]"), "protocol"},
		{STREAM, "cut"},
		{STREAM CHUNK("{\"index\":0,\"delta\":{\"role\":\"assistant\"}}"), "cut"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct world world;
		const struct answer answers[] = {{.bytes = cases[i].bytes}, GOOD};
		char line[128];
		world_open(&world, answers, 2);
		CONNECT(&world, {.name = "a", .models = "m", .api_key = "key-of-a"},
			{.name = "b", .models = "m", .api_key = "key-of-b"});
		ask(&world, "m", 0);
		assert_int_equal(world.outcome.error, UPSTREAM_OK);
		assert_int_equal(world.outcome.tries, 2);
		assert_int_equal(world.outcome.usage.input_tokens, 7);
		assert_text(&world, "Hello");
		assert_true(str_starts(buf_str(&world.last_request), "POST /b/"));
		assert_non_null(memmem(world.last_request.data, world.last_request.length, "Bearer key-of-b", 15));
		assert_null(memmem(world.last_request.data, world.last_request.length, "key-of-a", 8));
		snprintf(line, sizeof line, "sluice_upstream_errors_total{upstream=\"a\",kind=\"%s\"} 1\n",
			 cases[i].kind);
		assert_metric(&world, line);
		assert_metric(&world, "sluice_upstream_failovers_total 1\n");
		assert_metric(&world, "sluice_upstream_retries_total 0\n");
		world_close(&world);
	}
}

static void nobody_there_goes_on_to_the_next(void **state) {
	(void)state;
	static const char *const urls[] = {"http://127.0.0.1:1/v1", "http://no.such.host.invalid/v1"};
	for (size_t i = 0; i < 2; i++) {
		WORLD(GOOD);
		CONNECT(&world, {.name = "a", .models = "m", .url = urls[i]}, {.name = "b", .models = "m"});
		ask(&world, "m", 0);
		assert_int_equal(world.outcome.error, UPSTREAM_OK);
		assert_int_equal(world.outcome.tries, 2);
		world_close(&world);
	}
}

static void a_silent_one_has_its_share_of_the_time(void **state) {
	(void)state;
	static const char *const silences[] = {NULL, STREAM,
					       STREAM CHUNK("{\"index\":0,\"delta\":{\"role\":\"assistant\"}}")};
	for (size_t i = 0; i < 3; i++) {
		struct world world;
		const struct answer answers[] = {{.bytes = silences[i], .then = THEN_HOLD}, GOOD};
		world_open(&world, answers, 2);
		world.options.first_token_timeout_ms = 200;
		CONNECT(&world, {.name = "a", .models = "m"}, {.name = "b", .models = "m"});
		int64_t start_us = clock_monotonic_us(&now.clock);
		ask(&world, "m", 0);
		int64_t took_ms = (clock_monotonic_us(&now.clock) - start_us) / 1000;
		assert_int_equal(world.outcome.error, UPSTREAM_OK);
		assert_int_equal(world.outcome.tries, 2);
		assert_true(took_ms >= 99);
		assert_metric(&world, "sluice_upstream_errors_total{upstream=\"a\",kind=\"timeout\"} 1\n");
		world_close(&world);
	}
}

static void the_last_one_has_all_of_it(void **state) {
	(void)state;
	WORLD(BUSY, {.bytes = NULL, .then = THEN_HOLD});
	world.options.first_token_timeout_ms = 200;
	CONNECT(&world, {.name = "a", .models = "m"}, {.name = "b", .models = "m"});
	int64_t start_us = clock_monotonic_us(&now.clock);
	ask(&world, "m", 0);
	int64_t took_ms = (clock_monotonic_us(&now.clock) - start_us) / 1000;
	assert_int_equal(world.outcome.error, UPSTREAM_TIMEOUT);
	assert_int_equal(world.outcome.tries, 2);
	assert_true(took_ms >= 199);
	world_close(&world);
}

static void what_is_no_servers_fault_stays(void **state) {
	(void)state;
	static const struct {
		const char *bytes;
		enum upstream_error error;
		const char *text;
	} cases[] = {
		{CLOSED("400 No", "application/json", "{\"error\":\"too long\"}"), UPSTREAM_REJECTED, ""},
		{CLOSED("422 No", "text/plain", ""), UPSTREAM_REJECTED, ""},
		{STREAM "data: {\"error\":{\"message\":\"filtered\"}}\n\n", UPSTREAM_REPORTED, ""},
		/* Behind the first token. */
		{STREAM DELTA("Hel"), UPSTREAM_CUT, "Hel"},
		{STREAM DELTA("Hel") "data: {\n\n", UPSTREAM_PROTOCOL, "Hel"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct world world;
		const struct answer answers[] = {{.bytes = cases[i].bytes}, GOOD};
		world_open(&world, answers, 2);
		CONNECT(&world, {.name = "a", .models = "m"}, {.name = "b", .models = "m"});
		ask(&world, "m", 0);
		assert_int_equal(world.outcome.error, cases[i].error);
		assert_text(&world, cases[i].text);
		assert_int_equal(world.outcome.tries, 1);
		assert_int_equal(world.requests, 1);
		world_close(&world);
	}
}

static void silence_behind_the_first_token_stays(void **state) {
	(void)state;
	WORLD({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD}, GOOD);
	world.options.silence_timeout_ms = 50;
	CONNECT(&world, {.name = "a", .models = "m"}, {.name = "b", .models = "m"});
	ask(&world, "m", 0);
	assert_int_equal(world.outcome.error, UPSTREAM_STALLED);
	assert_int_equal(world.requests, 1);
	assert_metric(&world, "sluice_upstream_errors_total{upstream=\"a\",kind=\"stalled\"} 1\n");
	world_close(&world);
}

static void a_round_is_repeated(void **state) {
	(void)state;
	/* The second one's error would not pass, the first one's may. */
	WORLD(BUSY, {.bytes = CLOSED("401 No", "text/plain", "")}, BUSY, GOOD);
	world.options.retries = 1;
	CONNECT(&world, {.name = "a", .models = "m"}, {.name = "b", .models = "m"});
	ask(&world, "m", 0);
	assert_int_equal(world.outcome.error, UPSTREAM_OK);
	assert_int_equal(world.outcome.tries, 4);
	assert_metric(&world, "sluice_upstream_retries_total 1\n");
	assert_metric(&world, "sluice_upstream_failovers_total 2\n");
	world_close(&world);
}

static void rounds_are_counted(void **state) {
	(void)state;
	WORLD(BUSY);
	world.options.retries = 2;
	CONNECT(&world, {.name = "a", .models = "m"}, {.name = "b", .models = "m"});
	ask(&world, "m", 0);
	assert_int_equal(world.outcome.error, UPSTREAM_SERVER);
	assert_int_equal(world.outcome.tries, 6);
	assert_non_null(strstr(world.outcome.text, "busy"));
	assert_asked(&world, "a", 3);
	assert_asked(&world, "b", 3);
	world_close(&world);
}

static void the_soonest_retry_after_of_a_round_counts(void **state) {
	(void)state;
	static const struct answer patient = {
		.bytes = HEAD("429 No", "text/plain") "Retry-After: 1000\r\nConnection: close\r\n\r\n"};
	static const struct answer busy = BUSY;
	for (int first = 0; first < 2; first++) {
		struct world world;
		const struct answer answers[] = {first ? patient : busy, first ? busy : patient, GOOD};
		world_open(&world, answers, 3);
		world.options.retries = 1;
		CONNECT(&world, {.name = "a", .models = "m"}, {.name = "b", .models = "m"});
		ask(&world, "m", 0);
		assert_int_equal(world.outcome.error, UPSTREAM_OK);
		assert_int_equal(world.outcome.tries, 3);
		world_close(&world);
	}
}

static void who_fails_too_often_is_passed_over(void **state) {
	(void)state;
	WORLD(BUSY, GOOD, BUSY, GOOD, GOOD, BUSY, GOOD, GOOD, GOOD);
	CONNECT(&world, {.name = "a", .models = "m", .breaker_failures = 2}, {.name = "b", .models = "m"});
	assert_int_equal(health(&world, 0), UPSTREAM_UNSEEN);
	assert_false(upstream_is_up(world.upstream));
	ask(&world, "m", 0);
	assert_int_equal(health(&world, 0), UPSTREAM_UNSEEN);
	assert_int_equal(health(&world, 1), UPSTREAM_UP);
	assert_true(upstream_is_up(world.upstream));
	ask(&world, "m", 0);
	assert_int_equal(health(&world, 0), UPSTREAM_PASSED);
	assert_metric(&world, "sluice_upstream_breaker_opens_total{upstream=\"a\"} 1\n");
	assert_metric(&world, "sluice_upstream_up{upstream=\"a\"} 0\n");
	assert_metric(&world, "sluice_upstream_up{upstream=\"b\"} 1\n");
	assert_asked(&world, "a", 2);
	ask(&world, "m", 0);
	assert_int_equal(world.outcome.tries, 1);
	assert_asked(&world, "a", 2);
	assert_asked(&world, "b", 3);

	/* Its pause is over: it is tried, in vain, and passed over for longer. */
	jump_ms(1000);
	ask(&world, "m", 0);
	assert_int_equal(world.outcome.error, UPSTREAM_OK);
	assert_int_equal(world.outcome.tries, 2);
	assert_asked(&world, "a", 3);
	assert_metric(&world, "sluice_upstream_breaker_opens_total{upstream=\"a\"} 2\n");
	assert_int_equal(health(&world, 0), UPSTREAM_PASSED);

	/* And again, well. */
	jump_ms(2000);
	ask(&world, "m", 0);
	assert_int_equal(world.outcome.tries, 1);
	assert_asked(&world, "a", 4);
	assert_int_equal(health(&world, 0), UPSTREAM_UP);
	assert_metric(&world, "sluice_upstream_up{upstream=\"a\"} 1\n");
	ask(&world, "m", 0);
	assert_asked(&world, "a", 5);
	world_close(&world);
}

static void one_request_probes(void **state) {
	(void)state;
	WORLD(BUSY, GOOD, {.bytes = NULL, .then = THEN_HOLD}, GOOD, {.bytes = NULL, .then = THEN_HOLD});
	CONNECT(&world, {.name = "a", .models = "m", .breaker_failures = 1}, {.name = "b", .models = "m"});
	ask(&world, "m", 0);
	jump_ms(1000);
	begin(&world, "m", 0);
	world_wait(&world, &world.requests, 3);
	struct upstream_call *probe = world.call;
	assert_int_equal(health(&world, 0), UPSTREAM_PROBING);
	/* Meanwhile others pass it over. */
	ask(&world, "m", 0);
	assert_int_equal(world.outcome.tries, 1);
	assert_asked(&world, "b", 2);
	/* A probe that was called off says nothing: the next one probes. */
	upstream_cancel(&probe);
	assert_int_equal(health(&world, 0), UPSTREAM_PASSED);
	begin(&world, "m", 0);
	world_wait(&world, &world.requests, 5);
	assert_int_equal(health(&world, 0), UPSTREAM_PROBING);
	assert_asked(&world, "a", 3);
	world_close(&world);
}

static void when_all_are_passed_over_it_is_said_at_once(void **state) {
	(void)state;
	WORLD(BUSY);
	world.options.retries = 0;
	CONNECT(&world, {.name = "a", .models = "m", .breaker_failures = 1},
		{.name = "b", .models = "m", .breaker_failures = 1});
	ask(&world, "m", 0);
	assert_int_equal(world.outcome.error, UPSTREAM_SERVER);
	assert_int_equal(world.requests, 2);
	ask(&world, "m", 0);
	assert_int_equal(world.outcome.error, UPSTREAM_UNAVAILABLE);
	assert_string_equal(upstream_error_name(world.outcome.error), "upstream_unavailable");
	assert_int_equal(world.outcome.tries, 0);
	assert_true(world.outcome.untouched);
	assert_in_range(world.outcome.retry_after_ms, 1, 1000);
	assert_int_equal(world.requests, 2);
	assert_metric(&world, "sluice_upstream_errors_total{upstream=\"\",kind=\"unavailable\"} 1\n");
	assert_metric(&world, "sluice_upstream_live 0\n");
	/* One that is called off before that is said. */
	begin(&world, "m", 0);
	upstream_cancel(&world.call);
	world_close(&world);
}

/* The second is opened by this very request: the round ends with what it said, not with that nobody may be asked. */
static void a_repeat_that_finds_nobody_tells_the_last_error(void **state) {
	(void)state;
	WORLD(BUSY, BUSY, GOOD);
	CONNECT(&world, {.name = "a", .models = "m", .breaker_failures = 1},
		{.name = "b", .models = "m", .breaker_failures = 1});
	ask(&world, "m", 0);
	assert_int_equal(world.outcome.error, UPSTREAM_SERVER);
	assert_int_equal(world.outcome.tries, 2);
	assert_int_equal(world.requests, 2);
	world_close(&world);
}

static void the_only_one_is_always_asked(void **state) {
	(void)state;
	WORLD(BUSY, BUSY, BUSY, GOOD);
	world.options.retries = 0;
	CONNECT(&world, {.name = "a", .models = "m", .breaker_failures = 1}, {.name = "b", .models = "x"});
	for (int i = 0; i < 3; i++) {
		ask(&world, "m", 0);
		assert_int_equal(world.outcome.error, UPSTREAM_SERVER);
		assert_int_equal(health(&world, 0), UPSTREAM_PASSED);
	}
	ask(&world, "m", 0);
	assert_int_equal(world.outcome.error, UPSTREAM_OK);
	assert_int_equal(health(&world, 0), UPSTREAM_UP);
	world_close(&world);
}

static void rejected_requests_open_nothing(void **state) {
	(void)state;
	WORLD({.bytes = CLOSED("400 No", "text/plain", "")});
	CONNECT(&world, {.name = "a", .models = "m", .breaker_failures = 1}, {.name = "b", .models = "m"});
	for (unsigned i = 1; i <= 3; i++) {
		ask(&world, "m", 0);
		assert_int_equal(world.outcome.error, UPSTREAM_REJECTED);
		assert_asked(&world, "a", i);
	}
	assert_metric(&world, "sluice_upstream_breaker_opens_total{upstream=\"a\"} 0\n");
	world_close(&world);
}

static void lists_merge(void **state) {
	(void)state;
	WORLD(GOOD);
	world.models = MODELS("{\"data\":[{\"id\":\"two\"},{\"id\":\"three\"}]}");
	struct upstream_options options[] = {
		{.name = "a", .models = "one two", .can = UPSTREAM_CAN_TOOLS, .context = 1000, .input_price = 0.5},
		{.name = "b", .can = UPSTREAM_CAN_IMAGES, .context = 2000, .input_price = -1},
	};
	connect_to(&world, "", options, 2);
	const struct upstream_model *models;
	/* What is declared needs no asking. */
	assert_int_equal(upstream_models(world.upstream, HOUR_MS, &models), 2);
	int64_t seen_ms = models[0].seen_ms;
	assert_true(seen_ms > 0);
	jump_ms(5000);
	while (upstream_models(world.upstream, HOUR_MS, &models) < 3) {
		uv_run(&world.loop, UV_RUN_ONCE);
	}
	assert_string_equal(models[0].name, "one");
	assert_string_equal(models[0].upstream, "a");
	assert_int_equal(models[0].can, UPSTREAM_CAN_TOOLS);
	assert_int_equal(models[0].seen_ms, seen_ms);
	assert_string_equal(models[1].name, "two");
	assert_string_equal(models[1].upstream, "a");
	assert_int_equal(models[1].can, UPSTREAM_CAN_TOOLS | UPSTREAM_CAN_IMAGES);
	assert_int_equal(models[1].context, 1000);
	assert_true(models[1].input_price > 0.4 && models[1].input_price < 0.6);
	assert_string_equal(models[2].name, "three");
	assert_string_equal(models[2].upstream, "b");
	assert_int_equal(models[2].can, UPSTREAM_CAN_IMAGES);
	assert_int_equal(models[2].context, 2000);
	assert_true(models[2].input_price < 0);
	assert_true(models[2].seen_ms >= seen_ms + 5000);
	struct upstream_state b;
	assert_true(upstream_state(world.upstream, 1, &b));
	assert_int_equal(b.models, 2);
	assert_int_equal(b.health, UPSTREAM_UP);
	assert_false(upstream_state(world.upstream, 2, &b));
	world_close(&world);
}

static void a_model_is_chosen(void **state) {
	(void)state;
	WORLD(GOOD);
	struct upstream_options options[] = {
		{.name = "a", .models = "one two", .can = UPSTREAM_CAN_TOOLS, .context = 1000},
		{.name = "b", .models = "two llama:latest", .can = UPSTREAM_CAN_FILES, .context = 2000},
	};
	connect_to(&world, "", options, 2);
	struct upstream_model model;
	assert_int_equal(upstream_choose(world.upstream, "", &model), UPSTREAM_CHOSEN);
	assert_string_equal(model.name, "one");
	assert_int_equal(upstream_choose(world.upstream, "two", &model), UPSTREAM_CHOSEN);
	assert_string_equal(model.name, "two");
	assert_int_equal(model.can, UPSTREAM_CAN_TOOLS | UPSTREAM_CAN_FILES);
	assert_int_equal(model.context, 1000);
	assert_int_equal(upstream_choose(world.upstream, "llama", &model), UPSTREAM_CHOSEN);
	assert_string_equal(model.name, "llama");
	assert_string_equal(model.upstream, "b");
	assert_int_equal(upstream_choose(world.upstream, "llama:7b", &model), UPSTREAM_NO_SUCH_MODEL);
	upstream_free(&world.upstream);

	/* A default that nobody lists is asked of whoever might have it. */
	connect_to(&world, "hidden", options, 2);
	assert_int_equal(upstream_choose(world.upstream, "", &model), UPSTREAM_CHOSEN);
	assert_string_equal(model.name, "hidden");
	assert_string_equal(model.upstream, "a");
	ask(&world, "hidden", 0);
	assert_int_equal(world.outcome.error, UPSTREAM_OK);
	assert_true(str_starts(buf_str(&world.last_request), "POST /a/"));
	upstream_free(&world.upstream);

	struct upstream_options unlisted[] = {{.name = "a", .can = UPSTREAM_CAN_TOOLS}};
	connect_to(&world, "", unlisted, 1);
	assert_int_equal(upstream_choose(world.upstream, "", &model), UPSTREAM_NONE_LISTED);
	assert_int_equal(upstream_choose(world.upstream, "any", &model), UPSTREAM_CHOSEN);
	assert_int_equal(model.can, UPSTREAM_CAN_TOOLS);
	world_close(&world);
}

/* It was chosen before the list came. */
static void what_no_list_has_goes_to_whoever_did_not_declare(void **state) {
	(void)state;
	WORLD(GOOD);
	world.models = MODELS("{\"data\":[{\"id\":\"two\"}]}");
	CONNECT(&world, {.name = "a", .models = "one"}, {.name = "b"});
	while (!upstream_is_up(world.upstream)) {
		uv_run(&world.loop, UV_RUN_ONCE);
	}
	struct upstream_model model;
	assert_int_equal(upstream_choose(world.upstream, "gone", &model), UPSTREAM_NO_SUCH_MODEL);
	ask(&world, "gone", 0);
	assert_int_equal(world.outcome.error, UPSTREAM_OK);
	assert_true(str_starts(buf_str(&world.last_request), "POST /b/"));
	world_close(&world);
}

static void too_many_and_bad_names(void **state) {
	(void)state;
	WORLD(GOOD);
	const struct upstream_deps deps = {&world.loop, &now.clock, &world.log, world.metrics, world.vitals};
	struct upstream_options options[UPSTREAM_MAX + 1];
	struct err err = {0};
	for (size_t i = 0; i <= UPSTREAM_MAX; i++) {
		options[i] = (struct upstream_options){.url = "http://127.0.0.1:1/v1"};
	}
	assert_null(upstream_new(options, UPSTREAM_MAX + 1, "", &deps, &err));
	assert_int_equal(err.code, ERR_LIMIT);
	options[0].name = "abcdefghijklmnopqrstuvwxyz0123456";
	assert_null(upstream_new(options, 1, "", &deps, &err));
	assert_int_equal(err.code, ERR_INVALID);
	world_close(&world);
}

/* One cancel in each state of a call that goes through two servers and two rounds. */
static void cancelled_at_any_time(void **state) {
	(void)state;
	for (size_t turns = 0; turns < 60; turns++) {
		WORLD(BUSY, {.bytes = STREAM}, BUSY, {.bytes = STREAM HELLO, .piece = 20});
		CONNECT(&world, {.name = "a", .models = "m", .breaker_failures = 1}, {.name = "b", .models = "m"});
		begin(&world, "m", 0);
		for (size_t i = 0; i < turns && world.call; i++) {
			uv_run(&world.loop, UV_RUN_NOWAIT);
		}
		upstream_cancel(&world.call);
		assert_metric(&world, "sluice_upstream_live 0\n");
		world_close(&world);
	}
}

/* Every allocation of a failover fails once, or from then on: it ends, and nothing leaks. */
static void memory_runs_out(void **state) {
	(void)state;
	for (int persistent = 0; persistent < 2; persistent++) {
		for (uint64_t n = 1;; n++) {
			WORLD(BUSY, GOOD);
			world.options.retries = 0;
			CONNECT(&world, {.name = "a", .models = "m"}, {.name = "b", .models = "m"});
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
				break;
			}
		}
	}
}

static void memory_runs_out_at_the_start(void **state) {
	(void)state;
	for (uint64_t n = 1;; n++) {
		WORLD(GOOD);
		const struct upstream_options options[] = {
			{.name = "a", .url = "http://127.0.0.1:1/v1", .models = "m n"},
			{.name = "b", .url = "http://127.0.0.1:1/v1", .models = "m"},
		};
		const struct upstream_deps deps = {&world.loop, &now.clock, &world.log, world.metrics, world.vitals};
		const struct upstream_model *models;
		struct err err = {0};
		uint64_t before = mem_alloc_count();
		mem_fail_after(n, false);
		world.upstream = upstream_new(options, 2, "m", &deps, &err);
		if (world.upstream) {
			(void)upstream_models(world.upstream, HOUR_MS, &models);
		} else {
			assert_int_equal(err.code, ERR_MEMORY);
		}
		bool failed = mem_alloc_count() >= before + n;
		mem_fail_after(0, false);
		if (world.upstream) {
			assert_int_equal(upstream_models(world.upstream, HOUR_MS, &models), 2);
		}
		world_close(&world);
		if (!failed) {
			assert_true(n > 10);
			return;
		}
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_model_decides),
		cmocka_unit_test(who_surely_has_it_comes_first),
		cmocka_unit_test(abilities_decide),
		cmocka_unit_test(a_fault_goes_on_to_the_next),
		cmocka_unit_test(nobody_there_goes_on_to_the_next),
		cmocka_unit_test(a_silent_one_has_its_share_of_the_time),
		cmocka_unit_test(the_last_one_has_all_of_it),
		cmocka_unit_test(what_is_no_servers_fault_stays),
		cmocka_unit_test(silence_behind_the_first_token_stays),
		cmocka_unit_test(a_round_is_repeated),
		cmocka_unit_test(rounds_are_counted),
		cmocka_unit_test(the_soonest_retry_after_of_a_round_counts),
		cmocka_unit_test(who_fails_too_often_is_passed_over),
		cmocka_unit_test(one_request_probes),
		cmocka_unit_test(when_all_are_passed_over_it_is_said_at_once),
		cmocka_unit_test(a_repeat_that_finds_nobody_tells_the_last_error),
		cmocka_unit_test(the_only_one_is_always_asked),
		cmocka_unit_test(rejected_requests_open_nothing),
		cmocka_unit_test(lists_merge),
		cmocka_unit_test(a_model_is_chosen),
		cmocka_unit_test(what_no_list_has_goes_to_whoever_did_not_declare),
		cmocka_unit_test(too_many_and_bad_names),
		cmocka_unit_test(cancelled_at_any_time),
		cmocka_unit_test(memory_runs_out),
		cmocka_unit_test(memory_runs_out_at_the_start),
	};
	/* The scripted server may write to a client that has hung up. */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
