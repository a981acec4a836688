/* Engines that share a directory, as those of several loops do, but on one loop and thread: so the order in which things
 * happen is the test's, and two responses that should be alike can be laid side by side. */
#ifndef SLUICE_TESTS_LOOPS_TEST_H
#define SLUICE_TESTS_LOOPS_TEST_H

#include "response_test.h"

#include "response.h"

#define ENGINES 3

struct crowd {
	struct stage stage; /* its engine is the one that was asked for last */
	struct mailbox *mailboxes[ENGINES];
	struct engine *engines[ENGINES];
};

static inline void crowd_open_engines(struct crowd *crowd) {
	struct err err = {0};
	directory_free(&crowd->stage.directory);
	crowd->stage.directory = directory_new(&err);
	assert_non_null(crowd->stage.directory);
	for (size_t i = 0; i < ENGINES; i++) {
		crowd->mailboxes[i] = mailbox_new(&crowd->stage.world.loop, &err);
		assert_non_null(crowd->mailboxes[i]);
		crowd->engines[i] = stage_new_engine(&crowd->stage, crowd->mailboxes[i]);
	}
}

static inline void crowd_open(struct crowd *crowd, const struct answer *answers, size_t count) {
	struct stage *stage = &crowd->stage;
	*crowd = (struct crowd){0};
	stage_open(stage, answers, count);
	mailbox_close(stage->mailbox);
	engine_free(&stage->engine);
	crowd_open_engines(crowd);
}

/* As a loop that stops does. */
static inline void crowd_stop(struct crowd *crowd, size_t engine) {
	engine_free(&crowd->engines[engine]);
	mailbox_close(crowd->mailboxes[engine]);
}

static inline void crowd_close_engines(struct crowd *crowd) {
	for (size_t i = 0; i < ENGINES; i++) {
		crowd_stop(crowd, i);
	}
}

/* New engines over the same store, and nothing known of the old ones. */
static inline void crowd_reopen(struct crowd *crowd) {
	crowd_close_engines(crowd);
	for (int i = 0; i < 3; i++) {
		uv_run(&crowd->stage.world.loop, UV_RUN_NOWAIT);
	}
	for (size_t i = 0; i < ENGINES; i++) {
		mailbox_free(&crowd->mailboxes[i]);
	}
	crowd_open_engines(crowd);
}

static inline void crowd_close(struct crowd *crowd) {
	crowd_close_engines(crowd);
	crowd->stage.engine = NULL;
	stage_close(&crowd->stage);
	for (size_t i = 0; i < ENGINES; i++) {
		mailbox_free(&crowd->mailboxes[i]);
	}
}

#define CROWD(...)                                                                                                     \
	static const struct answer answers_[] = {__VA_ARGS__};                                                         \
	struct crowd crowd;                                                                                            \
	crowd_open(&crowd, answers_, sizeof answers_ / sizeof answers_[0])

/* What is asked next is asked of this engine. */
static inline struct stage *at(struct crowd *crowd, size_t engine) {
	crowd->stage.engine = crowd->engines[engine];
	return &crowd->stage;
}

/* One turn of the loop, in which something happens; or none, if nothing waits. */
static inline void turn(struct crowd *crowd) {
	uv_run(&crowd->stage.world.loop, UV_RUN_ONCE);
}

static inline void look_round(struct crowd *crowd) {
	uv_run(&crowd->stage.world.loop, UV_RUN_NOWAIT);
}

static inline void wait_count(struct crowd *crowd, const struct watcher *w, size_t count) {
	while (w->count < count) {
		assert_false(w->finished);
		turn(crowd);
	}
}

/* Until the loop has nothing to do but to wait for the model and the clock: all letters have arrived. */
static inline void wait_letters(struct crowd *crowd) {
	for (int i = 0; i < 20; i++) {
		look_round(crowd);
	}
}

static inline void wait_none_live(struct crowd *crowd) {
	for (size_t i = 0; i < ENGINES; i++) {
		while (crowd->engines[i] && engine_live_count(crowd->engines[i])) {
			turn(crowd);
		}
	}
}

/* Watches as who may read everything of this user's. */
static inline int look(struct crowd *crowd, size_t engine, struct watcher *w, const char *id, uint32_t next) {
	const struct engine_watch from = {
		.owner = OWNER, .id = str_of(id), .next = next, .own = true, .log = &crowd->stage.vessel.log};
	int result = engine_watch(crowd->engines[engine], &from, &w->cursor, &watch, w, &w->error);
	assert_int_equal(w->readies, 0);
	return result;
}

/* The id is known before any event is. */
static inline void begin(struct crowd *crowd, size_t engine, struct watcher *w, const struct watcher *parent,
			 bool store) {
	assert_int_equal(create(at(crowd, engine), w, "Hi", parent, store), 0);
	snprintf(w->id, sizeof w->id, "%s", response_id(w->cursor.response));
}

/* What a client that stopped at event `next` has not read. */
static inline const char *rest_of(struct watcher *w, uint32_t next) {
	const char *rest = buf_text(&w->events);
	for (uint32_t i = 0; i < next; i++) {
		rest = strchr(rest, '\n') + 1;
	}
	return rest;
}

static inline void assert_reads(struct watcher *w, struct watcher *home, uint32_t next) {
	assert_false(w->refused);
	assert_string_equal(buf_text(&w->events), rest_of(home, next));
}

static inline size_t length_of(const struct list *list) {
	size_t length = 0;
	list_each(node, after, list) {
		length++;
	}
	return length;
}

/* Everything that is shown of it beside its events. */
static inline void show(struct response *r, struct buf *out) {
	struct response_view view;
	struct api_error error = {0};
	response_view(r, &view);
	response_write(out, &view);
	buf_printf(out, "\nstored %d, status %d, output %d, known %d, runs %d, parent %s, shown %lld\n",
		   response_is_stored(r), response_status(r), response_has_output(r), response_is_known(r),
		   response_runs(r), response_parent(r), (long long)view.shown_tokens);
	for (size_t i = 0; i < response_input(r)->count; i++) {
		item_write(out, &response_input(r)->items[i]);
	}
	if (response_failure(r, &error) == 0) {
		buf_printf(out, "\nfailed: %d %s %s %lld\n", error.code, error.param, error.message,
			   (long long)error.retry_after_ms);
	}
	if (response_ended(r) && response_completion_failure(r, &error) == 0) {
		buf_printf(out, "\nno completion: %d %s\n", error.code, error.message);
	}
	assert_false(out->failed);
}

/* Two long texts; of a difference it shows where it is. */
static inline void assert_alike(const char *here, const char *there) {
	size_t same = 0;
	while (here[same] && here[same] == there[same]) {
		same++;
	}
	if (here[same] != there[same]) {
		size_t from = same > 60 ? same - 60 : 0;
		print_error("%.120s\nis not\n%.120s\n", here + from, there + from);
		fail();
	}
}

static inline void assert_shows_the_same(struct response *mirror, struct response *home) {
	struct buf here = BUF_INIT, there = BUF_INIT;
	assert_ptr_not_equal(mirror, home);
	show(mirror, &here);
	show(home, &there);
	assert_alike(buf_text(&here), buf_text(&there));
	buf_free(&here);
	buf_free(&there);
}

#endif
