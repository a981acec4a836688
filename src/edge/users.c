#include "users.h"

#include "base/mem.h"

#define SWEEP_US INT64_C(60000000)

struct gcra *users_bucket(struct edge *edge, const char *user) {
	struct gcra *bucket = map_get(edge->users, str_of(user));
	if (bucket) {
		return bucket;
	}
	bucket = mem_zalloc(sizeof *bucket);
	if (bucket && map_put(edge->users, str_of(user), bucket)) {
		mem_free(bucket);
		return NULL;
	}
	return bucket;
}

static void drop(struct edge *edge, bool all) {
	int64_t now = edge_now_us(edge);
	size_t position = 0;
	struct str user;
	void *value;
	while (map_next(edge->users, &position, &user, &value)) {
		if (all || gcra_peek(value, &edge->options.http_requests, now).reset_us == 0) {
			map_remove(edge->users, user);
			mem_free(value);
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
