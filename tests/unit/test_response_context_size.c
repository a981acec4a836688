/* How many tokens a text is estimated to be. */
#include "base_test.h"
#include "context.h"

static int64_t tokens_of(struct str text) {
	const struct chat_part part = {.kind = CHAT_PART_TEXT, .text = text};
	struct chat_message message = {.role = "user", .parts = &part, .part_count = 1};
	const struct context context = {.messages = &message, .count = 1};
	const struct request_settings settings = {0};
	return context_tokens(&context, &settings);
}

/* A quarter of the ASCII bytes, rounded up, and each other character; whatever the length. */
static void test_every_character_counts(void **state) {
	(void)state;
	static const char *const characters[] = {"a", "z", "\x7f", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
	uint64_t seed = test_seed();
	int64_t nothing = tokens_of(STR_NONE);
	for (int round = 0; round < 2000; round++) {
		char text[4 * 64];
		size_t length = 0, ascii = 0, others = 0;
		for (uint64_t left = test_random(&seed) % 64; left > 0; left--) {
			const char *character = characters[test_random(&seed) % COUNT(characters)];
			memcpy(text + length, character, strlen(character));
			length += strlen(character);
			ascii += character[1] == '\0';
			others += character[1] != '\0';
		}
		char *exact = exact_copy(text, length);
		assert_int_equal(tokens_of((struct str){exact, length}) - nothing, (ascii + 3) / 4 + others);
		free(exact);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_character_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
