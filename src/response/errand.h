/* A letter to another loop's engine that goes one way: do this with that response of yours. Private to the response layer. */
#ifndef SLUICE_RESPONSE_ERRAND_H
#define SLUICE_RESPONSE_ERRAND_H

#include "registry.h"

struct errand {
	struct letter letter; /* the errand's own */
	struct directory *directory;
	unsigned to;        /* loop */
	struct place place; /* of the response that it is about */
	char conversation[ID_SIZE];
	void *with; /* whatever else it is about */
	void (*run)(struct registry *there, const struct errand *errand);
	void (*settle)(void *with); /* after it was run, or could not be; NULL: nothing is to be done */
};

/* Sends a copy. -1 when memory is out: then `settle` is not called. */
int errand_send(const struct errand *errand);

#endif
