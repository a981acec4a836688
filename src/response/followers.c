#include "followers.h"

#include "base/mem.h"
#include "base/str.h"

/* Of one conversation; there is one while it has a follower or a live response. */
struct conversation_watch {
	struct list followers;
	struct list live;
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
	list_init(&watch->live);
	str_copy_cut(watch->conversation, sizeof watch->conversation, str_of(conversation));
	if (map_put(registry->watches, str_of(conversation), watch)) {
		mem_free(watch);
		return NULL;
	}
	return watch;
}

static void drop_if_unused(struct registry *registry, struct conversation_watch *watch) {
	if (list_empty(&watch->followers) && list_empty(&watch->live)) {
		map_remove(registry->watches, str_of(watch->conversation));
		mem_free(watch);
	}
}

void followers_enter(struct response *r) {
	r->watch = watch_of(r->registry, r->conversation_id);
	if (!r->watch) {
		log_warn(&r->log, "no memory to tell followers");
		return;
	}
	list_append(&r->watch->live, &r->watch_link);
	list_each(node, after, &r->watch->followers) {
		struct follower *follower = container_of(node, struct follower, link);
		follower->began(follower, r);
	}
}

void followers_leave(struct response *r) {
	struct conversation_watch *watch = r->watch;
	if (watch) {
		r->watch = NULL;
		list_remove(&r->watch_link);
		drop_if_unused(r->registry, watch);
	}
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
	if (watch) {
		follower->watch = NULL;
		list_remove(&follower->link);
		drop_if_unused(registry, watch);
	}
}

void followers_each_live(struct registry *registry, const char *conversation,
			 void (*each)(void *arg, struct response *response), void *arg) {
	const struct conversation_watch *watch = map_get(registry->watches, str_of(conversation));
	if (!watch) {
		return;
	}
	list_each(node, after, &watch->live) {
		each(arg, container_of(node, struct response, watch_link));
	}
}
