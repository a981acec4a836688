/* What the store's tests share: a store in a fresh folder on a loop of its own, and calls that wait for their
 * answer. */
#ifndef SLUICE_TEST_STORE_H
#define SLUICE_TEST_STORE_H

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/store.h"

struct fixture {
	char dir[64];
	uv_loop_t loop;
	struct clock_fake clock;
	struct log log;
	struct metrics *metrics;
	struct store *store;
};

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *place) {
	(void)st;
	(void)type;
	(void)place;
	return remove(path);
}

static inline struct store *fixture_try_open(struct fixture *f, bool read_only, struct err *err) {
	const struct store_options options = {.dir = f->dir, .busy_timeout_ms = 200, .read_only = read_only};
	const struct store_deps deps = {
		.loop = &f->loop, .clock = &f->clock.clock, .log = &f->log, .metrics = f->metrics};
	return store_open(&options, &deps, err);
}

static inline void fixture_open(struct fixture *f) {
	struct err err = {0};
	f->store = fixture_try_open(f, false, &err);
	if (!f->store) {
		fail_msg("store_open: %s", err.text);
	}
}

static inline void fixture_close(struct fixture *f) {
	store_close(&f->store);
	assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
}

static inline void fixture_reopen(struct fixture *f) {
	fixture_close(f);
	fixture_open(f);
}

/* Everything but the store itself. */
static inline struct fixture *fixture_new(void) {
	struct fixture *f = calloc(1, sizeof *f);
	assert_non_null(f);
	strcpy(f->dir, "/tmp/sluice-store-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(uv_loop_init(&f->loop), 0);
	clock_fake_init(&f->clock, 1000000, 1700000000000);
	f->metrics = metrics_new();
	assert_non_null(f->metrics);
	return f;
}

static inline void fixture_free(struct fixture *f) {
	fixture_close(f);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	metrics_free(&f->metrics);
	nftw(f->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
}

static inline int setup_store(void **state) {
	struct fixture *f = fixture_new();
	fixture_open(f);
	*state = f;
	return 0;
}

static inline int setup_folder(void **state) {
	*state = fixture_new();
	return 0;
}

static inline int teardown_store(void **state) {
	fixture_free(*state);
	return 0;
}

/* --- waiting for answers ------------------------------------------------------------------------------------------ */

struct answer {
	bool came;
	struct err err; /* ERR_NONE: it went well */
	struct store_snapshot *snapshot;
};

static inline void on_written(void *owner, const struct err *err) {
	struct answer *answer = owner;
	assert_false(answer->came);
	answer->came = true;
	if (err) {
		answer->err = *err;
	}
}

static inline void on_read(void *owner, struct store_snapshot *snapshot, const struct err *err) {
	on_written(owner, err);
	((struct answer *)owner)->snapshot = snapshot;
}

static inline void wait_for(struct fixture *f, const struct answer *answer) {
	while (!answer->came) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
}

/* The outcome of a write. */
static inline enum err_code commit(struct fixture *f, struct store_write *write) {
	struct answer answer = {0};
	assert_non_null(store_commit(f->store, &write, on_written, &answer));
	assert_null(write);
	assert_false(answer.came);
	wait_for(f, &answer);
	return answer.err.code;
}

static inline struct store_query query_of(enum store_read_kind kind, const char *owner, const char *id) {
	struct store_query query = {.kind = kind};
	strcpy(query.owner, owner);
	strcpy(query.id, id);
	return query;
}

/* NULL with the code in `code`, which may be NULL. */
static inline struct store_snapshot *read_query(struct fixture *f, const struct store_query *query,
						enum err_code *code) {
	struct answer answer = {0};
	assert_non_null(store_read(f->store, query, on_read, &answer));
	assert_false(answer.came);
	wait_for(f, &answer);
	assert_int_equal(answer.snapshot == NULL, answer.err.code != ERR_NONE);
	if (code) {
		*code = answer.err.code;
	}
	return answer.snapshot;
}

static inline struct store_snapshot *read_one(struct fixture *f, enum store_read_kind kind, const char *owner,
					      const char *id) {
	const struct store_query query = query_of(kind, owner, id);
	return read_query(f, &query, NULL);
}

static inline enum err_code read_code(struct fixture *f, enum store_read_kind kind, const char *owner, const char *id) {
	const struct store_query query = query_of(kind, owner, id);
	enum err_code code;
	struct store_snapshot *snapshot = read_query(f, &query, &code);
	store_snapshot_free(&snapshot);
	return code;
}

/* --- rows --------------------------------------------------------------------------------------------------------- */

/* A row's bytes need no meaning here, only to come back as they were: `seed` tells one row's from another's. */
static inline void fill(uint8_t *to, size_t length, unsigned seed) {
	for (size_t i = 0; i < length; i++) {
		to[i] = (uint8_t)(seed * 31 + i * 7 + 1);
	}
}

static inline struct store_dek make_dek(const char *owner, const char *thread, uint32_t epoch) {
	struct store_dek dek = {.epoch = epoch};
	strcpy(dek.owner, owner);
	strcpy(dek.thread, thread);
	fill(dek.wrapped, sizeof dek.wrapped, 100 + epoch);
	return dek;
}

static inline struct store_thread make_thread(const char *owner, const char *id, uint32_t last_number) {
	struct store_thread thread = {
		.created_ms = 1000, .updated_ms = 1000 + last_number, .last_number = last_number, .count = last_number};
	strcpy(thread.owner, owner);
	strcpy(thread.id, id);
	fill(thread.chain, sizeof thread.chain, 200 + last_number);
	fill(thread.head, sizeof thread.head, 300 + last_number);
	return thread;
}

static inline struct store_response make_response(const char *owner, const char *thread, const char *id,
						  const char *parent) {
	struct store_response response = {.created_ms = 2000,
					  .completed_ms = 3000,
					  .input_tokens = 11,
					  .cached_tokens = -1,
					  .output_tokens = 13,
					  .reasoning_tokens = 14};
	strcpy(response.owner, owner);
	strcpy(response.thread, thread);
	strcpy(response.id, id);
	strcpy(response.parent, parent);
	strcpy(response.model, "demo");
	strcpy(response.status, "completed");
	return response;
}

#define RECORD_SIZE 336 /* of the smallest sealed record */

static inline struct store_record make_record(const char *thread, const char *response, uint32_t number,
					      uint32_t kind) {
	uint8_t sealed[RECORD_SIZE];
	struct store_record record = {.number = number, .kind = kind, .created_ms = 4000 + number};
	strcpy(record.thread, thread);
	strcpy(record.response, response);
	fill(sealed, sizeof sealed, number);
	buf_append(&record.sealed, sealed, sizeof sealed);
	assert_false(record.sealed.failed);
	return record;
}

static inline void put_record(struct store_write *write, const char *thread, const char *response, uint32_t number,
			      uint32_t kind) {
	struct store_record record = make_record(thread, response, number, kind);
	assert_int_equal(store_put_record(write, &record), 0);
	assert_null(record.sealed.data);
}

/* A whole turn: a response with two records, on a thread whose last number was `last` before. A first one (last 0)
 * brings the thread's key. */
static inline struct store_write *turn(const char *owner, const char *thread, const char *response, const char *parent,
				       uint32_t last) {
	struct store_write *write = store_write_new();
	assert_non_null(write);
	if (last == 0) {
		struct store_dek dek = make_dek(owner, thread, 1);
		assert_int_equal(store_put_dek(write, &dek), 0);
	}
	struct store_thread row = make_thread(owner, thread, last + 2);
	strcpy(row.last_response, response);
	assert_int_equal(store_put_thread(write, &row, last), 0);
	struct store_response answer = make_response(owner, thread, response, parent);
	assert_int_equal(store_put_response(write, &answer), 0);
	put_record(write, thread, response, last + 1, 1);
	put_record(write, thread, response, last + 2, 2);
	return write;
}

static inline void assert_thread_equal(const struct store_thread *a, const struct store_thread *b) {
	assert_string_equal(a->id, b->id);
	assert_string_equal(a->owner, b->owner);
	assert_string_equal(a->last_response, b->last_response);
	assert_int_equal(a->created_ms, b->created_ms);
	assert_int_equal(a->updated_ms, b->updated_ms);
	assert_int_equal(a->last_number, b->last_number);
	assert_int_equal(a->count, b->count);
	assert_memory_equal(a->chain, b->chain, sizeof a->chain);
	assert_memory_equal(a->head, b->head, sizeof a->head);
}

static inline void assert_record_is(const struct store_record *record, const char *response, uint32_t number,
				    uint32_t kind) {
	uint8_t sealed[RECORD_SIZE];
	fill(sealed, sizeof sealed, number);
	assert_string_equal(record->response, response);
	assert_int_equal(record->number, number);
	assert_int_equal(record->kind, kind);
	assert_int_equal(record->created_ms, 4000 + number);
	assert_int_equal(record->sealed.length, sizeof sealed);
	assert_memory_equal(record->sealed.data, sealed, sizeof sealed);
}

#endif
