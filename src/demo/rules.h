/* The rules by which the demo answers. It is no language model, and says so. Pure. */
#ifndef SLUICE_DEMO_RULES_H
#define SLUICE_DEMO_RULES_H

#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"

enum talk_role { TALK_SYSTEM, TALK_USER, TALK_ASSISTANT, TALK_TOOL };

struct talk_message {
	enum talk_role role;
	struct str text;
	struct str tool; /* of TALK_TOOL: the name of the tool, if known */
};

/* A conversation, oldest message first; borrowed. */
struct talk {
	const struct talk_message *messages;
	size_t count;
};

/* Appends the answer to the last message. */
void rules_answer(const struct talk *talk, struct buf *out);

/* The last message of the user before message number `end`; NULL if there is none. */
const struct talk_message *talk_last_user(const struct talk *talk, size_t end);

#endif
