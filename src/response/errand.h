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
	void (*run)(struct registry *there, const struct errand *errand);
};

/* Sends a copy; if that loop has gone, nothing happens. -1 when memory is out. */
int errand_send(const struct errand *errand);

#endif
