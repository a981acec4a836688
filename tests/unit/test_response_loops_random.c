/* Random schedules: responses that begin on any of three loops, readers that come and go on all, cancels and steering from
 * anywhere, and letters that are under way meanwhile. What anybody has read is a piece of what the response was in the end. */
#include "base_test.h"
#include "loops_test.h"

#define ROUNDS 12
#define STEPS 300
#define RESPONSES 40
#define READERS 400

/* A request, perhaps made several times with its key. */
struct subject {
	struct watcher first;
	size_t home;
	bool stored, keyed;
	char key[48];
	uint32_t known; /* events that somebody has read */
};

struct reader {
	struct watcher watcher;
	struct subject *subject;
	uint32_t from;
	bool repeats; /* it came with the key */
	bool left;
};

struct game {
	struct crowd crowd;
	uint64_t seed;
	size_t round;
	struct subject subjects[RESPONSES];
	size_t subject_count;
	struct reader readers[READERS];
	size_t reader_count;
};

#define W DELTA("word ")
#define WORDS W W W W W W
static const struct answer answers[] = {
	{.bytes = STREAM WORDS WORDS WORDS WORDS FINISH("stop") USAGE DONE, .piece = 120},
	{.bytes = STREAM HELLO, .piece = 60},
	{.bytes = STREAM WORDS, .then = THEN_HOLD},
	{.bytes = STREAM WORDS WORDS FINISH("length") DONE, .piece = 70},
	{.bytes = STREAM WORDS WORDS WORDS WORDS WORDS FINISH("stop") USAGE DONE, .piece = 90},
	{.bytes = STREAM WORDS WORDS, .piece = 80},
	{.bytes = CLOSED("500 Internal Server Error", "text/plain", "no")},
	{.bytes = STREAM WORDS WORDS WORDS WORDS WORDS WORDS WORDS WORDS, .piece = 200, .then = THEN_HOLD},
	{.bytes = STREAM WORDS WORDS WORDS WORDS WORDS FINISH("stop") USAGE DONE, .piece = 900},
};
#define ANSWERS (sizeof answers / sizeof answers[0])

static size_t below(struct game *game, size_t bound) {
	return (size_t)(test_random(&game->seed) % bound);
}

static void note_known(struct subject *subject, uint32_t read) {
	subject->known = subject->known < read ? read : subject->known;
}

/* How far anybody has come: from there on anybody may watch. */
static void look_what_is_known(struct game *game) {
	for (size_t i = 0; i < game->subject_count; i++) {
		note_known(&game->subjects[i], (uint32_t)game->subjects[i].first.count);
	}
	for (size_t i = 0; i < game->reader_count; i++) {
		const struct reader *reader = &game->readers[i];
		note_known(reader->subject, reader->from + (uint32_t)reader->watcher.count);
	}
}

static void start_one(struct game *game) {
	if (game->subject_count == RESPONSES) {
		return;
	}
	struct subject *subject = &game->subjects[game->subject_count];
	subject->home = below(game, ENGINES);
	subject->stored = below(game, 3) > 0;
	subject->keyed = below(game, 3) == 0;
	snprintf(subject->key, sizeof subject->key, "key %zu of %zu", game->subject_count, game->round);
	subject->first.key = subject->keyed ? subject->key : NULL;
	if (create(at(&game->crowd, subject->home), &subject->first, "Hi", NULL, subject->stored)) {
		assert_int_equal(subject->first.error.code, API_OVERLOADED);
		memset(subject, 0, sizeof *subject);
		return;
	}
	snprintf(subject->first.id, sizeof subject->first.id, "%s", response_id(subject->first.cursor.response));
	game->subject_count++;
}

static struct reader *new_reader(struct game *game) {
	if (game->reader_count == READERS || !game->subject_count) {
		return NULL;
	}
	struct reader *reader = &game->readers[game->reader_count];
	/* Mostly the latest ones, which run. */
	size_t back = below(game, below(game, 2) ? 4 : RESPONSES);
	reader->subject = &game->subjects[back < game->subject_count ? game->subject_count - 1 - back : 0];
	return reader;
}

static void watch_one(struct game *game) {
	struct reader *reader = new_reader(game);
	if (!reader) {
		return;
	}
	look_what_is_known(game);
	uint32_t known = reader->subject->known;
	reader->from = below(game, 3) ? 0 : (uint32_t)below(game, known + 1);
	if (look(&game->crowd, below(game, ENGINES), &reader->watcher, reader->subject->first.id, reader->from) == 0) {
		reader->watcher.lazy = below(game, 8) == 0;
		game->reader_count++;
	} else {
		memset(reader, 0, sizeof *reader);
	}
}

static void repeat_one(struct game *game) {
	struct reader *reader = new_reader(game);
	if (!reader || !reader->subject->keyed) {
		return;
	}
	struct watcher *w = &reader->watcher;
	w->key = reader->subject->key;
	if (create(at(&game->crowd, below(game, ENGINES)), w, "Hi", NULL, reader->subject->stored)) {
		assert_true(w->error.code == API_IDEMPOTENCY_SPENT || w->error.code == API_OVERLOADED);
		assert_true(w->error.code == API_OVERLOADED || !reader->subject->stored);
		memset(reader, 0, sizeof *reader);
		return;
	}
	reader->repeats = true;
	game->reader_count++;
}

static void leave_one(struct game *game) {
	if (game->reader_count && below(game, 6)) {
		struct reader *reader = &game->readers[below(game, game->reader_count)];
		reader->left = reader->left || reader->watcher.cursor.response;
		cursor_close(&reader->watcher.cursor);
	} else if (game->subject_count) {
		cursor_close(&game->subjects[below(game, game->subject_count)].first.cursor);
	}
}

static void stop_one(struct game *game) {
	if (!game->subject_count) {
		return;
	}
	struct subject *subject = &game->subjects[game->subject_count - 1];
	struct response *seen =
		game->reader_count ? game->readers[game->reader_count - 1].watcher.cursor.response : NULL;
	switch (below(game, 3)) {
	case 0:
		engine_cancel(game->crowd.engines[below(game, ENGINES)], OWNER, str_of(subject->first.id));
		break;
	case 1:
		if (seen) {
			response_cancel(seen);
		}
		break;
	default:
		if (seen) {
			response_steer(seen);
		}
		break;
	}
}

static void go_on_reading(struct game *game) {
	for (size_t i = 0; i < game->reader_count; i++) {
		struct watcher *w = &game->readers[i].watcher;
		if (w->lazy && !below(game, 4)) {
			w->lazy = false;
			read_events(w);
		}
	}
}

static void step(struct game *game) {
	static void (*const moves[])(struct game * game) = {start_one,  watch_one, watch_one, watch_one, watch_one,
							    repeat_one, leave_one, leave_one, stop_one,  go_on_reading};
	size_t choice = below(game, 24);
	if (choice < sizeof moves / sizeof moves[0]) {
		moves[choice](game);
	} else {
		look_round(&game->crowd);
	}
}

/* Everybody reads on to the end, and what is held is cancelled from somewhere. */
static void play_out(struct game *game) {
	for (size_t i = 0; i < game->reader_count; i++) {
		game->readers[i].watcher.lazy = false;
		read_events(&game->readers[i].watcher);
	}
	for (size_t i = 0; i < game->subject_count; i++) {
		engine_cancel(game->crowd.engines[below(game, ENGINES)], OWNER, str_of(game->subjects[i].first.id));
	}
	for (size_t i = 0; i < game->reader_count; i++) {
		while (game->readers[i].watcher.cursor.response) {
			turn(&game->crowd);
		}
	}
	wait_none_live(&game->crowd);
}

/* The whole of a response, as far as anybody can tell: of a stored one the store can. */
static void read_verdict(struct game *game, struct subject *subject, struct watcher *verdict) {
	if (subject->stored) {
		assert_int_equal(look(&game->crowd, below(game, ENGINES), verdict, subject->first.id, 0), 0);
		wait_for(&game->crowd.stage, verdict);
		return;
	}
	struct buf *longest = &subject->first.events;
	for (size_t i = 0; i < game->reader_count; i++) {
		struct reader *reader = &game->readers[i];
		bool whole = reader->subject == subject && reader->from == 0;
		if (whole && reader->watcher.events.length > longest->length &&
		    strcmp(reader->watcher.id, subject->first.id) == 0) {
			longest = &reader->watcher.events;
		}
	}
	buf_append_str(&verdict->events, buf_str(longest));
}

static uint32_t lines_of(struct watcher *w) {
	uint32_t lines = 0;
	for (const char *at = buf_text(&w->events); (at = strchr(at, '\n')); at++) {
		lines++;
	}
	return lines;
}

/* `whole`: the verdict is all that ever was, and not only what was read from the beginning on. */
static void assert_is_piece(struct watcher *w, struct watcher *verdict, uint32_t from, bool whole) {
	const char *rest = rest_of(verdict, from);
	struct str read = buf_str(&w->events);
	size_t common = strlen(rest) < read.length ? strlen(rest) : read.length;
	assert_true(!whole || common == read.length);
	assert_true(common == 0 || memcmp(rest, read.data, common) == 0);
}

static void judge(struct game *game, struct subject *subject) {
	struct watcher verdict = {0};
	read_verdict(game, subject, &verdict);
	assert_is_piece(&subject->first, &verdict, 0, subject->stored);
	for (size_t i = 0; i < game->reader_count; i++) {
		struct reader *reader = &game->readers[i];
		struct watcher *w = &reader->watcher;
		if (reader->subject != subject || (w->count && strcmp(w->id, subject->first.id) != 0)) {
			/* The first one was refused, or not stored and left, before it asked: the repeat was a new one. */
			assert_true(reader->subject != subject || reader->repeats);
			continue;
		}
		assert_true(w->refused || w->finished || reader->left);
		/* What is stored and has begun is for everybody. */
		if (w->refused && subject->stored && !verdict.refused) {
			print_error("%s, from %u, repeats %d: %s\n", subject->first.id, reader->from, reader->repeats,
				    w->error.message);
			fail();
		}
		if (reader->from > lines_of(&verdict)) {
			assert_false(subject->stored); /* nobody has read its beginning to the end */
			continue;
		}
		assert_is_piece(w, &verdict, reader->from, subject->stored);
		if (w->finished && !w->refused && subject->stored) {
			assert_string_equal(buf_text(&w->events), rest_of(&verdict, reader->from));
		}
	}
	drop(&verdict);
}

static void play(struct game *game) {
	for (size_t i = 0; i < STEPS; i++) {
		step(game);
	}
	play_out(game);
	for (size_t i = 0; i < game->subject_count; i++) {
		judge(game, &game->subjects[i]);
	}
	for (size_t i = 0; i < game->subject_count; i++) {
		drop(&game->subjects[i].first);
	}
	for (size_t i = 0; i < game->reader_count; i++) {
		drop(&game->readers[i].watcher);
	}
	memset(game->subjects, 0, sizeof game->subjects);
	memset(game->readers, 0, sizeof game->readers);
	game->subject_count = game->reader_count = 0;
}

static void whatever_is_read_is_true(void **state) {
	(void)state;
	struct game *game = calloc(1, sizeof *game);
	uint64_t seed = test_seed();
	crowd_open(&game->crowd, answers, ANSWERS);
	game->crowd.stage.world.repeats = true;
	for (size_t round = 0; round < ROUNDS; round++) {
		game->seed = seed + round;
		game->round = round;
		play(game);
		crowd_reopen(&game->crowd);
	}
	crowd_close(&game->crowd);
	free(game);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_is_read_is_true),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
