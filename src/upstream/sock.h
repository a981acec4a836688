/* A TCP connection in the loop. Loop thread only. */
#ifndef SLUICE_UPSTREAM_SOCK_H
#define SLUICE_UPSTREAM_SOCK_H

#include <stddef.h>
#include <uv.h>

#include "address.h"

struct sock;
/* Something that is waited for has come, or the connection has failed, which the next call on it tells: `events` is then
 * both. Runs from the loop. */
typedef void sock_fn(struct sock *sock, int events);

/* `ready` and `owner` may be changed at any time by whoever has it. */
struct sock {
	uv_poll_t poll;
	int fd;
	int events; /* waited for: UV_READABLE, UV_WRITABLE */
	sock_fn *ready;
	void *owner;
};

/* Begins to connect; waits for UV_WRITABLE, and then sock_failure tells how it went. NULL when not even that, and *failure
 * is the reason, an error code of libuv's. */
struct sock *sock_connect(uv_loop_t *loop, const struct address *address, int *failure);
/* Closes the connection before it returns; `ready` runs no more. The memory goes when the loop has closed the handle. */
void sock_free(struct sock **sock);

/* Costs a system call at the loop's next turn, but only when it changes something. */
void sock_watch(struct sock *sock, int events);
/* Why it failed, an error code of libuv's; 0: it did not. */
int sock_failure(const struct sock *sock);

#endif
