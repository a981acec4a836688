#include "loop/mailbox.h"

#include <stdbool.h>

#include "base/mem.h"

struct mailbox {
	uv_async_t async;
	uv_mutex_t mutex;
	/* under the mutex */
	struct list letters; /* oldest first */
	bool open;           /* changed by its own loop alone */
};

static void move_all(struct mailbox *mailbox, struct list *to) {
	list_init(to);
	uv_mutex_lock(&mailbox->mutex);
	while (!list_empty(&mailbox->letters)) {
		struct list *node = mailbox->letters.next;
		list_remove(node);
		list_append(to, node);
	}
	uv_mutex_unlock(&mailbox->mutex);
}

static struct letter *take_first(struct list *letters) {
	struct letter *letter = container_of(letters->next, struct letter, link);
	list_remove(&letter->link);
	return letter;
}

/* What is posted meanwhile waits for the next turn, so that the loop gets to its sockets. */
static void on_letters(uv_async_t *async) {
	struct mailbox *mailbox = container_of(async, struct mailbox, async);
	struct list now;
	move_all(mailbox, &now);
	while (!list_empty(&now)) {
		struct letter *letter = take_first(&now);
		/* A letter may have closed it; nobody but this loop does. */
		if (mailbox->open) {
			letter->deliver(letter);
		} else {
			letter->drop(letter);
		}
	}
}

struct mailbox *mailbox_new(uv_loop_t *loop, struct err *err) {
	struct mailbox *mailbox = mem_zalloc(sizeof *mailbox);
	if (!mailbox) {
		err_set(err, ERR_MEMORY, "no memory for a mailbox");
		return NULL;
	}
	if (uv_mutex_init(&mailbox->mutex)) {
		err_set(err, ERR_MEMORY, "no memory for a mailbox");
		goto free_mailbox;
	}
	int status = uv_async_init(loop, &mailbox->async, on_letters);
	if (status) {
		err_set(err, ERR_IO, "a mailbox: %s", uv_strerror(status));
		goto free_mutex;
	}
	list_init(&mailbox->letters);
	mailbox->open = true;
	return mailbox;

free_mutex:
	uv_mutex_destroy(&mailbox->mutex);
free_mailbox:
	mem_free(mailbox);
	return NULL;
}

void mailbox_post(struct mailbox *mailbox, struct letter *letter) {
	uv_mutex_lock(&mailbox->mutex);
	bool open = mailbox->open;
	if (open) {
		bool first = list_empty(&mailbox->letters);
		list_append(&mailbox->letters, &letter->link);
		if (first) {
			/* Under the mutex: afterwards the handle may be closed. */
			uv_async_send(&mailbox->async);
		}
	}
	uv_mutex_unlock(&mailbox->mutex);
	if (!open) {
		letter->drop(letter);
	}
}

void mailbox_close(struct mailbox *mailbox) {
	if (!mailbox) {
		return;
	}
	struct list left;
	uv_mutex_lock(&mailbox->mutex);
	bool open = mailbox->open;
	mailbox->open = false;
	uv_mutex_unlock(&mailbox->mutex);
	if (!open) {
		return;
	}
	move_all(mailbox, &left);
	while (!list_empty(&left)) {
		struct letter *letter = take_first(&left);
		letter->drop(letter);
	}
	uv_close((uv_handle_t *)&mailbox->async, NULL);
}

void mailbox_free(struct mailbox **mailbox) {
	if (*mailbox) {
		uv_mutex_destroy(&(*mailbox)->mutex);
		mem_free(*mailbox);
		*mailbox = NULL;
	}
}
