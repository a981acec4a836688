#include "context.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "context_size.h"
#include "proto/file.h"
#include "upstream/client.h"

#define PARAM_SIZE sizeof((struct api_error){0}.param)
#define SUMMARY "Summary of the conversation so far:\n\n"

/* Where an item stands: for what is said about it. */
struct place {
	bool is_input; /* of this request, as its element `index` */
	size_t index;
};

struct walk {
	struct context *context;
	const struct context_source *source;
	struct api_error *error;
	struct chat_message *assistant; /* the message that the model's next items belong to; NULL: none yet */
	struct chat_message *caller;    /* the message behind which results of its calls may stand; NULL: none */
	struct str thought;             /* of the model, for its next message */
	const struct item *last_user;   /* reasoning from before it is of no use any more */
	bool past_last_user;
	bool turn_begins;
	bool is_answer; /* the items are what the model said in one go */
	bool is_cut;    /* and it did not end as completed */
};

/* --- memory --------------------------------------------------------------------------------------------------------- */

struct need {
	size_t items, parts;
};

static void measure(struct need *need, const struct item_list *list) {
	for (size_t i = 0; i < list->count; i++) {
		need->items++;
		need->parts += list->items[i].part_count;
	}
}

static int reserve(struct context *context, const struct context_source *source) {
	struct need need = {.items = 1, .parts = 1};
	measure(&need, source->input);
	for (const struct turn *turn = source->parent; turn; turn = turn->parent) {
		measure(&need, &turn->input);
		measure(&need, &turn->output);
	}
	context->all = mem_zarray(need.items, sizeof *context->all);
	context->begins = mem_zarray(need.items, sizeof *context->begins);
	context->parts = mem_zarray(need.parts, sizeof *context->parts);
	context->calls = mem_zarray(need.items, sizeof *context->calls);
	context->owned = mem_zarray(need.parts, sizeof *context->owned);
	context->messages = context->all;
	return context->all && context->begins && context->parts && context->calls && context->owned ? 0 : -1;
}

void context_free(struct context *context) {
	for (size_t i = 0; i < context->owned_count; i++) {
		mem_free(context->owned[i]);
	}
	mem_free(context->all);
	mem_free(context->begins);
	mem_free(context->parts);
	mem_free(context->calls);
	mem_free(context->owned);
	*context = (struct context){0};
}

/* --- building ------------------------------------------------------------------------------------------------------- */

static int no_memory(const struct walk *walk) {
	return api_error_set(walk->error, API_OVERLOADED, NULL, NULL);
}

/* A client that keeps the conversation itself sends all turns as one: they begin where the user speaks. */
static bool user_begins(const struct context *context, const char *role) {
	return strcmp(role, "user") == 0 && context->count > 0 &&
	       strcmp(context->all[context->count - 1].role, "user") != 0;
}

static struct chat_message *add_message(struct walk *walk, const char *role) {
	struct context *context = walk->context;
	context->begins[context->count] = walk->turn_begins || user_begins(context, role);
	walk->turn_begins = false;
	struct chat_message *message = &context->all[context->count++];
	message->role = role;
	message->parts = &context->parts[context->part_count];
	message->calls = &context->calls[context->call_count];
	walk->assistant = strcmp(role, "assistant") == 0 ? message : NULL;
	/* A thought that came to nothing is not shown. */
	message->reasoning = walk->assistant ? walk->thought : STR_NONE;
	walk->thought = STR_NONE;
	walk->caller = strcmp(role, "tool") == 0 ? walk->caller : NULL;
	return message;
}

static struct chat_part *add_part(struct walk *walk, struct chat_message *message, enum chat_part_kind kind,
				  struct str text) {
	struct chat_part *part = &walk->context->parts[walk->context->part_count++];
	*part = (struct chat_part){.kind = kind, .text = text};
	message->part_count++;
	return part;
}

/* Keeps a text that was made for the messages. -1 when memory is out. */
static int own(struct walk *walk, struct buf *text, struct str *kept) {
	size_t length = text->length;
	char *taken = buf_take_text(text);
	if (!taken) {
		return no_memory(walk);
	}
	walk->context->owned[walk->context->owned_count++] = taken;
	*kept = (struct str){taken, length};
	return 0;
}

/* "input[2].content[0]", or the field through which an earlier turn's item came. */
static void name_place(const struct walk *walk, const struct place *place, const char *below, size_t index,
		       char param[static PARAM_SIZE]) {
	if (!place->is_input) {
		snprintf(param, PARAM_SIZE, "%s", walk->source->parent_param);
	} else {
		snprintf(param, PARAM_SIZE, "input[%zu].%s[%zu]", place->index, below, index);
	}
}

static int require(struct walk *walk, uint32_t ability, const char *param) {
	static const struct {
		uint32_t bit;
		const char *what;
	} abilities[] = {{UPSTREAM_CAN_IMAGES, "images"}, {UPSTREAM_CAN_FILES, "files that are not text"}};
	walk->context->needs |= ability;
	if (walk->source->can & ability) {
		return 0;
	}
	const char *what = "this";
	for (size_t i = 0; i < sizeof abilities / sizeof abilities[0]; i++) {
		what = abilities[i].bit == ability ? abilities[i].what : what;
	}
	return api_error_set(walk->error, API_UNSUPPORTED, param,
			     "The model does not take %s. Leave it out, or ask another model.", what);
}

/* Text files are shown as text: any model can read them. */
static int add_file(struct walk *walk, struct chat_message *message, const struct part *part, const char *param) {
	struct buf text = BUF_INIT;
	struct str kept = STR_NONE;
	buf_printf(&text, "File %s:\n\n", part->filename ? part->filename : "without a name");
	if (file_text(part, &text) == 0) {
		if (own(walk, &text, &kept)) {
			return -1;
		}
		add_part(walk, message, CHAT_PART_TEXT, kept);
		return 0;
	}
	buf_free(&text);
	struct chat_part *file = add_part(walk, message, CHAT_PART_FILE, (struct str){part->text, part->length});
	file->filename = part->filename;
	return require(walk, UPSTREAM_CAN_FILES, param);
}

static int add_content(struct walk *walk, struct chat_message *message, const struct part *part, const char *param) {
	const struct str text = {part->text, part->length};
	switch (part->kind) {
	case PART_INPUT_IMAGE:
		/* "auto" is what it is without a word. */
		add_part(walk, message, CHAT_PART_IMAGE, text)->detail =
			str_is(str_of(part->detail), "auto") ? NULL : part->detail;
		return require(walk, UPSTREAM_CAN_IMAGES, param);
	case PART_INPUT_VIDEO:
		add_part(walk, message, CHAT_PART_VIDEO, text);
		return require(walk, UPSTREAM_CAN_FILES, param);
	case PART_INPUT_FILE:
		return add_file(walk, message, part, param);
	default:
		/* A refusal too: few model servers know it as a kind of its own. */
		add_part(walk, message, CHAT_PART_TEXT, text);
		return 0;
	}
}

static int add_contents(struct walk *walk, struct chat_message *message, const struct item *item,
			const struct place *place) {
	const char *below = item->kind == ITEM_MESSAGE ? "content" : "output";
	for (size_t i = 0; i < item->part_count; i++) {
		char param[PARAM_SIZE];
		name_place(walk, place, below, i, param);
		if (add_content(walk, message, &item->parts[i], param)) {
			return -1;
		}
	}
	return 0;
}

/* --- items ---------------------------------------------------------------------------------------------------------- */

/* Whether what the model says next belongs to the message before. What stands beside calls must: their results come right
 * behind the message that has them. */
static bool goes_on(const struct walk *walk) {
	return walk->assistant && (walk->is_answer || walk->assistant->call_count);
}

static int add_item_message(struct walk *walk, const struct item *item, const struct place *place) {
	bool joins = item->role == ROLE_ASSISTANT && goes_on(walk);
	struct chat_message *message = joins ? walk->assistant : add_message(walk, item_role_name(item->role));
	walk->past_last_user = walk->past_last_user || item == walk->last_user;
	return add_contents(walk, message, item, place);
}

static bool has_result_in(const struct item_list *list, const char *call_id) {
	for (size_t i = 0; i < list->count; i++) {
		const struct item *item = &list->items[i];
		if (item->kind == ITEM_FUNCTION_CALL_OUTPUT && strcmp(item->call_id, call_id) == 0) {
			return true;
		}
	}
	return false;
}

static bool has_result(const struct walk *walk, const char *call_id) {
	bool found = has_result_in(walk->source->input, call_id);
	for (const struct turn *turn = walk->source->parent; turn && !found; turn = turn->parent) {
		found = has_result_in(&turn->input, call_id);
	}
	return found;
}

/* One that was cut off in the middle was never made. Of an answer that was cut off, a whole one may have been answered or
 * not; of others the model's server has to hear if a result is missing. */
static bool is_shown(const struct walk *walk, const struct item *call) {
	return call->status != ITEM_INCOMPLETE && (!walk->is_cut || has_result(walk, call->call_id));
}

static int add_call(struct walk *walk, const struct item *item) {
	const struct part *arguments = item_part(item, PART_ARGUMENTS);
	if (!is_shown(walk, item)) {
		return 0;
	}
	struct chat_message *message = walk->assistant ? walk->assistant : add_message(walk, "assistant");
	walk->context->calls[walk->context->call_count++] =
		(struct chat_call){item->call_id, item->name, {arguments->text, arguments->length}};
	message->call_count++;
	walk->caller = message;
	return 0;
}

static int add_output(struct walk *walk, const struct item *item, const struct place *place) {
	struct chat_message *message = add_message(walk, "tool");
	message->call_id = item->call_id;
	return add_contents(walk, message, item, place);
}

static int unseal(struct walk *walk, const char *purpose, const struct part *part, const struct place *place,
		  struct buf *text) {
	const struct str blob = {part->text, part->length};
	struct err err = {0};
	if (conversation_open_blob(walk->source->conversations, walk->source->owner, purpose, blob, text, &err) == 0) {
		return 0;
	}
	char param[PARAM_SIZE];
	if (place->is_input) {
		snprintf(param, sizeof param, "input[%zu].encrypted_content", place->index);
	} else {
		snprintf(param, sizeof param, "%s", walk->source->parent_param);
	}
	return err.code == ERR_MEMORY
		       ? no_memory(walk)
		       : api_error_set(
				 walk->error, API_INVALID_VALUE, param,
				 "%s was not made by this server for this user, or was changed; leave the item out.",
				 param);
}

/* The whole thought, or what was sealed of it. -1 with an error. */
static int append_thought(struct walk *walk, const struct item *item, const struct place *place, struct buf *text) {
	const struct part *encrypted = item_part(item, PART_ENCRYPTED);
	size_t before = text->length;
	for (size_t i = 0; i < item->part_count; i++) {
		if (item->parts[i].kind == PART_REASONING_TEXT) {
			buf_append(text, item->parts[i].text, item->parts[i].length);
		}
	}
	bool is_sealed = text->length == before && encrypted;
	return is_sealed ? unseal(walk, "reasoning", encrypted, place, text) : 0;
}

/* What the model thought since the user last spoke helps it to go on with its function calls. */
static int add_reasoning(struct walk *walk, const struct item *item, const struct place *place) {
	if (!item->part_count || !walk->past_last_user || !(walk->source->can & UPSTREAM_CAN_REASONING)) {
		return 0;
	}
	struct buf text = BUF_INIT;
	/* Behind what there is: of the message that it belongs to, or of one that is still to come. */
	struct str *thoughts = goes_on(walk) ? &walk->assistant->reasoning : &walk->thought;
	buf_append_str(&text, *thoughts);
	if (append_thought(walk, item, place, &text)) {
		buf_free(&text);
		return -1;
	}
	if (text.length == thoughts->length && !text.failed) {
		buf_free(&text);
		return 0;
	}
	if (thoughts == &walk->thought) {
		walk->assistant = NULL;
	}
	return own(walk, &text, thoughts);
}

static int add_compaction(struct walk *walk, const struct item *item, const struct place *place) {
	struct buf text = BUF_INIT;
	struct str kept = STR_NONE;
	buf_append_text(&text, SUMMARY);
	if (unseal(walk, "compaction", item_part(item, PART_ENCRYPTED), place, &text)) {
		buf_free(&text);
		return -1;
	}
	struct chat_message *message = add_message(walk, "user");
	if (own(walk, &text, &kept)) {
		return -1;
	}
	add_part(walk, message, CHAT_PART_TEXT, kept);
	return 0;
}

static int add_item(struct walk *walk, const struct item *item, const struct place *place) {
	switch (item->kind) {
	case ITEM_MESSAGE:
		return add_item_message(walk, item, place);
	case ITEM_FUNCTION_CALL:
		return add_call(walk, item);
	case ITEM_FUNCTION_CALL_OUTPUT:
		return add_output(walk, item, place);
	case ITEM_REASONING:
		return add_reasoning(walk, item, place);
	case ITEM_COMPACTION:
		return add_compaction(walk, item, place);
	case ITEM_REFERENCE: /* what they stand for was put in their place */
	case ITEM_EXTENSION:
		break;
	}
	return 0;
}

static bool has_called(const struct chat_message *message, const char *call_id) {
	for (size_t i = 0; message && i < message->call_count; i++) {
		if (strcmp(message->calls[i].id, call_id) == 0) {
			return true;
		}
	}
	return false;
}

/* Whether it would stand between calls and their results. */
static bool interrupts(const struct walk *walk, const struct item *item) {
	return walk->caller &&
	       (item->kind == ITEM_COMPACTION || (item->kind == ITEM_MESSAGE && item->role != ROLE_ASSISTANT));
}

/* A user may speak before the results of calls come; to a model they have to come first. `early` gets those that are
 * added here. */
static int add_results(struct walk *walk, const struct item_list *list, struct place from, bool *early) {
	for (struct place place = from; place.index < list->count; place.index++) {
		const struct item *item = &list->items[place.index];
		bool fits = item->kind == ITEM_FUNCTION_CALL_OUTPUT && has_called(walk->caller, item->call_id);
		if (fits && !early[place.index]) {
			early[place.index] = true;
			if (add_output(walk, item, &place)) {
				return -1;
			}
		}
	}
	return 0;
}

static int add_list(struct walk *walk, const struct item_list *list, bool is_input) {
	bool *early = mem_zarray(list->count + 1, sizeof *early);
	if (!early) {
		return no_memory(walk);
	}
	int result = 0;
	struct place place = {.is_input = is_input};
	for (; result == 0 && place.index < list->count; place.index++) {
		const struct item *item = &list->items[place.index];
		if (early[place.index]) {
			continue;
		}
		if (interrupts(walk, item) && add_results(walk, list, place, early)) {
			result = -1;
		} else {
			result = add_item(walk, item, &place);
		}
	}
	mem_free(early);
	return result;
}

/* --- turns ---------------------------------------------------------------------------------------------------------- */

static const struct item *last_user_of(const struct item_list *list) {
	for (size_t i = list->count; i-- > 0;) {
		if (list->items[i].kind == ITEM_MESSAGE && list->items[i].role == ROLE_USER) {
			return &list->items[i];
		}
	}
	return NULL;
}

static const struct item *find_last_user(const struct context_source *source) {
	const struct item *found = last_user_of(source->input);
	for (const struct turn *turn = source->parent; !found && turn; turn = turn->parent) {
		found = last_user_of(&turn->input);
	}
	return found;
}

/* The turns, oldest first. NULL when memory is out. */
static const struct turn **list_turns(const struct turn *newest, size_t *count) {
	*count = 0;
	for (const struct turn *turn = newest; turn; turn = turn->parent) {
		(*count)++;
	}
	const struct turn **turns = mem_zarray(*count + 1, sizeof *turns);
	size_t at = *count;
	for (const struct turn *turn = newest; turns && turn; turn = turn->parent) {
		turns[--at] = turn;
	}
	return turns;
}

static int add_answer(struct walk *walk, const struct turn *turn) {
	walk->assistant = NULL;
	walk->is_answer = true;
	walk->is_cut = turn->cut;
	int result = add_list(walk, &turn->output, false);
	walk->is_answer = false;
	walk->is_cut = false;
	return result;
}

static int add_turns(struct walk *walk) {
	size_t count = 0;
	const struct turn **turns = list_turns(walk->source->parent, &count);
	if (!turns) {
		return no_memory(walk);
	}
	int result = 0;
	for (size_t i = 0; result == 0 && i < count; i++) {
		walk->turn_begins = true;
		result = add_list(walk, &turns[i]->input, false) || add_answer(walk, turns[i]) ? -1 : 0;
	}
	mem_free(turns);
	walk->turn_begins = true;
	return result == 0 ? add_list(walk, walk->source->input, true) : -1;
}

static int add_all(struct walk *walk) {
	const char *instructions = walk->source->settings->instructions;
	if (instructions) {
		add_part(walk, add_message(walk, "system"), CHAT_PART_TEXT, str_of(instructions));
	}
	return add_turns(walk);
}

int context_build(struct context *context, const struct context_source *source, struct api_error *error) {
	*context = (struct context){0};
	*error = (struct api_error){0};
	struct walk walk = {.context = context, .source = source, .error = error, .last_user = find_last_user(source)};
	walk.past_last_user = !walk.last_user;
	if (reserve(context, source)) {
		no_memory(&walk);
		goto fail;
	}
	if (add_all(&walk) || context_fit(context, source, error)) {
		goto fail;
	}
	return 0;

fail:
	context_free(context);
	return -1;
}
