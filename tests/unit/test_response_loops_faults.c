/* Responses that are followed on other loops when the store fails, loops go, or memory is out. */
#include "fault_vfs.h"
#include "loops_test.h"
#include "unsure_driver.h"

#define HELD                                                                                                           \
	{ .bytes = STREAM DELTA("Hel"), .then = THEN_HOLD }

static void say_the_rest(struct crowd *crowd) {
	static const struct answer rest = {.bytes = DELTA("lo") FINISH("stop") USAGE DONE, .piece = 40};
	world_say(&crowd->stage.world, &rest);
}

/* --- a store that fails ---------------------------------------------------------------------------------------------- */

static void assert_found(struct crowd *crowd, struct watcher *home) {
	for (uint32_t next = 0; next <= home->count; next++) {
		struct watcher away = {0};
		assert_int_equal(look(crowd, 1 + next % 2, &away, home->id, next), 0);
		wait_for(&crowd->stage, &away);
		assert_reads(&away, home, next);
		drop(&away);
	}
}

/* Until the store has it, what its client heard is found on every loop; afterwards, in the store. */
static void an_end_that_is_not_stored_yet(void **state) {
	(void)state;
	CROWD(HELD, {.bytes = STREAM HELLO});
	struct watcher home = {.key = "k"}, away = {0}, again = {.key = "k"}, past = {0}, child = {0};
	assert_int_equal(create(at(&crowd, 0), &home, "Hi", NULL, true), 0);
	wait_count(&crowd, &home, 5);
	assert_int_equal(look(&crowd, 1, &away, home.id, 0), 0);
	wait_count(&crowd, &away, 5);
	struct response *own = home.cursor.response, *mirror = away.cursor.response;
	response_hold(own);
	response_hold(mirror);
	fault_set(FAULT_WRITE, "sluice.db-wal", SQLITE_FULL, 0);
	say_the_rest(&crowd);
	wait_for(&crowd.stage, &home);
	wait_for(&crowd.stage, &away);
	assert_true(has(&home, "storage_full"));
	assert_reads(&away, &home, 0);
	assert_shows_the_same(mirror, own);
	assert_int_equal(engine_live_count(crowd.engines[0]), 1);
	assert_true(engine_has(crowd.engines[1], OWNER, str_of(home.id)));
	assert_false(engine_runs(crowd.engines[1], OWNER, str_of(home.id)));
	assert_int_equal(engine_cancel(crowd.engines[1], OWNER, str_of(home.id)), -1);
	assert_found(&crowd, &home);
	assert_int_equal(look(&crowd, 1, &past, home.id, (uint32_t)home.count + 1), 0);
	wait_for(&crowd.stage, &past);
	assert_true(past.refused);
	assert_int_equal(create(at(&crowd, 2), &again, "Hi", NULL, true), 0);
	wait_for(&crowd.stage, &again);
	assert_reads(&again, &home, 0);
	assert_string_equal(again.id, home.id);
	/* What it says is known on its loop alone. */
	turn_release(&home.turn);
	conversation_release(&home.conversation);
	assert_int_equal(create(at(&crowd, 1), &child, "Hi", &home, true), 0);
	wait_for(&crowd.stage, &child);
	assert_int_equal(child.error.code, API_PARENT_NOT_READY);
	fault_reset();
	wait_none_live(&crowd);
	assert_false(engine_has(crowd.engines[1], OWNER, str_of(home.id)));
	assert_found(&crowd, &home);
	response_release(own);
	response_release(mirror);
	drop(&again);
	drop(&home);
	drop(&away);
	crowd_close(&crowd);
}

/* Neither can be told to have begun; what may have been written takes memory until that is known, and counts. */
static void what_the_store_is_owed_counts_for_all(void **state) {
	(void)state;
	vessel_store_open = unsure_open;
	CROWD({.bytes = STREAM DELTA("Hel"), .then = THEN_HOLD});
	struct watcher home[8], away[8], more = {0}, unstored = {0};
	memset(home, 0, sizeof home);
	memset(away, 0, sizeof away);
	atomic_store(&unsure, 1000000);
	for (size_t i = 0; i < 8; i++) {
		begin(&crowd, 0, &home[i], NULL, true);
		assert_int_equal(look(&crowd, 1, &away[i], home[i].id, 0), 0);
	}
	for (size_t i = 0; i < 8; i++) {
		wait_for(&crowd.stage, &home[i]);
		wait_for(&crowd.stage, &away[i]);
		assert_int_equal(home[i].error.code, API_STORAGE_UNKNOWN);
		assert_int_equal(away[i].error.code, API_STORAGE_UNKNOWN);
	}
	assert_int_equal(create(at(&crowd, 1), &more, "Hi", NULL, true), -1);
	assert_int_equal(more.error.code, API_OVERLOADED);
	assert_int_equal(create(at(&crowd, 1), &unstored, "Hi", NULL, false), 0);
	drop(&unstored);
	unsure_reset();
	wait_none_live(&crowd);
	assert_int_equal(create(at(&crowd, 1), &more, "Hi", NULL, true), 0);
	drop(&more);
	crowd_close(&crowd);
}

/* --- loops that go --------------------------------------------------------------------------------------------------- */

static const size_t orders[][ENGINES] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

/* Three responses, each followed on the two other loops; one that is asked for by its key; and errands under way. */
struct traffic {
	struct watcher home[ENGINES], away[ENGINES][ENGINES], repeat;
};

static void traffic_start(struct crowd *crowd, struct traffic *t) {
	memset(t, 0, sizeof *t);
	for (size_t i = 0; i < ENGINES; i++) {
		t->home[i].key = i == 1 ? "k" : NULL;
		begin(crowd, i, &t->home[i], NULL, i != 2);
	}
	for (size_t i = 0; i < ENGINES; i++) {
		for (size_t k = 0; k < ENGINES; k++) {
			if (k != i) {
				t->away[i][k].may_break = true;
				look(crowd, k, &t->away[i][k], t->home[i].id, 0);
			}
		}
	}
	t->repeat = (struct watcher){.key = "k", .may_break = true};
	assert_int_equal(create(at(crowd, 0), &t->repeat, "Hi", NULL, true), 0);
}

/* As a loop does that stops: first its readers go, then what runs there. */
static void traffic_stop(struct crowd *crowd, struct traffic *t, size_t engine) {
	if (engine == 0) {
		cursor_close(&t->repeat.cursor);
	}
	engine_cancel(crowd->engines[engine], OWNER, str_of(t->home[(engine + 1) % ENGINES].id));
	for (size_t i = 0; i < ENGINES; i++) {
		cursor_close(&t->away[i][engine].cursor);
	}
	cursor_close(&t->home[engine].cursor);
	crowd_stop(crowd, engine);
}

static void assert_told(struct crowd *crowd, const struct watcher *w) {
	while (w->cursor.response) {
		turn(crowd);
	}
	assert_true(!w->refused || !w->count || w->error.code == API_DRAINING);
}

static void loops_go_in_any_order(void **state) {
	(void)state;
	CROWD(HELD);
	for (size_t i = 0; i < 6 * 8; i++) {
		const size_t *order = orders[i % 6];
		struct traffic t;
		traffic_start(&crowd, &t);
		for (size_t turns = 0; turns < i / 6; turns++) {
			look_round(&crowd);
		}
		if (i / 6 == 7) {
			wait_count(&crowd, &t.home[0], 5);
			wait_letters(&crowd);
		}
		for (size_t k = 0; k < ENGINES; k++) {
			traffic_stop(&crowd, &t, order[k]);
			/* Whoever follows it elsewhere hears so, if it has not ended before. */
			for (size_t other = 0; i % 2 && other < ENGINES; other++) {
				assert_told(&crowd, &t.away[order[k]][other]);
			}
		}
		crowd_reopen(&crowd);
		for (size_t k = 0; k < ENGINES; k++) {
			drop(&t.home[k]);
			for (size_t other = 0; other < ENGINES; other++) {
				drop(&t.away[k][other]);
			}
		}
		drop(&t.repeat);
	}
	crowd_close(&crowd);
}

/* --- memory ---------------------------------------------------------------------------------------------------------- */

static bool begins_with(struct buf *whole, struct buf *part) {
	return part->length <= whole->length && (!part->length || memcmp(whole->data, part->data, part->length) == 0);
}

/* Either all of it, or an end in the middle that was told. */
static void assert_told_true(struct watcher *away, struct watcher *home) {
	assert_true(away->finished);
	if (home->events.failed || away->events.failed) {
		return;
	}
	if (away->refused) {
		assert_true(away->error.code == API_OVERLOADED || away->error.code == API_STORAGE_FAILED ||
			    away->error.code == home->error.code);
		assert_true(begins_with(&home->events, &away->events));
	} else {
		assert_alike(buf_text(&away->events), buf_text(&home->events));
	}
}

/* What failed before is made up for. */
static void wait_well(struct crowd *crowd) {
	while (!engine_upstream_known(crowd->engines[0]) || store_health(crowd->stage.vessel.store, NULL)) {
		turn(crowd);
	}
}

/* Watches; a refusal at once is one. No assertion on memory. */
static void look_without_memory(struct crowd *crowd, size_t engine, struct watcher *w, const char *id) {
	w->may_break = true;
	if (look(crowd, engine, w, id, 0)) {
		w->refused = w->finished = true;
	}
}

static void memory_out_at(struct crowd *crowd, uint64_t n, bool persistent, bool store) {
	struct watcher home = {0}, away = {0}, late = {0};
	begin(crowd, 0, &home, NULL, store);
	wait_count(crowd, &home, 5);
	mem_fail_after(n, persistent);
	look_without_memory(crowd, 1, &away, home.id);
	while (!away.finished && away.count < 5) {
		turn(crowd);
	}
	look_without_memory(crowd, 2, &late, home.id);
	say_the_rest(crowd);
	wait_for(&crowd->stage, &home);
	if (persistent) {
		mem_fail_after(0, false);
	}
	wait_for(&crowd->stage, &away);
	wait_for(&crowd->stage, &late);
	mem_fail_after(0, false);
	assert_told_true(&away, &home);
	assert_told_true(&late, &home);
	wait_none_live(crowd);
	drop(&home);
	drop(&away);
	drop(&late);
}

static void memory_out_at_every_point_is_told(void **state) {
	(void)state;
	for (int way = 0; way < 4; way++) {
		bool clean = false;
		CROWD(HELD);
		for (uint64_t n = 1; !clean && n < 2000; n++) {
			wait_well(&crowd);
			uint64_t before = mem_alloc_count();
			memory_out_at(&crowd, n, way & 1, way & 2);
			/* Those of its beginning, which are not meant, are some more. */
			clean = mem_alloc_count() - before < n;
		}
		assert_true(clean);
		crowd_close(&crowd);
	}
}

struct fan {
	struct follower follower;
	struct watcher watcher;
	size_t began;
};

static void on_began(struct follower *follower, struct response *response) {
	struct fan *fan = container_of(follower, struct fan, follower);
	fan->began++;
	fan->watcher.may_break = true;
	cursor_open(&fan->watcher.cursor, response, 0, &watch, &fan->watcher);
}

/* The same of what begins, of whoever follows its conversation, and of a repeat. */
static void memory_out_while_it_begins(void **state) {
	(void)state;
	bool clean = false;
	CROWD({.bytes = STREAM HELLO});
	for (uint64_t n = 1; !clean && n < 2000; n++) {
		struct watcher first = {0}, home = {0}, repeat = {.may_break = true};
		struct fan fan = {0};
		wait_well(&crowd);
		begin(&crowd, 0, &first, NULL, true);
		wait_for(&crowd.stage, &first);
		const char *conversation = conversation_id(first.conversation);
		assert_int_equal(engine_follow(crowd.engines[1], &fan.follower, conversation, on_began), 0);
		size_t asked = crowd.stage.world.requests;
		uint64_t before = mem_alloc_count();
		struct request requests[2] = {{.settings.store = true}, {.settings.store = true}};
		struct watcher *asks[2] = {&home, &repeat};
		for (size_t i = 0; i < 2; i++) {
			struct item item = {0};
			assert_int_equal(item_message(&item, ROLE_USER, ITEM_COMPLETED, "msg_in", STR("Hi")), 0);
			assert_int_equal(item_list_add(&requests[i].input, &item), 0);
			snprintf(requests[i].idempotency_key, sizeof requests[i].idempotency_key, "k%d", (int)n);
			snprintf(requests[i].conversation, sizeof requests[i].conversation, "%s", conversation);
		}
		mem_fail_after(n, false);
		for (size_t i = 0; i < 2; i++) {
			struct watcher *w = asks[i];
			const struct engine_start start = {
				.owner = OWNER, .request = &requests[i], .log = &crowd.stage.vessel.log};
			if (engine_create(crowd.engines[2 * i], &start, &w->cursor, &watch, w, &w->error)) {
				w->refused = w->finished = true;
			}
		}
		wait_for(&crowd.stage, &home);
		wait_for(&crowd.stage, &repeat);
		wait_letters(&crowd);
		if (fan.began) {
			wait_for(&crowd.stage, &fan.watcher);
			assert_told_true(&fan.watcher, home.refused ? &repeat : &home);
		}
		mem_fail_after(0, false);
		clean = mem_alloc_count() - before < n;
		assert_true(fan.began <= 1);
		if (!home.refused && !repeat.refused) {
			assert_told_true(&repeat, &home);
		}
		assert_true(crowd.stage.world.requests - asked <= 1);
		wait_none_live(&crowd);
		engine_unfollow(crowd.engines[1], &fan.follower);
		drop(&first);
		drop(&home);
		drop(&repeat);
		drop(&fan.watcher);
	}
	assert_true(clean);
	crowd_close(&crowd);
}

static int setup_program(void **state) {
	return fault_install(state);
}

static int teardown(void **state) {
	(void)state;
	fault_reset();
	unsure_reset();
	mem_fail_after(0, false);
	vessel_store_open = store_open;
	return 0;
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(an_end_that_is_not_stored_yet, teardown),
		cmocka_unit_test_teardown(what_the_store_is_owed_counts_for_all, teardown),
		cmocka_unit_test_teardown(loops_go_in_any_order, teardown),
		cmocka_unit_test_teardown(memory_out_at_every_point_is_told, teardown),
		cmocka_unit_test_teardown(memory_out_while_it_begins, teardown),
	};
	return cmocka_run_group_tests(tests, setup_program, NULL);
}
