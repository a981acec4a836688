#include "users.h"

#include "base/mem.h"

#define SWEEP_US INT64_C(60000000)

struct user_buckets *users_buckets(struct edge *edge, const char *user) {
	struct user_buckets *buckets = map_get(edge->users, str_of(user));
	if (buckets) {
		return buckets;
	}
	buckets = mem_zalloc(sizeof *buckets);
	if (buckets && map_put(edge->users, str_of(user), buckets)) {
		mem_free(buckets);
		return NULL;
	}
	return buckets;
}

static bool is_full(const struct edge *edge, const struct user_buckets *buckets, int64_t now) {
	return gcra_peek(&buckets->requests, &edge->options.http_requests, now).reset_us == 0 &&
	       gcra_peek(&buckets->bytes, &edge->options.bytes, now).reset_us == 0;
}

static void drop(struct edge *edge, bool all) {
	int64_t now = edge_now_us(edge);
	size_t position = 0;
	struct str user;
	void *buckets;
	while (map_next(edge->users, &position, &user, &buckets)) {
		if (all || is_full(edge, buckets, now)) {
			map_remove(edge->users, user);
			mem_free(buckets);
		}
	}
}

void users_sweep(struct edge *edge) {
	int64_t now = edge_now_us(edge);
	if (now - edge->users_swept_us >= SWEEP_US) {
		edge->users_swept_us = now;
		drop(edge, false);
	}
}

void users_free(struct edge *edge) {
	if (edge->users) {
		drop(edge, true);
		map_free(&edge->users);
	}
}
