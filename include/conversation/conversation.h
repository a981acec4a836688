/* Conversations: sealing and opening what the store keeps, and assembling what a model is shown.
 *
 * Each loop has a module of its own, used by that loop's thread alone. What is written to a thread is decided by the store: one
 * that loses against another loop's write is sealed anew behind it. Completions run later and never after the matching cancel. What starts work returns NULL when memory
 * is out: nothing was started then, and the completion never runs. Texts exist in the open only here, in the
 * response engine and on the way to client and upstream. */
#ifndef SLUICE_CONVERSATION_CONVERSATION_H
#define SLUICE_CONVERSATION_CONVERSATION_H

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/metrics.h"
#include "conversation/turn.h"
#include "loop/mailbox.h"
#include "proto/event.h"
#include "proto/item.h"
#include "proto/request.h"
#include "seal/keyring.h"
#include "store/store.h"

struct conversations;      /* the module */
struct conversation;       /* one open thread: its data key and head, shared by all turns that run in it */
struct conversation_op;    /* work under way */
struct conversation_peers; /* all loops' modules */

/* The loops that tell each other what was deleted, by their mailboxes (borrowed), before any of their modules is made. Freed
 * when all modules are freed and all mailboxes closed. */
struct conversation_peers *conversation_peers_new(struct mailbox *const *mailboxes, size_t count, struct err *err);
void conversation_peers_free(struct conversation_peers **peers);

struct conversation_deps {
	struct store *store;
	const struct seal_keyring *keyring;
	const struct clock *clock;
	const struct log *log;
	struct conversation_peers *peers; /* outlives the module. NULL: there is one loop */
	size_t loop_index;                /* which of them this module's is */
	size_t max_context; /* bytes of text of a context; a chain that is surely larger is not loaded. 0: no bound */
};

/* On its loop's thread, or before that runs. */
struct conversations *conversations_new(const struct conversation_deps *deps, struct err *err);
/* On its loop's thread. Nothing may be open or under way. Its loop's mailbox is closed only after that. */
void conversations_free(struct conversations **module);

/* 0 while the store takes writes, else -1 with what is wrong: for /readyz. */
int conversations_health(const struct conversations *module, struct err *err);

/* --- a turn's life ------------------------------------------------------------------------------------------------ */

/* A new conversation of this owner, with a fresh data key; nothing is written yet. The caller holds a reference. */
struct conversation *conversation_start(struct conversations *module, const char *owner, struct err *err);
struct conversation *conversation_hold(struct conversation *conversation);
void conversation_release(struct conversation **conversation);
const char *conversation_id(const struct conversation *conversation);
/* How often something of it was deleted, on whatever loop, while it was open: a turn remembered from before may hold what is gone.
 * What is reported as deleted has been counted on every loop. */
uint32_t conversation_deletions(const struct conversation *conversation);

/* What is wanted of a context. Borrowed during the call. */
struct conversation_wish {
	const char *owner;
	const char *id; /* of the response that is continued, or of the conversation */
	bool may_cut;   /* the oldest turns, all but the first, may be left out once the others fill max_context */
};

/* Opens the conversation that a stored response belongs to and rebuilds its turns, root first, up to that response.
 * `turn` and `conversation` are the callee's references. ERR_NOT_FOUND: no such response of this owner; ERR_CONFLICT: it
 * is still in progress; ERR_LIMIT: larger than a context may be; ERR_CORRUPT: a record does not verify. */
typedef void conversation_context_fn(void *owner, struct conversation *conversation, struct turn *turn,
				     const struct err *err);
struct conversation_op *conversation_load(struct conversations *module, const struct conversation_wish *wish,
					  conversation_context_fn *done, void *arg);

/* The same of a conversation's latest response: with the turns that conversation_items lists, so what lies before a turn that
 * was deleted is left out. `turn` is NULL where there is none. ERR_NOT_FOUND: no such conversation of this owner; ERR_CONFLICT:
 * its latest response is in progress. */
struct conversation_op *conversation_load_latest(struct conversations *module, const struct conversation_wish *wish,
						 conversation_context_fn *done, void *arg);

/* The content of `item` belongs to the callee, who moves it out (leaving it zeroed); what is left is freed. NULL with an error. */
typedef void conversation_item_fn(void *arg, struct item *item, const struct err *err);
/* The item of this owner that was written last of those with this id, whichever conversation it is in. ERR_NOT_FOUND: none, or
 * it was written before the store knew items by their ids. ERR_CORRUPT: it does not open, or is another. */
struct conversation_op *conversation_find_item(struct conversations *module, const char *owner, const char *item_id,
					       conversation_item_fn *done, void *arg);

/* Appends the text of a blob (seal/blob.h) that only this server opens, for this owner and purpose. -1 when memory is out. */
int conversation_seal_blob(const struct conversations *module, const char *owner, const char *purpose, struct str text,
			   struct buf *out);
/* Appends what was sealed in it to `text`. ERR_CORRUPT: it does not open for this owner and purpose; ERR_NOT_FOUND: it was sealed
 * under another key-encryption key. */
int conversation_open_blob(const struct conversations *module, const char *owner, const char *purpose, struct str blob,
			   struct buf *text, struct err *err);

/* What an idempotency key and the request that came with it are known by: keyed hashes, from which neither is to be had
 * without the KEK. The same key of two users is two; the same request under two keys has two hashes. */
#define CONVERSATION_CLAIM_MS (INT64_C(24) * 60 * 60 * 1000) /* how long a key stands for its response */
struct conversation_claim {
	uint8_t key[STORE_HASH_SIZE];
	uint8_t body[STORE_HASH_SIZE];
};
/* Of a request with a key. -1 when memory is out. */
int conversation_claim_make(const struct conversations *module, const char *owner, const struct request *request,
			    struct conversation_claim *claim);
/* `response_id` is the one that began with this key (borrowed); `same` whether it was asked the same. ERR_NOT_FOUND: the key
 * is free. */
typedef void conversation_claim_fn(void *arg, const char *response_id, bool same, const struct err *err);
/* Looks for what began with the key less than CONVERSATION_CLAIM_MS before `now_ms`. */
struct conversation_op *conversation_find_claim(struct conversations *module, const char *owner,
						const struct conversation_claim *claim, int64_t now_ms,
						conversation_claim_fn *done, void *arg);

/* What is kept of a response. All borrowed during the call. */
struct conversation_entry {
	const char *response_id;
	const char *parent_id; /* "" for none */
	const char *model;
	const struct request_settings *settings;
	const struct item_list *input;
	int64_t created_ms;
	const struct conversation_claim *claim; /* at the beginning: written with it. NULL: none */
	/* for the end only: */
	bool frees_claim; /* nothing came of it that a repeat should get */
	int64_t completed_ms;
	enum response_status status;
	const char *reason;        /* incomplete reason or error code; "" if none */
	const char *error_message; /* "" if none */
	const struct item *output;
	size_t output_count;
	struct str events; /* the event log as the response layer encodes it: opaque here */
	struct response_usage usage;
};

/* `err` is NULL when it is durable, else as in store_written_fn; ERR_CONFLICT or ERR_NOT_FOUND: the conversation was deleted
 * meanwhile. After a failure the thread's head is read anew before more is written to it. */
typedef void conversation_written_fn(void *arg, const struct err *err);
/* Writes that the response is there, in progress, with its input. */
struct conversation_op *conversation_begin(struct conversation *conversation, const struct conversation_entry *entry,
					   conversation_written_fn *done, void *arg);
/* Writes how it ended, with its output. */
struct conversation_op *conversation_finish(struct conversation *conversation, const struct conversation_entry *entry,
					    conversation_written_fn *done, void *arg);
/* The same, after that has failed (as often as need be): looks at what is there first. An end that has landed after all
 * stands as it is, whatever this one says, and is made durable; ERR_NOT_FOUND: not even the beginning is there. */
struct conversation_op *conversation_finish_again(struct conversation *conversation,
						  const struct conversation_entry *entry, conversation_written_fn *done,
						  void *arg);

/* An output item that something came of, with that alone in its parts: put behind what earlier segments have of it. */
struct conversation_piece {
	uint32_t index; /* of the output item */
	bool goes_on;   /* only text of its parts came, and no logprobs: the rest stands in an earlier segment */
	struct item item;
};
/* What came of a running response since its last checkpoint. All borrowed during the call. */
struct conversation_segment {
	const char *response_id;
	uint32_t number; /* 0, 1, 2, … */
	const struct conversation_piece *pieces;
	size_t piece_count;
	struct str events; /* the next part of the event log, as conversation_entry.events has the whole */
};
/* Keeps a segment, so that a killed server finds what was streamed. It goes with conversation_finish; until then, and for
 * a response that never finished, reads put the segments together as its output. */
/* Checkpoints between these two share a commit. Both within one turn of the loop. */
void conversations_gather(struct conversations *module);
void conversations_gathered(struct conversations *module);
struct conversation_op *conversation_checkpoint(struct conversation *conversation,
						const struct conversation_segment *segment,
						conversation_written_fn *done, void *arg);

/* The completion never runs after this. Writes that were handed over still happen. Sets *op to NULL; NULL is fine. */
void conversation_cancel(struct conversation_op **op);

/* --- reading and deleting ------------------------------------------------------------------------------------------ */

/* A stored response, opened. Freed by conversation_stored_free. */
struct stored_response {
	char id[ID_SIZE];
	char conversation[ID_SIZE];
	char parent[ID_SIZE];
	char model[REQUEST_MODEL_SIZE];
	struct request_settings settings;
	struct item_list input;
	struct item_list output;
	int64_t created_ms, completed_ms;
	enum response_status status;
	char reason[64];
	char *error_message; /* owned; NULL if none */
	struct buf events;
	struct response_usage usage;
};
void stored_response_free(struct stored_response **stored);
/* Fills a view that borrows from `stored`. */
void stored_response_view(const struct stored_response *stored, struct response_view *view);

/* `stored` belongs to the callee. */
typedef void conversation_response_fn(void *arg, struct stored_response *stored, const struct err *err);
struct conversation_op *conversation_read_response(struct conversations *module, const char *owner, const char *id,
						   conversation_response_fn *done, void *arg);
struct conversation_op *conversation_delete_response(struct conversations *module, const char *owner, const char *id,
						     conversation_written_fn *done, void *arg);
/* Destroys the data keys, then the rows. */
struct conversation_op *conversation_delete(struct conversations *module, const char *owner, const char *id,
					    conversation_written_fn *done, void *arg);

/* Whether this owner has such a conversation: `done` without an error, or with ERR_NOT_FOUND. */
struct conversation_op *conversation_find(struct conversations *module, const char *owner, const char *id,
					  conversation_written_fn *done, void *arg);

struct conversation_summary {
	char id[ID_SIZE];
	char last_response[ID_SIZE];
	int64_t created_ms, updated_ms;
	char title[128]; /* the first words of the first message, or "" */
	char *metadata;  /* a JSON object, "{}" if it has none; borrowed during the call */
};
typedef void conversation_list_fn(void *arg, const struct conversation_summary *rows, size_t count, bool more,
				  const struct err *err);
struct conversation_op *conversation_list(struct conversations *module, const char *owner, const char *after,
					  uint32_t limit, bool ascending, conversation_list_fn *done, void *arg);

/* One of them. The records are verified against the thread's head; `summary` is borrowed, NULL with an error. */
typedef void conversation_summary_fn(void *arg, const struct conversation_summary *summary, const struct err *err);
struct conversation_op *conversation_read(struct conversations *module, const char *owner, const char *id,
					  conversation_summary_fn *done, void *arg);

struct conversation_place {
	const char *owner;
	const char *id;   /* of the conversation */
	const char *item; /* in it, on whatever branch */
};
/* The items along the path from the first turn to the conversation's latest response, in order. Borrowed. */
struct conversation_item {
	const struct item *item;
	const char *response_id; /* of the turn that it belongs to, as what was asked or as what was answered */
};
typedef void conversation_items_fn(void *arg, const struct conversation_item *items, size_t count,
				   const struct err *err);
/* Processor time of the loop that the operation which calls back now has used, microseconds; 0 outside of a callback. */
int64_t conversation_used_us(const struct conversations *module);

struct conversation_page {
	const char *owner;
	const char *id;   /* of the conversation */
	const char *item; /* where it begins; NULL: at the path's beginning or end */
	bool ascending; /* towards the newest; where the item is there more than once, from the first, else from the last */
	uint32_t most; /* items behind it; 0: all */
};
/* Them in the path's order: in whole turns, so that others stand before and behind them. All of the path when the item is in
 * no turn of it that has ended. */
struct conversation_op *conversation_items(struct conversations *module, const struct conversation_page *page,
					   conversation_items_fn *done, void *arg);

/* --- edits: what is changed without a model being asked ---------------------------------------------------------------- */

/* All borrowed during the call. */
struct conversation_edit {
	const char *owner;
	const char *id;                /* of the conversation */
	const struct item_list *items; /* to stand behind its latest response, as a turn of their own. NULL: none */
	const char *metadata;          /* a JSON object, to stand in the place of what it has. NULL: that stays */
};
/* Writes a conversation that was just started, with its metadata, which must be given, and its first items. `edit->id` is
 * ignored. */
struct conversation_op *conversation_create(struct conversation *conversation, const struct conversation_edit *edit,
					    conversation_written_fn *done, void *arg);
/* ERR_NOT_FOUND: no such conversation of this owner; ERR_CONFLICT: items can't be added while a response of it runs. */
struct conversation_op *conversation_edit(struct conversations *module, const struct conversation_edit *edit,
					  conversation_written_fn *done, void *arg);

/* Deletes one item, and the event log of the response that it was an answer of: a replay then has no events between
 * response.in_progress and the terminal one. Of several items of this id the newest goes. ERR_NOT_FOUND: no such conversation of
 * this owner, or no such item in it; ERR_CONFLICT: a response of it runs, or is being written. */
struct conversation_op *conversation_delete_item(struct conversations *module, const struct conversation_place *place,
						 conversation_written_fn *done, void *arg);

#endif
