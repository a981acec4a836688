/* A live response: its state, its log, its watchers. Private to the response layer. */
#ifndef SLUICE_RESPONSE_RESPONSE_H
#define SLUICE_RESPONSE_RESPONSE_H

#include "base/list.h"
#include "output.h"
#include "registry.h"
#include "response/engine.h"

enum response_state {
	STATE_READING,    /* an ended one is being read from the store, to be replayed */
	STATE_ACCEPTED,   /* made; its first step runs from the loop */
	STATE_CLAIMING,   /* whether its idempotency key stands for another response is being looked up */
	STATE_LOADING,    /* the turns before it are being read */
	STATE_CONNECTING, /* the upstream was asked; that it began is being written */
	STATE_STREAMING,  /* text arrives */
	STATE_COMMITTING, /* the upstream is through; how it ended is being written */
	STATE_COMPLETED,
	STATE_INCOMPLETE,
	STATE_FAILED,
	STATE_CANCELLED,
	STATE_REFUSED, /* it never began: no event was shown */
	STATE_JOINED,  /* its key stands for an earlier one, which its watchers watch now */
	STATE_COUNT,
};

struct response {
	uint32_t references; /* one of the registry while it is live, one of each cursor */
	struct registry *registry;
	const struct engine_deps *deps;
	enum response_state state;
	struct log log;
	char id[ID_SIZE];
	char owner[ID_SIZE];
	char parent_id[ID_SIZE];
	char continues[ID_SIZE]; /* the conversation that it goes on with, behind its latest response; "" for none */
	size_t looked_at;        /* elements of the input that have been looked at for being references */
	char model[REQUEST_MODEL_SIZE];
	uint32_t can;            /* UPSTREAM_CAN_…: what the model's servers can */
	int64_t shown_tokens;    /* about how many the model was shown; 0: it was not asked */
	uint32_t context_tokens; /* what the model takes and gives together; 0: not declared */
	struct request_settings settings;
	struct item_list input;
	int64_t created_ms;
	int64_t started_us; /* monotonic, for the time to the first text */

	char conversation_id[ID_SIZE];     /* "" if not stored, or not known yet */
	struct turn *parent;               /* held; NULL for a first turn */
	struct conversation *conversation; /* held; NULL while unknown, or not stored */
	struct turn *turn;                 /* held; once it ended */
	struct idempotency *idempotency;   /* borrowed; NULL without a key, and once it is settled */
	bool frees_claim;                  /* its end frees its key */
	bool untouched;                    /* it failed without a model having worked on it */
	bool repeated;                     /* a replay that answers a repeated request */
	struct conversation_claim
		*claim; /* owned: of the key that it was repeated with, while it is a mirror; or NULL */
	bool replayed;  /* read from the store, or of another loop: its turn knows nothing of the ones before */
	bool torn;      /* replayed, and a killed server left its log without an end */

	struct presence presence;                  /* what other loops see of it */
	struct mirror_link *link;                  /* it lives on another loop: what joins it with that */
	void (*let_go)(struct response *response); /* before it is freed; NULL: nothing */

	bool prepare_only; /* the model is not asked */
	bool counts;       /* its usage says how many tokens the model would be shown */
	bool stopped;      /* before the model was asked: it won't be, and ends so, for `reason` */
	enum response_status stop_status;
	struct conversation_op *loading, *beginning, *finishing;
	void (*referred)(struct response *response, const struct api_error *error); /* see references.h */
	struct conversation_op *checkpoint;                                         /* under way */
	uint32_t segments;                                                          /* handed to the store */
	uint32_t kept_events, kept_before; /* events in them, with and without the one under way */
	int64_t behind_us;                 /* since when checkpoints fail; 0: they don't */
	struct upstream_call *call;

	struct output output;
	bool shown; /* that it began is durable: cursors may read */
	struct list cursors;
	struct list untold; /* cursors as well: those that a notice under way has yet to reach */
	struct list unwatched_link;
	int64_t unwatched_us;   /* when the last cursor was closed */
	struct deferred step;   /* its start, from the loop */
	struct deferred notice; /* tells cursors that were opened on events that are there already */

	enum response_status status;
	int64_t completed_ms;
	char reason[64]; /* incomplete reason or error code */
	char *error_message;
	struct api_error failure; /* code API_OK while nothing failed */
	struct response_usage usage;
	struct item_list so_far; /* its output in mid-stream, for who asked last */
};

/* What a new one is made of. The request is emptied; of the model it takes name, abilities and context. */
struct response *response_new(struct registry *registry, const struct engine_deps *deps,
			      const struct engine_start *start, const struct upstream_model *model);
/* Runs it from the loop on. */
void response_begin(struct response *response);
void response_hold(struct response *response);
void response_release(struct response *response);
/* Ends it for a cause of ours: status CANCELLED or INCOMPLETE. No effect once it is committing. */
void response_stop(struct response *response, enum response_status status, const char *reason);
/* Drops one that nobody watches and nobody could ever read. */
void response_abandon(struct response *response);
/* Tells the cursors that there is something to read. They may be closed from within. */
void response_notify(struct response *response);
/* Tells every cursor that the response is not to be had, and closes them. */
void response_tell_refused(struct response *response, const struct api_error *error);
/* Somebody watches it, or it does not matter any more that nobody does. */
void response_watched(struct response *response);
/* Its log has just become known: a cursor that starts behind the last event has made its number up, and is refused. */
void response_place_cursors(struct response *response);
/* Takes the reference over. */
void response_set_conversation(struct response *response, struct conversation *conversation);
/* Checks a move against the table, logs it, and makes it. False: not allowed. */
bool response_move(struct response *response, enum response_state to);
/* The state that a status ends in. */
enum response_state response_end_state(enum response_status status);
/* How many events a cursor may read now. */
uint32_t response_shown(const struct response *response);
/* Whether its terminal event is among them. Out of memory it can end before its beginning is durable. */
bool response_over(const struct response *response);
/* Closes the cursor of one that goes with its engine: that nobody watches it then means nothing. */
void cursor_let_go(struct cursor *cursor);
/* Tells the cursors from the loop. */
void response_notify_later(struct response *response);

#endif
