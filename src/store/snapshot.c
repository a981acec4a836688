#include "snapshot.h"

#include <string.h>

#include "base/mem.h"

struct store_snapshot *snapshot_new(void) {
	return mem_zalloc(sizeof(struct store_snapshot));
}

void store_snapshot_free(struct store_snapshot **snapshot) {
	struct store_snapshot *s = *snapshot;
	if (!s) {
		return;
	}
	for (size_t i = 0; i < s->record_count; i++) {
		buf_free(&s->records[i].sealed);
	}
	mem_free(s->threads);
	mem_free(s->deks);
	mem_free(s->responses);
	mem_free(s->records);
	mem_free(s->links);
	mem_free(s->idempotency);
	mem_free(s->users);
	mem_free(s->credentials);
	mem_free(s);
	*snapshot = NULL;
}

/* Makes room for one more element. The capacity is the power of two at or above `count` and need not be kept. */
static void *grow(void *array, size_t count, size_t size) {
	if ((count & (count - 1)) != 0) {
		return array;
	}
	size_t capacity = count == 0 ? 1 : 2 * count;
	return capacity > SIZE_MAX / size ? NULL : mem_realloc(array, capacity * size);
}

/* The body of every snapshot_add_ function: they differ in the array alone. */
#define ADD(snapshot, array, count)                                                                                    \
	do {                                                                                                           \
		void *grown = grow((snapshot)->array, (snapshot)->count, sizeof *(snapshot)->array);                   \
		if (!grown) {                                                                                          \
			return NULL;                                                                                   \
		}                                                                                                      \
		(snapshot)->array = grown;                                                                             \
		memset(&(snapshot)->array[(snapshot)->count], 0, sizeof *(snapshot)->array);                           \
		return &(snapshot)->array[(snapshot)->count++];                                                        \
	} while (0)

struct store_thread *snapshot_add_thread(struct store_snapshot *snapshot) {
	ADD(snapshot, threads, thread_count);
}

struct store_dek *snapshot_add_dek(struct store_snapshot *snapshot) {
	ADD(snapshot, deks, dek_count);
}

struct store_response *snapshot_add_response(struct store_snapshot *snapshot) {
	ADD(snapshot, responses, response_count);
}

struct store_record *snapshot_add_record(struct store_snapshot *snapshot) {
	ADD(snapshot, records, record_count);
}

struct store_link *snapshot_add_link(struct store_snapshot *snapshot) {
	ADD(snapshot, links, link_count);
}

struct store_idempotency *snapshot_add_idempotency(struct store_snapshot *snapshot) {
	ADD(snapshot, idempotency, idempotency_count);
}

struct store_user *snapshot_add_user(struct store_snapshot *snapshot) {
	ADD(snapshot, users, user_count);
}

struct store_credential *snapshot_add_credential(struct store_snapshot *snapshot) {
	ADD(snapshot, credentials, credential_count);
}

void snapshot_drop_response(struct store_snapshot *snapshot) {
	const char *id = snapshot->responses[--snapshot->response_count].id;
	while (snapshot->record_count > 0 && strcmp(snapshot->records[snapshot->record_count - 1].response, id) == 0) {
		buf_free(&snapshot->records[--snapshot->record_count].sealed);
	}
}
