/* One answer for all requests with one key: those that come while it runs, after its end, after a kill, and those that may
 * not have it. */

#include <sqlite3.h>

#include "upstream_test.h"

#include "base/mem.h"
#include "conversation_test.h"
#include "idempotency.h"
#include "response/engine.h"

#define OWNER "user_a"
#define MODELS                                                                                                         \
	HEAD("200 OK", "application/json")                                                                             \
	"Content-Length: 70\r\n\r\n"                                                                                   \
	"{\"object\":\"list\",\"data\":[{\"id\":\"m\",\"object\":\"model\",\"owned_by\":\"x\"}]}  "
#define DAY_MS (INT64_C(24) * 3600 * 1000)

/* The engine over a real store and a scripted model server; its wall clock can be put forward. */
struct stage {
	struct clock clock;
	int64_t ahead_ms;
	struct world world;
	struct vessel vessel;
	struct engine *engine;
	struct directory *directory;
	struct mailbox *mailbox;
};

static int64_t monotonic_us(const struct clock *clock) {
	(void)clock;
	return clock_monotonic_us(clock_system());
}

static int64_t wall_ms(const struct clock *clock) {
	return clock_wall_ms(clock_system()) + container_of(clock, struct stage, clock)->ahead_ms;
}

static void stage_open_engine(struct stage *stage) {
	struct err err = {0};
	/* What it knew of the engine before it goes with that. */
	directory_free(&stage->directory);
	stage->directory = directory_new(&err);
	assert_non_null(stage->directory);
	const struct engine_options options = {.max_live = 8,
					       .max_context = 65536,
					       .checkpoint_interval_ms = 5,
					       .unwatched_ms = 60000,
					       .max_unwatched = 8};
	const struct engine_deps deps = {
		.loop = &stage->world.loop,
		.clock = &stage->clock,
		.log = &stage->vessel.log,
		.metrics = stage->vessel.metrics,
		.conversations = stage->vessel.conversations,
		.upstream = stage->world.upstream,
		.directory = stage->directory,
		.mailbox = stage->mailbox,
	};
	stage->engine = engine_new(&options, &deps, &err);
	assert_non_null(stage->engine);
}

static void stage_open(struct stage *stage, const struct answer *answers, size_t count) {
	stage->clock = (struct clock){monotonic_us, wall_ms};
	stage->ahead_ms = 0;
	world_open(&stage->world, answers, count);
	stage->world.options.retries = 0;
	stage->world.models = MODELS;
	stage->world.default_model = "m";
	vessel_open(&stage->vessel, &stage->world.loop);
	world_connect(&stage->world, NULL);
	stage->directory = NULL;
	stage->mailbox = mailbox_new(&stage->world.loop, &(struct err){0});
	assert_non_null(stage->mailbox);
	stage_open_engine(stage);
}

static void stage_close(struct stage *stage) {
	mailbox_close(stage->mailbox);
	engine_free(&stage->engine);
	vessel_close(&stage->vessel);
	world_close(&stage->world);
	mailbox_free(&stage->mailbox);
	directory_free(&stage->directory);
}

#define STAGE(...)                                                                                                     \
	static const struct answer answers_[] = {__VA_ARGS__};                                                         \
	struct stage stage;                                                                                            \
	stage_open(&stage, answers_, sizeof answers_ / sizeof answers_[0])

static void turn_loop(struct stage *stage) {
	uv_run(&stage->world.loop, UV_RUN_ONCE);
}

/* What one client read. */
struct watcher {
	struct cursor cursor;
	struct buf events; /* one a line */
	size_t count;
	bool refused, finished;
	struct api_error error;   /* of a refusal */
	struct api_error failure; /* of a response that failed */
	char id[ID_SIZE];
};

static void on_ready(struct cursor *cursor) {
	struct watcher *w = cursor->owner;
	while (cursor_next(&w->cursor, &w->events, NULL)) {
		buf_append_char(&w->events, '\n');
		w->count++;
		snprintf(w->id, sizeof w->id, "%s", response_id(w->cursor.response));
	}
	if (cursor_finished(&w->cursor)) {
		w->finished = true;
		response_failure(w->cursor.response, &w->failure);
		cursor_close(&w->cursor);
	}
}

static void on_refused(struct cursor *cursor, const struct api_error *error) {
	struct watcher *w = cursor->owner;
	assert_int_equal(w->count, 0);
	assert_false(w->refused);
	w->refused = true;
	w->finished = true;
	w->error = *error;
}

static const struct cursor_sink watch = {.ready = on_ready, .refused = on_refused};

struct ask {
	const char *key, *text, *owner, *parent, *model;
	bool unstored;
};

/* 0, or -1 when it was refused at once. No assertion on memory: it may be made to fail. */
static int start(struct stage *stage, struct watcher *w, const struct ask *ask) {
	struct request request = {.settings.store = !ask->unstored};
	struct item item = {0};
	char id[ID_SIZE];
	*w = (struct watcher){0};
	id_make(id, "msg", 1); /* another one each time, as requests have */
	snprintf(request.idempotency_key, sizeof request.idempotency_key, "%s", ask->key ? ask->key : "");
	snprintf(request.previous_response_id, sizeof request.previous_response_id, "%s",
		 ask->parent ? ask->parent : "");
	snprintf(request.settings.model, sizeof request.settings.model, "%s", ask->model ? ask->model : "");
	if (item_message(&item, ROLE_USER, ITEM_COMPLETED, id, str_of(ask->text ? ask->text : "Hi")) ||
	    item_list_add(&request.input, &item)) {
		item_free(&item);
		request_free(&request);
		return api_error_set(&w->error, API_OVERLOADED, NULL, NULL);
	}
	const struct engine_start how = {
		.owner = ask->owner ? ask->owner : OWNER, .request = &request, .log = &stage->vessel.log};
	int result = engine_create(stage->engine, &how, &w->cursor, &watch, w, &w->error);
	assert_int_equal(w->count, 0);
	assert_int_equal(request.input.count, 0);
	return result;
}

static void finish(struct stage *stage, struct watcher *w) {
	vessel_wait(&stage->vessel, &w->finished);
}

/* Asks and waits for the end, or the refusal. */
static void run(struct stage *stage, struct watcher *w, const struct ask *ask) {
	if (start(stage, w, ask)) {
		w->refused = true;
		w->finished = true;
	}
	finish(stage, w);
}

static void drop(struct watcher *w) {
	cursor_close(&w->cursor);
	buf_free(&w->events);
	*w = (struct watcher){0};
}

/* It gets what `first` got. */
static void assert_repeats(struct stage *stage, const struct ask *ask, struct watcher *first) {
	struct watcher again;
	run(stage, &again, ask);
	assert_false(again.refused);
	assert_string_equal(again.id, first->id);
	assert_string_equal(buf_text(&again.events), buf_text(&first->events));
	assert_int_equal(again.failure.code, first->failure.code);
	assert_string_equal(again.failure.message, first->failure.message);
	drop(&again);
}

static void assert_refused(struct stage *stage, const struct ask *ask, enum api_error_code code) {
	struct watcher w;
	run(stage, &w, ask);
	assert_true(w.refused);
	assert_int_equal(w.error.code, code);
	drop(&w);
}

static int64_t ask_db(struct stage *stage, const char *sql) {
	char path[128];
	sqlite3 *db = NULL;
	sqlite3_stmt *statement = NULL;
	snprintf(path, sizeof path, "%s/sluice.db", stage->vessel.dir);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	int64_t number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return number;
}

static const struct ask K = {.key = "k"};

static void repeats_join_what_runs(void **state) {
	(void)state;
	STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
	for (int unstored = 0; unstored < 2; unstored++) {
		const struct ask ask = {.key = unstored ? "u" : "k", .unstored = unstored};
		struct watcher first, at_once, late;
		assert_int_equal(start(&stage, &first, &ask), 0);
		assert_int_equal(start(&stage, &at_once, &ask), 0);
		while (first.count < 5) {
			turn_loop(&stage);
		}
		assert_int_equal(start(&stage, &late, &ask), 0);
		while (late.count < 5) {
			turn_loop(&stage);
		}
		assert_int_equal(engine_live_count(stage.engine), 1);
		response_cancel(first.cursor.response);
		finish(&stage, &first);
		finish(&stage, &at_once);
		finish(&stage, &late);
		assert_string_equal(buf_text(&at_once.events), buf_text(&first.events));
		assert_string_equal(buf_text(&late.events), buf_text(&first.events));
		assert_int_equal(stage.world.requests, 1 + unstored);
		drop(&first);
		drop(&at_once);
		drop(&late);
	}
	stage_close(&stage);
}

static void a_repeat_after_the_end_is_a_replay(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO, .piece = 40});
	struct watcher first, one, two;
	run(&stage, &first, &K);
	assert_non_null(strstr(buf_text(&first.events), "\"text\":\"Hello\""));
	assert_repeats(&stage, &K, &first);
	/* Two at once: the second one finds the first looking, and both are handed over. */
	assert_int_equal(start(&stage, &one, &K), 0);
	assert_int_equal(start(&stage, &two, &K), 0);
	finish(&stage, &one);
	finish(&stage, &two);
	assert_string_equal(buf_text(&one.events), buf_text(&first.events));
	assert_string_equal(buf_text(&two.events), buf_text(&first.events));
	assert_int_equal(stage.world.requests, 1);
	assert_int_equal(engine_live_count(stage.engine), 0);
	assert_int_equal(ask_db(&stage, "SELECT count(*) FROM response"), 1);
	drop(&first);
	drop(&one);
	drop(&two);
	stage_close(&stage);
}

static void without_a_key_every_request_is_a_new_one(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO});
	struct watcher first, second;
	run(&stage, &first, &(struct ask){0});
	run(&stage, &second, &(struct ask){0});
	assert_string_not_equal(first.id, second.id);
	assert_int_equal(ask_db(&stage, "SELECT count(*) FROM idempotency"), 0);
	drop(&first);
	drop(&second);
	stage_close(&stage);
}

static void a_failure_is_an_answer_too(void **state) {
	(void)state;
	STAGE({.bytes = CLOSED("500 Internal Server Error", "text/plain", "no")}, {.bytes = STREAM DELTA("Hel")},
	      {.bytes = CLOSED("400 Bad Request", "text/plain", "no")}, {.bytes = STREAM HELLO});
	static const char *const keys[] = {"failed", "cut", "rejected"};
	for (size_t i = 0; i < 3; i++) {
		const struct ask ask = {.key = keys[i]};
		struct watcher first;
		run(&stage, &first, &ask);
		assert_int_equal(first.failure.code, i == 0   ? API_UPSTREAM_FAILED
						     : i == 1 ? API_OK
							      : API_UPSTREAM_REJECTED);
		assert_repeats(&stage, &ask, &first);
		assert_int_equal(stage.world.requests, i + 1);
		drop(&first);
	}
	stage_close(&stage);
}

static void a_model_that_is_busy_frees_the_key(void **state) {
	(void)state;
	for (int unstored = 0; unstored < 2; unstored++) {
		STAGE({.bytes = CLOSED("429 Too Many Requests", "text/plain", "no")}, {.bytes = STREAM HELLO});
		const struct ask ask = {.key = "k", .unstored = unstored};
		struct watcher busy, answered;
		run(&stage, &busy, &ask);
		assert_int_equal(busy.failure.code, API_UPSTREAM_RATE_LIMITED);
		run(&stage, &answered, &ask);
		assert_false(answered.refused);
		assert_non_null(strstr(buf_text(&answered.events), "\"text\":\"Hello\""));
		assert_int_equal(stage.world.requests, 2);
		drop(&busy);
		drop(&answered);
		stage_close(&stage);
	}
}

/* The engine anew, with the model server at this address; NULL: where it is. */
static void ask_at(struct stage *stage, const char *url) {
	engine_free(&stage->engine);
	upstream_free(&stage->world.upstream);
	world_connect(&stage->world, url);
	stage_open_engine(stage);
}

static void a_model_that_is_away_frees_the_key(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO});
	struct watcher away, answered;
	ask_at(&stage, "http://127.0.0.1:1/v1");
	run(&stage, &away, &K);
	assert_int_equal(away.failure.code, API_UPSTREAM_FAILED);
	ask_at(&stage, NULL);
	run(&stage, &answered, &K);
	assert_string_not_equal(answered.id, away.id);
	assert_non_null(strstr(buf_text(&answered.events), "\"text\":\"Hello\""));
	assert_repeats(&stage, &K, &answered);
	assert_int_equal(stage.world.requests, 1);
	drop(&away);
	drop(&answered);
	stage_close(&stage);
}

static void another_request_may_not_have_the_key(void **state) {
	(void)state;
	STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD}, {.bytes = STREAM HELLO});
	struct watcher first, strange;
	const struct ask other = {.key = "k", .text = "Ho"}, stranger = {.key = "k", .text = "Ho", .owner = "user_b"};
	assert_int_equal(start(&stage, &first, &K), 0);
	assert_refused(&stage, &other, API_IDEMPOTENCY_REUSED);
	while (first.count < 5) {
		turn_loop(&stage);
	}
	assert_refused(&stage, &other, API_IDEMPOTENCY_REUSED);
	response_cancel(first.cursor.response);
	finish(&stage, &first);
	assert_refused(&stage, &other, API_IDEMPOTENCY_REUSED);
	assert_refused(&stage, &(struct ask){.key = "k", .unstored = true}, API_IDEMPOTENCY_REUSED);
	assert_int_equal(stage.world.requests, 1);
	run(&stage, &strange, &stranger);
	assert_false(strange.refused);
	assert_int_equal(stage.world.requests, 2);
	assert_repeats(&stage, &K, &first);
	assert_repeats(&stage, &stranger, &strange);
	drop(&first);
	drop(&strange);
	stage_close(&stage);
}

static void a_refusal_frees_the_key(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO});
	struct watcher w;
	while (!engine_upstream_known(stage.engine)) {
		turn_loop(&stage);
	}
	for (int unstored = 0; unstored < 2; unstored++) {
		struct ask ask = {.key = unstored ? "u" : "k", .unstored = unstored, .parent = "resp_none"};
		assert_refused(&stage, &ask, API_PARENT_NOT_FOUND);
		ask = (struct ask){.key = ask.key, .unstored = unstored, .model = "unknown"};
		assert_refused(&stage, &ask, API_MODEL_NOT_FOUND);
		char *large = malloc(65538);
		memset(large, 'x', 65537);
		large[65537] = '\0';
		ask = (struct ask){.key = ask.key, .unstored = unstored, .text = large};
		assert_refused(&stage, &ask, API_CONTEXT_TOO_LARGE);
		free(large);
		assert_int_equal(stage.world.requests, unstored);
		run(&stage, &w, &(struct ask){.key = ask.key, .unstored = unstored});
		assert_false(w.refused);
		drop(&w);
	}
	assert_int_equal(stage.world.requests, 2);
	stage_close(&stage);
}

/* The list of models is read meanwhile, and the model is not on it. */
static void an_answer_stays_when_its_model_goes(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO});
	const struct ask ask = {.key = "k", .model = "gone"};
	struct watcher first;
	assert_false(engine_upstream_known(stage.engine));
	run(&stage, &first, &ask);
	assert_false(first.refused);
	const struct upstream_model *models;
	while (engine_models(stage.engine, &models) == 0) {
		turn_loop(&stage);
	}
	assert_refused(&stage, &(struct ask){.model = "gone"}, API_MODEL_NOT_FOUND);
	assert_refused(&stage, &(struct ask){.key = "l", .model = "gone"}, API_MODEL_NOT_FOUND);
	assert_repeats(&stage, &ask, &first);
	drop(&first);
	stage_close(&stage);
}

static void a_key_counts_for_a_day(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO});
	const struct ask unstored = {.key = "u", .unstored = true};
	struct watcher first, second;
	run(&stage, &first, &K);
	run(&stage, &second, &unstored);
	drop(&second);
	stage.ahead_ms = DAY_MS - 60000;
	assert_repeats(&stage, &K, &first);
	assert_refused(&stage, &unstored, API_IDEMPOTENCY_SPENT);
	assert_int_equal(stage.world.requests, 2);
	stage.ahead_ms = DAY_MS + 1;
	run(&stage, &second, &K);
	assert_string_not_equal(second.id, first.id);
	assert_repeats(&stage, &K, &second);
	drop(&second);
	run(&stage, &second, &unstored);
	assert_false(second.refused);
	assert_int_equal(stage.world.requests, 4);
	assert_int_equal(ask_db(&stage, "SELECT count(*) FROM idempotency"), 1);
	drop(&first);
	drop(&second);
	stage_close(&stage);
}

static void an_unstored_answer_is_not_asked_for_again(void **state) {
	(void)state;
	STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD}, {.bytes = STREAM HELLO});
	struct watcher w;
	/* Its only reader leaves in the middle. */
	const struct ask left = {.key = "left", .unstored = true};
	assert_int_equal(start(&stage, &w, &left), 0);
	while (w.count < 5) {
		turn_loop(&stage);
	}
	drop(&w);
	assert_refused(&stage, &left, API_IDEMPOTENCY_SPENT);
	assert_refused(&stage, &(struct ask){.key = "left"}, API_IDEMPOTENCY_REUSED);
	const struct ask ended = {.key = "ended", .unstored = true};
	run(&stage, &w, &ended);
	assert_false(w.refused);
	drop(&w);
	assert_refused(&stage, &ended, API_IDEMPOTENCY_SPENT);
	assert_int_equal(stage.world.requests, 2);
	/* One whose reader left before it came to ask may be asked: before its first step, and, if the look-up takes as long
	 * as that, behind it. */
	static const char *const keys[] = {"at once", "behind the step"};
	for (int turns = 0; turns < 2; turns++) {
		const struct ask early = {.key = keys[turns], .unstored = true};
		size_t asked = stage.world.requests;
		assert_int_equal(start(&stage, &w, &early), 0);
		for (int i = 0; i < turns; i++) {
			uv_run(&stage.world.loop, UV_RUN_NOWAIT);
		}
		bool began = w.count > 0;
		assert_false(began && turns == 0);
		drop(&w);
		if (began) {
			assert_refused(&stage, &early, API_IDEMPOTENCY_SPENT);
			continue;
		}
		run(&stage, &w, &early);
		assert_false(w.refused);
		assert_int_equal(stage.world.requests, asked + 1);
		drop(&w);
	}
	assert_true(store_is_empty(stage.vessel.store));
	assert_int_equal(ask_db(&stage, "SELECT count(*) FROM idempotency"), 0);
	stage_close(&stage);
}

/* Stored, it goes on without its reader, whenever that left: the repeat gets it. */
static void a_reader_that_left_finds_it_again(void **state) {
	(void)state;
	for (int turns = 0; turns < 6; turns++) {
		STAGE({.bytes = STREAM HELLO, .piece = 60});
		struct watcher w, again;
		assert_int_equal(start(&stage, &w, &K), 0);
		for (int i = 0; i < turns; i++) {
			uv_run(&stage.world.loop, UV_RUN_NOWAIT);
		}
		drop(&w);
		run(&stage, &again, &K);
		assert_false(again.refused);
		assert_non_null(strstr(buf_text(&again.events), "\"text\":\"Hello\""));
		assert_int_equal(stage.world.requests, 1);
		drop(&again);
		stage_close(&stage);
	}
}

static void reopen(struct stage *stage) {
	engine_free(&stage->engine);
	vessel_close_store(&stage->vessel);
	vessel_open_store(&stage->vessel);
	stage_open_engine(stage);
}

static void a_repeat_after_a_kill_gets_what_was_kept(void **state) {
	(void)state;
	STAGE({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD}, {.bytes = STREAM HELLO});
	struct watcher w, again;
	assert_int_equal(start(&stage, &w, &K), 0);
	while (w.count < 5) {
		turn_loop(&stage);
	}
	cursor_close(&w.cursor);
	reopen(&stage);
	run(&stage, &again, &K);
	assert_string_equal(again.id, w.id);
	assert_non_null(strstr(buf_text(&again.events), "\"reason\":\"server_restart\""));
	assert_refused(&stage, &(struct ask){.key = "k", .text = "Ho"}, API_IDEMPOTENCY_REUSED);
	assert_int_equal(stage.world.requests, 1);
	drop(&again);
	drop(&w);
	stage_close(&stage);
}

/* While the row can't be written, another process holding the lock, nothing is asked of the model. */
static void the_model_is_asked_after_the_key_is_written(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO});
	struct watcher w;
	char path[128];
	sqlite3 *db = NULL;
	snprintf(path, sizeof path, "%s/sluice.db", stage.vessel.dir);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(start(&stage, &w, &K), 0);
	for (int64_t until = clock_monotonic_us(clock_system()) + 100000; clock_monotonic_us(clock_system()) < until;) {
		uv_run(&stage.world.loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(stage.world.requests, 0);
	assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	while (stage.world.requests == 0) {
		turn_loop(&stage);
	}
	assert_int_equal(ask_db(&stage, "SELECT count(*) FROM idempotency"), 1);
	finish(&stage, &w);
	assert_false(w.refused);
	drop(&w);
	stage_close(&stage);
}

/* Stops a request while its key is being looked up. False: the store was quick, and the answer was there already. */
static bool stop_while_it_looks(struct stage *stage, struct watcher *w, const struct ask *ask) {
	assert_int_equal(start(stage, w, ask), 0);
	uv_run(&stage->world.loop, UV_RUN_NOWAIT); /* now it looks */
	engine_interrupt_all(stage->engine, "server_restart");
	finish(stage, w);
	return w->refused;
}

static void a_key_is_free_after_a_stop_that_asked_nothing(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO});
	struct watcher w, again;
	char key[16] = "k";
	const struct ask ask = {.key = key};
	for (int i = 0; !stop_while_it_looks(&stage, &w, &ask); i++) {
		assert_true(i < 100);
		drop(&w);
		snprintf(key, sizeof key, "k%d", i);
	}
	assert_int_equal(w.error.code, API_DRAINING);
	assert_int_equal(engine_live_count(stage.engine), 0);
	size_t before = stage.world.requests;
	run(&stage, &again, &ask);
	assert_false(again.refused);
	assert_int_equal(stage.world.requests, before + 1);
	drop(&w);
	drop(&again);
	stage_close(&stage);
}

static void on_deleted(void *arg, const struct err *err) {
	assert_null(err);
	*(bool *)arg = true;
}

static void a_deleted_answer_frees_its_key(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO});
	struct watcher first, second;
	bool deleted = false;
	run(&stage, &first, &K);
	assert_non_null(
		conversation_delete_response(stage.vessel.conversations, OWNER, first.id, on_deleted, &deleted));
	vessel_wait(&stage.vessel, &deleted);
	assert_int_equal(ask_db(&stage, "SELECT count(*) FROM idempotency"), 0);
	run(&stage, &second, &K);
	assert_false(second.refused);
	assert_string_not_equal(second.id, first.id);
	drop(&first);
	drop(&second);
	stage_close(&stage);
}

/* Only so many are remembered, and the oldest are forgotten first. */
static void spent_keys_are_bounded(void **state) {
	(void)state;
	struct claims *claims = claims_new();
	struct idempotency how = {.created_ms = 1000};
	struct claim_first first;
	assert_non_null(claims);
	for (uint32_t i = 0; i < 10003; i++) {
		struct idempotency *taken = NULL;
		memcpy(how.claim.key, &i, sizeof i);
		assert_int_equal(claims_take(claims, &how, &taken, &first), CLAIM_FREE);
		claims_settle(claims, taken, true);
	}
	for (uint32_t i = 0; i < 10003; i++) {
		memcpy(how.claim.key, &i, sizeof i);
		assert_int_equal(claims_find(claims, &how.claim, 1000, &first), i < 3 ? CLAIM_FREE : CLAIM_SPENT);
	}
	claims_free(&claims);
	assert_null(claims);
}

/* Whatever fails, the client is told, the model is asked once at most, and the next try gets an answer. */
static void memory_out_at_every_point_costs_no_second_bill(void **state) {
	(void)state;
	bool clean = false;
	for (uint64_t n = 1; !clean && n < 4000; n++) {
		STAGE({.bytes = STREAM HELLO, .piece = 60});
		const struct ask ask = {.key = "k", .unstored = n % 4 == 0};
		struct watcher w, again;
		while (!engine_upstream_known(stage.engine)) {
			turn_loop(&stage);
		}
		uint64_t before = mem_alloc_count();
		mem_fail_after(n, false);
		run(&stage, &w, &ask);
		mem_fail_after(0, false);
		clean = mem_alloc_count() - before < n;
		size_t asked = stage.world.requests;
		assert_true(asked <= 1);
		run(&stage, &again, &ask);
		if (w.refused) {
			assert_false(again.refused);
		} else if (ask.unstored) {
			assert_int_equal(again.error.code, API_IDEMPOTENCY_SPENT);
			assert_int_equal(stage.world.requests, asked);
		} else {
			assert_int_equal(stage.world.requests, asked);
			assert_true(again.refused || strcmp(again.id, w.id) == 0);
		}
		drop(&w);
		drop(&again);
		stage_close(&stage);
	}
	assert_true(clean);
}

/* The same of a repeat. */
static void memory_out_in_a_repeat_costs_no_second_bill(void **state) {
	(void)state;
	STAGE({.bytes = STREAM HELLO});
	struct watcher first, w;
	run(&stage, &first, &K);
	bool clean = false;
	for (uint64_t n = 1; !clean && n < 2000; n++) {
		uint64_t before = mem_alloc_count();
		mem_fail_after(n, false);
		run(&stage, &w, &K);
		mem_fail_after(0, false);
		clean = mem_alloc_count() - before < n;
		/* What does not open for want of memory is not told from what does not open. */
		assert_true(!w.refused || w.error.code == API_OVERLOADED || w.error.code == API_STORAGE_FAILED);
		drop(&w);
		assert_repeats(&stage, &K, &first);
	}
	assert_true(clean);
	assert_int_equal(stage.world.requests, 1);
	drop(&first);
	stage_close(&stage);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(repeats_join_what_runs),
		cmocka_unit_test(a_repeat_after_the_end_is_a_replay),
		cmocka_unit_test(without_a_key_every_request_is_a_new_one),
		cmocka_unit_test(a_failure_is_an_answer_too),
		cmocka_unit_test(a_model_that_is_busy_frees_the_key),
		cmocka_unit_test(a_model_that_is_away_frees_the_key),
		cmocka_unit_test(another_request_may_not_have_the_key),
		cmocka_unit_test(a_refusal_frees_the_key),
		cmocka_unit_test(an_answer_stays_when_its_model_goes),
		cmocka_unit_test(a_key_counts_for_a_day),
		cmocka_unit_test(an_unstored_answer_is_not_asked_for_again),
		cmocka_unit_test(a_reader_that_left_finds_it_again),
		cmocka_unit_test(a_repeat_after_a_kill_gets_what_was_kept),
		cmocka_unit_test(the_model_is_asked_after_the_key_is_written),
		cmocka_unit_test(a_key_is_free_after_a_stop_that_asked_nothing),
		cmocka_unit_test(a_deleted_answer_frees_its_key),
		cmocka_unit_test(spent_keys_are_bounded),
		cmocka_unit_test(memory_out_at_every_point_costs_no_second_bill),
		cmocka_unit_test(memory_out_in_a_repeat_costs_no_second_bill),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
