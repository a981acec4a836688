/* A server's list of models: as its settings declare it, or GET /models, asked for and kept. Loop thread only. */
#ifndef SLUICE_UPSTREAM_MODELS_H
#define SLUICE_UPSTREAM_MODELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/log.h"
#include "endpoint.h"

struct models;

/* All borrowed. */
struct models_deps {
	const struct endpoint *endpoint;
	const struct clock *clock;
	const struct log *log;
	void (*answered)(void *owner); /* a good list has come */
	void *owner;
};

/* `declared`: names separated by single spaces, and nothing is ever asked; "" or NULL: it is asked. */
struct models *models_new(const struct models_deps *deps, const char *declared, struct err *err);
void models_free(struct models **models); /* stops what is under way */

/* Asks, unless the list is declared, or younger than `max_age_ms`, or a question is under way or has just failed. */
void models_refresh(struct models *models, int64_t max_age_ms);
/* The declared names, or those of the last good answer, valid until the next one. */
size_t models_names(const struct models *models, char *const **names);
/* Whether the list holds what people mean by this name. */
bool models_have(const struct models *models, const char *name);
bool models_known(const struct models *models);
bool models_declared(const struct models *models);
/* Changes with each new list. */
uint64_t models_generation(const struct models *models);

#endif
