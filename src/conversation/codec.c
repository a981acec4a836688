#include "codec.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

void codec_response_row(const struct conversation_entry *entry, const char *owner, const char *thread,
			struct store_response *row) {
	const struct response_usage *usage = &entry->usage;
	*row = (struct store_response){
		.created_ms = entry->created_ms,
		.completed_ms = entry->completed_ms,
		.input_tokens = usage->known ? usage->input_tokens : -1,
		.cached_tokens = usage->known ? usage->cached_tokens : -1,
		.output_tokens = usage->known ? usage->output_tokens : -1,
		.reasoning_tokens = usage->known ? usage->reasoning_tokens : -1,
	};
	str_copy_cut(row->id, sizeof row->id, str_of(entry->response_id));
	str_copy_cut(row->thread, sizeof row->thread, str_of(thread));
	str_copy_cut(row->owner, sizeof row->owner, str_of(owner));
	str_copy_cut(row->parent, sizeof row->parent, str_of(entry->parent_id));
	str_copy_cut(row->model, sizeof row->model, str_of(entry->model));
	str_copy_cut(row->status, sizeof row->status, str_of(response_status_name(entry->status)));
	str_copy_cut(row->reason, sizeof row->reason, str_of(entry->reason));
}

int codec_read_item(const struct vault *vault, const struct store_record *record, struct item *item, struct err *err) {
	struct buf text = BUF_INIT;
	int result = vault_unseal(vault, record, &text, err);
	if (result == 0) {
		result = item_read_stored(buf_str(&text), item, err);
	}
	buf_free(&text);
	return result;
}

static int read_item_into(const struct vault *vault, const struct store_record *record, struct item_list *list,
			  struct err *err) {
	struct item item = {0};
	if (codec_read_item(vault, record, &item, err)) {
		return -1;
	}
	if (item_list_add(list, &item)) {
		item_free(&item);
		return err_set(err, ERR_MEMORY, "no memory for an item");
	}
	return 0;
}

int codec_read_items(const struct vault *vault, const struct store_snapshot *snapshot, const char *response,
		     struct item_list *input, struct item_list *output, struct err *err) {
	for (size_t i = 0; i < snapshot->record_count; i++) {
		const struct store_record *record = &snapshot->records[i];
		if (strcmp(record->response, response) != 0) {
			continue;
		}
		if (record->kind == RECORD_INPUT && read_item_into(vault, record, input, err)) {
			return -1;
		}
		if (record->kind == RECORD_OUTPUT && read_item_into(vault, record, output, err)) {
			return -1;
		}
	}
	return 0;
}

/* The records that are not items. */
static int read_other(const struct vault *vault, const struct store_record *record, struct stored_response *out,
		      struct err *err) {
	struct buf text = BUF_INIT;
	int result = vault_unseal(vault, record, &text, err);
	if (result == 0 && record->kind == RECORD_SETTINGS) {
		request_settings_free(&out->settings);
		result = request_settings_read(buf_str(&text), &out->settings, err);
	} else if (result == 0 && record->kind == RECORD_EVENTS) {
		buf_free(&out->events);
		out->events = text;
		text = BUF_INIT;
	} else if (result == 0 && record->kind == RECORD_ERROR) {
		mem_free(out->error_message);
		out->error_message = buf_take_text(&text);
		if (!out->error_message) {
			result = err_set(err, ERR_MEMORY, "no memory for an error message");
		}
	}
	buf_free(&text);
	return result;
}

static void read_row(const struct store_response *row, struct stored_response *out) {
	str_copy_cut(out->id, sizeof out->id, str_of(row->id));
	str_copy_cut(out->conversation, sizeof out->conversation, str_of(row->thread));
	str_copy_cut(out->parent, sizeof out->parent, str_of(row->parent));
	str_copy_cut(out->model, sizeof out->model, str_of(row->model));
	str_copy_cut(out->reason, sizeof out->reason, str_of(row->reason));
	out->created_ms = row->created_ms;
	out->completed_ms = row->completed_ms;
	out->usage = (struct response_usage){
		.known = row->input_tokens >= 0 && row->output_tokens >= 0,
		.input_tokens = row->input_tokens,
		.cached_tokens = row->cached_tokens,
		.output_tokens = row->output_tokens,
		.reasoning_tokens = row->reasoning_tokens,
	};
}

int codec_read(const struct vault *vault, const struct store_snapshot *snapshot, const struct store_response *row,
	       struct stored_response *out, struct err *err) {
	read_row(row, out);
	if (response_status_parse(str_of(row->status), &out->status)) {
		return err_set(err, ERR_CORRUPT, "%s has status '%s'", row->id, row->status);
	}
	for (size_t i = 0; i < snapshot->record_count; i++) {
		const struct store_record *record = &snapshot->records[i];
		if (strcmp(record->response, row->id) == 0 && record->kind != RECORD_INPUT &&
		    record->kind != RECORD_OUTPUT && record->kind != RECORD_SEGMENT &&
		    read_other(vault, record, out, err)) {
			return -1;
		}
	}
	if (codec_read_items(vault, snapshot, row->id, &out->input, &out->output, err)) {
		return -1;
	}
	return out->events.length ? 0 : codec_read_remains(vault, snapshot, row->id, &out->output, &out->events, err);
}
