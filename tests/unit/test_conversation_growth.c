/* Long conversations: read from their end, verified from a little before what is read, and no less tamper-evident for it. */
#include <sqlite3.h>

#include "base_test.h"
#include "conversation_fixture.h"

static int64_t sql(struct fixture *f, const char *text) {
	char path[128];
	sqlite3 *db;
	sqlite3_stmt *statement;
	int64_t number = 0;
	snprintf(path, sizeof path, "%s/sluice.db", f->vessel.dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &statement, NULL), SQLITE_OK);
	int status = sqlite3_step(statement);
	assert_true(status == SQLITE_ROW || status == SQLITE_DONE);
	number = status == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : sqlite3_changes(db);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return number;
}

/* A conversation of turns resp_1 to resp_COUNT, each asked so many bytes. `id` gets its id. */
static void converse(struct fixture *f, int count, size_t bytes, char id[static ID_SIZE]) {
	char *text = malloc(bytes + 1);
	memset(text, 'x', bytes);
	text[bytes] = '\0';
	char response[ID_SIZE] = "", parent[ID_SIZE];
	struct conversation *c = start(f);
	snprintf(id, ID_SIZE, "%s", conversation_id(c));
	for (int i = 1; i <= count; i++) {
		memcpy(parent, response, sizeof parent);
		snprintf(response, sizeof response, "resp_%d", i);
		write_turn(f, c, response, parent, text);
	}
	conversation_release(&c);
	free(text);
}

static enum err_code load_cut(struct fixture *f, const char *id) {
	expect(f);
	assert_non_null(conversation_load(f->vessel.conversations,
					  &(const struct conversation_wish){.owner = OWNER, .id = id, .may_cut = true},
					  on_context, &f->answer));
	vessel_wait(&f->vessel, &f->answer.done);
	return f->answer.code;
}

static enum err_code read_whole(struct fixture *f, const char *id) {
	expect(f);
	conversation_items(f->vessel.conversations, &(const struct conversation_page){.owner = OWNER, .id = id},
			   on_items, &f->answer);
	vessel_wait(&f->vessel, &f->answer.done);
	return f->answer.code;
}

/* How many turns there are; the names of the oldest two. */
static size_t count_turns(const struct turn *turn, const char **first, const char **second) {
	size_t count = 0;
	for (; turn; turn = turn->parent) {
		*second = *first;
		*first = turn->response_id;
		count++;
	}
	return count;
}

static size_t turns_of_answer(struct fixture *f) {
	const char *first = NULL, *second = NULL;
	size_t count = count_turns(f->answer.turn, &first, &second);
	release(f);
	return count;
}

static void a_context_is_read_from_its_end(void **state) {
	struct fixture *f = *state;
	const char *first = NULL, *second = NULL;
	char id[ID_SIZE];
	converse(f, 120, 2000, id); /* 65,536 bytes are some 33 of them */
	for (int round = 0; round < 2; round++) {
		assert_int_equal(load_cut(f, "resp_120"), ERR_NONE);
		assert_string_equal(f->answer.turn->response_id, "resp_120");
		size_t count = count_turns(f->answer.turn, &first, &second);
		assert_in_range(count, 34, 80);
		/* What stands in front of a conversation stays there. */
		assert_string_equal(first, "resp_1");
		char oldest[ID_SIZE];
		snprintf(oldest, sizeof oldest, "resp_%zu", 120 - (count - 2));
		assert_string_equal(second, oldest);
		release(f);
		assert_int_equal(load(f, OWNER, "resp_120"), ERR_LIMIT);
		/* Neither end of another length. */
		assert_int_equal(load_cut(f, "resp_20"), ERR_NONE);
		assert_int_equal(turns_of_answer(f), 20);
		assert_int_equal(load(f, OWNER, "resp_20"), ERR_NONE);
		assert_int_equal(turns_of_answer(f), 20);
		reopen(f);
	}
	assert_true(sql(f, "SELECT count(*) FROM waypoint") >= 6);
}

/* Sealed, short texts are many times as long: whatever fits is there all the same. */
static void short_turns_are_not_left_out(void **state) {
	struct fixture *f = *state;
	char id[ID_SIZE];
	converse(f, 400, 10, id);
	reopen(f);
	assert_int_equal(load_cut(f, "resp_400"), ERR_NONE);
	assert_int_equal(turns_of_answer(f), 400);
	assert_int_equal(load(f, OWNER, "resp_400"), ERR_NONE);
	assert_int_equal(turns_of_answer(f), 400);
}

static void tampering_shows_where_it_is_read(void **state) {
	struct fixture *f = *state;
	char id[ID_SIZE];
	converse(f, 120, 2000, id);
	reopen(f);
	sql(f, "CREATE TABLE saved AS SELECT * FROM waypoint");
	/* A record that is read: any but the last, so that the row's numbers still fit. */
	sql(f, "CREATE TABLE gone AS SELECT * FROM record WHERE number = 460");
	assert_int_equal(sql(f, "DELETE FROM record WHERE number = 460"), 1);
	assert_int_equal(load_cut(f, "resp_120"), ERR_CORRUPT);
	sql(f, "INSERT INTO record SELECT * FROM gone");
	assert_int_equal(load_cut(f, "resp_120"), ERR_NONE);
	release(f);
	/* A waypoint that is not ours. */
	reopen(f);
	assert_true(sql(f, "UPDATE waypoint SET chain = randomblob(32)") > 0);
	assert_int_equal(load_cut(f, "resp_120"), ERR_CORRUPT);
	/* One of ours in another's place. */
	sql(f, "UPDATE waypoint SET chain = (SELECT chain FROM saved ORDER BY number LIMIT 1)");
	assert_int_equal(load_cut(f, "resp_120"), ERR_CORRUPT);
	/* None at all: then it takes longer. */
	sql(f, "DELETE FROM waypoint");
	assert_int_equal(load_cut(f, "resp_120"), ERR_NONE);
	release(f);
	reopen(f);
	/* What is not read is not looked at until it is. */
	sql(f, "INSERT INTO waypoint SELECT * FROM saved");
	assert_int_equal(sql(f, "DELETE FROM record WHERE number = 41"), 1);
	assert_int_equal(load_cut(f, "resp_120"), ERR_NONE);
	release(f);
	reopen(f);
	assert_int_equal(read_whole(f, id), ERR_CORRUPT);
	assert_int_equal(load_cut(f, "resp_20"), ERR_CORRUPT);
}

static void after_a_deletion_it_is_whole(void **state) {
	struct fixture *f = *state;
	char id[ID_SIZE];
	converse(f, 120, 2000, id);
	assert_int_equal(erase(f, OWNER, "resp_10"), ERR_NONE);
	reopen(f);
	assert_int_equal(load_cut(f, "resp_120"), ERR_NONE);
	struct conversation *c = conversation_hold(f->answer.conversation);
	release(f);
	for (int i = 121; i <= 150; i++) {
		char response[ID_SIZE], parent[ID_SIZE];
		snprintf(response, sizeof response, "resp_%d", i);
		snprintf(parent, sizeof parent, "resp_%d", i - 1);
		write_turn(f, c, response, parent, "more");
	}
	conversation_release(&c);
	reopen(f);
	assert_int_equal(load_cut(f, "resp_150"), ERR_NONE);
	release(f);
	assert_int_equal(read_whole(f, id), ERR_NONE); /* from behind the deleted turn */
	assert_int_equal(f->answer.count, 280);
	/* Every waypoint is on the chain as it is now. */
	reopen(f);
	int64_t left = sql(f, "SELECT count(*) FROM waypoint");
	assert_true(left >= 8);
	for (; left > 1; left--) {
		sql(f, "DELETE FROM waypoint WHERE number = (SELECT max(number) FROM waypoint)");
		assert_int_equal(load_cut(f, "resp_150"), ERR_NONE);
		release(f);
		reopen(f);
	}
}

/* A conversation that was written before there were any. */
static void waypoints_are_made_up_for(void **state) {
	struct fixture *f = *state;
	char id[ID_SIZE];
	converse(f, 120, 1000, id);
	reopen(f);
	sql(f, "DELETE FROM waypoint");
	assert_int_equal(load_cut(f, "resp_120"), ERR_NONE);
	struct conversation *c = conversation_hold(f->answer.conversation);
	release(f);
	assert_int_equal(sql(f, "SELECT count(*) FROM waypoint"), 0);
	write_turn(f, c, "resp_121", "resp_120", "one more");
	conversation_release(&c);
	assert_true(sql(f, "SELECT count(*) FROM waypoint") >= 7);
	reopen(f);
	assert_int_equal(load_cut(f, "resp_121"), ERR_NONE);
	release(f);
}

static void the_newest_items_come_alone(void **state) {
	struct fixture *f = *state;
	char id[ID_SIZE];
	converse(f, 50, 10, id);
	reopen(f);
	expect(f);
	conversation_items(f->vessel.conversations,
			   &(const struct conversation_page){.owner = OWNER, .id = id, .most = 3}, on_items,
			   &f->answer);
	vessel_wait(&f->vessel, &f->answer.done);
	assert_int_equal(f->answer.code, ERR_NONE);
	assert_string_equal(buf_text(&f->answer.texts), "resp_49 xxxxxxxxxx\nresp_49 re: xxxxxxxxxx\n"
							"resp_50 xxxxxxxxxx\nresp_50 re: xxxxxxxxxx\n");
	assert_int_equal(read_whole(f, id), ERR_NONE);
	assert_int_equal(f->answer.count, 100);
}

/* A line for each item: its id. */
static void on_ids(void *arg, const struct conversation_item *items, size_t count, const struct err *err) {
	struct answer *answer = arg;
	note(answer, err);
	answer->count = count;
	for (size_t i = 0; i < count; i++) {
		buf_printf(&answer->texts, "%s\n", items[i].item->id);
	}
}

static const char *read_ids(struct fixture *f, const struct conversation_page *page) {
	expect(f);
	assert_non_null(conversation_items(f->vessel.conversations, page, on_ids, &f->answer));
	vessel_wait(&f->vessel, &f->answer.done);
	assert_int_equal(f->answer.code, ERR_NONE);
	return buf_text(&f->answer.texts);
}

static size_t count_lines(const char *from, const char *to) {
	size_t lines = 0;
	for (; from < to; from++) {
		lines += *from == '\n';
	}
	return lines;
}

/* Turns of two items: a page has those that are asked for and at most one more, and the turn that it begins with. */
static void judge_page(const char *path, const char *got, const struct conversation_page *page) {
	const char *begin = strstr(path, got), *end = path + strlen(path);
	assert_non_null(begin);
	const char *stop = begin + strlen(got), *item = page->item ? strstr(path, page->item) : NULL;
	if (page->item && !item) {
		assert_string_equal(got, path);
		return;
	}
	const char *behind = item ? strchr(item, '\n') + 1 : path;
	if (page->ascending) {
		size_t has = count_lines(behind, stop);
		assert_true(item ? begin <= item : begin == path);
		assert_true(stop == end || (has >= page->most && has <= page->most + 2));
		assert_true(!item || count_lines(begin, item) <= 1);
	} else {
		size_t has = count_lines(begin, item ? item : end);
		assert_true(item ? stop >= behind : stop == end);
		assert_true(begin == path || (has >= page->most && has <= page->most + 2));
		assert_true(!item || count_lines(item, stop) <= 2);
	}
}

/* From any item in either direction, whatever branches there are and whatever was deleted. */
static void a_page_is_a_piece_of_the_path(void **state) {
	struct fixture *f = *state;
	uint64_t seed = test_seed();
	char id[ID_SIZE], response[ID_SIZE] = "", parent[ID_SIZE];
	struct conversation *c = start(f);
	snprintf(id, sizeof id, "%s", conversation_id(c));
	for (int i = 1; i <= 80; i++) {
		memcpy(parent, response, sizeof parent);
		if (i > 1 && test_random(&seed) % 8 == 0) {
			snprintf(parent, sizeof parent, "resp_%d", (int)(test_random(&seed) % (uint64_t)(i - 1)) + 1);
		}
		snprintf(response, sizeof response, "resp_%d", i);
		write_turn(f, c, response, parent, "x");
	}
	conversation_release(&c);
	char *path = strdup(read_ids(f, &(const struct conversation_page){.owner = OWNER, .id = id}));
	size_t count = f->answer.count;
	for (int round = 0; round < 300; round++) {
		char item[ID_SIZE];
		const char *at = path;
		for (uint64_t skip = test_random(&seed) % count; skip > 0; skip--) {
			at = strchr(at, '\n') + 1;
		}
		snprintf(item, sizeof item, "%.*s", (int)strcspn(at, "\n"), at);
		uint64_t kind = test_random(&seed) % 16;
		const struct conversation_page page = {
			.owner = OWNER,
			.id = id,
			.item = kind == 0   ? NULL
				: kind == 1 ? "msg_of_another_conversation"
					    : item,
			.ascending = test_random(&seed) % 2,
			.most = (uint32_t)(test_random(&seed) % 20) + 1,
		};
		judge_page(path, read_ids(f, &page), &page);
	}
	free(path);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_context_is_read_from_its_end, setup, teardown),
		cmocka_unit_test_setup_teardown(short_turns_are_not_left_out, setup, teardown),
		cmocka_unit_test_setup_teardown(tampering_shows_where_it_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(after_a_deletion_it_is_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(waypoints_are_made_up_for, setup, teardown),
		cmocka_unit_test_setup_teardown(the_newest_items_come_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(a_page_is_a_piece_of_the_path, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
