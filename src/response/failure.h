/* What went wrong below, in a client's terms. Private to the response layer. */
#ifndef SLUICE_RESPONSE_FAILURE_H
#define SLUICE_RESPONSE_FAILURE_H

#include "base/err.h"
#include "proto/error.h"
#include "upstream/client.h"

void failure_of_upstream(const struct upstream_outcome *outcome, struct api_error *error);
/* Of a transcript that could not be written, or a context that could not be made. */
void failure_of_store(const struct err *err, struct api_error *error);
/* Of a parent that could not be read. */
void failure_of_parent(const struct err *err, const char *parent, struct api_error *error);
/* Of a conversation that could not be gone on with. */
void failure_of_conversation(const struct err *err, const char *conversation, struct api_error *error);
/* Of a stored response that could not be read. */
void failure_of_response(const struct err *err, struct api_error *error);
/* Of a cursor that starts behind the last of `count` events. */
void failure_past_the_end(uint32_t count, struct api_error *error);

#endif
