/* The engine over a real store and a scripted model server, and clients that write down what they read. */
#ifndef SLUICE_TESTS_RESPONSE_TEST_H
#define SLUICE_TESTS_RESPONSE_TEST_H

#include <sqlite3.h>

#include "upstream_test.h"

#include "conversation_test.h"
#include "response/engine.h"

#define OWNER "user_a"
#define MODELS                                                                                                         \
	HEAD("200 OK", "application/json")                                                                             \
	"Content-Length: 70\r\n\r\n"                                                                                   \
	"{\"object\":\"list\",\"data\":[{\"id\":\"m\",\"object\":\"model\",\"owned_by\":\"x\"}]}  "

/* The engine over a real store and a scripted model server. */
struct stage {
	struct world world;
	struct vessel vessel;
	struct engine *engine;
	struct directory *directory;
	struct mailbox *mailbox;
	int64_t unwatched_ms;
};

/* One client: what it read, and how. */
struct watcher {
	struct cursor cursor;
	struct buf events; /* one a line */
	struct buf names;
	size_t readies, count;
	bool refused, finished;
	struct api_error error;
	bool lazy;          /* reads one event, then waits to be asked */
	size_t close_after; /* events; 0: never */
	bool prepare_only;  /* asks for generate: false */
	bool background;
	bool may_break;        /* may be refused in the middle: its loop lost the response's */
	const char *key;       /* idempotency key, or NULL */
	const char *continues; /* conversation, or NULL */
	char id[ID_SIZE];
	struct turn *turn;
	struct conversation *conversation;
};

static inline void read_events(struct watcher *w) {
	const char *name = NULL;
	while (cursor_next(&w->cursor, &w->events, &name)) {
		buf_append_char(&w->events, '\n');
		buf_printf(&w->names, "%s\n", name);
		w->count++;
		snprintf(w->id, sizeof w->id, "%s", response_id(w->cursor.response));
		if (w->count == w->close_after) {
			cursor_close(&w->cursor);
			w->finished = true;
			return;
		}
		if (w->lazy) {
			return;
		}
	}
	if (cursor_finished(&w->cursor)) {
		w->finished = true;
		w->turn = turn_hold(response_turn(w->cursor.response));
		w->conversation = conversation_hold(response_conversation(w->cursor.response));
		cursor_close(&w->cursor);
	}
}

static inline void on_ready(struct cursor *cursor) {
	struct watcher *w = cursor->owner;
	w->readies++;
	read_events(w);
}

static inline void on_refused(struct cursor *cursor, const struct api_error *error) {
	struct watcher *w = cursor->owner;
	assert_true(w->may_break || w->count == 0);
	assert_false(w->refused);
	w->refused = true;
	w->finished = true;
	w->error = *error;
}

static const struct cursor_sink watch = {.ready = on_ready, .refused = on_refused};

/* One more engine; what it knows of others is in the stage's directory. */
static inline struct engine *stage_new_engine(const struct stage *stage, struct mailbox *mailbox) {
	struct err err = {0};
	const struct engine_options options = {.max_live = 8,
					       .max_context = 65536,
					       .max_answer = 1000,
					       .checkpoint_interval_ms = 5,
					       .unwatched_ms = stage->unwatched_ms,
					       .max_unwatched = 2};
	const struct engine_deps deps = {
		.loop = stage->vessel.loop,
		.clock = clock_system(),
		.log = &stage->vessel.log,
		.metrics = stage->vessel.metrics,
		.conversations = stage->vessel.conversations,
		.upstream = stage->world.upstream,
		.directory = stage->directory,
		.mailbox = mailbox,
	};
	struct engine *engine = engine_new(&options, &deps, &err);
	assert_non_null(engine);
	return engine;
}

static inline void stage_open_engine(struct stage *stage) {
	struct err err = {0};
	/* What it knew of the engine before it goes with that. */
	directory_free(&stage->directory);
	stage->directory = directory_new(&err);
	assert_non_null(stage->directory);
	stage->engine = stage_new_engine(stage, stage->mailbox);
}

static inline void stage_open(struct stage *stage, const struct answer *answers, size_t count) {
	world_open(&stage->world, answers, count);
	stage->world.options.retries = 0;
	stage->world.models = MODELS;
	stage->world.default_model = "m";
	stage->unwatched_ms = 60000;
	vessel_open(&stage->vessel, &stage->world.loop);
	world_connect(&stage->world, NULL);
	stage->directory = NULL;
	stage->mailbox = mailbox_new(&stage->world.loop, &(struct err){0});
	assert_non_null(stage->mailbox);
	stage_open_engine(stage);
}

static inline void stage_close(struct stage *stage) {
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

static inline int create(struct stage *stage, struct watcher *w, const char *text, const struct watcher *parent,
			 bool store) {
	struct request request = {0};
	struct item item = {0};
	assert_int_equal(item_message(&item, ROLE_USER, ITEM_COMPLETED, "msg_in", str_of(text)), 0);
	assert_int_equal(item_list_add(&request.input, &item), 0);
	request.settings.store = store;
	request.settings.background = w->background;
	request.prepare_only = w->prepare_only;
	if (w->continues) {
		snprintf(request.conversation, sizeof request.conversation, "%s", w->continues);
	}
	if (w->key) {
		snprintf(request.idempotency_key, sizeof request.idempotency_key, "%s", w->key);
	}
	if (parent) {
		snprintf(request.previous_response_id, sizeof request.previous_response_id, "%s", parent->id);
	}
	const struct engine_start start = {
		.owner = OWNER,
		.request = &request,
		.parent = parent ? parent->turn : NULL,
		.parent_conversation = parent ? parent->conversation : NULL,
		.log = &stage->vessel.log,
	};
	int result = engine_create(stage->engine, &start, &w->cursor, &watch, w, &w->error);
	assert_int_equal(w->readies, 0);
	assert_int_equal(request.input.count, 0);
	return result;
}

static inline void wait_for(struct stage *stage, const struct watcher *w) {
	vessel_wait(&stage->vessel, &w->finished);
}

static inline void drop(struct watcher *w) {
	cursor_close(&w->cursor);
	turn_release(&w->turn);
	conversation_release(&w->conversation);
	buf_free(&w->events);
	buf_free(&w->names);
	*w = (struct watcher){0};
}

static inline bool has(struct watcher *w, const char *text) {
	return strstr(buf_text(&w->events), text) != NULL;
}

#define START_NAMES "response.created\nresponse.in_progress\nresponse.output_item.added\nresponse.content_part.added\n"
#define END_NAMES "response.output_text.done\nresponse.content_part.done\nresponse.output_item.done\n"

static inline int watch_from(struct stage *stage, struct watcher *w, const char *owner, const char *id, uint32_t next) {
	const struct engine_watch from = {.owner = owner, .id = str_of(id), .next = next, .log = &stage->vessel.log};
	int result = engine_watch(stage->engine, &from, &w->cursor, &watch, w, &w->error);
	assert_int_equal(w->readies, 0);
	if (result == 0) {
		wait_for(stage, w);
	}
	return result;
}

static inline size_t stored_segments(struct stage *stage) {
	char path[128];
	sqlite3 *db = NULL;
	sqlite3_stmt *statement = NULL;
	snprintf(path, sizeof path, "%s/sluice.db", stage->vessel.dir);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db,
					    "SELECT (SELECT count(*) FROM segment) + (SELECT count(*) FROM checkpoint c"
					    " JOIN response r ON r.key = c.response WHERE r.status = 'in_progress')",
					    -1, &statement, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	size_t count = (size_t)sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return count;
}

#endif
