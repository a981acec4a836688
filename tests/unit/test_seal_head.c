/* The chain over a thread's records, and the head that says how long it is. */
#include "seal_test.h"

#define LINKS 6

struct link {
	uint32_t number;
	uint8_t commitment[SEAL_COMMITMENT_SIZE];
};

static void make_links(struct link links[static LINKS]) {
	for (uint32_t i = 0; i < LINKS; i++) {
		links[i].number = 2 * i + 1; /* numbers may skip */
		memset(links[i].commitment, (int)(0x40 + i), sizeof links[i].commitment);
	}
}

/* The head of a thread whose rows are these; -1 where the rows can't be a chain at all. */
static int mac_of(const struct seal_dek *dek, const struct link *links, size_t count,
		  uint8_t mac[static SEAL_HEAD_SIZE]) {
	struct seal_head head = {0};
	for (size_t i = 0; i < count; i++) {
		if (seal_head_extend(&head, dek, links[i].number, links[i].commitment, NULL) != 0) {
			return -1;
		}
	}
	seal_head_mac(&head, dek, "conv_a", mac);
	return 0;
}

/* Whether the head that was stored for `before` takes `links` for it. */
static bool is_taken_for(const struct seal_dek *dek, const struct link *links, size_t count,
			 const uint8_t before[static SEAL_HEAD_SIZE]) {
	uint8_t mac[SEAL_HEAD_SIZE];
	return mac_of(dek, links, count, mac) == 0 && seal_equal32(mac, before) == 0;
}

static void every_tampering_shows(void **state) {
	(void)state;
	struct seal_dek *dek = any_dek();
	struct seal_dek *other = any_dek();
	struct link links[LINKS];
	struct link changed[LINKS + 1];
	uint8_t mac[SEAL_HEAD_SIZE];
	make_links(links);
	assert_int_equal(mac_of(dek, links, LINKS, mac), 0);
	assert_true(is_taken_for(dek, links, LINKS, mac));

	for (size_t count = 0; count < LINKS; count++) { /* truncated */
		assert_false(is_taken_for(dek, links, count, mac));
	}
	for (size_t gone = 0; gone < LINKS; gone++) { /* removed */
		memcpy(changed, links, gone * sizeof links[0]);
		memcpy(changed + gone, links + gone + 1, (LINKS - gone - 1) * sizeof links[0]);
		assert_false(is_taken_for(dek, changed, LINKS - 1, mac));
	}
	for (size_t a = 0; a + 1 < LINKS; a++) { /* reordered, with and without its numbers */
		memcpy(changed, links, sizeof links);
		changed[a] = links[a + 1];
		changed[a + 1] = links[a];
		assert_false(is_taken_for(dek, changed, LINKS, mac));
		changed[a].number = links[a].number;
		changed[a + 1].number = links[a + 1].number;
		assert_false(is_taken_for(dek, changed, LINKS, mac));
	}
	for (size_t i = 0; i < LINKS; i++) { /* replaced, renumbered */
		memcpy(changed, links, sizeof links);
		changed[i].commitment[31] ^= 1;
		assert_false(is_taken_for(dek, changed, LINKS, mac));
		memcpy(changed, links, sizeof links);
		changed[i].number++;
		assert_false(is_taken_for(dek, changed, LINKS, mac));
	}
	memcpy(changed, links, sizeof links); /* replayed behind the end */
	changed[LINKS] = links[0];
	assert_false(is_taken_for(dek, changed, LINKS + 1, mac));
	changed[LINKS].number = links[LINKS - 1].number + 1;
	assert_false(is_taken_for(dek, changed, LINKS + 1, mac));
	assert_false(is_taken_for(other, links, LINKS, mac));
	seal_dek_free(&other);
	seal_dek_free(&dek);
}

static void the_head_holds_its_thread_and_every_field(void **state) {
	(void)state;
	struct seal_dek *dek = any_dek();
	struct seal_head head = {.last_number = 9, .count = 5};
	uint8_t mac[SEAL_HEAD_SIZE];
	uint8_t other[SEAL_HEAD_SIZE];
	seal_head_mac(&head, dek, "conv_a", mac);
	seal_head_mac(&head, dek, "conv_a", other);
	assert_int_equal(seal_equal32(mac, other), 0);
	seal_head_mac(&head, dek, "conv_b", other);
	assert_int_equal(seal_equal32(mac, other), -1);
	head.last_number++;
	seal_head_mac(&head, dek, "conv_a", other);
	assert_int_equal(seal_equal32(mac, other), -1);
	head.last_number--;
	head.count++;
	seal_head_mac(&head, dek, "conv_a", other);
	assert_int_equal(seal_equal32(mac, other), -1);
	head.count--;
	head.chain[0] ^= 1;
	seal_head_mac(&head, dek, "conv_a", other);
	assert_int_equal(seal_equal32(mac, other), -1);
	seal_dek_free(&dek);
}

static void numbers_only_rise(void **state) {
	(void)state;
	struct seal_dek *dek = any_dek();
	const uint8_t commitment[SEAL_COMMITMENT_SIZE] = {1};
	struct seal_head head = {0};
	struct err err = {0};
	assert_int_equal(seal_head_extend(&head, dek, 0, commitment, &err), -1);
	assert_int_equal(err.code, ERR_INVALID);
	assert_int_equal(seal_head_extend(&head, dek, 3, commitment, NULL), 0);
	assert_int_equal(head.last_number, 3);
	assert_int_equal(head.count, 1);
	const struct seal_head before = head;
	assert_int_equal(seal_head_extend(&head, dek, 3, commitment, &err), -1);
	assert_int_equal(seal_head_extend(&head, dek, 2, commitment, &err), -1);
	assert_memory_equal(&head, &before, sizeof head);
	assert_int_equal(seal_head_extend(&head, dek, UINT32_MAX, commitment, NULL), 0);
	seal_dek_free(&dek);
}

static void equal32_compares_all_bytes(void **state) {
	(void)state;
	uint8_t a[32] = {0};
	uint8_t b[32] = {0};
	assert_int_equal(seal_equal32(a, b), 0);
	for (size_t i = 0; i < sizeof a; i++) {
		b[i] = 0x80;
		assert_int_equal(seal_equal32(a, b), -1);
		b[i] = 0;
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_tampering_shows),
		cmocka_unit_test(the_head_holds_its_thread_and_every_field),
		cmocka_unit_test(numbers_only_rise),
		cmocka_unit_test(equal32_compares_all_bytes),
	};
	return cmocka_run_group_tests_name("seal_head", tests, start_seal, NULL);
}
