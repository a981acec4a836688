/* The response engine: a response is a log of events, whoever watches it is a cursor.
 *
 * Each loop has an engine of its own, used on its thread alone; what runs on others is found through the directory that they
 * share, and followed by letter. A response lives while it runs, as long as a cursor is on it, and until its end is stored
 * or the store has failed for good; afterwards what was stored is read through the conversation layer. Callbacks of a cursor
 * never run inside the call that opened it.
 *
 *   engine_create -> (refused) | ready … ready, the terminal event last */
#ifndef SLUICE_RESPONSE_ENGINE_H
#define SLUICE_RESPONSE_ENGINE_H

#include <stdbool.h>
#include <uv.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/metrics.h"
#include "conversation/conversation.h"
#include "loop/mailbox.h"
#include "proto/error.h"
#include "proto/event.h"
#include "proto/request.h"
#include "response/directory.h"
#include "upstream/client.h"

struct engine;
struct response;
struct cursor;

struct engine_options {
	uint32_t max_live;  /* responses of all users at once; those whose end is still to be stored count */
	size_t max_context; /* bytes of text that one turn shows the model, earlier turns included; 0: no bound */
	bool openai_names; /* the events of reasoning bear the names of OpenAI's service: response.reasoning_text.… */
	size_t max_answer; /* bytes of text of one answer; a longer one ends incomplete there. 0: no bound */
	int64_t checkpoint_interval_ms; /* between checkpoints of what streams, and looks at the clock; 0: neither */
	int64_t unwatched_ms;   /* how long a stored response runs on without a cursor; 0: it is stopped at once */
	uint32_t max_unwatched; /* how many of one user may; one more stops the oldest */
};

struct engine_deps {
	uv_loop_t *loop;
	const struct clock *clock;
	const struct log *log;
	struct metrics *metrics;
	struct conversations *conversations;
	struct upstream *upstream;
	struct directory *directory; /* one for all loops */
	struct mailbox *mailbox;     /* this loop's; closed before the loop runs on after engine_free */
};

struct engine *engine_new(const struct engine_options *options, const struct engine_deps *deps, struct err *err);
/* No cursor may be open. What is still live is dropped, and whoever follows it on another loop is refused; the store then
 * finds it in progress when it is opened again.
 * Close callbacks run on the loop afterwards. */
void engine_free(struct engine **engine);

/* --- cursors ------------------------------------------------------------------------------------------------------ */

/* How a cursor tells of a response. */
enum cursor_form {
	CURSOR_EVENTS,          /* Open Responses: every event is one JSON object */
	CURSOR_CHUNKS,          /* Chat Completions: events are chunks, or an error, or nothing */
	CURSOR_CHUNKS_OF_USAGE, /* the same, with what it cost at the end */
};

struct cursor_sink {
	enum cursor_form form;
	/* Events wait to be read with cursor_next. Called once for all that one wake-up brought; not again before the
	 * cursor was read to its end. */
	void (*ready)(struct cursor *cursor);
	/* The response never began (unknown parent, storage, overload): no event was or will be seen; the cursor is closed.
	 * One of another loop can be lost in the middle, for want of memory or because that loop goes: it can be watched again,
	 * from the next event on. `error` is borrowed. */
	void (*refused)(struct cursor *cursor, const struct api_error *error);
};

/* Embedded by whoever watches; zeroed means closed. Fields are the engine's, but for `pads`. */
struct cursor {
	struct list link;
	struct response *response; /* held; NULL when closed */
	uint32_t next;             /* sequence number of the event wanted next */
	bool told;                 /* ready was called, and not all was read since */
	bool pads;                 /* deltas get an obfuscation; for whoever opened it to set */
	const struct cursor_sink *sink;
	void *owner; /* the watcher's own */
};

/* Watches from event `next` on. If events are there already, ready is called later, from the loop. */
void cursor_open(struct cursor *cursor, struct response *response, uint32_t next, const struct cursor_sink *sink,
		 void *owner);
/* Lets go. The last cursor's closing stops a running response that is not stored; one that is stored runs on for as long as
 * the options say. A closed one is left alone. */
void cursor_close(struct cursor *cursor);
/* Appends the next event as JSON to `out` and steps on; `name` (may be NULL) gets its type. False: none is there now. In a
 * form of chunks, what is appended may be nothing, or several objects with a line end between them. */
bool cursor_next(struct cursor *cursor, struct buf *out, const char **name);
/* Whether the terminal event was read. */
bool cursor_finished(const struct cursor *cursor);

/* --- responses ---------------------------------------------------------------------------------------------------- */

struct engine_start {
	const char *owner;       /* user id */
	struct request *request; /* taken over, whatever comes back; left empty */
	/* The turn that the connection remembers under request->previous_response_id, with its conversation (NULL if it is
	 * not stored). Both NULL: the parent, if one is named, is read from the store. Borrowed. */
	struct turn *parent;
	struct conversation *parent_conversation;
	const struct log *log; /* of the connection; borrowed during the call */
};

/* Starts a response and opens `cursor` on it from event 0. -1 with an error that can be told at once (unknown model, a
 * parent that still runs, too many live, draining, memory). */
int engine_create(struct engine *engine, const struct engine_start *start, struct cursor *cursor,
		  const struct cursor_sink *sink, void *owner, struct api_error *error);

struct engine_watch {
	const char *owner; /* user id */
	struct str id;     /* of the response */
	uint32_t next;     /* the event wanted first: starting_after + 1, or 0 */
	bool own;          /* who asks may know of one that is not stored: he began it */
	bool glances; /* what there is now is enough: of one on another loop nothing more comes, and it is not watched */
	const struct log *log;
};

/* Opens a cursor on a response that runs, or on one that ended, which is then read from the store and replayed event for
 * event. -1 with an error that can be told at once; else `sink` hears of it, `refused` included: no such stored response of
 * this user, a number past the end. On a response that has ended, `ready` comes also when no event is left to read. One
 * that a killed server left may have fewer events than were shown: a cursor past its end gets the terminal event. */
int engine_watch(struct engine *engine, const struct engine_watch *watch, struct cursor *cursor,
		 const struct cursor_sink *sink, void *owner, struct api_error *error);

/* --- followers ----------------------------------------------------------------------------------------------------- */

struct follower;
typedef void follower_fn(struct follower *follower, struct response *response);

/* Hears of every response that begins in a conversation. Embedded; zeroed follows nothing. Fields are the engine's. */
struct follower {
	struct list link;
	struct conversation_watch *watch;
	follower_fn *began;
};

/* From now on `began` is called for each stored response that begins there, as soon as that is durable; it may open a
 * cursor. That the conversation is the follower's own is for the caller to know. -1 when memory is out. */
int engine_follow(struct engine *engine, struct follower *follower, const char *conversation, follower_fn *began);
/* One that follows nothing is left alone. */
void engine_unfollow(struct engine *engine, struct follower *follower);
/* The stored responses that run in a conversation now, on whichever loop, oldest first. `each` may open and close cursors. A
 * follower may hear of one that has just begun from here and by `began`. */
void engine_each_live(struct engine *engine, const char *conversation,
		      void (*each)(void *arg, struct response *response), void *arg);
/* Their ids alone; each is borrowed during its call. */
void engine_each_live_id(struct engine *engine, const char *conversation, void (*each)(void *arg, const char *id),
			 void *arg);

/* --- what is asked beside ------------------------------------------------------------------------------------------ */

/* The models that a request may name, as upstream_models gives them: for GET /v1/models. */
size_t engine_models(struct engine *engine, const struct upstream_model **models);
/* Whether a model's server is up, and the state of each, as upstream_state gives it: told by /readyz. */
bool engine_upstream_known(const struct engine *engine);
bool engine_upstream_state(const struct engine *engine, size_t number, struct upstream_state *state);

/* Whether it is, or will be, in the store. */
bool response_is_stored(const struct response *response);
/* A response of this user that is live on this loop, or has ended here and could not be stored yet, or NULL. Borrowed: valid
 * until the loop runs on, or while a cursor is on it. */
struct response *engine_find(struct engine *engine, const char *owner, struct str id);

/* Whether a response of this user is live on whichever loop, or has ended there and could not be stored yet. */
bool engine_has(struct engine *engine, const char *owner, struct str id);
/* Whether it runs there. */
bool engine_runs(struct engine *engine, const char *owner, struct str id);
/* Stops a response of this user as response_cancel does; one on another loop soon. -1: none of this id runs. */
int engine_cancel(struct engine *engine, const char *owner, struct str id);

const char *response_id(const struct response *response);
/* Whether it is more than its id and owner yet: one that is read from the store or from another loop is not at first. */
bool response_is_known(const struct response *response);
const char *response_parent(const struct response *response); /* the previous response's id; "" for none */
/* What was asked. Borrowed. */
const struct item_list *response_input(const struct response *response);
/* Fills a view of it as it is now; borrows from the response until the loop runs on. */
void response_view(struct response *response, struct response_view *view);
enum response_status response_status(const struct response *response);
/* Whether the model has begun to say something: before that, a form of chunks has nothing to tell. */
bool response_has_output(const struct response *response);
/* Whether its terminal event is in the log. */
bool response_ended(const struct response *response);
/* For a FAILED response: the error as an HTTP client should get it. 0, or -1 when it did not fail. */
int response_failure(const struct response *response, struct api_error *error);
/* For an ended response: the error as a client of Chat Completions should get it. 0, or -1 when it is a completion. */
int response_completion_failure(const struct response *response, struct api_error *error);
/* After its end: the turn it became (NULL for a replay: what came before it is not known), and its conversation (NULL if not
 * stored, or a replay). Borrowed; hold them to keep them. */
struct turn *response_turn(const struct response *response);
struct conversation *response_conversation(const struct response *response);
/* About how many tokens the model was shown; 0: it was not asked. */
int64_t response_shown_tokens(const struct response *response);
/* Under which settings it runs. Borrowed. */
const struct request_settings *response_settings(const struct response *response);
/* Its output items: whole once it has ended. Borrowed. */
const struct item_list *response_output(const struct response *response);
/* Whether it has not ended yet; a replay of one that has never runs. */
bool response_runs(const struct response *response);
/* Makes room for what the user adds: it ends as soon as it can be cut without harm, incomplete with reason "steered"; one that
 * has called functions goes on to its end. No effect once it is ending. */
void response_steer(struct response *response);
/* Stops it: when this returns the upstream connection is closed, or will never be opened; what came is kept; one terminal
 * event follows, later. No effect once it is ending. */
void response_cancel(struct response *response);

/* --- the end of the process ---------------------------------------------------------------------------------------- */

/* From now on engine_create refuses with DRAINING. */
void engine_drain(struct engine *engine);
/* Those that run, and those that have ended and are still to be stored. */
size_t engine_live_count(const struct engine *engine);
/* Called, later, whenever that comes to 0. One listener. */
void engine_on_idle(struct engine *engine, void (*idle)(void *owner), void *owner);
/* Ends every live response as incomplete with this reason; they commit and send their terminal events as usual. */
void engine_interrupt_all(struct engine *engine, const char *reason);

#endif
