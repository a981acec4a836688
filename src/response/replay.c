#include "replay.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "failure.h"
#include "mirror.h"

static int take_items(struct response *r, struct stored_response *stored) {
	r->turn = turn_new(NULL, r->id, &stored->input, &stored->output);
	return r->turn ? 0 : -1;
}

static int take_events(struct response *r, const struct stored_response *stored, struct err *err) {
	const struct item_list *output = &stored->output;
	struct event_log *events = &r->output.events;
	/* Without events nothing of it was ever told, or an item of it was deleted. */
	if (stored->events.length &&
	    event_log_decode(events, buf_str(&stored->events), output->items, output->count, err)) {
		return -1;
	}
	r->torn = !event_log_ended(events);
	return event_log_close(events, output->items, output->count)
		       ? err_set(err, ERR_MEMORY, "no memory for a replay")
		       : 0;
}

static int take(struct response *r, struct stored_response *stored, struct err *err) {
	if (stored->status == RESPONSE_IN_PROGRESS) {
		return err_set(err, ERR_CONFLICT, "%s is still in progress", r->id);
	}
	if (take_events(r, stored, err)) {
		return -1;
	}
	if (take_items(r, stored)) {
		return err_set(err, ERR_MEMORY, "no memory for a replay");
	}
	str_copy_cut(r->conversation_id, sizeof r->conversation_id, str_of(stored->conversation));
	str_copy_cut(r->parent_id, sizeof r->parent_id, str_of(stored->parent));
	str_copy_cut(r->model, sizeof r->model, str_of(stored->model));
	str_copy_cut(r->reason, sizeof r->reason, str_of(stored->reason));
	r->settings = stored->settings;
	stored->settings = (struct request_settings){0};
	r->error_message = stored->error_message;
	stored->error_message = NULL;
	r->created_ms = stored->created_ms;
	r->completed_ms = stored->completed_ms;
	r->usage = stored->usage;
	r->status = stored->status;
	if (r->status == RESPONSE_FAILED) {
		enum api_error_code code = api_error_named(str_of(r->reason));
		api_error_set(&r->failure, code ? code : API_INTERNAL, NULL, "%s",
			      r->error_message ? r->error_message : "");
	}
	return 0;
}

static void refuse(struct response *r, const struct err *err) {
	struct api_error error;
	if (r->repeated && err->code == ERR_CONFLICT) {
		/* It has ended, or the repeat had joined it; so its end could not be written. */
		api_error_set(&error, API_IDEMPOTENCY_SPENT, "idempotency_key",
			      "The first request with this idempotency key was answered; its end could not be stored.");
	} else {
		failure_of_response(err, &error);
	}
	if (response_move(r, STATE_REFUSED)) {
		response_tell_refused(r, &error);
	}
}

static void on_read(void *arg, struct stored_response *stored, const struct err *read_err) {
	struct response *r = arg;
	struct err err = {0};
	r->loading = NULL;
	response_hold(r);
	if (read_err || take(r, stored, &err)) {
		refuse(r, read_err ? read_err : &err);
	} else if (response_move(r, response_end_state(r->status))) {
		r->shown = true;
		response_place_cursors(r);
		response_notify(r);
	}
	stored_response_free(&stored);
	response_release(r);
}

static int read_stored(struct response *r) {
	r->loading = conversation_read_response(r->deps->conversations, r->owner, r->id, on_read, r);
	return r->loading ? 0 : -1;
}

/* It ended before its loop was asked. */
static void on_gone(struct response *r) {
	if (read_stored(r)) {
		const struct err no_memory = {.code = ERR_MEMORY};
		refuse(r, &no_memory);
	}
}

/* One that lags does not know whether there is an event `next`: its home is asked anew. */
static struct response *find_mirror(const struct registry *registry, const struct place *home, uint32_t next) {
	struct response *mirror = mirror_find(registry, str_of(home->id));
	if (!mirror || strcmp(mirror->owner, home->owner) != 0 || (mirror->shown && next > response_shown(mirror))) {
		return NULL;
	}
	response_hold(mirror);
	return mirror;
}

static struct response *make(struct registry *registry, const char *owner, const char *id, const struct log *log) {
	struct response *r = mem_zalloc(sizeof *r);
	if (!r) {
		return NULL;
	}
	r->references = 1;
	r->registry = registry;
	r->deps = registry->deps;
	r->settings.store = true;
	r->replayed = true;
	output_init(&r->output);
	list_init(&r->cursors);
	list_init(&r->untold);
	str_copy_cut(r->id, sizeof r->id, str_of(id));
	str_copy_cut(r->owner, sizeof r->owner, str_of(owner));
	log_child(&r->log, log, "response", r->id);
	return r;
}

struct response *replay_from(struct registry *registry, const struct place *home, uint32_t next, bool glances,
			     const struct log *log) {
	struct response *r = glances ? NULL : find_mirror(registry, home, next);
	if (r) {
		return r;
	}
	r = make(registry, home->owner, home->id, log);
	if (r && mirror_open(r, home, glances, on_gone)) {
		response_release(r);
		return NULL;
	}
	return r;
}

struct response *replay_start(struct registry *registry, const char *owner, const char *id, const struct log *log) {
	struct response *r = make(registry, owner, id, log);
	if (r && read_stored(r)) {
		response_release(r);
		return NULL;
	}
	return r;
}

struct response *replay_find(struct registry *registry, const struct engine_watch *watch, const char *id) {
	struct place home;
	bool running;
	if (directory_find(registry->directory, watch->owner, str_of(id), &home, &running) &&
	    home.loop != registry->loop && (home.stored || watch->own)) {
		return replay_from(registry, &home, watch->next, watch->glances, watch->log);
	}
	return replay_start(registry, watch->owner, id, watch->log);
}
