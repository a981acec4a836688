/* item_reference: stored items that an input names instead of saying them again. Private to the response layer. */
#ifndef SLUICE_RESPONSE_REFERENCES_H
#define SLUICE_RESPONSE_REFERENCES_H

#include "response.h"

/* Looks for the next one in the input. 1: none is left; 0: it is being read, and `done` is called when it stands in its place,
 * or with an error; -1 with an error. response->loading is the work under way. */
typedef void references_fn(struct response *response, const struct api_error *error);
int references_next(struct response *response, references_fn *done, struct api_error *error);

#endif
