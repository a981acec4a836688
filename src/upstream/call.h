/* One request under way: which server is asked, what happens when one fails, and how it ends. What its answer says is read in
 * client.c. Loop thread only. */
#ifndef SLUICE_UPSTREAM_CALL_H
#define SLUICE_UPSTREAM_CALL_H

#include "round.h"
#include "upstream.h"
#include "upstream/sse.h"

enum call_state {
	CALL_ASKING,     /* no byte of an answer's body yet */
	CALL_COLLECTING, /* an answer that is no stream: an error, or a whole completion */
	CALL_STREAMING,
	CALL_ENDING, /* [DONE] came */
	CALL_PAUSED, /* before the first try, and between two */
	CALL_OVER,
};

struct upstream_call {
	struct upstream *upstream;
	struct upstream_sink sink;
	void *owner;
	struct log log;
	struct round round;
	struct transfer transfer;
	struct deadline deadline;
	struct sse_parser sse;
	struct buf request; /* its body */
	struct buf answer;  /* what is collected */
	struct buf said;    /* the upstream's own words about an error; may hold content: never logged */
	enum call_state state;
	enum upstream_error verdict; /* of the event being read; UPSTREAM_OK: go on. Paused: if nobody may be asked */
	bool in_callback;            /* upstream_cancel leaves the memory to whoever runs the callback */
	bool cancelled;
	bool live;                  /* counted as such */
	bool shared;                /* the deadline that runs is its server's share */
	bool touched;               /* a try before it may have come to a model */
	bool texted;                /* the first delta has come */
	bool unflushed;             /* a delta has come with this read */
	bool ending;                /* the deadline of the answer's end runs */
	enum transfer_result ended; /* how the transfer of the last try did; TRANSFER_OK while it has not */
	struct chat_reader *reader; /* of the answer of this try */
	bool called;                /* a function call has come */
	enum chat_finish finish;
	struct chat_usage usage;
	char code[CHAT_CODE_SIZE];
	char service_tier[CHAT_TIER_SIZE];
	int64_t started_us;
	int64_t first_token_due_ms;
	int64_t retry_after_ms;
	int status;
	uint32_t tries;
};

/* Checks a move against the table and makes it. */
void call_move(struct upstream_call *call, enum call_state to);
void call_set_deadline(struct upstream_call *call, enum queue queue, int64_t due_ms);
/* Asks the server that the round has come to. -1 with ERR_MEMORY. */
int call_try(struct upstream_call *call, struct err *err);

/* Nothing runs for it any more; its connection is closed. */
void call_stop(struct upstream_call *call);
/* Stops it; its memory goes. */
void call_free(struct upstream_call *call);

/* After each of these the call may be gone. */

/* Paused no longer: the next server of this round is asked. */
void call_turn(struct upstream_call *call);
/* A try went wrong before the first token: the next server at once, another round, or the end. */
void call_fail(struct upstream_call *call, enum upstream_error error);
/* Reading has come to an end, well or not. What was heard of an answer can't be taken back. */
void call_end(struct upstream_call *call, enum upstream_error error);
/* The last act: the owner hears of it, then the call is gone. */
void call_finish(struct upstream_call *call, enum upstream_error error);

#endif
