/* Listening sockets: who is handed up, what happens when descriptors run short, and who is left to the successor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "listener.h"

#define MOST 128

struct stage {
	uv_loop_t loop;
	struct log log;
	struct metrics *metrics;
	struct counter *refused;
	struct listener *listener;
	int accepted[MOST];
	size_t accepted_count;
	int clients[MOST];
	size_t client_count;
};

static void on_connection(void *owner, int descriptor) {
	struct stage *stage = owner;
	assert_true(stage->accepted_count < MOST);
	stage->accepted[stage->accepted_count++] = descriptor;
}

static int set_up(void **state) {
	struct stage *stage = calloc(1, sizeof *stage);
	stage->metrics = metrics_new();
	stage->refused = metrics_counter(stage->metrics, "refused", NULL, "");
	*state = stage;
	return uv_loop_init(&stage->loop);
}

static int tear_down(void **state) {
	struct stage *stage = *state;
	listener_free(&stage->listener);
	uv_run(&stage->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&stage->loop), 0);
	for (size_t i = 0; i < stage->accepted_count; i++) {
		close(stage->accepted[i]);
	}
	for (size_t i = 0; i < stage->client_count; i++) {
		close(stage->clients[i]);
	}
	metrics_free(&stage->metrics);
	free(stage);
	return 0;
}

static struct listener *open_with(struct stage *stage, const struct listener_options *options, struct err *err) {
	const struct listener_deps deps = {
		.loop = &stage->loop,
		.clock = clock_system(),
		.log = &stage->log,
		.refused = stage->refused,
		.on_connection = on_connection,
		.owner = stage,
	};
	return listener_new(options, &deps, err);
}

static void open_own(struct stage *stage, int descriptor_limit) {
	struct err err = {0};
	stage->listener = open_with(
		stage, &(struct listener_options){.address = "127.0.0.1", .descriptor_limit = descriptor_limit}, &err);
	if (!stage->listener) {
		fail_msg("%s", err.text);
	}
}

/* A listening socket as a service manager would make it. */
static int make_socket(struct sockaddr_in *address) {
	socklen_t length = sizeof *address;
	int descriptor = socket(AF_INET, SOCK_STREAM, 0);
	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(descriptor, (struct sockaddr *)address, sizeof *address), 0);
	assert_int_equal(listen(descriptor, 16), 0);
	assert_int_equal(getsockname(descriptor, (struct sockaddr *)address, &length), 0);
	return descriptor;
}

static struct sockaddr_in address_of(const struct listener *listener) {
	const char *text = listener_address(listener);
	const char *colon = strrchr(text, ':');
	assert_memory_equal(text, "127.0.0.1:", 10);
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons((uint16_t)atoi(colon + 1)),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* 0, or what connect(2) says. */
static int dial(struct stage *stage, struct sockaddr_in address) {
	int client = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(client >= 0 && stage->client_count < MOST);
	stage->clients[stage->client_count++] = client;
	return connect(client, (struct sockaddr *)&address, sizeof address) ? errno : 0;
}

static void run_until(struct stage *stage, size_t accepted) {
	uint64_t end = uv_hrtime() + UINT64_C(10000000000);
	while (stage->accepted_count < accepted && uv_hrtime() < end) {
		uv_run(&stage->loop, UV_RUN_ONCE);
	}
	assert_int_equal(stage->accepted_count, accepted);
}

static void connections_are_handed_up_ready_for_use(void **state) {
	struct stage *stage = *state;
	open_own(stage, INT32_MAX);
	assert_false(listener_is_inherited(stage->listener));
	for (int i = 0; i < 100; i++) {
		assert_int_equal(dial(stage, address_of(stage->listener)), 0);
	}
	run_until(stage, 100);
	for (size_t i = 0; i < stage->accepted_count; i++) {
		int on = 0;
		socklen_t length = sizeof on;
		assert_true(fcntl(stage->accepted[i], F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(stage->accepted[i], F_GETFD) & FD_CLOEXEC);
		assert_int_equal(getsockopt(stage->accepted[i], IPPROTO_TCP, TCP_NODELAY, &on, &length), 0);
		assert_true(on);
	}
}

static void an_address_that_is_taken_is_named(void **state) {
	struct stage *stage = *state;
	struct err err = {0};
	open_own(stage, INT32_MAX);
	uint16_t port = ntohs(address_of(stage->listener).sin_port);
	assert_null(open_with(stage, &(struct listener_options){.address = "127.0.0.1", .port = port}, &err));
	assert_non_null(strstr(err.text, strerror(EADDRINUSE)));
	assert_null(open_with(stage, &(struct listener_options){.address = "here"}, &err));
	assert_non_null(strstr(err.text, "here"));
}

static void inherited_sockets_are_all_served(void **state) {
	struct stage *stage = *state;
	struct sockaddr_in addresses[2];
	struct err err = {0};
	const int sockets[2] = {make_socket(&addresses[0]), make_socket(&addresses[1])};
	const struct listener_options options = {
		.inherited = sockets, .inherited_count = 2, .descriptor_limit = INT32_MAX};
	stage->listener = open_with(stage, &options, &err);
	assert_non_null(stage->listener);
	assert_true(listener_is_inherited(stage->listener));
	assert_int_equal(address_of(stage->listener).sin_port, addresses[0].sin_port);
	assert_int_equal(dial(stage, addresses[0]), 0);
	run_until(stage, 1);
	assert_int_equal(dial(stage, addresses[1]), 0);
	run_until(stage, 2);
}

/* Waits for the loop to refuse one more, and says how long that took. */
static uint64_t run_until_refused(struct stage *stage, uint64_t refused) {
	uint64_t begin = uv_hrtime();
	while (atomic_load(&stage->refused->value) < refused && uv_hrtime() - begin < UINT64_C(5000000000)) {
		uv_run(&stage->loop, UV_RUN_ONCE);
	}
	assert_int_equal(atomic_load(&stage->refused->value), refused);
	return uv_hrtime() - begin;
}

static void a_high_descriptor_is_refused_and_the_next_one_waits(void **state) {
	struct stage *stage = *state;
	open_own(stage, 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(dial(stage, address_of(stage->listener)), 0);
	}
	run_until_refused(stage, 1);
	for (uint64_t refused = 2; refused <= 4; refused++) {
		assert_true(run_until_refused(stage, refused) > 30 * 1000000);
	}
	char byte;
	assert_int_equal(recv(stage->clients[0], &byte, 1, 0), 0);
	assert_int_equal(stage->accepted_count, 0);
}

static void out_of_descriptors_it_rests_and_goes_on_later(void **state) {
	struct stage *stage = *state;
	struct rlimit limit;
	open_own(stage, INT32_MAX);
	assert_int_equal(dial(stage, address_of(stage->listener)), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	int lowest = dup(0);
	close(lowest);
	const struct rlimit none = {.rlim_cur = (rlim_t)lowest, .rlim_max = limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	/* Three wake-ups: the socket is readable, then the rest is over twice. Without a rest they would take no time. */
	uint64_t begin = uv_hrtime();
	int wakeups = 0;
	while (uv_hrtime() - begin < 100 * 1000000) {
		uv_run(&stage->loop, UV_RUN_ONCE);
		wakeups++;
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_in_range(wakeups, 2, 12);
	assert_int_equal(stage->accepted_count, 0);
	run_until(stage, 1);
}

static void stopped_its_own_socket_is_emptied_and_closed(void **state) {
	struct stage *stage = *state;
	open_own(stage, INT32_MAX);
	struct sockaddr_in address = address_of(stage->listener);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(dial(stage, address), 0);
	}
	listener_stop(stage->listener);
	assert_int_equal(stage->accepted_count, 100);
	listener_stop(stage->listener);
	assert_int_equal(dial(stage, address), ECONNREFUSED);
}

static void stopped_an_inherited_socket_is_left_to_the_successor(void **state) {
	struct stage *stage = *state;
	struct sockaddr_in address;
	struct err err = {0};
	int kept = make_socket(&address), first = dup(kept), second = dup(kept);
	const struct listener_options options = {
		.inherited = &first, .inherited_count = 1, .descriptor_limit = INT32_MAX};
	struct listener *gone = open_with(stage, &options, &err);
	assert_non_null(gone);
	assert_int_equal(dial(stage, address), 0);
	listener_stop(gone);
	assert_int_equal(dial(stage, address), 0);
	/* The loop no longer watches it, though others hold it open. */
	uv_run(&stage->loop, UV_RUN_NOWAIT);
	assert_int_equal(stage->accepted_count, 0);
	listener_free(&gone);
	const struct listener_options next = {
		.inherited = &second, .inherited_count = 1, .descriptor_limit = INT32_MAX};
	stage->listener = open_with(stage, &next, &err);
	assert_non_null(stage->listener);
	run_until(stage, 2);
	close(kept);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(connections_are_handed_up_ready_for_use, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_address_that_is_taken_is_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(inherited_sockets_are_all_served, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_high_descriptor_is_refused_and_the_next_one_waits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(out_of_descriptors_it_rests_and_goes_on_later, set_up, tear_down),
		cmocka_unit_test_setup_teardown(stopped_its_own_socket_is_emptied_and_closed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(stopped_an_inherited_socket_is_left_to_the_successor, set_up,
						tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
