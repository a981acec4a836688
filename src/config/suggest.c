#include "suggest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static size_t least(size_t a, size_t b) {
	return a < b ? a : b;
}

static bool same(char a, char b) {
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

size_t config_suggest_distance(const char *a, const char *b) {
	size_t a_length = strlen(a);
	size_t b_length = strlen(b);
	if (a_length > CONFIG_SUGGEST_LENGTH || b_length > CONFIG_SUGGEST_LENGTH) {
		return SIZE_MAX;
	}
	/* Optimal string alignment; three rows of its table are enough, taken in turn. */
	size_t rows[3][CONFIG_SUGGEST_LENGTH + 1];
	for (size_t j = 0; j <= b_length; j++) {
		rows[0][j] = j;
	}
	for (size_t i = 1; i <= a_length; i++) {
		size_t *row = rows[i % 3];
		const size_t *above = rows[(i + 2) % 3];
		const size_t *two_above = rows[(i + 1) % 3];
		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			size_t replaced = above[j - 1] + (same(a[i - 1], b[j - 1]) ? 0 : 1);
			row[j] = least(replaced, least(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1])) {
				row[j] = least(row[j], two_above[j - 2] + 1);
			}
		}
	}
	return rows[a_length % 3][b_length];
}

void config_suggest_offer(struct config_suggest *suggest, const char *name) {
	size_t distance = config_suggest_distance(suggest->typed, name);
	/* A third of the letters may be wrong: beyond that a suggestion is a guess. */
	size_t near = strlen(name) / 3 > 1 ? strlen(name) / 3 : 1;
	if (distance <= near && (!suggest->best || distance < suggest->distance)) {
		suggest->best = name;
		suggest->distance = distance;
	}
}
