/* What systemd is told: readiness, stopping, and that the loops still turn. Without libsystemd, or outside of a unit, all
 * of it does nothing. Loop thread. */
#ifndef SLUICE_SERVE_NOTIFY_H
#define SLUICE_SERVE_NOTIFY_H

#include <stdbool.h>
#include <uv.h>

#include "base/err.h"

struct notify;

/* Starts the watchdog's timer where the unit asks for one (WatchdogSec): a quarter of its time. Each time `all_turn` is asked
 * whether the other loops still do; while it says no, systemd hears nothing. */
struct notify *notify_new(uv_loop_t *loop, bool (*all_turn)(void *owner), void *owner, struct err *err);
void notify_ready(const char *status);
void notify_stopping(const char *status);
/* Its memory goes when the loop has run its close callbacks. */
void notify_free(struct notify **notify);

#endif
