#include "sqlite_change.h"

#include <string.h>
#define TRANSACTION_SQL                                                                                                \
	[TRANSACTION_BEGIN] = "BEGIN IMMEDIATE", [TRANSACTION_COMMIT] = "COMMIT", [TRANSACTION_UNDO] = "ROLLBACK",     \
	[TRANSACTION_SAVEPOINT] = "SAVEPOINT one", [TRANSACTION_RELEASE] = "RELEASE one",                              \
	[TRANSACTION_UNDO_TO] = "ROLLBACK TO one"

enum data_statement {
	HAS_THREAD = OWN_STATEMENTS,
	HAS_THREAD_AT,
	START_THREAD,
	ADVANCE_THREAD,
	PUT_RESPONSE,
	PUT_RECORD,
	PUT_WAYPOINT,
	DELETE_WAYPOINTS,
	RUNNING,
	PUT_CHECKPOINT,
	HAS_CHECKPOINT,
	PURGE_CHECKPOINTS,
	KEEP_CHECKPOINTS,
	CLEAR_CHECKPOINTS,
	DELETE_SEGMENTS,
	PUT_IDEMPOTENCY,
	EXPIRE_IDEMPOTENCY,
	DELETE_IDEMPOTENCY,
	PUT_USER,
	PUT_CREDENTIAL,
	DELETE_THREAD,
	DELETE_RESPONSE,
	DELETE_RECORD,
	DELETE_CREDENTIAL,
	SWEEP,
	PROBE,
	DATA_STATEMENTS,
};

static const char *const DATA_SQL[DATA_STATEMENTS] = {
	TRANSACTION_SQL,
	[HAS_THREAD] = "SELECT 1 FROM thread WHERE id = ?1",
	[HAS_THREAD_AT] = "SELECT 1 FROM thread WHERE id = ?1 AND owner = ?2 AND last_number = ?3 AND chain = ?4",
	[START_THREAD] =
		"INSERT INTO thread (id, owner, created_ms, updated_ms, last_response, last_number, count, chain, head)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
		" ON CONFLICT (id) DO UPDATE SET updated_ms = excluded.updated_ms,"
		" last_response = excluded.last_response, last_number = excluded.last_number,"
		" count = excluded.count, chain = excluded.chain, head = excluded.head"
		" WHERE owner = excluded.owner AND last_number = 0",
	[ADVANCE_THREAD] = "UPDATE thread SET updated_ms = ?3, last_response = ?4, last_number = ?5, count = ?6,"
			   " chain = ?7, head = ?8 WHERE id = ?1 AND owner = ?2 AND last_number = ?9",
	[PUT_RESPONSE] = "INSERT INTO response (id, thread, parent, model, status, reason, created_ms, completed_ms,"
			 " input_tokens, cached_tokens, output_tokens, reasoning_tokens)"
			 " SELECT ?1, key, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13"
			 " FROM thread WHERE id = ?2 AND owner = ?3"
			 " ON CONFLICT (id) DO UPDATE SET parent = excluded.parent, model = excluded.model,"
			 " status = excluded.status, reason = excluded.reason, created_ms = excluded.created_ms,"
			 " completed_ms = excluded.completed_ms, input_tokens = excluded.input_tokens,"
			 " cached_tokens = excluded.cached_tokens, output_tokens = excluded.output_tokens,"
			 " reasoning_tokens = excluded.reasoning_tokens WHERE thread = excluded.thread",
	/* The commitment is bytes 33 to 64 of every sealed record (SECURITY.md): kept beside it, so that a chain is
	 * read without reading the texts. */
	[PUT_RECORD] = "INSERT INTO record (thread, number, response, kind, created_ms, commitment, sealed, item)"
		       " SELECT t.key, ?3, r.key, ?4, ?5, substr(?6, 33, 32), ?6, nullif(?7, '')"
		       " FROM thread t LEFT JOIN response r ON r.id = ?2 AND r.thread = t.key"
		       " WHERE t.id = ?1 AND (?2 = '' OR r.key IS NOT NULL)"
		       " ON CONFLICT (thread, number) DO UPDATE SET kind = excluded.kind,"
		       " created_ms = excluded.created_ms, commitment = excluded.commitment, sealed = excluded.sealed,"
		       " item = excluded.item WHERE response IS excluded.response",
	[PUT_WAYPOINT] = "INSERT OR REPLACE INTO waypoint (thread, number, chain)"
			 " SELECT key, ?2, ?3 FROM thread WHERE id = ?1",
	[DELETE_WAYPOINTS] = "DELETE FROM waypoint WHERE thread = (SELECT key FROM thread WHERE id = ?1)",
	[RUNNING] = "SELECT key FROM response WHERE id = ?1 AND status = 'in_progress'",
	[PUT_CHECKPOINT] = "INSERT INTO checkpoint (response, number, kind, created_ms, sealed)"
			   " VALUES (?1, ?2, ?3, ?4, ?5)",
	[HAS_CHECKPOINT] = "SELECT 1 FROM checkpoint LIMIT 1",
	[PURGE_CHECKPOINTS] =
		"DELETE FROM checkpoint WHERE response NOT IN"
		" (SELECT key FROM response INDEXED BY response_in_flight WHERE status IN ('in_progress', 'queued'))",
	/* One that was said again stands behind the first. */
	[KEEP_CHECKPOINTS] = "INSERT OR REPLACE INTO segment (response, number, kind, created_ms, sealed)"
			     " SELECT c.response, c.number, c.kind, c.created_ms, c.sealed FROM checkpoint c"
			     " JOIN response r ON r.key = c.response WHERE r.status = 'in_progress' ORDER BY c.key",
	[CLEAR_CHECKPOINTS] = "DELETE FROM checkpoint",
	[DELETE_SEGMENTS] = "DELETE FROM segment WHERE response = (SELECT key FROM response WHERE id = ?1)",
	[PUT_IDEMPOTENCY] = "INSERT INTO idempotency (key_hash, body_hash, response, created_ms)"
			    " SELECT ?1, ?2, key, ?4 FROM response WHERE id = ?3"
			    " ON CONFLICT (key_hash) DO UPDATE SET body_hash = excluded.body_hash,"
			    " response = excluded.response, created_ms = excluded.created_ms WHERE created_ms <= ?5",
	/* More than one goes for each that comes, so that the table shrinks; few, so that nobody waits for it. */
	[EXPIRE_IDEMPOTENCY] =
		"DELETE FROM idempotency WHERE key_hash IN"
		" (SELECT key_hash FROM idempotency WHERE created_ms <= ?1 ORDER BY created_ms LIMIT 16)",
	[DELETE_IDEMPOTENCY] = "DELETE FROM idempotency WHERE response = (SELECT key FROM response WHERE id = ?1)",
	[PUT_USER] = "INSERT INTO user (id, name, created_ms) VALUES (?1, ?2, ?3)"
		     " ON CONFLICT (id) DO UPDATE SET name = excluded.name",
	[PUT_CREDENTIAL] = "INSERT INTO credential (id, kind, user, name, hash, created_ms, expires_ms, revoked_ms)"
			   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
			   " ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, user = excluded.user,"
			   " name = excluded.name, hash = excluded.hash, created_ms = excluded.created_ms,"
			   " expires_ms = excluded.expires_ms, revoked_ms = excluded.revoked_ms",
	[DELETE_THREAD] = "DELETE FROM thread WHERE id = ?1 AND owner = ?2",
	[DELETE_RESPONSE] = "DELETE FROM response WHERE id = ?1"
			    " AND EXISTS (SELECT 1 FROM thread WHERE key = response.thread AND owner = ?2)",
	[DELETE_RECORD] = "DELETE FROM record WHERE thread = (SELECT key FROM thread WHERE id = ?1) AND number = ?2",
	[DELETE_CREDENTIAL] = "DELETE FROM credential WHERE id = ?1",
	[SWEEP] = "UPDATE response SET status = 'incomplete', reason = 'server_restart', completed_ms = ?1"
		  " WHERE status IN ('in_progress', 'queued')",
	[PROBE] = "UPDATE probe SET at_ms = ?1",
};

enum keys_statement {
	HAS_KEY = OWN_STATEMENTS,
	HAS_SAME_DEK,
	INSERT_DEK,
	REPLACE_DEK,
	DELETE_DEKS,
	KEYS_STATEMENTS,
};

static const char *const KEYS_SQL[KEYS_STATEMENTS] = {
	TRANSACTION_SQL,
	[HAS_KEY] = "SELECT 1 FROM dek WHERE thread = ?1 AND owner = ?2",
	[HAS_SAME_DEK] = "SELECT 1 FROM dek WHERE thread = ?1 AND epoch = ?2 AND owner = ?3 AND wrapped = ?4",
	[INSERT_DEK] = ("INSERT INTO dek (thread, epoch, owner, wrapped) VALUES (?1, ?2, ?3, ?4)"
			" ON CONFLICT (thread, epoch) DO NOTHING"),
	[REPLACE_DEK] = "UPDATE dek SET owner = ?3, wrapped = ?4 WHERE thread = ?1 AND epoch = ?2",
	[DELETE_DEKS] = "DELETE FROM dek WHERE thread = ?1 AND owner = ?2",
};

const struct sqlite_role sqlite_data_writer = {
	.file = "sluice.db", .statements = DATA_SQL, .statement_count = DATA_STATEMENTS};
const struct sqlite_role sqlite_keys_writer = {
	.file = "keys.db", .statements = KEYS_SQL, .statement_count = KEYS_STATEMENTS};

/* Whether a statement finds a row: 1 or 0, or -1 with an error. */
static int has(struct sqlite_conn *conn, size_t which, const struct sqlite_value *values, size_t count,
	       struct err *err) {
	sqlite3_stmt *statement = sqlite_conn_bind(conn, which, values, count, err);
	if (!statement) {
		return -1;
	}
	int found = sqlite_conn_step(conn, statement, err);
	sqlite3_reset(statement);
	return found;
}

/* A DEK is never changed: two that claim one epoch are a race, and the later one loses. Only where no thread came of
 * the earlier one, because its data could not be written, does the later one take its place. */
static int put_dek(struct sqlite_files *files, const struct store_dek *dek, struct err *err) {
	const struct sqlite_value values[] = {SQL_TEXT(dek->thread), SQL_INT(dek->epoch), SQL_TEXT(dek->owner),
					      SQL_BLOB(dek->wrapped, sizeof dek->wrapped)};
	const size_t count = sizeof values / sizeof values[0];
	int changed = sqlite_conn_run(&files->keys, INSERT_DEK, values, count, err);
	if (changed != 0) {
		return changed < 0 ? -1 : 0;
	}
	int same = has(&files->keys, HAS_SAME_DEK, values, count, err);
	if (same != 0) {
		return same < 0 ? -1 : 0;
	}
	int known = has(&files->data, HAS_THREAD, SQL_VALUES(SQL_TEXT(dek->thread)), err);
	if (known != 0) {
		return known < 0 ? -1 : err_set(err, ERR_CONFLICT, "the thread has another key for this epoch");
	}
	return sqlite_conn_run(&files->keys, REPLACE_DEK, values, count, err) < 0 ? -1 : 0;
}

/* A first put needs a key to be there, or else a thread that was erased meanwhile would come back. */
static int start_thread(struct sqlite_files *files, const struct store_thread *t, struct err *err) {
	int keyed = has(&files->keys, HAS_KEY, SQL_VALUES(SQL_TEXT(t->id), SQL_TEXT(t->owner)), err);
	if (keyed <= 0) {
		return keyed < 0 ? -1 : err_set(err, ERR_CONFLICT, "the thread has no key");
	}
	return sqlite_conn_run(&files->data, START_THREAD,
			       SQL_VALUES(SQL_TEXT(t->id), SQL_TEXT(t->owner), SQL_INT(t->created_ms),
					  SQL_INT(t->updated_ms), SQL_TEXT(t->last_response), SQL_INT(t->last_number),
					  SQL_INT(t->count), SQL_BLOB(t->chain, sizeof t->chain),
					  SQL_BLOB(t->head, sizeof t->head)),
			       err);
}

static int put_thread(struct sqlite_files *files, const struct change_thread *change, struct err *err) {
	const struct store_thread *t = &change->thread;
	int changed;
	if (change->expected_last == 0) {
		changed = start_thread(files, t, err);
	} else {
		changed = sqlite_conn_run(&files->data, ADVANCE_THREAD,
					  SQL_VALUES(SQL_TEXT(t->id), SQL_TEXT(t->owner), SQL_INT(t->updated_ms),
						     SQL_TEXT(t->last_response), SQL_INT(t->last_number),
						     SQL_INT(t->count), SQL_BLOB(t->chain, sizeof t->chain),
						     SQL_BLOB(t->head, sizeof t->head), SQL_INT(change->expected_last)),
					  err);
	}
	if (changed == 0) {
		return err_set(err, ERR_CONFLICT, "the thread changed meanwhile");
	}
	return changed < 0 ? -1 : 0;
}

static int expect_thread(struct sqlite_files *files, const struct store_thread *t, struct err *err) {
	int there = has(&files->data, HAS_THREAD_AT,
			SQL_VALUES(SQL_TEXT(t->id), SQL_TEXT(t->owner), SQL_INT(t->last_number),
				   SQL_BLOB(t->chain, sizeof t->chain)),
			err);
	if (there == 0) {
		return err_set(err, ERR_CONFLICT, "the thread changed meanwhile");
	}
	return there < 0 ? -1 : 0;
}

/* Deletes the checkpoints of responses that run no more. */
static int purge(struct sqlite_files *files, struct err *err) {
	if (sqlite_conn_run(&files->data, PURGE_CHECKPOINTS, NULL, 0, err) < 0) {
		return -1;
	}
	int left = has(&files->data, HAS_CHECKPOINT, NULL, 0, err);
	if (left < 0) {
		return -1;
	}
	sqlite_running_purged(files->running, left == 0);
	return 0;
}

/* Behind whatever erases: what checkpoints have of it goes with it. */
static int purge_dead(struct sqlite_files *files, struct err *err) {
	return sqlite_running_has_dead(files->running) ? purge(files, err) : 0;
}

/* The last to run takes all along, which costs no commit of its own. */
static int end_response(struct sqlite_files *files, const struct store_response *r, struct err *err) {
	if (strcmp(r->status, "in_progress") == 0) {
		return 0;
	}
	sqlite_running_end(files->running, r->id);
	return sqlite_running_is_over(files->running) ? purge(files, err) : 0;
}

static int put_response(struct sqlite_files *files, const struct store_response *r, struct err *err) {
	int changed = sqlite_conn_run(&files->data, PUT_RESPONSE,
				      SQL_VALUES(SQL_TEXT(r->id), SQL_TEXT(r->thread), SQL_TEXT(r->owner),
						 SQL_TEXT(r->parent), SQL_TEXT(r->model), SQL_TEXT(r->status),
						 SQL_TEXT(r->reason), SQL_INT(r->created_ms), SQL_INT(r->completed_ms),
						 SQL_INT(r->input_tokens), SQL_INT(r->cached_tokens),
						 SQL_INT(r->output_tokens), SQL_INT(r->reasoning_tokens)),
				      err);
	if (changed == 0) {
		return err_set(err, ERR_CONFLICT, "the response's thread is not there");
	}
	return changed < 0 ? -1 : end_response(files, r, err);
}

static int put_record(struct sqlite_files *files, const struct store_record *r, struct err *err) {
	int changed = sqlite_conn_run(&files->data, PUT_RECORD,
				      SQL_VALUES(SQL_TEXT(r->thread), SQL_TEXT(r->response), SQL_INT(r->number),
						 SQL_INT(r->kind), SQL_INT(r->created_ms),
						 SQL_BLOB(r->sealed.data, r->sealed.length), SQL_TEXT(r->item)),
				      err);
	if (changed == 0) {
		return err_set(err, ERR_CONFLICT, "the record's response is not there, or its number is taken");
	}
	return changed < 0 ? -1 : 0;
}

static int put_waypoint(struct sqlite_files *files, const struct change_waypoint *w, struct err *err) {
	return sqlite_conn_run(&files->data, PUT_WAYPOINT,
			       SQL_VALUES(SQL_TEXT(w->thread), SQL_INT(w->waypoint.number),
					  SQL_BLOB(w->waypoint.chain, sizeof w->waypoint.chain)),
			       err) < 0
		       ? -1
		       : 0;
}

static int delete_waypoints(struct sqlite_files *files, const struct change_name *name, struct err *err) {
	return sqlite_conn_run(&files->data, DELETE_WAYPOINTS, SQL_VALUES(SQL_TEXT(name->id)), err) < 0 ? -1 : 0;
}

/* The key of a response in progress: 0 when it is not, or not there; -1 with an error. */
static int64_t running_key(struct sqlite_files *files, const char *id, struct err *err) {
	int64_t key = sqlite_running_key(files->running, id);
	if (key > 0) {
		return key;
	}
	sqlite3_stmt *statement = sqlite_conn_bind(&files->data, RUNNING, SQL_VALUES(SQL_TEXT(id)), err);
	int found = statement ? sqlite_conn_step(&files->data, statement, err) : -1;
	if (found > 0) {
		key = sqlite3_column_int64(statement, 0);
		sqlite3_reset(statement);
	}
	return found < 0 ? -1 : key;
}

/* Not after the response's end: a checkpoint that comes late must not bring its segments back. */
static int put_segment(struct sqlite_files *files, const struct store_record *s, struct err *err) {
	int64_t key = running_key(files, s->response, err);
	if (key == 0) {
		return err_set(err, ERR_CONFLICT, "the segment's response is not in progress");
	}
	if (key < 0 || sqlite_conn_run(&files->data, PUT_CHECKPOINT,
				       SQL_VALUES(SQL_INT(key), SQL_INT(s->number), SQL_INT(s->kind),
						  SQL_INT(s->created_ms), SQL_BLOB(s->sealed.data, s->sealed.length)),
				       err) < 0) {
		return -1;
	}
	sqlite_running_add(files->running, s->response, key);
	return 0;
}

static int delete_segments(struct sqlite_files *files, const struct change_name *name, struct err *err) {
	return sqlite_conn_run(&files->data, DELETE_SEGMENTS, SQL_VALUES(SQL_TEXT(name->id)), err) < 0 ? -1 : 0;
}

static int put_idempotency(struct sqlite_files *files, const struct change_idempotency *change, struct err *err) {
	const struct store_idempotency *i = &change->row;
	int changed =
		sqlite_conn_run(&files->data, PUT_IDEMPOTENCY,
				SQL_VALUES(SQL_BLOB(i->key, sizeof i->key), SQL_BLOB(i->body, sizeof i->body),
					   SQL_TEXT(i->response), SQL_INT(i->created_ms), SQL_INT(change->expired_ms)),
				err);
	if (changed == 0) {
		return err_set(err, ERR_CONFLICT, "the idempotency key stands for another response");
	}
	if (changed < 0) {
		return -1;
	}
	return sqlite_conn_run(&files->data, EXPIRE_IDEMPOTENCY, SQL_VALUES(SQL_INT(change->expired_ms)), err) < 0 ? -1
														   : 0;
}

static int delete_idempotency(struct sqlite_files *files, const struct change_name *name, struct err *err) {
	return sqlite_conn_run(&files->data, DELETE_IDEMPOTENCY, SQL_VALUES(SQL_TEXT(name->id)), err) < 0 ? -1 : 0;
}

static int put_user(struct sqlite_files *files, const struct store_user *u, struct err *err) {
	int changed = sqlite_conn_run(&files->data, PUT_USER,
				      SQL_VALUES(SQL_TEXT(u->id), SQL_TEXT(u->name), SQL_INT(u->created_ms)), err);
	return changed < 0 ? -1 : 0;
}

static int put_credential(struct sqlite_files *files, const struct store_credential *c, struct err *err) {
	int changed =
		sqlite_conn_run(&files->data, PUT_CREDENTIAL,
				SQL_VALUES(SQL_TEXT(c->id), SQL_INT(c->kind), SQL_TEXT(c->user), SQL_TEXT(c->name),
					   SQL_BLOB(c->hash, sizeof c->hash), SQL_INT(c->created_ms),
					   SQL_INT(c->expires_ms), SQL_INT(c->revoked_ms)),
				err);
	return changed < 0 ? -1 : 0;
}

/* A thread of which only the keys or only the rows are left is one whose erasure was cut short: finishing it is no
 * error. */
static int delete_thread(struct sqlite_files *files, const struct change_name *name, struct err *err) {
	int keys =
		sqlite_conn_run(&files->keys, DELETE_DEKS, SQL_VALUES(SQL_TEXT(name->id), SQL_TEXT(name->owner)), err);
	if (keys < 0) {
		return -1;
	}
	int rows = sqlite_conn_run(&files->data, DELETE_THREAD, SQL_VALUES(SQL_TEXT(name->id), SQL_TEXT(name->owner)),
				   err);
	if (rows < 0) {
		return -1;
	}
	if (keys + rows == 0) {
		return err_set(err, ERR_NOT_FOUND, "no such thread");
	}
	/* Any response may have been of it. */
	sqlite_running_forget(files->running);
	return purge_dead(files, err);
}

static int delete_response(struct sqlite_files *files, const struct change_name *name, struct err *err) {
	int rows = sqlite_conn_run(&files->data, DELETE_RESPONSE, SQL_VALUES(SQL_TEXT(name->id), SQL_TEXT(name->owner)),
				   err);
	if (rows == 0) {
		return err_set(err, ERR_NOT_FOUND, "no such response");
	}
	sqlite_running_end(files->running, name->id);
	return rows < 0 ? -1 : purge_dead(files, err);
}

static int delete_record(struct sqlite_files *files, const struct change_place *place, struct err *err) {
	int rows = sqlite_conn_run(&files->data, DELETE_RECORD,
				   SQL_VALUES(SQL_TEXT(place->thread), SQL_INT(place->number)), err);
	if (rows == 0) {
		return err_set(err, ERR_CONFLICT, "the record went meanwhile");
	}
	return rows < 0 ? -1 : purge_dead(files, err);
}

static int delete_credential(struct sqlite_files *files, const struct change *change, struct err *err) {
	int rows = sqlite_conn_run(&files->data, DELETE_CREDENTIAL, SQL_VALUES(SQL_TEXT(change->name.id)), err);
	if (rows == 0 && change->kind == CHANGE_CONSUME_CREDENTIAL) {
		return err_set(err, ERR_CONFLICT, "the credential was used already");
	}
	return rows < 0 ? -1 : 0;
}

int sqlite_change_apply(struct sqlite_files *files, const struct change *change, struct err *err) {
	switch (change->kind) {
	case CHANGE_EXPECT_THREAD:
		return expect_thread(files, &change->thread.thread, err);
	case CHANGE_DELETE_THREAD:
		return delete_thread(files, &change->name, err);
	case CHANGE_DELETE_RESPONSE:
		return delete_response(files, &change->name, err);
	case CHANGE_DELETE_RECORD:
		return delete_record(files, &change->place, err);
	case CHANGE_CONSUME_CREDENTIAL:
	case CHANGE_DELETE_CREDENTIAL:
		return delete_credential(files, change, err);
	case CHANGE_PUT_DEK:
		return put_dek(files, &change->dek, err);
	case CHANGE_PUT_THREAD:
		return put_thread(files, &change->thread, err);
	case CHANGE_PUT_RESPONSE:
		return put_response(files, &change->response, err);
	case CHANGE_PUT_RECORD:
		return put_record(files, &change->record, err);
	case CHANGE_PUT_WAYPOINT:
		return put_waypoint(files, &change->waypoint, err);
	case CHANGE_DELETE_WAYPOINTS:
		return delete_waypoints(files, &change->name, err);
	case CHANGE_PUT_SEGMENT:
		return put_segment(files, &change->record, err);
	case CHANGE_DELETE_SEGMENTS:
		return delete_segments(files, &change->name, err);
	case CHANGE_PUT_IDEMPOTENCY:
		return put_idempotency(files, &change->idempotency, err);
	case CHANGE_DELETE_IDEMPOTENCY:
		return delete_idempotency(files, &change->name, err);
	case CHANGE_PUT_USER:
		return put_user(files, &change->user, err);
	case CHANGE_PUT_CREDENTIAL:
		return put_credential(files, &change->credential, err);
	case CHANGE_KINDS:
		break;
	}
	return err_set(err, ERR_INVALID, "a change of no kind");
}

/* Within a transaction; the last step tells how many. */
static int sweep(struct sqlite_files *files, int64_t now_ms, struct err *err) {
	struct sqlite_conn *data = &files->data;
	int left = has(data, HAS_CHECKPOINT, NULL, 0, err);
	if (left < 0 || (left > 0 && (sqlite_conn_run(data, KEEP_CHECKPOINTS, NULL, 0, err) < 0 ||
				      sqlite_conn_run(data, CLEAR_CHECKPOINTS, NULL, 0, err) < 0))) {
		return -1;
	}
	return sqlite_conn_run(data, SWEEP, SQL_VALUES(SQL_INT(now_ms)), err);
}

int sqlite_change_sweep(struct sqlite_files *files, int64_t now_ms, struct err *err) {
	if (sqlite_conn_run(&files->data, TRANSACTION_BEGIN, NULL, 0, err) < 0) {
		return -1;
	}
	int swept = sweep(files, now_ms, err);
	if (swept < 0 || sqlite_conn_run(&files->data, TRANSACTION_COMMIT, NULL, 0, err) < 0) {
		sqlite_conn_run(&files->data, TRANSACTION_UNDO, NULL, 0, NULL);
		return -1;
	}
	return swept;
}

int sqlite_change_purge(struct sqlite_files *files, struct err *err) {
	return purge(files, err);
}

int sqlite_change_probe(struct sqlite_files *files, int64_t now_ms, struct err *err) {
	return sqlite_conn_run(&files->data, PROBE, SQL_VALUES(SQL_INT(now_ms)), err) < 0 ? -1 : 0;
}
