/* A hash map from short byte keys to pointers. Keys are copied; values are the caller's.
 * SipHash with a random key per process, so that a stranger who chooses keys can't make them collide. */
#ifndef SLUICE_BASE_MAP_H
#define SLUICE_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct map;

struct map *map_new(void);
void map_free(struct map **map);                           /* not the values */
void *map_get(const struct map *map, struct str key);      /* NULL when absent */
int map_put(struct map *map, struct str key, void *value); /* replaces; -1 when memory is out */
void *map_remove(struct map *map, struct str key);         /* the value that was there, or NULL */
size_t map_count(const struct map *map);
/* Walks in no order: start with *position = 0; false at the end. The map must not change meanwhile, except by
 * removal of the entry just returned. `key` may be NULL. */
bool map_next(const struct map *map, size_t *position, struct str *key, void **value);

/* SipHash-2-4 (Aumasson, Bernstein 2012) of bytes under the process's random key. */
uint64_t map_hash(struct str key);

#endif
