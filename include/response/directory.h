/* What runs in the whole process, whichever loop it lives on. One for all engines, one engine for each loop.
 *
 * A response lives on one loop, that of the connection that asked. The directory says which, so that others can follow it
 * by letter; and it counts what is limited for all loops together. It has one mutex, which is taken when a response begins,
 * ends, or is asked for by name, and never for a token. */
#ifndef SLUICE_RESPONSE_DIRECTORY_H
#define SLUICE_RESPONSE_DIRECTORY_H

#include "base/err.h"

#define DIRECTORY_LOOPS_MAX 64

struct directory;

struct directory *directory_new(struct err *err);
/* After all engines, and when no letter of theirs is under way any more. */
void directory_free(struct directory **directory);

#endif
