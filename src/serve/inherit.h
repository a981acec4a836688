/* Sockets that the service manager hands down: the protocol of sd_listen_fds(3), without its library. */
#ifndef SLUICE_SERVE_INHERIT_H
#define SLUICE_SERVE_INHERIT_H

#include <stddef.h>

#include "base/err.h"

#define INHERIT_MAX 16

/* Reads LISTEN_PID and LISTEN_FDS and removes them, so that they are meant for nobody else. `*count` is 0 when nothing was
 * handed to this process; else every one is a listening TCP socket, or the call fails. To be called once, before this
 * process opens descriptors of its own and before there is a second thread. */
int inherit_sockets(int sockets[static INHERIT_MAX], size_t *count, struct err *err);

#endif
