#include "response/directory.h"

#include <pthread.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "claims.h"
#include "presence.h"

/* There is one while something runs in it or somebody follows it. */
struct directory_conversation {
	struct list running; /* oldest first */
	uint64_t followers;  /* loops, as bits */
	char id[ID_SIZE];
};

/* There is one while something of this user runs. */
struct directory_owner {
	struct list unwatched; /* the one that lost its watcher first at the head */
	uint32_t unwatched_count;
	uint32_t running;
	uint32_t background;
	char id[ID_SIZE];
};

struct peer {
	struct registry *registry;
	struct mailbox *mailbox;
};

struct directory {
	struct claims *claims;
	pthread_mutex_t mutex;
	/* under the mutex */
	struct peer peers[DIRECTORY_LOOPS_MAX];
	unsigned loops;
	struct map *responses; /* struct presence, by id */
	struct map *conversations;
	struct map *owners;
	uint32_t running, owed;
};

struct directory *directory_new(struct err *err) {
	struct directory *directory = mem_zalloc(sizeof *directory);
	if (!directory) {
		err_set(err, ERR_MEMORY, "no memory for the directory of responses");
		return NULL;
	}
	pthread_mutex_init(&directory->mutex, NULL);
	directory->claims = claims_new();
	directory->responses = map_new();
	directory->conversations = map_new();
	directory->owners = map_new();
	if (!directory->claims || !directory->responses || !directory->conversations || !directory->owners) {
		err_set(err, ERR_MEMORY, "no memory for the directory of responses");
		directory_free(&directory);
	}
	return directory;
}

static void free_values(struct map *map) {
	size_t position = 0;
	void *value = NULL;
	while (map && map_next(map, &position, NULL, &value)) {
		mem_free(value);
	}
}

void directory_free(struct directory **directory) {
	struct directory *old = *directory;
	if (!old) {
		return;
	}
	*directory = NULL;
	free_values(old->conversations);
	free_values(old->owners);
	map_free(&old->responses);
	map_free(&old->conversations);
	map_free(&old->owners);
	claims_free(&old->claims);
	pthread_mutex_destroy(&old->mutex);
	mem_free(old);
}

static void copy_place(struct place *place, const struct presence *presence) {
	str_copy_cut(place->id, sizeof place->id, str_of(presence->id));
	str_copy_cut(place->owner, sizeof place->owner, str_of(presence->owner));
	place->loop = presence->loop;
	place->stored = presence->stored;
}

static void lock(struct directory *directory) {
	pthread_mutex_lock(&directory->mutex);
}

static void unlock(struct directory *directory) {
	pthread_mutex_unlock(&directory->mutex);
}

/* --- loops ---------------------------------------------------------------------------------------------------------- */

int directory_join(struct directory *directory, struct registry *registry, struct mailbox *mailbox, unsigned *loop,
		   struct err *err) {
	lock(directory);
	bool full = directory->loops == DIRECTORY_LOOPS_MAX;
	if (!full) {
		*loop = directory->loops++;
		directory->peers[*loop] = (struct peer){registry, mailbox};
	}
	unlock(directory);
	return full ? err_set(err, ERR_LIMIT, "more than %d loops", DIRECTORY_LOOPS_MAX) : 0;
}

static struct peer peer_of(struct directory *directory, unsigned loop) {
	lock(directory);
	struct peer peer = directory->peers[loop];
	unlock(directory);
	return peer;
}

struct registry *directory_registry(struct directory *directory, unsigned loop) {
	return peer_of(directory, loop).registry;
}

void directory_post(struct directory *directory, unsigned loop, struct letter *letter) {
	mailbox_post(peer_of(directory, loop).mailbox, letter);
}

struct claims *directory_claims(struct directory *directory) {
	return directory->claims;
}

/* --- owners --------------------------------------------------------------------------------------------------------- */

/* NULL when memory is out. */
static struct directory_owner *owner_of(struct directory *directory, const char *id) {
	struct directory_owner *owner = map_get(directory->owners, str_of(id));
	if (owner) {
		return owner;
	}
	owner = mem_zalloc(sizeof *owner);
	if (!owner || map_put(directory->owners, str_of(id), owner)) {
		mem_free(owner);
		return NULL;
	}
	list_init(&owner->unwatched);
	str_copy_cut(owner->id, sizeof owner->id, str_of(id));
	return owner;
}

static void watched(struct presence *presence) {
	if (presence->unwatched) {
		presence->unwatched = false;
		presence->of->unwatched_count--;
		list_remove(&presence->unwatched_link);
	}
}

static void leave_owner(struct directory *directory, struct presence *presence) {
	struct directory_owner *owner = presence->of;
	presence->of = NULL;
	owner->background -= presence->background;
	if (--owner->running == 0) {
		map_remove(directory->owners, str_of(owner->id));
		mem_free(owner);
	}
}

bool directory_unwatched(struct presence *presence, uint32_t max, struct place *oldest) {
	struct directory *directory = presence->directory;
	bool over = false;
	lock(directory);
	struct directory_owner *owner = presence->of;
	if (owner && !presence->unwatched) {
		presence->unwatched = true;
		owner->unwatched_count++;
		list_append(&owner->unwatched, &presence->unwatched_link);
		over = owner->unwatched_count > max;
	}
	if (over) {
		struct presence *first = container_of(owner->unwatched.next, struct presence, unwatched_link);
		copy_place(oldest, first);
		watched(first);
	}
	unlock(directory);
	return over;
}

void directory_watched(struct presence *presence) {
	struct directory *directory = presence->directory;
	if (directory) {
		lock(directory);
		watched(presence);
		unlock(directory);
	}
}

/* --- conversations -------------------------------------------------------------------------------------------------- */

/* NULL when memory is out. */
static struct directory_conversation *conversation_of(struct directory *directory, const char *id) {
	struct directory_conversation *conversation = map_get(directory->conversations, str_of(id));
	if (conversation) {
		return conversation;
	}
	conversation = mem_zalloc(sizeof *conversation);
	if (!conversation || map_put(directory->conversations, str_of(id), conversation)) {
		mem_free(conversation);
		return NULL;
	}
	list_init(&conversation->running);
	str_copy_cut(conversation->id, sizeof conversation->id, str_of(id));
	return conversation;
}

static void drop_if_unused(struct directory *directory, struct directory_conversation *conversation) {
	if (list_empty(&conversation->running) && !conversation->followers) {
		map_remove(directory->conversations, str_of(conversation->id));
		mem_free(conversation);
	}
}

static void leave_conversation(struct directory *directory, struct presence *presence) {
	struct directory_conversation *conversation = presence->conversation;
	if (conversation) {
		presence->conversation = NULL;
		list_remove(&presence->conversation_link);
		drop_if_unused(directory, conversation);
	}
}

enum occupied directory_occupy(struct presence *presence, const char *conversation, bool alone) {
	struct directory *directory = presence->directory;
	enum occupied result = OCCUPIED;
	lock(directory);
	if (!presence->conversation) {
		struct directory_conversation *found = conversation_of(directory, conversation);
		if (!found) {
			result = OCCUPIED_NO_MEMORY;
		} else if (alone && !list_empty(&found->running)) {
			result = OCCUPIED_BY_OTHERS;
		} else {
			presence->conversation = found;
			list_append(&found->running, &presence->conversation_link);
		}
	}
	unlock(directory);
	return result;
}

bool directory_is_occupied(struct directory *directory, const char *conversation) {
	lock(directory);
	const struct directory_conversation *found = map_get(directory->conversations, str_of(conversation));
	bool occupied = found && !list_empty(&found->running);
	unlock(directory);
	return occupied;
}

uint64_t directory_show(struct presence *presence) {
	struct directory *directory = presence->directory;
	lock(directory);
	presence->shown = true;
	uint64_t followers = presence->conversation ? presence->conversation->followers : 0;
	unlock(directory);
	return followers;
}

static struct presence *presence_of(struct list *node) {
	return container_of(node, struct presence, conversation_link);
}

static int copy_places(struct directory_conversation *conversation, struct place **places, size_t *count) {
	size_t room = 0;
	list_each(node, after, &conversation->running) {
		room += presence_of(node)->shown;
	}
	if (room == 0) {
		return 0;
	}
	*places = mem_zarray(room, sizeof **places);
	if (!*places) {
		return -1;
	}
	list_each(node, after, &conversation->running) {
		const struct presence *presence = presence_of(node);
		if (presence->shown) {
			copy_place(&(*places)[(*count)++], presence);
		}
	}
	return 0;
}

int directory_list(struct directory *directory, const char *conversation, struct place **places, size_t *count) {
	*places = NULL;
	*count = 0;
	lock(directory);
	struct directory_conversation *found = map_get(directory->conversations, str_of(conversation));
	int result = found ? copy_places(found, places, count) : 0;
	unlock(directory);
	return result;
}

int directory_follow(struct directory *directory, const char *conversation, unsigned loop) {
	lock(directory);
	struct directory_conversation *found = conversation_of(directory, conversation);
	if (found) {
		found->followers |= UINT64_C(1) << loop;
	}
	unlock(directory);
	return found ? 0 : -1;
}

void directory_unfollow(struct directory *directory, const char *conversation, unsigned loop) {
	lock(directory);
	struct directory_conversation *found = map_get(directory->conversations, str_of(conversation));
	if (found) {
		found->followers &= ~(UINT64_C(1) << loop);
		drop_if_unused(directory, found);
	}
	unlock(directory);
}

/* --- responses ------------------------------------------------------------------------------------------------------ */

void directory_load(struct directory *directory, const char *owner, struct directory_load *load) {
	lock(directory);
	const struct directory_owner *known = map_get(directory->owners, str_of(owner));
	*load = (struct directory_load){
		.running = directory->running,
		.owed = directory->owed,
		.background = known ? known->background : 0,
	};
	unlock(directory);
}

static int enter(struct directory *directory, struct presence *presence, bool stored) {
	struct directory_owner *owner = owner_of(directory, presence->owner);
	if (!owner) {
		return -1;
	}
	owner->running++;
	owner->background += presence->background;
	presence->of = owner;
	if (map_put(directory->responses, str_of(presence->id), presence)) {
		leave_owner(directory, presence);
		return -1;
	}
	presence->directory = directory;
	presence->stored = stored;
	presence->running = true;
	directory->running++;
	return 0;
}

int directory_enter(struct directory *directory, struct presence *presence, unsigned loop, bool stored) {
	lock(directory);
	presence->loop = loop;
	int result = enter(directory, presence, stored);
	unlock(directory);
	return result;
}

static void unlist(struct directory *directory, struct presence *presence) {
	map_remove(directory->responses, str_of(presence->id));
	presence->directory = NULL;
}

void directory_owe(struct directory *directory, struct presence *presence) {
	lock(directory);
	presence->owed = true;
	directory->owed++;
	unlock(directory);
}

void directory_leave(struct presence *presence, bool stays) {
	struct directory *directory = presence->directory;
	if (!directory) {
		return;
	}
	lock(directory);
	if (presence->running) {
		presence->running = false;
		directory->running--;
		watched(presence);
		leave_conversation(directory, presence);
		leave_owner(directory, presence);
	}
	if (!stays) {
		unlist(directory, presence);
	}
	unlock(directory);
}

void directory_settle(struct directory *directory, struct presence *presence) {
	lock(directory);
	if (presence->owed) {
		presence->owed = false;
		directory->owed--;
	}
	if (presence->directory && !presence->running) {
		unlist(directory, presence);
	}
	unlock(directory);
}

bool directory_find(struct directory *directory, const char *owner, struct str id, struct place *place, bool *running) {
	lock(directory);
	const struct presence *found = map_get(directory->responses, id);
	bool is_own = found && strcmp(found->owner, owner) == 0;
	if (is_own) {
		copy_place(place, found);
		*running = found->running;
	}
	unlock(directory);
	return is_own;
}
