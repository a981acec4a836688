/* What reading an item shares with making and writing one. Private to proto. */
#ifndef SLUICE_PROTO_ITEM_PARTS_H
#define SLUICE_PROTO_ITEM_PARTS_H

#include "proto/item.h"

int item_role_parse(struct str name, enum item_role *out);
int item_status_parse(struct str name, enum item_status *out);
int item_phase_parse(struct str name, enum item_phase *out);
const char *item_phase_name(enum item_phase phase);
/* The `type` of a kind; NULL for ITEM_EXTENSION, which has it in its JSON. */
const char *item_kind_name(enum item_kind kind);
/* The `type` of a part that stands in a `content` or `summary`. */
const char *item_part_name(enum part_kind kind);
/* What the text of a message by this role is, when it is a string. */
enum part_kind item_part_kind(enum item_role role);

#endif
