/* Sealed records: their bytes, their padding, and all that must keep them from opening. */
#include "seal_test.h"

static struct buf sealed_of(const struct seal_dek *dek, uint32_t epoch, const struct seal_record_binding *binding,
			    struct str text) {
	struct buf out = BUF_INIT;
	assert_int_equal(seal_record(dek, epoch, binding, text, &out, NULL), 0);
	return out;
}

static int open_code(const struct seal_dek *dek, const struct seal_record_binding *binding, struct str sealed) {
	struct buf out = BUF_INIT;
	struct err err = {0};
	buf_append_text(&out, "before");
	if (seal_record_open(dek, binding, sealed, &out, &err) != 0) {
		assert_true(str_is(buf_str(&out), "before"));
	}
	buf_free(&out);
	return (int)err.code;
}

static void text_comes_back(void **state) {
	(void)state;
	struct seal_dek *dek = any_dek();
	const struct seal_record_binding binding = record_binding();
	static char text[10000];
	randombytes_buf(text, sizeof text);
	const size_t lengths[] = {0, 1, 254, 255, 256, 4094, 4095, 4096, 9999};
	for (size_t i = 0; i < COUNT(lengths); i++) {
		struct buf sealed = sealed_of(dek, 3, &binding, (struct str){text, lengths[i]});
		struct buf out = BUF_INIT;
		buf_append_text(&out, "before ");
		assert_int_equal(seal_record_open(dek, &binding, buf_str(&sealed), &out, NULL), 0);
		assert_int_equal(out.length, 7 + lengths[i]);
		assert_memory_equal(out.data, "before ", 7);
		assert_memory_equal(out.data + 7, text, lengths[i]);
		buf_free(&out);
		buf_free(&sealed);
	}
	seal_dek_free(&dek);
}

static void text_that_ends_like_padding_comes_back(void **state) {
	(void)state;
	struct seal_dek *dek = any_dek();
	const struct seal_record_binding binding = record_binding();
	const struct str text = STR("\x80\0\0\x80\x80\0\0\0");
	struct buf sealed = sealed_of(dek, 1, &binding, text);
	struct buf out = BUF_INIT;
	assert_int_equal(seal_record_open(dek, &binding, buf_str(&sealed), &out, NULL), 0);
	assert_true(str_equal(buf_str(&out), text));
	buf_free(&out);
	buf_free(&sealed);
	seal_dek_free(&dek);
}

static void sizes_tell_only_their_class(void **state) {
	(void)state;
	struct seal_dek *dek = any_dek();
	const struct seal_record_binding binding = record_binding();
	/* Steps of 256 with one byte for the mark; above 4 KiB the sizes of PADMÉ (PURBs paper, algorithm 1): of a
	 * number with exponent E, the low E - (floor(log2 E) + 1) bits are zero. */
	const struct {
		size_t text;
		size_t padded;
	} cases[] = {{0, 256},     {255, 256},     {256, 512},     {511, 512},       {512, 768},        {4094, 4096},
		     {4095, 4096}, {4096, 4352},   {4351, 4352},   {4352, 4608},     {8190, 8192},      {8191, 8192},
		     {8192, 8704}, {65535, 65536}, {65536, 67584}, {100000, 100352}, {1000000, 1015808}};
	static char text[1000000];
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf sealed = sealed_of(dek, 1, &binding, (struct str){text, cases[i].text});
		assert_int_equal(sealed.length, SEAL_RECORD_OVERHEAD + cases[i].padded);
		buf_free(&sealed);
	}
	seal_dek_free(&dek);
}

static void every_text_fits_its_class(void **state) {
	(void)state;
	struct seal_dek *dek = any_dek();
	const struct seal_record_binding binding = record_binding();
	static char text[20000];
	struct buf sealed = BUF_INIT;
	struct buf out = BUF_INIT;
	for (size_t length = 0; length < sizeof text; length += 1 + length % 61) {
		buf_clear(&sealed);
		buf_clear(&out);
		assert_int_equal(seal_record(dek, 1, &binding, (struct str){text, length}, &sealed, NULL), 0);
		size_t padded = sealed.length - SEAL_RECORD_OVERHEAD;
		assert_true(padded > length);
		assert_true(padded <= 4096 ? padded - length <= 256 : padded * 100 <= (length + 1) * 112);
		assert_int_equal(seal_record_open(dek, &binding, buf_str(&sealed), &out, NULL), 0);
		assert_int_equal(out.length, length);
	}
	buf_free(&sealed);
	buf_free(&out);
	seal_dek_free(&dek);
}

/* The data key of a test: not to be had from outside, so it is wrapped, and opened here from first principles. */
static void dek_bytes(const struct seal_dek *dek, uint8_t key[static 32]) {
	const struct seal_dek_binding binding = dek_binding();
	uint8_t kek[32];
	uint8_t wrapped[SEAL_WRAPPED_DEK_SIZE];
	uint8_t aad[512];
	uint8_t okm[64];
	memset(kek, 0x11, sizeof kek);
	struct seal_keyring *keyring = keyring_of(0x11);
	assert_int_equal(seal_dek_wrap(keyring, dek, &binding, wrapped, NULL), 0);
	uint8_t *at = lay_text(aad, "sluice/dek/v1", 16);
	at = lay(at, wrapped, 12);
	at = lay_text(at, "user_a", 64);
	at = lay_text(at, "conv_a", 64);
	at = lay_number(at, 7, 4);
	known_okm(kek, "sluice/dek/v1", wrapped + 12, aad, (size_t)(at - aad), okm);
	assert_memory_equal(okm + 32, wrapped + 36, 32);
	assert_int_equal(crypto_aead_xchacha20poly1305_ietf_decrypt(key, NULL, NULL, wrapped + 68, 48, aad,
								    (size_t)(at - aad), wrapped + 12, okm),
			 0);
	seal_keyring_free(&keyring);
}

static void bytes_are_those_of_the_design(void **state) {
	(void)state;
	struct seal_dek *dek = any_dek();
	const struct seal_record_binding binding = record_binding();
	struct buf sealed = sealed_of(dek, 0x01020304, &binding, STR("hello"));
	const uint8_t *bytes = (const uint8_t *)sealed.data;
	uint8_t key[32];
	uint8_t aad[512];
	uint8_t okm[64];
	uint8_t text[256];
	dek_bytes(dek, key);

	assert_int_equal(sealed.length, 80 + 256);
	assert_memory_equal(bytes, "M\1\1\0\1\2\3\4", 8);
	uint8_t *at = lay_text(aad, "sluice/record/v1", 16);
	at = lay(at, bytes, 8);
	at = lay_text(at, "user_a", 64);
	at = lay_text(at, "conv_a", 64);
	at = lay_text(at, "resp_a", 64);
	at = lay_number(at, 5, 4);
	at = lay_number(at, 2, 4);
	at = lay_number(at, 1, 4);
	at = lay_number(at, 1700000000123, 8);
	known_okm(key, "sluice/record/v1", bytes + 8, aad, (size_t)(at - aad), okm);
	assert_memory_equal(okm + 32, bytes + 32, 32);
	assert_int_equal(crypto_aead_xchacha20poly1305_ietf_decrypt(text, NULL, NULL, bytes + 64, 256 + 16, aad,
								    (size_t)(at - aad), bytes + 8, okm),
			 0);
	assert_memory_equal(text, "hello\x80", 6);
	assert_true(sodium_is_zero(text + 6, sizeof text - 6));
	buf_free(&sealed);
	seal_dek_free(&dek);
}

/* Seals a padded text of our choice as the design says, to see what the opening side makes of it. */
static void padding_that_we_never_write_is_refused(void **state) {
	(void)state;
	struct seal_dek *dek = any_dek();
	const struct seal_record_binding binding = record_binding();
	const struct {
		size_t size;    /* of the padded text */
		size_t mark_at; /* SIZE_MAX: nowhere */
		uint8_t mark;
		int code;
	} cases[] = {
		{256, 5, 0x80, ERR_NONE},     {256, 255, 0x80, ERR_NONE},      {256, SIZE_MAX, 0, ERR_CORRUPT},
		{256, 5, 0x01, ERR_CORRUPT},  {512, 5, 0x80, ERR_CORRUPT},     {512, 255, 0x80, ERR_CORRUPT},
		{512, 256, 0x80, ERR_NONE},   {300, 280, 0x80, ERR_CORRUPT},   {4352, 4095, 0x80, ERR_CORRUPT},
		{4352, 4096, 0x80, ERR_NONE}, {5000, 4999, 0x80, ERR_CORRUPT},
	};
	uint8_t key[32];
	dek_bytes(dek, key);
	for (size_t i = 0; i < COUNT(cases); i++) {
		static uint8_t sealed[8192];
		static uint8_t text[8192];
		uint8_t aad[512];
		uint8_t okm[64];
		memset(text, 0, sizeof text);
		if (cases[i].mark_at != SIZE_MAX) {
			memset(text, 'x', cases[i].mark_at);
			text[cases[i].mark_at] = cases[i].mark;
		}
		memcpy(sealed, "M\1\1\0\0\0\0\1", 8);
		randombytes_buf(sealed + 8, 24);
		uint8_t *at = lay_text(aad, "sluice/record/v1", 16);
		at = lay(at, sealed, 8);
		at = lay_text(at, binding.owner, 64);
		at = lay_text(at, binding.thread, 64);
		at = lay_text(at, binding.response, 64);
		at = lay_number(at, binding.number, 4);
		at = lay_number(at, binding.kind, 4);
		at = lay_number(at, binding.schema, 4);
		at = lay_number(at, (uint64_t)binding.created_ms, 8);
		known_okm(key, "sluice/record/v1", sealed + 8, aad, (size_t)(at - aad), okm);
		memcpy(sealed + 32, okm + 32, 32);
		crypto_aead_xchacha20poly1305_ietf_encrypt(sealed + 64, NULL, text, cases[i].size, aad,
							   (size_t)(at - aad), NULL, sealed + 8, okm);
		int code = open_code(dek, &binding, (struct str){(const char *)sealed, 80 + cases[i].size});
		if (code != cases[i].code) {
			fail_msg("case %zu: code %d, not %d", i, code, cases[i].code);
		}
	}
	seal_dek_free(&dek);
}

static void any_other_binding_does_not_open(void **state) {
	(void)state;
	struct seal_dek *dek = any_dek();
	const struct seal_record_binding right = record_binding();
	struct buf sealed = sealed_of(dek, 1, &right, STR("hello"));
	assert_int_equal(open_code(dek, &right, buf_str(&sealed)), ERR_NONE);
	struct seal_record_binding wrong[10];
	for (size_t i = 0; i < COUNT(wrong); i++) {
		wrong[i] = right;
	}
	strcpy(wrong[0].owner, "user_b");
	strcpy(wrong[1].thread, "conv_b");
	strcpy(wrong[2].response, "resp_b");
	wrong[3].number++;
	wrong[4].kind++;
	wrong[5].schema++;
	wrong[6].created_ms++;
	/* What looks the same when texts are strung together without their lengths. */
	strcpy(wrong[7].owner, "user_ac");
	strcpy(wrong[7].thread, "onv_a");
	strcpy(wrong[8].thread, "");
	strcpy(wrong[9].owner, "user_a ");
	for (size_t i = 0; i < COUNT(wrong); i++) {
		assert_int_equal(open_code(dek, &wrong[i], buf_str(&sealed)), ERR_CORRUPT);
	}
	buf_free(&sealed);
	seal_dek_free(&dek);
}

static void what_stands_behind_an_id_does_not_count(void **state) {
	(void)state;
	struct seal_dek *dek = any_dek();
	const struct seal_record_binding dirty = record_binding();
	struct seal_record_binding clean = {
		.number = dirty.number, .kind = dirty.kind, .schema = dirty.schema, .created_ms = dirty.created_ms};
	strcpy(clean.owner, dirty.owner);
	strcpy(clean.thread, dirty.thread);
	strcpy(clean.response, dirty.response);
	struct buf sealed = sealed_of(dek, 1, &dirty, STR("hello"));
	assert_int_equal(open_code(dek, &clean, buf_str(&sealed)), ERR_NONE);
	buf_free(&sealed);
	seal_dek_free(&dek);
}

static void another_key_does_not_open(void **state) {
	(void)state;
	struct seal_dek *dek = any_dek();
	struct seal_dek *other = any_dek();
	const struct seal_record_binding binding = record_binding();
	struct buf sealed = sealed_of(dek, 1, &binding, STR("hello"));
	assert_int_equal(open_code(other, &binding, buf_str(&sealed)), ERR_CORRUPT);
	buf_free(&sealed);
	seal_dek_free(&other);
	seal_dek_free(&dek);
}

static void no_byte_may_change(void **state) {
	(void)state;
	struct seal_dek *dek = any_dek();
	const struct seal_record_binding binding = record_binding();
	struct buf sealed = sealed_of(dek, 1, &binding, STR("hello"));
	for (size_t i = 0; i < sealed.length; i++) {
		for (int bit = 0; bit < 8; bit++) {
			sealed.data[i] = (char)(sealed.data[i] ^ (1 << bit));
			assert_int_equal(open_code(dek, &binding, buf_str(&sealed)), ERR_CORRUPT);
			sealed.data[i] = (char)(sealed.data[i] ^ (1 << bit));
		}
	}
	assert_int_equal(open_code(dek, &binding, buf_str(&sealed)), ERR_NONE);
	buf_free(&sealed);
	seal_dek_free(&dek);
}

static void no_other_length_opens(void **state) {
	(void)state;
	struct seal_dek *dek = any_dek();
	const struct seal_record_binding binding = record_binding();
	struct buf sealed = sealed_of(dek, 1, &binding, STR("hello"));
	size_t whole = sealed.length;
	buf_append_text(&sealed, "and more");
	for (size_t length = 0; length <= sealed.length; length++) {
		/* A copy of its own, so that a read past its end is seen. */
		char *copy = malloc(length + 1);
		memcpy(copy, sealed.data, length);
		assert_int_equal(open_code(dek, &binding, (struct str){copy, length}),
				 length == whole ? ERR_NONE : ERR_CORRUPT);
		free(copy);
	}
	buf_free(&sealed);
	seal_dek_free(&dek);
}

static void two_seals_of_one_text_differ(void **state) {
	(void)state;
	struct seal_dek *dek = any_dek();
	const struct seal_record_binding binding = record_binding();
	struct buf a = sealed_of(dek, 1, &binding, STR("hello"));
	struct buf b = sealed_of(dek, 1, &binding, STR("hello"));
	assert_memory_equal(a.data, b.data, 8);
	assert_memory_not_equal(a.data + 8, b.data + 8, 24);
	assert_memory_not_equal(a.data + 32, b.data + 32, 32);
	assert_memory_not_equal(a.data + 64, b.data + 64, 256);
	buf_free(&a);
	buf_free(&b);
	seal_dek_free(&dek);
}

static void header_tells_epoch_and_commitment(void **state) {
	(void)state;
	struct seal_dek *dek = any_dek();
	const struct seal_record_binding binding = record_binding();
	struct buf sealed = sealed_of(dek, 0xfedcba98, &binding, STR("hello"));
	uint8_t commitment[SEAL_COMMITMENT_SIZE];
	uint32_t epoch = 0;
	struct err err = {0};
	assert_int_equal(seal_record_epoch(buf_str(&sealed), &epoch, NULL), 0);
	assert_int_equal(epoch, 0xfedcba98);
	assert_int_equal(seal_record_commitment(buf_str(&sealed), commitment, NULL), 0);
	assert_memory_equal(commitment, sealed.data + 32, sizeof commitment);

	const struct str damaged[] = {
		STR_NONE, STR("M\1\1\0"), {sealed.data + 1, sealed.length - 1}, {sealed.data, 335}};
	for (size_t i = 0; i < COUNT(damaged); i++) {
		err.code = ERR_NONE;
		assert_int_equal(seal_record_epoch(damaged[i], &epoch, &err), -1);
		assert_int_equal(err.code, ERR_CORRUPT);
		err.code = ERR_NONE;
		assert_int_equal(seal_record_commitment(damaged[i], commitment, &err), -1);
		assert_int_equal(err.code, ERR_CORRUPT);
	}
	assert_int_equal(epoch, 0xfedcba98);
	buf_free(&sealed);
	seal_dek_free(&dek);
}

static void memory_that_runs_out_is_an_error(void **state) {
	(void)state;
	struct seal_dek *dek = any_dek();
	const struct seal_record_binding binding = record_binding();
	struct buf sealed = sealed_of(dek, 1, &binding, STR("hello"));
	struct buf out = BUF_INIT;
	struct err err = {0};
	mem_fail_after(1, false);
	assert_int_equal(seal_record_open(dek, &binding, buf_str(&sealed), &out, &err), -1);
	assert_int_equal(err.code, ERR_MEMORY);
	buf_free(&out);
	mem_fail_after(1, false);
	assert_int_equal(seal_record(dek, 1, &binding, STR("hello"), &out, &err), -1);
	assert_int_equal(err.code, ERR_MEMORY);
	mem_fail_after(0, false);
	assert_int_equal(out.length, 0);
	buf_free(&out);
	buf_free(&sealed);
	seal_dek_free(&dek);
}

static void a_text_beyond_all_bounds_is_refused(void **state) {
	(void)state;
	struct seal_dek *dek = any_dek();
	const struct seal_record_binding binding = record_binding();
	struct buf out = BUF_INIT;
	struct err err = {0};
	assert_int_equal(seal_record(dek, 1, &binding, (struct str){"x", SIZE_MAX}, &out, &err), -1);
	assert_int_equal(err.code, ERR_LIMIT);
	seal_dek_free(&dek);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_comes_back),
		cmocka_unit_test(text_that_ends_like_padding_comes_back),
		cmocka_unit_test(sizes_tell_only_their_class),
		cmocka_unit_test(every_text_fits_its_class),
		cmocka_unit_test(bytes_are_those_of_the_design),
		cmocka_unit_test(padding_that_we_never_write_is_refused),
		cmocka_unit_test(any_other_binding_does_not_open),
		cmocka_unit_test(what_stands_behind_an_id_does_not_count),
		cmocka_unit_test(another_key_does_not_open),
		cmocka_unit_test(no_byte_may_change),
		cmocka_unit_test(no_other_length_opens),
		cmocka_unit_test(two_seals_of_one_text_differ),
		cmocka_unit_test(header_tells_epoch_and_commitment),
		cmocka_unit_test(memory_that_runs_out_is_an_error),
		cmocka_unit_test(a_text_beyond_all_bounds_is_refused),
	};
	return cmocka_run_group_tests_name("seal_record", tests, start_seal, NULL);
}
