#include "upstream_test.h"

#define LIST(body) CLOSED("200 OK", "application/json", body)

/* Runs the loop until the list has been answered for, well or not: the server has closed the connection. */
static void fetch(struct world *world, const char *answer) {
	static const struct answer none = {.bytes = STREAM HELLO};
	world_open(world, &none, 1);
	world->models = answer;
	world_connect(world, NULL);
	world_wait(world, &world->ended, 1);
	for (int i = 0; i < 5; i++) {
		uv_run(&world->loop, UV_RUN_NOWAIT);
	}
}

static void test_names(void **state) {
	(void)state;
	struct world world;
	world_open(&world, NULL, 0);
	world.models =
		LIST("{\"object\":\"list\",\"data\":[{\"id\":\"one\"},{\"id\":\"two/2\",\"object\":\"model\"}]}");
	world_connect(&world, NULL);
	const struct upstream_model *models;
	assert_int_equal(upstream_models(world.upstream, 1000, &models), 0);
	assert_false(upstream_is_up(world.upstream));
	while (!upstream_is_up(world.upstream)) {
		uv_run(&world.loop, UV_RUN_ONCE);
	}
	assert_int_equal(upstream_models(world.upstream, 60000, &models), 2);
	assert_string_equal(models[0].name, "one");
	assert_string_equal(models[1].name, "two/2");
	assert_int_equal(world.accepted, 1);

	/* An old list is asked for again; the answer is the old one until then. */
	world.models = LIST("{\"data\":[{\"id\":\"three\"}]}");
	assert_int_equal(upstream_models(world.upstream, -1, &models), 2);
	while (upstream_models(world.upstream, 60000, &models) != 1) {
		uv_run(&world.loop, UV_RUN_ONCE);
	}
	assert_string_equal(models[0].name, "three");
	assert_int_equal(world.accepted, 2);
	world_close(&world);
}

static void test_bad_names_are_left_out(void **state) {
	(void)state;
	static const char name[] =
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab"
		"cdef0123456789abcdef0123456789abcde";
	assert_int_equal(strlen(name), 127);
	char answer[1024];
	snprintf(answer, sizeof answer,
		 LIST("{\"data\":[{\"id\":\"\"},{\"id\":\"%s\"},{\"id\":\"%sf\"},{\"id\":\"a\\nb\"},{\"id\":7},{},3,"
		      "{\"id\":\"a\\u007fb\"},{\"id\":\"last\"}]}"),
		 name, name);
	struct world world;
	world_open(&world, NULL, 0);
	world.models = answer;
	world_connect(&world, NULL);
	while (!upstream_is_up(world.upstream)) {
		uv_run(&world.loop, UV_RUN_ONCE);
	}
	const struct upstream_model *models;
	assert_int_equal(upstream_models(world.upstream, 60000, &models), 2);
	assert_string_equal(models[0].name, name);
	assert_string_equal(models[1].name, "last");
	world_close(&world);
}

static void test_at_most_a_thousand(void **state) {
	(void)state;
	struct buf answer = BUF_INIT;
	buf_append_text(&answer, LIST("{\"data\":["));
	for (int i = 0; i < 1500; i++) {
		buf_printf(&answer, "%s{\"id\":\"m%d\"}", i ? "," : "", i);
	}
	buf_append_text(&answer, "]}");
	struct world world;
	world_open(&world, NULL, 0);
	world.models = buf_text(&answer);
	world_connect(&world, NULL);
	while (!upstream_is_up(world.upstream)) {
		uv_run(&world.loop, UV_RUN_ONCE);
	}
	const struct upstream_model *models;
	assert_int_equal(upstream_models(world.upstream, 60000, &models), 1000);
	assert_string_equal(models[999].name, "m999");
	world_close(&world);
	buf_free(&answer);
}

static void test_bad_answers(void **state) {
	(void)state;
	char *large = malloc(3 << 20);
	assert_non_null(large);
	memset(large, ' ', (3 << 20) - 1);
	large[(3 << 20) - 1] = '\0';
	memcpy(large, LIST(""), strlen(LIST("")));
	const char *answers[] = {
		NULL,
		LIST("no JSON"),
		LIST("[]"),
		LIST("{\"data\":{}}"),
		CLOSED("500 No", "application/json", "{\"data\":[]}"),
		large,
	};
	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
		struct world world;
		fetch(&world, answers[i]);
		assert_false(upstream_is_up(world.upstream));
		const struct upstream_model *models;
		/* A failure just now: no second question yet. */
		assert_int_equal(upstream_models(world.upstream, 0, &models), 0);
		for (int turn = 0; turn < 5; turn++) {
			uv_run(&world.loop, UV_RUN_NOWAIT);
		}
		assert_int_equal(world.accepted, 1);
		world_close(&world);
	}
	free(large);
}

static void test_freed_while_asking(void **state) {
	(void)state;
	struct world world;
	world_open(&world, NULL, 0);
	world.models = HEAD("200 OK", "application/json") "Content-Length: 10\r\n\r\n{";
	world_connect(&world, NULL);
	world_wait(&world, &world.accepted, 1);
	upstream_free(&world.upstream);
	world_wait(&world, &world.ended, 1);
	world_close(&world);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_bad_names_are_left_out),
		cmocka_unit_test(test_at_most_a_thousand),
		cmocka_unit_test(test_bad_answers),
		cmocka_unit_test(test_freed_while_asking),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
