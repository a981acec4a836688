/* The limits of each user over HTTP, where connections come and go: requests, and bytes of bodies. */
#ifndef SLUICE_EDGE_USERS_H
#define SLUICE_EDGE_USERS_H

#include "edge.h"

struct user_buckets {
	struct gcra requests;
	struct gcra bytes;
};

/* The user's buckets; NULL when memory is out. Valid until the next sweep. */
struct user_buckets *users_buckets(struct edge *edge, const char *user);
/* Once a minute: drops the buckets that are full again. */
void users_sweep(struct edge *edge);
void users_free(struct edge *edge);

#endif
