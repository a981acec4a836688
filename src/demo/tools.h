/* Which tool to call, and with what. Pure; the demo's answer to function calling. */
#ifndef SLUICE_DEMO_TOOLS_H
#define SLUICE_DEMO_TOOLS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

struct tool_question {
	const struct json *tools;  /* the request's list, or NULL */
	const struct json *choice; /* its tool_choice, or NULL for "auto" */
	struct str text;           /* what the user asked */
	bool answered;             /* the last message is a tool's result, so that "auto" has what it wanted */
};

/* Sets `*function` to the function object to call, or to NULL for none. -1 with ERR_INVALID when the choice or the
 * list makes no sense. */
int tools_choose(const struct tool_question *question, const struct json **function, struct err *err);

/* Appends a JSON object that fits the function's parameters as well as the question allows: every required one, and
 * those optional ones that the question names a value of. */
void tools_arguments(const struct json *function, struct str question, struct buf *out);

#endif
