#include "mirror.h"

#include "base/mem.h"
#include "base/str.h"

struct response *mirror_find(const struct registry *registry, struct str id) {
	return map_get(registry->mirrors, id);
}

static void detach(struct response *r) {
	struct mirror_link *link = r->link;
	r->link = NULL;
	if (link->kind == MIRROR_SHARED) {
		map_remove(r->registry->mirrors, str_of(r->id));
	}
	link->mirror = NULL;
	mirror_link_release(link);
}

/* Nobody watches it here any more. */
static void leave(struct response *r) {
	if (r->link) {
		mirror_link_leave(r->link, r->registry->mirror_home->leave);
		detach(r);
	}
}

static void refuse(struct response *r, const struct api_error *error) {
	if (response_move(r, STATE_REFUSED)) {
		response_tell_refused(r, error);
	}
}

static void move_on(struct response *r, bool ends) {
	if (r->state == STATE_READING && !ends) {
		response_move(r, STATE_STREAMING);
	} else if (r->state == STATE_STREAMING && ends) {
		response_move(r, STATE_COMMITTING);
	}
	if (ends) {
		response_move(r, response_end_state(r->status));
	}
}

static void take_events(struct response *r, struct increment *increment) {
	const bool first = increment->first == 0;
	const bool ends = increment->ends;
	if (increment_apply(increment, r)) {
		struct api_error error;
		api_error_set(&error, API_OVERLOADED, NULL, NULL);
		leave(r);
		refuse(r, &error);
		return;
	}
	move_on(r, ends);
	r->shown = true;
	if (ends || r->link->kind == MIRROR_GLANCE) {
		detach(r);
	}
	if (first) {
		response_place_cursors(r);
	}
	response_notify(r);
}

/* In mid-stream its home goes with its engine. */
static void take_loss(struct response *r, mirror_gone_fn *gone, const char *joined) {
	struct api_error error;
	detach(r);
	if (r->state == STATE_READING) {
		gone(r, joined);
	} else {
		api_error_set(&error, API_DRAINING, NULL, NULL);
		refuse(r, &error);
	}
}

static void take(struct response *r, struct mirror_link *link) {
	struct api_error error = link->increment.error;
	switch (link->increment.kind) {
	case INCREMENT_EVENTS:
		take_events(r, &link->increment);
		break;
	case INCREMENT_REFUSED:
		detach(r);
		refuse(r, &error);
		break;
	case INCREMENT_GONE:
		take_loss(r, link->gone, NULL);
		break;
	case INCREMENT_JOINED:
		take_loss(r, link->gone, link->increment.joined);
		break;
	}
}

static void on_increment(struct letter *letter) {
	struct mirror_link *link = container_of(letter, struct mirror_link, letter);
	struct response *r = link->mirror;
	if (r) {
		response_hold(r);
		take(r, link);
		increment_free(&link->increment);
		if (r->link) {
			mirror_link_ask(link, r->registry->mirror_home->taken);
		}
		response_release(r);
	}
	mirror_link_release(link);
}

int mirror_open(struct response *r, const struct place *home, enum mirror_kind kind, mirror_gone_fn *gone) {
	struct registry *registry = r->registry;
	struct mirror_link *link = mem_zalloc(sizeof *link);
	/* Nobody else may find one that stands still, or that is ahead of the shared one. */
	if (!link || (kind == MIRROR_SHARED && map_put(registry->mirrors, str_of(r->id), r))) {
		mem_free(link);
		return -1;
	}
	atomic_init(&link->references, 1); /* the mirror's */
	link->directory = registry->directory;
	link->home = *home;
	link->kind = kind;
	link->away = registry->loop;
	link->mirror = r;
	link->gone = gone;
	link->take = on_increment;
	r->link = link;
	r->let_go = leave;
	mirror_link_ask(link, registry->mirror_home->open);
	return 0;
}

const struct place *mirror_home(const struct response *mirror) {
	return &mirror->link->home;
}
