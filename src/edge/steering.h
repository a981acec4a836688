/* What a user adds while an answer runs: kept by its lane until the successor takes it as input. Each submission is told that
 * it was accepted, perhaps that it waits for the results of function calls, and if it comes to nothing, given back. */
#ifndef SLUICE_EDGE_STEERING_H
#define SLUICE_EDGE_STEERING_H

#include "session.h"

#define STEERING_MAX 16 /* submissions for one response */

/* Of a lane. Initialised with steering_init. */
struct steering {
	struct list queue;      /* struct steer, in the order of their arrival */
	uint32_t count;         /* of them */
	size_t bytes;           /* in them: no more than one message may have */
	char response[ID_SIZE]; /* that they steer */
	bool taken;             /* they are part of the turn that runs now */
};

void steering_init(struct steering *steering);
/* Reads the input, keeps it and says so; what still waits for another response is given back. -1: it said why not. */
int steering_add(struct steering *steering, struct session *session, const char *tag, const char *response_id,
		 const struct json *input);
/* What is not taken at all. */
struct steer_refusal {
	struct str response_id;
	const struct json *input; /* given back */
	const char *code;         /* one of response.steer.failed's */
	const char *message;      /* NULL: the usual one of this code */
};

void steering_refuse(struct session *session, const char *tag, const struct steer_refusal *refusal);
/* Whether something waits for a successor of this response. */
bool steering_waits(const struct steering *steering, struct str response_id);
/* Puts all that waits before the request's input. -1 when memory is out. */
int steering_take(struct steering *steering, struct request *request);
/* The successor has begun. */
void steering_settle(struct steering *steering);
/* Says of each submission that it waits for the results of these calls. */
void steering_pend(const struct steering *steering, struct session *session, const char *tag,
		   const struct item_list *output);
/* Gives all of it back: there is no successor. `why` may be NULL: the usual message of this code. */
void steering_fail(struct steering *steering, struct session *session, const char *tag, const char *code,
		   const char *why);
/* Whether a response waits for the results of functions that it has called. */
bool steering_needs_results(const struct item_list *output);

#endif
