/* A store that fails while responses run: what a client hears, what is kept, and what becomes of it. */
#include "fault_vfs.h"
#include "response_test.h"
#include "unsure_driver.h"

/* What a disk does, and how a client is told. */
struct illness {
	enum fault_kind kind;
	int result;
	enum api_error_code code;
	const char *name;
};

static const struct illness illnesses[] = {
	{FAULT_WRITE, SQLITE_FULL, API_STORAGE_FULL, "storage_full"},
	{FAULT_WRITE, SQLITE_IOERR_WRITE, API_STORAGE_UNKNOWN, "storage_outcome_unknown"},
	{FAULT_SYNC, SQLITE_IOERR_FSYNC, API_STORAGE_UNKNOWN, "storage_outcome_unknown"},
};
#define ILLNESSES (sizeof illnesses / sizeof illnesses[0])

static const struct answer goes_on = {.bytes = DELTA("lo") FINISH("stop") USAGE DONE};

static void fall_ill(const struct illness *illness) {
	fault_set(illness->kind, "sluice.db-wal", illness->result, 0);
}

static void turn_loop(struct stage *stage) {
	uv_run(&stage->world.loop, UV_RUN_ONCE);
}

/* Starts a response and waits for its first delta. */
static void begin(struct stage *stage, struct watcher *w, const struct watcher *parent) {
	create(stage, w, "Hi", parent, true);
	while (!has(w, "\"delta\":\"Hel\"")) {
		turn_loop(stage);
	}
}

static void wait_settled(struct stage *stage) {
	while (engine_live_count(stage->engine)) {
		turn_loop(stage);
	}
}

static void assert_metric_above(struct stage *stage, const char *name, unsigned long least) {
	struct buf page = BUF_INIT;
	metrics_render(stage->vessel.metrics, &page);
	const char *line = strstr(buf_text(&page), name);
	/* Behind the lines that describe it. */
	while (line && line != page.data && line[-1] != '\n') {
		line = strstr(line + 1, name);
	}
	assert_non_null(line);
	assert_true(strtoul(line + strlen(name), NULL, 10) > least);
	buf_free(&page);
}

static size_t times(struct watcher *w, const char *text) {
	size_t count = 0;
	for (const char *at = buf_text(&w->events); (at = strstr(at, text)); at++) {
		count++;
	}
	return count;
}

/* What a connection remembers goes with it. */
static void forget(struct watcher *w) {
	turn_release(&w->turn);
	conversation_release(&w->conversation);
}

static void restart_cold(struct stage *stage) {
	engine_free(&stage->engine);
	vessel_close_store(&stage->vessel);
	vessel_open_store(&stage->vessel);
	stage_open_engine(stage);
}

static void assert_terminal(struct watcher *w, const char *name) {
	const char *names = buf_text(&w->names);
	assert_non_null(strstr(names, name));
	assert_int_equal(strlen(strstr(names, name)), strlen(name));
	assert_int_equal(times(w, "\"type\":\"response.completed\"") + times(w, "\"type\":\"response.failed\"") +
				 times(w, "\"type\":\"response.incomplete\""),
			 1);
}

static void assert_replays(struct stage *stage, struct watcher *w, uint32_t next) {
	struct watcher again = {0};
	const char *rest = buf_text(&w->events);
	for (uint32_t i = 0; i < next; i++) {
		rest = strchr(rest, '\n') + 1;
	}
	assert_int_equal(watch_from(stage, &again, OWNER, w->id, next), 0);
	assert_false(again.refused);
	assert_string_equal(buf_text(&again.events), rest);
	drop(&again);
}

/* What the client heard is what memory answers while the store is ill, and what the store has once it is well. */
static void an_end_that_fails_is_told_and_stored_later(void **state) {
	(void)state;
	for (size_t i = 0; i < ILLNESSES; i++) {
		STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
		struct watcher w = {0};
		begin(&stage, &w, NULL);
		fall_ill(&illnesses[i]);
		world_say(&stage.world, &goes_on);
		wait_for(&stage, &w);
		assert_terminal(&w, "response.failed\n");
		assert_true(has(&w, illnesses[i].name));
		assert_true(has(&w, "\"text\":\"Hello\""));

		struct response *r = engine_find(stage.engine, OWNER, str_of(w.id));
		assert_non_null(r);
		assert_true(response_ended(r));
		assert_null(engine_find(stage.engine, "user_b", str_of(w.id)));
		struct api_error error;
		assert_int_equal(response_failure(r, &error), 0);
		assert_int_equal(error.code, illnesses[i].code);
		for (uint32_t next = 0; next <= w.count; next++) {
			assert_replays(&stage, &w, next);
		}
		assert_int_equal(engine_live_count(stage.engine), 1);

		fault_reset();
		wait_settled(&stage);
		assert_null(engine_find(stage.engine, OWNER, str_of(w.id)));
		assert_int_equal(stored_segments(&stage), 0);
		assert_replays(&stage, &w, 0);
		forget(&w);
		restart_cold(&stage);
		assert_replays(&stage, &w, 0);
		drop(&w);
		stage_close(&stage);
	}
}

static void a_repeat_gets_what_the_store_does_not_have_yet(void **state) {
	(void)state;
	STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
	struct watcher w = {.key = "a key"};
	begin(&stage, &w, NULL);
	fall_ill(&illnesses[0]);
	world_say(&stage.world, &goes_on);
	wait_for(&stage, &w);
	for (int i = 0; i < 2; i++) {
		struct watcher again = {.key = "a key"};
		assert_int_equal(create(&stage, &again, "Hi", NULL, true), 0);
		wait_for(&stage, &again);
		assert_false(again.refused);
		assert_string_equal(buf_text(&again.events), buf_text(&w.events));
		drop(&again);
		fault_reset();
		wait_settled(&stage);
	}
	assert_int_equal(stage.world.requests, 1);
	drop(&w);
	stage_close(&stage);
}

/* As long as it takes: tried again and again, told once. */
static void a_store_that_stays_ill_is_asked_again(void **state) {
	(void)state;
	STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
	struct watcher w = {0};
	begin(&stage, &w, NULL);
	/* The probe's own write goes well, the larger one does not. */
	fall_ill(&illnesses[0]);
	world_say(&stage.world, &goes_on);
	wait_for(&stage, &w);
	unsigned hits = fault_hits();
	while (fault_hits() < hits + 2) {
		uv_run(&stage.world.loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
	assert_int_equal(engine_live_count(stage.engine), 1);
	fault_reset();
	wait_settled(&stage);
	assert_replays(&stage, &w, 0);
	drop(&w);
	stage_close(&stage);
}

/* The end was written, though the store could not say so: the client heard that it is not known, and finds it completed. */
static void an_end_that_has_landed_after_all_stands(void **state) {
	(void)state;
	vessel_store_open = unsure_open;
	for (unsigned times_unsure = 1; times_unsure <= 3; times_unsure++) {
		STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD}, {.bytes = STREAM HELLO});
		struct watcher w = {0}, again = {0}, next = {0};
		begin(&stage, &w, NULL);
		while (stored_segments(&stage) < 1) {
			turn_loop(&stage);
		}
		atomic_store(&unsure_spares_checkpoints, true); /* one may come before the end */
		atomic_store(&unsure, times_unsure);
		world_say(&stage.world, &goes_on);
		wait_for(&stage, &w);
		if (times_unsure == 1) {
			assert_terminal(&w, "response.failed\n");
			assert_true(has(&w, "storage_outcome_unknown"));
		}
		wait_settled(&stage);
		assert_int_equal(atomic_load(&unsure), 0);
		assert_int_equal(watch_from(&stage, &again, OWNER, w.id, 0), 0);
		assert_terminal(&again, "response.completed\n");
		assert_int_equal(again.count, w.count);
		assert_true(has(&again, "\"text\":\"Hello\""));
		create(&stage, &next, "And?", &w, true);
		wait_for(&stage, &next);
		assert_terminal(&next, "response.completed\n");
		drop(&again);
		forget(&w);
		forget(&next);
		restart_cold(&stage);
		assert_replays(&stage, &next, 0);
		drop(&w);
		drop(&next);
		stage_close(&stage);
	}
}

/* A beginning that was written though its client heard that this is not known does not run for ever. */
static void a_beginning_that_has_landed_after_all_is_ended(void **state) {
	(void)state;
	vessel_store_open = unsure_open;
	STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
	struct watcher w = {0}, again = {0};
	char id[ID_SIZE];
	atomic_store(&unsure, 1);
	create(&stage, &w, "Hi", NULL, true);
	snprintf(id, sizeof id, "%s", response_id(w.cursor.response));
	wait_for(&stage, &w);
	assert_true(w.refused);
	assert_int_equal(w.error.code, API_STORAGE_UNKNOWN);
	assert_null(engine_find(stage.engine, OWNER, str_of(id)));
	wait_settled(&stage);
	assert_int_equal(watch_from(&stage, &again, OWNER, id, 0), 0);
	assert_false(again.refused);
	assert_terminal(&again, "response.failed\n");
	assert_true(has(&again, "storage_outcome_unknown"));
	drop(&w);
	drop(&again);
	stage_close(&stage);
}

/* A checkpoint that landed though it was called unknown is said again under its number. */
static void a_checkpoint_that_has_landed_after_all_is_replaced(void **state) {
	(void)state;
	static const struct answer more = {.bytes = DELTA("lo"), .then = THEN_HOLD};
	vessel_store_open = unsure_open;
	STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
	struct watcher w = {0}, again = {0};
	begin(&stage, &w, NULL);
	while (stored_segments(&stage) < 1) {
		turn_loop(&stage);
	}
	unsigned told = atomic_load(&unsure_told);
	atomic_store(&unsure, 2);
	world_say(&stage.world, &more);
	while (atomic_load(&unsure_told) < told + 2) {
		turn_loop(&stage);
	}
	/* The checkpoint after them is the first that is believed. */
	while (store_health(stage.vessel.store, NULL)) {
		turn_loop(&stage);
	}
	cursor_close(&w.cursor);
	restart_cold(&stage);
	watch_from(&stage, &again, OWNER, w.id, 0);
	assert_terminal(&again, "response.incomplete\n");
	assert_true(has(&again, "\"text\":\"Hello\""));
	drop(&w);
	drop(&again);
	stage_close(&stage);
}

static void a_locked_store_is_told_too(void **state) {
	(void)state;
	STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
	struct watcher w = {0};
	char path[128];
	sqlite3 *db = NULL;
	snprintf(path, sizeof path, "%s/sluice.db", stage.vessel.dir);
	begin(&stage, &w, NULL);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	while (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_BUSY) {
	}
	world_say(&stage.world, &goes_on);
	wait_for(&stage, &w);
	assert_terminal(&w, "response.failed\n");
	assert_true(has(&w, "storage_failed"));
	assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	wait_settled(&stage);
	assert_replays(&stage, &w, 0);
	drop(&w);
	stage_close(&stage);
}

/* Nothing was shown: refused, the model is stopped, and nothing stays behind that runs for ever. */
static void a_beginning_that_fails_is_refused(void **state) {
	(void)state;
	static const struct answer hello = {.bytes = STREAM HELLO};
	for (size_t i = 0; i < ILLNESSES; i++) {
		STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
		struct watcher w = {0}, next = {0};
		fall_ill(&illnesses[i]);
		create(&stage, &w, "Hi", NULL, true);
		wait_for(&stage, &w);
		assert_true(w.refused);
		assert_int_equal(w.error.code, illnesses[i].code);
		while (stage.world.closed < stage.world.requests) {
			turn_loop(&stage);
		}
		fault_reset();
		wait_settled(&stage);
		/* Whether or not the first one got as far as asking. */
		stage.world.answers = &hello;
		create(&stage, &next, "Hi", NULL, true);
		wait_for(&stage, &next);
		assert_terminal(&next, "response.completed\n");
		drop(&w);
		drop(&next);
		stage_close(&stage);
	}
}

/* The model is faster than the disk: its text has come when the beginning fails. */
static void text_before_a_failed_beginning_is_never_shown(void **state) {
	(void)state;
	STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
	struct watcher w = {0};
	char path[128];
	sqlite3 *db = NULL;
	snprintf(path, sizeof path, "%s/sluice.db", stage.vessel.dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	create(&stage, &w, "Hi", NULL, true);
	struct response *r = w.cursor.response;
	struct response_view view = {0};
	while (view.output_count == 0) {
		turn_loop(&stage);
		assert_false(w.finished);
		response_view(r, &view);
	}
	wait_for(&stage, &w);
	assert_true(w.refused);
	assert_int_equal(w.error.code, API_STORAGE_FAILED);
	world_wait(&stage.world, &stage.world.closed, 1);
	sqlite3_close(db);
	assert_int_equal(engine_live_count(stage.engine), 0);
	drop(&w);
	stage_close(&stage);
}

static void cancelled_on_an_ill_store_it_ends_once(void **state) {
	(void)state;
	STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
	struct watcher w = {0};
	begin(&stage, &w, NULL);
	fall_ill(&illnesses[0]);
	struct response *r = engine_find(stage.engine, OWNER, str_of(w.id));
	response_cancel(r);
	response_cancel(r);
	wait_for(&stage, &w);
	assert_terminal(&w, "response.failed\n");
	assert_true(has(&w, "storage_full"));
	world_wait(&stage.world, &stage.world.closed, 1);
	response_cancel(engine_find(stage.engine, OWNER, str_of(w.id)));
	fault_reset();
	wait_settled(&stage);
	assert_replays(&stage, &w, 0);
	drop(&w);
	stage_close(&stage);
}

static void what_is_not_stored_does_not_notice(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO});
	struct watcher w = {0}, next = {0};
	fall_ill(&illnesses[1]);
	create(&stage, &w, "Hi", NULL, false);
	wait_for(&stage, &w);
	assert_terminal(&w, "response.completed\n");
	create(&stage, &next, "And?", &w, false);
	wait_for(&stage, &next);
	assert_terminal(&next, "response.completed\n");
	assert_int_equal(fault_hits(), 0);
	fault_reset();
	drop(&w);
	drop(&next);
	stage_close(&stage);
}

/* The thread goes on behind a turn that could not be stored, and is whole: from memory and from the disk. */
static void the_conversation_goes_on(void **state) {
	(void)state;
	for (size_t i = 0; i < ILLNESSES; i++) {
		STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD}, {.bytes = STREAM HELLO});
		struct watcher w = {0}, next = {0}, cold = {0};
		begin(&stage, &w, NULL);
		fall_ill(&illnesses[i]);
		world_say(&stage.world, &goes_on);
		wait_for(&stage, &w);
		fault_reset();
		/* At once, once it is settled, or at once from another connection. */
		if (i == 1) {
			wait_settled(&stage);
		} else if (i == 2) {
			forget(&w);
		}
		create(&stage, &next, "And?", &w, true);
		wait_for(&stage, &next);
		assert_false(next.refused);
		assert_terminal(&next, "response.completed\n");
		wait_settled(&stage);
		forget(&w);
		forget(&next);
		restart_cold(&stage);
		create(&stage, &cold, "Once more?", &next, true);
		wait_for(&stage, &cold);
		assert_false(cold.refused);
		assert_terminal(&cold, "response.completed\n");
		assert_non_null(strstr(buf_text(&stage.world.last_request), "And?"));
		assert_non_null(strstr(buf_text(&stage.world.last_request), "\"Hello\""));
		drop(&w);
		drop(&next);
		drop(&cold);
		stage_close(&stage);
	}
}

/* The next turn is cancelled at once: its beginning and its end both wait for the thread's head. */
static void a_beginning_and_its_end_wait_together(void **state) {
	(void)state;
	STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
	struct watcher w = {0}, next = {0};
	begin(&stage, &w, NULL);
	fall_ill(&illnesses[0]);
	world_say(&stage.world, &goes_on);
	wait_for(&stage, &w);
	fault_reset();
	create(&stage, &next, "And?", &w, true);
	response_cancel(next.cursor.response);
	wait_for(&stage, &next);
	assert_false(next.refused);
	assert_terminal(&next, "response.incomplete\n");
	wait_settled(&stage);
	forget(&w);
	forget(&next);
	restart_cold(&stage);
	assert_replays(&stage, &w, 0);
	assert_replays(&stage, &next, 0);
	drop(&w);
	drop(&next);
	stage_close(&stage);
}

/* Two answers stream in one conversation. One end fails; the other one, sealed behind a head that never came to be, is
 * stored. */
static void a_failure_does_not_spoil_the_turn_beside_it(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO}, {.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
	struct watcher root = {0}, one = {0}, two = {0}, cold = {0};
	create(&stage, &root, "Hi", NULL, true);
	wait_for(&stage, &root);
	begin(&stage, &one, &root);
	struct peer *first = stage.world.last_peer;
	begin(&stage, &two, &root);
	struct peer *second = stage.world.last_peer;
	fall_ill(&illnesses[0]);
	stage.world.last_peer = first;
	world_say(&stage.world, &goes_on);
	wait_for(&stage, &one);
	assert_true(has(&one, "storage_full"));
	fault_reset();
	stage.world.last_peer = second;
	world_say(&stage.world, &goes_on);
	wait_for(&stage, &two);
	assert_terminal(&two, "response.completed\n");
	wait_settled(&stage);
	forget(&root);
	forget(&one);
	forget(&two);
	restart_cold(&stage);
	assert_replays(&stage, &one, 0);
	assert_replays(&stage, &two, 0);
	create(&stage, &cold, "And?", &two, true);
	while (!cold.refused && cold.count < 4) {
		turn_loop(&stage);
	}
	assert_false(cold.refused);
	response_cancel(cold.cursor.response);
	wait_for(&stage, &cold);
	drop(&root);
	drop(&one);
	drop(&two);
	drop(&cold);
	stage_close(&stage);
}

/* The same, and the second end is handed over before the first has failed: nobody notices. */
static void an_end_behind_one_that_fails_is_sealed_anew(void **state) {
	(void)state;
	vessel_store_open = unsure_open;
	STAGE({.bytes = STREAM HELLO}, {.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
	struct watcher root = {0}, one = {0}, two = {0};
	create(&stage, &root, "Hi", NULL, true);
	wait_for(&stage, &root);
	begin(&stage, &one, &root);
	begin(&stage, &two, &root);
	while (stored_segments(&stage) < 2) {
		turn_loop(&stage);
	}
	atomic_store(&unsure_code, ERR_FULL);
	atomic_store(&unsure_writes, false);
	atomic_store(&unsure_delay_us, 200000);
	atomic_store(&unsure, 1);
	response_cancel(one.cursor.response);
	usleep(20000); /* the writer has taken it */
	response_cancel(two.cursor.response);
	wait_for(&stage, &one);
	wait_for(&stage, &two);
	assert_true(has(&one, "storage_full"));
	assert_terminal(&two, "response.incomplete\n");
	wait_settled(&stage);
	forget(&root);
	forget(&one);
	forget(&two);
	restart_cold(&stage);
	assert_replays(&stage, &one, 0);
	assert_replays(&stage, &two, 0);
	drop(&root);
	drop(&one);
	drop(&two);
	stage_close(&stage);
}

/* The server goes before the store is well: what was checkpointed is there, cut off, and nothing runs for ever. */
static void stopped_before_it_is_stored_it_is_swept(void **state) {
	(void)state;
	STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
	struct watcher w = {0}, again = {0};
	begin(&stage, &w, NULL);
	while (stored_segments(&stage) < 1) {
		turn_loop(&stage);
	}
	fall_ill(&illnesses[0]);
	world_say(&stage.world, &goes_on);
	wait_for(&stage, &w);
	assert_terminal(&w, "response.failed\n");
	forget(&w);
	engine_free(&stage.engine);
	vessel_close_store(&stage.vessel);
	fault_reset();
	vessel_open_store(&stage.vessel);
	stage_open_engine(&stage);
	assert_int_equal(watch_from(&stage, &again, OWNER, w.id, 0), 0);
	assert_terminal(&again, "response.incomplete\n");
	assert_true(has(&again, "\"reason\":\"server_restart\""));
	assert_true(has(&again, "\"text\":\"Hel\""));
	drop(&w);
	drop(&again);
	stage_close(&stage);
}

/* A full disk in mid-stream stops no stream; once it is freed, the next checkpoint makes up for those that failed. */
static void checkpoints_catch_up(void **state) {
	(void)state;
	static const struct answer more = {.bytes = DELTA("lo"), .then = THEN_HOLD};
	static const struct answer end = {.bytes = FINISH("stop") DONE};
	for (size_t i = 0; i < ILLNESSES; i++) {
		STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
		struct watcher w = {0}, again = {0};
		begin(&stage, &w, NULL);
		while (stored_segments(&stage) < 1) {
			turn_loop(&stage);
		}
		fall_ill(&illnesses[i]);
		world_say(&stage.world, &more);
		while (fault_hits() < 3) {
			turn_loop(&stage);
		}
		assert_true(has(&w, "\"delta\":\"lo\""));
		assert_metric_above(&stage, "sluice_checkpoint_failures_total ", 0);
		fault_reset();
		while (stored_segments(&stage) < 2) {
			turn_loop(&stage);
		}
		if (i == 0) {
			world_say(&stage.world, &end);
			wait_for(&stage, &w);
			assert_terminal(&w, "response.completed\n");
		} else {
			cursor_close(&w.cursor);
			restart_cold(&stage);
			watch_from(&stage, &again, OWNER, w.id, 0);
			assert_true(has(&again, "\"text\":\"Hello\""));
			assert_terminal(&again, "response.incomplete\n");
		}
		drop(&w);
		drop(&again);
		stage_close(&stage);
	}
}

static bool idle_seen;

static void on_engine_idle(void *owner) {
	(void)owner;
	idle_seen = true;
}

/* A stop waits for what the store is owed, as far as its drain time goes. */
static void it_is_not_idle_before_it_is_stored(void **state) {
	(void)state;
	STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
	struct watcher w = {0};
	idle_seen = false;
	engine_on_idle(stage.engine, on_engine_idle, NULL);
	begin(&stage, &w, NULL);
	engine_drain(stage.engine);
	fall_ill(&illnesses[0]);
	engine_interrupt_all(stage.engine, "server_restart");
	wait_for(&stage, &w);
	assert_terminal(&w, "response.failed\n");
	for (int i = 0; i < 10; i++) {
		uv_run(&stage.world.loop, UV_RUN_NOWAIT);
	}
	assert_false(idle_seen);
	fault_reset();
	vessel_wait(&stage.vessel, &idle_seen);
	assert_int_equal(engine_live_count(stage.engine), 0);
	drop(&w);
	stage_close(&stage);
}

/* What is kept for the store is bounded with what runs. */
static void what_waits_for_the_store_counts(void **state) {
	(void)state;
	STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
	struct watcher w[8], more = {0}, unstored = {0};
	memset(w, 0, sizeof w);
	for (size_t i = 0; i < 8; i++) {
		begin(&stage, &w[i], NULL);
	}
	fall_ill(&illnesses[0]);
	for (size_t i = 0; i < 8; i++) {
		response_cancel(w[i].cursor.response);
		wait_for(&stage, &w[i]);
	}
	assert_int_equal(create(&stage, &more, "Hi", NULL, true), -1);
	assert_int_equal(more.error.code, API_OVERLOADED);
	assert_int_equal(create(&stage, &unstored, "Hi", NULL, false), 0);
	drop(&unstored);
	fault_reset();
	wait_settled(&stage);
	for (size_t i = 0; i < 8; i++) {
		assert_replays(&stage, &w[i], 0);
		drop(&w[i]);
	}
	stage_close(&stage);
}

/* One turn, as far as it comes: refused, or to its end, with a checkpoint on the way. */
static void run_turn(struct stage *stage, struct watcher *w, const struct watcher *parent) {
	create(stage, w, "Hi", parent, true);
	snprintf(w->id, sizeof w->id, "%s", response_id(w->cursor.response));
	while (!w->refused && !(has(w, "\"delta\":\"Hel\"") && stored_segments(stage))) {
		turn_loop(stage);
	}
	if (!w->refused) {
		world_say(&stage->world, &goes_on);
		wait_for(stage, w);
	}
}

/* What was heard against what is stored. `landed`: it may have been written though it was called unknown. */
static void assert_came_true(struct stage *stage, struct watcher *w, bool landed) {
	struct watcher stored = {0};
	assert_int_equal(watch_from(stage, &stored, OWNER, w->id, 0), 0);
	if (w->refused && landed) {
		assert_terminal(&stored, "response.failed\n");
		assert_true(has(&stored, "storage_outcome_unknown"));
		drop(&stored);
		return;
	}
	assert_int_equal(stored.refused, w->refused);
	assert_int_equal(stored.count, w->count);
	if (w->refused) {
		assert_int_equal(stored.error.code, API_RESPONSE_NOT_FOUND);
	} else if (landed && has(w, "storage_outcome_unknown")) {
		assert_terminal(w, "response.failed\n");
		assert_terminal(&stored, "response.completed\n");
	} else {
		assert_string_equal(buf_text(&stored.events), buf_text(&w->events));
	}
	drop(&stored);
}

/* Each transaction of two turns fails once, in each way: whatever was heard comes true, nothing runs for ever, and the
 * conversation goes on and is whole. */
static void every_transaction_may_fail_in_every_way(void **state) {
	(void)state;
	static const struct {
		enum err_code code;
		bool writes;
	} ways[] = {{ERR_FULL, false},
		    {ERR_IO, false},
		    {ERR_TIMEOUT, false},
		    {ERR_MEMORY, false},
		    {ERR_OUTCOME_UNKNOWN, false},
		    {ERR_OUTCOME_UNKNOWN, true}};
	vessel_store_open = unsure_open;
	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		unsigned failed = 0;
		/* A beginning, a checkpoint and an end; and again. */
		for (unsigned nth = 0; nth < 6; nth++) {
			STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
			struct watcher first = {0}, second = {0}, cold = {0};
			unsigned told = atomic_load(&unsure_told);
			atomic_store(&unsure_code, ways[i].code);
			atomic_store(&unsure_writes, ways[i].writes);
			atomic_store(&unsure_after, nth);
			atomic_store(&unsure, 1);
			run_turn(&stage, &first, NULL);
			run_turn(&stage, &second, first.refused ? NULL : &first);
			unsure_reset();
			failed += atomic_load(&unsure_told) - told;
			assert_false(first.refused && second.refused);
			wait_settled(&stage);
			forget(&first);
			forget(&second);
			restart_cold(&stage);
			assert_came_true(&stage, &first, ways[i].writes);
			assert_came_true(&stage, &second, ways[i].writes);
			assert_int_equal(stored_segments(&stage), 0);
			run_turn(&stage, &cold, second.refused ? &first : &second);
			assert_terminal(&cold, "response.completed\n");
			drop(&first);
			drop(&second);
			drop(&cold);
			stage_close(&stage);
		}
		assert_int_equal(failed, 6);
	}
}

static int setup_program(void **state) {
	return fault_install(state);
}

static int teardown(void **state) {
	(void)state;
	fault_reset();
	unsure_reset();
	vessel_store_open = store_open;
	return 0;
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(an_end_that_fails_is_told_and_stored_later, teardown),
		cmocka_unit_test_teardown(a_repeat_gets_what_the_store_does_not_have_yet, teardown),
		cmocka_unit_test_teardown(a_store_that_stays_ill_is_asked_again, teardown),
		cmocka_unit_test_teardown(an_end_that_has_landed_after_all_stands, teardown),
		cmocka_unit_test_teardown(a_beginning_that_has_landed_after_all_is_ended, teardown),
		cmocka_unit_test_teardown(a_checkpoint_that_has_landed_after_all_is_replaced, teardown),
		cmocka_unit_test_teardown(a_locked_store_is_told_too, teardown),
		cmocka_unit_test_teardown(a_beginning_that_fails_is_refused, teardown),
		cmocka_unit_test_teardown(text_before_a_failed_beginning_is_never_shown, teardown),
		cmocka_unit_test_teardown(cancelled_on_an_ill_store_it_ends_once, teardown),
		cmocka_unit_test_teardown(what_is_not_stored_does_not_notice, teardown),
		cmocka_unit_test_teardown(the_conversation_goes_on, teardown),
		cmocka_unit_test_teardown(a_beginning_and_its_end_wait_together, teardown),
		cmocka_unit_test_teardown(a_failure_does_not_spoil_the_turn_beside_it, teardown),
		cmocka_unit_test_teardown(an_end_behind_one_that_fails_is_sealed_anew, teardown),
		cmocka_unit_test_teardown(stopped_before_it_is_stored_it_is_swept, teardown),
		cmocka_unit_test_teardown(checkpoints_catch_up, teardown),
		cmocka_unit_test_teardown(every_transaction_may_fail_in_every_way, teardown),
		cmocka_unit_test_teardown(it_is_not_idle_before_it_is_stored, teardown),
		cmocka_unit_test_teardown(what_waits_for_the_store_counts, teardown),
	};
	return cmocka_run_group_tests(tests, setup_program, NULL);
}
