#include "dial.h"

#include <stdbool.h>

#include "base/mem.h"

#define NEXT_MS 250

struct dial {
	struct dial_deps deps;
	dial_fn *done;
	void *owner;
	struct names_wait wait;
	struct deadline pause; /* to the next address */
	struct addresses addresses;
	size_t next;                     /* to be tried */
	size_t pending;                  /* of `tries` */
	struct sock *tries[ADDRESS_MAX]; /* of each address; NULL: it failed, or was not tried */
	int failure;                     /* the last one, an error code of libuv's */
};

void dial_cancel(struct dial **dial) {
	struct dial *old = *dial;
	if (!old) {
		return;
	}
	*dial = NULL;
	names_forget(&old->wait);
	deadline_clear(&old->pause);
	for (size_t i = 0; i < old->next; i++) {
		sock_free(&old->tries[i]);
	}
	mem_free(old);
}

static void finish(struct dial *dial, struct sock *sock, enum transfer_result result, const char *reason) {
	dial_fn *done = dial->done;
	void *owner = dial->owner;
	dial_cancel(&dial);
	done(owner, sock, result, reason);
}

/* No address is left. That memory or descriptors were out says nothing of the server. */
static void give_up(struct dial *dial) {
	bool starved = dial->failure == UV_ENOMEM || dial->failure == UV_ENOBUFS || dial->failure == UV_EMFILE ||
		       dial->failure == UV_ENFILE;
	finish(dial, NULL, starved ? TRANSFER_MEMORY : TRANSFER_UNCONNECTED, uv_strerror(dial->failure));
}

static void on_ready(struct sock *sock, int events);

/* Tries addresses until one does not fail at once. When none is left and none is pending, the pause is over at once, which
 * is where the end is told from. */
static void try_next(struct dial *dial) {
	bool started = false;
	while (dial->next < dial->addresses.count && !started) {
		size_t at = dial->next++;
		struct sock *sock = sock_connect(dial->deps.loop, &dial->addresses.list[at], &dial->failure);
		if (sock) {
			sock->owner = dial;
			sock->ready = on_ready;
			dial->tries[at] = sock;
			dial->pending++;
			started = true;
		}
	}
	int64_t now_ms = deadlines_now_ms(dial->deps.deadlines);
	if (dial->pending == 0) {
		deadline_set(dial->deps.deadlines, &dial->pause, dial->deps.queue, now_ms);
	} else if (dial->next < dial->addresses.count) {
		deadline_set(dial->deps.deadlines, &dial->pause, dial->deps.queue, now_ms + NEXT_MS);
	}
}

static void on_ready(struct sock *sock, int events) {
	(void)events;
	struct dial *dial = sock->owner;
	size_t at = 0;
	while (dial->tries[at] != sock) {
		at++;
	}
	int failure = sock_failure(sock);
	if (!failure) {
		dial->tries[at] = NULL;
		finish(dial, sock, TRANSFER_OK, "");
		return;
	}
	dial->failure = failure;
	dial->pending--;
	sock_free(&dial->tries[at]);
	if (dial->next < dial->addresses.count) {
		try_next(dial);
	} else if (dial->pending == 0) {
		give_up(dial);
	}
}

static void on_pause_over(struct deadline *pause) {
	struct dial *dial = container_of(pause, struct dial, pause);
	if (dial->next < dial->addresses.count) {
		try_next(dial);
	} else if (dial->pending == 0) {
		give_up(dial);
	}
}

static void on_known(struct names_wait *wait, const struct addresses *addresses) {
	struct dial *dial = container_of(wait, struct dial, wait);
	if (addresses) {
		dial->addresses = *addresses;
		try_next(dial);
	} else {
		finish(dial, NULL, TRANSFER_UNKNOWN_HOST, "unknown host");
	}
}

struct dial *dial_start(const struct dial_deps *deps, dial_fn *done, void *owner, struct err *err) {
	struct dial *dial = mem_zalloc(sizeof *dial);
	if (!dial) {
		err_set(err, ERR_MEMORY, "no memory for a connection");
		return NULL;
	}
	dial->deps = *deps;
	dial->done = done;
	dial->owner = owner;
	dial->wait.known = on_known;
	dial->pause.passed = on_pause_over;
	const struct addresses *known;
	if (names_ask(deps->names, &dial->wait, &known, err)) {
		mem_free(dial);
		return NULL;
	}
	if (known) {
		dial->addresses = *known;
		try_next(dial);
	}
	return dial;
}
