#include "draft.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "codec.h"

/* The text of one record. */
struct text {
	enum record_kind kind;
	char item[ID_SIZE]; /* "" if it is none */
	struct buf bytes;
};

struct draft {
	struct store_response row;
	struct text *texts;
	size_t count;
	bool begins;
	bool ends;
	bool has_metadata;
	bool claims; /* its idempotency key */
	struct store_idempotency claim;
	bool frees_claim;
};

static struct buf *add(struct draft *draft, enum record_kind kind) {
	struct text *text = &draft->texts[draft->count++];
	text->kind = kind;
	return &text->bytes;
}

static void add_item(struct draft *draft, enum record_kind kind, const struct item *item) {
	struct text *text = &draft->texts[draft->count];
	str_copy_cut(text->item, sizeof text->item, str_of(item->id));
	item_write(add(draft, kind), item);
}

/* Settings and input. */
static void take_beginning(struct draft *draft, const struct conversation_entry *entry) {
	request_settings_write(add(draft, RECORD_SETTINGS), entry->settings);
	for (size_t i = 0; i < entry->input->count; i++) {
		add_item(draft, RECORD_INPUT, &entry->input->items[i]);
	}
}

static void take_claim(struct draft *draft, const struct conversation_entry *entry) {
	draft->claims = true;
	draft->claim.created_ms = entry->created_ms;
	memcpy(draft->claim.response, draft->row.id, sizeof draft->claim.response);
	memcpy(draft->claim.key, entry->claim->key, sizeof draft->claim.key);
	memcpy(draft->claim.body, entry->claim->body, sizeof draft->claim.body);
}

/* Output, events, error message. */
static void take_end(struct draft *draft, const struct conversation_entry *entry) {
	for (size_t i = 0; i < entry->output_count; i++) {
		add_item(draft, RECORD_OUTPUT, &entry->output[i]);
	}
	buf_append_str(add(draft, RECORD_EVENTS), entry->events);
	if (entry->error_message[0]) {
		buf_append_str(add(draft, RECORD_ERROR), str_of(entry->error_message));
	}
}

/* With room for so many texts. */
static struct draft *make(size_t texts) {
	struct draft *draft = mem_zalloc(sizeof *draft);
	if (draft && !(draft->texts = mem_zarray(texts, sizeof *draft->texts))) {
		draft_free(&draft);
	}
	return draft;
}

/* NULL when memory was out for one of its texts. */
static struct draft *made(struct draft *draft) {
	for (size_t i = 0; i < draft->count; i++) {
		if (draft->texts[i].bytes.failed) {
			draft_free(&draft);
			break;
		}
	}
	return draft;
}

struct draft *draft_new(const struct conversation_entry *entry, const char *owner, const char *thread) {
	bool begins = entry->status == RESPONSE_IN_PROGRESS;
	struct draft *draft = make(2 + (begins ? entry->input->count : entry->output_count));
	if (!draft) {
		return NULL;
	}
	codec_response_row(entry, owner, thread, &draft->row);
	draft->begins = begins;
	draft->ends = !begins;
	draft->frees_claim = entry->frees_claim;
	if (entry->claim) {
		take_claim(draft, entry);
	}
	if (draft->begins) {
		take_beginning(draft, entry);
	} else {
		take_end(draft, entry);
	}
	return made(draft);
}

/* Items are kept as a turn of their own: as a response that was prepared and asked no model. */
static void take_items(struct draft *draft, const struct conversation_edit *edit, const char *thread, int64_t now_ms) {
	const struct request_settings settings = {.store = true};
	char id[ID_SIZE];
	id_make(id, "resp", now_ms);
	const struct conversation_entry entry = {
		.response_id = id,
		.parent_id = "",
		.model = "",
		.settings = &settings,
		.input = edit->items,
		.created_ms = now_ms,
		.completed_ms = now_ms,
		.status = RESPONSE_COMPLETED,
		.reason = "",
	};
	codec_response_row(&entry, edit->owner, thread, &draft->row);
	take_beginning(draft, &entry);
}

struct draft *draft_new_edit(const struct conversation_edit *edit, const char *thread, int64_t now_ms) {
	size_t items = edit->items ? edit->items->count : 0;
	struct draft *draft = make(2 + items);
	if (!draft) {
		return NULL;
	}
	if (edit->metadata) {
		draft->has_metadata = true;
		buf_append_text(add(draft, RECORD_METADATA), edit->metadata);
	}
	if (items > 0) {
		take_items(draft, edit, thread, now_ms);
	}
	return made(draft);
}

void draft_free(struct draft **draft) {
	struct draft *d = *draft;
	*draft = NULL;
	if (d) {
		for (size_t i = 0; i < d->count; i++) {
			buf_free(&d->texts[i].bytes);
		}
		mem_free(d->texts);
		mem_free(d);
	}
}

bool draft_begins(const struct draft *draft) {
	return draft->begins;
}

bool draft_edits(const struct draft *draft) {
	return !draft->begins && !draft->ends;
}

bool draft_has_metadata(const struct draft *draft) {
	return draft->has_metadata;
}

const char *draft_response(const struct draft *draft) {
	return draft->row.id;
}

void draft_follow(struct draft *draft, const char *parent) {
	str_copy_cut(draft->row.parent, sizeof draft->row.parent, str_of(parent));
}

/* `response` is "" for a record of the thread's own. */
static int seal_text(const struct draft_writer *w, const char *response, const struct text *text, struct err *err) {
	struct store_record record;
	uint32_t number = w->head->last_number + 1;
	if (vault_seal(w->vault, response, text->kind, number, w->now_ms, buf_str(&text->bytes), &record, err)) {
		return -1;
	}
	memcpy(record.item, text->item, sizeof record.item);
	uint8_t commitment[SEAL_COMMITMENT_SIZE];
	int result = -1;
	if (seal_record_commitment(buf_str(&record.sealed), commitment, err) ||
	    seal_head_extend(w->head, vault_head_key(w->vault), number, commitment, err)) {
		goto free_record;
	}
	if (store_put_record(w->write, &record)) {
		err_set(err, ERR_MEMORY, "no memory for a record");
		goto free_record;
	}
	result = 0;

free_record:
	buf_free(&record.sealed);
	return result;
}

static int put_claim(const struct draft *draft, struct store_write *write) {
	const struct store_idempotency *claim = &draft->claim;
	if (draft->claims && store_put_idempotency(write, claim, claim->created_ms - CONVERSATION_CLAIM_MS)) {
		return -1;
	}
	return draft->frees_claim ? store_delete_idempotency(write, draft->row.id) : 0;
}

int draft_put_item(const struct draft_writer *writer, const char *response, enum record_kind kind,
		   const struct item *item, struct err *err) {
	struct text text = {.kind = kind};
	str_copy_cut(text.item, sizeof text.item, str_of(item->id));
	item_write(&text.bytes, item);
	int result = text.bytes.failed ? err_set(err, ERR_MEMORY, "no memory for an item")
				       : seal_text(writer, response, &text, err);
	buf_free(&text.bytes);
	return result;
}

int draft_seal(const struct draft *draft, const struct draft_writer *writer, struct err *err) {
	for (size_t i = 0; i < draft->count; i++) {
		const struct text *text = &draft->texts[i];
		if (seal_text(writer, text->kind == RECORD_METADATA ? "" : draft->row.id, text, err)) {
			return -1;
		}
	}
	/* With its end, a response needs its checkpoints no more. */
	if ((draft->row.id[0] && store_put_response(writer->write, &draft->row)) ||
	    (draft->ends && store_delete_segments(writer->write, draft->row.id)) || put_claim(draft, writer->write)) {
		return err_set(err, ERR_MEMORY, "no memory for a response");
	}
	return 0;
}
