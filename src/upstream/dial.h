/* Connects to the first of a host's addresses that answers: the next one is tried when one has failed, or has not answered
 * within 250 ms, while the earlier ones go on (RFC 8305, simplified). Loop thread only. */
#ifndef SLUICE_UPSTREAM_DIAL_H
#define SLUICE_UPSTREAM_DIAL_H

#include <uv.h>

#include "base/err.h"
#include "deadline.h"
#include "names.h"
#include "sock.h"
#include "transfer.h"

struct dial;

/* All borrowed. */
struct dial_deps {
	uv_loop_t *loop;
	struct names *names;
	struct deadlines *deadlines;
	unsigned queue; /* of `deadlines`, for the pauses between the tries */
};

/* The last callback, from the loop: the connection, which waits for UV_WRITABLE and is the owner's from then on; or NULL
 * and why there is none. The dial is gone then. */
typedef void dial_fn(void *owner, struct sock *sock, enum transfer_result result, const char *reason);

/* NULL with ERR_MEMORY. */
struct dial *dial_start(const struct dial_deps *deps, dial_fn *done, void *owner, struct err *err);
/* `done` does not run any more. Sets *dial to NULL; NULL is fine. */
void dial_cancel(struct dial **dial);

#endif
