#include "response.h"
#include "view.h"

void cursor_open(struct cursor *cursor, struct response *response, uint32_t next, const struct cursor_sink *sink,
		 void *owner) {
	*cursor = (struct cursor){.response = response, .next = next, .sink = sink, .owner = owner};
	response_hold(response);
	list_append(&response->cursors, &cursor->link);
	if (next < response_shown(response)) {
		response_notify_later(response);
	}
}

void cursor_close(struct cursor *cursor) {
	struct response *response = cursor->response;
	if (!response) {
		return;
	}
	cursor->response = NULL;
	list_remove(&cursor->link);
	if (list_empty(&response->cursors)) {
		response_abandon(response);
	}
	response_release(response);
}

bool cursor_next(struct cursor *cursor, struct buf *out, const char **name) {
	struct response *response = cursor->response;
	if (!response || cursor->next >= response_shown(response)) {
		cursor->told = false;
		return false;
	}
	const char *type = view_write_event(response, cursor->next, out);
	if (name) {
		*name = type;
	}
	cursor->next++;
	return true;
}

bool cursor_finished(const struct cursor *cursor) {
	return cursor->response && response_ended(cursor->response) && cursor->next >= response_shown(cursor->response);
}
