/* How a response asks its model: what it is shown, and under which settings. Private to the response layer. */
#ifndef SLUICE_RESPONSE_ASK_H
#define SLUICE_RESPONSE_ASK_H

#include "response.h"

/* Whether the model can be asked: the context fits, and it can do what is asked of it. -1 with an error that says what not. */
int ask_check(const struct response *response, struct api_error *error);
/* About how many tokens the model would be shown, also when they are too many. -1 with an error, as above. */
int ask_count(const struct response *response, int64_t *tokens, struct api_error *error);
/* Asks it: response->call is the call. -1 with an error, as above, or when memory is out. */
int ask_start(struct response *response, const struct upstream_sink *sink, struct api_error *error);

#endif
