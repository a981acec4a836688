/* What reading an item shares with making one. Private to proto. */
#ifndef SLUICE_PROTO_ITEM_PARTS_H
#define SLUICE_PROTO_ITEM_PARTS_H

#include "proto/item.h"

int item_role_parse(struct str name, enum item_role *out);
int item_status_parse(struct str name, enum item_status *out);
const char *item_part_name(enum part_kind kind);
/* What the parts of a message by this role are (UserMessageItemParam, AssistantMessageItemParam …). */
enum part_kind item_part_kind(enum item_role role);

/* Room for the parts of an item that has none; -1 when memory is out. */
int item_reserve_parts(struct item *item, size_t count);
/* A part of the kind that fits the item's role, with a copy of the text; -1 when memory is out. */
int item_add_part(struct item *item, struct str text);

#endif
