/* What is changed in a conversation without a model: items added, metadata replaced, an item deleted; and that what was
 * tampered with shows. */
#include <sqlite3.h>

#include "base/mem.h"
#include "conversation_fixture.h"

static void on_summary(void *arg, const struct conversation_summary *summary, const struct err *err) {
	struct answer *answer = arg;
	note(answer, err);
	if (summary) {
		buf_printf(&answer->texts, "%s|%s|%d", summary->title, summary->metadata,
			   summary->last_response[0] != '\0');
	}
}

static void on_item(void *arg, struct item *item, const struct err *err) {
	struct answer *answer = arg;
	note(answer, err);
	if (item) {
		item_append_text(item, &answer->texts);
	}
}

static struct item_list items_of(const char *const *ids, size_t count) {
	struct item_list list = {0};
	for (size_t i = 0; i < count; i++) {
		struct item item = {0};
		char text[64];
		snprintf(text, sizeof text, "text of %s", ids[i]);
		assert_int_equal(item_message(&item, ROLE_USER, ITEM_COMPLETED, ids[i], str_of(text)), 0);
		assert_int_equal(item_list_add(&list, &item), 0);
	}
	return list;
}

/* A conversation of these items; its id. */
static void create(struct fixture *f, const char *const *ids, size_t count, const char *metadata, char *id) {
	struct conversation *c = start(f);
	struct item_list items = items_of(ids, count);
	const struct conversation_edit edit = {.owner = OWNER, .items = &items, .metadata = metadata};
	snprintf(id, ID_SIZE, "%s", conversation_id(c));
	expect(f);
	assert_non_null(conversation_create(c, &edit, on_written, &f->answer));
	assert_false(f->answer.done);
	conversation_release(&c);
	vessel_wait(&f->vessel, &f->answer.done);
	assert_int_equal(f->answer.code, ERR_NONE);
	item_list_free(&items);
}

static enum err_code add(struct fixture *f, const char *owner, const char *id, const char *item) {
	struct item_list items = items_of(&item, 1);
	const struct conversation_edit edit = {.owner = owner, .id = id, .items = &items};
	expect(f);
	assert_non_null(conversation_edit(f->vessel.conversations, &edit, on_written, &f->answer));
	item_list_free(&items);
	vessel_wait(&f->vessel, &f->answer.done);
	return f->answer.code;
}

static enum err_code set_metadata(struct fixture *f, const char *owner, const char *id, const char *metadata) {
	const struct conversation_edit edit = {.owner = owner, .id = id, .metadata = metadata};
	expect(f);
	assert_non_null(conversation_edit(f->vessel.conversations, &edit, on_written, &f->answer));
	vessel_wait(&f->vessel, &f->answer.done);
	return f->answer.code;
}

static enum err_code erase_item(struct fixture *f, const char *owner, const char *id, const char *item) {
	const struct conversation_place place = {owner, id, item};
	expect(f);
	assert_non_null(conversation_delete_item(f->vessel.conversations, &place, on_written, &f->answer));
	vessel_wait(&f->vessel, &f->answer.done);
	return f->answer.code;
}

/* "title|metadata|has a last response", or the code. */
static const char *summary(struct fixture *f, const char *owner, const char *id) {
	expect(f);
	assert_non_null(conversation_read(f->vessel.conversations, owner, id, on_summary, &f->answer));
	vessel_wait(&f->vessel, &f->answer.done);
	return f->answer.code == ERR_NONE ? buf_text(&f->answer.texts) : "";
}

static enum err_code items(struct fixture *f, const char *owner, const char *id) {
	expect(f);
	assert_non_null(conversation_items(f->vessel.conversations,
					   &(const struct conversation_page){.owner = owner, .id = id}, on_items,
					   &f->answer));
	vessel_wait(&f->vessel, &f->answer.done);
	return f->answer.code;
}

static enum err_code find(struct fixture *f, const char *owner, const char *item) {
	expect(f);
	assert_non_null(conversation_find_item(f->vessel.conversations, owner, item, on_item, &f->answer));
	vessel_wait(&f->vessel, &f->answer.done);
	return f->answer.code;
}

static enum err_code latest(struct fixture *f, const char *owner, const char *id) {
	expect(f);
	assert_non_null(conversation_load_latest(f->vessel.conversations,
						 &(const struct conversation_wish){.owner = owner, .id = id},
						 on_context, &f->answer));
	vessel_wait(&f->vessel, &f->answer.done);
	return f->answer.code;
}

/* How many items a load of the latest turns shows. */
static size_t latest_count(struct fixture *f, const char *id) {
	size_t count = 0;
	assert_int_equal(latest(f, OWNER, id), ERR_NONE);
	for (const struct turn *turn = f->answer.turn; turn; turn = turn->parent) {
		count += turn->input.count + turn->output.count;
	}
	release(f);
	return count;
}

static void run_sql(struct fixture *f, const char *sql) {
	char path[128];
	char *message = NULL;
	sqlite3 *db;
	snprintf(path, sizeof path, "%s/sluice.db", f->vessel.dir);
	vessel_close_store(&f->vessel);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
		fail_msg("%s: %s", sql, message);
	}
	assert_true(sqlite3_changes(db) > 0);
	sqlite3_close(db);
	vessel_open_store(&f->vessel);
}

/* --- creating and adding ------------------------------------------------------------------------------------------ */

static void a_conversation_may_begin_empty(void **state) {
	struct fixture *f = *state;
	char id[ID_SIZE];
	create(f, NULL, 0, "{}", id);
	for (int again = 0; again < 2; again++) {
		assert_string_equal(summary(f, OWNER, id), "|{}|0");
		assert_int_equal(items(f, OWNER, id), ERR_NONE);
		assert_int_equal(f->answer.count, 0);
		assert_int_equal(latest(f, OWNER, id), ERR_NONE);
		assert_null(f->answer.turn);
		assert_string_equal(conversation_id(f->answer.conversation), id);
		release(f);
		reopen(f);
	}
}

static void items_are_a_turn_that_goes_on(void **state) {
	struct fixture *f = *state;
	const char *const first[] = {"msg_1", "msg_2"};
	char id[ID_SIZE];
	create(f, first, 2, "{\"a\":\"b\"}", id);
	assert_int_equal(add(f, OWNER, id, "msg_3"), ERR_NONE);
	reopen(f);
	assert_string_equal(summary(f, OWNER, id), "text of msg_1|{\"a\":\"b\"}|1");
	assert_int_equal(latest(f, OWNER, id), ERR_NONE);
	struct turn *turn = f->answer.turn;
	assert_item(&turn->input, "text of msg_3");
	assert_int_equal(turn->output.count, 0);
	assert_int_equal(turn->parent->input.count, 2);
	assert_null(turn->parent->parent);
	/* What comes next is continued from there. */
	struct conversation *c = f->answer.conversation;
	char parent[ID_SIZE];
	snprintf(parent, sizeof parent, "%s", turn->response_id);
	turn_release(&f->answer.turn);
	write_turn(f, c, "resp_1", parent, "question");
	conversation_release(&c);
	assert_int_equal(add(f, OWNER, id, "msg_4"), ERR_NONE);
	assert_int_equal(items(f, OWNER, id), ERR_NONE);
	assert_int_equal(f->answer.count, 6);
	assert_int_equal(latest_count(f, id), 6);
	/* The row of added items is a response that ended and said nothing. */
	expect(f);
	conversation_read_response(f->vessel.conversations, OWNER, parent, on_response, &f->answer);
	vessel_wait(&f->vessel, &f->answer.done);
	assert_int_equal(f->answer.stored->status, RESPONSE_COMPLETED);
	assert_int_equal(f->answer.stored->input.count, 1);
	assert_int_equal(f->answer.stored->output.count, 0);
	assert_true(f->answer.stored->settings.store);
	stored_response_free(&f->answer.stored);
}

static void nothing_is_added_while_a_response_runs(void **state) {
	struct fixture *f = *state;
	struct request_settings settings = {.store = true};
	struct item_list input = one_item(ROLE_USER, "one");
	struct conversation_entry entry = {
		.response_id = "resp_1",
		.parent_id = "",
		.model = "m",
		.settings = &settings,
		.input = &input,
		.reason = "",
		.error_message = "",
		.status = RESPONSE_IN_PROGRESS,
	};
	struct conversation *c = start(f);
	const char *id = conversation_id(c);
	expect(f);
	conversation_begin(c, &entry, on_written, &f->answer);
	vessel_wait(&f->vessel, &f->answer.done);
	assert_int_equal(add(f, OWNER, id, "msg_1"), ERR_CONFLICT);
	assert_int_equal(latest(f, OWNER, id), ERR_CONFLICT);
	assert_int_equal(erase_item(f, OWNER, id, input.items[0].id), ERR_CONFLICT);
	assert_int_equal(set_metadata(f, OWNER, id, "{\"while\":\"it runs\"}"), ERR_NONE);
	entry.status = RESPONSE_COMPLETED;
	expect(f);
	conversation_finish(c, &entry, on_written, &f->answer);
	vessel_wait(&f->vessel, &f->answer.done);
	assert_int_equal(f->answer.code, ERR_NONE);
	assert_int_equal(add(f, OWNER, id, "msg_1"), ERR_NONE);
	assert_int_equal(latest_count(f, id), 2);
	item_list_free(&input);
	conversation_release(&c);
}

/* What was handed over counts before the store has it. */
static void the_latest_turn_is_not_passed_over_while_it_is_written(void **state) {
	struct fixture *f = *state;
	struct request_settings settings = {.store = true};
	struct item_list input = one_item(ROLE_USER, "one");
	const char *const first[] = {"msg_1"};
	char id[ID_SIZE];
	create(f, first, 1, "{}", id);
	assert_int_equal(latest(f, OWNER, id), ERR_NONE);
	struct conversation *c = f->answer.conversation;
	char parent[ID_SIZE];
	snprintf(parent, sizeof parent, "%s", f->answer.turn->response_id);
	turn_release(&f->answer.turn);
	const struct conversation_entry entry = {
		.response_id = "resp_1",
		.parent_id = parent,
		.model = "m",
		.settings = &settings,
		.input = &input,
		.reason = "",
		.error_message = "",
		.status = RESPONSE_IN_PROGRESS,
	};
	struct answer begun = {0};
	struct answer added = {0};
	const struct conversation_edit edit = {.owner = OWNER, .id = id, .items = &input};
	assert_non_null(conversation_begin(c, &entry, on_written, &begun));
	assert_non_null(conversation_edit(f->vessel.conversations, &edit, on_written, &added));
	assert_int_equal(latest(f, OWNER, id), ERR_CONFLICT);
	vessel_wait(&f->vessel, &begun.done);
	vessel_wait(&f->vessel, &added.done);
	assert_int_equal(begun.code, ERR_NONE);
	assert_int_equal(added.code, ERR_CONFLICT);
	item_list_free(&input);
	conversation_release(&c);
}

/* Nor while it waits to be written: behind another edit, which has moved the head on. */
static void the_latest_turn_is_not_passed_over_while_it_waits(void **state) {
	struct fixture *f = *state;
	const char *const first[] = {"msg_1", "msg_2"};
	char id[ID_SIZE];
	create(f, first, 2, "{}", id);
	struct item_list list = items_of(first, 1);
	struct answer changed = {0};
	struct answer added = {0};
	const struct conversation_edit metadata = {.owner = OWNER, .id = id, .metadata = "{\"a\":\"b\"}"};
	const struct conversation_edit items = {.owner = OWNER, .id = id, .items = &list};
	assert_non_null(conversation_edit(f->vessel.conversations, &metadata, on_written, &changed));
	assert_non_null(conversation_edit(f->vessel.conversations, &items, on_written, &added));
	/* Should both be done by then, it is there. */
	if (latest(f, OWNER, id) == ERR_NONE) {
		assert_int_equal(f->answer.turn->input.count, 1);
		release(f);
	} else {
		assert_int_equal(f->answer.code, ERR_CONFLICT);
	}
	vessel_wait(&f->vessel, &changed.done);
	vessel_wait(&f->vessel, &added.done);
	assert_int_equal(added.code, ERR_NONE);
	assert_int_equal(latest_count(f, id), 3);
	item_list_free(&list);
}

static void the_latest_turns_begin_behind_a_deleted_one(void **state) {
	struct fixture *f = *state;
	struct conversation *c = start(f);
	char id[ID_SIZE];
	snprintf(id, sizeof id, "%s", conversation_id(c));
	write_turn(f, c, "resp_1", "", "one");
	write_turn(f, c, "resp_2", "resp_1", "two");
	write_turn(f, c, "resp_3", "resp_2", "three");
	conversation_release(&c);
	assert_int_equal(erase(f, OWNER, "resp_2"), ERR_NONE);
	assert_int_equal(latest(f, OWNER, id), ERR_NONE);
	assert_string_equal(f->answer.turn->response_id, "resp_3");
	assert_null(f->answer.turn->parent);
	release(f);
	/* With the last one gone too, its parent is none any more; what is added is listed all the same. */
	assert_int_equal(erase(f, OWNER, "resp_3"), ERR_NONE);
	assert_int_equal(latest_count(f, id), 0);
	assert_int_equal(items(f, OWNER, id), ERR_NONE);
	assert_int_equal(f->answer.count, 0);
	assert_int_equal(add(f, OWNER, id, "msg_1"), ERR_NONE);
	reopen(f);
	assert_int_equal(latest_count(f, id), 1);
}

/* Edits that were started before a turn's write is done wait for it, and for each other. */
static void edits_and_turns_wait_for_each_other(void **state) {
	struct fixture *f = *state;
	char id[ID_SIZE];
	create(f, NULL, 0, "{}", id);
	struct answer answers[8] = {0};
	const char *const names[] = {"msg_0", "msg_1", "msg_2", "msg_3", "msg_4", "msg_5", "msg_6", "msg_7"};
	for (size_t i = 0; i < 8; i++) {
		struct item_list list = items_of(&names[i], 1);
		char metadata[32];
		snprintf(metadata, sizeof metadata, "{\"n\":\"%zu\"}", i);
		const struct conversation_edit edit = {
			.owner = OWNER, .id = id, .items = i % 2 ? &list : NULL, .metadata = i % 2 ? NULL : metadata};
		assert_non_null(conversation_edit(f->vessel.conversations, &edit, on_written, &answers[i]));
		item_list_free(&list);
	}
	for (size_t i = 0; i < 8; i++) {
		vessel_wait(&f->vessel, &answers[i].done);
		assert_int_equal(answers[i].code, ERR_NONE);
	}
	reopen(f);
	assert_int_equal(items(f, OWNER, id), ERR_NONE);
	assert_int_equal(f->answer.count, 4);
	assert_int_equal(latest_count(f, id), 4);
	assert_string_equal(summary(f, OWNER, id), "text of msg_1|{\"n\":\"6\"}|1");
}

/* --- metadata ----------------------------------------------------------------------------------------------------- */

static void metadata_are_replaced(void **state) {
	struct fixture *f = *state;
	char id[ID_SIZE];
	const char *const first[] = {"msg_1"};
	create(f, first, 1, "{\"a\":\"1\"}", id);
	assert_int_equal(set_metadata(f, OWNER, id, "{\"b\":\"2\"}"), ERR_NONE);
	assert_int_equal(set_metadata(f, OWNER, id, "{\"c\":\"3\"}"), ERR_NONE);
	reopen(f);
	assert_string_equal(summary(f, OWNER, id), "text of msg_1|{\"c\":\"3\"}|1");
	assert_int_equal(latest_count(f, id), 1);
	assert_int_equal(set_metadata(f, OWNER, id, "{}"), ERR_NONE);
	reopen(f);
	assert_string_equal(summary(f, OWNER, id), "text of msg_1|{}|1");
	/* A conversation that came of a response has none until it gets some. */
	struct conversation *c = start(f);
	write_turn(f, c, "resp_1", "", "one");
	assert_string_equal(summary(f, OWNER, conversation_id(c)), "one|{}|1");
	assert_int_equal(set_metadata(f, OWNER, conversation_id(c), "{\"d\":\"4\"}"), ERR_NONE);
	write_turn(f, c, "resp_2", "resp_1", "two");
	snprintf(id, sizeof id, "%s", conversation_id(c));
	conversation_release(&c);
	reopen(f);
	assert_string_equal(summary(f, OWNER, id), "one|{\"d\":\"4\"}|1");
	/* And it outlives its turns then. */
	assert_int_equal(erase(f, OWNER, "resp_2"), ERR_NONE);
	assert_int_equal(erase(f, OWNER, "resp_1"), ERR_NONE);
	reopen(f);
	assert_string_equal(summary(f, OWNER, id), "|{\"d\":\"4\"}|0");
}

static void lists_show_metadata(void **state) {
	struct fixture *f = *state;
	char id[ID_SIZE];
	const char *const first[] = {"msg_1"};
	create(f, first, 1, "{\"a\":\"1\"}", id);
	expect(f);
	conversation_list(f->vessel.conversations, OWNER, "", 10, false, on_list, &f->answer);
	vessel_wait(&f->vessel, &f->answer.done);
	assert_string_equal(buf_text(&f->answer.texts), "text of msg_1 {\"a\":\"1\"}\n");
}

/* --- one item ----------------------------------------------------------------------------------------------------- */

static void an_item_is_deleted_and_the_rest_is_sound(void **state) {
	struct fixture *f = *state;
	const char *const first[] = {"msg_1", "msg_2", "msg_3"};
	char id[ID_SIZE];
	create(f, first, 3, "{\"a\":\"b\"}", id);
	assert_int_equal(erase_item(f, OWNER, id, "msg_9"), ERR_NOT_FOUND);
	assert_int_equal(erase_item(f, "user_b", id, "msg_2"), ERR_NOT_FOUND);
	assert_int_equal(erase_item(f, OWNER, "conv_9", "msg_2"), ERR_NOT_FOUND);
	assert_int_equal(erase_item(f, OWNER, id, "msg_2"), ERR_NONE);
	assert_int_equal(erase_item(f, OWNER, id, "msg_2"), ERR_NOT_FOUND);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(find(f, OWNER, "msg_2"), ERR_NOT_FOUND);
		assert_int_equal(latest_count(f, id), 2);
		reopen(f);
	}
	assert_int_equal(add(f, OWNER, id, "msg_4"), ERR_NONE);
	assert_int_equal(erase_item(f, OWNER, id, "msg_1"), ERR_NONE);
	assert_int_equal(erase_item(f, OWNER, id, "msg_3"), ERR_NONE);
	assert_int_equal(erase_item(f, OWNER, id, "msg_4"), ERR_NONE);
	reopen(f);
	assert_string_equal(summary(f, OWNER, id), "|{\"a\":\"b\"}|1");
	assert_int_equal(latest_count(f, id), 0);
}

static void an_answers_events_go_with_its_item(void **state) {
	struct fixture *f = *state;
	struct conversation *c = start(f);
	char id[ID_SIZE];
	char item[ID_SIZE];
	write_turn(f, c, "resp_1", "", "one");
	write_turn(f, c, "resp_2", "resp_1", "two");
	snprintf(id, sizeof id, "%s", conversation_id(c));
	uint32_t before = conversation_deletions(c);
	expect(f);
	conversation_read_response(f->vessel.conversations, OWNER, "resp_1", on_response, &f->answer);
	vessel_wait(&f->vessel, &f->answer.done);
	snprintf(item, sizeof item, "%s", f->answer.stored->output.items[0].id);
	stored_response_free(&f->answer.stored);
	assert_int_equal(erase_item(f, OWNER, id, item), ERR_NONE);
	assert_int_not_equal(conversation_deletions(c), before);
	conversation_release(&c);
	reopen(f);
	expect(f);
	conversation_read_response(f->vessel.conversations, OWNER, "resp_1", on_response, &f->answer);
	vessel_wait(&f->vessel, &f->answer.done);
	assert_int_equal(f->answer.stored->output.count, 0);
	assert_int_equal(f->answer.stored->events.length, 0);
	assert_item(&f->answer.stored->input, "one");
	stored_response_free(&f->answer.stored);
	assert_int_equal(latest_count(f, id), 3);
}

/* What a killed server left of an answer stands in its checkpoints. */
static void an_item_of_checkpoints_is_deleted_with_them(void **state) {
	struct fixture *f = *state;
	struct request_settings settings = {.store = true};
	struct item_list input = one_item(ROLE_USER, "one");
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
	struct conversation_piece pieces[2] = {{.index = 0}, {.index = 1}};
	const struct conversation_segment segment = {.response_id = "resp_1", .pieces = pieces, .piece_count = 2};
	assert_int_equal(item_message(&pieces[0].item, ROLE_ASSISTANT, ITEM_IN_PROGRESS, "msg_kept", STR("kept")), 0);
	assert_int_equal(item_message(&pieces[1].item, ROLE_ASSISTANT, ITEM_IN_PROGRESS, "msg_cut", STR("cut")), 0);
	struct conversation *c = start(f);
	char id[ID_SIZE];
	snprintf(id, sizeof id, "%s", conversation_id(c));
	expect(f);
	conversation_begin(c, &entry, on_written, &f->answer);
	vessel_wait(&f->vessel, &f->answer.done);
	expect(f);
	conversation_checkpoint(c, &segment, on_written, &f->answer);
	vessel_wait(&f->vessel, &f->answer.done);
	item_list_free(&input);
	item_free(&pieces[0].item);
	item_free(&pieces[1].item);
	conversation_release(&c);
	reopen(f); /* which finds it incomplete */
	assert_int_equal(latest_count(f, id), 3);
	assert_int_equal(erase_item(f, OWNER, id, "msg_cut"), ERR_NONE);
	assert_int_equal(erase_item(f, OWNER, id, "msg_cut"), ERR_NOT_FOUND);
	reopen(f);
	assert_int_equal(latest_count(f, id), 2);
	/* The other is a record now. */
	assert_int_equal(find(f, OWNER, "msg_kept"), ERR_NONE);
	assert_string_equal(buf_text(&f->answer.texts), "kept");
	assert_int_equal(erase_item(f, OWNER, id, "msg_kept"), ERR_NONE);
	assert_int_equal(latest_count(f, id), 1);
}

static void items_are_found_by_their_ids(void **state) {
	struct fixture *f = *state;
	const char *const first[] = {"msg_1", "msg_2"};
	char id[ID_SIZE];
	create(f, first, 2, "{}", id);
	struct conversation *c = start(f);
	write_turn(f, c, "resp_1", "", "one");
	conversation_release(&c);
	reopen(f);
	assert_int_equal(find(f, OWNER, "msg_2"), ERR_NONE);
	assert_string_equal(buf_text(&f->answer.texts), "text of msg_2");
	assert_int_equal(find(f, "user_b", "msg_2"), ERR_NOT_FOUND);
	assert_int_equal(find(f, OWNER, "msg_9"), ERR_NOT_FOUND);
	assert_int_equal(find(f, OWNER, ""), ERR_NOT_FOUND);
	/* Of an answer too. */
	expect(f);
	conversation_read_response(f->vessel.conversations, OWNER, "resp_1", on_response, &f->answer);
	vessel_wait(&f->vessel, &f->answer.done);
	char output[ID_SIZE];
	snprintf(output, sizeof output, "%s", f->answer.stored->output.items[0].id);
	stored_response_free(&f->answer.stored);
	assert_int_equal(find(f, OWNER, output), ERR_NONE);
	assert_string_equal(buf_text(&f->answer.texts), "re: one");
}

static void the_newest_of_an_id_is_found(void **state) {
	struct fixture *f = *state;
	char one[ID_SIZE];
	char two[ID_SIZE];
	const char *const same[] = {"msg_1"};
	create(f, same, 1, "{}", one);
	create(f, same, 1, "{}", two);
	run_sql(f, "UPDATE record SET sealed = zeroblob(336), commitment = zeroblob(32) WHERE key ="
		   " (SELECT min(key) FROM record WHERE item = 'msg_1')");
	assert_int_equal(find(f, OWNER, "msg_1"), ERR_NONE);
	assert_int_equal(erase_item(f, OWNER, two, "msg_1"), ERR_NONE);
	assert_int_equal(find(f, OWNER, "msg_1"), ERR_CORRUPT);
}

static void others_find_and_change_nothing(void **state) {
	struct fixture *f = *state;
	const char *const first[] = {"msg_1"};
	char id[ID_SIZE];
	create(f, first, 1, "{\"a\":\"b\"}", id);
	summary(f, "user_b", id);
	assert_int_equal(f->answer.code, ERR_NOT_FOUND);
	assert_int_equal(add(f, "user_b", id, "msg_2"), ERR_NOT_FOUND);
	assert_int_equal(set_metadata(f, "user_b", id, "{}"), ERR_NOT_FOUND);
	assert_int_equal(latest(f, "user_b", id), ERR_NOT_FOUND);
	assert_int_equal(latest(f, OWNER, "conv_9"), ERR_NOT_FOUND);
	assert_string_equal(summary(f, OWNER, id), "text of msg_1|{\"a\":\"b\"}|1");
	assert_int_equal(latest_count(f, id), 1);
}

/* --- tampering ---------------------------------------------------------------------------------------------------- */

#define METADATA_ROW "WHERE kind = 7 AND number = 1"

static void metadata_that_were_tampered_with_show(void **state) {
	static const char *const changes[] = {
		/* a bit of the ciphertext; another's text; another kind or time; taken out */
		"UPDATE record SET sealed = CAST(substr(sealed, 1, 99) || x'00' || substr(sealed, 101) AS BLOB) " METADATA_ROW,
		"UPDATE record SET sealed = (SELECT sealed FROM record WHERE kind = 2 LIMIT 1) " METADATA_ROW,
		"UPDATE record SET created_ms = created_ms + 1 " METADATA_ROW,
		"UPDATE record SET response = (SELECT max(key) FROM response) " METADATA_ROW,
		"UPDATE record SET commitment = zeroblob(32) " METADATA_ROW,
		"DELETE FROM record " METADATA_ROW,
	};
	struct fixture *f = *state;
	const char *const first[] = {"msg_1"};
	for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		char id[ID_SIZE];
		create(f, first, 1, "{\"a\":\"b\"}", id);
		assert_string_equal(summary(f, OWNER, id), "text of msg_1|{\"a\":\"b\"}|1");
		run_sql(f, changes[i]);
		summary(f, OWNER, id);
		assert_int_equal(f->answer.code, ERR_CORRUPT);
	}
}

/* Old metadata are not brought back, nor is what was written behind the old head. */
static void old_metadata_do_not_come_back(void **state) {
	struct fixture *f = *state;
	const char *const first[] = {"msg_1"};
	char id[ID_SIZE];
	create(f, first, 1, "{\"a\":\"old\"}", id);
	run_sql(f, "CREATE TABLE kept AS SELECT * FROM record; UPDATE kept SET kind = kind");
	assert_int_equal(set_metadata(f, OWNER, id, "{\"a\":\"new\"}"), ERR_NONE);
	run_sql(f, "DELETE FROM record WHERE kind = 7; INSERT INTO record SELECT * FROM kept WHERE kind = 7");
	summary(f, OWNER, id);
	assert_int_equal(f->answer.code, ERR_CORRUPT);
	assert_int_equal(latest(f, OWNER, id), ERR_CORRUPT);
	assert_int_equal(add(f, OWNER, id, "msg_2"), ERR_CORRUPT);
}

static void an_id_beside_a_record_is_not_believed(void **state) {
	struct fixture *f = *state;
	const char *const first[] = {"msg_1", "msg_2"};
	char id[ID_SIZE];
	create(f, first, 2, "{}", id);
	run_sql(f, "UPDATE record SET item = 'msg_x' WHERE item = 'msg_2'");
	assert_int_equal(find(f, OWNER, "msg_x"), ERR_CORRUPT);
	assert_int_equal(erase_item(f, OWNER, id, "msg_x"), ERR_CORRUPT);
	/* One without, as items had none once, is looked into. */
	run_sql(f, "UPDATE record SET item = NULL");
	assert_int_equal(find(f, OWNER, "msg_1"), ERR_NOT_FOUND);
	assert_int_equal(erase_item(f, OWNER, id, "msg_2"), ERR_NONE);
	assert_int_equal(latest_count(f, id), 1);
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static struct item_list more; /* what start_add adds */

static struct conversation_op *start_add(struct fixture *f, const char *id) {
	const struct conversation_edit edit = {.owner = OWNER, .id = id, .items = &more, .metadata = "{}"};
	return conversation_edit(f->vessel.conversations, &edit, on_written, &f->answer);
}

static struct conversation_op *start_erase(struct fixture *f, const char *id) {
	const struct conversation_place place = {OWNER, id, "msg_1"};
	return conversation_delete_item(f->vessel.conversations, &place, on_written, &f->answer);
}

static struct conversation_op *start_read(struct fixture *f, const char *id) {
	return conversation_read(f->vessel.conversations, OWNER, id, on_summary, &f->answer);
}

static struct conversation_op *start_find(struct fixture *f, const char *id) {
	(void)id;
	return conversation_find_item(f->vessel.conversations, OWNER, "msg_2", on_item, &f->answer);
}

static struct conversation_op *start_latest(struct fixture *f, const char *id) {
	return conversation_load_latest(f->vessel.conversations,
					&(const struct conversation_wish){.owner = OWNER, .id = id}, on_context,
					&f->answer);
}

/* Whatever allocation fails, it is told or not started, nothing is half done, and the next try goes well. */
static void every_allocation_may_fail(void **state) {
	static struct conversation_op *(*const starts[])(struct fixture *, const char *) = {
		start_add, start_read, start_find, start_latest, start_erase};
	struct fixture *f = *state;
	const char *const first[] = {"msg_1", "msg_2"};
	const char *const name[] = {"msg_more"};
	more = items_of(name, 1);
	for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
		char id[ID_SIZE];
		create(f, first, 2, "{\"a\":\"b\"}", id);
		bool failed = true;
		for (uint64_t nth = 1; failed; nth++) {
			size_t before = latest_count(f, id);
			reopen(f); /* a thread that is not in memory costs more of it */
			expect(f);
			uint64_t count = mem_alloc_count();
			mem_fail_after(nth, false);
			struct conversation_op *op = starts[i](f, id);
			if (op) {
				vessel_wait(&f->vessel, &f->answer.done);
			}
			failed = mem_alloc_count() - count >= nth;
			mem_fail_after(0, false);
			enum err_code code = op ? f->answer.code : ERR_MEMORY;
			bool added = starts[i] == start_add && code == ERR_NONE;
			bool erased = starts[i] == start_erase && code == ERR_NONE;
			release(f);
			/* What is allocated behind the outcome may fail without harm. */
			assert_true(code == ERR_NONE || (failed && code == ERR_MEMORY));
			assert_int_equal(latest_count(f, id), before + (added ? 1 : 0) - (erased ? 1 : 0));
			failed = failed && !erased;
			assert_true(nth < 500);
		}
	}
	item_list_free(&more);
}

/* --- blobs -------------------------------------------------------------------------------------------------------- */

static void a_blob_opens_for_its_owner_and_purpose(void **state) {
	struct fixture *f = *state;
	struct buf blob = BUF_INIT;
	struct buf text = BUF_INIT;
	struct err err = {0};
	const struct conversations *module = f->vessel.conversations;
	assert_int_equal(conversation_seal_blob(module, OWNER, "reasoning", STR("a thought"), &blob), 0);
	assert_int_equal(conversation_open_blob(module, OWNER, "reasoning", buf_str(&blob), &text, &err), 0);
	assert_string_equal(buf_text(&text), "a thought");
	assert_int_equal(conversation_open_blob(module, "user_b", "reasoning", buf_str(&blob), &text, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_int_equal(conversation_open_blob(module, OWNER, "compaction", buf_str(&blob), &text, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_string_equal(buf_text(&text), "a thought");
	buf_free(&blob);
	buf_free(&text);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_conversation_may_begin_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(items_are_a_turn_that_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_added_while_a_response_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(the_latest_turn_is_not_passed_over_while_it_is_written, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_latest_turn_is_not_passed_over_while_it_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(the_latest_turns_begin_behind_a_deleted_one, setup, teardown),
		cmocka_unit_test_setup_teardown(edits_and_turns_wait_for_each_other, setup, teardown),
		cmocka_unit_test_setup_teardown(metadata_are_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(lists_show_metadata, setup, teardown),
		cmocka_unit_test_setup_teardown(an_item_is_deleted_and_the_rest_is_sound, setup, teardown),
		cmocka_unit_test_setup_teardown(an_answers_events_go_with_its_item, setup, teardown),
		cmocka_unit_test_setup_teardown(an_item_of_checkpoints_is_deleted_with_them, setup, teardown),
		cmocka_unit_test_setup_teardown(items_are_found_by_their_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(the_newest_of_an_id_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(others_find_and_change_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(metadata_that_were_tampered_with_show, setup, teardown),
		cmocka_unit_test_setup_teardown(old_metadata_do_not_come_back, setup, teardown),
		cmocka_unit_test_setup_teardown(an_id_beside_a_record_is_not_believed, setup, teardown),
		cmocka_unit_test_setup_teardown(every_allocation_may_fail, setup, teardown),
		cmocka_unit_test_setup_teardown(a_blob_opens_for_its_owner_and_purpose, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
