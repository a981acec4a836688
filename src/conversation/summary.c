/* Conversations as lists show them. */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "codec.h"
#include "module.h"

#define TITLE_MAX 80 /* characters of a title, about */

/* The first line of a text, its white space folded, cut between characters. */
static void make_title(struct str text, char *title, size_t size) {
	size_t length = 0;
	bool space = false;
	for (size_t i = 0; i < text.length && length + 2 < size; i++) {
		char c = text.data[i];
		if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
			if (length >= TITLE_MAX) {
				break;
			}
			space = length > 0;
			continue;
		}
		if (space) {
			title[length++] = ' ';
			space = false;
		}
		title[length++] = c;
	}
	title[str_utf8_prefix((struct str){title, length}, length)] = '\0';
}

static int open_title(const struct vault *vault, const struct store_record *record, struct conversation_summary *row,
		      struct err *err) {
	struct item item = {0};
	struct buf text = BUF_INIT;
	int result = codec_read_item(vault, record, &item, err);
	if (result == 0) {
		item_append_text(&item, &text);
		make_title(buf_str(&text), row->title, sizeof row->title);
	}
	buf_free(&text);
	item_free(&item);
	return result;
}

static int open_metadata(const struct vault *vault, const struct store_record *record, struct conversation_summary *row,
			 struct err *err) {
	struct buf text = BUF_INIT;
	char *metadata = NULL;
	int result = vault_unseal(vault, record, &text, err);
	if (result == 0 && !(metadata = buf_take_text(&text))) {
		result = err_set(err, ERR_MEMORY, "no memory for metadata");
	}
	if (metadata) {
		mem_free(row->metadata);
		row->metadata = metadata;
	}
	buf_free(&text);
	return result;
}

/* What of a conversation is sealed. */
static int open_texts(const struct conversation_op *op, const struct store_snapshot *snapshot,
		      struct conversation_summary *row, struct err *err) {
	struct vault vault;
	if (vault_open(&vault, op->module->deps.keyring, op->owner, row->id, snapshot, err)) {
		return -1;
	}
	int result = 0;
	for (size_t i = 0; i < snapshot->record_count && result == 0; i++) {
		const struct store_record *record = &snapshot->records[i];
		if (strcmp(record->thread, row->id) == 0) {
			result = record->kind == RECORD_METADATA ? open_metadata(&vault, record, row, err)
								 : open_title(&vault, record, row, err);
		}
	}
	vault_close(&vault);
	return result;
}

/* What of it is not. */
static int read_row(const struct store_thread *thread, struct conversation_summary *row, struct err *err) {
	memcpy(row->id, thread->id, sizeof row->id);
	memcpy(row->last_response, thread->last_response, sizeof row->last_response);
	row->created_ms = thread->created_ms;
	row->updated_ms = thread->updated_ms;
	row->metadata = mem_strdup("{}");
	return row->metadata ? 0 : err_set(err, ERR_MEMORY, "no memory for a list");
}

static void query_texts(struct store_query *query) {
	query->record_kinds[0] = RECORD_INPUT;
	query->record_kinds[1] = RECORD_METADATA;
}

/* --- the list ------------------------------------------------------------------------------------------------------- */

static void free_rows(struct conversation_summary **rows, size_t count) {
	for (size_t i = 0; *rows && i < count; i++) {
		mem_free((*rows)[i].metadata);
	}
	mem_free(*rows);
	*rows = NULL;
}

static struct conversation_summary *summarize(const struct conversation_op *op, const struct store_snapshot *snapshot,
					      struct err *err) {
	struct conversation_summary *rows = mem_zarray(snapshot->thread_count + 1, sizeof *rows);
	if (!rows) {
		err_set(err, ERR_MEMORY, "no memory for a list");
		return NULL;
	}
	for (size_t i = 0; i < snapshot->thread_count; i++) {
		struct err text_err = {0};
		if (read_row(&snapshot->threads[i], &rows[i], err)) {
			free_rows(&rows, i);
			return NULL;
		}
		/* One conversation that does not open must not hide the others. */
		if (open_texts(op, snapshot, &rows[i], &text_err) && text_err.code != ERR_NOT_FOUND) {
			log_error(op->module->deps.log, "title or metadata do not open",
				  LOG_S("conversation", rows[i].id), LOG_ERR(&text_err));
		}
	}
	return rows;
}

static void on_list(void *owner, struct store_snapshot *snapshot, const struct err *read_err) {
	struct conversation_op *op = owner;
	struct conversation_summary *rows = NULL;
	struct err err = {0};
	size_t count = 0;
	bool more = false;
	if (!read_err) {
		rows = summarize(op, snapshot, &err);
		count = rows ? snapshot->thread_count : 0;
		more = snapshot->more;
		read_err = rows ? NULL : &err;
	}
	store_snapshot_free(&snapshot);
	op->done.list(op->arg, rows, count, more, read_err);
	free_rows(&rows, count);
	op_free(&op);
}

struct conversation_op *conversation_list(struct conversations *module, const char *owner, const char *after,
					  uint32_t limit, bool ascending, conversation_list_fn *done, void *arg) {
	struct conversation_op *op = op_new(module, owner, after, arg);
	if (!op) {
		return NULL;
	}
	op->done.list = done;
	struct store_query query;
	op_query(&query, STORE_READ_THREADS, owner, after);
	query.limit = limit;
	query.ascending = ascending;
	query_texts(&query);
	return op_read(&op, &query, on_list) ? NULL : op;
}

/* --- one ------------------------------------------------------------------------------------------------------------ */

static int open_summary(const struct conversation_op *op, const struct store_snapshot *snapshot,
			struct conversation_summary *row, struct err *err) {
	/* Opened as a whole, so that metadata that were taken out show. */
	struct conversation *conversation = thread_open(op->module, snapshot, err);
	if (!conversation) {
		return -1;
	}
	conversation_release(&conversation);
	return read_row(&snapshot->threads[0], row, err) || open_texts(op, snapshot, row, err) ? -1 : 0;
}

static void on_summary(void *owner, struct store_snapshot *snapshot, const struct err *read_err) {
	struct conversation_op *op = owner;
	struct conversation_summary row = {0};
	struct err err = {0};
	if (!read_err && open_summary(op, snapshot, &row, &err)) {
		read_err = &err;
		if (err.code == ERR_CORRUPT) {
			log_error(op->module->deps.log, "conversation does not verify", LOG_S("id", op->id),
				  LOG_ERR(&err));
		}
	}
	store_snapshot_free(&snapshot);
	op->done.summary(op->arg, read_err ? NULL : &row, read_err);
	mem_free(row.metadata);
	op_free(&op);
}

struct conversation_op *conversation_read(struct conversations *module, const char *owner, const char *id,
					  conversation_summary_fn *done, void *arg) {
	struct conversation_op *op = op_new(module, owner, id, arg);
	if (!op) {
		return NULL;
	}
	op->done.summary = done;
	struct store_query query;
	op_query(&query, STORE_READ_CHAIN, owner, id);
	query_texts(&query);
	return op_read(&op, &query, on_summary) ? NULL : op;
}
