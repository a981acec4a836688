/* Tokens that callers present. */
#include <ctype.h>

#include "seal_test.h"

static int id_of(const char *text, size_t length, const char *prefix) {
	char id[SEAL_TOKEN_ID_SIZE] = "untouched";
	int result = seal_token_id((struct str){text, length}, prefix, id);
	assert_int_equal(strlen(id), result == 0 ? 16 : 0);
	return result;
}

static void a_made_token_has_the_form(void **state) {
	(void)state;
	const char *prefixes[] = {"sk", "s", "abcdefgh"};
	for (size_t p = 0; p < COUNT(prefixes); p++) {
		for (int i = 0; i < 200; i++) {
			struct seal_token token;
			char id[SEAL_TOKEN_ID_SIZE];
			seal_token_make(&token, prefixes[p]);
			assert_int_equal(strlen(token.text), strlen(prefixes[p]) + 1 + 16 + 1 + 43);
			assert_int_equal(seal_token_id(str_of(token.text), prefixes[p], id), 0);
			assert_string_equal(id, token.id);
			for (size_t c = 0; c < 16; c++) {
				assert_true(islower((unsigned char)id[c]) || (id[c] >= '2' && id[c] <= '7'));
			}
		}
	}
}

static void no_two_tokens_are_alike(void **state) {
	(void)state;
	struct seal_token a;
	struct seal_token b;
	seal_token_make(&a, "sk");
	seal_token_make(&b, "sk");
	assert_string_not_equal(a.id, b.id);
	assert_string_not_equal(a.text + 20, b.text + 20);
}

static void every_letter_of_a_secret_comes_up(void **state) {
	(void)state;
	bool seen[128] = {false};
	for (int i = 0; i < 500; i++) {
		struct seal_token token;
		seal_token_make(&token, "sk");
		for (const char *c = token.text + 3 + 17; *c; c++) {
			seen[(unsigned char)*c] = true;
		}
	}
	for (const char *c = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"; *c; c++) {
		assert_true(seen[(unsigned char)*c]);
	}
}

static void other_forms_are_refused(void **state) {
	(void)state;
	struct seal_token token;
	char text[SEAL_TOKEN_SIZE + 1];
	seal_token_make(&token, "sk");
	size_t length = strlen(token.text);
	assert_int_equal(id_of(token.text, length, "sk"), 0);
	assert_int_equal(id_of(token.text, length, "s"), -1);
	assert_int_equal(id_of(token.text, length, "sess"), -1);
	assert_int_equal(id_of(token.text, length, "sk_"), -1);
	assert_int_equal(id_of(NULL, 0, "sk"), -1);
	for (size_t cut = 0; cut < length; cut++) {
		assert_int_equal(id_of(token.text, cut, "sk"), -1);
	}
	snprintf(text, sizeof text, "%sA", token.text);
	assert_int_equal(id_of(text, length + 1, "sk"), -1);
	const char bad[] = {'!', '+', '/', '=', ' ', '\0', '\n', (char)0x80};
	for (size_t at = 0; at < length; at++) {
		for (size_t i = 0; i < COUNT(bad); i++) {
			memcpy(text, token.text, length);
			text[at] = bad[i];
			assert_int_equal(id_of(text, length, "sk"), -1);
		}
	}
	memcpy(text, token.text, length);
	text[3] = 'A'; /* ids are lower case */
	assert_int_equal(id_of(text, length, "sk"), -1);
	text[3] = '1';
	assert_int_equal(id_of(text, length, "sk"), -1);
}

static void the_hash_covers_key_and_text(void **state) {
	(void)state;
	const uint8_t key[SEAL_SUBKEY_SIZE] = {1};
	const uint8_t other_key[SEAL_SUBKEY_SIZE] = {2};
	uint8_t hash[SEAL_TOKEN_HASH_SIZE];
	uint8_t expected[SEAL_TOKEN_HASH_SIZE];
	uint8_t other[SEAL_TOKEN_HASH_SIZE];
	seal_token_hash(key, STR("sk_text"), hash);
	crypto_generichash(expected, sizeof expected, (const uint8_t *)"sk_text", 7, key, sizeof key);
	assert_memory_equal(hash, expected, sizeof hash);
	seal_token_hash(other_key, STR("sk_text"), other);
	assert_memory_not_equal(hash, other, sizeof hash);
	seal_token_hash(key, STR("sk_texu"), other);
	assert_memory_not_equal(hash, other, sizeof hash);
}

static void wiping_leaves_nothing(void **state) {
	(void)state;
	struct seal_token token;
	seal_token_make(&token, "sk");
	seal_wipe(&token, sizeof token);
	assert_true(sodium_is_zero((const uint8_t *)&token, sizeof token));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_made_token_has_the_form),         cmocka_unit_test(no_two_tokens_are_alike),
		cmocka_unit_test(every_letter_of_a_secret_comes_up), cmocka_unit_test(other_forms_are_refused),
		cmocka_unit_test(the_hash_covers_key_and_text),      cmocka_unit_test(wiping_leaves_nothing),
	};
	return cmocka_run_group_tests_name("seal_token", tests, start_seal, NULL);
}
