#include "users.h"

#include <uv.h>

#include "base/map.h"
#include "base/mem.h"
#include "limiter.h"

#define SWEEP_US INT64_C(60000000)

struct buckets {
	struct gcra requests;
	struct gcra bytes;
};

struct users {
	struct gcra_rate requests, bytes;
	uv_mutex_t mutex;
	/* under the mutex */
	struct map *by_id; /* struct buckets */
	int64_t swept_us;
};

struct users *users_new(const struct gcra_rate *requests, const struct gcra_rate *bytes, struct err *err) {
	struct users *users = mem_zalloc(sizeof *users);
	if (!users) {
		goto no_memory;
	}
	users->requests = *requests;
	users->bytes = *bytes;
	users->by_id = map_new();
	if (!users->by_id || uv_mutex_init(&users->mutex)) {
		map_free(&users->by_id);
		mem_free(users);
		goto no_memory;
	}
	return users;
no_memory:
	err_set(err, ERR_MEMORY, "no memory for the limits of users");
	return NULL;
}

static struct buckets *buckets_of(struct users *users, const char *user) {
	struct buckets *buckets = map_get(users->by_id, str_of(user));
	if (buckets) {
		return buckets;
	}
	buckets = mem_zalloc(sizeof *buckets);
	if (buckets && map_put(users->by_id, str_of(user), buckets)) {
		mem_free(buckets);
		return NULL;
	}
	return buckets;
}

static int take(struct users *users, struct buckets *buckets, size_t bytes, int64_t now_us,
		struct api_limit_state *state, struct api_error *error) {
	if (limiter_take_request(&buckets->requests, &users->requests, now_us, state, error)) {
		return -1;
	}
	return limiter_take_bytes(&buckets->bytes, &users->bytes, now_us, bytes, error);
}

int users_take(struct users *users, const char *user, size_t bytes, int64_t now_us, struct api_limit_state *state,
	       struct api_error *error) {
	uv_mutex_lock(&users->mutex);
	struct buckets *buckets = buckets_of(users, user);
	int result = buckets ? take(users, buckets, bytes, now_us, state, error)
			     : api_error_set(error, API_OVERLOADED, NULL, NULL);
	uv_mutex_unlock(&users->mutex);
	return result;
}

static bool is_full(const struct users *users, const struct buckets *buckets, int64_t now) {
	return gcra_peek(&buckets->requests, &users->requests, now).reset_us == 0 &&
	       gcra_peek(&buckets->bytes, &users->bytes, now).reset_us == 0;
}

static void drop(struct users *users, int64_t now_us, bool all) {
	size_t position = 0;
	struct str user;
	void *buckets;
	while (map_next(users->by_id, &position, &user, &buckets)) {
		if (all || is_full(users, buckets, now_us)) {
			map_remove(users->by_id, user);
			mem_free(buckets);
		}
	}
}

void users_sweep(struct users *users, int64_t now_us) {
	uv_mutex_lock(&users->mutex);
	if (now_us - users->swept_us >= SWEEP_US) {
		users->swept_us = now_us;
		drop(users, now_us, false);
	}
	uv_mutex_unlock(&users->mutex);
}

void users_free(struct users **users) {
	if (*users) {
		drop(*users, 0, true);
		map_free(&(*users)->by_id);
		uv_mutex_destroy(&(*users)->mutex);
		mem_free(*users);
		*users = NULL;
	}
}
