#include "peers.h"

#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"

struct peer {
	struct mailbox *mailbox;
	struct conversations *module; /* its loop's thread only; NULL: it is not there yet, or gone */
};

struct conversation_peers {
	size_t count;
	struct peer all[];
};

/* One letter of a notice: to a peer, and back. */
struct note {
	struct letter letter;
	struct notice *notice;
	struct peer *peer;
};

/* Freed by whoever has the last of its letters. */
struct notice {
	struct conversation_op *op; /* home thread only; NULL: nobody waits */
	void (*told)(struct conversation_op *op);
	struct mailbox *home;
	char owner[ID_SIZE];
	char id[ID_SIZE];
	atomic_size_t out;
	size_t count;
	struct note notes[];
};

struct conversation_peers *conversation_peers_new(struct mailbox *const *mailboxes, size_t count, struct err *err) {
	struct conversation_peers *peers = mem_zalloc(sizeof *peers + count * sizeof peers->all[0]);
	if (!peers) {
		err_set(err, ERR_MEMORY, "no memory for the loops' conversations");
		return NULL;
	}
	peers->count = count;
	for (size_t i = 0; i < count; i++) {
		peers->all[i].mailbox = mailboxes[i];
	}
	return peers;
}

void conversation_peers_free(struct conversation_peers **peers) {
	mem_free(*peers);
	*peers = NULL;
}

void peers_join(struct conversations *module) {
	if (module->deps.peers) {
		module->deps.peers->all[module->deps.loop_index].module = module;
	}
}

void peers_leave(struct conversations *module) {
	if (module->deps.peers) {
		module->deps.peers->all[module->deps.loop_index].module = NULL;
	}
}

/* --- the way back ---------------------------------------------------------------------------------------------------- */

static bool is_last(struct notice *notice) {
	return atomic_fetch_sub_explicit(&notice->out, 1, memory_order_acq_rel) == 1;
}

static void deliver_home(struct letter *letter) {
	struct notice *notice = container_of(letter, struct note, letter)->notice;
	struct conversation_op *op = notice->op;
	void (*told)(struct conversation_op *) = notice->told;
	if (!is_last(notice)) {
		return;
	}
	mem_free(notice);
	if (op) {
		op->sent = NULL;
		told(op);
	}
}

/* The home loop has closed: nobody waits there. On whatever thread. */
static void drop_home(struct letter *letter) {
	struct notice *notice = container_of(letter, struct note, letter)->notice;
	if (is_last(notice)) {
		mem_free(notice);
	}
}

static void send_back(struct letter *letter) {
	const struct note *note = container_of(letter, struct note, letter);
	letter->deliver = deliver_home;
	letter->drop = drop_home;
	mailbox_post(note->notice->home, letter);
}

static void deliver_there(struct letter *letter) {
	const struct note *note = container_of(letter, struct note, letter);
	if (note->peer->module) {
		thread_deleted(note->peer->module, note->notice->owner, note->notice->id);
	}
	send_back(letter);
}

/* --- the way there --------------------------------------------------------------------------------------------------- */

int peers_prepare(struct conversation_op *op) {
	struct conversation_peers *peers = op->module->deps.peers;
	if (!peers || peers->count < 2) {
		return 0;
	}
	size_t count = peers->count - 1;
	struct notice *notice = mem_zalloc(sizeof *notice + count * sizeof notice->notes[0]);
	if (!notice) {
		return -1;
	}
	notice->home = peers->all[op->module->deps.loop_index].mailbox;
	notice->count = count;
	atomic_init(&notice->out, count);
	struct note *note = notice->notes;
	for (size_t i = 0; i < peers->count; i++) {
		if (i != op->module->deps.loop_index) {
			/* A loop that closes has nothing to forget any more. */
			*note++ = (struct note){{.deliver = deliver_there, .drop = send_back}, notice, &peers->all[i]};
		}
	}
	op->notice = notice;
	return 0;
}

bool peers_tell(struct conversation_op *op, void (*told)(struct conversation_op *op)) {
	struct notice *notice = op->notice;
	if (!notice) {
		return false;
	}
	bool waits = op->done.written != NULL;
	op->notice = NULL;
	memcpy(notice->owner, op->conversation->owner, sizeof notice->owner);
	memcpy(notice->id, op->conversation->id, sizeof notice->id);
	notice->told = told;
	if (waits) {
		notice->op = op;
		op->sent = notice;
	}
	/* With the last post it may be gone. */
	for (size_t i = 0, count = notice->count; i < count; i++) {
		mailbox_post(notice->notes[i].peer->mailbox, &notice->notes[i].letter);
	}
	return waits;
}

void peers_forget(struct conversation_op *op) {
	if (op->sent) {
		op->sent->op = NULL;
		op->sent = NULL;
	}
}
