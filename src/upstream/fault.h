/* What went wrong, in the words of enum upstream_error. Pure. upstream_error_name is defined beside it. */
#ifndef SLUICE_UPSTREAM_FAULT_H
#define SLUICE_UPSTREAM_FAULT_H

#include <stdbool.h>

#include "transfer.h"
#include "upstream/client.h"

#define FAULT_COUNT (UPSTREAM_UNABLE + 1)

/* The kind for the error counter's labels: "refused". Static. */
const char *fault_kind(enum upstream_error error);
/* A sentence for people. Static. */
const char *fault_text(enum upstream_error error);

/* A transfer that failed before it brought an answer. */
enum upstream_error fault_of_transfer(enum transfer_result result);
/* An answer whose status is not 2xx. */
enum upstream_error fault_of_status(int status);
/* Whether another try may do better. `status` is 0 when none came. */
bool fault_is_passing(enum upstream_error error, int status);
/* Whether another server might not have it. Whatever is passing is. */
bool fault_is_elsewhere(enum upstream_error error, int status);
/* Whether it speaks against the server, and not against the request or ourselves. */
bool fault_is_servers(enum upstream_error error);
/* Whether a try that ended so surely made no model work; `result` is how its transfer ended, TRANSFER_OK when it has not. */
bool fault_is_harmless(enum upstream_error error, enum transfer_result result);

#endif
