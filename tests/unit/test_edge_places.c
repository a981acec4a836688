/* The places of connections: how many there may be, from whom, and on which loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "places.h"

#define LOOPS 3

struct stage {
	struct places *places;
	struct seat *seats[LOOPS];
	int listening;
	struct sockaddr_in address;
	int clients[2]; /* from 127.0.0.1 and 127.0.0.2 */
	int accepted[2];
};

static void join_from(struct stage *stage, int i) {
	const struct sockaddr_in from = {.sin_family = AF_INET,
					 .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)i)};
	stage->clients[i] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(stage->clients[i], (const struct sockaddr *)&from, sizeof from), 0);
	assert_int_equal(connect(stage->clients[i], (struct sockaddr *)&stage->address, sizeof stage->address), 0);
	stage->accepted[i] = accept(stage->listening, NULL, NULL);
	assert_true(stage->accepted[i] >= 0);
}

static int set_up(void **state) {
	struct stage *stage = calloc(1, sizeof *stage);
	socklen_t length = sizeof stage->address;
	stage->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	stage->listening = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(stage->listening, (struct sockaddr *)&stage->address, length), 0);
	assert_int_equal(listen(stage->listening, 2), 0);
	assert_int_equal(getsockname(stage->listening, (struct sockaddr *)&stage->address, &length), 0);
	join_from(stage, 0);
	join_from(stage, 1);
	*state = stage;
	return 0;
}

static int tear_down(void **state) {
	struct stage *stage = *state;
	places_free(&stage->places);
	for (int i = 0; i < 2; i++) {
		close(stage->clients[i]);
		close(stage->accepted[i]);
	}
	close(stage->listening);
	free(stage);
	return 0;
}

static void open_places(struct stage *stage, uint32_t most, uint32_t most_per_address) {
	stage->places = places_new(most, most_per_address, LOOPS, NULL);
	assert_non_null(stage->places);
	for (int i = 0; i < LOOPS; i++) {
		stage->seats[i] = places_open(stage->places, NULL, NULL);
		assert_non_null(stage->seats[i]);
	}
}

static void the_loop_with_the_fewest_is_given_the_next(void **state) {
	struct stage *stage = *state;
	struct place taken[3 * LOOPS] = {0};
	open_places(stage, 100, 0);
	assert_null(places_open(stage->places, NULL, NULL));
	for (int i = 0; i < 3 * LOOPS; i++) {
		assert_int_equal(places_take(stage->places, stage->accepted[0], &taken[i]), PLACES_TAKEN);
		assert_ptr_equal(taken[i].seat, stage->seats[i % LOOPS]);
	}
	/* Two leave the second loop: the next two go there. */
	places_give_back(stage->places, &taken[1]);
	places_give_back(stage->places, &taken[1 + LOOPS]);
	assert_null(taken[1].seat);
	assert_int_equal(places_take(stage->places, stage->accepted[0], &taken[1]), PLACES_TAKEN);
	assert_int_equal(places_take(stage->places, stage->accepted[0], &taken[1 + LOOPS]), PLACES_TAKEN);
	assert_ptr_equal(taken[1].seat, stage->seats[1]);
	assert_ptr_equal(taken[1 + LOOPS].seat, stage->seats[1]);
	for (int i = 0; i < 3 * LOOPS; i++) {
		places_give_back(stage->places, &taken[i]);
	}
}

static void a_loop_that_is_closed_is_given_none(void **state) {
	struct stage *stage = *state;
	struct place taken[2] = {0}, none = {0};
	open_places(stage, 100, 0);
	places_close(stage->places, stage->seats[0]);
	places_close(stage->places, stage->seats[2]);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(places_take(stage->places, stage->accepted[0], &taken[i]), PLACES_TAKEN);
		assert_ptr_equal(taken[i].seat, stage->seats[1]);
	}
	places_close(stage->places, stage->seats[1]);
	assert_int_equal(places_take(stage->places, stage->accepted[0], &none), PLACES_FULL);
	assert_null(none.seat);
	places_give_back(stage->places, &taken[0]);
	places_give_back(stage->places, &taken[1]);
}

static void limits_hold_over_all_loops(void **state) {
	struct stage *stage = *state;
	struct place taken[4] = {0}, none = {0};
	open_places(stage, 3, 2);
	assert_int_equal(places_take(stage->places, stage->accepted[0], &taken[0]), PLACES_TAKEN);
	assert_int_equal(places_take(stage->places, stage->accepted[0], &taken[1]), PLACES_TAKEN);
	assert_int_equal(places_take(stage->places, stage->accepted[0], &none), PLACES_CROWDED);
	assert_int_equal(places_take(stage->places, stage->accepted[1], &taken[2]), PLACES_TAKEN);
	assert_int_equal(places_take(stage->places, stage->accepted[1], &none), PLACES_FULL);
	places_give_back(stage->places, &taken[0]);
	assert_int_equal(places_take(stage->places, stage->accepted[1], &taken[3]), PLACES_TAKEN);
	assert_int_equal(places_take(stage->places, stage->accepted[0], &none), PLACES_FULL);
	places_give_back(stage->places, &none);
	for (int i = 1; i < 4; i++) {
		places_give_back(stage->places, &taken[i]);
	}
	assert_int_equal(places_take(stage->places, stage->accepted[0], &taken[0]), PLACES_TAKEN);
	places_give_back(stage->places, &taken[0]);
}

/* A client that was reset before it was looked at has no address: it counts for everybody's limit. */
static void an_address_that_is_not_known_still_takes_a_place(void **state) {
	struct stage *stage = *state;
	struct place taken = {0}, none = {0};
	open_places(stage, 1, 1);
	int nobody = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(places_take(stage->places, nobody, &taken), PLACES_TAKEN);
	assert_null(taken.share);
	assert_int_equal(places_take(stage->places, nobody, &none), PLACES_FULL);
	places_give_back(stage->places, &taken);
	close(nobody);
}

static void memory_that_is_out_is_told(void **state) {
	struct stage *stage = *state;
	struct err err = {0};
	for (uint64_t nth = 1; !stage->places; nth++) {
		mem_fail_after(nth, false);
		stage->places = places_new(1, 1, LOOPS, &err);
		assert_true(stage->places || err.code == ERR_MEMORY);
	}
	mem_fail_after(0, false);
}

#define TURNS 20000

static void *come_and_go(void *arg) {
	struct stage *stage = arg;
	size_t refused = 0;
	for (int i = 0; i < TURNS; i++) {
		struct place place = {0};
		refused += places_take(stage->places, stage->accepted[i % 2], &place) != 0;
		places_give_back(stage->places, &place);
	}
	return (void *)refused;
}

static void threads_may_come_and_go_at_once(void **state) {
	struct stage *stage = *state;
	pthread_t threads[LOOPS];
	open_places(stage, LOOPS, LOOPS);
	for (int i = 0; i < LOOPS; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, stage), 0);
	}
	for (int i = 0; i < LOOPS; i++) {
		void *refused;
		assert_int_equal(pthread_join(threads[i], &refused), 0);
		assert_null(refused);
	}
	struct place taken[LOOPS] = {0};
	for (int i = 0; i < LOOPS; i++) {
		assert_int_equal(places_take(stage->places, stage->accepted[0], &taken[i]), PLACES_TAKEN);
		assert_int_equal(taken[i].seat->count, 1);
	}
	for (int i = 0; i < LOOPS; i++) {
		places_give_back(stage->places, &taken[i]);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_loop_with_the_fewest_is_given_the_next, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_loop_that_is_closed_is_given_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(limits_hold_over_all_loops, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_address_that_is_not_known_still_takes_a_place, set_up, tear_down),
		cmocka_unit_test_setup_teardown(memory_that_is_out_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(threads_may_come_and_go_at_once, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
