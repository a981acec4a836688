/* Key files, the keyring, and data keys wrapped under it. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "seal_test.h"

#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static int open_key_code(const char *path, bool credential) {
	struct err err = {0};
	struct seal_keyring *keyring = seal_keyring_open(path, credential, &err);
	assert_int_equal(keyring == NULL, err.code != ERR_NONE);
	seal_keyring_free(&keyring);
	assert_null(keyring);
	return (int)err.code;
}

static void forms_of_a_key_file(void **state) {
	(void)state;
	static const char zeros[64] = {0};
	const struct {
		struct str content;
		int code;
	} cases[] = {
		{STR(HEX), ERR_NONE},
		{STR(HEX "\n"), ERR_NONE},
		{STR("0123456789abcdef0123456789ABCDEF"), ERR_NONE}, /* 32 raw bytes */
		{STR(""), ERR_INVALID},
		{STR("\n"), ERR_INVALID},
		{STR(HEX "\n\n"), ERR_INVALID},
		{STR(HEX " "), ERR_INVALID},
		{STR(HEX "00"), ERR_INVALID},
		{STR(HEX "\nand much more than that"), ERR_INVALID},
		{STR("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1"), ERR_INVALID},
		{STR("g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"), ERR_INVALID},
		{STR("0123456789abcdef0123456789abcde"), ERR_INVALID},
		{STR("0123456789abcdef0123456789abcdef\n"), ERR_INVALID},
		{{zeros, 32}, ERR_INVALID},
		{STR("0000000000000000000000000000000000000000000000000000000000000000\n"), ERR_INVALID},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char path[64];
		make_file(path, cases[i].content.data, cases[i].content.length, 0600);
		int code = open_key_code(path, false);
		unlink(path);
		if (code != cases[i].code) {
			fail_msg("case %zu: code %d, not %d", i, code, cases[i].code);
		}
	}
}

static void hex_and_raw_are_the_same_key(void **state) {
	(void)state;
	uint8_t raw[32];
	uint8_t ids[2][SEAL_KEY_ID_SIZE];
	char path[2][64];
	for (uint8_t i = 0; i < sizeof raw; i++) {
		raw[i] = i;
	}
	make_file(path[0], raw, sizeof raw, 0600);
	make_file(path[1], HEX, 64, 0600);
	for (size_t i = 0; i < 2; i++) {
		struct seal_keyring *keyring = seal_keyring_open(path[i], false, NULL);
		assert_non_null(keyring);
		seal_keyring_id(keyring, ids[i]);
		seal_keyring_free(&keyring);
		unlink(path[i]);
	}
	assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
	uint8_t digest[32];
	crypto_generichash(digest, sizeof digest, (const uint8_t *)"sluice/kek-id/v1", 16, raw, sizeof raw);
	assert_memory_equal(ids[0], digest, sizeof ids[0]);
}

static void a_key_file_is_its_owners_alone(void **state) {
	(void)state;
	const unsigned closed[] = {0600, 0400, 0700};
	const unsigned open[] = {0640, 0604, 0620, 0602, 0610, 0601, 0644, 0666, 0440};
	for (size_t i = 0; i < COUNT(closed); i++) {
		char path[64];
		make_file(path, HEX, 64, closed[i]);
		assert_int_equal(open_key_code(path, false), ERR_NONE);
		unlink(path);
	}
	for (size_t i = 0; i < COUNT(open); i++) {
		char path[64];
		make_file(path, HEX, 64, open[i]);
		assert_int_equal(open_key_code(path, false), ERR_DENIED);
		assert_int_equal(open_key_code(path, true), ERR_NONE); /* systemd guards its folder */
		unlink(path);
	}
}

static void what_is_no_file_is_no_key(void **state) {
	(void)state;
	char path[64] = "/tmp/sluice-key-XXXXXX";
	assert_non_null(mkdtemp(path));
	assert_int_equal(open_key_code(path, true), ERR_INVALID);
	char fifo[80];
	snprintf(fifo, sizeof fifo, "%s/fifo", path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(open_key_code(fifo, false), ERR_INVALID); /* and does not wait for a writer */
	unlink(fifo);
	rmdir(path);
	assert_int_equal(open_key_code(path, false), ERR_NOT_FOUND);
	assert_int_equal(open_key_code("/dev/null/key", false), ERR_NOT_FOUND);
	assert_false(seal_key_file_exists(path));
	assert_false(seal_key_file_exists("/dev/null/key"));
	assert_true(seal_key_file_exists("/dev/null"));
}

static void a_made_key_file_opens(void **state) {
	(void)state;
	char dir[64] = "/tmp/sluice-key-XXXXXX";
	char path[2][80];
	uint8_t ids[2][SEAL_KEY_ID_SIZE];
	assert_non_null(mkdtemp(dir));
	mode_t before = umask(0);
	for (int i = 0; i < 2; i++) {
		struct stat st;
		snprintf(path[i], sizeof path[i], "%s/kek%d", dir, i);
		assert_false(seal_key_file_exists(path[i]));
		assert_int_equal(seal_key_file_make(path[i], NULL), 0);
		assert_true(seal_key_file_exists(path[i]));
		assert_int_equal(stat(path[i], &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_int_equal(st.st_size, 65);
		struct seal_keyring *keyring = seal_keyring_open(path[i], false, NULL);
		assert_non_null(keyring);
		seal_keyring_id(keyring, ids[i]);
		seal_keyring_free(&keyring);
	}
	umask(before);
	assert_memory_not_equal(ids[0], ids[1], sizeof ids[0]);

	/* A key that is there is never overwritten. */
	struct err err = {0};
	assert_int_equal(seal_key_file_make(path[0], &err), -1);
	assert_int_equal(err.code, ERR_CONFLICT);
	struct seal_keyring *keyring = seal_keyring_open(path[0], false, NULL);
	uint8_t id[SEAL_KEY_ID_SIZE];
	seal_keyring_id(keyring, id);
	assert_memory_equal(id, ids[0], sizeof id);
	seal_keyring_free(&keyring);
	assert_int_equal(seal_key_file_make("/nonexistent/folder/kek", &err), -1);
	unlink(path[0]);
	unlink(path[1]);
	rmdir(dir);
}

static void subkeys_follow_key_and_purpose(void **state) {
	(void)state;
	struct seal_keyring *keyring = keyring_of(0x22);
	uint8_t kek[32];
	uint8_t expected[32];
	uint8_t a[SEAL_SUBKEY_SIZE];
	uint8_t b[SEAL_SUBKEY_SIZE];
	memset(kek, 0x22, sizeof kek);
	seal_subkey(keyring, "purpose a", a);
	seal_subkey(keyring, "purpose b", b);
	crypto_generichash(expected, sizeof expected, (const uint8_t *)"purpose a", 9, kek, sizeof kek);
	assert_memory_equal(a, expected, sizeof a);
	assert_memory_not_equal(a, b, sizeof a);
	seal_keyring_free(&keyring);
}

/* Whether the key that comes out is the one that went in: what one seals, the other opens. */
static void assert_same_dek(const struct seal_dek *a, const struct seal_dek *b) {
	const struct seal_record_binding binding = record_binding();
	struct buf sealed = BUF_INIT;
	struct buf out = BUF_INIT;
	assert_int_equal(seal_record(a, 1, &binding, STR("hello"), &sealed, NULL), 0);
	assert_int_equal(seal_record_open(b, &binding, buf_str(&sealed), &out, NULL), 0);
	assert_true(str_is(buf_str(&out), "hello"));
	buf_free(&out);
	buf_free(&sealed);
}

static int unwrap_code(const struct seal_keyring *keyring, const uint8_t *wrapped, size_t length,
		       const struct seal_dek_binding *binding) {
	struct err err = {0};
	struct seal_dek *dek = seal_dek_unwrap(keyring, wrapped, length, binding, &err);
	assert_int_equal(dek == NULL, err.code != ERR_NONE);
	seal_dek_free(&dek);
	assert_null(dek);
	return (int)err.code;
}

static void a_data_key_comes_back(void **state) {
	(void)state;
	struct seal_keyring *keyring = keyring_of(0x11);
	struct seal_dek *dek = seal_dek_new(keyring);
	struct seal_dek *other = seal_dek_new(keyring);
	const struct seal_dek_binding binding = dek_binding();
	uint8_t wrapped[SEAL_WRAPPED_DEK_SIZE];
	uint8_t again[SEAL_WRAPPED_DEK_SIZE];
	uint8_t id[SEAL_KEY_ID_SIZE];
	assert_int_equal(seal_dek_wrap(keyring, dek, &binding, wrapped, NULL), 0);
	assert_int_equal(seal_dek_wrap(keyring, dek, &binding, again, NULL), 0);
	seal_keyring_id(keyring, id);
	assert_memory_equal(wrapped, "K\1\1\0", 4);
	assert_memory_equal(wrapped + 4, id, sizeof id);
	assert_memory_not_equal(wrapped + 12, again + 12, 24);

	struct seal_dek *back = seal_dek_unwrap(keyring, wrapped, sizeof wrapped, &binding, NULL);
	assert_non_null(back);
	assert_same_dek(dek, back);
	assert_same_dek(back, dek);
	seal_dek_free(&back);
	seal_dek_free(&other);
	seal_dek_free(&dek);
	seal_keyring_free(&keyring);
}

static void a_data_key_opens_for_its_binding_only(void **state) {
	(void)state;
	struct seal_keyring *keyring = keyring_of(0x11);
	struct seal_keyring *stranger = keyring_of(0x12);
	struct seal_dek *dek = seal_dek_new(keyring);
	const struct seal_dek_binding right = dek_binding();
	uint8_t wrapped[SEAL_WRAPPED_DEK_SIZE + 1] = {0};
	assert_int_equal(seal_dek_wrap(keyring, dek, &right, wrapped, NULL), 0);
	assert_int_equal(unwrap_code(keyring, wrapped, SEAL_WRAPPED_DEK_SIZE, &right), ERR_NONE);

	struct seal_dek_binding wrong = right;
	strcpy(wrong.owner, "user_b");
	assert_int_equal(unwrap_code(keyring, wrapped, SEAL_WRAPPED_DEK_SIZE, &wrong), ERR_CORRUPT);
	wrong = right;
	strcpy(wrong.thread, "conv_b");
	assert_int_equal(unwrap_code(keyring, wrapped, SEAL_WRAPPED_DEK_SIZE, &wrong), ERR_CORRUPT);
	wrong = right;
	wrong.epoch++;
	assert_int_equal(unwrap_code(keyring, wrapped, SEAL_WRAPPED_DEK_SIZE, &wrong), ERR_CORRUPT);

	assert_int_equal(unwrap_code(stranger, wrapped, SEAL_WRAPPED_DEK_SIZE, &right), ERR_NOT_FOUND);
	/* The same under the stranger's name: the commitment does not fit. */
	seal_keyring_id(stranger, wrapped + 4);
	assert_int_equal(unwrap_code(stranger, wrapped, SEAL_WRAPPED_DEK_SIZE, &right), ERR_CORRUPT);
	seal_keyring_id(keyring, wrapped + 4);

	for (size_t length = 0; length <= sizeof wrapped; length++) {
		assert_int_equal(unwrap_code(keyring, wrapped, length, &right),
				 length == SEAL_WRAPPED_DEK_SIZE ? ERR_NONE : ERR_CORRUPT);
	}
	for (size_t i = 0; i < SEAL_WRAPPED_DEK_SIZE; i++) {
		for (int bit = 0; bit < 8; bit++) {
			wrapped[i] ^= (uint8_t)(1 << bit);
			/* In the key's name a flip names another key. */
			assert_int_equal(unwrap_code(keyring, wrapped, SEAL_WRAPPED_DEK_SIZE, &right),
					 i >= 4 && i < 12 ? ERR_NOT_FOUND : ERR_CORRUPT);
			wrapped[i] ^= (uint8_t)(1 << bit);
		}
	}
	seal_dek_free(&dek);
	seal_keyring_free(&stranger);
	seal_keyring_free(&keyring);
}

/* In a child of its own: the limit can't be raised again. 0 when keys stop coming as NULL, and not as a crash. */
static int child_without_memory(void) {
	struct rlimit limit = {64 << 20, 64 << 20};
	struct seal_keyring *keyring = keyring_of(0x11);
	if (setrlimit(RLIMIT_AS, &limit) != 0) {
		return 2;
	}
	for (int i = 0; i < 1000000; i++) {
		if (!seal_dek_new(keyring)) {
			return 0;
		}
	}
	return 1;
}

static void guarded_memory_that_runs_out_is_an_error(void **state) {
	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* a sanitizer maps more than any limit */
#endif
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		_exit(child_without_memory());
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void shuffle(size_t *order, size_t count) {
	for (size_t i = count; i > 1; i--) {
		size_t other = (size_t)random() % i;
		size_t kept = order[i - 1];
		order[i - 1] = order[other];
		order[other] = kept;
	}
}

#define MANY 1000 /* keys: some ten pages of them */

static void many_keys_live_side_by_side(void **state) {
	(void)state;
	struct seal_keyring *keyring = keyring_of(0x11);
	const struct seal_dek_binding binding = dek_binding();
	static struct seal_dek *deks[MANY];
	static uint8_t wrapped[MANY][SEAL_WRAPPED_DEK_SIZE];
	static size_t order[MANY];
	unsigned seed = (unsigned)getpid();
	print_message("seed %u\n", seed);
	srandom(seed);
	for (size_t i = 0; i < MANY; i++) {
		order[i] = i;
	}
	for (int round = 0; round < 4; round++) {
		for (size_t i = 0; i < MANY; i++) {
			if (!deks[i]) {
				deks[i] = seal_dek_new(keyring);
				assert_non_null(deks[i]);
				assert_int_equal(seal_dek_wrap(keyring, deks[i], &binding, wrapped[i], NULL), 0);
			}
		}
		shuffle(order, MANY);
		for (size_t i = 0; i < MANY / 2; i++) {
			seal_dek_free(&deks[order[i]]);
		}
		/* What stays is what it was. */
		for (size_t i = MANY / 2; i < MANY; i++) {
			struct seal_dek *back =
				seal_dek_unwrap(keyring, wrapped[order[i]], SEAL_WRAPPED_DEK_SIZE, &binding, NULL);
			assert_non_null(back);
			assert_same_dek(deks[order[i]], back);
			seal_dek_free(&back);
		}
	}
	for (size_t i = 0; i < MANY; i++) {
		seal_dek_free(&deks[i]);
	}
	seal_keyring_free(&keyring);
}

/* How much of this process's memory is locked, in KiB. */
static long locked_kib(void) {
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	long kib = -1;
	assert_non_null(file);
	while (kib < 0 && fgets(line, sizeof line, file)) {
		sscanf(line, "VmLck: %ld kB", &kib);
	}
	fclose(file);
	return kib;
}

static void keys_share_locked_pages(void **state) {
	(void)state;
	struct seal_keyring *keyring = keyring_of(0x11);
	static struct seal_dek *deks[MANY];
	long before = locked_kib();
	for (size_t i = 0; i < MANY; i++) {
		deks[i] = seal_dek_new(keyring);
		assert_non_null(deks[i]);
	}
	long with = locked_kib() - before;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they make mlock do nothing */
	assert_true(with > 0);                                      /* locked they are */
#endif
	assert_true(with < MANY); /* less than a KiB for each */
	for (size_t i = 0; i < MANY; i++) {
		seal_dek_free(&deks[i]);
	}
	assert_true(locked_kib() - before <= 16); /* one page may stay */
	seal_keyring_free(&keyring);
}

static void a_key_given_back_is_wiped(void **state) {
	(void)state;
	struct seal_keyring *keyring = keyring_of(0x11);
	static const uint8_t zeros[SEAL_KEY_SIZE];
	struct seal_dek *stays = seal_dek_new(keyring); /* keeps the page */
	struct seal_dek *dek = seal_dek_new(keyring);
	const uint8_t *bytes = (const uint8_t *)dek;
	assert_memory_not_equal(bytes, zeros, sizeof zeros);
	seal_dek_free(&dek);
	assert_memory_equal(bytes, zeros, sizeof zeros);
	seal_dek_free(&stays);
	seal_keyring_free(&keyring);
}

#define THREADS 4

struct sharing {
	struct seal_keyring *keyring;
	pthread_barrier_t start;
};

static void *take_and_give(void *argument) {
	struct sharing *sharing = argument;
	const struct seal_keyring *keyring = sharing->keyring;
	struct seal_dek *deks[64] = {0};
	pthread_barrier_wait(&sharing->start);
	for (size_t i = 0; i < 100000; i++) {
		struct seal_dek **dek = &deks[i * 31 % COUNT(deks)];
		seal_dek_free(dek);
		*dek = seal_dek_new(keyring);
	}
	for (size_t i = 0; i < COUNT(deks); i++) {
		seal_dek_free(&deks[i]);
	}
	return NULL;
}

static void threads_share_the_pages(void **state) {
	(void)state;
	struct sharing sharing = {.keyring = keyring_of(0x11)};
	pthread_t threads[THREADS];
	assert_int_equal(pthread_barrier_init(&sharing.start, NULL, THREADS), 0);
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &sharing), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	}
	pthread_barrier_destroy(&sharing.start);
	seal_keyring_free(&sharing.keyring); /* asserts that every key came back */
}

static void the_process_leaves_no_core(void **state) {
	(void)state;
	struct rlimit core;
	assert_int_equal(getrlimit(RLIMIT_CORE, &core), 0);
	assert_int_equal(core.rlim_cur, 0);
	assert_int_equal(core.rlim_max, 0);
	assert_int_equal(prctl(PR_GET_DUMPABLE), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms_of_a_key_file),
		cmocka_unit_test(hex_and_raw_are_the_same_key),
		cmocka_unit_test(a_key_file_is_its_owners_alone),
		cmocka_unit_test(what_is_no_file_is_no_key),
		cmocka_unit_test(a_made_key_file_opens),
		cmocka_unit_test(subkeys_follow_key_and_purpose),
		cmocka_unit_test(a_data_key_comes_back),
		cmocka_unit_test(a_data_key_opens_for_its_binding_only),
		cmocka_unit_test(many_keys_live_side_by_side),
		cmocka_unit_test(keys_share_locked_pages),
		cmocka_unit_test(a_key_given_back_is_wiped),
		cmocka_unit_test(threads_share_the_pages),
		cmocka_unit_test(guarded_memory_that_runs_out_is_an_error),
		cmocka_unit_test(the_process_leaves_no_core),
	};
	return cmocka_run_group_tests_name("seal_keyring", tests, start_seal, NULL);
}
