#include "response.h"
#include "unwatched.h"
#include "view.h"

void cursor_open(struct cursor *cursor, struct response *response, uint32_t next, const struct cursor_sink *sink,
		 void *owner) {
	*cursor = (struct cursor){.response = response, .next = next, .sink = sink, .owner = owner};
	response_hold(response);
	list_append(&response->cursors, &cursor->link);
	response_watched(response);
	if (next < response_shown(response)) {
		response_notify_later(response);
	}
}

static bool is_watched(const struct response *response) {
	return !list_empty(&response->cursors) || !list_empty(&response->untold);
}

static bool is_running(const struct response *response) {
	return response->state < STATE_COMMITTING && !response->replayed;
}

void cursor_close(struct cursor *cursor) {
	struct response *response = cursor->response;
	if (!response) {
		return;
	}
	cursor->response = NULL;
	list_remove(&cursor->link);
	if (!is_watched(response) && is_running(response)) {
		if (response->settings.store) {
			unwatched_add(response);
		} else {
			response_abandon(response);
		}
	}
	response_release(response);
}

void cursor_let_go(struct cursor *cursor) {
	struct response *response = cursor->response;
	if (response) {
		cursor->response = NULL;
		list_remove(&cursor->link);
		response_release(response);
	}
}

bool cursor_next(struct cursor *cursor, struct buf *out, const char **name) {
	struct response *response = cursor->response;
	if (!response || cursor->next >= response_shown(response)) {
		cursor->told = false;
		return false;
	}
	if (cursor->sink->form == CURSOR_EVENTS) {
		view_write_event(response, cursor->next, cursor->pads, out);
	} else {
		view_write_chunks(cursor, out);
	}
	if (name) {
		*name = view_event_name(response, cursor->next);
	}
	cursor->next++;
	return true;
}

bool cursor_finished(const struct cursor *cursor) {
	return cursor->response && response_over(cursor->response) && cursor->next >= response_shown(cursor->response);
}
