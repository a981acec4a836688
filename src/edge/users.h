/* The request limit of each user over HTTP, where connections come and go. */
#ifndef SLUICE_EDGE_USERS_H
#define SLUICE_EDGE_USERS_H

#include "edge.h"

/* The user's bucket; NULL when memory is out. Valid until the next sweep. */
struct gcra *users_bucket(struct edge *edge, const char *user);
/* Once a minute: drops the buckets that are full again. */
void users_sweep(struct edge *edge);
void users_free(struct edge *edge);

#endif
