#include "checkpoint.h"

#include "base/map.h"
#include "response.h"

/* Once when it falls behind and once when it has caught up, however often it was tried in between. */
static void tell(struct response *r, const struct err *err) {
	int64_t now_us = clock_monotonic_us(r->deps->clock);
	if (err && !r->behind_us) {
		r->behind_us = now_us;
		log_warn(&r->log, "checkpoint failed: a kill would lose what streams from here on", LOG_ERR(err));
	} else if (!err && r->behind_us) {
		log_info(&r->log, "checkpoint written again", LOG_I("behind_ms", (now_us - r->behind_us) / 1000));
		r->behind_us = 0;
	}
}

static void on_kept(void *owner, const struct err *err) {
	struct response *r = owner;
	r->checkpoint = NULL;
	if (err) {
		/* The next one says it again and more, under the same number: whether this one was written or not. */
		r->kept_events = r->kept_before;
		r->segments--;
		counter_add(r->registry->metrics.checkpoint_failures, 1);
	} else {
		log_debug(&r->log, "checkpoint kept", LOG_I("events", r->kept_events));
	}
	tell(r, err);
}

/* What one more event would have to be behind. */
static struct str text_since(const struct event_log *log, uint32_t first) {
	uint32_t start = first ? log->entries[first - 1].end : 0;
	return (struct str){log->text.data + start, log->entries[log->count - 1].end - start};
}

static void keep(struct response *r) {
	struct buf events = BUF_INIT;
	event_log_encode(&r->events, r->kept_events, &events);
	if (!events.failed) {
		const struct conversation_segment segment = {
			.response_id = r->id,
			.number = r->segments,
			.item_id = r->item_id,
			.text = text_since(&r->events, r->kept_events),
			.events = buf_str(&events),
		};
		r->checkpoint = conversation_checkpoint(r->conversation, &segment, on_kept, r);
	}
	if (r->checkpoint) {
		r->segments++;
		r->kept_before = r->kept_events;
		r->kept_events = r->events.count;
	}
	buf_free(&events);
}

void checkpoint_all(struct registry *registry) {
	size_t position = 0;
	void *live = NULL;
	while (map_next(registry->live, &position, NULL, &live)) {
		struct response *r = live;
		if (r->state == STATE_STREAMING && r->settings.store && r->shown && !r->checkpoint &&
		    r->events.count > r->kept_events) {
			keep(r);
		}
	}
}
