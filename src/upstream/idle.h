/* Connections without a request, kept for the next one. Loop thread only.
 *
 * Each is watched: when its server closes it, or says anything, it goes at once. */
#ifndef SLUICE_UPSTREAM_IDLE_H
#define SLUICE_UPSTREAM_IDLE_H

#include "deadline.h"
#include "sock.h"

struct idle;

/* `deadlines` is borrowed; `queue` is the place in it for how long each is kept. NULL when memory is out. */
struct idle *idle_new(struct deadlines *deadlines, unsigned queue);
void idle_free(struct idle **idle); /* closes all */

/* Takes it over, from within its callback too. */
void idle_put(struct idle *idle, struct sock *sock);
/* The one that was put last and on which nothing has come since; NULL: there is none. It waits for UV_READABLE. */
struct sock *idle_take(struct idle *idle);

#endif
