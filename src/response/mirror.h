/* A response that lives on another loop, as a response of this one: cursors, views and followers need not know.
 *
 *   this loop: mirror             home: a cursor on the response
 *      open ------------------------>
 *      <------------- increment -----    what came since the last one; one under way at a time,
 *      ------ it was taken --------->    so that a loop that lags gets more at once
 *      leave ----------------------->
 *
 * The letter that carries increments goes to and fro; nothing is allocated for each but what it carries. Private to the
 * response layer. */
#ifndef SLUICE_RESPONSE_MIRROR_H
#define SLUICE_RESPONSE_MIRROR_H

#include "mirror_link.h"
#include "response.h"

/* Its home has lost it before anything of it was sent: it has ended, and the store has it; or, if `joined`, its idempotency
 * key stands for that earlier response. */
typedef void mirror_gone_fn(struct response *response, const char *joined);

/* The shared mirror of this response that is there already, or NULL. Borrowed. */
struct response *mirror_find(const struct registry *registry, struct str id);
/* Begins to fill `response`, which is being read. -1 when memory is out. When memory is out later, or its home goes, it is
 * refused, in the middle of its events if need be. */
int mirror_open(struct response *response, const struct place *home, enum mirror_kind kind, mirror_gone_fn *gone);
/* Where what it shows lives. */
const struct place *mirror_home(const struct response *mirror);

#endif
