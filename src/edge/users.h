/* The limits of each user over HTTP, where connections come and go: requests, and bytes of bodies. Shared by the edges of
 * all loops and safe from every thread. */
#ifndef SLUICE_EDGE_USERS_H
#define SLUICE_EDGE_USERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "limit/gcra.h"
#include "proto/error.h"

struct users;

struct users *users_new(const struct gcra_rate *requests, const struct gcra_rate *bytes, struct err *err);
void users_free(struct users **users);

/* Takes one request with so many bytes. `state` tells what is left either way. -1 with RATE_LIMITED, MESSAGE_TOO_LARGE, or
 * OVERLOADED when memory is out. */
int users_take(struct users *users, const char *user, size_t bytes, int64_t now_us, struct api_limit_state *state,
	       struct api_error *error);
/* Once a minute: drops the buckets that are full again. */
void users_sweep(struct users *users, int64_t now_us);

#endif
