/* How large a context is, and how it is made to fit. Pure. Private to the response layer. */
#ifndef SLUICE_RESPONSE_CONTEXT_SIZE_H
#define SLUICE_RESPONSE_CONTEXT_SIZE_H

#include "context.h"

/* Takes the oldest turns off until the rest fits what the model declares and the bound in bytes, or says that it does not
 * fit. Tokens are an estimate: without "auto" only what is surely too large is refused, and the model's server has the last
 * word. */
int context_fit(struct context *context, const struct context_source *source, struct api_error *error);

#endif
