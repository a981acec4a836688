/* One loop of the server and everything that lives on it: its store handle, upstreams, conversations, engine, credentials
 * and edge; and its way down. The first worker's loop is the one of the thread that started the server, each further one has
 * a thread of its own.
 *
 * A worker is made and opened on the first thread, one after the other, before its own thread runs; libraries that set
 * themselves up in global state are used by one thread then. Later it is told what to do by orders, and reports, both of
 * them letters. */
#ifndef SLUICE_SERVE_WORKER_H
#define SLUICE_SERVE_WORKER_H

#include <uv.h>

#include "auth/auth.h"
#include "base/err.h"
#include "base/log.h"
#include "config/config.h"
#include "conversation/conversation.h"
#include "edge/server.h"
#include "loop/mailbox.h"
#include "response/directory.h"
#include "seal/keyring.h"
#include "store/store.h"
#include "upstream/client.h"

struct worker;

/* Once each, in this order; a later one may come without the earlier ones. */
enum worker_order {
	WORKER_LEAVE, /* accept no more, hear whoever was accepted, then drain; reports WORKER_IDLE */
	WORKER_CLOSE, /* nothing runs anywhere: see the connections off; reports WORKER_CLOSED */
	WORKER_STOP,  /* free everything, whatever runs; reports WORKER_STOPPED, and its loop runs out */
};

enum worker_report {
	WORKER_IDLE,    /* it drains, and no response runs on it any more */
	WORKER_CLOSED,  /* its connections are gone, or were given time enough */
	WORKER_STOPPED, /* it uses nothing any more that workers share but its places and its mailbox */
};

/* What all workers use, each made before the first part that needs it is opened. */
struct worker_shared {
	struct directory *directory;
	struct upstream_vitals *vitals;
	struct conversation_peers *peers;
	struct seal_keyring *keyring;
	struct edge_shared *edge;
};

struct worker_deps {
	const struct config *config;
	const struct log *log;
	const struct worker_shared *shared;
	unsigned number;      /* 0: the first */
	unsigned count;       /* how many there are */
	struct worker *first; /* whose store and credentials it shares; NULL: this one is it */
	/* Runs on the first worker's loop; the first one's own reports inside of what it reports about. */
	void (*on_report)(void *owner, struct worker *worker, enum worker_report report);
	void *owner;
};

/* A loop and a mailbox, nothing else yet. */
struct worker *worker_new(const struct worker_deps *deps, struct err *err);
/* When its loop has run out, and when no worker is left who could write to it. */
void worker_free(struct worker **worker);

/* Each opens a part; one that fails leaves the worker to be stopped like any other. */
int worker_open_store(struct worker *worker, struct err *err);
int worker_open_engine(struct worker *worker, struct err *err);
/* When the credentials are known. */
int worker_open_edge(struct worker *worker, const struct edge_options *options, struct err *err);

uv_loop_t *worker_loop(struct worker *worker);
struct mailbox *worker_mailbox(const struct worker *worker);
struct store *worker_store(const struct worker *worker);
struct auth *worker_auth(const struct worker *worker);
struct edge *worker_edge(const struct worker *worker);

/* Runs its loop in a thread of its own, which takes no signals. */
int worker_start(struct worker *worker, struct err *err);
/* Runs its loop here, until it has stopped and run out. */
void worker_run(struct worker *worker);
bool worker_is_started(const struct worker *worker);
/* Waits for the end of its thread, if it has one. */
void worker_join(struct worker *worker);

/* On the first worker's loop. An order that was given already is not given again. */
void worker_tell(struct worker *worker, enum worker_order order);
/* On the first worker's loop: whether this one's has turned since it was last asked. */
bool worker_has_turned(struct worker *worker);

#endif
