/* How the end of a response is written, and seen to when that fails: what its client heard becomes what is stored. Private to
 * the response layer. */
#ifndef SLUICE_RESPONSE_SETTLE_H
#define SLUICE_RESPONSE_SETTLE_H

#include "response.h"

/* What is to be kept of it as it is now; borrows from the response. Its events are left out. */
struct conversation_entry settle_entry(const struct response *response);

typedef struct conversation_op *settle_write_fn(struct conversation *conversation,
						const struct conversation_entry *entry, conversation_written_fn *done,
						void *arg);
/* Starts writing its end with conversation_finish or conversation_finish_again. NULL when memory is out. */
struct conversation_op *settle_write(struct response *response, settle_write_fn *write, conversation_written_fn *done);

/* The write of its end, or of its beginning in such a way that it may be there, has failed, and its status says so: from now
 * on the response is kept, and written again about once a second, as soon as the store takes writes, until that is durable
 * or the engine goes. */
void settle_later(struct response *response, const struct err *err);
/* One that ended and is being kept for that, or NULL. */
struct response *settle_find(const struct registry *registry, struct str id);
/* Lets go of all of them. */
void settle_drop_all(struct registry *registry);

#endif
