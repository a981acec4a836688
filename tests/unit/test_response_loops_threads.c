/* Two loops on two threads, each with all that is its own: both begin responses, race for the same idempotency keys, follow
 * and cancel each other's, and one of them goes in the midst of it. To be run under ThreadSanitizer, too. */
#include <assert.h>
#include <stdatomic.h>

#include "base_test.h"
#include "loops_test.h"

#define LOOPS 2
#define TURNS 120
#define AT_ONCE 6 /* responses of one loop */
#define READERS (TURNS * 6)

#define W DELTA("word ")
#define WORDS W W W W W W
static const struct answer answers[] = {
	{.bytes = STREAM WORDS WORDS FINISH("stop") USAGE DONE, .piece = 150},
	{.bytes = STREAM HELLO, .piece = 60},
	{.bytes = STREAM WORDS, .then = THEN_HOLD},
	{.bytes = STREAM WORDS WORDS WORDS WORDS FINISH("length") DONE, .piece = 90},
	{.bytes = STREAM WORDS, .piece = 80},
	{.bytes = CLOSED("500 Internal Server Error", "text/plain", "no")},
};

struct reader {
	struct watcher watcher;
	char id[ID_SIZE];    /* that it asked for; "" of one that began it, or came with a key */
	char began[ID_SIZE]; /* what runs for it, if it asked for none */
	uint32_t from;
	size_t turn;  /* in which it came with a key; 0: without */
	bool follows; /* it heard of it as a follower of the conversation */
};

/* A loop with what is its own. */
struct worker {
	struct scene *scene;
	size_t number;
	struct world world;
	struct vessel vessel; /* its store and conversations; the rest is borrowed from the first one's */
	struct mailbox *mailbox;
	struct engine *engine;
	uv_timer_t beat; /* so that it looks up now and then */
	uint64_t seed;
	struct follower follower;
	struct reader readers[READERS];
	size_t reader_count;
	size_t latest; /* reader, which began a response */
};

/* The last response that a loop has begun, for the others. */
struct slot {
	uv_mutex_t mutex;
	char id[ID_SIZE];
	uint32_t known; /* events that its own loop has read of it */
};

struct scene {
	struct worker workers[LOOPS];
	struct slot slots[LOOPS];
	struct directory *directory;
	struct conversation_peers *peers;
	char parent[ID_SIZE];
	char conversation[ID_SIZE];
	bool goes;                         /* the second loop goes while the first one follows it */
	atomic_size_t ended, said_goodbye; /* so many loops */
};

/* --- on a worker's thread; `assert` works on every one ---------------------------------------------------------------- */

static size_t below(struct worker *w, size_t bound) {
	return (size_t)(test_random(&w->seed) % bound);
}

static struct reader *new_reader(struct worker *w) {
	assert(w->reader_count < READERS);
	struct reader *reader = &w->readers[w->reader_count++];
	reader->watcher.may_break = true;
	return reader;
}

static void tell(struct worker *w, const char *id, uint32_t known) {
	struct slot *slot = &w->scene->slots[w->number];
	uv_mutex_lock(&slot->mutex);
	snprintf(slot->id, sizeof slot->id, "%s", id);
	slot->known = known;
	uv_mutex_unlock(&slot->mutex);
}

static void begin_one(struct worker *w, size_t turn) {
	struct reader *reader = new_reader(w);
	reader->turn = turn % 4 < 2 ? turn : 0;
	struct request request = {.settings.store = turn % 4 != 1};
	struct item item = {0};
	int failed = item_message(&item, ROLE_USER, ITEM_COMPLETED, "msg_in", STR("Hi"));
	failed |= item_list_add(&request.input, &item);
	assert(!failed);
	if (turn % 4 < 2) {
		/* Both loops come with it at about the same time. */
		snprintf(request.idempotency_key, sizeof request.idempotency_key, "key %zu", turn);
	} else if (turn % 4 == 2) {
		snprintf(request.previous_response_id, sizeof request.previous_response_id, "%s", w->scene->parent);
	}
	const struct engine_start start = {.owner = OWNER, .request = &request, .log = &w->vessel.log};
	struct watcher *seen = &reader->watcher;
	if (engine_create(w->engine, &start, &seen->cursor, &watch, seen, &seen->error)) {
		assert(seen->error.code == API_IDEMPOTENCY_SPENT && turn % 4 == 1);
		seen->refused = seen->finished = true;
		return;
	}
	w->latest = w->reader_count - 1;
	snprintf(reader->began, sizeof reader->began, "%s", response_id(seen->cursor.response));
	/* With a key it may be an earlier one: then its first event says which. */
	tell(w, reader->turn ? "" : response_id(seen->cursor.response), 0);
}

static void tell_known(struct worker *w) {
	const struct watcher *seen = &w->readers[w->latest].watcher;
	if (seen->count) {
		tell(w, seen->id, (uint32_t)seen->count);
	}
}

static void look_across(struct worker *w) {
	struct slot *slot = &w->scene->slots[(w->number + 1) % LOOPS];
	struct reader *reader = new_reader(w);
	struct watcher *seen = &reader->watcher;
	uv_mutex_lock(&slot->mutex);
	snprintf(reader->id, sizeof reader->id, "%s", slot->id);
	reader->from = below(w, 2) ? (uint32_t)below(w, slot->known + 1) : 0;
	uv_mutex_unlock(&slot->mutex);
	const struct engine_watch from = {
		.owner = OWNER, .id = str_of(reader->id), .next = reader->from, .own = true, .log = &w->vessel.log};
	if (!reader->id[0] || engine_watch(w->engine, &from, &seen->cursor, &watch, seen, &seen->error)) {
		w->reader_count--;
		memset(reader, 0, sizeof *reader);
	}
}

static void leave_one(struct worker *w) {
	cursor_close(&w->readers[below(w, w->reader_count)].watcher.cursor);
}

static void stop_one(struct worker *w) {
	struct response *seen = w->readers[w->reader_count - 1].watcher.cursor.response;
	if (seen && below(w, 2)) {
		response_cancel(seen);
	} else if (seen) {
		engine_cancel(w->engine, OWNER, str_of(response_id(seen)));
	}
}

/* Whoever left one that the model does not end would wait for the timeout of silence. */
static void stop_one_that_runs(struct worker *w) {
	size_t from = below(w, w->reader_count);
	for (size_t i = 0; i < w->reader_count; i++) {
		const char *id = w->readers[(from + i) % w->reader_count].began;
		if (id[0] && engine_cancel(w->engine, OWNER, str_of(id)) == 0) {
			return;
		}
	}
}

static void on_began(struct follower *follower, struct response *response) {
	struct worker *w = container_of(follower, struct worker, follower);
	struct reader *reader = new_reader(w);
	reader->follows = true;
	snprintf(reader->id, sizeof reader->id, "%s", response_id(response));
	cursor_open(&reader->watcher.cursor, response, 0, &watch, &reader->watcher);
}

static void count_one(void *arg, const char *id) {
	assert(id[0]);
	++*(size_t *)arg;
}

static void move(struct worker *w, size_t times) {
	size_t live = 0;
	if (times < 3) {
		look_across(w);
	}
	if (below(w, 6) == 0) {
		leave_one(w);
	}
	if (times > 3 || below(w, 6) == 0) {
		stop_one(w);
		engine_each_live_id(w->engine, w->scene->conversation, count_one, &live);
		assert(live <= LOOPS * AT_ONCE);
	}
	if (times > 3 && below(w, 4) == 0) {
		stop_one_that_runs(w);
	}
	uv_run(&w->world.loop, below(w, 2) ? UV_RUN_NOWAIT : UV_RUN_ONCE);
	tell_known(w);
}

static void play(struct worker *w) {
	for (size_t turn = 1; turn <= TURNS; turn++) {
		begin_one(w, turn);
		for (size_t times = 0; times < 4 || engine_live_count(w->engine) >= AT_ONCE; times++) {
			move(w, times);
		}
	}
}

static bool reads(const struct worker *w) {
	for (size_t i = 0; i < w->reader_count; i++) {
		if (w->readers[i].watcher.cursor.response) {
			return true;
		}
	}
	return false;
}

/* Until everything has ended, here and there, and everybody has heard so. */
static void end_together(struct worker *w) {
	struct scene *scene = w->scene;
	while (engine_live_count(w->engine)) {
		engine_interrupt_all(w->engine, "server_restart");
		uv_run(&w->world.loop, UV_RUN_ONCE);
	}
	atomic_fetch_add(&scene->ended, 1);
	while (atomic_load(&scene->ended) < LOOPS) {
		uv_run(&w->world.loop, UV_RUN_ONCE);
	}
	/* What was posted before is there now. */
	do {
		uv_run(&w->world.loop, UV_RUN_ONCE);
		uv_run(&w->world.loop, UV_RUN_NOWAIT);
	} while (reads(w));
	atomic_fetch_add(&scene->said_goodbye, 1);
	while (atomic_load(&scene->said_goodbye) < LOOPS) {
		uv_run(&w->world.loop, UV_RUN_ONCE);
	}
}

/* What follows the loop that has gone is told. */
static void outlive(struct worker *w) {
	while (engine_live_count(w->engine) || reads(w)) {
		engine_interrupt_all(w->engine, "server_restart");
		uv_run(&w->world.loop, UV_RUN_ONCE);
	}
}

static void stop(struct worker *w) {
	for (size_t i = 0; i < w->reader_count; i++) {
		cursor_close(&w->readers[i].watcher.cursor);
	}
	engine_unfollow(w->engine, &w->follower);
	engine_free(&w->engine);
	mailbox_close(w->mailbox);
}

static void run(void *arg) {
	struct worker *w = arg;
	play(w);
	if (!w->scene->goes) {
		end_together(w);
	} else if (w->number == 0) {
		outlive(w);
	}
	stop(w);
}

/* --- the stage, before and after the threads -------------------------------------------------------------------------- */

static void on_beat(uv_timer_t *timer) {
	(void)timer;
}

static void open_worker(struct scene *scene, size_t number) {
	struct worker *w = &scene->workers[number], *first = &scene->workers[0];
	struct err err = {0};
	if (number > 0) {
		w->vessel.loop = &w->world.loop;
		w->vessel.metrics = metrics_new_beside(first->vessel.metrics);
		w->vessel.keyring = first->vessel.keyring;
		w->vessel.store = store_share(first->vessel.store, &w->world.loop, &err);
		assert_non_null(w->vessel.store);
	}
	const struct conversation_deps conversation_deps = {
		.store = w->vessel.store,
		.keyring = w->vessel.keyring,
		.clock = clock_system(),
		.log = &w->vessel.log,
		.max_context = 65536,
		.peers = scene->peers,
		.loop_index = number,
	};
	w->vessel.conversations = conversations_new(&conversation_deps, &err);
	assert_non_null(w->vessel.conversations);
	world_connect(&w->world, NULL);
	const struct engine_options options = {.max_live = 64,
					       .max_context = 65536,
					       .checkpoint_interval_ms = 5,
					       .unwatched_ms = 60000,
					       .max_unwatched = 64};
	const struct engine_deps deps = {
		.loop = &w->world.loop,
		.clock = clock_system(),
		.log = &w->vessel.log,
		.metrics = w->vessel.metrics,
		.conversations = w->vessel.conversations,
		.upstream = w->world.upstream,
		.directory = scene->directory,
		.mailbox = w->mailbox,
	};
	w->engine = engine_new(&options, &deps, &err);
	assert_non_null(w->engine);
	uv_timer_init(&w->world.loop, &w->beat);
	uv_timer_start(&w->beat, on_beat, 1, 1);
}

static struct scene *scene_open(bool goes) {
	struct scene *scene = calloc(1, sizeof *scene);
	struct mailbox *mailboxes[LOOPS];
	struct err err = {0};
	uint64_t seed = test_seed();
	assert_non_null(scene);
	scene->goes = goes;
	for (size_t i = 0; i < LOOPS; i++) {
		struct worker *w = &scene->workers[i];
		w->scene = scene;
		w->number = i;
		w->seed = seed + i;
		world_open(&w->world, answers, sizeof answers / sizeof answers[0]);
		w->world.repeats = true;
		w->world.options.retries = 0;
		w->world.models = MODELS;
		w->world.default_model = "m";
		uv_mutex_init(&scene->slots[i].mutex);
		mailboxes[i] = w->mailbox = mailbox_new(&w->world.loop, &err);
		assert_non_null(w->mailbox);
	}
	vessel_open(&scene->workers[0].vessel, &scene->workers[0].world.loop);
	conversations_free(&scene->workers[0].vessel.conversations);
	scene->directory = directory_new(&err);
	scene->peers = conversation_peers_new(mailboxes, LOOPS, &err);
	assert_non_null(scene->directory);
	assert_non_null(scene->peers);
	for (size_t i = 0; i < LOOPS; i++) {
		open_worker(scene, i);
	}
	return scene;
}

/* A first turn, which both loops go on from, and follow. */
static void begin_conversation(struct scene *scene) {
	struct worker *w = &scene->workers[0];
	struct stage stage = {.engine = w->engine, .vessel = w->vessel};
	struct watcher first = {.prepare_only = true};
	create(&stage, &first, "Hi", NULL, true);
	wait_for(&stage, &first);
	snprintf(scene->parent, sizeof scene->parent, "%s", first.id);
	snprintf(scene->conversation, sizeof scene->conversation, "%s", conversation_id(first.conversation));
	drop(&first);
	for (size_t i = 0; i < LOOPS; i++) {
		struct worker *follows = &scene->workers[i];
		assert_int_equal(engine_follow(follows->engine, &follows->follower, scene->conversation, on_began), 0);
	}
}

static void scene_close(struct scene *scene) {
	for (size_t i = LOOPS; i-- > 0;) {
		struct worker *w = &scene->workers[i];
		uv_close((uv_handle_t *)&w->beat, NULL);
		for (size_t k = 0; k < w->reader_count; k++) {
			drop(&w->readers[k].watcher);
		}
		upstream_free(&w->world.upstream);
		if (i > 0) {
			store_close(&w->vessel.store);
			conversations_free(&w->vessel.conversations);
			metrics_free(&w->vessel.metrics);
		} else {
			vessel_close(&w->vessel);
		}
		world_close(&w->world);
	}
	for (size_t i = 0; i < LOOPS; i++) {
		mailbox_free(&scene->workers[i].mailbox);
		uv_mutex_destroy(&scene->slots[i].mutex);
	}
	conversation_peers_free(&scene->peers);
	directory_free(&scene->directory);
	free(scene);
}

/* --- the verdict ------------------------------------------------------------------------------------------------------ */

static struct reader *reader_at(struct scene *scene, size_t index) {
	struct worker *first = &scene->workers[0];
	bool here = index < first->reader_count;
	return here ? &first->readers[index] : &scene->workers[1].readers[index - first->reader_count];
}

static size_t reader_count(const struct scene *scene) {
	return scene->workers[0].reader_count + scene->workers[1].reader_count;
}

/* Whoever has read most of it from its beginning; NULL: nobody has read that. */
static struct watcher *longest(struct scene *scene, const char *id) {
	struct watcher *found = NULL;
	for (size_t i = 0; i < reader_count(scene); i++) {
		struct reader *reader = reader_at(scene, i);
		if (!reader->from && strcmp(reader->watcher.id, id) == 0 &&
		    (!found || found->count < reader->watcher.count)) {
			found = &reader->watcher;
		}
	}
	return found;
}

static bool has_read_its_end(const struct watcher *read) {
	return read->finished && !read->refused;
}

static void judge(struct scene *scene, struct reader *reader) {
	struct watcher *read = &reader->watcher, *whole = read->count ? longest(scene, read->id) : NULL;
	if (read->count && reader->id[0]) {
		assert_string_equal(read->id, reader->id);
	}
	if (!whole || reader->from > whole->count) {
		return;
	}
	const char *rest = rest_of(whole, reader->from);
	size_t common = strlen(rest) < read->events.length ? strlen(rest) : read->events.length;
	assert_memory_equal(rest, read->events.data, common);
	/* Perhaps nobody who began at its beginning has read its end. */
	assert_false(has_read_its_end(whole) && read->events.length > strlen(rest));
	assert_false(has_read_its_end(read) && read->events.length < strlen(rest));
}

/* Each of both loops heard once of what began in the conversation. */
static void judge_followers(struct scene *scene) {
	size_t heard = 0;
	for (size_t i = 0; i < reader_count(scene); i++) {
		const struct reader *reader = reader_at(scene, i);
		size_t times = 0;
		for (size_t k = 0; reader->follows && k < reader_count(scene); k++) {
			const struct reader *other = reader_at(scene, k);
			times += other->follows && strcmp(other->id, reader->id) == 0;
		}
		assert_true(times == 0 || times == LOOPS);
		heard += times > 0;
	}
	assert_true(heard > TURNS / 4);
}

/* One key, one answer. */
static void judge_keys(struct scene *scene) {
	for (size_t i = 0; i < scene->workers[0].reader_count; i++) {
		const struct reader *reader = &scene->workers[0].readers[i];
		for (size_t k = 0; k < scene->workers[1].reader_count; k++) {
			const struct reader *other = &scene->workers[1].readers[k];
			bool same = reader->turn && reader->turn == other->turn;
			if (same && reader->watcher.count && other->watcher.count) {
				assert_string_equal(reader->watcher.id, other->watcher.id);
			}
		}
	}
}

static void play_scene(bool goes) {
	struct scene *scene = scene_open(goes);
	uv_thread_t threads[LOOPS];
	begin_conversation(scene);
	for (size_t i = 0; i < LOOPS; i++) {
		assert_int_equal(uv_thread_create(&threads[i], run, &scene->workers[i]), 0);
	}
	for (size_t i = 0; i < LOOPS; i++) {
		uv_thread_join(&threads[i]);
	}
	for (size_t i = 0; i < reader_count(scene); i++) {
		judge(scene, reader_at(scene, i));
	}
	judge_keys(scene);
	if (!goes) {
		judge_followers(scene);
	}
	scene_close(scene);
}

static void two_threads_follow_each_other(void **state) {
	(void)state;
	play_scene(false);
}

static void one_goes_while_the_other_follows(void **state) {
	(void)state;
	play_scene(true);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_threads_follow_each_other),
		cmocka_unit_test(one_goes_while_the_other_follows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
