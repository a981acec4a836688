#include "failure.h"
#include "response.h"

uint32_t response_shown(const struct response *r) {
	return r->shown ? r->output.events.count : 0;
}

bool response_over(const struct response *r) {
	return r->shown && response_ended(r);
}

/* A sink may close its cursor, or any other one of this response, from within the callback. */
void response_notify(struct response *r) {
	response_hold(r);
	while (!list_empty(&r->cursors)) {
		struct list *node = r->cursors.next;
		list_remove(node);
		list_append(&r->untold, node);
	}
	while (!list_empty(&r->untold)) {
		struct cursor *cursor = container_of(r->untold.next, struct cursor, link);
		list_remove(&cursor->link);
		list_append(&r->cursors, &cursor->link);
		if (!cursor->told && (cursor->next < response_shown(r) || response_over(r))) {
			cursor->told = true;
			cursor->sink->ready(cursor);
		}
	}
	response_release(r);
}

void response_tell_refused(struct response *r, const struct api_error *error) {
	response_hold(r);
	while (!list_empty(&r->cursors)) {
		struct cursor *cursor = container_of(r->cursors.next, struct cursor, link);
		list_remove(&cursor->link);
		cursor->response = NULL;
		cursor->sink->refused(cursor, error);
		response_release(r);
	}
	response_release(r);
}

/* Unless a killed server left the log: then its client saw what was never stored, and still has to hear how it ended. */
void response_place_cursors(struct response *r) {
	struct api_error error;
	failure_past_the_end(r->output.events.count, &error);
	list_each(node, after, &r->cursors) {
		struct cursor *cursor = container_of(node, struct cursor, link);
		if (r->torn && cursor->next >= r->output.events.count) {
			cursor->next = r->output.events.count - 1;
		} else if (cursor->next > r->output.events.count) {
			list_remove(&cursor->link);
			cursor->response = NULL;
			cursor->sink->refused(cursor, &error);
			response_release(r);
		}
	}
}

static void on_notice(struct deferred *notice) {
	response_notify(container_of(notice, struct response, notice));
}

void response_notify_later(struct response *r) {
	registry_defer(r->registry, &r->notice, on_notice);
}
