/* Which of several names somebody meant who mistyped one. */
#ifndef SLUICE_CONFIG_SUGGEST_H
#define SLUICE_CONFIG_SUGGEST_H

#include <stddef.h>

#define CONFIG_SUGGEST_LENGTH 63 /* longer names are never near */

struct config_suggest {
	const char *typed;
	const char *best; /* of the names offered so far; NULL while none is near. Borrowed */
	size_t distance;
};

void config_suggest_offer(struct config_suggest *suggest, const char *name);
/* Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`, letter case aside. */
size_t config_suggest_distance(const char *a, const char *b);

#endif
