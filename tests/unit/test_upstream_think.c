#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "think.h"

static const struct {
	enum chat_think mode;
	const char *input;
	const char *reasoning;
	const char *text;
} cases[] = {
	{CHAT_THINK_OFF, "<think>a</think>b", "", "<think>a</think>b"},
	{CHAT_THINK_TAGS, "", "", ""},
	{CHAT_THINK_TAGS, "Hello", "", "Hello"},
	{CHAT_THINK_TAGS, "<think>a</think>b", "a", "b"},
	{CHAT_THINK_TAGS, " \r\n\t<think>a</think>\n\n \tb\n", "a", "b\n"},
	{CHAT_THINK_TAGS, "<think>\n\n</think>\n\nb", "", "b"},
	{CHAT_THINK_TAGS, "<think></think>", "", ""},
	{CHAT_THINK_TAGS, "<think>", "", ""},
	{CHAT_THINK_TAGS, "<think>\n a \n</think>b", "a \n", "b"},
	{CHAT_THINK_TAGS, "<think>never closed", "never closed", ""},
	{CHAT_THINK_TAGS, "<think>a</thin", "a</thin", ""},
	{CHAT_THINK_TAGS, "<think>a<</think>b", "a<", "b"},
	{CHAT_THINK_TAGS, "<think>a</</th</think>b", "a</</th", "b"},
	{CHAT_THINK_TAGS, "<think></think</think>b", "</think", "b"},
	{CHAT_THINK_TAGS, "<think><think>a</think>b", "<think>a", "b"},
	{CHAT_THINK_TAGS, "<think>a</think>b</think><think>c</think>", "a", "b</think><think>c</think>"},
	{CHAT_THINK_TAGS, "<think>a</Think></ think></think>\nb", "a</Think></ think>", "b"},
	{CHAT_THINK_TAGS, "<think>h\xC3\xA9</think>\xE2\x82\xAC", "h\xC3\xA9", "\xE2\x82\xAC"},
	{CHAT_THINK_TAGS, "<thin", "", "<thin"},
	{CHAT_THINK_TAGS, "<thinking>a", "", "<thinking>a"},
	{CHAT_THINK_TAGS, "<<think>a</think>", "", "<<think>a</think>"},
	{CHAT_THINK_TAGS, "\n<\n<think>a", "", "\n<\n<think>a"},
	{CHAT_THINK_TAGS, "\n\n", "", "\n\n"},
	{CHAT_THINK_TAGS, "12345678<think>a</think>", "", "12345678<think>a</think>"},
	{CHAT_THINK_TAGS, "        <think>a</think>b", "a", "b"},
	{CHAT_THINK_TAGS, "         <think>a</think>b", "", "         <think>a</think>b"},
	{CHAT_THINK_TAGS, "x<think>a</think>", "", "x<think>a</think>"},
	{CHAT_THINK_OPEN, "a</think>b", "a", "b"},
	{CHAT_THINK_OPEN, "\na\n</think>\n\nb</think>", "a\n", "b</think>"},
	{CHAT_THINK_OPEN, "</think>b", "", "b"},
	{CHAT_THINK_OPEN, "never closed <", "never closed <", ""},
	{CHAT_THINK_OPEN, "", "", ""},
};

struct heard {
	struct buf reasoning, text;
	size_t pieces;
};

static int hear(void *owner, bool reasoning, struct str piece) {
	struct heard *heard = owner;
	assert_true(piece.length > 0);
	/* Text comes last, for good. */
	assert_true(!reasoning || heard->text.length == 0);
	buf_append_str(reasoning ? &heard->reasoning : &heard->text, piece);
	heard->pieces++;
	return 0;
}

static void heard_free(struct heard *heard) {
	buf_free(&heard->reasoning);
	buf_free(&heard->text);
}

static void check(size_t n, struct heard *heard) {
	if (!str_is(buf_str(&heard->reasoning), cases[n].reasoning) || !str_is(buf_str(&heard->text), cases[n].text)) {
		fail_msg("%s: reasoning \"%.*s\", text \"%.*s\"", cases[n].input, STR_ARG(buf_str(&heard->reasoning)),
			 STR_ARG(buf_str(&heard->text)));
	}
	heard_free(heard);
}

/* Fed in three pieces, cut at `first` and `second`. */
static void run(size_t n, size_t first, size_t second) {
	struct think think;
	struct heard heard = {0};
	struct str input = str_of(cases[n].input);
	const struct str pieces[] = {{input.data, first},
				     {input.data + first, second - first},
				     {input.data + second, input.length - second}};
	think_init(&think, cases[n].mode);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(think_feed(&think, pieces[i], hear, &heard), 0);
	}
	assert_int_equal(think_end(&think, hear, &heard), 0);
	assert_int_equal(think_end(&think, hear, &heard), 0);
	check(n, &heard);
}

static void test_any_split_gives_the_same(void **state) {
	(void)state;
	for (size_t n = 0; n < sizeof cases / sizeof cases[0]; n++) {
		size_t length = strlen(cases[n].input);
		for (size_t first = 0; first <= length; first++) {
			for (size_t second = first; second <= length; second++) {
				run(n, first, second);
			}
		}
	}
}

static void test_byte_by_byte_holds_little_back(void **state) {
	(void)state;
	for (size_t n = 0; n < sizeof cases / sizeof cases[0]; n++) {
		struct think think;
		struct heard heard = {0};
		think_init(&think, cases[n].mode);
		for (const char *c = cases[n].input; *c; c++) {
			assert_int_equal(think_feed(&think, (struct str){c, 1}, hear, &heard), 0);
			assert_true(think.held_length <= 7 || think.state == THINK_START);
			assert_true(think.held_length <= THINK_MAX_SPACE + 6);
			/* What is shown does not end with what is held back. */
			assert_true(think.held_length == 0 || think.state == THINK_START || think.held[0] == '<');
		}
		assert_int_equal(think_end(&think, hear, &heard), 0);
		check(n, &heard);
	}
}

/* What can be shown as one is not cut up. */
static void test_pieces_are_few(void **state) {
	(void)state;
	static const struct {
		enum chat_think mode;
		const char *input;
		size_t pieces;
	} few[] = {
		{CHAT_THINK_TAGS, "a < b < c", 1},
		{CHAT_THINK_TAGS, "<think>a < b </ c</think> d < e", 2},
		{CHAT_THINK_OPEN, "a < b </ c < d", 1},
	};
	for (size_t i = 0; i < sizeof few / sizeof few[0]; i++) {
		struct think think;
		struct heard heard = {0};
		think_init(&think, few[i].mode);
		assert_int_equal(think_feed(&think, str_of(few[i].input), hear, &heard), 0);
		assert_int_equal(heard.pieces, few[i].pieces);
		heard_free(&heard);
	}
}

/* Stops at the piece whose turn it is. */
static int stop(void *owner, bool reasoning, struct str piece) {
	(void)reasoning, (void)piece;
	return --*(int *)owner == 0 ? -1 : 0;
}

static void test_a_callback_stops_it(void **state) {
	(void)state;
	for (int turn = 1; turn <= 3; turn++) {
		struct think think;
		int left = turn;
		think_init(&think, CHAT_THINK_TAGS);
		assert_int_equal(think_feed(&think, STR("<think>a</think>b"), stop, &left), turn <= 2 ? -1 : 0);
		assert_int_equal(left, turn <= 2 ? 0 : 1);
	}
	struct think think;
	int left = 1;
	think_init(&think, CHAT_THINK_TAGS);
	assert_int_equal(think_feed(&think, STR("<"), stop, &left), 0);
	assert_int_equal(think_end(&think, stop, &left), -1);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_split_gives_the_same),
		cmocka_unit_test(test_byte_by_byte_holds_little_back),
		cmocka_unit_test(test_pieces_are_few),
		cmocka_unit_test(test_a_callback_stops_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
