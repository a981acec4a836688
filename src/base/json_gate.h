/* The gate before cJSON, with a bound of the caller's. Private to base. */
#ifndef SLUICE_BASE_JSON_GATE_H
#define SLUICE_BASE_JSON_GATE_H

#include "base/json.h"

/* As json_check, with at most so many tokens. */
int json_gate(struct str text, size_t max_tokens, struct err *err);

#endif
