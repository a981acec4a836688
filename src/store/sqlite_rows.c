#include "sqlite_rows.h"

#include <string.h>

#include "snapshot.h"

/* Columns that do not fit their place were not written by us. */
struct row {
	sqlite3_stmt *statement;
	bool bad;
};

static int64_t row_int(struct row *row, int column) {
	return sqlite3_column_int64(row->statement, column);
}

static uint32_t row_u32(struct row *row, int column) {
	int64_t value = sqlite3_column_int64(row->statement, column);
	row->bad = row->bad || value < 0 || value > UINT32_MAX;
	return (uint32_t)value;
}

static void row_text(struct row *row, int column, char *to, size_t size) {
	const char *text = (const char *)sqlite3_column_text(row->statement, column);
	struct str view = {text, (size_t)sqlite3_column_bytes(row->statement, column)};
	if (!text || str_copy(to, size, view) != 0) {
		row->bad = true;
	}
}

static void row_blob(struct row *row, int column, uint8_t *to, size_t size) {
	const void *blob = sqlite3_column_blob(row->statement, column);
	if (!blob || (size_t)sqlite3_column_bytes(row->statement, column) != size) {
		row->bad = true;
		return;
	}
	memcpy(to, blob, size);
}

static int row_end(const struct row *row, struct err *err, const char *what) {
	return row->bad ? err_set(err, ERR_CORRUPT, "a %s in the store has a column that can't be", what) : 0;
}

int sqlite_row_no_memory(struct sqlite_read *read) {
	return err_set(read->err, ERR_MEMORY, "no memory for what was read");
}

int sqlite_row_thread(struct sqlite_read *read, sqlite3_stmt *statement) {
	struct row row = {.statement = statement};
	struct store_thread *t = snapshot_add_thread(read->out);
	if (!t) {
		return sqlite_row_no_memory(read);
	}
	read->thread_key = row_int(&row, 0);
	row_text(&row, 1, t->id, sizeof t->id);
	row_text(&row, 2, t->owner, sizeof t->owner);
	t->created_ms = row_int(&row, 3);
	t->updated_ms = row_int(&row, 4);
	row_text(&row, 5, t->last_response, sizeof t->last_response);
	t->last_number = row_u32(&row, 6);
	t->count = row_u32(&row, 7);
	row_blob(&row, 8, t->chain, sizeof t->chain);
	row_blob(&row, 9, t->head, sizeof t->head);
	return row_end(&row, read->err, "thread");
}

/* The thread that the snapshot got last. */
const struct store_thread *sqlite_row_last_thread(const struct sqlite_read *read) {
	return &read->out->threads[read->out->thread_count - 1];
}

int sqlite_row_response(struct sqlite_read *read, sqlite3_stmt *statement) {
	struct row row = {.statement = statement};
	struct store_response *r = snapshot_add_response(read->out);
	if (!r) {
		return sqlite_row_no_memory(read);
	}
	read->response_key = row_int(&row, 0);
	row_text(&row, 1, r->id, sizeof r->id);
	memcpy(r->thread, sqlite_row_last_thread(read)->id, sizeof r->thread);
	memcpy(r->owner, sqlite_row_last_thread(read)->owner, sizeof r->owner);
	row_text(&row, 2, r->parent, sizeof r->parent);
	row_text(&row, 3, r->model, sizeof r->model);
	row_text(&row, 4, r->status, sizeof r->status);
	row_text(&row, 5, r->reason, sizeof r->reason);
	r->created_ms = row_int(&row, 6);
	r->completed_ms = row_int(&row, 7);
	r->input_tokens = row_int(&row, 8);
	r->cached_tokens = row_int(&row, 9);
	r->output_tokens = row_int(&row, 10);
	r->reasoning_tokens = row_int(&row, 11);
	return row_end(&row, read->err, "response");
}

int sqlite_row_record(struct sqlite_read *read, sqlite3_stmt *statement) {
	struct row row = {.statement = statement};
	struct store_record *m = snapshot_add_record(read->out);
	if (!m) {
		return sqlite_row_no_memory(read);
	}
	memcpy(m->thread, sqlite_row_last_thread(read)->id, sizeof m->thread);
	read->bytes += (size_t)sqlite3_column_bytes(statement, 3);
	if (read->query->max_bytes && read->bytes > read->query->max_bytes) {
		return err_set(read->err, ERR_LIMIT, "more than %zu bytes of records", read->query->max_bytes);
	}
	m->number = row_u32(&row, 0);
	m->kind = row_u32(&row, 1);
	m->created_ms = row_int(&row, 2);
	buf_append(&m->sealed, sqlite3_column_blob(statement, 3), (size_t)sqlite3_column_bytes(statement, 3));
	row_text(&row, 4, m->item, sizeof m->item);
	row_text(&row, 5, m->response, sizeof m->response);
	return m->sealed.failed ? sqlite_row_no_memory(read) : row_end(&row, read->err, "record");
}

int sqlite_row_link(struct sqlite_read *read, sqlite3_stmt *statement) {
	struct row row = {.statement = statement};
	struct store_link *link = snapshot_add_link(read->out);
	if (!link) {
		return sqlite_row_no_memory(read);
	}
	link->number = row_u32(&row, 0);
	row_blob(&row, 1, link->commitment, sizeof link->commitment);
	return row_end(&row, read->err, "link");
}

int sqlite_row_waypoint(struct sqlite_read *read, sqlite3_stmt *statement) {
	struct row row = {.statement = statement};
	read->out->from.number = row_u32(&row, 0);
	row_blob(&row, 1, read->out->from.chain, sizeof read->out->from.chain);
	return row_end(&row, read->err, "waypoint");
}

int sqlite_row_dek(struct sqlite_read *read, sqlite3_stmt *statement) {
	struct row row = {.statement = statement};
	struct store_dek *dek = snapshot_add_dek(read->out);
	if (!dek) {
		return sqlite_row_no_memory(read);
	}
	memcpy(dek->thread, sqlite_row_last_thread(read)->id, sizeof dek->thread);
	memcpy(dek->owner, sqlite_row_last_thread(read)->owner, sizeof dek->owner);
	dek->epoch = row_u32(&row, 0);
	row_blob(&row, 1, dek->wrapped, sizeof dek->wrapped);
	return row_end(&row, read->err, "wrapped key");
}

int sqlite_row_idempotency(struct sqlite_read *read, sqlite3_stmt *statement) {
	struct row row = {.statement = statement};
	struct store_idempotency *i = snapshot_add_idempotency(read->out);
	if (!i) {
		return sqlite_row_no_memory(read);
	}
	row_text(&row, 0, i->response, sizeof i->response);
	row_blob(&row, 1, i->key, sizeof i->key);
	row_blob(&row, 2, i->body, sizeof i->body);
	i->created_ms = row_int(&row, 3);
	return row_end(&row, read->err, "idempotency key");
}

int sqlite_row_user(struct sqlite_read *read, sqlite3_stmt *statement) {
	struct row row = {.statement = statement};
	struct store_user *user = snapshot_add_user(read->out);
	if (!user) {
		return sqlite_row_no_memory(read);
	}
	row_text(&row, 0, user->id, sizeof user->id);
	row_text(&row, 1, user->name, sizeof user->name);
	user->created_ms = row_int(&row, 2);
	return row_end(&row, read->err, "user");
}

int sqlite_row_credential(struct sqlite_read *read, sqlite3_stmt *statement) {
	struct row row = {.statement = statement};
	struct store_credential *c = snapshot_add_credential(read->out);
	if (!c) {
		return sqlite_row_no_memory(read);
	}
	row_text(&row, 0, c->id, sizeof c->id);
	c->kind = (enum store_credential_kind)row_u32(&row, 1);
	row_text(&row, 2, c->user, sizeof c->user);
	row_text(&row, 3, c->name, sizeof c->name);
	row_blob(&row, 4, c->hash, sizeof c->hash);
	c->created_ms = row_int(&row, 5);
	c->expires_ms = row_int(&row, 6);
	c->revoked_ms = row_int(&row, 7);
	return row_end(&row, read->err, "credential");
}

int sqlite_row_sample(struct sqlite_read *read, sqlite3_stmt *statement) {
	struct row row = {.statement = statement};
	struct store_dek *sample = read->sample;
	row_text(&row, 0, sample->thread, sizeof sample->thread);
	row_text(&row, 1, sample->owner, sizeof sample->owner);
	sample->epoch = row_u32(&row, 2);
	if (sqlite3_column_bytes(statement, 3) == sizeof sample->wrapped) {
		memcpy(sample->wrapped, sqlite3_column_blob(statement, 3), sizeof sample->wrapped);
	}
	return row_end(&row, read->err, "data key");
}
