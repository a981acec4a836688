/* Stored responses that run without anybody watching: how long, and how many of one user. Private to the response layer. */
#ifndef SLUICE_RESPONSE_UNWATCHED_H
#define SLUICE_RESPONSE_UNWATCHED_H

#include "response.h"

/* The last cursor on a running one was closed. May stop it, or another one of its user, on whichever loop that is. */
void unwatched_add(struct response *response);
/* Stops those whose time is up. */
void unwatched_sweep(struct registry *registry);

#endif
