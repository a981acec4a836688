/* The sections [upstream NAME]: each has a slot, from 1 on; slot 0 is every section without a name. Pure. */
#ifndef SLUICE_CONFIG_UPSTREAM_H
#define SLUICE_CONFIG_UPSTREAM_H

#include "base/err.h"
#include "base/str.h"
#include "config/config.h"
#include "table.h"

#define CONFIG_SLOTS (CONFIG_MAX_NAMED + 1)

/* Whether a section is written as one with a name: "upstream NAME". `name` may be none that is allowed. */
bool config_upstream_is(const char *section, struct str *name);
/* The slot of this name, which is begun with the defaults if it is new. ERR_INVALID with a text that says what a name is,
 * ERR_LIMIT when there are too many. */
int config_upstream_slot(struct config *config, struct str name, size_t *slot, struct err *err);
/* Where a row's value stands in a slot. */
void *config_upstream_target(struct config *config, const struct config_row *row, size_t slot);
/* The row and the name that SLUICE_UPSTREAM_<NAME>_<KEY> means, the name as sections write it; NULL when it means none. */
const struct config_row *config_upstream_variable(const char *variable, char name[static CONFIG_NAME_SIZE]);

#endif
