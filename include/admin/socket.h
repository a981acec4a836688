/* The admin socket: DIR/admin.sock, mode 0600, one line of JSON in, one out. Only root and the server's own user get an
 * answer (SO_PEERCRED). Loop thread. */
#ifndef SLUICE_ADMIN_SOCKET_H
#define SLUICE_ADMIN_SOCKET_H

#include <uv.h>

#include "admin/command.h"
#include "base/err.h"
#include "base/log.h"

struct admin_socket;

/* Listens; a stale socket file is replaced (the store's lock proves that no other server lives). */
struct admin_socket *admin_socket_open(uv_loop_t *loop, const char *path, struct admin *admin, const struct log *log,
				       struct err *err);
/* Closes every connection and removes the file; its memory goes when the loop has run its close callbacks. Comes before
 * admin_free. The process must ignore SIGPIPE. */
void admin_socket_close(struct admin_socket **socket);

/* The client's side, blocking: one command, one reply. ERR_NOT_FOUND when no server listens there. */
int admin_socket_call(const char *path, struct str command, struct buf *reply, struct err *err);

#endif
