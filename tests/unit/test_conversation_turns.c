#include "conversation_fixture.h"

static void turns_come_back_in_order(void **state) {
	struct fixture *f = *state;
	struct conversation *c = start(f);
	write_turn(f, c, "resp_1", "", "one");
	write_turn(f, c, "resp_2", "resp_1", "two");
	write_turn(f, c, "resp_x", "resp_1", "fork");
	conversation_release(&c);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(load(f, OWNER, "resp_2"), ERR_NONE);
		struct turn *turn = f->answer.turn;
		assert_string_equal(turn->response_id, "resp_2");
		assert_item(&turn->input, "two");
		assert_item(&turn->output, "re: two");
		assert_item(&turn->parent->input, "one");
		assert_null(turn->parent->parent);
		release(f);
		reopen(f);
	}
}

static void a_stored_response_keeps_everything(void **state) {
	struct fixture *f = *state;
	struct conversation *c = start(f);
	write_turn(f, c, "resp_1", "", "one");
	expect(f);
	assert_non_null(conversation_read_response(f->vessel.conversations, OWNER, "resp_1", on_response, &f->answer));
	vessel_wait(&f->vessel, &f->answer.done);
	struct stored_response *stored = f->answer.stored;
	assert_non_null(stored);
	assert_string_equal(stored->id, "resp_1");
	assert_string_equal(stored->conversation, conversation_id(c));
	assert_int_equal(stored->status, RESPONSE_COMPLETED);
	assert_int_equal(stored->usage.output_tokens, 4);
	assert_true(str_equal(buf_str(&stored->events), STR("\x01\x02")));
	assert_item(&stored->input, "one");
	assert_item(&stored->output, "re: one");
	stored_response_free(&f->answer.stored);
	conversation_release(&c);
}

static void others_find_nothing(void **state) {
	struct fixture *f = *state;
	struct conversation *c = start(f);
	write_turn(f, c, "resp_1", "", "one");
	assert_int_equal(load(f, "user_b", "resp_1"), ERR_NOT_FOUND);
	assert_int_equal(load(f, OWNER, "resp_9"), ERR_NOT_FOUND);
	assert_int_equal(erase(f, "user_b", "resp_1"), ERR_NOT_FOUND);
	expect(f);
	conversation_items(f->vessel.conversations,
			   &(const struct conversation_page){.owner = "user_b", .id = conversation_id(c)}, on_items,
			   &f->answer);
	vessel_wait(&f->vessel, &f->answer.done);
	assert_int_equal(f->answer.code, ERR_NOT_FOUND);
	expect(f);
	conversation_delete(f->vessel.conversations, "user_b", conversation_id(c), on_written, &f->answer);
	vessel_wait(&f->vessel, &f->answer.done);
	assert_int_equal(f->answer.code, ERR_NOT_FOUND);
	conversation_release(&c);
	assert_int_equal(load(f, OWNER, "resp_1"), ERR_NONE);
	release(f);
}

static void what_goes_on_is_not_continued_or_deleted(void **state) {
	struct fixture *f = *state;
	struct conversation *c = start(f);
	struct item_list input = one_item(ROLE_USER, "one");
	struct request_settings settings = {.store = true};
	const struct conversation_entry entry = {
		.response_id = "resp_1",
		.parent_id = "",
		.model = "m",
		.settings = &settings,
		.input = &input,
		.reason = "",
		.error_message = "",
		.status = RESPONSE_IN_PROGRESS,
	};
	expect(f);
	conversation_begin(c, &entry, on_written, &f->answer);
	vessel_wait(&f->vessel, &f->answer.done);
	assert_int_equal(load(f, OWNER, "resp_1"), ERR_CONFLICT);
	assert_int_equal(erase(f, OWNER, "resp_1"), ERR_CONFLICT);
	item_list_free(&input);
	conversation_release(&c);
}

static void a_deleted_turn_leaves_a_sound_conversation(void **state) {
	struct fixture *f = *state;
	struct conversation *c = start(f);
	char id[ID_SIZE];
	snprintf(id, sizeof id, "%s", conversation_id(c));
	write_turn(f, c, "resp_1", "", "one");
	write_turn(f, c, "resp_2", "resp_1", "two");
	write_turn(f, c, "resp_3", "resp_2", "three");
	conversation_release(&c);
	assert_int_equal(erase(f, OWNER, "resp_3"), ERR_NONE);
	reopen(f);
	assert_int_equal(load(f, OWNER, "resp_3"), ERR_NOT_FOUND);
	assert_int_equal(load(f, OWNER, "resp_2"), ERR_NONE);
	/* Written on, its numbers go on behind the deleted ones. */
	c = f->answer.conversation;
	turn_release(&f->answer.turn);
	write_turn(f, c, "resp_4", "resp_2", "four");
	conversation_release(&c);
	assert_int_equal(load(f, OWNER, "resp_4"), ERR_NONE);
	release(f);
	/* A turn in the middle: what is behind it can't be continued, but is still listed. */
	assert_int_equal(erase(f, OWNER, "resp_2"), ERR_NONE);
	assert_int_equal(load(f, OWNER, "resp_4"), ERR_NOT_FOUND);
	expect(f);
	conversation_items(f->vessel.conversations, &(const struct conversation_page){.owner = OWNER, .id = id},
			   on_items, &f->answer);
	vessel_wait(&f->vessel, &f->answer.done);
	assert_string_equal(buf_text(&f->answer.texts), "resp_4 four\nresp_4 re: four\n");
}

static void the_last_turn_takes_the_conversation_with_it(void **state) {
	struct fixture *f = *state;
	struct conversation *c = start(f);
	write_turn(f, c, "resp_1", "", "one");
	conversation_release(&c);
	assert_int_equal(erase(f, OWNER, "resp_1"), ERR_NONE);
	expect(f);
	conversation_list(f->vessel.conversations, OWNER, "", 10, false, on_list, &f->answer);
	vessel_wait(&f->vessel, &f->answer.done);
	assert_int_equal(f->answer.count, 0);
	reopen(f);
	assert_true(store_is_empty(f->vessel.store));
}

static void conversations_are_listed_by_title(void **state) {
	struct fixture *f = *state;
	const char *const texts[] = {"  first\n line ", "second", "\xc3\xa9t\xc3\xa9"};
	for (size_t i = 0; i < 3; i++) {
		char id[ID_SIZE];
		snprintf(id, sizeof id, "resp_%zu", i);
		struct conversation *c = start(f);
		write_turn(f, c, id, "", texts[i]);
		conversation_release(&c);
	}
	expect(f);
	conversation_list(f->vessel.conversations, OWNER, "", 2, true, on_list, &f->answer);
	vessel_wait(&f->vessel, &f->answer.done);
	assert_string_equal(buf_text(&f->answer.texts), "first line {}\nsecond {}\n");
	assert_true(f->answer.more);
	expect(f);
	conversation_list(f->vessel.conversations, "user_b", "", 2, true, on_list, &f->answer);
	vessel_wait(&f->vessel, &f->answer.done);
	assert_int_equal(f->answer.count, 0);
}

static void a_cancelled_read_is_never_heard_of(void **state) {
	struct fixture *f = *state;
	struct conversation *c = start(f);
	write_turn(f, c, "resp_1", "", "one");
	conversation_release(&c);
	expect(f);
	struct conversation_op *op = conversation_load(
		f->vessel.conversations, &(const struct conversation_wish){.owner = OWNER, .id = "resp_1"}, on_context,
		&f->answer);
	conversation_cancel(&op);
	assert_null(op);
	assert_int_equal(erase(f, OWNER, "resp_9"), ERR_NOT_FOUND);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(turns_come_back_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stored_response_keeps_everything, setup, teardown),
		cmocka_unit_test_setup_teardown(others_find_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(what_goes_on_is_not_continued_or_deleted, setup, teardown),
		cmocka_unit_test_setup_teardown(a_deleted_turn_leaves_a_sound_conversation, setup, teardown),
		cmocka_unit_test_setup_teardown(the_last_turn_takes_the_conversation_with_it, setup, teardown),
		cmocka_unit_test_setup_teardown(conversations_are_listed_by_title, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cancelled_read_is_never_heard_of, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
