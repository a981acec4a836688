#include "settle.h"

#include "base/mem.h"
#include "base/str.h"

/* How often it is looked whether the store writes again; the store itself tries once a second. */
#define LOOK_MS 250

struct conversation_entry settle_entry(const struct response *r) {
	const struct item_list *output = response_output(r);
	return (struct conversation_entry){
		.response_id = r->id,
		.parent_id = r->parent_id,
		.model = r->model,
		.settings = &r->settings,
		.input = &r->input,
		.created_ms = r->created_ms,
		.completed_ms = r->completed_ms,
		.status = r->status,
		.reason = r->reason,
		.error_message = r->error_message ? r->error_message : "",
		.output = output->items,
		.output_count = output->count,
		.usage = r->usage,
		.frees_claim = r->frees_claim || r->state == STATE_REFUSED,
	};
}

struct conversation_op *settle_write(struct response *r, settle_write_fn *write, conversation_written_fn *done) {
	struct conversation_op *op = NULL;
	struct buf encoded = BUF_INIT;
	event_log_encode(&r->output.events, 0, &encoded);
	if (!event_log_ended(&r->output.events)) {
		buf_append_char(&encoded, EVENT_TERMINAL);
	}
	if (!encoded.failed) {
		struct conversation_entry entry = settle_entry(r);
		entry.events = buf_str(&encoded);
		op = write(r->conversation, &entry, done, r);
	}
	buf_free(&encoded);
	return op;
}

static void let_go(struct response *r) {
	struct registry *registry = r->registry;
	map_remove(registry->unsettled, str_of(r->id));
	directory_settle(registry->directory, &r->presence);
	gauge_set(registry->metrics.unsettled, (int64_t)map_count(registry->unsettled));
	if (map_count(registry->unsettled) == 0) {
		uv_timer_stop(registry->settler);
	}
	registry_rest(registry);
	response_release(r);
}

/* Failures that no repetition mends. */
static bool is_final(const struct err *err) {
	return err->code == ERR_NOT_FOUND || err->code == ERR_CORRUPT || err->code == ERR_INVALID ||
	       err->code == ERR_LIMIT;
}

static void on_settled(void *owner, const struct err *err) {
	struct response *r = owner;
	r->finishing = NULL;
	r->registry->settling--;
	r->registry->settles = !err;
	if (!err) {
		log_info(&r->log, "response stored after all");
	} else if (err->code == ERR_NOT_FOUND) {
		log_info(&r->log, "response need not be stored: it is gone, or never was");
	} else if (is_final(err)) {
		log_error(&r->log, "response cannot be stored", LOG_ERR(err));
	}
	if (!err || is_final(err)) {
		let_go(r);
	}
}

/* One is tried first. Once that went well, all. */
static void on_timer(uv_timer_t *timer) {
	struct registry *registry = timer->data;
	size_t position = 0;
	void *value = NULL;
	while ((registry->settles || !registry->settling) && map_next(registry->unsettled, &position, NULL, &value)) {
		struct response *r = value;
		if (!r->finishing && conversations_health(r->deps->conversations, NULL) == 0) {
			r->finishing = settle_write(r, conversation_finish_again, on_settled);
			registry->settling += r->finishing != NULL;
		}
	}
}

/* A response that was refused was cut off in the middle: what came is what is kept, if anything is. */
static int close_log(struct response *r) {
	if (response_ended(r) || r->state == STATE_COMMITTING) {
		return 0;
	}
	if (r->state == STATE_STREAMING && output_close(&r->output, ITEM_INCOMPLETE)) {
		return -1;
	}
	return event_log_close(&r->output.events, r->output.items.items, r->output.items.count);
}

void settle_later(struct response *r, const struct err *err) {
	struct registry *registry = r->registry;
	if (map_get(registry->unsettled, str_of(r->id))) {
		return; /* its end failed before its beginning did */
	}
	if (!r->completed_ms) {
		r->completed_ms = clock_wall_ms(r->deps->clock);
	}
	if (close_log(r) || map_put(registry->unsettled, str_of(r->id), r)) {
		log_error(&r->log, "no memory to store the response later", LOG_ERR(err));
		return;
	}
	log_warn(&r->log, "response is not stored yet", LOG_S("status", response_status_name(r->status)), LOG_ERR(err));
	response_hold(r);
	directory_owe(registry->directory, &r->presence);
	registry->settles = false;
	gauge_set(registry->metrics.unsettled, (int64_t)map_count(registry->unsettled));
	if (!uv_is_active((const uv_handle_t *)registry->settler)) {
		uv_timer_start(registry->settler, on_timer, LOOK_MS, LOOK_MS);
	}
}

struct response *settle_find(const struct registry *registry, struct str id) {
	struct response *r = map_get(registry->unsettled, id);
	return r && r->state != STATE_REFUSED ? r : NULL;
}

void settle_drop_all(struct registry *registry) {
	size_t position = 0;
	void *value = NULL;
	while (map_next(registry->unsettled, &position, NULL, &value)) {
		struct response *r = value;
		directory_settle(registry->directory, &r->presence);
		response_release(r);
	}
}
