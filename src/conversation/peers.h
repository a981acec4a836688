/* What the other loops are told: that something was deleted. Private to the conversation layer. */
#ifndef SLUICE_CONVERSATION_PEERS_H
#define SLUICE_CONVERSATION_PEERS_H

#include "module.h"

/* From here on, or no longer, the module hears what others delete. */
void peers_join(struct conversations *module);
void peers_leave(struct conversations *module);

/* Makes the notice that will be sent once the op's deletion is durable, so that memory can't be out then; none where there is
 * nobody to tell. -1 when memory is out. */
int peers_prepare(struct conversation_op *op);
/* Sends it. True: `told` runs later on this loop, once every other loop that still runs has taken note, unless peers_forget
 * comes before. False: there is nothing to wait for. */
bool peers_tell(struct conversation_op *op, void (*told)(struct conversation_op *op));
/* Nobody waits for it any more. */
void peers_forget(struct conversation_op *op);

#endif
