#include "checkpoint.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
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

/* What came of one item since the last checkpoint: all of its parts, each with its new text alone. What is no text of the
 * model's comes with the end of the item. */
static int take_piece(const struct response *r, uint32_t index, bool ends, struct item *piece) {
	const struct item *item = &r->output.items.items[index];
	struct item made = *item;
	made.parts = NULL;
	made.part_count = 0;
	for (size_t p = 0; p < item->part_count; p++) {
		const struct part *part = &item->parts[p];
		const struct event_entry of = {.item = (uint16_t)index, .part = (uint8_t)p};
		bool streams = part->kind != PART_ENCRYPTED;
		struct part *taken = !streams && !ends ? NULL : item_add_part(&made, part->kind, STR(""));
		if (!taken || (streams ? event_log_collect(&r->output.events, r->kept_events, of, taken)
				       : part_append(taken, (struct str){part->text, part->length}))) {
			item_free(&made);
			return -1;
		}
	}
	*piece = made;
	return 0;
}

struct pieces {
	struct conversation_piece *list;
	size_t count;
};

static void pieces_free(struct pieces *pieces) {
	for (size_t i = 0; i < pieces->count; i++) {
		item_free(&pieces->list[i].item);
	}
	mem_free(pieces->list);
}

/* What came of an item. */
#define CAME_TEXT 1u
#define CAME_END 2u
#define CAME_MORE 4u /* than text alone */

static uint8_t came(enum event_kind kind) {
	return kind == EVENT_DELTA ? CAME_TEXT : kind == EVENT_ITEM_DONE ? CAME_MORE | CAME_END : CAME_MORE;
}

/* Of every item that an event since then is of. */
static int take_pieces(const struct response *r, struct pieces *pieces) {
	const struct event_log *events = &r->output.events;
	const size_t count = r->output.items.count;
	uint8_t *touched = mem_zarray(count + 1, sizeof *touched);
	pieces->list = mem_zarray(count + 1, sizeof *pieces->list);
	int result = touched && pieces->list ? 0 : -1;
	for (uint32_t i = r->kept_events; result == 0 && i < events->count; i++) {
		const struct event_entry entry = event_log_at(events, i);
		if (!event_is_of_response(entry.kind) && entry.item < count) {
			touched[entry.item] |= came(entry.kind);
		}
	}
	for (uint32_t i = 0; result == 0 && i < count; i++) {
		struct conversation_piece *piece = &pieces->list[pieces->count];
		if (touched[i]) {
			piece->index = i;
			piece->goes_on = touched[i] == CAME_TEXT && !events->side_ends;
			result = take_piece(r, i, touched[i] & CAME_END, &piece->item);
			pieces->count += result == 0;
		}
	}
	mem_free(touched);
	return result;
}

static void keep(struct response *r) {
	struct buf events = BUF_INIT;
	struct pieces pieces = {0};
	event_log_encode(&r->output.events, r->kept_events, &events);
	if (take_pieces(r, &pieces) == 0 && !events.failed) {
		const struct conversation_segment segment = {
			.response_id = r->id,
			.number = r->segments,
			.pieces = pieces.list,
			.piece_count = pieces.count,
			.events = buf_str(&events),
		};
		r->checkpoint = conversation_checkpoint(r->conversation, &segment, on_kept, r);
	}
	if (r->checkpoint) {
		r->segments++;
		r->kept_before = r->kept_events;
		r->kept_events = r->output.events.count;
	}
	pieces_free(&pieces);
	buf_free(&events);
}

void checkpoint_all(struct registry *registry) {
	size_t position = 0;
	void *live = NULL;
	struct conversations *gathering = NULL;
	while (map_next(registry->live, &position, NULL, &live)) {
		struct response *r = live;
		if (r->state == STATE_STREAMING && r->settings.store && r->shown && !r->checkpoint &&
		    r->output.events.count > r->kept_events) {
			if (!gathering) {
				gathering = r->deps->conversations;
				conversations_gather(gathering);
			}
			keep(r);
		}
	}
	if (gathering) {
		conversations_gathered(gathering);
	}
}
