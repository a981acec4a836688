/* The directory, as engines use it: where each response lives, what runs in a conversation, and what its owner has running.
 * Private to the response layer. Any thread. */
#ifndef SLUICE_RESPONSE_PRESENCE_H
#define SLUICE_RESPONSE_PRESENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/list.h"
#include "loop/mailbox.h"
#include "response/directory.h"

struct registry;
struct claims;
struct directory_conversation;
struct directory_owner;

/* A response, as the others see it. Embedded in it; zeroed is in no directory. The first three are set by its home before it
 * enters and stay. `directory` is its home's, who alone looks at it; the rest is the directory's, under its mutex. */
struct presence {
	const char *id;
	const char *owner;
	bool background;
	struct directory *directory; /* NULL: not in it */
	unsigned loop;
	bool stored;
	bool running;
	bool owed;  /* its end, to the store */
	bool shown; /* that it began is durable */
	bool unwatched;
	struct directory_conversation *conversation;
	struct list conversation_link;
	struct directory_owner *of;
	struct list unwatched_link;
};

/* Where a response is. */
struct place {
	char id[ID_SIZE];
	char owner[ID_SIZE];
	unsigned loop;
	bool stored; /* else only who began it may read it */
};

/* --- loops ---------------------------------------------------------------------------------------------------------- */

/* Gives the engine its number, from 0 on, for ever. -1: there are too many. */
int directory_join(struct directory *directory, struct registry *registry, struct mailbox *mailbox, unsigned *loop,
		   struct err *err);
/* Of the engine on that loop; to be touched on that loop alone. */
struct registry *directory_registry(struct directory *directory, unsigned loop);
void directory_post(struct directory *directory, unsigned loop, struct letter *letter);
/* The idempotency keys that are in use. */
struct claims *directory_claims(struct directory *directory);

/* --- responses ------------------------------------------------------------------------------------------------------ */

/* How many run, and how many have ended and are still to be stored. */
struct directory_load {
	uint32_t running, owed;
	uint32_t background; /* of this owner, of those that run */
};
void directory_load(struct directory *directory, const char *owner, struct directory_load *load);

/* It runs, on this loop. -1 when memory is out. */
int directory_enter(struct directory *directory, struct presence *presence, unsigned loop, bool stored);
/* It is kept until its end is stored. */
void directory_owe(struct directory *directory, struct presence *presence);
/* It runs no more. `stays`: it is found all the same, until directory_settle. One that is in no directory is left alone. */
void directory_leave(struct presence *presence, bool stays);
/* What was owed is stored, or given up. One that owes nothing is left alone. */
void directory_settle(struct directory *directory, struct presence *presence);

/* Where a response of this owner is. False: on no loop. */
bool directory_find(struct directory *directory, const char *owner, struct str id, struct place *place, bool *running);

/* --- conversations -------------------------------------------------------------------------------------------------- */

enum occupied { OCCUPIED, OCCUPIED_BY_OTHERS, OCCUPIED_NO_MEMORY };
/* It runs in this conversation. `alone`: unless another does. One that occupies it already does so once. */
enum occupied directory_occupy(struct presence *presence, const char *conversation, bool alone);
/* Whether anything runs in it. */
bool directory_is_occupied(struct directory *directory, const char *conversation);
/* Its beginning is durable: the loops, as bits, that have followers of its conversation. */
uint64_t directory_show(struct presence *presence);
/* The shown ones that run in it, oldest first. The list is the caller's to free. -1 when memory is out. */
int directory_list(struct directory *directory, const char *conversation, struct place **places, size_t *count);
/* This loop has a follower of it. -1 when memory is out. */
int directory_follow(struct directory *directory, const char *conversation, unsigned loop);
/* It has none any more. */
void directory_unfollow(struct directory *directory, const char *conversation, unsigned loop);

/* --- those that nobody watches -------------------------------------------------------------------------------------- */

/* Nobody watches it. True: its owner has more such than `max`; the oldest is in `oldest`, to be stopped, and counts no more. */
bool directory_unwatched(struct presence *presence, uint32_t max, struct place *oldest);
/* Somebody does, or it does not matter any more. */
void directory_watched(struct presence *presence);

#endif
