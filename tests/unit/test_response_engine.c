#include "response_test.h"

static void a_text_answer_in_all_its_events(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO});
	struct watcher w = {0};
	assert_int_equal(create(&stage, &w, "Hi", NULL, true), 0);
	wait_for(&stage, &w);
	/* Both words came in one read: one delta. */
	assert_string_equal(buf_text(&w.names),
			    START_NAMES "response.output_text.delta\n" END_NAMES "response.completed\n");
	for (size_t i = 0; i < w.count; i++) {
		char number[40];
		snprintf(number, sizeof number, "\"sequence_number\":%zu", i);
		assert_true(has(&w, number));
	}
	assert_true(has(&w, "\"delta\":\"Hello\""));
	assert_true(has(&w, "\"input_tokens\":7"));
	assert_int_equal(engine_live_count(stage.engine), 0);
	drop(&w);
	stage_close(&stage);
}

static void each_read_is_a_delta(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO, .piece = 40});
	struct watcher w = {0};
	create(&stage, &w, "Hi", NULL, true);
	wait_for(&stage, &w);
	assert_true(has(&w, "\"delta\":\"Hel\""));
	assert_true(has(&w, "\"delta\":\"lo\""));
	assert_true(has(&w, "\"text\":\"Hello\""));
	drop(&w);
	stage_close(&stage);
}

static void a_second_turn_knows_the_first(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO});
	struct watcher first = {0}, second = {0}, cold = {0};
	create(&stage, &first, "My name is Ada", NULL, true);
	wait_for(&stage, &first);
	create(&stage, &second, "And?", &first, true);
	wait_for(&stage, &second);
	assert_non_null(strstr(buf_text(&stage.world.last_request), "My name is Ada"));
	assert_non_null(strstr(buf_text(&stage.world.last_request), "Hello"));
	assert_string_equal(conversation_id(first.conversation), conversation_id(second.conversation));
	/* The same from the store alone. */
	turn_release(&second.turn);
	conversation_release(&second.conversation);
	conversation_release(&first.conversation);
	create(&stage, &cold, "Again?", &second, true);
	wait_for(&stage, &cold);
	assert_non_null(strstr(buf_text(&stage.world.last_request), "My name is Ada"));
	assert_non_null(strstr(buf_text(&stage.world.last_request), "And?"));
	drop(&first);
	drop(&second);
	drop(&cold);
	stage_close(&stage);
}

static void an_unknown_parent_is_refused(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO});
	struct watcher w = {0}, parent = {.id = "resp_unknown"};
	assert_int_equal(create(&stage, &w, "Hi", &parent, true), 0);
	wait_for(&stage, &w);
	assert_true(w.refused);
	assert_int_equal(w.error.code, API_PARENT_NOT_FOUND);
	assert_string_equal(w.error.param, "previous_response_id");
	assert_int_equal(stage.world.requests, 0);
	assert_int_equal(engine_live_count(stage.engine), 0);
	drop(&w);
	stage_close(&stage);
}

static void an_unknown_model_is_refused_at_once(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO});
	while (!engine_upstream_known(stage.engine)) {
		uv_run(&stage.world.loop, UV_RUN_ONCE);
	}
	struct request request = {.settings = {.model = "other", .store = true}};
	const struct engine_start start = {.owner = OWNER, .request = &request, .log = &stage.vessel.log};
	struct watcher w = {0};
	assert_int_equal(engine_create(stage.engine, &start, &w.cursor, &watch, &w, &w.error), -1);
	assert_int_equal(w.error.code, API_MODEL_NOT_FOUND);
	assert_string_equal(w.error.param, "model");
	stage_close(&stage);
}

/* What the upstream does, and what comes of it. */
static void end_is(const struct answer *answer, const char *last_event, const char *mark) {
	struct stage stage;
	stage_open(&stage, answer, 1);
	struct watcher w = {0};
	create(&stage, &w, "Hi", NULL, true);
	wait_for(&stage, &w);
	const char *names = buf_text(&w.names);
	size_t length = strlen(names), tail = strlen(last_event);
	assert_true(length > tail && strcmp(names + length - tail, last_event) == 0);
	if (!has(&w, mark)) {
		fail_msg("no %s in %s", mark, buf_text(&w.events));
	}
	drop(&w);
	stage_close(&stage);
}

static void ends_follow_from_what_the_upstream_did(void **state) {
	(void)state;
	const struct answer length = {.bytes = STREAM DELTA("Hel") FINISH("length") DONE};
	end_is(&length, "response.incomplete\n", "\"reason\":\"max_output_tokens\"");
	const struct answer filter = {.bytes = STREAM DELTA("Hel") FINISH("content_filter") DONE};
	end_is(&filter, "response.incomplete\n", "\"reason\":\"content_filter\"");
	const struct answer cut = {.bytes = STREAM DELTA("Hel")};
	end_is(&cut, "response.incomplete\n", "\"reason\":\"upstream_cut\"");
	end_is(&cut, "response.incomplete\n", "\"text\":\"Hel\"");
	const struct answer broken = {.bytes = CLOSED("500 Internal Server Error", "text/plain", "no")};
	end_is(&broken, "response.failed\n", "\"code\":\"upstream_failed\"");
	const struct answer busy = {.bytes = CLOSED("429 Too Many Requests", "text/plain", "no")};
	end_is(&busy, "response.failed\n", "\"code\":\"upstream_rate_limited\"");
	const struct answer garbage = {.bytes = STREAM "data: {]\n\n"};
	end_is(&garbage, "response.failed\n", "\"code\":\"upstream_failed\"");
	const struct answer silent = {.bytes = STREAM FINISH("stop") DONE};
	end_is(&silent, "response.completed\n", "\"text\":\"\"");
}

static void cancel_ends_it_once(void **state) {
	(void)state;
	STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
	struct watcher w = {0};
	create(&stage, &w, "Hi", NULL, true);
	while (w.count < 5) {
		uv_run(&stage.world.loop, UV_RUN_ONCE);
	}
	struct response *r = engine_find(stage.engine, OWNER, str_of(w.id));
	assert_non_null(r);
	assert_null(engine_find(stage.engine, "user_b", str_of(w.id)));
	response_cancel(r);
	response_cancel(r);
	wait_for(&stage, &w);
	world_wait(&stage.world, &stage.world.closed, 1);
	assert_string_equal(buf_text(&w.names),
			    START_NAMES "response.output_text.delta\n" END_NAMES "response.incomplete\n");
	assert_true(has(&w, "\"reason\":\"cancelled\""));
	drop(&w);
	stage_close(&stage);
}

static void unstored_and_alone_it_stops(void **state) {
	(void)state;
	for (size_t after = 1; after <= 5; after++) {
		STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
		struct watcher w = {.close_after = after};
		create(&stage, &w, "Hi", NULL, false);
		wait_for(&stage, &w);
		assert_int_equal(engine_live_count(stage.engine), 0);
		/* Closed before it was even connected, or closed by us: no connection stays. */
		while (stage.world.closed < stage.world.requests) {
			uv_run(&stage.world.loop, UV_RUN_ONCE);
		}
		drop(&w);
		stage_close(&stage);
	}
}

static void unstored_it_is_nobody_elses(void **state) {
	(void)state;
	STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
	struct watcher w = {0}, other = {0};
	create(&stage, &w, "Hi", NULL, false);
	while (w.count < 5) {
		uv_run(&stage.world.loop, UV_RUN_ONCE);
	}
	assert_int_equal(watch_from(&stage, &other, OWNER, w.id, 0), -1);
	assert_int_equal(other.error.code, API_RESPONSE_NOT_FOUND);
	drop(&w);
	stage_close(&stage);
}

static void stored_and_alone_it_goes_on(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO, .piece = 50});
	struct watcher w = {.close_after = 1}, next = {0};
	create(&stage, &w, "Hi", NULL, true);
	wait_for(&stage, &w);
	assert_string_equal(buf_text(&w.names), "response.created\n");
	while (engine_live_count(stage.engine)) {
		uv_run(&stage.world.loop, UV_RUN_ONCE);
	}
	create(&stage, &next, "And?", &w, true);
	wait_for(&stage, &next);
	assert_non_null(strstr(buf_text(&stage.world.last_request), "Hello"));
	drop(&w);
	drop(&next);
	stage_close(&stage);
}

static void run_until_none_is_live(struct stage *stage) {
	while (engine_live_count(stage->engine)) {
		uv_run(&stage->world.loop, UV_RUN_ONCE);
	}
}

static void reopen_with_unwatched_ms(struct stage *stage, int64_t ms) {
	engine_free(&stage->engine);
	stage->unwatched_ms = ms;
	stage_open_engine(stage);
}

/* The time is up, or was never given. */
static void unwatched_for_too_long_it_ends(void **state) {
	(void)state;
	for (int64_t ms = 0; ms <= 30; ms += 30) {
		STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
		reopen_with_unwatched_ms(&stage, ms);
		struct watcher w = {.close_after = 5}, again = {0};
		create(&stage, &w, "Hi", NULL, true);
		run_until_none_is_live(&stage);
		world_wait(&stage.world, &stage.world.closed, 1);
		watch_from(&stage, &again, OWNER, w.id, 0);
		assert_true(has(&again, "\"reason\":\"abandoned\""));
		assert_true(has(&again, "\"text\":\"Hel\""));
		drop(&w);
		drop(&again);
		stage_close(&stage);
	}
}

static void a_new_watcher_in_time_saves_it(void **state) {
	(void)state;
	STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
	struct watcher w = {.close_after = 5}, again = {0};
	reopen_with_unwatched_ms(&stage, 50);
	create(&stage, &w, "Hi", NULL, true);
	wait_for(&stage, &w);
	cursor_open(&again.cursor, engine_find(stage.engine, OWNER, str_of(w.id)), 5, &watch, &again);
	int64_t until = clock_monotonic_us(clock_system()) + 150000;
	while (clock_monotonic_us(clock_system()) < until) {
		uv_run(&stage.world.loop, UV_RUN_ONCE);
	}
	assert_int_equal(engine_live_count(stage.engine), 1);
	assert_int_equal(again.count, 0);
	response_cancel(again.cursor.response);
	wait_for(&stage, &again);
	assert_true(has(&again, "\"reason\":\"cancelled\""));
	drop(&w);
	drop(&again);
	stage_close(&stage);
}

/* One of two leaves in the middle of being told: the other is still there. */
static void one_that_leaves_does_not_take_the_other_along(void **state) {
	(void)state;
	for (int store = 0; store <= 1; store++) {
		STAGE({.bytes = STREAM DELTA("Hel") DELTA("lo") FINISH("stop") DONE, .piece = 40});
		reopen_with_unwatched_ms(&stage, 0);
		struct watcher w = {.close_after = 5}, stays = {0};
		create(&stage, &w, "Hi", NULL, store);
		cursor_open(&stays.cursor, w.cursor.response, 0, &watch, &stays);
		wait_for(&stage, &w);
		wait_for(&stage, &stays);
		assert_true(has(&stays, "\"type\":\"response.completed\""));
		assert_true(has(&stays, "\"text\":\"Hello\""));
		drop(&w);
		drop(&stays);
		stage_close(&stage);
	}
}

/* Two may go on alone; the third one stops the oldest. */
static void only_so_many_of_a_user_run_unwatched(void **state) {
	(void)state;
	STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
	struct watcher w[3] = {{.close_after = 5}, {.close_after = 5}, {.close_after = 5}}, again = {0};
	for (size_t i = 0; i < 3; i++) {
		create(&stage, &w[i], "Hi", NULL, true);
		wait_for(&stage, &w[i]);
	}
	assert_true(response_ended(engine_find(stage.engine, OWNER, str_of(w[1].id))) == false);
	while (engine_live_count(stage.engine) > 2) {
		uv_run(&stage.world.loop, UV_RUN_ONCE);
	}
	watch_from(&stage, &again, OWNER, w[0].id, 0);
	assert_true(has(&again, "\"reason\":\"abandoned\""));
	drop(&again);
	for (size_t i = 0; i < 3; i++) {
		drop(&w[i]);
	}
	stage_close(&stage);
}

/* generate: false gives an id to continue from; the model hears of it with the next turn. */
static void a_prepared_turn_asks_no_model(void **state) {
	(void)state;
	for (int store = 0; store <= 1; store++) {
		STAGE({.bytes = STREAM HELLO});
		struct watcher w = {.prepare_only = true}, next = {0};
		create(&stage, &w, "remember this", NULL, store);
		wait_for(&stage, &w);
		assert_string_equal(buf_text(&w.names), "response.created\nresponse.in_progress\nresponse.completed\n");
		assert_int_equal(stage.world.requests, 0);
		create(&stage, &next, "And?", &w, store);
		wait_for(&stage, &next);
		assert_non_null(strstr(buf_text(&stage.world.last_request), "remember this"));
		assert_true(has(&next, "\"text\":\"Hello"));
		drop(&w);
		drop(&next);
		stage_close(&stage);
	}
}

/* Stopped before the model was asked: it never is. */
static void cancelled_at_once_it_asks_no_model(void **state) {
	(void)state;
	for (int loads = 0; loads <= 1; loads++) {
		STAGE({.bytes = STREAM HELLO});
		struct watcher parent = {.prepare_only = true}, w = {0};
		create(&stage, &parent, "first", NULL, true);
		wait_for(&stage, &parent);
		turn_release(&parent.turn);
		conversation_release(&parent.conversation);
		create(&stage, &w, "Hi", loads ? &parent : NULL, true);
		response_cancel(w.cursor.response);
		wait_for(&stage, &w);
		assert_string_equal(buf_text(&w.names),
				    "response.created\nresponse.in_progress\nresponse.incomplete\n");
		assert_true(has(&w, "\"reason\":\"cancelled\""));
		assert_int_equal(stage.world.requests, 0);
		drop(&parent);
		drop(&w);
		stage_close(&stage);
	}
}

/* --- followers ------------------------------------------------------------------------------------------------------ */

struct fan {
	struct follower follower;
	struct watcher watcher;
	size_t began;
};

static void on_began(struct follower *follower, struct response *response) {
	struct fan *fan = container_of(follower, struct fan, follower);
	fan->began++;
	cursor_open(&fan->watcher.cursor, response, 0, &watch, &fan->watcher);
}

static void count_live(void *arg, struct response *response) {
	size_t *count = arg;
	assert_false(response_ended(response));
	(*count)++;
}

static void followers_see_what_begins_in_their_conversation(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO}, {.bytes = STREAM HELLO}, {.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
	static const struct answer rest = {.bytes = DELTA("lo") FINISH("stop") DONE, .piece = 30};
	struct watcher first = {0}, second = {0}, elsewhere = {0};
	struct fan fan = {0}, gone = {0};
	size_t live = 0;
	create(&stage, &first, "Hi", NULL, true);
	wait_for(&stage, &first);
	const char *conversation = conversation_id(first.conversation);
	assert_int_equal(engine_follow(stage.engine, &fan.follower, conversation, on_began), 0);
	assert_int_equal(engine_follow(stage.engine, &gone.follower, conversation, on_began), 0);
	engine_unfollow(stage.engine, &gone.follower);
	engine_unfollow(stage.engine, &gone.follower);
	create(&stage, &elsewhere, "other", NULL, true);
	wait_for(&stage, &elsewhere);
	assert_int_equal(fan.began, 0);
	create(&stage, &second, "And?", &first, true);
	while (!has(&second, "\"delta\":\"Hel\"")) {
		uv_run(&stage.world.loop, UV_RUN_ONCE);
	}
	assert_int_equal(fan.began, 1);
	engine_each_live(stage.engine, conversation, count_live, &live);
	assert_int_equal(live, 1);
	world_say(&stage.world, &rest);
	wait_for(&stage, &second);
	wait_for(&stage, &fan.watcher);
	assert_string_equal(buf_text(&fan.watcher.events), buf_text(&second.events));
	engine_each_live(stage.engine, conversation, count_live, &live);
	assert_int_equal(live, 1);
	assert_int_equal(gone.began, 0);
	engine_unfollow(stage.engine, &fan.follower);
	drop(&first);
	drop(&second);
	drop(&elsewhere);
	drop(&fan.watcher);
	stage_close(&stage);
}

static void a_lagging_cursor_reads_the_same(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO, .piece = 30});
	struct watcher w = {0}, late = {.lazy = true};
	create(&stage, &w, "Hi", NULL, true);
	cursor_open(&late.cursor, w.cursor.response, 0, &watch, &late);
	assert_int_equal(late.readies, 0);
	wait_for(&stage, &w);
	/* It was told once and read one event; nothing more was pressed on it. */
	assert_int_equal(late.readies, 1);
	late.lazy = false;
	read_events(&late);
	assert_string_equal(buf_text(&late.events), buf_text(&w.events));
	drop(&w);
	drop(&late);
	stage_close(&stage);
}

static void unstored_turns_continue_from_memory_only(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO});
	struct watcher first = {0}, second = {0}, stranger = {0};
	create(&stage, &first, "secret", NULL, false);
	wait_for(&stage, &first);
	assert_non_null(first.turn);
	assert_null(first.conversation);
	create(&stage, &second, "And?", &first, false);
	wait_for(&stage, &second);
	assert_non_null(strstr(buf_text(&stage.world.last_request), "secret"));
	turn_release(&first.turn);
	create(&stage, &stranger, "And?", &first, false);
	wait_for(&stage, &stranger);
	assert_true(stranger.refused);
	assert_true(store_is_empty(stage.vessel.store));
	drop(&first);
	drop(&second);
	drop(&stranger);
	stage_close(&stage);
}

/* What a replay gives from event `next` on is what is left of the first time. */
static void an_ended_response_replays_as_it_streamed(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO, .piece = 40});
	struct watcher w = {0};
	create(&stage, &w, "Hi", NULL, true);
	wait_for(&stage, &w);
	const char *rest = buf_text(&w.events);
	for (uint32_t next = 0; next <= w.count; next++) {
		struct watcher again = {0};
		assert_int_equal(watch_from(&stage, &again, OWNER, w.id, next), 0);
		assert_false(again.refused);
		assert_string_equal(buf_text(&again.events), rest);
		rest = next < w.count ? strchr(rest, '\n') + 1 : rest;
		drop(&again);
	}
	struct watcher past = {0}, stranger = {0}, unknown = {0};
	watch_from(&stage, &past, OWNER, w.id, (uint32_t)w.count + 1);
	assert_true(past.refused);
	assert_string_equal(past.error.param, "starting_after");
	watch_from(&stage, &stranger, "user_b", w.id, 0);
	assert_true(stranger.refused);
	assert_int_equal(stranger.error.code, API_RESPONSE_NOT_FOUND);
	watch_from(&stage, &unknown, OWNER, "resp_unknown", 0);
	assert_int_equal(unknown.error.code, API_RESPONSE_NOT_FOUND);
	drop(&w);
	stage_close(&stage);
}

static void failed_and_cut_responses_replay_too(void **state) {
	(void)state;
	STAGE({.bytes = CLOSED("500 Internal Server Error", "text/plain", "no")}, {.bytes = STREAM DELTA("Hel")});
	for (int i = 0; i < 2; i++) {
		struct watcher w = {0}, again = {0};
		create(&stage, &w, "Hi", NULL, true);
		wait_for(&stage, &w);
		assert_int_equal(watch_from(&stage, &again, OWNER, w.id, 0), 0);
		assert_string_equal(buf_text(&again.events), buf_text(&w.events));
		drop(&w);
		drop(&again);
	}
	stage_close(&stage);
}

static void a_closed_replay_is_never_heard_of(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO});
	struct watcher w = {0}, gone = {0};
	create(&stage, &w, "Hi", NULL, true);
	wait_for(&stage, &w);
	const struct engine_watch from = {.owner = OWNER, .id = str_of(w.id), .log = &stage.vessel.log};
	assert_int_equal(engine_watch(stage.engine, &from, &gone.cursor, &watch, &gone, &gone.error), 0);
	cursor_close(&gone.cursor);
	drop(&w);
	stage_close(&stage);
	assert_int_equal(gone.readies, 0);
	assert_false(gone.refused);
}

/* Neither one large input nor a chain of small ones costs more than the bound. */
static void a_context_past_its_bound_is_refused(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO});
	struct watcher w = {0}, too_large = {0}, parent = {0};
	char *text = malloc(65537);
	memset(text, 'x', 65536);
	text[65536] = '\0';
	create(&stage, &w, text, NULL, true);
	wait_for(&stage, &w);
	assert_false(w.refused);
	create(&stage, &too_large, text, &w, true);
	wait_for(&stage, &too_large);
	assert_true(too_large.refused);
	assert_string_equal(too_large.error.param, "input");
	drop(&w);
	drop(&too_large);
	text[40000] = '\0';
	create(&stage, &parent, text, NULL, true);
	wait_for(&stage, &parent);
	size_t asked = stage.world.requests;
	/* From memory, and from the store. */
	for (int i = 0; i < 2; i++) {
		create(&stage, &w, text, &parent, true);
		wait_for(&stage, &w);
		assert_true(w.refused);
		assert_int_equal(w.error.code, API_CONTEXT_TOO_LARGE);
		drop(&w);
		turn_release(&parent.turn);
		conversation_release(&parent.conversation);
	}
	assert_int_equal(stage.world.requests, asked);
	drop(&parent);
	free(text);
	stage_close(&stage);
}

static void an_endless_answer_ends_at_its_bound(void **state) {
	(void)state;
#define WORDS DELTA("0123456789012345678901234567890123456789")
#define MANY WORDS WORDS WORDS WORDS WORDS WORDS WORDS WORDS WORDS
	STAGE({.bytes = STREAM MANY MANY MANY, .then = THEN_HOLD});
	struct watcher w = {0};
	create(&stage, &w, "Hi", NULL, true);
	wait_for(&stage, &w);
	assert_true(has(&w, "\"reason\":\"max_output_tokens\""));
	assert_int_equal(strlen(w.turn->output.items[0].parts[0].text), 1000);
	world_wait(&stage.world, &stage.world.closed, 1);
	drop(&w);
	stage_close(&stage);
}

/* As a kill leaves it: the engine goes with its responses, only the store's file is there. */
static void what_a_killed_server_streamed_is_kept(void **state) {
	(void)state;
	STAGE({.bytes = STREAM DELTA("Hel") DELTA("lo"), .piece = 150, .then = THEN_HOLD}, {.bytes = STREAM HELLO});
	struct watcher w = {0}, again = {0}, next = {0};
	create(&stage, &w, "Hi", NULL, true);
	while (!has(&w, "lo\",") || stored_segments(&stage) < 1) {
		uv_run(&stage.world.loop, UV_RUN_ONCE);
	}
	/* The last delta may still be on its way to the disk. */
	for (int64_t until = clock_monotonic_us(clock_system()) + 50000; clock_monotonic_us(clock_system()) < until;) {
		uv_run(&stage.world.loop, UV_RUN_ONCE);
	}
	char seen[16384];
	snprintf(seen, sizeof seen, "%s", buf_text(&w.events));
	cursor_close(&w.cursor);
	engine_free(&stage.engine);
	vessel_close_store(&stage.vessel);
	vessel_open_store(&stage.vessel);
	stage_open_engine(&stage);

	assert_int_equal(watch_from(&stage, &again, OWNER, w.id, 0), 0);
	assert_memory_equal(buf_text(&again.events), seen, strlen(seen));
	assert_true(has(&again, "\"reason\":\"server_restart\""));
	assert_true(has(&again, "\"text\":\"Hello\""));
	const char *names = buf_text(&again.names);
	assert_non_null(strstr(names, END_NAMES "response.incomplete\n"));
	/* Whoever saw more than was stored, or as much, hears how it ended. */
	for (uint32_t from = (uint32_t)again.count; from < again.count + 3; from++) {
		struct watcher ahead = {0};
		assert_int_equal(watch_from(&stage, &ahead, OWNER, w.id, from), 0);
		assert_string_equal(buf_text(&ahead.names), "response.incomplete\n");
		assert_true(has(&ahead, "\"reason\":\"server_restart\""));
		drop(&ahead);
	}
	/* It can be continued, too. */
	create(&stage, &next, "Go on", &w, true);
	wait_for(&stage, &next);
	assert_non_null(strstr(buf_text(&stage.world.last_request), "\"Hello\""));
	drop(&w);
	drop(&again);
	drop(&next);
	stage_close(&stage);
}

static void segments_go_with_the_end(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO, .piece = 10});
	struct watcher w = {0};
	create(&stage, &w, "Hi", NULL, true);
	wait_for(&stage, &w);
	assert_int_equal(stored_segments(&stage), 0);
	drop(&w);
	stage_close(&stage);
}

static bool idle_seen;

static void on_engine_idle(void *owner) {
	(void)owner;
	idle_seen = true;
}

static void draining_refuses_and_interrupts(void **state) {
	(void)state;
	STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
	struct watcher w = {0}, late = {0};
	idle_seen = false;
	engine_on_idle(stage.engine, on_engine_idle, NULL);
	create(&stage, &w, "Hi", NULL, true);
	while (w.count < 5) {
		uv_run(&stage.world.loop, UV_RUN_ONCE);
	}
	engine_drain(stage.engine);
	assert_int_equal(create(&stage, &late, "Hi", NULL, true), -1);
	assert_int_equal(late.error.code, API_DRAINING);
	engine_interrupt_all(stage.engine, "server_restart");
	wait_for(&stage, &w);
	assert_true(has(&w, "\"reason\":\"server_restart\""));
	vessel_wait(&stage.vessel, &idle_seen);
	drop(&w);
	stage_close(&stage);
}

static void memory_out_at_every_point(bool store, bool prepare_only) {
	bool clean = false;
	for (uint64_t n = 1; !clean && n < 2000; n++) {
		STAGE({.bytes = STREAM HELLO, .piece = 60});
		while (!engine_upstream_known(stage.engine)) {
			uv_run(&stage.world.loop, UV_RUN_ONCE);
		}
		struct watcher w = {0};
		uint64_t before = mem_alloc_count();
		mem_fail_after(n, false);
		struct request request = {0};
		struct item item = {0};
		if (item_message(&item, ROLE_USER, ITEM_COMPLETED, "msg_in", STR("Hi")) == 0 &&
		    item_list_add(&request.input, &item) == 0) {
			request.settings.store = store;
			request.prepare_only = prepare_only;
			const struct engine_start start = {
				.owner = OWNER, .request = &request, .log = &stage.vessel.log};
			if (engine_create(stage.engine, &start, &w.cursor, &watch, &w, &w.error) == 0) {
				wait_for(&stage, &w);
				assert_true(w.refused || w.events.failed || has(&w, "response.completed") ||
					    has(&w, "response.failed"));
			}
		}
		mem_fail_after(0, false);
		clean = mem_alloc_count() - before < n;
		item_free(&item);
		request_free(&request);
		drop(&w);
		run_until_none_is_live(&stage);
		stage_close(&stage);
	}
	assert_true(clean);
}

static void memory_out_at_every_point_is_an_answer(void **state) {
	(void)state;
	for (int store = 0; store <= 1; store++) {
		memory_out_at_every_point(store, false);
		memory_out_at_every_point(store, true);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_answer_in_all_its_events),
		cmocka_unit_test(each_read_is_a_delta),
		cmocka_unit_test(a_second_turn_knows_the_first),
		cmocka_unit_test(an_unknown_parent_is_refused),
		cmocka_unit_test(an_unknown_model_is_refused_at_once),
		cmocka_unit_test(ends_follow_from_what_the_upstream_did),
		cmocka_unit_test(cancel_ends_it_once),
		cmocka_unit_test(unstored_and_alone_it_stops),
		cmocka_unit_test(unstored_it_is_nobody_elses),
		cmocka_unit_test(stored_and_alone_it_goes_on),
		cmocka_unit_test(unwatched_for_too_long_it_ends),
		cmocka_unit_test(a_new_watcher_in_time_saves_it),
		cmocka_unit_test(one_that_leaves_does_not_take_the_other_along),
		cmocka_unit_test(only_so_many_of_a_user_run_unwatched),
		cmocka_unit_test(a_prepared_turn_asks_no_model),
		cmocka_unit_test(cancelled_at_once_it_asks_no_model),
		cmocka_unit_test(followers_see_what_begins_in_their_conversation),
		cmocka_unit_test(a_lagging_cursor_reads_the_same),
		cmocka_unit_test(unstored_turns_continue_from_memory_only),
		cmocka_unit_test(an_ended_response_replays_as_it_streamed),
		cmocka_unit_test(failed_and_cut_responses_replay_too),
		cmocka_unit_test(a_closed_replay_is_never_heard_of),
		cmocka_unit_test(a_context_past_its_bound_is_refused),
		cmocka_unit_test(an_endless_answer_ends_at_its_bound),
		cmocka_unit_test(what_a_killed_server_streamed_is_kept),
		cmocka_unit_test(segments_go_with_the_end),
		cmocka_unit_test(draining_refuses_and_interrupts),
		cmocka_unit_test(memory_out_at_every_point_is_an_answer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
