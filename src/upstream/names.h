/* The addresses of one host, asked for when needed and known for a minute. Loop thread only.
 *
 * The resolver may take as long as it likes, on a thread of its own; nothing here waits for it, not even names_free. */
#ifndef SLUICE_UPSTREAM_NAMES_H
#define SLUICE_UPSTREAM_NAMES_H

#include <uv.h>

#include "address.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"

struct names;

/* Embedded by its owner, zeroed at first, who sets `known`. */
struct names_wait {
	struct list link;
	/* Runs from the loop. NULL: the host is unknown. `addresses` is borrowed during the call. */
	void (*known)(struct names_wait *wait, const struct addresses *addresses);
};

struct names *names_new(uv_loop_t *loop, const struct clock *clock, const char *host, uint16_t port, struct err *err);
/* Nobody waits any more. The memory goes when the loop has closed the handle. */
void names_free(struct names **names);

/* The addresses, when they are known now, borrowed until the loop runs on; else *addresses is NULL, and `wait` will hear of
 * them. -1 with ERR_MEMORY. */
int names_ask(struct names *names, struct names_wait *wait, const struct addresses **addresses, struct err *err);
void names_forget(struct names_wait *wait);

#endif
