/* Every kind of row comes back as it was put, and comes back from each read that should bring it. */
#include "store_test.h"

static void context_brings_the_line_of_a_response(void **state) {
	struct fixture *f = *state;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_2", "resp_1", 2)), ERR_NONE);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_fork", "resp_1", 4)), ERR_NONE);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_3", "resp_2", 6)), ERR_NONE);
	assert_int_equal(commit(f, turn("user_a", "conv_2", "resp_other", "", 0)), ERR_NONE);

	struct store_snapshot *s = read_one(f, STORE_READ_CONTEXT, "user_a", "resp_3");
	assert_non_null(s);
	assert_int_equal(s->thread_count, 1);
	struct store_thread thread = make_thread("user_a", "conv_1", 8);
	strcpy(thread.last_response, "resp_3");
	assert_thread_equal(&s->threads[0], &thread);
	assert_int_equal(s->response_count, 3);
	assert_string_equal(s->responses[0].id, "resp_1");
	assert_string_equal(s->responses[1].id, "resp_2");
	assert_string_equal(s->responses[2].id, "resp_3");
	assert_int_equal(s->record_count, 6);
	assert_record_is(&s->records[0], "resp_1", 1, 1);
	assert_record_is(&s->records[1], "resp_1", 2, 2);
	assert_record_is(&s->records[2], "resp_2", 3, 1);
	assert_record_is(&s->records[3], "resp_2", 4, 2);
	assert_record_is(&s->records[4], "resp_3", 7, 1);
	assert_record_is(&s->records[5], "resp_3", 8, 2);
	assert_int_equal(s->dek_count, 1);
	assert_int_equal(s->link_count, 8);
	for (size_t i = 0; i < s->link_count; i++) {
		uint8_t sealed[RECORD_SIZE];
		assert_int_equal(s->links[i].number, i + 1);
		fill(sealed, sizeof sealed, (unsigned)i + 1);
		assert_memory_equal(s->links[i].commitment, sealed + 32, 32);
	}
	store_snapshot_free(&s);
}

static void response_comes_alone(void **state) {
	struct fixture *f = *state;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_2", "resp_1", 2)), ERR_NONE);

	struct store_snapshot *s = read_one(f, STORE_READ_RESPONSE, "user_a", "resp_2");
	assert_non_null(s);
	assert_int_equal(s->thread_count, 1);
	assert_int_equal(s->response_count, 1);
	const struct store_response *r = &s->responses[0];
	assert_string_equal(r->id, "resp_2");
	assert_string_equal(r->thread, "conv_1");
	assert_string_equal(r->owner, "user_a");
	assert_string_equal(r->parent, "resp_1");
	assert_string_equal(r->model, "demo");
	assert_string_equal(r->status, "completed");
	assert_string_equal(r->reason, "");
	assert_int_equal(r->created_ms, 2000);
	assert_int_equal(r->completed_ms, 3000);
	assert_int_equal(r->input_tokens, 11);
	assert_int_equal(r->cached_tokens, -1);
	assert_int_equal(r->output_tokens, 13);
	assert_int_equal(r->reasoning_tokens, 14);
	assert_int_equal(s->record_count, 2);
	assert_record_is(&s->records[0], "resp_2", 3, 1);
	assert_record_is(&s->records[1], "resp_2", 4, 2);
	assert_string_equal(s->records[0].thread, "conv_1");
	struct store_dek dek = make_dek("user_a", "conv_1", 1);
	assert_int_equal(s->dek_count, 1);
	assert_string_equal(s->deks[0].thread, dek.thread);
	assert_string_equal(s->deks[0].owner, dek.owner);
	assert_int_equal(s->deks[0].epoch, 1);
	assert_memory_equal(s->deks[0].wrapped, dek.wrapped, sizeof dek.wrapped);
	assert_int_equal(s->link_count, 0);
	store_snapshot_free(&s);
	assert_null(s);
}

static void thread_brings_all_it_has(void **state) {
	struct fixture *f = *state;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_2", "", 2)), ERR_NONE);
	struct store_write *write = store_write_new();
	struct store_thread thread = make_thread("user_a", "conv_1", 5);
	assert_int_equal(store_put_thread(write, &thread, 4), 0);
	put_record(write, "conv_1", "", 5, 9); /* the thread's own */
	struct store_dek dek = make_dek("user_a", "conv_1", 2);
	assert_int_equal(store_put_dek(write, &dek), 0);
	assert_int_equal(commit(f, write), ERR_NONE);

	struct store_snapshot *s = read_one(f, STORE_READ_THREAD, "user_a", "conv_1");
	assert_non_null(s);
	assert_int_equal(s->thread_count, 1);
	assert_thread_equal(&s->threads[0], &thread);
	assert_int_equal(s->response_count, 2);
	assert_string_equal(s->responses[0].id, "resp_1");
	assert_string_equal(s->responses[1].id, "resp_2");
	assert_int_equal(s->record_count, 5);
	assert_record_is(&s->records[0], "resp_1", 1, 1);
	assert_record_is(&s->records[3], "resp_2", 4, 2);
	assert_record_is(&s->records[4], "", 5, 9);
	assert_int_equal(s->dek_count, 2);
	assert_int_equal(s->deks[0].epoch, 1);
	assert_int_equal(s->deks[1].epoch, 2);
	assert_int_equal(s->link_count, 5);
	store_snapshot_free(&s);

	/* The chain: all but the records. */
	s = read_one(f, STORE_READ_CHAIN, "user_a", "conv_1");
	assert_non_null(s);
	assert_thread_equal(&s->threads[0], &thread);
	assert_int_equal(s->response_count, 2);
	assert_int_equal(s->dek_count, 2);
	assert_int_equal(s->link_count, 5);
	assert_int_equal(s->record_count, 0);
	store_snapshot_free(&s);
	assert_int_equal(read_code(f, STORE_READ_CHAIN, "user_b", "conv_1"), ERR_NOT_FOUND);
}

static enum err_code put_segment(struct fixture *f, uint32_t number, uint32_t seed) {
	struct store_write *write = store_write_new();
	struct store_record segment = make_record("conv_1", "resp_1", seed, 6);
	segment.number = number;
	assert_int_equal(store_put_segment(write, &segment), 0);
	return commit(f, write);
}

/* One whose outcome was unknown is said again, under its number. */
static void a_segment_is_replaced_under_its_number(void **state) {
	struct fixture *f = *state;
	struct store_write *write = turn("user_a", "conv_1", "resp_1", "", 0);
	assert_int_equal(commit(f, write), ERR_NONE);
	assert_int_equal(put_segment(f, 0, 70), ERR_CONFLICT); /* it has ended */
	struct store_response response = make_response("user_a", "conv_1", "resp_1", "");
	strcpy(response.status, "in_progress");
	write = store_write_new();
	assert_int_equal(store_put_response(write, &response), 0);
	assert_int_equal(commit(f, write), ERR_NONE);
	assert_int_equal(put_segment(f, 0, 70), ERR_NONE);
	assert_int_equal(put_segment(f, 1, 71), ERR_NONE);
	assert_int_equal(put_segment(f, 1, 72), ERR_NONE);
	struct store_snapshot *s = read_one(f, STORE_READ_RESPONSE, "user_a", "resp_1");
	assert_int_equal(s->record_count, 4); /* its two records, then its segments */
	uint8_t sealed[RECORD_SIZE];
	fill(sealed, sizeof sealed, 72);
	assert_int_equal(s->records[3].number, 1);
	assert_memory_equal(s->records[3].sealed.data, sealed, sizeof sealed);
	store_snapshot_free(&s);
}

static void rows_are_their_owners_alone(void **state) {
	struct fixture *f = *state;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	assert_int_equal(read_code(f, STORE_READ_RESPONSE, "user_a", "resp_1"), ERR_NONE);
	assert_int_equal(read_code(f, STORE_READ_RESPONSE, "user_b", "resp_1"), ERR_NOT_FOUND);
	assert_int_equal(read_code(f, STORE_READ_CONTEXT, "user_b", "resp_1"), ERR_NOT_FOUND);
	assert_int_equal(read_code(f, STORE_READ_THREAD, "user_b", "conv_1"), ERR_NOT_FOUND);
	assert_int_equal(read_code(f, STORE_READ_RESPONSE, "user_a", "resp_none"), ERR_NOT_FOUND);
	assert_int_equal(read_code(f, STORE_READ_THREAD, "user_a", "resp_1"), ERR_NOT_FOUND);

	/* Another owner can neither add to a thread nor take from it. */
	assert_int_equal(commit(f, turn("user_b", "conv_1", "resp_2", "", 2)), ERR_CONFLICT);
	assert_int_equal(commit(f, turn("user_b", "conv_1", "resp_2", "", 0)), ERR_CONFLICT);
	struct store_write *write = store_write_new();
	assert_int_equal(store_delete_thread(write, "user_b", "conv_1"), 0);
	assert_int_equal(commit(f, write), ERR_NOT_FOUND);
	write = store_write_new();
	assert_int_equal(store_delete_response(write, "user_b", "resp_1"), 0);
	assert_int_equal(commit(f, write), ERR_NOT_FOUND);
	struct store_snapshot *s = read_one(f, STORE_READ_THREAD, "user_a", "conv_1");
	assert_int_equal(s->record_count, 2);
	assert_int_equal(s->dek_count, 1);
	store_snapshot_free(&s);
}

static void everything_outlives_the_process(void **state) {
	struct fixture *f = *state;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	fixture_reopen(f);
	struct store_snapshot *s = read_one(f, STORE_READ_CONTEXT, "user_a", "resp_1");
	assert_non_null(s);
	assert_int_equal(s->record_count, 2);
	assert_record_is(&s->records[1], "resp_1", 2, 2);
	assert_int_equal(s->dek_count, 1);
	store_snapshot_free(&s);
}

static void a_stale_thread_is_a_conflict_and_changes_nothing(void **state) {
	struct fixture *f = *state;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_2", "resp_1", 2)), ERR_NONE);
	struct store_write *write = turn("user_a", "conv_1", "resp_late", "resp_1", 2);
	struct store_dek dek = make_dek("user_a", "conv_1", 2);
	assert_int_equal(store_put_dek(write, &dek), 0);
	assert_int_equal(commit(f, write), ERR_CONFLICT);
	assert_int_equal(read_code(f, STORE_READ_RESPONSE, "user_a", "resp_late"), ERR_NOT_FOUND);
	struct store_snapshot *s = read_one(f, STORE_READ_THREAD, "user_a", "conv_1");
	assert_int_equal(s->threads[0].last_number, 4);
	assert_int_equal(s->record_count, 4);
	assert_int_equal(s->dek_count, 1);
	store_snapshot_free(&s);
}

static void a_deleted_thread_does_not_come_back(void **state) {
	struct fixture *f = *state;
	struct store_write *write = store_write_new();
	struct store_dek dek = make_dek("user_a", "conv_1", 1);
	struct store_thread empty = make_thread("user_a", "conv_1", 0);
	assert_int_equal(store_put_dek(write, &dek), 0);
	assert_int_equal(store_put_thread(write, &empty, 0), 0);
	assert_int_equal(commit(f, write), ERR_NONE);
	write = store_write_new();
	assert_int_equal(store_delete_thread(write, "user_a", "conv_1"), 0);
	assert_int_equal(commit(f, write), ERR_NONE);

	/* A turn that had begun before, with the key it knew: it brings none. */
	write = store_write_new();
	struct store_thread late = make_thread("user_a", "conv_1", 1);
	assert_int_equal(store_put_thread(write, &late, 0), 0);
	assert_int_equal(commit(f, write), ERR_CONFLICT);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 2)), ERR_CONFLICT);
	assert_int_equal(read_code(f, STORE_READ_THREAD, "user_a", "conv_1"), ERR_NOT_FOUND);
}

static void a_key_is_never_replaced(void **state) {
	struct fixture *f = *state;
	struct store_dek dek = make_dek("user_a", "conv_1", 1);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	struct store_write *write = store_write_new();
	assert_int_equal(store_put_dek(write, &dek), 0);
	assert_int_equal(commit(f, write), ERR_NONE); /* the same again */
	struct store_dek other = dek;
	other.wrapped[50] ^= 1;
	write = store_write_new();
	assert_int_equal(store_put_dek(write, &other), 0);
	assert_int_equal(commit(f, write), ERR_CONFLICT);
	struct store_snapshot *s = read_one(f, STORE_READ_RESPONSE, "user_a", "resp_1");
	assert_int_equal(s->dek_count, 1);
	assert_memory_equal(s->deks[0].wrapped, dek.wrapped, sizeof dek.wrapped);
	store_snapshot_free(&s);
}

static void a_key_without_a_thread_gives_way(void **state) {
	struct fixture *f = *state;
	struct store_dek orphan = make_dek("user_a", "conv_1", 1);
	orphan.wrapped[50] ^= 1;
	struct store_write *write = store_write_new();
	assert_int_equal(store_put_dek(write, &orphan), 0);
	assert_int_equal(commit(f, write), ERR_NONE);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	struct store_dek dek = make_dek("user_a", "conv_1", 1);
	struct store_snapshot *s = read_one(f, STORE_READ_RESPONSE, "user_a", "resp_1");
	assert_memory_equal(s->deks[0].wrapped, dek.wrapped, sizeof dek.wrapped);
	store_snapshot_free(&s);
}

static void a_record_is_rewritten_by_its_response_only(void **state) {
	struct fixture *f = *state;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_2", "", 2)), ERR_NONE);
	struct store_write *write = store_write_new();
	struct store_record record = make_record("conv_1", "resp_1", 2, 7);
	record.sealed.data[40] = 'x'; /* within the commitment */
	record.sealed.data[200] = 'y';
	assert_int_equal(store_put_record(write, &record), 0);
	assert_int_equal(commit(f, write), ERR_NONE);
	struct store_snapshot *s = read_one(f, STORE_READ_CONTEXT, "user_a", "resp_1");
	assert_int_equal(s->record_count, 2);
	assert_int_equal(s->records[1].kind, 7);
	assert_int_equal(s->records[1].sealed.data[200], 'y');
	assert_int_equal(s->links[1].commitment[8], 'x');
	store_snapshot_free(&s);

	write = store_write_new();
	put_record(write, "conv_1", "resp_2", 2, 8);
	assert_int_equal(commit(f, write), ERR_CONFLICT);
	write = store_write_new();
	put_record(write, "conv_1", "", 2, 8);
	assert_int_equal(commit(f, write), ERR_CONFLICT);
	write = store_write_new();
	put_record(write, "conv_1", "resp_none", 9, 8);
	assert_int_equal(commit(f, write), ERR_CONFLICT);
	write = store_write_new();
	put_record(write, "conv_none", "", 9, 8);
	assert_int_equal(commit(f, write), ERR_CONFLICT);
	write = store_write_new();
	record = make_record("conv_1", "resp_1", 9, 8);
	record.sealed.length = 63; /* too short to hold a commitment */
	assert_int_equal(store_put_record(write, &record), 0);
	assert_int_equal(commit(f, write), ERR_INVALID);
}

static void a_response_is_replaced_where_it_stands(void **state) {
	struct fixture *f = *state;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_2", "resp_1", 2)), ERR_NONE);
	assert_int_equal(commit(f, turn("user_a", "conv_2", "resp_3", "", 0)), ERR_NONE);
	struct store_response response = make_response("user_a", "conv_1", "resp_1", "");
	strcpy(response.status, "failed");
	strcpy(response.reason, "server_error");
	response.output_tokens = 99;
	struct store_write *write = store_write_new();
	assert_int_equal(store_put_response(write, &response), 0);
	assert_int_equal(commit(f, write), ERR_NONE);
	struct store_snapshot *s = read_one(f, STORE_READ_CONTEXT, "user_a", "resp_2");
	assert_int_equal(s->response_count, 2);
	assert_string_equal(s->responses[0].status, "failed");
	assert_string_equal(s->responses[0].reason, "server_error");
	assert_int_equal(s->responses[0].output_tokens, 99);
	assert_int_equal(s->record_count, 4); /* its records are still there */
	store_snapshot_free(&s);

	strcpy(response.thread, "conv_2"); /* moved to another thread */
	write = store_write_new();
	assert_int_equal(store_put_response(write, &response), 0);
	assert_int_equal(commit(f, write), ERR_CONFLICT);
	strcpy(response.thread, "conv_none");
	write = store_write_new();
	assert_int_equal(store_put_response(write, &response), 0);
	assert_int_equal(commit(f, write), ERR_CONFLICT);
}

static void a_deleted_response_takes_its_records(void **state) {
	struct fixture *f = *state;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_2", "resp_1", 2)), ERR_NONE);
	struct store_write *write = store_write_new();
	assert_int_equal(store_delete_response(write, "user_a", "resp_1"), 0);
	assert_int_equal(commit(f, write), ERR_NONE);
	assert_int_equal(read_code(f, STORE_READ_RESPONSE, "user_a", "resp_1"), ERR_NOT_FOUND);
	struct store_snapshot *s = read_one(f, STORE_READ_CONTEXT, "user_a", "resp_2");
	assert_int_equal(s->response_count, 1); /* the line ends where the parent was */
	assert_int_equal(s->record_count, 2);
	assert_int_equal(s->link_count, 2);
	assert_int_equal(s->links[0].number, 3);
	store_snapshot_free(&s);
	write = store_write_new();
	assert_int_equal(store_delete_response(write, "user_a", "resp_1"), 0);
	assert_int_equal(commit(f, write), ERR_NOT_FOUND);
}

static void a_deleted_thread_takes_all_with_it(void **state) {
	struct fixture *f = *state;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "", 0)), ERR_NONE);
	assert_int_equal(commit(f, turn("user_a", "conv_2", "resp_2", "", 0)), ERR_NONE);
	struct store_write *write = store_write_new();
	assert_int_equal(store_delete_thread(write, "user_a", "conv_1"), 0);
	assert_int_equal(commit(f, write), ERR_NONE);
	assert_int_equal(read_code(f, STORE_READ_THREAD, "user_a", "conv_1"), ERR_NOT_FOUND);
	assert_int_equal(read_code(f, STORE_READ_RESPONSE, "user_a", "resp_1"), ERR_NOT_FOUND);
	assert_int_equal(read_code(f, STORE_READ_RESPONSE, "user_a", "resp_2"), ERR_NONE);
	write = store_write_new();
	assert_int_equal(store_delete_thread(write, "user_a", "conv_1"), 0);
	assert_int_equal(commit(f, write), ERR_NOT_FOUND);
}

static void order_of_changes_does_not_matter(void **state) {
	struct fixture *f = *state;
	struct store_write *write = store_write_new();
	struct store_response response = make_response("user_a", "conv_1", "resp_1", "");
	struct store_thread thread = make_thread("user_a", "conv_1", 1);
	struct store_dek dek = make_dek("user_a", "conv_1", 1);
	put_record(write, "conv_1", "resp_1", 1, 1);
	assert_int_equal(store_put_response(write, &response), 0);
	assert_int_equal(store_put_thread(write, &thread, 0), 0);
	assert_int_equal(store_put_dek(write, &dek), 0);
	assert_int_equal(commit(f, write), ERR_NONE);
	assert_int_equal(read_code(f, STORE_READ_CONTEXT, "user_a", "resp_1"), ERR_NONE);
}

/* A circle of parents, as only damage can make it, must not go on for ever. */
static void a_circle_of_parents_ends(void **state) {
	struct fixture *f = *state;
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_1", "resp_2", 0)), ERR_NONE);
	assert_int_equal(commit(f, turn("user_a", "conv_1", "resp_2", "resp_1", 2)), ERR_NONE);
	struct store_snapshot *s = read_one(f, STORE_READ_CONTEXT, "user_a", "resp_2");
	assert_non_null(s);
	assert_int_equal(s->response_count, 2);
	store_snapshot_free(&s);
}

static void a_line_does_not_leave_its_thread(void **state) {
	struct fixture *f = *state;
	assert_int_equal(commit(f, turn("user_b", "conv_b", "resp_b", "", 0)), ERR_NONE);
	assert_int_equal(commit(f, turn("user_a", "conv_a", "resp_a", "resp_b", 0)), ERR_NONE);
	struct store_snapshot *s = read_one(f, STORE_READ_CONTEXT, "user_a", "resp_a");
	assert_int_equal(s->response_count, 1);
	assert_int_equal(s->record_count, 2);
	store_snapshot_free(&s);
}

/* --- lists of threads --------------------------------------------------------------------------------------------- */

#define THREADS 7

/* conv_0 … conv_6, each with a key and, all but conv_3, a title of kind 9; updated in their order, two at a time. */
static void make_threads(struct fixture *f) {
	for (unsigned i = 0; i < THREADS; i++) {
		char id[ID_SIZE];
		snprintf(id, sizeof id, "conv_%u", i);
		struct store_write *write = store_write_new();
		struct store_dek dek = make_dek("user_a", id, 1);
		struct store_thread thread = make_thread("user_a", id, 3);
		thread.updated_ms = 5000 + i / 2;
		assert_int_equal(store_put_dek(write, &dek), 0);
		assert_int_equal(store_put_thread(write, &thread, 0), 0);
		put_record(write, id, "", 1, 1);
		if (i != 3) {
			put_record(write, id, "", 3, 9);
			put_record(write, id, "", 2, 9);
		}
		assert_int_equal(commit(f, write), ERR_NONE);
	}
}

static void threads_come_page_by_page(void **state) {
	struct fixture *f = *state;
	make_threads(f);
	assert_int_equal(commit(f, turn("user_b", "conv_b", "resp_b", "", 0)), ERR_NONE);
	for (int ascending = 0; ascending < 2; ascending++) {
		for (uint32_t limit = 1; limit <= THREADS + 1; limit++) {
			struct store_query query = query_of(STORE_READ_THREADS, "user_a", "");
			query.limit = limit;
			query.ascending = ascending == 1;
			query.record_kinds[0] = 9;
			unsigned seen = 0;
			bool more = true;
			while (more) {
				struct store_snapshot *s = read_query(f, &query, NULL);
				assert_non_null(s);
				assert_true(s->thread_count <= limit);
				assert_int_equal(s->dek_count, s->thread_count);
				for (size_t i = 0; i < s->thread_count; i++, seen++) {
					char id[ID_SIZE];
					snprintf(id, sizeof id, "conv_%u", ascending ? seen : THREADS - 1 - seen);
					assert_string_equal(s->threads[i].id, id);
					assert_string_equal(s->deks[i].thread, id);
					strcpy(query.id, id);
				}
				more = s->more;
				assert_int_equal(more, seen < THREADS);
				store_snapshot_free(&s);
			}
			assert_int_equal(seen, THREADS);
		}
	}
}

static void threads_bring_their_first_record_of_a_kind(void **state) {
	struct fixture *f = *state;
	make_threads(f);
	struct store_query query = query_of(STORE_READ_THREADS, "user_a", "");
	query.limit = 100;
	query.ascending = true;
	query.record_kinds[0] = 9;
	struct store_snapshot *s = read_query(f, &query, NULL);
	assert_non_null(s);
	assert_int_equal(s->thread_count, THREADS);
	assert_int_equal(s->record_count, THREADS - 1);
	assert_false(s->more);
	for (size_t i = 0; i < s->record_count; i++) {
		assert_string_equal(s->records[i].thread, s->threads[i < 3 ? i : i + 1].id);
		assert_record_is(&s->records[i], "", 2, 9);
	}
	store_snapshot_free(&s);

	strcpy(query.id, "conv_none");
	enum err_code code;
	assert_null(read_query(f, &query, &code));
	assert_int_equal(code, ERR_NOT_FOUND);
	query.id[0] = '\0';
	strcpy(query.owner, "user_none");
	s = read_query(f, &query, &code);
	assert_non_null(s);
	assert_int_equal(s->thread_count, 0);
	assert_false(s->more);
	store_snapshot_free(&s);
	strcpy(query.owner, "user_a");
	query.limit = 0;
	s = read_query(f, &query, &code);
	assert_int_equal(s->thread_count, 0);
	assert_true(s->more);
	store_snapshot_free(&s);
}

/* --- users and credentials ---------------------------------------------------------------------------------------- */

static struct store_user make_user(const char *id, const char *name) {
	struct store_user user = {.created_ms = 10};
	strcpy(user.id, id);
	strcpy(user.name, name);
	return user;
}

static struct store_credential make_credential(const char *id, const char *user) {
	struct store_credential credential = {
		.kind = STORE_SESSION, .created_ms = 20, .expires_ms = 30, .revoked_ms = 40};
	strcpy(credential.id, id);
	strcpy(credential.user, user);
	strcpy(credential.name, "a name");
	fill(credential.hash, sizeof credential.hash, 5);
	return credential;
}

static void put_identity(struct fixture *f, const char *user_id, const char *credential_id) {
	struct store_write *write = store_write_new();
	struct store_credential credential = make_credential(credential_id, user_id);
	struct store_user user = make_user(user_id, user_id);
	assert_int_equal(store_put_credential(write, &credential), 0);
	assert_int_equal(store_put_user(write, &user), 0);
	assert_int_equal(commit(f, write), ERR_NONE);
}

static void identities_come_back(void **state) {
	struct fixture *f = *state;
	put_identity(f, "user_a", "cred_a");
	put_identity(f, "user_b", "cred_b");
	struct store_credential changed = make_credential("cred_b", "user_b");
	changed.kind = STORE_API_KEY;
	changed.revoked_ms = 77;
	struct store_user renamed = make_user("user_a", "anna");
	struct store_write *write = store_write_new();
	assert_int_equal(store_put_credential(write, &changed), 0);
	assert_int_equal(store_put_user(write, &renamed), 0);
	assert_int_equal(commit(f, write), ERR_NONE);

	struct store_snapshot *s = read_one(f, STORE_READ_IDENTITIES, "", "");
	assert_non_null(s);
	assert_int_equal(s->user_count, 2);
	assert_string_equal(s->users[0].id, "user_a");
	assert_string_equal(s->users[0].name, "anna");
	assert_int_equal(s->users[0].created_ms, 10);
	assert_int_equal(s->credential_count, 2);
	const struct store_credential *c = &s->credentials[0];
	const struct store_credential expected = make_credential("cred_a", "user_a");
	assert_string_equal(c->id, expected.id);
	assert_string_equal(c->user, expected.user);
	assert_string_equal(c->name, expected.name);
	assert_int_equal(c->kind, expected.kind);
	assert_int_equal(c->created_ms, expected.created_ms);
	assert_int_equal(c->expires_ms, expected.expires_ms);
	assert_int_equal(c->revoked_ms, expected.revoked_ms);
	assert_memory_equal(c->hash, expected.hash, sizeof c->hash);
	assert_int_equal(s->credentials[1].kind, STORE_API_KEY);
	assert_int_equal(s->credentials[1].revoked_ms, 77);
	store_snapshot_free(&s);

	write = store_write_new();
	struct store_user taken = make_user("user_c", "anna");
	assert_int_equal(store_put_user(write, &taken), 0);
	assert_int_equal(commit(f, write), ERR_CONFLICT);
	write = store_write_new();
	struct store_credential nobodys = make_credential("cred_c", "user_none");
	assert_int_equal(store_put_credential(write, &nobodys), 0);
	assert_int_equal(commit(f, write), ERR_CONFLICT);
}

static void of_two_that_consume_one_wins(void **state) {
	struct fixture *f = *state;
	put_identity(f, "user_a", "cred_a");
	struct answer answers[2] = {{0}};
	for (size_t i = 0; i < 2; i++) {
		struct store_write *write = store_write_new();
		assert_int_equal(store_consume_credential(write, "cred_a"), 0);
		store_commit(f->store, &write, on_written, &answers[i]);
	}
	wait_for(f, &answers[0]);
	wait_for(f, &answers[1]);
	assert_int_equal(answers[0].err.code, ERR_NONE);
	assert_int_equal(answers[1].err.code, ERR_CONFLICT);
	struct store_snapshot *s = read_one(f, STORE_READ_IDENTITIES, "", "");
	assert_int_equal(s->credential_count, 0);
	store_snapshot_free(&s);

	struct store_write *write = store_write_new();
	assert_int_equal(store_delete_credential(write, "cred_a"), 0);
	assert_int_equal(commit(f, write), ERR_NONE); /* gone is gone */
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(context_brings_the_line_of_a_response, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(response_comes_alone, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(thread_brings_all_it_has, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(a_segment_is_replaced_under_its_number, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(rows_are_their_owners_alone, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(everything_outlives_the_process, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(a_stale_thread_is_a_conflict_and_changes_nothing, setup_store,
						teardown_store),
		cmocka_unit_test_setup_teardown(a_deleted_thread_does_not_come_back, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(a_key_is_never_replaced, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(a_key_without_a_thread_gives_way, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(a_record_is_rewritten_by_its_response_only, setup_store,
						teardown_store),
		cmocka_unit_test_setup_teardown(a_response_is_replaced_where_it_stands, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(a_deleted_response_takes_its_records, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(a_deleted_thread_takes_all_with_it, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(order_of_changes_does_not_matter, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(a_circle_of_parents_ends, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(a_line_does_not_leave_its_thread, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(threads_come_page_by_page, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(threads_bring_their_first_record_of_a_kind, setup_store,
						teardown_store),
		cmocka_unit_test_setup_teardown(identities_come_back, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(of_two_that_consume_one_wins, setup_store, teardown_store),
	};
	return cmocka_run_group_tests_name("store_rows", tests, NULL, NULL);
}
