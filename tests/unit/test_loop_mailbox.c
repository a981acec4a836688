#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "loop/mailbox.h"

#define SENDERS 4
#define LETTERS 5000

struct fixture {
	uv_loop_t loop;
	struct mailbox *mailbox;
	uint32_t next[SENDERS]; /* expected of each */
	uint32_t delivered, dropped;
	uint32_t close_after; /* 0: when all have come */
};

struct note {
	struct letter letter;
	struct fixture *fixture;
	uint32_t sender, number;
};

static void deliver(struct letter *letter) {
	struct note *note = container_of(letter, struct note, letter);
	struct fixture *f = note->fixture;
	assert_int_equal(note->number, f->next[note->sender]);
	f->next[note->sender]++;
	mem_free(note);
	f->delivered++;
	if (f->delivered == (f->close_after ? f->close_after : SENDERS * LETTERS)) {
		mailbox_close(f->mailbox);
	}
}

static void drop(struct letter *letter) {
	struct note *note = container_of(letter, struct note, letter);
	__atomic_fetch_add(&note->fixture->dropped, 1, __ATOMIC_RELAXED);
	mem_free(note);
}

struct sender {
	struct fixture *fixture;
	uint32_t number;
};

static void post_all(void *argument) {
	const struct sender *sender = argument;
	for (uint32_t i = 0; i < LETTERS; i++) {
		struct note *note = mem_zalloc(sizeof *note);
		*note = (struct note){.letter = {.deliver = deliver, .drop = drop},
				      .fixture = sender->fixture,
				      .sender = sender->number,
				      .number = i};
		mailbox_post(sender->fixture->mailbox, &note->letter);
	}
}

static void run(struct fixture *f) {
	struct sender senders[SENDERS];
	uv_thread_t threads[SENDERS];
	struct err err = {0};
	assert_int_equal(uv_loop_init(&f->loop), 0);
	f->mailbox = mailbox_new(&f->loop, &err);
	assert_non_null(f->mailbox);
	for (uint32_t i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){f, i};
		assert_int_equal(uv_thread_create(&threads[i], post_all, &senders[i]), 0);
	}
	uv_run(&f->loop, UV_RUN_DEFAULT);
	for (uint32_t i = 0; i < SENDERS; i++) {
		uv_thread_join(&threads[i]);
	}
	assert_int_equal(uv_loop_close(&f->loop), 0);
	mailbox_free(&f->mailbox);
	assert_null(f->mailbox);
}

static void test_every_letter_comes_once_and_in_order(void **state) {
	(void)state;
	struct fixture f = {0};
	run(&f);
	assert_int_equal(f.delivered, SENDERS * LETTERS);
	assert_int_equal(f.dropped, 0);
}

/* Those that wait, those of the delivery under way, and those that come later. */
static void test_a_closed_mailbox_drops(void **state) {
	(void)state;
	struct fixture f = {.close_after = 100};
	run(&f);
	assert_int_equal(f.delivered, 100);
	assert_int_equal(f.dropped, SENDERS * LETTERS - 100);
}

static void test_nothing_is_delivered_inside_the_post(void **state) {
	(void)state;
	struct fixture f = {.close_after = 1};
	struct err err = {0};
	assert_int_equal(uv_loop_init(&f.loop), 0);
	f.mailbox = mailbox_new(&f.loop, &err);
	struct note *note = mem_zalloc(sizeof *note);
	*note = (struct note){.letter = {.deliver = deliver, .drop = drop}, .fixture = &f};
	mailbox_post(f.mailbox, &note->letter);
	assert_int_equal(f.delivered, 0);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	assert_int_equal(f.delivered, 1);
	assert_int_equal(uv_loop_close(&f.loop), 0);
	mailbox_free(&f.mailbox);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_letter_comes_once_and_in_order),
		cmocka_unit_test(test_a_closed_mailbox_drops),
		cmocka_unit_test(test_nothing_is_delivered_inside_the_post),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
