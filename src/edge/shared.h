/* What the edges of all loops share. */
#ifndef SLUICE_EDGE_SHARED_H
#define SLUICE_EDGE_SHARED_H

#include "edge/server.h"
#include "files.h"
#include "places.h"
#include "users.h"

struct edge_shared {
	struct places *places;
	struct users *users;
	struct files *files; /* read only */
};

#endif
