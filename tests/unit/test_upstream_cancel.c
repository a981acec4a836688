#include "upstream_test.h"

/* Until every connection that carried a request for a completion is closed by the client. */
static void wait_closed(struct world *world) {
	world_wait(world, &world->closed, world->requests);
}

static void test_at_every_callback(void **state) {
	(void)state;
	size_t last = 0;
	for (size_t n = 1;; n++) {
		WORLD({.bytes = STREAM DELTA("a") DELTA("b") DELTA("c") FINISH("stop") USAGE DONE, .piece = 150});
		world.cancel_at = n;
		world_connect(&world, NULL);
		world_start(&world);
		while (!world.cancelled && world.finished == 0) {
			uv_run(&world.loop, UV_RUN_ONCE);
		}
		bool cancelled = world.cancelled;
		/* A callback after the cancel fails in callback_seen. */
		for (int i = 0; i < 20; i++) {
			uv_run(&world.loop, UV_RUN_NOWAIT);
		}
		assert_metric(&world, "sluice_upstream_live 0\n");
		world_close(&world);
		if (!cancelled) {
			break;
		}
		last = n;
	}
	/* Three texts, their flushes and the end. */
	assert_in_range(last, 5, 7);
}

static void test_within_one_read(void **state) {
	(void)state;
	for (size_t n = 1; n <= 3; n++) {
		WORLD({.bytes = STREAM DELTA("a") DELTA("b") DELTA("c"), .then = THEN_HOLD});
		world.cancel_at = n;
		world_connect(&world, NULL);
		world_start(&world);
		while (!world.cancelled) {
			uv_run(&world.loop, UV_RUN_ONCE);
		}
		assert_int_equal(world.texts, n);
		wait_closed(&world);
		world_close(&world);
	}
}

/* Within `finished` the call is as good as gone; a late cancel does no harm. */
static void test_within_finished(void **state) {
	(void)state;
	WORLD({.bytes = STREAM DONE});
	world.cancel_at = 1;
	world_connect(&world, NULL);
	world_start(&world);
	world_wait(&world, &world.finished, 1);
	assert_true(world.cancelled);
	world_close(&world);
}

static void test_before_the_loop_runs(void **state) {
	(void)state;
	WORLD({.bytes = STREAM HELLO});
	world_connect(&world, NULL);
	world_start(&world);
	upstream_cancel(&world.call);
	assert_null(world.call);
	upstream_cancel(&world.call);
	world_start(&world);
	world_wait(&world, &world.finished, 1);
	assert_int_equal(world.requests, 1);
	world_close(&world);
}

static void test_while_asking(void **state) {
	(void)state;
	WORLD({.bytes = NULL, .then = THEN_HOLD});
	world_connect(&world, NULL);
	world_start(&world);
	world_wait(&world, &world.requests, 1);
	upstream_cancel(&world.call);
	wait_closed(&world);
	assert_int_equal(world.callbacks, 0);
	world_close(&world);
}

static void test_while_streaming(void **state) {
	(void)state;
	static const char *const streams[] = {
		STREAM DELTA("a"),
		STREAM DELTA("a") "data: {\"choi",
		HEAD("200 OK",
		     "text/event-stream") "Transfer-Encoding: chunked\r\n\r\n"
					  "2f\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n\r\n",
		HEAD("200 OK", "text/event-stream") "Content-Length: 10000\r\n\r\n" DELTA("a"),
	};
	for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
		struct world world;
		struct answer answer = {.bytes = streams[i], .then = THEN_HOLD};
		world_open(&world, &answer, 1);
		world_connect(&world, NULL);
		world_start(&world);
		world_wait(&world, &world.flushes, 1);
		upstream_cancel(&world.call);
		wait_closed(&world);
		assert_int_equal(world.callbacks, 2);
		world_close(&world);
	}
}

static void on_pause_over(uv_timer_t *timer) {
	*(size_t *)timer->data = 1;
}

static void test_between_tries(void **state) {
	(void)state;
	WORLD({.bytes = HEAD("429 No", "text/plain") "Retry-After: 1\r\nConnection: close\r\n\r\n"},
	      {.bytes = STREAM HELLO});
	world_connect(&world, NULL);
	world_start(&world);
	struct buf page = BUF_INIT;
	do {
		uv_run(&world.loop, UV_RUN_ONCE);
		buf_clear(&page);
		metrics_render(world.metrics, &page);
	} while (!memmem(page.data, page.length, "sluice_upstream_retries_total 1\n", 32));
	buf_free(&page);
	upstream_cancel(&world.call);
	/* The loop lives on past the time of the next try, and nothing happens. */
	size_t passed = 0;
	uv_timer_t pause;
	uv_timer_init(&world.loop, &pause);
	pause.data = &passed;
	uv_timer_start(&pause, on_pause_over, 1100, 0);
	world_wait(&world, &passed, 1);
	uv_close((uv_handle_t *)&pause, NULL);
	assert_int_equal(world.requests, 1);
	assert_int_equal(world.callbacks, 0);
	world_close(&world);
}

/* One call's callback stops the other, whose bytes may have come in the same wake-up, and starts a third. */
struct pair {
	struct world *world;
	struct upstream_call *other;
	size_t texts;
	size_t finished;
	bool third;
};

static const struct chat_request request = {.model = "m"};

static void pair_flush(void *owner) {
	(void)owner;
}

static void third_text(void *owner, const struct chat_delta *delta) {
	(void)owner, (void)delta;
}

static void pair_finished(void *owner, const struct upstream_outcome *outcome) {
	struct pair *pair = owner;
	assert_int_equal(outcome->error, UPSTREAM_OK);
	pair->finished++;
}

static void pair_text(void *owner, const struct chat_delta *delta) {
	static const struct upstream_sink third_sink = {third_text, pair_flush, pair_finished};
	(void)delta;
	struct pair *pair = owner;
	pair->texts++;
	if (!pair->third) {
		pair->third = true;
		upstream_cancel(&pair->other);
		assert_non_null(
			upstream_start(pair->world->upstream, &request, &pair->world->log, &third_sink, pair, NULL));
	}
}

static void other_event(void *owner, const struct chat_delta *delta) {
	(void)delta;
	struct pair *pair = owner;
	assert_false(pair->third);
}

static void test_from_another_call(void **state) {
	(void)state;
	static const struct upstream_sink pair_sink = {pair_text, pair_flush, pair_finished};
	static const struct upstream_sink other_sink = {other_event, pair_flush, pair_finished};
	WORLD({.bytes = STREAM DELTA("a") DELTA("b") DONE});
	world_connect(&world, NULL);
	struct pair pair = {.world = &world};
	assert_non_null(upstream_start(world.upstream, &request, &world.log, &pair_sink, &pair, NULL));
	pair.other = upstream_start(world.upstream, &request, &world.log, &other_sink, &pair, NULL);
	world_wait(&world, &pair.finished, 2);
	assert_int_equal(pair.texts, 2);
	world_close(&world);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_every_callback), cmocka_unit_test(test_within_one_read),
		cmocka_unit_test(test_within_finished),   cmocka_unit_test(test_before_the_loop_runs),
		cmocka_unit_test(test_while_asking),      cmocka_unit_test(test_while_streaming),
		cmocka_unit_test(test_between_tries),     cmocka_unit_test(test_from_another_call),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
