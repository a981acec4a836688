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

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(context_brings_the_line_of_a_response, setup_store, teardown_store),
	};
	return cmocka_run_group_tests_name("store_rows", tests, NULL, NULL);
}
