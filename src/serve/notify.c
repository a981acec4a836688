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
	bool (*all_turn)(void *owner);
	void *owner;
};

static void on_timer(uv_timer_t *timer) {
	const struct notify *notify = timer->data;
	if (notify->all_turn(notify->owner)) {
		sd_notify(0, "WATCHDOG=1");
	}
}

struct notify *notify_new(uv_loop_t *loop, bool (*all_turn)(void *owner), void *owner, struct err *err) {
	struct notify *notify = mem_zalloc(sizeof *notify);
	if (!notify) {
		err_set(err, ERR_MEMORY, "no memory for the watchdog");
		return NULL;
	}
	uint64_t period_us = 0;
	notify->all_turn = all_turn;
	notify->owner = owner;
	uv_timer_init(loop, &notify->timer);
	notify->timer.data = notify;
	if (sd_watchdog_enabled(0, &period_us) > 0) {
		uv_timer_start(&notify->timer, on_timer, 0, period_us / 4000);
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
		uv_close((uv_handle_t *)&(*notify)->timer, on_closed);
		*notify = NULL;
	}
}
