/* The page's files over HTTP. */
#ifndef SLUICE_EDGE_STATIC_H
#define SLUICE_EDGE_STATIC_H

#include "exchange.h"

/* Whether the path is a file and the method reads it; -1 with the error. */
int static_admit(struct exchange *exchange, struct api_error *error);
/* Answers with the file, or 304. */
void static_serve(struct exchange *exchange);

#endif
