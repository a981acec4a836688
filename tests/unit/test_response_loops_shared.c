/* What counts for all loops together: idempotency keys, followers, who runs in a conversation, and limits. */
#include "loops_test.h"

#include "claims.h"

#define HELD                                                                                                           \
	{ .bytes = STREAM DELTA("Hel"), .then = THEN_HOLD }

static void say_the_rest(struct crowd *crowd) {
	static const struct answer rest = {.bytes = DELTA("lo") FINISH("stop") USAGE DONE, .piece = 40};
	world_say(&crowd->stage.world, &rest);
}

static int ask(struct crowd *crowd, size_t engine, struct watcher *w, bool store) {
	return create(at(crowd, engine), w, "Hi", NULL, store);
}

static void cancel(struct watcher *w) {
	response_cancel(w->cursor.response);
}

/* --- idempotency keys ------------------------------------------------------------------------------------------------ */

static void a_key_is_joined_on_every_loop(void **state) {
	(void)state;
	CROWD(HELD);
	for (int store = 0; store < 2; store++) {
		const char *key = store ? "stored" : "not stored";
		struct watcher home = {.key = key}, at_once = {.key = key}, late = {.key = key}, beside = {.key = key};
		assert_int_equal(ask(&crowd, 0, &home, store), 0);
		assert_int_equal(ask(&crowd, 1, &at_once, store), 0);
		assert_int_equal(response_is_stored(at_once.cursor.response), store);
		wait_count(&crowd, &home, 5);
		assert_int_equal(ask(&crowd, 2, &late, store), 0);
		assert_int_equal(ask(&crowd, 1, &beside, store), 0);
		wait_count(&crowd, &late, 5);
		wait_count(&crowd, &beside, 5);
		assert_int_equal(engine_live_count(crowd.engines[1]) + engine_live_count(crowd.engines[2]), 0);
		cancel(&late);
		wait_for(&crowd.stage, &home);
		wait_for(&crowd.stage, &at_once);
		wait_for(&crowd.stage, &late);
		wait_for(&crowd.stage, &beside);
		assert_reads(&at_once, &home, 0);
		assert_reads(&late, &home, 0);
		assert_reads(&beside, &home, 0);
		assert_string_equal(late.id, home.id);
		assert_int_equal(crowd.stage.world.requests, 1 + store);
		drop(&home);
		drop(&at_once);
		drop(&late);
		drop(&beside);
	}
	crowd_close(&crowd);
}

static void a_key_is_for_one_request_on_every_loop(void **state) {
	(void)state;
	CROWD(HELD);
	struct watcher home = {.key = "k"}, other = {.key = "k"};
	assert_int_equal(ask(&crowd, 0, &home, true), 0);
	assert_int_equal(create(at(&crowd, 1), &other, "Ho", NULL, true), -1);
	assert_int_equal(other.error.code, API_IDEMPOTENCY_REUSED);
	assert_int_equal(ask(&crowd, 2, &other, false), -1);
	assert_int_equal(other.error.code, API_IDEMPOTENCY_REUSED);
	drop(&home);
	crowd_close(&crowd);
}

/* Its answer is there for all, or is gone for all. */
static void a_key_whose_answer_has_ended(void **state) {
	(void)state;
	CROWD({.bytes = STREAM HELLO, .piece = 40});
	struct watcher stored = {.key = "s"}, gone = {.key = "u"};
	assert_int_equal(ask(&crowd, 0, &stored, true), 0);
	assert_int_equal(ask(&crowd, 0, &gone, false), 0);
	wait_for(&crowd.stage, &stored);
	wait_for(&crowd.stage, &gone);
	for (size_t i = 1; i < ENGINES; i++) {
		struct watcher again = {.key = "s"}, never = {.key = "u"};
		assert_int_equal(ask(&crowd, i, &again, true), 0);
		assert_int_equal(ask(&crowd, i, &never, false), -1);
		assert_int_equal(never.error.code, API_IDEMPOTENCY_SPENT);
		wait_for(&crowd.stage, &again);
		assert_reads(&again, &stored, 0);
		assert_string_equal(again.id, stored.id);
		drop(&again);
	}
	assert_int_equal(crowd.stage.world.requests, 2);
	drop(&stored);
	drop(&gone);
	crowd_close(&crowd);
}

/* Two repeats at once on two loops: one looks the key up, the other follows that one, and both come to the first answer,
 * under its id. */
static void a_repeat_that_is_followed_joins_the_first(void **state) {
	(void)state;
	CROWD({.bytes = STREAM HELLO, .piece = 40});
	for (int turns = 0; turns < 4; turns++) {
		char key[16];
		snprintf(key, sizeof key, "k%d", turns);
		struct watcher first = {.key = key}, looks = {.key = key}, follows[2] = {{.key = key}, {.key = key}};
		assert_int_equal(ask(&crowd, 0, &first, true), 0);
		wait_for(&crowd.stage, &first);
		assert_int_equal(ask(&crowd, 1, &looks, true), 0);
		for (int i = 0; i < turns; i++) {
			look_round(&crowd);
		}
		assert_int_equal(ask(&crowd, 2, &follows[0], true), 0);
		assert_int_equal(ask(&crowd, 2, &follows[1], true), 0);
		wait_for(&crowd.stage, &looks);
		wait_for(&crowd.stage, &follows[0]);
		wait_for(&crowd.stage, &follows[1]);
		assert_reads(&looks, &first, 0);
		assert_reads(&follows[0], &first, 0);
		assert_reads(&follows[1], &first, 0);
		assert_string_equal(follows[0].id, first.id);
		drop(&first);
		drop(&looks);
		drop(&follows[0]);
		drop(&follows[1]);
	}
	assert_int_equal(crowd.stage.world.requests, 4);
	crowd_close(&crowd);
}

/* The one that looks the key up has joined the first and is gone before the letter that asks for it comes. Where that
 * happens depends on how long the store takes, so the second repeat comes at ever another moment. */
static void a_repeat_that_is_followed_too_late_joins_the_first(void **state) {
	(void)state;
	CROWD({.bytes = STREAM HELLO});
	struct watcher first = {.key = "k"};
	assert_int_equal(ask(&crowd, 0, &first, true), 0);
	wait_for(&crowd.stage, &first);
	for (int i = 0; i < 100; i++) {
		struct watcher looks = {.key = "k"}, follows = {.key = "k"};
		assert_int_equal(ask(&crowd, 1, &looks, true), 0);
		look_round(&crowd);
		int64_t until = clock_monotonic_us(clock_system()) + 20 * i;
		while (clock_monotonic_us(clock_system()) < until) {
		}
		assert_int_equal(ask(&crowd, 2, &follows, true), 0);
		wait_for(&crowd.stage, &looks);
		wait_for(&crowd.stage, &follows);
		assert_reads(&looks, &first, 0);
		assert_reads(&follows, &first, 0);
		drop(&looks);
		drop(&follows);
	}
	assert_int_equal(crowd.stage.world.requests, 1);
	drop(&first);
	crowd_close(&crowd);
}

/* As a repeat of `text` that has looked the key up on the second loop, and is gone when a letter asks for it. */
static struct idempotency *leave_claim(struct crowd *crowd, const char *text, const char *key) {
	struct request request = {.settings.store = true};
	struct item item = {0};
	struct idempotency gone = {.response = "resp_gone", .loop = 1, .stored = true}, *taken;
	struct claim_first first;
	snprintf(request.idempotency_key, sizeof request.idempotency_key, "%s", key);
	assert_int_equal(item_message(&item, ROLE_USER, ITEM_COMPLETED, "msg_in", str_of(text)), 0);
	assert_int_equal(item_list_add(&request.input, &item), 0);
	assert_int_equal(conversation_claim_make(crowd->stage.vessel.conversations, OWNER, &request, &gone.claim), 0);
	assert_int_equal(claims_take(directory_claims(crowd->stage.directory), &gone, &taken, &first), CLAIM_FREE);
	request_free(&request);
	return taken;
}

static void a_repeat_of_one_that_is_gone_finds_what_the_key_stands_for(void **state) {
	(void)state;
	static const struct {
		const char *text, *key;
		bool found;
	} repeats[] = {{"Hi", "k", true}, {"Ho", "k", false}, {"Hi", "never stored", false}};
	CROWD({.bytes = STREAM HELLO});
	struct claims *claims = directory_claims(crowd.stage.directory);
	struct watcher first = {.key = "k"};
	assert_int_equal(ask(&crowd, 0, &first, true), 0);
	wait_for(&crowd.stage, &first);
	for (size_t i = 0; i < sizeof repeats / sizeof repeats[0]; i++) {
		struct watcher follows[2] = {{.key = repeats[i].key}, {.key = repeats[i].key}};
		struct idempotency *gone = leave_claim(&crowd, repeats[i].text, repeats[i].key);
		for (size_t k = 0; k < 2; k++) {
			assert_int_equal(create(at(&crowd, 2 * k), &follows[k], repeats[i].text, NULL, true), 0);
		}
		claims_settle(claims, gone, false);
		for (size_t k = 0; k < 2; k++) {
			wait_for(&crowd.stage, &follows[k]);
			if (repeats[i].found) {
				assert_reads(&follows[k], &first, 0);
			} else {
				assert_int_equal(follows[k].error.code, API_OVERLOADED);
			}
			drop(&follows[k]);
		}
	}
	assert_int_equal(crowd.stage.world.requests, 1);
	drop(&first);
	crowd_close(&crowd);
}

static void a_refused_one_refuses_its_repeats(void **state) {
	(void)state;
	CROWD({.bytes = STREAM HELLO});
	struct watcher home = {.key = "k"}, away = {.key = "k"}, again = {.key = "k"}, unknown = {.id = "resp_unknown"};
	assert_int_equal(create(at(&crowd, 0), &home, "Hi", &unknown, true), 0);
	assert_int_equal(create(at(&crowd, 1), &away, "Hi", &unknown, true), 0);
	wait_for(&crowd.stage, &home);
	wait_for(&crowd.stage, &away);
	assert_int_equal(home.error.code, API_PARENT_NOT_FOUND);
	assert_int_equal(away.error.code, API_PARENT_NOT_FOUND);
	/* The key is free, also for another request. */
	assert_int_equal(ask(&crowd, 2, &again, true), 0);
	wait_for(&crowd.stage, &again);
	assert_false(again.refused);
	drop(&again);
	crowd_close(&crowd);
}

/* The letter that asks for it finds that it has gone; what has become of the key is told to who asks again. */
static void a_repeat_that_comes_at_the_very_end(void **state) {
	(void)state;
	CROWD(HELD);
	struct watcher home = {.key = "k"}, away = {.key = "k"}, again = {.key = "k"};
	assert_int_equal(ask(&crowd, 0, &home, false), 0);
	wait_count(&crowd, &home, 5);
	assert_int_equal(ask(&crowd, 1, &away, false), 0);
	cancel(&home);
	wait_for(&crowd.stage, &home);
	wait_for(&crowd.stage, &away);
	assert_true(away.refused);
	assert_int_equal(away.error.code, API_OVERLOADED);
	assert_int_equal(ask(&crowd, 1, &again, false), -1);
	assert_int_equal(again.error.code, API_IDEMPOTENCY_SPENT);
	drop(&home);
	crowd_close(&crowd);
}

/* --- followers ------------------------------------------------------------------------------------------------------- */

struct fan {
	struct follower follower;
	struct watcher watcher[4];
	size_t began;
};

static void on_began(struct follower *follower, struct response *response) {
	struct fan *fan = container_of(follower, struct fan, follower);
	assert_true(fan->began < 4);
	struct watcher *w = &fan->watcher[fan->began++];
	cursor_open(&w->cursor, response, 0, &watch, w);
}

static void fan_follow(struct crowd *crowd, size_t engine, struct fan *fan, const char *conversation) {
	*fan = (struct fan){0};
	assert_int_equal(engine_follow(crowd->engines[engine], &fan->follower, conversation, on_began), 0);
}

static void fan_leave(struct crowd *crowd, size_t engine, struct fan *fan) {
	engine_unfollow(crowd->engines[engine], &fan->follower);
	for (size_t i = 0; i < fan->began; i++) {
		drop(&fan->watcher[i]);
	}
}

struct found {
	char ids[8][ID_SIZE];
	size_t count;
};

static void note_id(void *arg, const char *id) {
	struct found *found = arg;
	assert_true(found->count < 8);
	snprintf(found->ids[found->count++], ID_SIZE, "%s", id);
}

static void note_response(void *arg, struct response *response) {
	note_id(arg, response_id(response));
}

/* Both ways to ask, of every loop. */
static void assert_live(struct crowd *crowd, const char *conversation, struct watcher *const *live, size_t count) {
	for (size_t i = 0; i < ENGINES; i++) {
		struct found ids = {0}, responses = {0};
		engine_each_live_id(crowd->engines[i], conversation, note_id, &ids);
		engine_each_live(crowd->engines[i], conversation, note_response, &responses);
		assert_int_equal(ids.count, count);
		assert_int_equal(responses.count, count);
		for (size_t k = 0; k < count; k++) {
			assert_string_equal(ids.ids[k], live[k]->id);
			assert_string_equal(responses.ids[k], live[k]->id);
		}
	}
}

static void followers_on_every_loop_hear_once(void **state) {
	(void)state;
	CROWD({.bytes = STREAM HELLO}, HELD, HELD, {.bytes = STREAM HELLO});
	struct watcher first = {0}, second = {0}, third = {0};
	struct fan fans[ENGINES], twice, left;
	begin(&crowd, 0, &first, NULL, true);
	wait_for(&crowd.stage, &first);
	const char *conversation = conversation_id(first.conversation);
	for (size_t i = 0; i < ENGINES; i++) {
		fan_follow(&crowd, i, &fans[i], conversation);
	}
	fan_follow(&crowd, 1, &twice, conversation);
	fan_follow(&crowd, 1, &left, conversation);
	fan_leave(&crowd, 1, &left);

	begin(&crowd, 0, &second, &first, true);
	assert_live(&crowd, conversation, NULL, 0); /* it is not durable yet */
	wait_count(&crowd, &second, 5);
	begin(&crowd, 1, &third, &first, true);
	wait_count(&crowd, &third, 5);
	wait_letters(&crowd);
	assert_live(&crowd, conversation, (struct watcher *[]){&second, &third}, 2);
	say_the_rest(&crowd);
	wait_for(&crowd.stage, &third);
	cancel(&second);
	wait_for(&crowd.stage, &second);
	assert_live(&crowd, conversation, NULL, 0);
	assert_int_equal(left.began, 0);
	for (size_t i = 0; i <= ENGINES; i++) {
		struct fan *fan = i < ENGINES ? &fans[i] : &twice;
		assert_int_equal(fan->began, 2);
		wait_for(&crowd.stage, &fan->watcher[0]);
		wait_for(&crowd.stage, &fan->watcher[1]);
		assert_reads(&fan->watcher[0], &second, 0);
		assert_reads(&fan->watcher[1], &third, 0);
		fan_leave(&crowd, i < ENGINES ? i : 1, fan);
	}
	drop(&first);
	drop(&second);
	drop(&third);
	crowd_close(&crowd);
}

/* It may have ended before the letter has come, or the follower may have left. */
static void what_is_over_at_once_is_followed_too(void **state) {
	(void)state;
	CROWD({.bytes = STREAM HELLO});
	for (int stays = 0; stays < 2; stays++) {
		struct watcher first = {.prepare_only = true}, quick = {.prepare_only = true};
		struct fan fan;
		begin(&crowd, 0, &first, NULL, true);
		wait_for(&crowd.stage, &first);
		fan_follow(&crowd, 2, &fan, conversation_id(first.conversation));
		begin(&crowd, 0, &quick, &first, true);
		wait_count(&crowd, &quick, 1);
		while (stays && (!fan.began || !fan.watcher[0].finished)) {
			turn(&crowd);
		}
		wait_for(&crowd.stage, &quick);
		if (stays) {
			assert_reads(&fan.watcher[0], &quick, 0);
		}
		fan_leave(&crowd, 2, &fan);
		wait_letters(&crowd);
		assert_true(fan.began <= 1);
		drop(&first);
		drop(&quick);
	}
	crowd_close(&crowd);
}

/* --- conversations --------------------------------------------------------------------------------------------------- */

static void one_at_a_time_goes_on_with_a_conversation(void **state) {
	(void)state;
	CROWD({.bytes = STREAM HELLO}, HELD, HELD, {.bytes = STREAM HELLO});
	struct watcher first = {0};
	begin(&crowd, 0, &first, NULL, true);
	wait_for(&crowd.stage, &first);
	wait_none_live(&crowd);
	const char *id = conversation_id(first.conversation);
	/* Two at once, on two loops. */
	struct watcher one = {.continues = id}, two = {.continues = id}, unstored = {.continues = id};
	struct watcher later = {.continues = id};
	assert_int_equal(ask(&crowd, 1, &one, true), 0);
	assert_int_equal(ask(&crowd, 2, &two, true), 0);
	while (one.count < 5 && two.count < 5) {
		turn(&crowd);
	}
	while (!one.refused && !two.refused) {
		turn(&crowd);
	}
	struct watcher *runs = one.refused ? &two : &one, *refused = one.refused ? &one : &two;
	assert_false(runs->refused);
	assert_int_equal(refused->error.code, API_CONVERSATION_LOCKED);
	assert_int_equal(ask(&crowd, 0, &unstored, false), 0);
	wait_for(&crowd.stage, &unstored);
	assert_int_equal(unstored.error.code, API_CONVERSATION_LOCKED);
	cancel(runs);
	wait_for(&crowd.stage, runs);
	/* Whoever hears of the end may go on, wherever he is. */
	assert_int_equal(ask(&crowd, 0, &later, true), 0);
	wait_count(&crowd, &later, 5);
	cancel(&later);
	wait_for(&crowd.stage, &later);
	drop(&first);
	drop(runs);
	drop(&later);
	crowd_close(&crowd);
}

/* However quick the store is, the directory says who came first. */
static void a_conversation_is_occupied_by_one(void **state) {
	(void)state;
	struct err err = {0};
	struct directory *directory = directory_new(&err);
	struct presence one = {.id = "resp_1", .owner = OWNER}, two = {.id = "resp_2", .owner = OWNER};
	assert_int_equal(directory_enter(directory, &one, 0, true), 0);
	assert_int_equal(directory_enter(directory, &two, 1, true), 0);
	assert_int_equal(directory_occupy(&one, "conv", true), OCCUPIED);
	assert_int_equal(directory_occupy(&one, "conv", true), OCCUPIED);
	assert_int_equal(directory_occupy(&two, "conv", true), OCCUPIED_BY_OTHERS);
	assert_true(directory_is_occupied(directory, "conv"));
	directory_leave(&one, false);
	assert_false(directory_is_occupied(directory, "conv"));
	assert_int_equal(directory_occupy(&two, "conv", true), OCCUPIED);
	/* Beside it, where that is allowed. */
	assert_int_equal(directory_enter(directory, &one, 0, true), 0);
	assert_int_equal(directory_occupy(&one, "conv", false), OCCUPIED);
	directory_leave(&two, false);
	assert_true(directory_is_occupied(directory, "conv"));
	directory_leave(&one, false);
	directory_free(&directory);
}

static void a_parent_that_runs_elsewhere_is_not_ready(void **state) {
	(void)state;
	CROWD(HELD);
	struct watcher parent = {0}, child = {0};
	begin(&crowd, 0, &parent, NULL, true);
	for (int known = 0; known < 2; known++) {
		assert_int_equal(create(at(&crowd, 1), &child, "Hi", &parent, true), -1);
		assert_int_equal(child.error.code, API_PARENT_NOT_READY);
		assert_true(engine_runs(crowd.engines[2], OWNER, str_of(parent.id)));
		assert_true(engine_has(crowd.engines[2], OWNER, str_of(parent.id)));
		assert_false(engine_has(crowd.engines[2], "user_b", str_of(parent.id)));
		wait_count(&crowd, &parent, 5);
	}
	cancel(&parent);
	wait_for(&crowd.stage, &parent);
	assert_false(engine_has(crowd.engines[2], OWNER, str_of(parent.id)));
	turn_release(&parent.turn);
	conversation_release(&parent.conversation);
	assert_int_equal(create(at(&crowd, 1), &child, "Hi", &parent, true), 0);
	wait_count(&crowd, &child, 5);
	drop(&parent);
	drop(&child);
	crowd_close(&crowd);
}

/* --- limits ---------------------------------------------------------------------------------------------------------- */

static void wait_live(struct crowd *crowd, size_t count) {
	size_t live;
	do {
		live = 0;
		for (size_t i = 0; i < ENGINES; i++) {
			live += engine_live_count(crowd->engines[i]);
		}
		if (live > count) {
			turn(crowd);
		}
	} while (live > count);
	assert_int_equal(live, count);
}

/* Two of a user may go on alone, wherever they run; one more stops the oldest. */
static void the_oldest_unwatched_is_stopped_where_it_runs(void **state) {
	(void)state;
	CROWD(HELD);
	struct watcher w[5];
	memset(w, 0, sizeof w);
	for (size_t i = 0; i < 5; i++) {
		begin(&crowd, i % ENGINES, &w[i], NULL, true);
		wait_count(&crowd, &w[i], 5);
	}
	/* All leave at once, the letters still being under way. */
	for (size_t i = 0; i < 5; i++) {
		cursor_close(&w[i].cursor);
	}
	wait_live(&crowd, 2);
	wait_letters(&crowd);
	wait_live(&crowd, 2);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(engine_runs(crowd.engines[0], OWNER, str_of(w[i].id)), i >= 3);
		struct watcher again = {0};
		assert_int_equal(look(&crowd, (i + 1) % ENGINES, &again, w[i].id, 0), 0);
		if (i < 3) {
			wait_for(&crowd.stage, &again);
			assert_true(has(&again, "\"reason\":\"abandoned\""));
		}
		drop(&again);
		drop(&w[i]);
	}
	crowd_close(&crowd);
}

/* Who comes back before the letter does has saved it. */
static void found_again_in_time_it_goes_on(void **state) {
	(void)state;
	CROWD(HELD);
	struct watcher w[3], again = {0};
	memset(w, 0, sizeof w);
	for (size_t i = 0; i < 3; i++) {
		begin(&crowd, i, &w[i], NULL, true);
		wait_count(&crowd, &w[i], 5);
	}
	for (size_t i = 0; i < 3; i++) {
		cursor_close(&w[i].cursor);
	}
	assert_int_equal(look(&crowd, 0, &again, w[0].id, 0), 0);
	wait_letters(&crowd);
	wait_live(&crowd, 3);
	assert_int_equal(again.count, 5);
	drop(&again);
	for (size_t i = 0; i < 3; i++) {
		drop(&w[i]);
	}
	crowd_close(&crowd);
}

static void background_ones_are_counted_over_all(void **state) {
	(void)state;
	CROWD(HELD);
	struct watcher w[2] = {{.background = true}, {.background = true}}, more = {.background = true}, other = {0};
	for (size_t i = 0; i < 2; i++) {
		begin(&crowd, i, &w[i], NULL, true);
		wait_count(&crowd, &w[i], 5);
	}
	for (size_t i = 0; i < ENGINES; i++) {
		assert_int_equal(ask(&crowd, i, &more, true), -1);
		assert_int_equal(more.error.code, API_BACKGROUND_LIMIT);
	}
	begin(&crowd, 2, &other, NULL, true);
	cancel(&w[0]);
	wait_for(&crowd.stage, &w[0]);
	assert_int_equal(ask(&crowd, 2, &more, true), 0);
	drop(&more);
	drop(&other);
	drop(&w[0]);
	drop(&w[1]);
	crowd_close(&crowd);
}

static void live_ones_are_counted_over_all(void **state) {
	(void)state;
	CROWD(HELD);
	struct watcher w[8], more = {0};
	memset(w, 0, sizeof w);
	for (size_t i = 0; i < 8; i++) {
		begin(&crowd, i % ENGINES, &w[i], NULL, i % 2);
	}
	for (size_t i = 0; i < ENGINES; i++) {
		assert_int_equal(ask(&crowd, i, &more, false), -1);
		assert_int_equal(more.error.code, API_OVERLOADED);
	}
	drop(&w[4]); /* not stored, it goes with its reader */
	assert_int_equal(ask(&crowd, 2, &more, false), 0);
	drop(&more);
	for (size_t i = 0; i < 8; i++) {
		drop(&w[i]);
	}
	crowd_close(&crowd);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_is_joined_on_every_loop),
		cmocka_unit_test(a_key_is_for_one_request_on_every_loop),
		cmocka_unit_test(a_key_whose_answer_has_ended),
		cmocka_unit_test(a_repeat_that_is_followed_joins_the_first),
		cmocka_unit_test(a_repeat_that_is_followed_too_late_joins_the_first),
		cmocka_unit_test(a_repeat_of_one_that_is_gone_finds_what_the_key_stands_for),
		cmocka_unit_test(a_refused_one_refuses_its_repeats),
		cmocka_unit_test(a_repeat_that_comes_at_the_very_end),
		cmocka_unit_test(followers_on_every_loop_hear_once),
		cmocka_unit_test(what_is_over_at_once_is_followed_too),
		cmocka_unit_test(one_at_a_time_goes_on_with_a_conversation),
		cmocka_unit_test(a_conversation_is_occupied_by_one),
		cmocka_unit_test(a_parent_that_runs_elsewhere_is_not_ready),
		cmocka_unit_test(the_oldest_unwatched_is_stopped_where_it_runs),
		cmocka_unit_test(found_again_in_time_it_goes_on),
		cmocka_unit_test(background_ones_are_counted_over_all),
		cmocka_unit_test(live_ones_are_counted_over_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
