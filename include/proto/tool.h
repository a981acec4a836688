/* Tools and which of them a model may call. Open Responses: FunctionToolParam, ToolChoiceParam, AllowedToolsParam. Pure. */
#ifndef SLUICE_PROTO_TOOL_H
#define SLUICE_PROTO_TOOL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/json.h"
#include "proto/error.h"
#include "proto/item.h"

#define TOOLS_MAX 128

enum tool_strict { STRICT_UNSAID, STRICT_NO, STRICT_YES };

struct tool {
	char name[ITEM_NAME_SIZE];
	char *description; /* owned; NULL: none */
	char *parameters;  /* owned JSON object; NULL: none */
	enum tool_strict strict;
};

struct tool_list {
	struct tool *tools; /* owned */
	size_t count;
};

enum tool_mode { TOOLS_AUTO, TOOLS_NONE, TOOLS_REQUIRED, TOOLS_FUNCTION };

struct tool_choice {
	bool said; /* false: as if it were "auto" */
	enum tool_mode mode;
	char function[ITEM_NAME_SIZE];   /* for TOOLS_FUNCTION */
	bool restricted;                 /* allowed_tools: only these, under `mode` */
	char (*allowed)[ITEM_NAME_SIZE]; /* owned */
	size_t allowed_count;
};

void tool_list_free(struct tool_list *list);
void tool_choice_free(struct tool_choice *choice);
int tool_list_copy(struct tool_list *to, const struct tool_list *from);       /* -1 when memory is out */
int tool_choice_copy(struct tool_choice *to, const struct tool_choice *from); /* -1 when memory is out */

/* Read the value of a request's `tools` or `tool_choice`. -1 with an error that names the field. */
int tool_list_read(const struct json *value, struct tool_list *list, struct api_error *error);
int tool_choice_read(const struct json *value, struct tool_choice *choice, struct api_error *error);
/* Whether the choice fits the list: it names only tools that are there, and "required" has one. -1 with an error. */
int tool_choice_check(const struct tool_choice *choice, const struct tool_list *list, struct api_error *error);
/* Whether the model may call the function of this name. A name that is on no list is let through only when nothing restricts:
 * it is the model's mistake, which the client can tell it. */
bool tool_choice_allows(const struct tool_choice *choice, struct str name);
/* As the response object shows them: FunctionTool with every field, FunctionToolChoice, AllowedToolChoice or the mode. */
void tool_list_write(struct json_writer *w, const struct tool_list *list);
void tool_choice_write(struct json_writer *w, const struct tool_choice *choice);

#endif
