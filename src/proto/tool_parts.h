/* What the settings share with tools: their stored form. Private to proto. */
#ifndef SLUICE_PROTO_TOOL_PARTS_H
#define SLUICE_PROTO_TOOL_PARTS_H

#include "field.h"
#include "proto/tool.h"

/* The same as tool_list_read and tool_choice_read, of a field wherever it stands. */
int tool_list_read_field(const struct field *field, struct tool_list *list);
int tool_choice_read_field(const struct field *field, struct tool_choice *choice);
/* Only what was said, so that settings are stored in no more tokens than they came in: they have to pass the JSON gate
 * when they are read again. */
void tool_list_write_said(struct json_writer *w, const struct tool_list *list);
void tool_choice_write_said(struct json_writer *w, const struct tool_choice *choice);

#endif
