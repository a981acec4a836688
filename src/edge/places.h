/* The places of clients' connections: how many there may be, of everybody together and from one address, and on which loop
 * each belongs: the one with the fewest. Shared by the edges of all loops and safe from every thread; asked when a
 * connection comes and goes, never for a token. */
#ifndef SLUICE_EDGE_PLACES_H
#define SLUICE_EDGE_PLACES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct edge;
struct mailbox;
struct places;
struct address_share;

/* A loop that takes connections. */
struct seat {
	struct edge *edge;
	struct mailbox *mailbox; /* the way to it from another loop */
	uint32_t count;          /* the places' */
	bool open;               /* the places' */
};

/* One connection's place; zeroed: none. */
struct place {
	struct seat *seat;
	struct address_share *share; /* NULL: its address could not be told */
};

/* At most `most` at a time, `most_per_address` of them from one address (0: no bound), on at most `loops` loops. */
struct places *places_new(uint32_t most, uint32_t most_per_address, unsigned loops, struct err *err);
/* When every place was given back. */
void places_free(struct places **places);

/* From here on this loop is given connections. The seat is the places', and valid as long as they are; NULL when there are
 * as many as were announced. */
struct seat *places_open(struct places *places, struct edge *edge, struct mailbox *mailbox);
/* The loop is given no more. NULL is fine. */
void places_close(struct places *places, struct seat *seat);

enum places_answer {
	PLACES_TAKEN,
	PLACES_FULL,    /* none is left */
	PLACES_CROWDED, /* none is left for this address */
};

/* A place for whoever was accepted on this descriptor, on the loop that has the fewest; of those that have as few, on the
 * next in turn. A place that was taken is to be given back when the connection is gone. */
enum places_answer places_take(struct places *places, int descriptor, struct place *place);
/* Empties `place`; an empty one is left alone. */
void places_give_back(struct places *places, struct place *place);

#endif
