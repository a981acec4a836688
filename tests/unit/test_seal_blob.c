/* Sealed texts that clients keep: what comes back, and all that must keep them from opening. */
#include "seal/blob.h"
#include "seal_test.h"

#define HEADER_BYTES 4
#define KEY_ID_ENDS (HEADER_BYTES + SEAL_KEY_ID_SIZE)
#define BASE64 sodium_base64_VARIANT_URLSAFE_NO_PADDING

static struct seal_blob_binding binding_of(const char *owner, const char *purpose) {
	/* Filled from end to end, so that a field read past its NUL or not at all shows. */
	struct seal_blob_binding binding;
	memset(&binding, 0x5a, sizeof binding);
	strcpy(binding.owner, owner);
	strcpy(binding.purpose, purpose);
	return binding;
}

static struct buf blob_of(const struct seal_keyring *keyring, struct str text) {
	const struct seal_blob_binding binding = binding_of("user_a", "reasoning");
	struct buf out = BUF_INIT;
	assert_int_equal(seal_blob(keyring, &binding, text, &out, NULL), 0);
	return out;
}

/* How opening goes; a failure leaves what was in the buffer. */
static enum err_code open_code(const struct seal_keyring *keyring, const struct seal_blob_binding *binding,
			       struct str blob) {
	struct buf out = BUF_INIT;
	struct err err = {0};
	buf_append_text(&out, "before");
	if (seal_blob_open(keyring, binding, blob, &out, &err) != 0) {
		assert_true(str_is(buf_str(&out), "before"));
	}
	buf_free(&out);
	return err.code;
}

static void a_text_comes_back(void **state) {
	(void)state;
	struct seal_keyring *keyring = keyring_of(1);
	const struct seal_blob_binding binding = binding_of("user_a", "reasoning");
	static char text[10000];
	randombytes_buf(text, sizeof text);
	const size_t lengths[] = {0, 1, 255, 256, 4095, 4096, 9999};
	for (size_t i = 0; i < COUNT(lengths); i++) {
		struct buf blob = blob_of(keyring, (struct str){text, lengths[i]});
		struct buf out = BUF_INIT;
		buf_append_text(&out, "before ");
		assert_int_equal(seal_blob_open(keyring, &binding, buf_str(&blob), &out, NULL), 0);
		assert_int_equal(out.length, 7 + lengths[i]);
		assert_memory_equal(out.data + 7, text, lengths[i]);
		buf_free(&out);
		buf_free(&blob);
	}
	seal_keyring_free(&keyring);
}

static void two_of_one_text_are_two_and_tell_only_its_size_class(void **state) {
	(void)state;
	struct seal_keyring *keyring = keyring_of(1);
	struct buf one = blob_of(keyring, STR("a"));
	struct buf same = blob_of(keyring, STR("a"));
	struct buf longer = blob_of(keyring, STR("a text that is longer than the other"));
	assert_int_equal(one.length, longer.length);
	assert_false(str_equal(buf_str(&one), buf_str(&same)));
	for (size_t i = 0; i < one.length; i++) {
		assert_non_null(
			memchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", one.data[i], 64));
	}
	buf_free(&one);
	buf_free(&same);
	buf_free(&longer);
	seal_keyring_free(&keyring);
}

static void others_and_other_purposes_do_not_open_it(void **state) {
	(void)state;
	struct seal_keyring *keyring = keyring_of(1);
	struct seal_keyring *other = keyring_of(2);
	struct buf blob = blob_of(keyring, STR("thought"));
	const struct seal_blob_binding right = binding_of("user_a", "reasoning");
	const struct seal_blob_binding owner = binding_of("user_b", "reasoning");
	const struct seal_blob_binding purpose = binding_of("user_a", "compaction");
	assert_int_equal(open_code(keyring, &right, buf_str(&blob)), ERR_NONE);
	assert_int_equal(open_code(keyring, &owner, buf_str(&blob)), ERR_CORRUPT);
	assert_int_equal(open_code(keyring, &purpose, buf_str(&blob)), ERR_CORRUPT);
	assert_int_equal(open_code(other, &right, buf_str(&blob)), ERR_NOT_FOUND);
	buf_free(&blob);
	seal_keyring_free(&other);
	seal_keyring_free(&keyring);
}

/* Each bit of each byte that the text stands for. */
static void a_flipped_bit_keeps_it_from_opening(void **state) {
	(void)state;
	struct seal_keyring *keyring = keyring_of(1);
	const struct seal_blob_binding binding = binding_of("user_a", "reasoning");
	struct buf blob = blob_of(keyring, STR("thought"));
	uint8_t bytes[1024];
	char text[2048];
	size_t length;
	assert_int_equal(sodium_base642bin(bytes, sizeof bytes, blob.data, blob.length, NULL, &length, NULL, BASE64),
			 0);
	for (size_t i = 0; i < length * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1U << i % 8);
		sodium_bin2base64(text, sizeof text, bytes, length, BASE64);
		bool names_another_key = i / 8 >= HEADER_BYTES && i / 8 < KEY_ID_ENDS;
		assert_int_equal(open_code(keyring, &binding, str_of(text)),
				 names_another_key ? ERR_NOT_FOUND : ERR_CORRUPT);
		bytes[i / 8] ^= (uint8_t)(1U << i % 8);
	}
	sodium_bin2base64(text, sizeof text, bytes, length, BASE64);
	assert_int_equal(open_code(keyring, &binding, str_of(text)), ERR_NONE);
	buf_free(&blob);
	seal_keyring_free(&keyring);
}

/* Of the text itself too: two texts must not stand for one blob. */
static void only_the_text_that_was_given_out_opens(void **state) {
	(void)state;
	struct seal_keyring *keyring = keyring_of(1);
	const struct seal_blob_binding binding = binding_of("user_a", "reasoning");
	struct buf blob = blob_of(keyring, STR("thought"));
	for (size_t length = 0; length < blob.length; length++) {
		assert_int_equal(open_code(keyring, &binding, (struct str){blob.data, length}), ERR_CORRUPT);
	}
	for (size_t i = 0; i < blob.length; i++) {
		char before = blob.data[i];
		for (const char *wrong = "\n =+/\xff"; *wrong; wrong++) {
			blob.data[i] = *wrong;
			assert_int_equal(open_code(keyring, &binding, buf_str(&blob)), ERR_CORRUPT);
		}
		blob.data[i] = before == 'x' ? 'y' : 'x';
		assert_true(open_code(keyring, &binding, buf_str(&blob)) != ERR_NONE);
		blob.data[i] = before;
	}
	buf_append_char(&blob, '=');
	assert_int_equal(open_code(keyring, &binding, buf_str(&blob)), ERR_CORRUPT);
	buf_append_text(&blob, "AAAA");
	assert_int_equal(open_code(keyring, &binding, buf_str(&blob)), ERR_CORRUPT);
	buf_free(&blob);
	seal_keyring_free(&keyring);
}

static void every_allocation_may_fail(void **state) {
	(void)state;
	struct seal_keyring *keyring = keyring_of(1);
	const struct seal_blob_binding binding = binding_of("user_a", "reasoning");
	struct buf blob = blob_of(keyring, STR("thought"));
	for (uint64_t n = 1; n <= 2; n++) {
		struct buf out = BUF_INIT;
		struct err err = {0};
		mem_fail_after(n, false);
		assert_int_equal(seal_blob(keyring, &binding, STR("thought"), &out, &err), -1);
		assert_int_equal(err.code, ERR_MEMORY);
		mem_fail_after(n, false);
		assert_int_equal(seal_blob_open(keyring, &binding, buf_str(&blob), &out, &err), -1);
		assert_int_equal(err.code, ERR_MEMORY);
		mem_fail_after(0, false);
		buf_free(&out);
	}
	buf_free(&blob);
	seal_keyring_free(&keyring);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_comes_back),
		cmocka_unit_test(two_of_one_text_are_two_and_tell_only_its_size_class),
		cmocka_unit_test(others_and_other_purposes_do_not_open_it),
		cmocka_unit_test(a_flipped_bit_keeps_it_from_opening),
		cmocka_unit_test(only_the_text_that_was_given_out_opens),
		cmocka_unit_test(every_allocation_may_fail),
	};
	return cmocka_run_group_tests_name("seal_blob", tests, start_seal, NULL);
}
