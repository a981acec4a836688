/* Fills a store with sealed conversations, through the server's own code, while no server runs on it:
 *   fill DIR KEY_FILE USER CONVERSATIONS TURNS BYTES
 * Each conversation has so many turns, each turn a question and an answer of so many bytes. Prints a line of JSON for the
 * newest of them: its id and that of its last response; and last, on a line of its own, what it cost. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <uv.h>

#include "base/metrics.h"
#include "base/str.h"
#include "conversation/conversation.h"

#define LANES 64 /* conversations that are written side by side */

struct filler {
	uv_loop_t loop;
	struct store *store;
	struct conversations *conversations;
	char owner[ID_SIZE];
	long left; /* conversations to begin */
	long turns;
	char *text;
	char last[2 * ID_SIZE + 64];
	long written;
};

struct lane {
	struct filler *filler;
	struct conversation *conversation;
	long turn;
	char id[ID_SIZE], parent[ID_SIZE];
	struct item_list input, output;
};

static void fail(const char *what, const struct err *err) {
	fprintf(stderr, "fill: %s: %s\n", what, err ? err->text : "no memory");
	exit(1);
}

static struct item_list one_item(enum item_role role, const char *text) {
	struct item_list list = {0};
	struct item item = {0};
	char id[ID_SIZE];
	id_make(id, "msg", clock_wall_ms(clock_system()));
	if (item_message(&item, role, ITEM_COMPLETED, id, str_of(text)) || item_list_add(&list, &item)) {
		fail("item", NULL);
	}
	return list;
}

static void next(struct lane *lane);

static struct conversation_entry entry_of(struct lane *lane) {
	static const struct request_settings settings = {.store = true};
	return (struct conversation_entry){
		.response_id = lane->id,
		.parent_id = lane->parent,
		.model = "bench",
		.settings = &settings,
		.input = &lane->input,
		.created_ms = clock_wall_ms(clock_system()),
		.status = RESPONSE_IN_PROGRESS,
		.reason = "",
		.error_message = "",
	};
}

static void on_end(void *arg, const struct err *err) {
	struct lane *lane = arg;
	if (err) {
		fail("end", err);
	}
	memcpy(lane->parent, lane->id, sizeof lane->parent);
	item_list_free(&lane->input);
	item_list_free(&lane->output);
	lane->filler->written++;
	next(lane);
}

static void on_begun(void *arg, const struct err *err) {
	struct lane *lane = arg;
	if (err) {
		fail("beginning", err);
	}
	struct conversation_entry entry = entry_of(lane);
	entry.status = RESPONSE_COMPLETED;
	entry.completed_ms = entry.created_ms;
	entry.output = lane->output.items;
	entry.output_count = lane->output.count;
	entry.events = STR("\x01\x02");
	entry.usage = (struct response_usage){.known = true, .input_tokens = 100, .output_tokens = 100};
	if (!conversation_finish(lane->conversation, &entry, on_end, lane)) {
		fail("end", NULL);
	}
}

static void next(struct lane *lane) {
	struct filler *filler = lane->filler;
	struct err err = {0};
	if (lane->conversation && lane->turn == filler->turns) {
		snprintf(filler->last, sizeof filler->last, "{\"conversation\":\"%s\",\"response\":\"%s\"}",
			 conversation_id(lane->conversation), lane->parent);
		conversation_release(&lane->conversation);
	}
	if (!lane->conversation) {
		if (filler->left == 0) {
			return;
		}
		filler->left--;
		lane->turn = 0;
		lane->parent[0] = '\0';
		lane->conversation = conversation_start(filler->conversations, filler->owner, &err);
		if (!lane->conversation) {
			fail("conversation", &err);
		}
	}
	lane->turn++;
	id_make(lane->id, "resp", clock_wall_ms(clock_system()));
	lane->input = one_item(ROLE_USER, filler->text);
	lane->output = one_item(ROLE_ASSISTANT, filler->text);
	const struct conversation_entry entry = entry_of(lane);
	if (!conversation_begin(lane->conversation, &entry, on_begun, lane)) {
		fail("beginning", NULL);
	}
}

static void on_identities(void *arg, struct store_snapshot *snapshot, const struct err *err) {
	struct filler *filler = arg;
	if (err) {
		fail("users", err);
	}
	for (size_t i = 0; i < snapshot->user_count; i++) {
		if (strcmp(snapshot->users[i].name, filler->text) == 0) {
			memcpy(filler->owner, snapshot->users[i].id, sizeof filler->owner);
		}
	}
	store_snapshot_free(&snapshot);
}

/* The user's id, by way of `text`, which is the name until then. */
static void find_owner(struct filler *filler, char *name) {
	const struct store_query query = {.kind = STORE_READ_IDENTITIES};
	filler->text = name;
	if (!store_read(filler->store, &query, on_identities, filler)) {
		fail("users", NULL);
	}
	uv_run(&filler->loop, UV_RUN_DEFAULT);
	if (!filler->owner[0]) {
		fail("no such user", NULL);
	}
}

static double seconds(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double cpu_seconds(void) {
	struct rusage used;
	getrusage(RUSAGE_SELF, &used);
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
	       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv) {
	static struct lane lanes[LANES];
	struct filler filler = {0};
	struct log log = {0};
	struct err err = {0};
	if (argc != 7) {
		fprintf(stderr, "usage: fill DIR KEY_FILE USER CONVERSATIONS TURNS BYTES\n");
		return 2;
	}
	filler.left = atol(argv[4]);
	filler.turns = atol(argv[5]);
	uv_loop_init(&filler.loop);
	if (seal_init(&err)) {
		fail("seal", &err);
	}
	struct seal_keyring *keyring = seal_keyring_open(argv[2], false, &err);
	const struct store_options options = {.dir = argv[1]};
	const struct store_deps deps = {&filler.loop, clock_system(), &log, metrics_new()};
	filler.store = keyring ? store_open(&options, &deps, &err) : NULL;
	if (!filler.store) {
		fail("store", &err);
	}
	const struct conversation_deps conversation_deps = {
		.store = filler.store, .keyring = keyring, .clock = clock_system(), .log = &log};
	filler.conversations = conversations_new(&conversation_deps, &err);
	find_owner(&filler, argv[3]);
	size_t bytes = (size_t)atol(argv[6]);
	filler.text = malloc(bytes + 1);
	for (size_t i = 0; i < bytes; i++) {
		filler.text[i] = i % 6 == 5 ? ' ' : (char)('a' + i % 26);
	}
	filler.text[bytes] = '\0';
	double begun = seconds();
	double cpu = cpu_seconds();
	for (size_t i = 0; i < LANES; i++) {
		lanes[i].filler = &filler;
		next(&lanes[i]);
	}
	uv_run(&filler.loop, UV_RUN_DEFAULT);
	printf("%s\n", filler.last);
	printf("{\"turns\":%ld,\"turns_per_second\":%.0f,\"cpu_us_per_turn\":%.1f}\n", filler.written,
	       (double)filler.written / (seconds() - begun), (cpu_seconds() - cpu) * 1e6 / (double)filler.written);
	store_close(&filler.store);
	return 0;
}
