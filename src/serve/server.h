/* The whole server, put together: every module made from the settings, handed its dependencies, and taken down again in
 * the reverse order. */
#ifndef SLUICE_SERVE_SERVER_H
#define SLUICE_SERVE_SERVER_H

#include "base/err.h"
#include "base/log.h"
#include "config/config.h"

/* Runs until SIGTERM or SIGINT has drained it. 0 when it ended in good order; -1 when it could not
 * start, which is in the log. `config` and `log` are borrowed. */
int server_run(const struct config *config, const struct log *log, struct err *err);

#endif
