/* The upstream's list of models: GET /models, asked for and kept. Loop thread only. */
#ifndef SLUICE_UPSTREAM_MODELS_H
#define SLUICE_UPSTREAM_MODELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/log.h"
#include "endpoint.h"
#include "multi.h"

struct models;

/* All borrowed. */
struct models *models_new(struct multi *multi, const struct endpoint *endpoint, const struct clock *clock,
			  const struct log *log, struct err *err);
void models_free(struct models **models); /* stops what is under way */

/* Asks, unless the list is younger than `max_age_ms` or a question is under way or has just failed. */
void models_refresh(struct models *models, int64_t max_age_ms);
/* The names of the last good answer, valid until the next one. */
size_t models_names(const struct models *models, char *const **names);
bool models_known(const struct models *models);

#endif
