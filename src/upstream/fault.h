/* What went wrong, in the words of enum upstream_error. Pure. upstream_error_name is defined beside it. */
#ifndef SLUICE_UPSTREAM_FAULT_H
#define SLUICE_UPSTREAM_FAULT_H

#include <curl/curl.h>
#include <stdbool.h>

#include "upstream/client.h"

#define FAULT_COUNT (UPSTREAM_UNABLE + 1)

/* The kind for the error counter's labels: "refused". Static. */
const char *fault_kind(enum upstream_error error);
/* A sentence for people. Static. */
const char *fault_text(enum upstream_error error);

/* A transfer that failed before it brought an answer. */
enum upstream_error fault_of_transfer(CURLcode code);
/* An answer whose status is not 2xx. */
enum upstream_error fault_of_status(int status);
/* Whether another try may do better. `status` is 0 when none came. */
bool fault_is_passing(enum upstream_error error, int status);
/* Whether another server might not have it. Whatever is passing is. */
bool fault_is_elsewhere(enum upstream_error error, int status);
/* Whether it speaks against the server, and not against the request or ourselves. */
bool fault_is_servers(enum upstream_error error);

#endif
