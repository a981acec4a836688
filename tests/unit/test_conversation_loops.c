/* Conversations that several loops have open at once: what they write to one thread, and what one of them deletes. */
#include <assert.h>
#include <stdatomic.h>

#include "conversation_fixture.h"

#define LOOPS 2
#define TURNS 60
#define ROUNDS 100

/* One loop with what is its own. Its answers are read by whoever runs it. */
struct worker {
	struct vessel vessel; /* its loop, store and conversations; the rest is borrowed from the first one's */
	uv_loop_t loop;
	struct mailbox *mailbox;
	size_t number;
	struct answer answer;
	struct scene *scene;
};

struct scene {
	struct worker workers[LOOPS];
	struct conversation_peers *peers;
	char thread[ID_SIZE];
	atomic_int reported; /* deletions */
	atomic_bool over;
};

static void open_worker(struct scene *scene, size_t i) {
	struct err err = {0};
	struct worker *w = &scene->workers[i];
	const struct vessel *first = &scene->workers[0].vessel;
	w->vessel.keyring = first->keyring;
	if (i > 0) {
		w->vessel.store = store_share(first->store, &w->loop, &err);
		assert_non_null(w->vessel.store);
	}
	const struct conversation_deps deps = {
		.store = w->vessel.store,
		.keyring = first->keyring,
		.clock = clock_system(),
		.log = &w->vessel.log,
		.peers = scene->peers,
		.loop_index = i,
	};
	w->vessel.conversations = conversations_new(&deps, &err);
	assert_non_null(w->vessel.conversations);
}

static void open_modules(struct scene *scene) {
	struct mailbox *mailboxes[LOOPS];
	struct err err = {0};
	for (size_t i = 0; i < LOOPS; i++) {
		mailboxes[i] = scene->workers[i].mailbox = mailbox_new(&scene->workers[i].loop, &err);
		assert_non_null(mailboxes[i]);
	}
	scene->peers = conversation_peers_new(mailboxes, LOOPS, &err);
	assert_non_null(scene->peers);
	conversations_free(&scene->workers[0].vessel.conversations);
	for (size_t i = 0; i < LOOPS; i++) {
		open_worker(scene, i);
	}
}

static int setup_scene(void **state) {
	struct scene *scene = calloc(1, sizeof *scene);
	for (size_t i = 0; i < LOOPS; i++) {
		struct worker *w = &scene->workers[i];
		assert_int_equal(uv_loop_init(&w->loop), 0);
		w->vessel.loop = &w->loop;
		w->number = i;
		w->scene = scene;
	}
	vessel_open(&scene->workers[0].vessel, &scene->workers[0].loop);
	open_modules(scene);
	*state = scene;
	return 0;
}

/* All loops on this thread; what is left of each. */
static void close_modules(struct scene *scene) {
	for (size_t i = LOOPS; i-- > 0;) {
		store_close(&scene->workers[i].vessel.store);
		conversations_free(&scene->workers[i].vessel.conversations);
		mailbox_close(scene->workers[i].mailbox);
	}
	for (size_t i = 0; i < LOOPS; i++) {
		uv_run(&scene->workers[i].loop, UV_RUN_DEFAULT);
		mailbox_free(&scene->workers[i].mailbox);
	}
	conversation_peers_free(&scene->peers);
}

static int teardown_scene(void **state) {
	struct scene *scene = *state;
	if (scene->peers) {
		close_modules(scene);
	}
	vessel_close(&scene->workers[0].vessel);
	for (size_t i = 0; i < LOOPS; i++) {
		uv_run(&scene->workers[i].loop, UV_RUN_DEFAULT);
		assert_int_equal(uv_loop_close(&scene->workers[i].loop), 0);
	}
	free(scene);
	return 0;
}

/* From here on one loop and one module again, over the same folder. */
static void settle(struct scene *scene) {
	close_modules(scene);
	vessel_open_store(&scene->workers[0].vessel);
}

/* --- on a worker's loop; `assert` works on every thread ------------------------------------------------------------ */

static void wait_here(struct worker *w) {
	while (!w->answer.done) {
		uv_run(&w->loop, UV_RUN_ONCE);
	}
}

static void begin_and_finish(struct worker *w, struct conversation *c, const char *id, const char *parent) {
	struct answer begun = {0};
	struct item_list input = one_item(ROLE_USER, id);
	struct item_list output = one_item(ROLE_ASSISTANT, "answer");
	struct request_settings settings = {.store = true};
	struct conversation_entry entry = {.response_id = id,
					   .parent_id = parent,
					   .model = "m",
					   .settings = &settings,
					   .input = &input,
					   .created_ms = 1000,
					   .status = RESPONSE_IN_PROGRESS,
					   .reason = "",
					   .error_message = ""};
	w->answer = (struct answer){0};
	struct conversation_op *begin = conversation_begin(c, &entry, on_written, &begun);
	entry.status = RESPONSE_COMPLETED;
	entry.completed_ms = 2000;
	entry.output = output.items;
	entry.output_count = output.count;
	/* Sealed behind the beginning, which is not written yet. */
	struct conversation_op *end = conversation_finish(c, &entry, on_written, &w->answer);
	assert(begin && end);
	wait_here(w);
	assert(begun.done && begun.code == ERR_NONE);
	assert(w->answer.code == ERR_NONE);
	item_list_free(&input);
	item_list_free(&output);
}

static void name_response(char *id, size_t loop, int turn) {
	snprintf(id, ID_SIZE, "resp_%zu_%d", loop, turn);
}

/* The conversation as this loop has it open, held. */
static struct conversation *open_here(struct worker *w, const char *response) {
	w->answer = (struct answer){0};
	struct conversation_op *op = conversation_load(
		w->vessel.conversations, &(struct conversation_wish){OWNER, response, false}, on_context, &w->answer);
	assert(op);
	wait_here(w);
	assert(w->answer.code == ERR_NONE);
	turn_release(&w->answer.turn);
	return w->answer.conversation;
}

static void set_metadata(struct worker *w, int turn) {
	char metadata[64];
	snprintf(metadata, sizeof metadata, "{\"loop\":\"%zu\",\"turn\":\"%d\"}", w->number, turn);
	const struct conversation_edit edit = {.owner = OWNER, .id = w->scene->thread, .metadata = metadata};
	w->answer = (struct answer){0};
	struct conversation_op *op = conversation_edit(w->vessel.conversations, &edit, on_written, &w->answer);
	assert(op);
	wait_here(w);
	assert(w->answer.code == ERR_NONE);
}

/* A conversation with turns resp_0_0 to resp_0_LAST, each behind the one before, written on the first loop. */
static void prepare(struct scene *scene, int last) {
	struct err err = {0};
	struct worker *w = &scene->workers[0];
	struct conversation *c = conversation_start(w->vessel.conversations, OWNER, &err);
	char id[ID_SIZE];
	char parent[ID_SIZE] = "";
	strcpy(scene->thread, conversation_id(c));
	for (int i = 0; i <= last; i++) {
		name_response(id, 0, i);
		begin_and_finish(w, c, id, parent);
		strcpy(parent, id);
	}
	conversation_release(&c);
}

/* --- writing one thread --------------------------------------------------------------------------------------------- */

static void write_turns(void *argument) {
	struct worker *w = argument;
	char id[ID_SIZE];
	char parent[ID_SIZE];
	name_response(parent, 0, 0);
	struct conversation *c = open_here(w, parent);
	for (int i = 1; i <= TURNS; i++) {
		name_response(id, w->number, i);
		begin_and_finish(w, c, id, parent);
		strcpy(parent, id);
		if (i % 3 == 0) {
			set_metadata(w, i);
		}
	}
	conversation_release(&c);
}

static size_t turns_behind(struct worker *w, const char *response) {
	size_t count = 0;
	w->answer = (struct answer){0};
	assert_non_null(conversation_load(w->vessel.conversations, &(struct conversation_wish){OWNER, response, false},
					  on_context, &w->answer));
	wait_here(w);
	assert_int_equal(w->answer.code, ERR_NONE);
	for (const struct turn *turn = w->answer.turn; turn; turn = turn->parent) {
		assert_int_equal(turn->input.count, 1);
		assert_int_equal(turn->output.count, 1);
		assert_false(turn->cut);
		count++;
	}
	turn_release(&w->answer.turn);
	conversation_release(&w->answer.conversation);
	return count;
}

/* The thread verifies, and every turn of every loop is in it once. */
static void loops_write_one_thread(void **state) {
	struct scene *scene = *state;
	uv_thread_t threads[LOOPS];
	prepare(scene, 0);
	for (size_t i = 0; i < LOOPS; i++) {
		assert_int_equal(uv_thread_create(&threads[i], write_turns, &scene->workers[i]), 0);
	}
	for (size_t i = 0; i < LOOPS; i++) {
		uv_thread_join(&threads[i]);
	}
	settle(scene);
	for (size_t i = 0; i < LOOPS; i++) {
		char last[ID_SIZE];
		name_response(last, i, TURNS);
		assert_int_equal(turns_behind(&scene->workers[0], last), TURNS + 1);
	}
}

/* --- deleting ------------------------------------------------------------------------------------------------------- */

static struct conversation_op *erase_here(struct worker *w, const char *response) {
	w->answer = (struct answer){0};
	struct conversation_op *op =
		conversation_delete_response(w->vessel.conversations, OWNER, response, on_written, &w->answer);
	assert(op);
	return op;
}

/* Runs the first loop until its deletion is written. */
static void run_until_written(struct scene *scene, const struct conversation *c) {
	uint32_t before = conversation_deletions(c);
	while (conversation_deletions(c) < before + 2) { /* handed over, written */
		uv_run(&scene->workers[0].loop, UV_RUN_NOWAIT);
	}
}

static void a_deletion_waits_for_the_other_loops(void **state) {
	struct scene *scene = *state;
	struct worker *a = &scene->workers[0];
	struct worker *b = &scene->workers[1];
	prepare(scene, 2);
	struct conversation *here = open_here(a, "resp_0_2");
	struct conversation *there = open_here(b, "resp_0_2");
	erase_here(a, "resp_0_2");
	run_until_written(scene, here);
	for (int i = 0; i < 10; i++) {
		uv_run(&a->loop, UV_RUN_NOWAIT);
	}
	assert_false(a->answer.done);
	assert_int_equal(conversation_deletions(there), 0);
	while (!a->answer.done) {
		uv_run(&b->loop, UV_RUN_NOWAIT);
		uv_run(&a->loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(a->answer.code, ERR_NONE);
	assert_int_equal(conversation_deletions(there), 1);
	/* The other loop goes on from what it has open. */
	begin_and_finish(b, there, "resp_more", "resp_0_1");
	conversation_release(&here);
	conversation_release(&there);
	settle(scene);
	assert_int_equal(turns_behind(a, "resp_more"), 3);
}

static void a_deletion_does_not_wait_for_a_loop_that_closes(void **state) {
	struct scene *scene = *state;
	struct worker *a = &scene->workers[0];
	struct worker *b = &scene->workers[1];
	prepare(scene, 2);
	struct conversation *here = open_here(a, "resp_0_2");
	erase_here(a, "resp_0_2");
	run_until_written(scene, here);
	conversations_free(&b->vessel.conversations);
	mailbox_close(b->mailbox); /* with the letter in it */
	wait_here(a);
	assert_int_equal(a->answer.code, ERR_NONE);
	erase_here(a, "resp_0_1"); /* and with none */
	wait_here(a);
	assert_int_equal(a->answer.code, ERR_NONE);
	conversation_release(&here);
}

static void who_cancels_a_deletion_hears_nothing(void **state) {
	struct scene *scene = *state;
	struct worker *a = &scene->workers[0];
	struct worker *b = &scene->workers[1];
	prepare(scene, 2);
	struct conversation *here = open_here(a, "resp_0_2");
	struct conversation *there = open_here(b, "resp_0_2");
	struct conversation_op *op = erase_here(a, "resp_0_2");
	run_until_written(scene, here);
	conversation_cancel(&op); /* while it waits for the other loop */
	while (conversation_deletions(there) < 1) {
		uv_run(&b->loop, UV_RUN_ONCE);
	}
	op = erase_here(a, "resp_0_1");
	uint32_t before = conversation_deletions(here);
	while (conversation_deletions(here) == before) {
		uv_run(&a->loop, UV_RUN_ONCE);
	}
	conversation_cancel(&op); /* while it is written */
	while (conversation_deletions(there) < 2) {
		uv_run(&a->loop, UV_RUN_NOWAIT);
		uv_run(&b->loop, UV_RUN_NOWAIT);
	}
	assert_false(a->answer.done);
	conversation_release(&here);
	conversation_release(&there);
}

/* A conversation's only turn is deleted while another loop begins the next: that one either is there or was refused, and never
 * goes with the other. */
static void a_deletion_takes_no_more_than_it_read(void **state) {
	struct scene *scene = *state;
	struct worker *a = &scene->workers[0];
	struct worker *b = &scene->workers[1];
	struct request_settings settings = {.store = true};
	struct item_list input = one_item(ROLE_USER, "hello");
	for (int i = 0; i < ROUNDS; i++) {
		char id[ID_SIZE];
		prepare(scene, 0);
		struct conversation *there = open_here(b, "resp_0_0");
		name_response(id, 1, i);
		const struct conversation_entry entry = {.response_id = id,
							 .parent_id = "resp_0_0",
							 .model = "m",
							 .settings = &settings,
							 .input = &input,
							 .created_ms = 1000,
							 .status = RESPONSE_IN_PROGRESS,
							 .reason = "",
							 .error_message = ""};
		if (i % 2) {
			erase_here(a, "resp_0_0");
		} else {
			a->answer = (struct answer){0};
			assert_non_null(conversation_delete(a->vessel.conversations, OWNER, scene->thread, on_written,
							    &a->answer));
		}
		b->answer = (struct answer){0};
		assert_non_null(conversation_begin(there, &entry, on_written, &b->answer));
		while (!a->answer.done || !b->answer.done) {
			uv_run(&a->loop, UV_RUN_NOWAIT);
			uv_run(&b->loop, UV_RUN_NOWAIT);
		}
		bool begun = b->answer.code == ERR_NONE;
		assert_true(begun || a->answer.code == ERR_NONE);
		conversation_release(&there);
		a->answer = (struct answer){0};
		assert_non_null(
			conversation_read_response(a->vessel.conversations, OWNER, id, on_response, &a->answer));
		wait_here(a);
		assert_int_equal(a->answer.code, begun ? ERR_NONE : ERR_NOT_FOUND);
		stored_response_free(&a->answer.stored);
		/* The next round's first turn has the same name. */
		a->answer = (struct answer){0};
		conversation_delete_response(a->vessel.conversations, OWNER, "resp_0_0", on_written, &a->answer);
		while (!a->answer.done) {
			uv_run(&a->loop, UV_RUN_NOWAIT);
			uv_run(&b->loop, UV_RUN_NOWAIT);
		}
	}
	item_list_free(&input);
}

/* Deletes all turns but the first, newest first, and says how many that are so far. */
static void delete_turns(void *argument) {
	struct worker *w = argument;
	char id[ID_SIZE];
	for (int i = TURNS; i > 0; i--) {
		name_response(id, 0, i);
		erase_here(w, id);
		wait_here(w);
		assert(w->answer.code == ERR_NONE);
		atomic_fetch_add(&w->scene->reported, 1);
	}
	atomic_store(&w->scene->over, true);
	mailbox_close(w->mailbox);
}

/* What a lane remembers: a turn, and how often something was deleted by then. */
struct memory {
	struct conversation *conversation;
	struct turn *turn;
	uint32_t deletions;
};

static int newest_number(const struct turn *turn) {
	return atoi(strrchr(turn->response_id, '_') + 1);
}

/* Whether it would notice all that is reported by now. */
static void check(const struct memory *memory, int reported) {
	if (memory->turn && newest_number(memory->turn) > TURNS - reported) {
		assert(conversation_deletions(memory->conversation) != memory->deletions);
	}
}

static void remember_turns(void *argument) {
	struct worker *w = argument;
	struct memory memory = {0};
	while (!atomic_load(&w->scene->over)) {
		w->answer = (struct answer){0};
		struct conversation_op *op = conversation_load_latest(
			w->vessel.conversations, &(struct conversation_wish){OWNER, w->scene->thread, false},
			on_context, &w->answer);
		assert(op);
		while (!w->answer.done) {
			uv_run(&w->loop, UV_RUN_ONCE);
			check(&memory, atomic_load(&w->scene->reported));
		}
		assert(w->answer.code == ERR_NONE);
		turn_release(&memory.turn);
		conversation_release(&memory.conversation);
		memory = (struct memory){w->answer.conversation, w->answer.turn,
					 conversation_deletions(w->answer.conversation)};
		check(&memory, atomic_load(&w->scene->reported));
	}
	turn_release(&memory.turn);
	conversation_release(&memory.conversation);
	mailbox_close(w->mailbox);
}

static void what_is_reported_as_deleted_is_noticed(void **state) {
	struct scene *scene = *state;
	uv_thread_t threads[LOOPS];
	prepare(scene, TURNS);
	assert_int_equal(uv_thread_create(&threads[0], delete_turns, &scene->workers[0]), 0);
	assert_int_equal(uv_thread_create(&threads[1], remember_turns, &scene->workers[1]), 0);
	for (size_t i = 0; i < LOOPS; i++) {
		uv_thread_join(&threads[i]);
	}
	assert_int_equal(scene->reported, TURNS);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(loops_write_one_thread, setup_scene, teardown_scene),
		cmocka_unit_test_setup_teardown(a_deletion_waits_for_the_other_loops, setup_scene, teardown_scene),
		cmocka_unit_test_setup_teardown(a_deletion_does_not_wait_for_a_loop_that_closes, setup_scene,
						teardown_scene),
		cmocka_unit_test_setup_teardown(who_cancels_a_deletion_hears_nothing, setup_scene, teardown_scene),
		cmocka_unit_test_setup_teardown(a_deletion_takes_no_more_than_it_read, setup_scene, teardown_scene),
		cmocka_unit_test_setup_teardown(what_is_reported_as_deleted_is_noticed, setup_scene, teardown_scene),
	};
	return cmocka_run_group_tests_name("conversation_loops", tests, NULL, NULL);
}
