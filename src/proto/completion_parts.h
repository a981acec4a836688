/* How the reading of a Chat Completions request is divided. Private to proto. */
#ifndef SLUICE_PROTO_COMPLETION_PARTS_H
#define SLUICE_PROTO_COMPLETION_PARTS_H

#include "field.h"
#include "proto/item.h"

/* The value of `messages`: each becomes one item, an assistant's as many as it has reasoning, words and calls. They are added
 * to the list, which is the caller's to free on failure too. `now_ms` dates their ids. -1 with the field's error. */
int completion_read_messages(const struct field *field, int64_t now_ms, struct item_list *items);

#endif
