/* What the files of this layer share: the module, an open thread, work under way. Private to the conversation layer. */
#ifndef SLUICE_CONVERSATION_MODULE_H
#define SLUICE_CONVERSATION_MODULE_H

#include "base/list.h"
#include "base/map.h"
#include "conversation/conversation.h"
#include "draft.h"
#include "vault.h"

struct notice;

struct conversations {
	struct conversation_deps deps;
	struct map *open;  /* by thread id: struct conversation, not held */
	struct list loads; /* struct conversation_op: contexts that are being read */
	size_t under_way;
};

struct conversation {
	uint32_t references;
	struct conversations *module;
	char id[ID_SIZE];
	char owner[ID_SIZE];
	struct vault vault;
	struct store_dek new_key; /* to be written with the first record; epoch 0 once it is */
	struct store_thread row;  /* as the last write that was handed over left it */
	struct seal_head head;
	uint32_t marked; /* how many of its records lie before its last waypoint */
	struct store_waypoint
		*waypoints; /* of a chain that was run from its beginning: to be written with the next write */
	size_t waypoint_count;
	bool rewrites; /* in the place of all that there are */
	/* A write that failed leaves row and head ahead of the store, or not: nothing more is sealed at this head until it is
	 * read anew, once no write is under way. */
	bool stale;
	uint32_t pending;         /* writes under way */
	uint32_t deletions;       /* handed over so far */
	struct store_op *reading; /* of the head; holds the thread */
	struct list waiting;      /* struct conversation_op: writes that wait for it */
};

struct conversation_op {
	struct conversations *module;
	struct store_op *store_op;
	struct conversation *conversation; /* held; writes of a turn and deletions */
	struct list link;                  /* on the thread's waiting list, or the module's of loads */
	struct draft *draft;               /* of a beginning or an end: until it is written */
	unsigned losses;                   /* how often it lost against another write */
	uint32_t expected_last;            /* of the thread's row that it was last sealed for: 0 for none */
	uint8_t expected_chain[32];
	struct notice *notice; /* of a deletion, owned: until it is sent */
	struct notice *sent;   /* whose answers are waited for */
	bool loads;            /* a context */
	bool outdated;         /* something was deleted while it was read */
	bool behind_begin;     /* the beginning of the same response waits before it */
	bool latest;           /* a context of a conversation's latest response */
	bool may_cut;          /* a context that is read */
	size_t enough;         /* bytes of it that are read at first */
	char owner[ID_SIZE];
	char id[ID_SIZE];
	char item[ID_SIZE];            /* what is to be deleted */
	uint8_t body[STORE_HASH_SIZE]; /* what a claim's body is compared with */
	void *arg;
	union {
		conversation_context_fn *context;
		conversation_written_fn *written;
		conversation_response_fn *response;
		conversation_list_fn *list;
		conversation_items_fn *items;
		conversation_claim_fn *claim;
		conversation_item_fn *item;
		conversation_summary_fn *summary;
	} done; /* written: NULL once it was cancelled */
};

/* NULL when memory is out. `owner` and `id` may be NULL. */
struct conversation_op *op_new(struct conversations *module, const char *owner, const char *id, void *arg);
void op_free(struct conversation_op **op);
/* Fills a query about one thing of an owner. `owner` and `id` may be NULL. */
void op_query(struct store_query *query, enum store_read_kind kind, const char *owner, const char *id);
/* Starts a read for the op. -1 when memory is out; the op is freed then. */
int op_read(struct conversation_op **op, const struct store_query *query, store_read_fn *done);

/* The row of a response in a snapshot, or NULL. */
const struct store_response *snapshot_response(const struct store_snapshot *snapshot, const char *id);
bool response_row_runs(const struct store_response *row);
/* A response of a snapshot that is in progress, or NULL. */
const struct store_response *snapshot_running(const struct store_snapshot *snapshot);

/* The thread of a snapshot as an open conversation: the one that is open already, or a new one whose keys opened and whose
 * head fits its links. The caller holds it. NULL with ERR_CORRUPT when it does not verify. */
struct conversation *thread_open(struct conversations *module, const struct store_snapshot *snapshot, struct err *err);
/* Something of the owner's thread is gone for good, deleted on this loop or another: whoever remembers more than the store
 * has will notice. */
void thread_deleted(struct conversations *module, const char *owner, const char *id);
/* Its keys are going: later loads must not find it. */
void thread_forget(struct conversation *conversation);
/* Takes row and head of a stale thread from a snapshot. -1 with ERR_CORRUPT when they do not verify. */
int thread_refresh(struct conversation *conversation, const struct store_snapshot *snapshot, struct err *err);
/* Whether a snapshot shows the thread as it is at its head: no write has been sealed behind it. */
bool thread_is_current(const struct conversation *conversation, const struct store_snapshot *snapshot);
/* The head over what is left of the links, which are all, once the records of these numbers, which rise, are gone. Waypoints
 * are made anew with it. */
int thread_head_without(struct conversation *conversation, const struct store_snapshot *snapshot,
			const uint32_t *numbers, size_t count, struct seal_head *head, struct err *err);
/* Writes the draft of an edit, now or once the thread's head is known: then the op's completion tells how it went. `snapshot` has
 * the thread's chain and its metadata; NULL for a thread that was just started. -1 when it can't be. */
int write_edit(struct conversation_op *op, const struct store_snapshot *snapshot, struct err *err);
/* A write of this thread is over: what waits for its head is seen to. `err` may be NULL. */
void write_over(struct conversation *conversation, const struct err *err);
/* Adds the thread's row with its present head to the write. -1 when memory is out. */
int thread_put(struct conversation *conversation, struct store_write *write, const char *last_response, int64_t now_ms);

#endif
