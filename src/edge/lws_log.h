/* libwebsockets' own log, into ours. */
#ifndef SLUICE_EDGE_LWS_LOG_H
#define SLUICE_EDGE_LWS_LOG_H

#include "base/log.h"

/* Its errors and warnings become debug lines: a stranger can cause any number of them, none says what to do, and what an
 * operator must know we log ourselves. Below debug level it formats nothing. */
void lws_log_route(const struct log *log);

#endif
