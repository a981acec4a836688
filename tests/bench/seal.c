/* What a record costs by itself: sealed, put on its thread's chain, and opened again, by the server's own seal layer. Texts
 * of 64 B, 1 KB and 16 KB:
 *   seal [MILLISECONDS]    for each measurement; prints a line of JSON, CPU time in microseconds */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "seal/keyring.h"
#include "seal/record.h"
#include "seal/token.h"

struct bench {
	const struct seal_dek *dek;
	struct seal_record_binding binding;
	struct str text;
	struct buf sealed, opened;
	struct seal_head head;
};

static void fail(const char *what, const struct err *err) {
	fprintf(stderr, "seal: %s: %s\n", what, err->text);
	exit(1);
}

static void seal_one(struct bench *bench) {
	struct err err;
	buf_clear(&bench->sealed);
	if (seal_record(bench->dek, 1, &bench->binding, bench->text, &bench->sealed, &err)) {
		fail("a record", &err);
	}
}

static void chain_one(struct bench *bench) {
	struct err err;
	uint8_t commitment[SEAL_COMMITMENT_SIZE], mac[SEAL_HEAD_SIZE];
	if (seal_record_commitment(buf_str(&bench->sealed), commitment, &err) ||
	    seal_head_extend(&bench->head, bench->dek, bench->head.last_number + 1, commitment, &err)) {
		fail("the chain", &err);
	}
	seal_head_mac(&bench->head, bench->dek, bench->binding.thread, mac);
}

static void open_one(struct bench *bench) {
	struct err err;
	buf_clear(&bench->opened);
	if (seal_record_open(bench->dek, &bench->binding, buf_str(&bench->sealed), &bench->opened, &err)) {
		fail("a sealed record", &err);
	}
}

static double cpu_us(void) {
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* The quickest of five, as what else the machine does can only slow it. */
static double measure(void (*one)(struct bench *bench), struct bench *bench, double ms) {
	double best = 0;
	for (int round = 0; round < 5; round++) {
		long times = 0;
		double begun = cpu_us(), used;
		do {
			for (int i = 0; i < 32; i++) {
				one(bench);
			}
			times += 32;
			used = cpu_us() - begun;
		} while (used < ms * 1000 / 5);
		best = round == 0 || used / (double)times < best ? used / (double)times : best;
	}
	return best;
}

static void bench_size(struct bench *bench, size_t size, double ms) {
	static char text[16384];
	seal_random(text, size);
	bench->text = (struct str){text, size};
	double sealing = measure(seal_one, bench, ms);
	double chaining = measure(chain_one, bench, ms);
	double opening = measure(open_one, bench, ms);
	if (bench->opened.length != size || memcmp(bench->opened.data, text, size) != 0) {
		fprintf(stderr, "seal: what was opened is not what was sealed\n");
		exit(1);
	}
	printf("{\"bytes\":%zu,\"sealed_bytes\":%zu,\"seal_us\":%.3f,\"chain_us\":%.3f,\"open_us\":%.3f,"
	       "\"seal_mib_s\":%.1f,\"open_mib_s\":%.1f}",
	       size, bench->sealed.length, sealing, chaining, opening, (double)size / sealing * 1e6 / 1048576,
	       (double)size / opening * 1e6 / 1048576);
}

/* A key of its own, in a folder that is gone at once. */
static struct seal_keyring *make_keyring(void) {
	struct err err;
	char folder[] = "/tmp/sluice-seal-XXXXXX", file[sizeof folder + 8];
	if (!mkdtemp(folder)) {
		perror("seal: a folder for the key");
		exit(1);
	}
	snprintf(file, sizeof file, "%s/kek", folder);
	if (seal_init(&err) || seal_key_file_make(file, &err)) {
		fail("a key", &err);
	}
	struct seal_keyring *keyring = seal_keyring_open(file, false, &err);
	unlink(file);
	rmdir(folder);
	if (!keyring) {
		fail("the key", &err);
	}
	return keyring;
}

int main(int argc, char **argv) {
	static const size_t sizes[] = {64, 1024, 16384};
	double ms = argc > 1 ? atof(argv[1]) : 1000;
	struct seal_keyring *keyring = make_keyring();
	struct seal_dek *dek = seal_dek_new(keyring);
	struct bench bench = {.dek = dek,
			      .binding = {.owner = "user_0000000000000000000000000000000000000000",
					  .thread = "conv_0000000000000000000000000000000000000000",
					  .response = "resp_0000000000000000000000000000000000000000",
					  .number = 1,
					  .kind = 2,
					  .schema = 1,
					  .created_ms = 1790000000000}};
	if (!dek) {
		fail("a data key", &(struct err){.text = "no guarded memory"});
	}
	printf("{\"records\":[");
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		printf("%s", i ? "," : "");
		bench_size(&bench, sizes[i], ms);
	}
	printf("]}\n");
	buf_free(&bench.sealed);
	buf_free(&bench.opened);
	seal_dek_free(&dek);
	seal_keyring_free(&keyring);
	return 0;
}
