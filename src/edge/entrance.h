/* Where connections come in: one edge listens for all loops and hands each connection to the loop with the fewest, its own
 * included. */
#ifndef SLUICE_EDGE_ENTRANCE_H
#define SLUICE_EDGE_ENTRANCE_H

#include "edge.h"

/* Makes edge->listener, which listens when this returns. */
int entrance_open(struct edge *edge, const struct edge_door *door, struct err *err);

#endif
