#include "claims.h"

#include <pthread.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

#define SPENT_MAX 10000 /* the oldest are forgotten first */

struct claims {
	pthread_mutex_t mutex;
	/* under the mutex */
	struct map *known; /* by the hash of the key: struct idempotency, owned */
	struct list spent;
	size_t spent_count;
};

struct claims *claims_new(void) {
	struct claims *claims = mem_zalloc(sizeof *claims);
	if (!claims) {
		return NULL;
	}
	claims->known = map_new();
	if (!claims->known) {
		mem_free(claims);
		return NULL;
	}
	pthread_mutex_init(&claims->mutex, NULL);
	list_init(&claims->spent);
	return claims;
}

void claims_free(struct claims **claims) {
	struct claims *old = *claims;
	if (!old) {
		return;
	}
	*claims = NULL;
	size_t position = 0;
	void *known = NULL;
	while (map_next(old->known, &position, NULL, &known)) {
		mem_free(known);
	}
	map_free(&old->known);
	pthread_mutex_destroy(&old->mutex);
	mem_free(old);
}

static struct str key_of(const struct conversation_claim *claim) {
	return (struct str){(const char *)claim->key, sizeof claim->key};
}

static void forget(struct claims *claims, struct idempotency *known) {
	if (known->spent) {
		list_remove(&known->link);
		claims->spent_count--;
	}
	map_remove(claims->known, key_of(&known->claim));
	mem_free(known);
}

static enum claim_state find(struct claims *claims, const struct conversation_claim *claim, int64_t now_ms,
			     struct claim_first *first) {
	struct idempotency *known = map_get(claims->known, key_of(claim));
	if (known && known->spent && known->created_ms <= now_ms - CONVERSATION_CLAIM_MS) {
		forget(claims, known);
		known = NULL;
	}
	if (!known) {
		return CLAIM_FREE;
	}
	if (memcmp(known->claim.body, claim->body, sizeof claim->body) != 0) {
		return CLAIM_OTHER;
	}
	if (known->spent) {
		return CLAIM_SPENT;
	}
	memcpy(first->response, known->response, sizeof first->response);
	first->loop = known->loop;
	first->stored = known->stored;
	first->claim = known->claim;
	return CLAIM_RUNS;
}

enum claim_state claims_find(struct claims *claims, const struct conversation_claim *claim, int64_t now_ms,
			     struct claim_first *first) {
	pthread_mutex_lock(&claims->mutex);
	enum claim_state state = find(claims, claim, now_ms, first);
	pthread_mutex_unlock(&claims->mutex);
	return state;
}

static enum claim_state take(struct claims *claims, const struct idempotency *how, struct idempotency **taken,
			     struct claim_first *first) {
	enum claim_state state = find(claims, &how->claim, how->created_ms, first);
	if (state != CLAIM_FREE) {
		return state;
	}
	struct idempotency *known = mem_zalloc(sizeof *known);
	if (!known || map_put(claims->known, key_of(&how->claim), known)) {
		mem_free(known);
		return CLAIM_NO_MEMORY;
	}
	*known = *how;
	*taken = known;
	return CLAIM_FREE;
}

enum claim_state claims_take(struct claims *claims, const struct idempotency *how, struct idempotency **taken,
			     struct claim_first *first) {
	pthread_mutex_lock(&claims->mutex);
	enum claim_state state = take(claims, how, taken, first);
	pthread_mutex_unlock(&claims->mutex);
	return state;
}

void claims_settle(struct claims *claims, struct idempotency *taken, bool spent) {
	pthread_mutex_lock(&claims->mutex);
	if (!spent) {
		forget(claims, taken);
	} else {
		taken->spent = true;
		list_append(&claims->spent, &taken->link);
		claims->spent_count++;
	}
	if (claims->spent_count > SPENT_MAX) {
		forget(claims, container_of(claims->spent.next, struct idempotency, link));
	}
	pthread_mutex_unlock(&claims->mutex);
}
