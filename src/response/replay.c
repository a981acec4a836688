#include "replay.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "failure.h"
#include "mirror.h"
#include "settle.h"

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
	} else if (r->repeated && err->code == ERR_NOT_FOUND) {
		/* Not stored, or refused, or deleted: what the key stands for now is told when it is asked again. */
		api_error_set(&error, API_OVERLOADED, NULL,
			      "The first request with this idempotency key has just ended. Try again.");
	} else {
		failure_of_response(err, &error);
	}
	if (response_move(r, STATE_REFUSED)) {
		response_tell_refused(r, &error);
	}
}

static void on_claim(void *arg, const char *first, bool same, const struct err *err) {
	const struct err not_found = {.code = ERR_NOT_FOUND}, no_memory = {.code = ERR_MEMORY};
	struct response *r = arg;
	r->loading = NULL;
	response_hold(r);
	if (err || !same) {
		refuse(r, err ? err : &not_found);
	} else if (replay_hand_over(r, first)) {
		refuse(r, &no_memory);
	}
	response_release(r);
}

/* It never was, perhaps because it was a repeat itself. False: there is no more to ask for. */
static bool seek_first(struct response *r) {
	if (r->claim) {
		r->loading = conversation_find_claim(r->deps->conversations, r->owner, r->claim,
						     clock_wall_ms(r->deps->clock), on_claim, r);
	}
	return r->loading;
}

static void on_read(void *arg, struct stored_response *stored, const struct err *read_err) {
	struct response *r = arg;
	struct err err = {0};
	r->loading = NULL;
	if (read_err && read_err->code == ERR_NOT_FOUND && seek_first(r)) {
		return;
	}
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

static void on_gone(struct response *r, const char *joined) {
	if (joined ? replay_hand_over(r, joined) : read_stored(r)) {
		const struct err no_memory = {.code = ERR_MEMORY};
		refuse(r, &no_memory);
	}
}

static struct response *find_mirror(const struct registry *registry, const char *owner, const char *id) {
	struct response *mirror = mirror_find(registry, str_of(id));
	if (!mirror || strcmp(mirror->owner, owner) != 0) {
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

static struct response *open_mirror(struct registry *registry, const struct place *home, enum mirror_kind kind,
				    const struct log *log) {
	struct response *r = make(registry, home->owner, home->id, log);
	if (!r) {
		return NULL;
	}
	r->settings.store = home->stored;
	if (mirror_open(r, home, kind, on_gone)) {
		response_release(r);
		return NULL;
	}
	return r;
}

struct response *replay_from(struct registry *registry, const struct place *home, const struct log *log) {
	struct response *r = find_mirror(registry, home->owner, home->id);
	return r ? r : open_mirror(registry, home, MIRROR_SHARED, log);
}

struct response *replay_start(struct registry *registry, const char *owner, const char *id, const struct log *log) {
	struct response *r = make(registry, owner, id, log);
	if (r && read_stored(r)) {
		response_release(r);
		return NULL;
	}
	return r;
}

/* The number that is wanted may have been seen at its home: the shared mirror can't tell that it was made up. */
static bool is_ahead(const struct registry *registry, const struct engine_watch *watch, const char *id) {
	const struct response *mirror = mirror_find(registry, str_of(id));
	return mirror && watch->next > response_shown(mirror);
}

struct response *replay_find(struct registry *registry, const struct engine_watch *watch, const char *id) {
	struct place home;
	bool running;
	if (!directory_find(registry->directory, watch->owner, str_of(id), &home, &running) ||
	    home.loop == registry->loop || !(home.stored || watch->own)) {
		return replay_start(registry, watch->owner, id, watch->log);
	}
	if (watch->glances || is_ahead(registry, watch, id)) {
		return open_mirror(registry, &home, watch->glances ? MIRROR_GLANCE : MIRROR_ALONE, watch->log);
	}
	return replay_from(registry, &home, watch->log);
}

int replay_repeats(struct response *r, const struct conversation_claim *claim) {
	r->repeated = true;
	if (!r->claim) {
		r->claim = mem_alloc(sizeof *r->claim);
		if (!r->claim) {
			return -1;
		}
		*r->claim = *claim;
	}
	return 0;
}

int replay_hand_over(struct response *r, const char *id) {
	struct response *first = settle_find(r->registry, str_of(id));
	if (first) {
		/* The store does not have its end yet. */
		response_hold(first);
	} else {
		const struct engine_watch watch = {.owner = r->owner, .log = r->deps->log};
		first = replay_find(r->registry, &watch, id);
	}
	if (!first) {
		return -1;
	}
	first->repeated = true;
	response_notify_later(first); /* it may have come to its end already */
	while (!list_empty(&r->cursors)) {
		struct cursor *cursor = container_of(r->cursors.next, struct cursor, link);
		list_remove(&cursor->link);
		cursor->response = first;
		response_hold(first);
		list_append(&first->cursors, &cursor->link);
		response_release(r);
	}
	response_release(first);
	return 0;
}
