#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "response.h"

static const char *const state_names[STATE_COUNT] = {
	"reading",   "accepted",   "claiming", "loading",   "connecting", "streaming", "committing",
	"completed", "incomplete", "failed",   "cancelled", "refused",    "joined",
};

#define TO(state) (1u << (state))
#define ENDS (TO(STATE_COMPLETED) | TO(STATE_INCOMPLETE) | TO(STATE_FAILED) | TO(STATE_CANCELLED))

/* Where each state may go. A response that nobody can read any more ends without a commit. */
static const uint32_t transitions[STATE_COUNT] = {
	[STATE_READING] = ENDS | TO(STATE_REFUSED) | TO(STATE_STREAMING), /* the latter on another loop */
	[STATE_ACCEPTED] =
		TO(STATE_CLAIMING) | TO(STATE_LOADING) | TO(STATE_CONNECTING) | TO(STATE_REFUSED) | TO(STATE_CANCELLED),
	[STATE_CLAIMING] =
		TO(STATE_LOADING) | TO(STATE_CONNECTING) | TO(STATE_REFUSED) | TO(STATE_CANCELLED) | TO(STATE_JOINED),
	[STATE_LOADING] = TO(STATE_CONNECTING) | TO(STATE_REFUSED) | TO(STATE_CANCELLED),
	[STATE_CONNECTING] = TO(STATE_STREAMING) | TO(STATE_COMMITTING) | TO(STATE_REFUSED) | TO(STATE_CANCELLED),
	[STATE_STREAMING] = TO(STATE_COMMITTING) | TO(STATE_REFUSED) | TO(STATE_CANCELLED),
	[STATE_COMMITTING] = ENDS | TO(STATE_REFUSED),
};

bool response_move(struct response *r, enum response_state to) {
	if (!(transitions[r->state] & TO(to))) {
		log_error(&r->log, "response may not move", LOG_S("from", state_names[r->state]),
			  LOG_S("to", state_names[to]));
		return false;
	}
	log_debug(&r->log, "response moves", LOG_S("from", state_names[r->state]), LOG_S("to", state_names[to]));
	r->state = to;
	return true;
}

enum response_state response_end_state(enum response_status status) {
	static const enum response_state ends[] = {
		[RESPONSE_COMPLETED] = STATE_COMPLETED,
		[RESPONSE_INCOMPLETE] = STATE_INCOMPLETE,
		[RESPONSE_FAILED] = STATE_FAILED,
		[RESPONSE_CANCELLED] = STATE_CANCELLED,
	};
	return ends[status];
}

void response_watched(struct response *r) {
	if (list_linked(&r->unwatched_link)) {
		list_remove(&r->unwatched_link);
		directory_watched(&r->presence);
	}
}

void response_set_conversation(struct response *r, struct conversation *conversation) {
	r->conversation = conversation;
	if (r->presence.directory && directory_occupy(&r->presence, conversation_id(conversation), false) != OCCUPIED) {
		log_warn(&r->log, "no memory to tell followers");
	}
	str_copy_cut(r->conversation_id, sizeof r->conversation_id, str_of(conversation_id(conversation)));
}

/* So that a client that has nothing stored can bring the reasoning back, as include asks for. */
static int seal_reasoning(void *owner, struct item *item) {
	const struct response *r = owner;
	const struct part *reasoning = item_part(item, PART_REASONING_TEXT);
	struct buf blob = BUF_INIT;
	if (item->kind != ITEM_REASONING || !reasoning || !r->settings.includes_encrypted) {
		return 0;
	}
	int result = conversation_seal_blob(r->deps->conversations, r->owner, "reasoning",
					    (struct str){reasoning->text, reasoning->length}, &blob);
	if (result == 0 && !item_add_part(item, PART_ENCRYPTED, buf_str(&blob))) {
		result = -1;
	}
	buf_free(&blob);
	return result;
}

struct response *response_new(struct registry *registry, const struct engine_deps *deps,
			      const struct engine_start *start, const struct upstream_model *model) {
	struct response *r = mem_zalloc(sizeof *r);
	if (!r) {
		return NULL;
	}
	r->references = 1;
	r->state = STATE_ACCEPTED;
	r->registry = registry;
	r->deps = deps;
	r->created_ms = clock_wall_ms(deps->clock);
	r->started_us = clock_monotonic_us(deps->clock);
	list_init(&r->cursors);
	list_init(&r->untold);
	id_make(r->id, "resp", r->created_ms);
	output_init(&r->output);
	r->output.now_ms = r->created_ms;
	r->output.closing = seal_reasoning;
	r->output.owner = r;
	str_copy_cut(r->owner, sizeof r->owner, str_of(start->owner));
	str_copy_cut(r->model, sizeof r->model, str_of(model->name));
	r->can = model->can;
	r->context_tokens = model->context;
	memcpy(r->parent_id, start->request->previous_response_id, sizeof r->parent_id);
	memcpy(r->continues, start->request->conversation, sizeof r->continues);
	r->settings = start->request->settings;
	r->prepare_only = start->request->prepare_only;
	r->counts = start->request->counts;
	r->input = start->request->input;
	*start->request = (struct request){0};
	r->parent = turn_hold(start->parent);
	r->status = RESPONSE_IN_PROGRESS;
	r->presence.id = r->id;
	r->presence.owner = r->owner;
	r->presence.background = r->settings.background;
	log_child(&r->log, start->log, "response", r->id);
	return r;
}

static void response_free(struct response *r) {
	if (r->let_go) {
		r->let_go(r);
	}
	directory_leave(&r->presence, false);
	list_remove(&r->unwatched_link);
	registry_undefer(&r->step);
	registry_undefer(&r->notice);
	conversation_cancel(&r->loading);
	conversation_cancel(&r->beginning);
	conversation_cancel(&r->finishing);
	conversation_cancel(&r->checkpoint);
	upstream_cancel(&r->call);
	request_settings_free(&r->settings);
	item_list_free(&r->input);
	item_list_free(&r->so_far);
	turn_release(&r->parent);
	turn_release(&r->turn);
	conversation_release(&r->conversation);
	output_free(&r->output);
	mem_free(r->error_message);
	mem_free(r->claim);
	mem_free(r);
}

void response_hold(struct response *r) {
	r->references++;
}

void response_release(struct response *r) {
	if (--r->references == 0) {
		response_free(r);
	}
}
