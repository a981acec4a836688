/* From the text of a setting to its value. Pure. */
#ifndef SLUICE_CONFIG_VALUE_H
#define SLUICE_CONFIG_VALUE_H

#include "base/err.h"
#include "base/str.h"
#include "config/config.h"
#include "table.h"

/* Puts the value into `to`, the row's target; a text that was there is freed. On failure the target is untouched and `err`
 * says what would be right: "'x' is not a whole number from 1 to 100000". */
int config_value_set(void *to, const struct config_row *row, struct str text, struct err *err);
/* Whether it is a list, which config_value_add adds to. */
bool config_value_is_list(const struct config_row *row);
int config_value_add(void *to, const struct config_row *row, struct str text, struct err *err);
/* Copies a number, a time or a choice: nothing that is owned. */
void config_value_copy(void *to, const void *from, const struct config_row *row);
void config_value_clear(void *to, const struct config_row *row);

#endif
