#include "notify.h"

#include <stdint.h>
#include <stdio.h>

#include "base/mem.h"

#ifdef SLUICE_SYSTEMD
#include <systemd/sd-daemon.h>
#else
static int sd_notify(int unset_environment, const char *state) {
	(void)unset_environment;
	(void)state;
	return 0;
}

static int sd_watchdog_enabled(int unset_environment, uint64_t *usec) {
	(void)unset_environment;
	*usec = 0;
	return 0;
}
#endif

struct notify {
	uv_timer_t timer;
};

static void on_timer(uv_timer_t *timer) {
	(void)timer;
	sd_notify(0, "WATCHDOG=1");
}

struct notify *notify_new(uv_loop_t *loop, struct err *err) {
	struct notify *notify = mem_zalloc(sizeof *notify);
	if (!notify) {
		err_set(err, ERR_MEMORY, "no memory for the watchdog");
		return NULL;
	}
	uint64_t period_us = 0;
	uv_timer_init(loop, &notify->timer);
	if (sd_watchdog_enabled(0, &period_us) > 0) {
		uv_timer_start(&notify->timer, on_timer, 0, period_us / 2000);
	}
	return notify;
}

static void tell(const char *what, const char *status) {
	char text[256];
	snprintf(text, sizeof text, "%s\nSTATUS=%s", what, status);
	sd_notify(0, text);
}

void notify_ready(const char *status) {
	tell("READY=1", status);
}

void notify_stopping(const char *status) {
	tell("STOPPING=1", status);
}

static void on_closed(uv_handle_t *handle) {
	mem_free(handle->data);
}

void notify_free(struct notify **notify) {
	if (*notify) {
		(*notify)->timer.data = *notify;
		uv_close((uv_handle_t *)&(*notify)->timer, on_closed);
		*notify = NULL;
	}
}
