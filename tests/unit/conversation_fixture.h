/* What the tests of the conversation layer share: calls that wait for their answer, and whole turns. */
#ifndef SLUICE_TESTS_CONVERSATION_FIXTURE_H
#define SLUICE_TESTS_CONVERSATION_FIXTURE_H

#include "base/mem.h"
#include "conversation_test.h"

#define OWNER "user_a"

struct answer {
	bool done;
	enum err_code code;
	struct conversation *conversation;
	struct turn *turn;
	struct stored_response *stored;
	struct buf texts; /* of items, one a line; or titles */
	size_t count;
	bool more;
};

struct fixture {
	uv_loop_t loop;
	struct vessel vessel;
	struct answer answer;
};

static inline void expect(struct fixture *f) {
	buf_free(&f->answer.texts);
	f->answer = (struct answer){0};
}

static inline void note(struct answer *answer, const struct err *err) {
	assert_false(answer->done);
	answer->done = true;
	answer->code = err ? err->code : ERR_NONE;
}

static inline void on_written(void *arg, const struct err *err) {
	note(arg, err);
}

static inline void on_context(void *arg, struct conversation *conversation, struct turn *turn, const struct err *err) {
	struct answer *answer = arg;
	note(answer, err);
	answer->conversation = conversation;
	answer->turn = turn;
}

static inline void on_response(void *arg, struct stored_response *stored, const struct err *err) {
	struct answer *answer = arg;
	note(answer, err);
	answer->stored = stored;
}

static inline void on_items(void *arg, const struct conversation_item *items, size_t count, const struct err *err) {
	struct answer *answer = arg;
	note(answer, err);
	answer->count = count;
	for (size_t i = 0; i < count; i++) {
		buf_append_text(&answer->texts, items[i].response_id);
		buf_append_char(&answer->texts, ' ');
		item_append_text(items[i].item, &answer->texts);
		buf_append_char(&answer->texts, '\n');
	}
}

static inline void on_list(void *arg, const struct conversation_summary *rows, size_t count, bool more,
			   const struct err *err) {
	struct answer *answer = arg;
	note(answer, err);
	answer->count = count;
	answer->more = more;
	for (size_t i = 0; i < count; i++) {
		buf_printf(&answer->texts, "%s %s\n", rows[i].title, rows[i].metadata);
	}
}

static inline int setup(void **state) {
	struct fixture *f = calloc(1, sizeof *f);
	uv_loop_init(&f->loop);
	vessel_open(&f->vessel, &f->loop);
	*state = f;
	return 0;
}

static inline int teardown(void **state) {
	struct fixture *f = *state;
	vessel_close(&f->vessel);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	buf_free(&f->answer.texts);
	free(f);
	return 0;
}

static inline struct item_list one_item(enum item_role role, const char *text) {
	struct item_list list = {0};
	struct item item = {0};
	char id[ID_SIZE];
	id_make(id, "msg", 1);
	assert_int_equal(item_message(&item, role, ITEM_COMPLETED, id, str_of(text)), 0);
	assert_int_equal(item_list_add(&list, &item), 0);
	return list;
}

/* Writes a whole turn: its beginning, and its end with the answer "re: TEXT". */
static inline void write_turn(struct fixture *f, struct conversation *c, const char *id, const char *parent,
			      const char *text) {
	char answer[256];
	snprintf(answer, sizeof answer, "re: %s", text);
	struct item_list input = one_item(ROLE_USER, text);
	struct item_list output = one_item(ROLE_ASSISTANT, answer);
	struct request_settings settings = {.store = true};
	struct conversation_entry entry = {
		.response_id = id,
		.parent_id = parent,
		.model = "m",
		.settings = &settings,
		.input = &input,
		.created_ms = 1000,
		.status = RESPONSE_IN_PROGRESS,
		.reason = "",
		.error_message = "",
	};
	expect(f);
	assert_non_null(conversation_begin(c, &entry, on_written, &f->answer));
	assert_false(f->answer.done);
	vessel_wait(&f->vessel, &f->answer.done);
	assert_int_equal(f->answer.code, ERR_NONE);
	entry.status = RESPONSE_COMPLETED;
	entry.completed_ms = 2000;
	entry.output = output.items;
	entry.output_count = output.count;
	entry.events = STR("\x01\x02");
	entry.usage = (struct response_usage){.known = true, .input_tokens = 3, .output_tokens = 4};
	expect(f);
	assert_non_null(conversation_finish(c, &entry, on_written, &f->answer));
	vessel_wait(&f->vessel, &f->answer.done);
	assert_int_equal(f->answer.code, ERR_NONE);
	item_list_free(&input);
	item_list_free(&output);
}

static inline struct conversation *start(struct fixture *f) {
	struct err err = {0};
	struct conversation *c = conversation_start(f->vessel.conversations, OWNER, &err);
	assert_non_null(c);
	return c;
}

static inline enum err_code load(struct fixture *f, const char *owner, const char *id) {
	expect(f);
	assert_non_null(conversation_load(f->vessel.conversations,
					  &(const struct conversation_wish){.owner = owner, .id = id}, on_context,
					  &f->answer));
	vessel_wait(&f->vessel, &f->answer.done);
	return f->answer.code;
}

static inline void release(struct fixture *f) {
	turn_release(&f->answer.turn);
	conversation_release(&f->answer.conversation);
}

static inline enum err_code erase(struct fixture *f, const char *owner, const char *id) {
	expect(f);
	assert_non_null(conversation_delete_response(f->vessel.conversations, owner, id, on_written, &f->answer));
	vessel_wait(&f->vessel, &f->answer.done);
	return f->answer.code;
}

static inline void reopen(struct fixture *f) {
	vessel_close_store(&f->vessel);
	vessel_open_store(&f->vessel);
}

static inline void assert_item(const struct item_list *list, const char *text) {
	struct buf got = BUF_INIT;
	assert_int_equal(list->count, 1);
	item_append_text(&list->items[0], &got);
	assert_string_equal(buf_text(&got), text);
	buf_free(&got);
}

#endif
