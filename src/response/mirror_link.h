/* What joins a mirror and the response's home. Private to the response layer. */
#ifndef SLUICE_RESPONSE_MIRROR_LINK_H
#define SLUICE_RESPONSE_MIRROR_LINK_H

#include <stdatomic.h>

#include "increment.h"

/* What letters ask of the home; called there. */
struct mirror_home {
	void (*open)(struct letter *letter);  /* somebody wants it */
	void (*taken)(struct letter *letter); /* the increment was taken */
	void (*leave)(struct letter *letter); /* nobody wants it any more; `leaving` */
};

enum mirror_kind {
	MIRROR_SHARED, /* all readers of one loop share it */
	MIRROR_ALONE,  /* begun for one who may know more than the shared one */
	MIRROR_GLANCE, /* one increment, and it is over */
};

/* Four may hold it: the mirror's side, the home's side, and each of its letters while that is under way. */
struct mirror_link {
	atomic_uint references;
	struct directory *directory;
	struct place home;
	unsigned away; /* the mirror's loop */
	enum mirror_kind kind;
	/* On the mirror's loop: an increment has come. */
	void (*take)(struct letter *letter);

	/* the mirror's side */
	struct response *mirror; /* NULL: nobody watches there any more */
	void (*gone)(struct response *response, const char *joined);
	struct letter leaving; /* sent once at most */

	/* the home's side */
	struct list link; /* of its registry */
	struct cursor cursor;
	bool busy; /* the letter is under way */

	/* whoever has the letter */
	struct letter letter;
	struct increment increment;
};

void mirror_link_hold(struct mirror_link *link);
void mirror_link_release(struct mirror_link *link);
/* Sends the letter to the mirror's side, with a reference. If that loop has gone, the reference does. */
void mirror_link_carry(struct mirror_link *link);
/* Sends it home. If that loop has gone, so has what ran there: the letter comes back and says so. */
void mirror_link_ask(struct mirror_link *link, void (*deliver)(struct letter *letter));
/* Sends the other one home, which needs no answer and no memory. */
void mirror_link_leave(struct mirror_link *link, void (*deliver)(struct letter *letter));

#endif
