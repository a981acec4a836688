/* What the settings share with tools: their stored form, and the one of Chat Completions. Private to proto. */
#ifndef SLUICE_PROTO_TOOL_PARTS_H
#define SLUICE_PROTO_TOOL_PARTS_H

#include "field.h"
#include "proto/tool.h"

enum tool_form {
	TOOL_FLAT,   /* Open Responses: {"type":"function","name":…} */
	TOOL_NESTED, /* Chat Completions: {"type":"function","function":{"name":…}}, and allowed_tools likewise */
};

/* The same as tool_list_read, tool_choice_read and tool_choice_check, of a field wherever it stands. */
int tool_list_read_field(const struct field *field, enum tool_form form, struct tool_list *list);
int tool_choice_read_field(const struct field *field, enum tool_form form, struct tool_choice *choice);
int tool_choice_check_form(const struct tool_choice *choice, enum tool_form form, const struct tool_list *list,
			   struct api_error *error);
/* Only what was said, for the store. */
void tool_list_write_said(struct json_writer *w, const struct tool_list *list);
void tool_choice_write_said(struct json_writer *w, const struct tool_choice *choice);

#endif
