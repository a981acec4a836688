/* An intrusive doubly linked list. A node is on at most one list at a time; a zeroed node is on none. */
#ifndef SLUICE_BASE_LIST_H
#define SLUICE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next;
	struct list *prev;
};

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

static inline void list_init(struct list *head) {
	head->next = head;
	head->prev = head;
}

static inline bool list_empty(const struct list *head) {
	return head->next == head;
}

static inline bool list_linked(const struct list *node) {
	return node->next != NULL;
}

static inline void list_append(struct list *head, struct list *node) {
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

/* Takes a node off its list; a node that is on none is left alone. */
static inline void list_remove(struct list *node) {
	if (!node->next) {
		return;
	}
	node->prev->next = node->next;
	node->next->prev = node->prev;
	node->next = NULL;
	node->prev = NULL;
}

/* Safe against removal of `node` itself in the body, not against removal of the one behind it. */
#define list_each(node, after, head)                                                                                   \
	for (struct list *node = (head)->next, *after = node->next; node != (head); node = after, after = node->next)

#endif
