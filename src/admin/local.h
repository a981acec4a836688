/* Runs a command in this process, on the store itself: for the time when no server runs. */
#ifndef SLUICE_ADMIN_LOCAL_H
#define SLUICE_ADMIN_LOCAL_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"

/* Blocks; holds the store's lock meanwhile. Appends the reply. `may_make`: a store that is not there yet is made, with its
 * key file. ERR_CONFLICT when another process has the store. */
int admin_local_call(const struct config *config, struct str command, bool may_make, struct buf *reply,
		     struct err *err);

#endif
