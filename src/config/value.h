/* From the text of a setting to its value. Pure. */
#ifndef SLUICE_CONFIG_VALUE_H
#define SLUICE_CONFIG_VALUE_H

#include "base/err.h"
#include "base/str.h"
#include "config/config.h"
#include "table.h"

/* Puts the value into the row's target; a text that was there is freed. On failure the target is untouched and `err`
 * says what would be right: "'x' is not a whole number from 1 to 100000". */
int config_value_set(struct config *config, const struct config_row *row, struct str text, struct err *err);
/* Adds to a list that is there. */
int config_value_add(struct config *config, const struct config_row *row, struct str text, struct err *err);
void config_value_clear(struct config *config, const struct config_row *row);

#endif
