#include "sqlite_read.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "snapshot.h"
#include "sqlite_rows.h"

#define LINE_TURNS 100000 /* of a context */

enum data_statement {
	BEGIN,
	END,
	THREAD,
	THREAD_OF_RESPONSE,
	RESPONSE_OF_THREAD,
	RESPONSE_BY_KEY,
	STEP_OF_LINE,
	FIRST_RESPONSE,
	RESPONSES_OF_THREAD,
	RECORDS_OF_RESPONSE,
	ITEMS_OF_RESPONSE,
	RECORDS_OF_THREAD,
	SEGMENTS_OF_RESPONSE,
	SEGMENTS_OF_THREAD,
	CHECKPOINTS_OF_RESPONSE,
	CHECKPOINTS_OF_THREAD,
	FIRST_OF_KIND,
	THREAD_OF_ITEM,
	ITEM,
	RESPONSES_OF_ITEM,
	WAYPOINT,
	LINKS,
	LINKS_BEHIND,
	PLACE,
	THREADS_NEWEST,
	THREADS_OLDEST,
	IDEMPOTENCY,
	USERS,
	CREDENTIALS,
	HAS_CREDENTIAL,
	DATA_STATEMENTS,
};

static const char *const DATA_SQL[DATA_STATEMENTS] = {
	[BEGIN] = "BEGIN",
	[END] = "ROLLBACK",
	[THREAD] = "SELECT " THREAD_COLUMNS " FROM thread t WHERE t.id = ?1 AND t.owner = ?2",
	[THREAD_OF_RESPONSE] = "SELECT " THREAD_COLUMNS " FROM response r JOIN thread t ON t.key = r.thread"
			       " WHERE r.id = ?1 AND t.owner = ?2",
	[RESPONSE_OF_THREAD] = "SELECT " RESPONSE_COLUMNS " FROM response r WHERE r.id = ?1 AND r.thread = ?2",
	[RESPONSE_BY_KEY] = "SELECT " RESPONSE_COLUMNS " FROM response r WHERE r.key = ?1",
	[STEP_OF_LINE] = "SELECT r.key, r.parent FROM response r WHERE r.id = ?1 AND r.thread = ?2",
	[FIRST_RESPONSE] = "SELECT " RESPONSE_COLUMNS " FROM response r WHERE r.thread = ?1 ORDER BY r.key LIMIT 1",
	[RESPONSES_OF_THREAD] = "SELECT " RESPONSE_COLUMNS " FROM response r WHERE r.thread = ?1 ORDER BY r.key",
	[RECORDS_OF_RESPONSE] = "SELECT " RECORD_COLUMNS ", ?2 FROM record m WHERE m.response = ?1 ORDER BY m.number",
	[ITEMS_OF_RESPONSE] = "SELECT " RECORD_COLUMNS ", ?2 FROM record m WHERE m.response = ?1"
			      " AND +m.kind IN (?3, ?4) ORDER BY m.number",
	[RECORDS_OF_THREAD] = "SELECT " RECORD_COLUMNS ", coalesce(r.id, '') FROM record m"
			      " LEFT JOIN response r ON r.key = m.response WHERE m.thread = ?1 ORDER BY m.number",
	[SEGMENTS_OF_RESPONSE] = "SELECT " SEGMENT_COLUMNS ", ?2 FROM segment m"
				 " WHERE m.response = ?1 ORDER BY m.number",
	[SEGMENTS_OF_THREAD] = "SELECT " SEGMENT_COLUMNS ", r.id FROM response r CROSS JOIN segment m"
			       " ON m.response = r.key WHERE r.thread = ?1 ORDER BY r.key, m.number",
	/* In the order of time and by no index, so all of them are looked at: only for what runs. Of those with one number
	 * the last counts (in SQLite, the other columns are those of the row with the maximum). */
	[CHECKPOINTS_OF_RESPONSE] = "SELECT " SEGMENT_COLUMNS ", ?2, max(m.key) FROM checkpoint m"
				    " WHERE m.response = ?1 GROUP BY m.number ORDER BY m.number",
	[CHECKPOINTS_OF_THREAD] =
		"SELECT " SEGMENT_COLUMNS ", r.id, max(m.key) FROM checkpoint m JOIN response r ON r.key = m.response"
		" WHERE r.thread = ?1 AND r.status = 'in_progress' GROUP BY r.key, m.number ORDER BY r.key, m.number",
	[FIRST_OF_KIND] = "SELECT " RECORD_COLUMNS ", coalesce(r.id, '') FROM record m"
			  " LEFT JOIN response r ON r.key = m.response WHERE m.thread = ?1 AND m.kind = ?2"
			  " ORDER BY m.number LIMIT 1",
	/* By the index of items and no other, hence CROSS and +: a thread may have many records. */
	[THREAD_OF_ITEM] = "SELECT " THREAD_COLUMNS " FROM record m CROSS JOIN thread t ON t.key = m.thread"
			   " WHERE m.item = ?1 AND t.owner = ?2 ORDER BY m.key DESC LIMIT 1",
	[ITEM] = "SELECT " RECORD_COLUMNS ", coalesce(r.id, '') FROM record m"
		 " LEFT JOIN response r ON r.key = m.response WHERE m.item = ?1 AND +m.thread = ?2"
		 " ORDER BY m.key DESC LIMIT 1",
	[RESPONSES_OF_ITEM] = "SELECT m.response FROM record m WHERE m.item = ?1 AND +m.thread = ?2"
			      " AND m.response IS NOT NULL",
	[WAYPOINT] =
		"SELECT number, chain FROM waypoint WHERE thread = ?1 AND number < ?2 ORDER BY number DESC LIMIT 1",
	/* The index holds all that is asked for; the planner would rather have the order and read every row for it. */
	[LINKS] = "SELECT number, commitment FROM record INDEXED BY record_links WHERE thread = ?1 ORDER BY number",
	/* The rows of which most are read anyway. */
	[LINKS_BEHIND] = "SELECT m.number, m.commitment FROM record m WHERE m.thread = ?1 AND m.number > ?2"
			 " ORDER BY m.number",
	[PLACE] = "SELECT updated_ms FROM thread WHERE id = ?1 AND owner = ?2",
	[THREADS_NEWEST] =
		"SELECT " THREAD_COLUMNS " FROM thread t WHERE t.owner = ?1 AND (t.updated_ms, t.id) < (?2, ?3)"
		" ORDER BY t.updated_ms DESC, t.id DESC LIMIT ?4",
	[THREADS_OLDEST] =
		"SELECT " THREAD_COLUMNS " FROM thread t WHERE t.owner = ?1 AND (t.updated_ms, t.id) > (?2, ?3)"
		" ORDER BY t.updated_ms, t.id LIMIT ?4",
	[IDEMPOTENCY] = "SELECT r.id, i.key_hash, i.body_hash, i.created_ms FROM idempotency i"
			" JOIN response r ON r.key = i.response JOIN thread t ON t.key = r.thread"
			" WHERE i.key_hash = ?1 AND i.created_ms > ?2 AND t.owner = ?3",
	[USERS] = "SELECT id, name, created_ms FROM user ORDER BY id",
	[CREDENTIALS] =
		"SELECT id, kind, user, name, hash, created_ms, expires_ms, revoked_ms FROM credential ORDER BY id",
	[HAS_CREDENTIAL] = "SELECT 1 FROM credential LIMIT 1",
};

enum keys_statement { DEKS, ANY_DEK, KEYS_STATEMENTS };

static const char *const KEYS_SQL[KEYS_STATEMENTS] = {
	[DEKS] = "SELECT epoch, wrapped FROM dek WHERE thread = ?1 AND owner = ?2 ORDER BY epoch",
	[ANY_DEK] = "SELECT thread, owner, epoch, wrapped FROM dek LIMIT 1",
};

const struct sqlite_role sqlite_data_reader = {
	.file = "sluice.db", .read_only = true, .statements = DATA_SQL, .statement_count = DATA_STATEMENTS};
const struct sqlite_role sqlite_keys_reader = {
	.file = "keys.db", .read_only = true, .statements = KEYS_SQL, .statement_count = KEYS_STATEMENTS};

int sqlite_reader_open(struct sqlite_reader *reader, const struct store_options *options, struct err *err) {
	if (sqlite_conn_open(&reader->data, &sqlite_data_reader, options->dir, options->busy_timeout_ms, err) != 0 ||
	    sqlite_conn_open(&reader->keys, &sqlite_keys_reader, options->dir, options->busy_timeout_ms, err) != 0) {
		sqlite_reader_close(reader);
		return -1;
	}
	return 0;
}

void sqlite_reader_close(struct sqlite_reader *reader) {
	sqlite_conn_close(&reader->keys);
	sqlite_conn_close(&reader->data);
}

/* --- reads -------------------------------------------------------------------------------------------------------- */

typedef int row_fn(struct sqlite_read *read, sqlite3_stmt *statement);

/* Hands every row to `add`; how many there were, or -1. */
static int each_row(struct sqlite_read *read, struct sqlite_conn *conn, sqlite3_stmt *statement, row_fn *add) {
	int count = 0;
	int more;
	if (!statement) {
		return -1;
	}
	while ((more = sqlite_conn_step(conn, statement, read->err)) == 1) {
		if (add(read, statement) != 0) {
			sqlite3_reset(statement);
			return -1;
		}
		count++;
	}
	return more < 0 ? -1 : count;
}

static int each(struct sqlite_read *read, enum data_statement which, const struct sqlite_value *values, size_t count,
		row_fn *add) {
	struct sqlite_conn *conn = &read->reader->data;
	return each_row(read, conn, sqlite_conn_bind(conn, which, values, count, read->err), add);
}

static int read_deks(struct sqlite_read *read) {
	struct sqlite_conn *conn = &read->reader->keys;
	const struct store_thread *thread = sqlite_row_last_thread(read);
	return each_row(
		read, conn,
		sqlite_conn_bind(conn, DEKS, SQL_VALUES(SQL_TEXT(thread->id), SQL_TEXT(thread->owner)), read->err),
		sqlite_row_dek);
}

static int read_links(struct sqlite_read *read) {
	return each(read, LINKS, SQL_VALUES(SQL_INT(read->thread_key)), sqlite_row_link);
}

/* Those that records from the number on can be verified by. */
static int read_links_from(struct sqlite_read *read, uint32_t number) {
	const struct sqlite_value thread = SQL_INT(read->thread_key);
	if (each(read, WAYPOINT, SQL_VALUES(thread, SQL_INT(number)), sqlite_row_waypoint) < 0) {
		return -1;
	}
	const uint32_t from = read->out->from.number;
	return from ? each(read, LINKS_BEHIND, SQL_VALUES(thread, SQL_INT(from)), sqlite_row_link) : read_links(read);
}

/* The thread that the query is about, and its keys. */
static int read_thread_row(struct sqlite_read *read, enum data_statement which) {
	int found = each(read, which, SQL_VALUES(SQL_TEXT(read->query->id), SQL_TEXT(read->query->owner)),
			 sqlite_row_thread);
	if (found == 0) {
		return err_set(read->err, ERR_NOT_FOUND, "no such %s",
			       which == THREAD           ? "thread"
			       : which == THREAD_OF_ITEM ? "item"
							 : "response");
	}
	return found < 0 ? -1 : read_deks(read);
}

static bool is_running(const struct store_response *row) {
	return strcmp(row->status, "in_progress") == 0;
}

static int read_records(struct sqlite_read *read, const struct sqlite_value *key) {
	const uint32_t *kinds = read->query->record_kinds;
	if (!kinds[0]) {
		return each(read, RECORDS_OF_RESPONSE, key, 2, sqlite_row_record);
	}
	return each(read, ITEMS_OF_RESPONSE, SQL_VALUES(key[0], key[1], SQL_INT(kinds[0]), SQL_INT(kinds[1])),
		    sqlite_row_record);
}

/* A response and what it has; 1 if it was there. */
static int read_one(struct sqlite_read *read, enum data_statement which, const struct sqlite_value *values,
		    size_t count) {
	int found = each(read, which, values, count, sqlite_row_response);
	if (found <= 0) {
		return found;
	}
	const struct store_response *row = &read->out->responses[read->out->response_count - 1];
	const struct sqlite_value key[] = {SQL_INT(read->response_key), SQL_TEXT(row->id)};
	const size_t before = read->out->record_count;
	if (read_records(read, key) < 0) {
		return -1;
	}
	read->records += read->out->record_count - before;
	if (read->out->record_count > before) {
		const uint32_t number = read->out->records[before].number;
		read->lowest = read->lowest && read->lowest < number ? read->lowest : number;
	}
	if (each(read, SEGMENTS_OF_RESPONSE, key, 2, sqlite_row_record) < 0) {
		return -1;
	}
	return is_running(row) && each(read, CHECKPOINTS_OF_RESPONSE, key, 2, sqlite_row_record) < 0 ? -1 : 1;
}

static int read_response(struct sqlite_read *read) {
	if (read_thread_row(read, THREAD_OF_RESPONSE) < 0) {
		return -1;
	}
	const struct sqlite_value key[] = {SQL_TEXT(read->query->id), SQL_INT(read->thread_key)};
	return read_one(read, RESPONSE_OF_THREAD, key, 2) < 0 || (read->query->links && read_links(read) < 0) ? -1 : 0;
}

static bool has_enough(const struct sqlite_read *read) {
	const struct store_query *query = read->query;
	return (query->enough_bytes && read->bytes >= query->enough_bytes) ||
	       (query->enough_records && read->records >= query->enough_records);
}

static void swap_records(struct store_record *records, size_t from, size_t to) {
	for (; from + 1 < to; from++, to--) {
		struct store_record swap = records[from];
		records[from] = records[to - 1];
		records[to - 1] = swap;
	}
}

/* From newest first to oldest first: the responses, and with them their records. */
static void turn_round(struct store_snapshot *out) {
	for (size_t i = 0; i < out->response_count / 2; i++) {
		struct store_response swap = out->responses[i];
		out->responses[i] = out->responses[out->response_count - 1 - i];
		out->responses[out->response_count - 1 - i] = swap;
	}
	swap_records(out->records, 0, out->record_count);
	for (size_t from = 0, to; from < out->record_count; from = to) {
		for (to = from + 1;
		     to < out->record_count && strcmp(out->records[to].response, out->records[from].response) == 0;) {
			to++;
		}
		swap_records(out->records, from, to);
	}
}

/* What stands in front of a context that was cut. */
static int read_front(struct sqlite_read *read, int64_t before) {
	const struct sqlite_value thread = SQL_INT(read->thread_key);
	const uint32_t lowest = read->lowest; /* up to which links are there: the front is not verified by them */
	if (read_one(read, FIRST_RESPONSE, &thread, 1) < 0) {
		return -1;
	}
	read->lowest = lowest;
	const struct store_response *first = &read->out->responses[read->out->response_count - 1];
	if (read->response_key >= before || first->parent[0]) {
		snapshot_drop_response(read->out);
	}
	return 0;
}

/* From the response back to the first one, or until there is enough. A parent was there before its child: keys fall, so that
 * not even a circle of parents, which only damage can make, goes on for ever. */
static int read_line(struct sqlite_read *read, const char *last) {
	int64_t before = INT64_MAX;
	char id[ID_SIZE]; /* apart from the rows, which move as they become more */
	memcpy(id, last, sizeof id);
	for (size_t turns = 0; id[0] && turns < LINE_TURNS; turns++) {
		const struct sqlite_value key[] = {SQL_TEXT(id), SQL_INT(read->thread_key)};
		int found = read_one(read, RESPONSE_OF_THREAD, key, 2);
		if (found < 0) {
			return -1;
		}
		if (found == 0) {
			break;
		}
		if (read->response_key >= before) {
			snapshot_drop_response(read->out);
			break;
		}
		before = read->response_key;
		memcpy(id, read->out->responses[read->out->response_count - 1].parent, sizeof id);
		if (id[0] && has_enough(read)) {
			read->out->more = true;
			break;
		}
	}
	if (read->out->more && read->query->enough_bytes && read_front(read, before) < 0) {
		return -1;
	}
	turn_round(read->out);
	/* Without a record, nothing but the end of the chain can be verified. */
	return read_links_from(read, read->lowest ? read->lowest : UINT32_MAX);
}

static int add_step(struct sqlite_read *read, sqlite3_stmt *statement) {
	struct sqlite_line *line = &read->line;
	const int64_t key = sqlite3_column_int64(statement, 0);
	line->parent[0] = '\0';
	if (line->count > 0 && key >= line->keys[line->count - 1]) {
		return 0; /* see read_line */
	}
	if (line->count == line->room) {
		const size_t room = line->room ? 2 * line->room : 64;
		int64_t *keys = mem_realloc(line->keys, room * sizeof *keys);
		if (!keys) {
			return sqlite_row_no_memory(read);
		}
		line->keys = keys;
		line->room = room;
	}
	line->keys[line->count++] = key;
	const char *parent = (const char *)sqlite3_column_text(statement, 1);
	str_copy_cut(line->parent, sizeof line->parent, str_of(parent ? parent : ""));
	return 0;
}

static int follow_line(struct sqlite_read *read, const char *last) {
	char id[ID_SIZE];
	memcpy(id, last, sizeof id);
	for (size_t turns = 0; id[0] && turns < LINE_TURNS; turns++) {
		int found = each(read, STEP_OF_LINE, SQL_VALUES(SQL_TEXT(id), SQL_INT(read->thread_key)), add_step);
		if (found <= 0) {
			return found;
		}
		memcpy(id, read->line.parent, sizeof id);
	}
	return 0;
}

/* Keeps the place of the item's response on the line: the first where several have it and that is wanted, else the last. */
static int find_place(struct sqlite_read *read, sqlite3_stmt *statement) {
	struct sqlite_line *line = &read->line;
	const int64_t key = sqlite3_column_int64(statement, 0);
	size_t low = 0, high = line->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (line->keys[middle] > key) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	bool there = low < line->count && line->keys[low] == key;
	if (there && (line->at == line->count || (low > line->at) == read->query->ascending)) {
		line->at = low;
	}
	return 0;
}

/* The responses of the line from `at` on, in the query's direction, until the further ones have enough. */
static int read_along(struct sqlite_read *read, size_t at, uint32_t enough) {
	const struct sqlite_line *line = &read->line;
	const bool ascending = read->query->ascending;
	for (size_t left = ascending ? at + 1 : line->count - at; left > 0; left--) {
		const size_t before = read->records;
		const struct sqlite_value key = SQL_INT(line->keys[ascending ? left - 1 : line->count - left]);
		if (read_one(read, RESPONSE_BY_KEY, &key, 1) < 0) {
			return -1;
		}
		if (read->query->item[0] && read->out->response_count == 1) {
			read->records = before;
		}
		if (enough && read->records >= enough && left > 1) {
			read->out->more = true;
			break;
		}
	}
	return 0;
}

static int read_page(struct sqlite_read *read, const char *last) {
	struct sqlite_line *line = &read->line;
	const struct store_query *query = read->query;
	uint32_t enough = query->enough_records;
	if (follow_line(read, last) < 0) {
		return -1;
	}
	size_t at = query->ascending && line->count > 0 ? line->count - 1 : 0;
	line->at = line->count;
	if (query->item[0] && each(read, RESPONSES_OF_ITEM,
				   SQL_VALUES(SQL_TEXT(query->item), SQL_INT(read->thread_key)), find_place) < 0) {
		return -1;
	}
	if (line->at < line->count) {
		at = line->at;
	} else if (query->item[0]) {
		enough = 0;
	}
	if (line->count > 0 && read_along(read, at, enough) < 0) {
		return -1;
	}
	if (!query->ascending) {
		turn_round(read->out);
	}
	return read_links_from(read, read->lowest ? read->lowest : UINT32_MAX);
}

static int read_context(struct sqlite_read *read) {
	return read_thread_row(read, THREAD_OF_RESPONSE) < 0 ? -1 : read_line(read, read->query->id);
}

static int read_latest(struct sqlite_read *read) {
	if (read_thread_row(read, THREAD) < 0) {
		return -1;
	}
	const struct store_query *query = read->query;
	const char *last = sqlite_row_last_thread(read)->last_response;
	return query->ascending || query->item[0] ? read_page(read, last) : read_line(read, last);
}

/* The first record of each kind that the query names, of the thread read last. */
static int read_kinds(struct sqlite_read *read) {
	const int64_t thread = read->thread_key;
	for (size_t i = 0; i < STORE_QUERY_KINDS; i++) {
		const uint32_t kind = read->query->record_kinds[i];
		if (kind &&
		    each(read, FIRST_OF_KIND, SQL_VALUES(SQL_INT(thread), SQL_INT(kind)), sqlite_row_record) < 0) {
			return -1;
		}
	}
	return 0;
}

static int read_responses(struct sqlite_read *read) {
	if (read_thread_row(read, THREAD) < 0 || read_links(read) < 0) {
		return -1;
	}
	return each(read, RESPONSES_OF_THREAD, SQL_VALUES(SQL_INT(read->thread_key)), sqlite_row_response);
}

static int read_chain(struct sqlite_read *read) {
	return read_responses(read) < 0 ? -1 : read_kinds(read);
}

static int read_thread(struct sqlite_read *read) {
	if (read_responses(read) < 0) {
		return -1;
	}
	const struct sqlite_value key = SQL_INT(read->thread_key);
	bool runs = false;
	for (size_t i = 0; i < read->out->response_count && !runs; i++) {
		runs = is_running(&read->out->responses[i]);
	}
	if (each(read, RECORDS_OF_THREAD, &key, 1, sqlite_row_record) < 0 ||
	    each(read, SEGMENTS_OF_THREAD, &key, 1, sqlite_row_record) < 0) {
		return -1;
	}
	return runs && each(read, CHECKPOINTS_OF_THREAD, &key, 1, sqlite_row_record) < 0 ? -1 : 0;
}

static int take_place(struct sqlite_read *read, sqlite3_stmt *statement) {
	read->thread_key = sqlite3_column_int64(statement, 0); /* here: its time */
	return 0;
}

static int add_thread_with_kinds(struct sqlite_read *read, sqlite3_stmt *statement) {
	if (read->out->thread_count == read->query->limit) {
		read->out->more = true;
		return 0;
	}
	return sqlite_row_thread(read, statement) != 0 || read_deks(read) < 0 ? -1 : read_kinds(read);
}

static int read_threads(struct sqlite_read *read) {
	const struct store_query *query = read->query;
	const char *behind = query->id;
	int64_t behind_ms;
	if (behind[0] != '\0') {
		int found = each(read, PLACE, SQL_VALUES(SQL_TEXT(behind), SQL_TEXT(query->owner)), take_place);
		if (found <= 0) {
			return found < 0 ? -1 : err_set(read->err, ERR_NOT_FOUND, "no such thread");
		}
		behind_ms = read->thread_key;
	} else {
		behind_ms = query->ascending ? INT64_MIN : INT64_MAX;
	}
	/* One more than asked for tells whether there are more. */
	return each(read, query->ascending ? THREADS_OLDEST : THREADS_NEWEST,
		    SQL_VALUES(SQL_TEXT(query->owner), SQL_INT(behind_ms), SQL_TEXT(behind),
			       SQL_INT((int64_t)query->limit + 1)),
		    add_thread_with_kinds);
}

static int read_item(struct sqlite_read *read) {
	if (read_thread_row(read, THREAD_OF_ITEM) < 0) {
		return -1;
	}
	return each(read, ITEM, SQL_VALUES(SQL_TEXT(read->query->id), SQL_INT(read->thread_key)), sqlite_row_record);
}

static int read_idempotency(struct sqlite_read *read) {
	const struct store_query *query = read->query;
	int found = each(read, IDEMPOTENCY,
			 SQL_VALUES(SQL_BLOB(query->hash, sizeof query->hash), SQL_INT(query->expired_ms),
				    SQL_TEXT(query->owner)),
			 sqlite_row_idempotency);
	return found == 0 ? err_set(read->err, ERR_NOT_FOUND, "no such idempotency key") : found;
}

static int read_identities(struct sqlite_read *read) {
	if (each(read, USERS, NULL, 0, sqlite_row_user) < 0) {
		return -1;
	}
	return each(read, CREDENTIALS, NULL, 0, sqlite_row_credential);
}

static int read_kind(struct sqlite_read *read) {
	switch (read->query->kind) {
	case STORE_READ_RESPONSE:
		return read_response(read);
	case STORE_READ_CONTEXT:
		return read_context(read);
	case STORE_READ_LATEST:
		return read_latest(read);
	case STORE_READ_ITEM:
		return read_item(read);
	case STORE_READ_THREAD:
		return read_thread(read);
	case STORE_READ_HEAD:
		return read_thread_row(read, THREAD);
	case STORE_READ_CHAIN:
		return read_chain(read);
	case STORE_READ_THREADS:
		return read_threads(read);
	case STORE_READ_IDEMPOTENCY:
		return read_idempotency(read);
	case STORE_READ_IDENTITIES:
		return read_identities(read);
	}
	return err_set(read->err, ERR_INVALID, "no such read");
}

struct store_snapshot *sqlite_reader_read(struct sqlite_reader *reader, const struct store_query *query,
					  struct err *err) {
	struct sqlite_read read = {.reader = reader, .query = query, .err = err, .out = snapshot_new()};
	if (!read.out) {
		sqlite_row_no_memory(&read);
		return NULL;
	}
	/* All statements of one read see the same state. Its start is fixed by the first of them, which looks at rows
	 * before any key is read: whatever row is seen, its key was written before. */
	if (sqlite_conn_run(&reader->data, BEGIN, NULL, 0, err) < 0) {
		goto fail;
	}
	int result = read_kind(&read);
	mem_free(read.line.keys);
	sqlite_conn_run(&reader->data, END, NULL, 0, NULL);
	if (result < 0) {
		goto fail;
	}
	return read.out;

fail:
	store_snapshot_free(&read.out);
	return NULL;
}

static int found(struct sqlite_read *read, sqlite3_stmt *statement) {
	(void)read;
	(void)statement;
	return 0;
}

int sqlite_reader_is_empty(struct sqlite_reader *reader, struct store_dek *sample, struct err *err) {
	struct sqlite_read read = {.reader = reader, .err = err, .sample = sample};
	struct sqlite_conn *keys = &reader->keys;
	int deks = each_row(&read, keys, sqlite_conn_bind(keys, ANY_DEK, NULL, 0, err), sqlite_row_sample);
	int credentials = each(&read, HAS_CREDENTIAL, NULL, 0, found);
	return deks < 0 || credentials < 0 ? -1 : deks + credentials == 0;
}
