#include "mirror_home.h"

#include <string.h>

#include "base/str.h"
#include "settle.h"

/* The last that is sent: the other side lets go by itself. */
static void send_last(struct mirror_link *link) {
	cursor_close(&link->cursor);
	list_remove(&link->link);
	mirror_link_carry(link);
	mirror_link_release(link);
}

static void send_gone(struct mirror_link *link) {
	link->increment.kind = INCREMENT_GONE;
	send_last(link);
}

static void send_refusal(struct mirror_link *link, const struct api_error *error) {
	link->increment.kind = INCREMENT_REFUSED;
	link->increment.error = *error;
	send_last(link);
}

/* Its cursors were handed over to an earlier response. Where that is, on which loop or in the store, is found best from
 * where it is wanted. */
static bool has_joined(const struct mirror_link *link, const struct response *r) {
	return strcmp(r->id, link->home.id) != 0;
}

static void send_joined(struct mirror_link *link, const struct response *r) {
	link->increment.kind = INCREMENT_JOINED;
	memcpy(link->increment.joined, r->id, sizeof link->increment.joined);
	send_last(link);
}

/* What there is, if the last was taken. */
static void send_more(struct mirror_link *link) {
	struct response *r = link->cursor.response;
	if (link->busy || !r || (link->cursor.next >= response_shown(r) && !response_over(r))) {
		return;
	}
	if (has_joined(link, r)) {
		send_joined(link, r);
		return;
	}
	if (increment_take(&link->increment, r, link->cursor.next)) {
		struct api_error error;
		api_error_set(&error, API_OVERLOADED, NULL, NULL);
		send_refusal(link, &error);
		return;
	}
	link->cursor.next = response_shown(r);
	link->cursor.told = false;
	if (link->increment.ends || link->kind == MIRROR_GLANCE) {
		send_last(link);
	} else {
		link->busy = true;
		mirror_link_carry(link);
	}
}

static void on_ready(struct cursor *cursor) {
	send_more(cursor->owner);
}

/* Nothing was shown of it, so nothing is under way. */
static void on_refused(struct cursor *cursor, const struct api_error *error) {
	send_refusal(cursor->owner, error);
}

static const struct cursor_sink sink = {.ready = on_ready, .refused = on_refused};

static struct response *find(const struct registry *registry, const struct place *place) {
	struct response *r = map_get(registry->live, str_of(place->id));
	r = r ? r : settle_find(registry, str_of(place->id));
	return r && strcmp(r->owner, place->owner) == 0 ? r : NULL;
}

static void take_once(struct mirror_link *link, struct response *r) {
	if (increment_take(&link->increment, r, 0) == 0) {
		send_last(link);
	} else {
		struct api_error error;
		api_error_set(&error, API_OVERLOADED, NULL, NULL);
		send_refusal(link, &error);
	}
}

static void on_open(struct letter *letter) {
	struct mirror_link *link = container_of(letter, struct mirror_link, letter);
	struct registry *registry = directory_registry(link->directory, link->home.loop);
	struct response *r = find(registry, &link->home);
	mirror_link_hold(link); /* this side's */
	if (r && link->kind == MIRROR_GLANCE && r->shown) {
		/* Without a cursor: who looks once is no watcher. */
		take_once(link, r);
	} else if (r) {
		list_append(&registry->links, &link->link);
		cursor_open(&link->cursor, r, 0, &sink, link);
		response_notify_later(r);
	} else {
		send_gone(link);
	}
	mirror_link_release(link); /* the letter's */
}

static void on_taken(struct letter *letter) {
	struct mirror_link *link = container_of(letter, struct mirror_link, letter);
	link->busy = false;
	send_more(link);
	mirror_link_release(link);
}

static void on_leave(struct letter *letter) {
	struct mirror_link *link = container_of(letter, struct mirror_link, leaving);
	if (list_linked(&link->link)) {
		cursor_close(&link->cursor);
		list_remove(&link->link);
		mirror_link_release(link);
	}
	mirror_link_release(link); /* the letter's */
}

const struct mirror_home mirror_home_side = {.open = on_open, .taken = on_taken, .leave = on_leave};

/* Of a letter that is under way its loop hears when it sends that back. */
void mirror_home_close(struct registry *registry) {
	while (!list_empty(&registry->links)) {
		struct mirror_link *link = container_of(registry->links.next, struct mirror_link, link);
		cursor_let_go(&link->cursor);
		if (link->busy) {
			list_remove(&link->link);
			mirror_link_release(link);
		} else {
			send_gone(link);
		}
	}
}
