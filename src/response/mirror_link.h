/* What joins a mirror and the response's home. Private to the response layer. */
#ifndef SLUICE_RESPONSE_MIRROR_LINK_H
#define SLUICE_RESPONSE_MIRROR_LINK_H

#include <stdatomic.h>

#include "increment.h"

struct mirror_link;

/* What letters ask of the home; called there. */
struct mirror_home {
	void (*open)(struct letter *letter);     /* somebody wants it */
	void (*taken)(struct letter *letter);    /* the increment was taken */
	void (*leave)(struct mirror_link *link); /* nobody wants it any more */
};

/* Three may hold it: the mirror's side, the home's side, and the letter while it is under way. */
struct mirror_link {
	atomic_uint references;
	struct directory *directory;
	struct place home;
	unsigned away; /* the mirror's loop */
	bool glances;  /* one increment, and it is over */
	/* On the mirror's loop: an increment has come. */
	void (*take)(struct letter *letter);

	/* the mirror's side */
	struct response *mirror; /* NULL: nobody watches there any more */
	void (*gone)(struct response *response);

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
/* Sends the letter, which takes a reference with it. If that loop has gone, the reference does. */
void mirror_link_post(struct mirror_link *link, unsigned loop, void (*deliver)(struct letter *letter));
/* The first one, to the home. If that has gone, so has what ran there: the mirror's side hears so. */
void mirror_link_ask(struct mirror_link *link, void (*deliver)(struct letter *letter));

#endif
