/* A real store with a real key in a folder of its own, and the conversation layer over it. */
#ifndef SLUICE_TESTS_CONVERSATION_TEST_H
#define SLUICE_TESTS_CONVERSATION_TEST_H

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#include "base/metrics.h"
#include "conversation/conversation.h"

struct vessel {
	uv_loop_t *loop;
	char dir[64];
	char key_file[96];
	struct log log;
	struct metrics *metrics;
	struct store *store;
	struct seal_keyring *keyring;
	struct conversations *conversations;
};

/* How stores are opened; a test may set its own. */
static struct store *(*vessel_store_open)(const struct store_options *options, const struct store_deps *deps,
					  struct err *err) = store_open;

static inline void vessel_open_store(struct vessel *vessel) {
	struct err err = {0};
	const struct store_options options = {.dir = vessel->dir, .busy_timeout_ms = 1000};
	const struct store_deps deps = {vessel->loop, clock_system(), &vessel->log, vessel->metrics};
	vessel->store = vessel_store_open(&options, &deps, &err);
	if (!vessel->store) {
		fail_msg("store: %s", err.text);
	}
	const struct conversation_deps conversation_deps = {
		.store = vessel->store,
		.keyring = vessel->keyring,
		.clock = clock_system(),
		.log = &vessel->log,
		.max_context = 65536,
	};
	vessel->conversations = conversations_new(&conversation_deps, &err);
	assert_non_null(vessel->conversations);
}

static inline void vessel_close_store(struct vessel *vessel) {
	store_close(&vessel->store);
	conversations_free(&vessel->conversations);
	uv_run(vessel->loop, UV_RUN_NOWAIT);
}

static inline void vessel_open(struct vessel *vessel, uv_loop_t *loop) {
	struct err err = {0};
	*vessel = (struct vessel){.loop = loop};
	snprintf(vessel->dir, sizeof vessel->dir, "/tmp/sluice-test-XXXXXX");
	assert_non_null(mkdtemp(vessel->dir));
	snprintf(vessel->key_file, sizeof vessel->key_file, "%s/kek", vessel->dir);
	vessel->metrics = metrics_new();
	assert_int_equal(seal_init(&err), 0);
	assert_int_equal(seal_key_file_make(vessel->key_file, &err), 0);
	vessel->keyring = seal_keyring_open(vessel->key_file, false, &err);
	assert_non_null(vessel->keyring);
	vessel_open_store(vessel);
}

static inline int vessel_remove(const char *path, const struct stat *status, int type, struct FTW *walk) {
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static inline void vessel_close(struct vessel *vessel) {
	vessel_close_store(vessel);
	seal_keyring_free(&vessel->keyring);
	metrics_free(&vessel->metrics);
	nftw(vessel->dir, vessel_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* Runs the loop until *what is set. */
static inline void vessel_wait(struct vessel *vessel, const bool *what) {
	while (!*what) {
		uv_run(vessel->loop, UV_RUN_ONCE);
	}
}

#endif
