#include "idle.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/mem.h"

#define KEPT 32
#define KEPT_MS 60000

struct idle {
	struct deadlines *deadlines;
	unsigned queue;
	unsigned count;
	struct list entries; /* in the order in which they were put */
};

struct entry {
	struct list link;
	struct deadline deadline;
	struct idle *idle;
	struct sock *sock;
};

static struct sock *entry_free(struct entry *entry) {
	struct sock *sock = entry->sock;
	list_remove(&entry->link);
	deadline_clear(&entry->deadline);
	entry->idle->count--;
	mem_free(entry);
	return sock;
}

static void entry_close(struct entry *entry) {
	struct sock *sock = entry_free(entry);
	sock_free(&sock);
}

static void on_ready(struct sock *sock, int events) {
	(void)events;
	entry_close(sock->owner);
}

static void on_deadline(struct deadline *deadline) {
	entry_close(container_of(deadline, struct entry, deadline));
}

struct idle *idle_new(struct deadlines *deadlines, unsigned queue) {
	struct idle *idle = mem_zalloc(sizeof *idle);
	if (idle) {
		idle->deadlines = deadlines;
		idle->queue = queue;
		list_init(&idle->entries);
	}
	return idle;
}

void idle_free(struct idle **idle) {
	if (!*idle) {
		return;
	}
	list_each(node, after, &(*idle)->entries) {
		entry_close(container_of(node, struct entry, link));
	}
	mem_free(*idle);
	*idle = NULL;
}

void idle_put(struct idle *idle, struct sock *sock) {
	struct entry *entry = mem_zalloc(sizeof *entry);
	if (!entry) {
		sock_free(&sock);
		return;
	}
	if (idle->count == KEPT) {
		entry_close(container_of(idle->entries.next, struct entry, link));
	}
	entry->idle = idle;
	entry->sock = sock;
	entry->deadline.passed = on_deadline;
	sock->owner = entry;
	sock->ready = on_ready;
	sock_watch(sock, UV_READABLE);
	list_append(&idle->entries, &entry->link);
	idle->count++;
	deadline_set(idle->deadlines, &entry->deadline, idle->queue, deadlines_now_ms(idle->deadlines) + KEPT_MS);
}

/* Bytes, or its end, that the loop has yet to tell of. Either way it is no place for a request: the bytes would be taken for
 * the answer. */
static bool is_spoilt(const struct sock *sock) {
	char byte;
	return recv(sock->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || (errno != EAGAIN && errno != EINTR);
}

struct sock *idle_take(struct idle *idle) {
	while (!list_empty(&idle->entries)) {
		struct sock *sock = entry_free(container_of(idle->entries.prev, struct entry, link));
		if (!is_spoilt(sock)) {
			return sock;
		}
		sock_free(&sock);
	}
	return NULL;
}
