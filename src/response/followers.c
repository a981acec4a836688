#include "followers.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "errand.h"
#include "replay.h"

/* The followers of one conversation on this loop; there is one while it has any. */
struct conversation_watch {
	struct list followers;
	char conversation[ID_SIZE];
};

/* NULL when memory is out. */
static struct conversation_watch *watch_of(struct registry *registry, const char *conversation) {
	struct conversation_watch *watch = map_get(registry->watches, str_of(conversation));
	if (watch) {
		return watch;
	}
	watch = mem_zalloc(sizeof *watch);
	if (!watch) {
		return NULL;
	}
	list_init(&watch->followers);
	str_copy_cut(watch->conversation, sizeof watch->conversation, str_of(conversation));
	if (map_put(registry->watches, str_of(conversation), watch)) {
		goto free_watch;
	}
	if (directory_follow(registry->directory, conversation, registry->loop)) {
		goto forget_watch;
	}
	return watch;

forget_watch:
	map_remove(registry->watches, str_of(conversation));
free_watch:
	mem_free(watch);
	return NULL;
}

static void tell(struct registry *registry, const char *conversation, struct response *r) {
	const struct conversation_watch *watch = map_get(registry->watches, str_of(conversation));
	if (!watch) {
		return;
	}
	list_each(node, after, &watch->followers) {
		struct follower *follower = container_of(node, struct follower, link);
		follower->began(follower, r);
	}
}

/* On this loop itself, or its mirror. The caller releases it. NULL: memory is out, or it has just ended. */
static struct response *see(struct registry *registry, const struct place *place) {
	if (place->loop != registry->loop) {
		return replay_from(registry, place, registry->deps->log);
	}
	struct response *r = map_get(registry->live, str_of(place->id));
	if (r) {
		response_hold(r);
	}
	return r;
}

/* One has begun on another loop. */
static void hear(struct registry *registry, const struct errand *errand) {
	bool followed = map_get(registry->watches, str_of(errand->conversation));
	struct response *r = followed ? see(registry, &errand->place) : NULL;
	if (r) {
		tell(registry, errand->conversation, r);
		response_release(r);
	}
}

static void announce(const struct response *r, unsigned loop) {
	struct errand errand = {.directory = r->registry->directory,
				.to = loop,
				.place = {.loop = r->registry->loop, .stored = true},
				.run = hear};
	memcpy(errand.place.id, r->id, sizeof errand.place.id);
	memcpy(errand.place.owner, r->owner, sizeof errand.place.owner);
	memcpy(errand.conversation, r->conversation_id, sizeof errand.conversation);
	if (errand_send(&errand)) {
		log_warn(&r->log, "no memory to tell followers");
	}
}

void followers_enter(struct response *r) {
	struct registry *registry = r->registry;
	uint64_t loops = directory_show(&r->presence);
	for (unsigned loop = 0; loops; loop++, loops >>= 1) {
		if ((loops & 1) && loop != registry->loop) {
			announce(r, loop);
		}
	}
	tell(registry, r->conversation_id, r);
}

int followers_add(struct registry *registry, struct follower *follower, const char *conversation, follower_fn *began) {
	*follower = (struct follower){.watch = watch_of(registry, conversation), .began = began};
	if (!follower->watch) {
		return -1;
	}
	list_append(&follower->watch->followers, &follower->link);
	return 0;
}

void followers_remove(struct registry *registry, struct follower *follower) {
	struct conversation_watch *watch = follower->watch;
	if (!watch) {
		return;
	}
	follower->watch = NULL;
	list_remove(&follower->link);
	if (list_empty(&watch->followers)) {
		directory_unfollow(registry->directory, watch->conversation, registry->loop);
		map_remove(registry->watches, str_of(watch->conversation));
		mem_free(watch);
	}
}

void followers_each_live(struct registry *registry, const char *conversation,
			 void (*each)(void *arg, struct response *response), void *arg) {
	struct place *places;
	size_t count;
	if (directory_list(registry->directory, conversation, &places, &count)) {
		log_warn(registry->deps->log, "no memory to tell followers");
		return;
	}
	for (size_t i = 0; i < count; i++) {
		struct response *r = see(registry, &places[i]);
		if (r) {
			each(arg, r);
			response_release(r);
		}
	}
	mem_free(places);
}
