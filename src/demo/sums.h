/* Sums on small numbers, in signs or in words. Pure. */
#ifndef SLUICE_DEMO_SUMS_H
#define SLUICE_DEMO_SUMS_H

#include "base/str.h"

enum sum_outcome {
	SUM_NONE,     /* no sum in the text */
	SUM_DONE,     /* *value is set */
	SUM_BY_ZERO,  /* a division by zero */
	SUM_TOO_LARGE /* past what the demo counts to */
};

/* Finds the first sum with at least one operator: 12 * (3 + 4), 12 times 3, -2 minus 5. `shown` is where it stands. */
enum sum_outcome sum_find(struct str text, double *value, struct str *shown);

#endif
