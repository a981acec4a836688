/* A response of one loop, followed from others: every event, number and end as whoever is on its own loop gets them. */
#include "loops_test.h"

#define HOLD(text)                                                                                                     \
	{ .bytes = STREAM text, .then = THEN_HOLD }
#define CITATION                                                                                                       \
	"{\"type\":\"url_citation\",\"url\":\"https://example.org\",\"start_index\":0,\"end_index\":2,\"title\":\"e\"}"
#define LOGPROB "{\"content\":[{\"token\":\"He\",\"bytes\":[72,101],\"logprob\":-0.5,\"top_logprobs\":[]}]}"
#define PIECE(delta) CHUNK("{\"index\":0,\"delta\":{" delta "},\"finish_reason\":null}")
#define CALL(index, id, name, text)                                                                                    \
	"{\"index\":" index ",\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"" name                  \
	"\",\"arguments\":\"" text "\"}}"
#define MORE(index, text) "{\"index\":" index ",\"function\":{\"arguments\":\"" text "\"}}"
#define CALLS(calls) PIECE("\"tool_calls\":[" calls "]")

static const struct cursor_sink chunk_sinks[] = {
	{.form = CURSOR_CHUNKS, .ready = on_ready, .refused = on_refused},
	{.form = CURSOR_CHUNKS_OF_USAGE, .ready = on_ready, .refused = on_refused},
};

static void nothing(struct crowd *crowd, const char *id) {
	(void)crowd;
	(void)id;
}

static void cancel_elsewhere(struct crowd *crowd, const char *id) {
	assert_int_equal(engine_cancel(crowd->engines[1], "user_b", str_of(id)), -1);
	assert_int_equal(engine_cancel(crowd->engines[1], OWNER, str_of(id)), 0);
}

static void go_on(struct crowd *crowd, const char *id) {
	(void)id;
	static const struct answer rest = {.bytes = DELTA("lo") FINISH("stop") USAGE DONE, .piece = 40};
	world_say(&crowd->stage.world, &rest);
}

/* A way to end: what the model says, and what is done when its first word has come. */
struct way {
	struct answer answer;
	void (*then)(struct crowd *crowd, const char *id);
	const char *end; /* the name of the last event */
};

static const struct way ways[] = {
	{HOLD(DELTA("Hel")), go_on, "response.completed\n"},
	{HOLD(DELTA("Hel")), cancel_elsewhere, "response.incomplete\n"},
	{{.bytes = STREAM DELTA("Hel") FINISH("length") USAGE DONE, .piece = 40}, nothing, "response.incomplete\n"},
	{{.bytes = STREAM DELTA("Hel") FINISH("content_filter") DONE, .piece = 40}, nothing, "response.incomplete\n"},
	{{.bytes = STREAM DELTA("Hel"), .piece = 40}, nothing, "response.incomplete\n"},
	{{.bytes = CLOSED("500 Internal Server Error", "text/plain", "no")}, NULL, "response.failed\n"},
	{{.bytes = CLOSED("429 Too Many Requests", "text/plain", "no")}, NULL, "response.failed\n"},
	{{.bytes = STREAM FINISH("stop") DONE}, NULL, "response.completed\n"},
};

/* Two loops, each with a reader of every form from the start, and one of events from the middle on. */
struct readers {
	struct watcher chunks[2], middle;
};

static void read_all(struct crowd *crowd, const struct watcher *home, struct readers *elsewhere, size_t engine) {
	for (size_t form = 0; form < 2; form++) {
		const struct engine_watch from = {
			.owner = OWNER, .id = str_of(home->id), .own = true, .log = &crowd->stage.vessel.log};
		struct watcher *w = &elsewhere->chunks[form];
		assert_int_equal(
			engine_watch(crowd->engines[engine], &from, &w->cursor, &chunk_sinks[form], w, &w->error), 0);
	}
}

static void ends_in(const struct way *way, bool store) {
	struct crowd crowd;
	crowd_open(&crowd, &way->answer, 1);
	struct watcher home = {0}, at_once[2], behind = {0};
	memset(at_once, 0, sizeof at_once);
	struct readers here = {0}, there = {0};
	begin(&crowd, 0, &home, NULL, store);
	assert_int_equal(look(&crowd, 1, &at_once[0], home.id, 0), 0);
	assert_int_equal(look(&crowd, 2, &at_once[1], home.id, 0), 0);
	read_all(&crowd, &home, &here, 0);
	read_all(&crowd, &home, &there, 2);
	struct response *own = home.cursor.response, *mirror = at_once[0].cursor.response;
	response_hold(own);
	response_hold(mirror);
	assert_false(response_is_known(mirror));
	assert_true(response_runs(mirror));
	if (way->then) {
		wait_count(&crowd, &home, 5);
		look(&crowd, 1, &there.middle, home.id, 3);
		look(&crowd, 2, &behind, home.id, 5);
		way->then(&crowd, home.id);
	}
	wait_for(&crowd.stage, &home);
	wait_for(&crowd.stage, &at_once[0]);
	wait_for(&crowd.stage, &at_once[1]);
	assert_reads(&at_once[0], &home, 0);
	assert_reads(&at_once[1], &home, 0);
	assert_shows_the_same(mirror, own);
	assert_string_equal(buf_text(&home.names) + strlen(buf_text(&home.names)) - strlen(way->end), way->end);
	for (size_t form = 0; form < 2; form++) {
		wait_for(&crowd.stage, &here.chunks[form]);
		wait_for(&crowd.stage, &there.chunks[form]);
		assert_string_equal(buf_text(&there.chunks[form].events), buf_text(&here.chunks[form].events));
		drop(&here.chunks[form]);
		drop(&there.chunks[form]);
	}
	if (way->then) {
		wait_for(&crowd.stage, &there.middle);
		wait_for(&crowd.stage, &behind);
		assert_reads(&there.middle, &home, 3);
		assert_reads(&behind, &home, 5);
	}
	assert_null(response_turn(mirror));
	response_release(own);
	response_release(mirror);
	drop(&home);
	drop(&at_once[0]);
	drop(&at_once[1]);
	drop(&there.middle);
	drop(&behind);
	crowd_close(&crowd);
}

static void every_end_reaches_every_loop(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		ends_in(&ways[i], true);
		ends_in(&ways[i], false);
	}
}

/* False: the store was faster than the letter that asks, and there was nothing left to be asked about. */
static bool refusal_reaches_other_loop(void) {
	CROWD({.bytes = STREAM HELLO});
	struct watcher home = {0}, away = {0}, unknown = {.id = "resp_unknown"};
	begin(&crowd, 0, &home, &unknown, true);
	assert_int_equal(look(&crowd, 1, &away, home.id, 0), 0);
	wait_for(&crowd.stage, &home);
	wait_for(&crowd.stage, &away);
	assert_true(home.refused && away.refused);
	assert_int_equal(home.error.code, API_PARENT_NOT_FOUND);
	bool reached = away.error.code != API_RESPONSE_NOT_FOUND;
	if (reached) {
		assert_int_equal(away.error.code, home.error.code);
		assert_string_equal(away.error.message, home.error.message);
		assert_string_equal(away.error.param, home.error.param);
	}
	crowd_close(&crowd);
	return reached;
}

static void a_refusal_reaches_every_loop(void **state) {
	(void)state;
	int tries = 1;
	while (!refusal_reaches_other_loop()) {
		assert_true(tries++ < 1000);
	}
}

static const char *const pieces[] = {
	PIECE("\"reasoning_content\":\"I thi\""),
	PIECE("\"reasoning_content\":\"nk\""),
	CHUNK("{\"index\":0,\"delta\":{\"content\":\"He\"},\"logprobs\":" LOGPROB ",\"finish_reason\":null}"),
	PIECE("\"content\":\"llo\""),
	PIECE("\"annotations\":[" CITATION "]"),
	PIECE("\"content\":\" there\""),
	PIECE("\"annotations\":[" CITATION "," CITATION "]"),
	PIECE("\"refusal\":\"I will\""),
	PIECE("\"refusal\":\" not\""),
	CALLS(CALL("0", "call_a", "f", "{\\\"a\\\"")),
	CALLS(CALL("1", "call_b", "g", "{")),
	CALLS(MORE("0", ":1")),
	CALLS(MORE("1", "\\\"b\\\"")),
	CALLS(MORE("0", "}") "," MORE("1", ":2}")),
	FINISH("tool_calls") USAGE DONE,
};
#define PIECES (sizeof pieces / sizeof pieces[0])

static void say(struct crowd *crowd, const char *bytes) {
	static struct answer answer;
	answer = (struct answer){.bytes = bytes, .then = THEN_HOLD};
	world_say(&crowd->stage.world, &answer);
}

/* Waits until every letter about it has come. */
static void wait_level(struct crowd *crowd, const struct response *home, const struct response *mirror) {
	while (response_shown(mirror) < response_shown(home)) {
		turn(crowd);
	}
}

/* Piece by piece; after each one, what there is on both loops is the same, and one who comes then reads the same. */
static void all_that_a_model_says_is_the_same(void **state) {
	(void)state;
	CROWD(HOLD(""));
	struct watcher home = {0}, away = {0}, late[PIECES];
	memset(late, 0, sizeof late);
	begin(&crowd, 0, &home, NULL, true);
	assert_int_equal(look(&crowd, 1, &away, home.id, 0), 0);
	struct response *own = home.cursor.response, *mirror = away.cursor.response;
	response_hold(own);
	response_hold(mirror);
	wait_count(&crowd, &away, 2);
	for (size_t i = 0; i < PIECES; i++) {
		size_t before = home.count;
		say(&crowd, pieces[i]);
		while (home.count == before) {
			turn(&crowd);
		}
		wait_level(&crowd, own, mirror);
		assert_string_equal(buf_text(&away.events), buf_text(&home.events));
		assert_shows_the_same(mirror, own);
		if (i + 1 < PIECES) {
			assert_int_equal(look(&crowd, 1 + i % 2, &late[i], home.id, (uint32_t)i), 0);
		}
	}
	wait_for(&crowd.stage, &home);
	wait_for(&crowd.stage, &away);
	assert_shows_the_same(mirror, own);
	assert_reads(&away, &home, 0);
	assert_true(has(&home, "\"logprob\":-0.5") && has(&home, "url_citation") && has(&home, "I will not"));
	assert_true(has(&home, "{\\\"a\\\":1}") && has(&home, "{\\\"b\\\":2}") && has(&home, "I think"));
	for (size_t i = 0; i + 1 < PIECES; i++) {
		wait_for(&crowd.stage, &late[i]);
		assert_reads(&late[i], &home, (uint32_t)i);
		drop(&late[i]);
	}
	response_release(own);
	response_release(mirror);
	drop(&home);
	drop(&away);
	crowd_close(&crowd);
}

/* The number wanted is measured by what its home has shown, and not by how far a mirror has come. */
static void past_the_end_is_what_its_home_says(void **state) {
	(void)state;
	CROWD(HOLD(DELTA("Hel")));
	struct watcher home = {0}, away = {0}, early = {0}, late = {0}, ahead = {0}, stays = {0};
	begin(&crowd, 0, &home, NULL, true);
	wait_count(&crowd, &home, 5);
	assert_int_equal(look(&crowd, 1, &early, home.id, 6), 0);
	wait_for(&crowd.stage, &early);
	assert_true(early.refused);
	assert_int_equal(early.error.code, API_INVALID_VALUE);
	assert_string_equal(early.error.param, "starting_after");
	assert_int_equal(look(&crowd, 1, &away, home.id, 0), 0);
	wait_count(&crowd, &away, 5);
	assert_int_equal(look(&crowd, 1, &late, home.id, 6), 0);
	wait_for(&crowd.stage, &late);
	assert_true(late.refused);
	assert_string_equal(late.error.message, early.error.message);
	/* What has been read at home is there to be gone on from, though the mirror does not have it yet. */
	say(&crowd, DELTA("lo"));
	while (home.count < 6) {
		turn(&crowd);
	}
	assert_int_equal(away.count, 5);
	assert_int_equal(look(&crowd, 1, &ahead, home.id, 6), 0);
	assert_int_equal(look(&crowd, 1, &stays, home.id, 5), 0);
	wait_letters(&crowd);
	assert_false(ahead.refused);
	assert_int_equal(ahead.count, 0);
	assert_int_equal(stays.count, 1);
	say(&crowd, FINISH("stop") USAGE DONE);
	wait_for(&crowd.stage, &ahead);
	wait_for(&crowd.stage, &stays);
	wait_for(&crowd.stage, &away);
	wait_for(&crowd.stage, &home);
	assert_reads(&ahead, &home, 6);
	assert_reads(&stays, &home, 5);
	assert_reads(&away, &home, 0);
	drop(&home);
	drop(&away);
	drop(&ahead);
	drop(&stays);
	crowd_close(&crowd);
}

/* Ended, it is read from the store, wherever it ran; who comes at the very end gets one or the other. */
static void after_its_end_the_store_has_it(void **state) {
	(void)state;
	CROWD({.bytes = STREAM HELLO, .piece = 40});
	struct watcher home = {0}, away[100];
	size_t looks = 0;
	memset(away, 0, sizeof away);
	begin(&crowd, 0, &home, NULL, true);
	while (!home.finished) {
		if (looks < 99) {
			assert_int_equal(look(&crowd, 1 + looks % 2, &away[looks], home.id, 0), 0);
			looks++;
		}
		turn(&crowd);
	}
	assert_int_equal(look(&crowd, 1, &away[looks++], home.id, 0), 0);
	for (size_t i = 0; i < looks; i++) {
		wait_for(&crowd.stage, &away[i]);
		assert_reads(&away[i], &home, 0);
		drop(&away[i]);
	}
	drop(&home);
	crowd_close(&crowd);
}

/* All of one loop read one mirror; one that lags keeps none of the others, and misses nothing. */
static void many_read_one_mirror(void **state) {
	(void)state;
	CROWD(HOLD(DELTA("Hel")));
	struct watcher home = {0}, away[10];
	memset(away, 0, sizeof away);
	away[3].lazy = true;
	begin(&crowd, 0, &home, NULL, true);
	for (size_t i = 0; i < 10; i++) {
		assert_int_equal(look(&crowd, 1, &away[i], home.id, 0), 0);
		assert_ptr_equal(away[i].cursor.response, away[0].cursor.response);
		turn(&crowd);
	}
	wait_count(&crowd, &away[9], 5);
	assert_int_equal(length_of(&home.cursor.response->cursors), 2);
	say(&crowd, DELTA("lo"));
	wait_count(&crowd, &away[9], 6);
	say(&crowd, FINISH("stop") USAGE DONE);
	for (size_t i = 0; i < 10; i++) {
		if (i != 3) {
			wait_for(&crowd.stage, &away[i]);
			assert_reads(&away[i], &home, 0);
		}
	}
	wait_for(&crowd.stage, &home);
	assert_int_equal(away[3].readies, 1);
	assert_int_equal(away[3].count, 1);
	away[3].lazy = false;
	read_events(&away[3]);
	assert_reads(&away[3], &home, 0);
	for (size_t i = 0; i < 10; i++) {
		drop(&away[i]);
	}
	drop(&home);
	crowd_close(&crowd);
}

/* The home keeps nothing for a mirror that was left, whichever letter is under way then, and a new one begins anew. */
static void left_and_found_again(void **state) {
	(void)state;
	for (int turns = 0; turns < 12; turns++) {
		CROWD(HOLD(DELTA("Hel")));
		struct watcher home = {0}, left = {0}, again = {0};
		begin(&crowd, 0, &home, NULL, true);
		if (turns % 2) {
			wait_count(&crowd, &home, 5);
		}
		assert_int_equal(look(&crowd, 1, &left, home.id, 0), 0);
		for (int i = 0; i < turns; i++) {
			look_round(&crowd);
		}
		cursor_close(&left.cursor);
		for (int i = 0; i < turns / 3; i++) {
			look_round(&crowd);
		}
		assert_int_equal(look(&crowd, 1, &again, home.id, 0), 0);
		wait_count(&crowd, &again, 5);
		wait_letters(&crowd);
		assert_int_equal(length_of(&home.cursor.response->cursors), 2);
		go_on(&crowd, home.id);
		wait_for(&crowd.stage, &again);
		wait_for(&crowd.stage, &home);
		assert_reads(&again, &home, 0);
		assert_true(left.count <= home.count);
		drop(&home);
		drop(&left);
		drop(&again);
		crowd_close(&crowd);
	}
}

/* By its id or by its mirror, before anything of it is known there and in mid-stream. */
static void cancelled_from_another_loop(void **state) {
	(void)state;
	for (int i = 0; i < 4; i++) {
		CROWD(HOLD(DELTA("Hel")));
		bool by_id = i & 1, early = i & 2;
		struct watcher home = {0}, away = {0};
		begin(&crowd, 0, &home, NULL, true);
		assert_int_equal(look(&crowd, 2, &away, home.id, 0), 0);
		if (!early) {
			wait_count(&crowd, &away, 5);
		}
		if (by_id) {
			assert_int_equal(engine_cancel(crowd.engines[1], OWNER, str_of(home.id)), 0);
		} else {
			response_cancel(away.cursor.response);
			response_cancel(away.cursor.response);
		}
		wait_for(&crowd.stage, &away);
		wait_for(&crowd.stage, &home);
		assert_true(has(&away, "\"reason\":\"cancelled\""));
		assert_reads(&away, &home, 0);
		wait_none_live(&crowd);
		assert_int_equal(engine_cancel(crowd.engines[1], OWNER, str_of(home.id)), -1);
		assert_int_equal(engine_cancel(crowd.engines[1], OWNER, STR("resp_unknown")), -1);
		drop(&home);
		drop(&away);
		crowd_close(&crowd);
	}
}

static void steered_from_another_loop(void **state) {
	(void)state;
	CROWD(HOLD(DELTA("Hel")));
	struct watcher home = {0}, away = {0};
	begin(&crowd, 0, &home, NULL, true);
	assert_int_equal(look(&crowd, 1, &away, home.id, 0), 0);
	wait_count(&crowd, &away, 5);
	response_steer(away.cursor.response);
	wait_for(&crowd.stage, &away);
	wait_for(&crowd.stage, &home);
	assert_true(has(&away, "\"reason\":\"steered\""));
	assert_reads(&away, &home, 0);
	drop(&home);
	drop(&away);
	crowd_close(&crowd);
}

/* What was asked of one that is only read, be it not known yet, is asked in vain and does no harm. */
static void what_does_not_run_is_not_stopped(void **state) {
	(void)state;
	CROWD({.bytes = STREAM HELLO});
	struct watcher home = {0}, replay = {0};
	begin(&crowd, 0, &home, NULL, true);
	wait_for(&crowd.stage, &home);
	wait_none_live(&crowd);
	assert_int_equal(look(&crowd, 1, &replay, home.id, 0), 0);
	assert_false(response_runs(replay.cursor.response));
	response_cancel(replay.cursor.response);
	response_steer(replay.cursor.response);
	wait_for(&crowd.stage, &replay);
	assert_reads(&replay, &home, 0);
	drop(&home);
	drop(&replay);
	crowd_close(&crowd);
}

static struct response *glanced;

static void on_glance(struct cursor *cursor) {
	response_hold(cursor->response);
	glanced = cursor->response;
	((struct watcher *)cursor->owner)->finished = true;
	cursor_close(cursor);
}

static void glance(struct crowd *crowd, const char *id, struct watcher *w) {
	static const struct cursor_sink sink_of_glance = {.ready = on_glance, .refused = on_refused};
	const struct engine_watch from = {
		.owner = OWNER, .id = str_of(id), .glances = true, .log = &crowd->stage.vessel.log};
	assert_int_equal(engine_watch(crowd->engines[1], &from, &w->cursor, &sink_of_glance, w, &w->error), 0);
	wait_for(&crowd->stage, w);
	assert_false(w->refused);
}

/* Who only looks is told what there is, is no watcher, and stops nothing. */
static void a_glance(void **state) {
	(void)state;
	CROWD(HOLD(DELTA("Hel")));
	struct watcher home = {0}, other = {0};
	begin(&crowd, 0, &home, NULL, true);
	for (int known = 0; known < 2; known++) {
		struct watcher away = {0};
		glance(&crowd, home.id, &away);
		struct response *r = glanced;
		assert_false(response_ended(r));
		assert_string_equal(response_id(r), home.id);
		if (known) {
			struct buf here = BUF_INIT, there = BUF_INIT;
			struct response_view view;
			response_view(r, &view);
			response_write(&there, &view);
			response_view(home.cursor.response, &view);
			response_write(&here, &view);
			assert_string_equal(buf_text(&there), buf_text(&here));
			buf_free(&here);
			buf_free(&there);
		}
		response_cancel(r);
		response_steer(r);
		response_release(r);
		wait_count(&crowd, &home, 5);
		assert_int_equal(look(&crowd, 1, &other, home.id, 0), 0);
		wait_count(&crowd, &other, 5);
		drop(&other);
	}
	wait_letters(&crowd);
	struct response *r = home.cursor.response;
	assert_int_equal(length_of(&r->cursors), 1);
	assert_false(response_ended(r));
	cursor_close(&home.cursor);
	int64_t since_us = r->unwatched_us;
	glance(&crowd, home.id, &other);
	response_release(glanced);
	assert_true(list_linked(&r->unwatched_link));
	assert_int_equal(r->unwatched_us, since_us);
	drop(&home);
	crowd_close(&crowd);
}

/* Not stored, it is whoever's who began it, and lives as long as somebody reads it, on whichever loop. */
static void not_stored_it_lives_by_its_readers(void **state) {
	(void)state;
	CROWD(HOLD(DELTA("Hel")));
	struct watcher home = {0}, own = {0}, other = {0};
	begin(&crowd, 0, &home, NULL, false);
	const struct engine_watch from = {.owner = OWNER, .id = str_of(home.id), .log = &crowd.stage.vessel.log};
	assert_int_equal(look(&crowd, 1, &own, home.id, 0), 0);
	assert_false(response_is_stored(own.cursor.response));
	assert_int_equal(engine_watch(crowd.engines[1], &from, &other.cursor, &watch, &other, &other.error), 0);
	wait_for(&crowd.stage, &other);
	assert_true(other.refused);
	assert_int_equal(other.error.code, API_RESPONSE_NOT_FOUND);
	wait_count(&crowd, &own, 5);
	cursor_close(&home.cursor);
	say(&crowd, DELTA("lo"));
	wait_count(&crowd, &own, 6);
	assert_false(response_is_stored(own.cursor.response));
	assert_int_equal(engine_live_count(crowd.engines[0]), 1);
	cursor_close(&own.cursor);
	wait_none_live(&crowd);
	world_wait(&crowd.stage.world, &crowd.stage.world.closed, 1);
	drop(&home);
	drop(&own);
	crowd_close(&crowd);
}

/* A mirror watches it: it is not given up while somebody does, and is once nobody does any more. */
static void a_mirror_is_a_watcher(void **state) {
	(void)state;
	CROWD(HOLD(DELTA("Hel")));
	struct watcher home = {0}, away = {0};
	begin(&crowd, 0, &home, NULL, true);
	struct response *r = home.cursor.response;
	response_hold(r);
	assert_int_equal(look(&crowd, 1, &away, home.id, 0), 0);
	wait_count(&crowd, &away, 5);
	cursor_close(&home.cursor);
	wait_letters(&crowd);
	assert_false(list_linked(&r->unwatched_link));
	cursor_close(&away.cursor);
	wait_letters(&crowd);
	assert_true(list_linked(&r->unwatched_link));
	response_cancel(r);
	response_release(r);
	wait_none_live(&crowd);
	drop(&home);
	drop(&away);
	crowd_close(&crowd);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_end_reaches_every_loop),
		cmocka_unit_test(a_refusal_reaches_every_loop),
		cmocka_unit_test(all_that_a_model_says_is_the_same),
		cmocka_unit_test(past_the_end_is_what_its_home_says),
		cmocka_unit_test(after_its_end_the_store_has_it),
		cmocka_unit_test(many_read_one_mirror),
		cmocka_unit_test(left_and_found_again),
		cmocka_unit_test(cancelled_from_another_loop),
		cmocka_unit_test(steered_from_another_loop),
		cmocka_unit_test(what_does_not_run_is_not_stopped),
		cmocka_unit_test(a_glance),
		cmocka_unit_test(not_stored_it_lives_by_its_readers),
		cmocka_unit_test(a_mirror_is_a_watcher),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
