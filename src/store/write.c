#include "write.h"

#include <string.h>

#include "base/mem.h"

/* What a row costs beside its texts, about: for the bound on a transaction, which needs no more than a guess. */
#define ROW_BYTES 256

struct store_write *store_write_new(void) {
	struct store_write *write = mem_zalloc(sizeof *write);
	if (!write) {
		return NULL;
	}
	write->op.write = write;
	for (size_t i = 0; i < CHANGE_KINDS; i++) {
		list_init(&write->changes[i]);
	}
	return write;
}

void store_write_free(struct store_write **write) {
	if (!*write) {
		return;
	}
	for (size_t i = 0; i < CHANGE_KINDS; i++) {
		list_each(node, after, &(*write)->changes[i]) {
			struct change *change = container_of(node, struct change, node);
			if (change->kind == CHANGE_PUT_RECORD || change->kind == CHANGE_PUT_SEGMENT) {
				buf_free(&change->record.sealed);
			}
			mem_free(change);
		}
	}
	mem_free(*write);
	*write = NULL;
}

/* A new change at the end of its kind; NULL when memory is out, which the write remembers. */
static struct change *add(struct store_write *write, enum change_kind kind) {
	struct change *change = mem_zalloc(sizeof *change);
	if (!change) {
		write->failed = true;
		return NULL;
	}
	change->kind = kind;
	list_append(&write->changes[kind], &change->node);
	write->count++;
	write->bytes += ROW_BYTES;
	return change;
}

static int add_name(struct store_write *write, enum change_kind kind, const char *owner, const char *id) {
	struct change *change = add(write, kind);
	if (!change) {
		return -1;
	}
	str_copy(change->name.owner, sizeof change->name.owner, str_of(owner));
	str_copy(change->name.id, sizeof change->name.id, str_of(id));
	return 0;
}

int store_put_dek(struct store_write *write, const struct store_dek *dek) {
	struct change *change = add(write, CHANGE_PUT_DEK);
	if (!change) {
		return -1;
	}
	change->dek = *dek;
	write->puts_keys = true;
	return 0;
}

int store_put_thread(struct store_write *write, const struct store_thread *thread, uint32_t expected_last) {
	struct change *change = add(write, CHANGE_PUT_THREAD);
	if (!change) {
		return -1;
	}
	change->thread.thread = *thread;
	change->thread.expected_last = expected_last;
	return 0;
}

int store_put_response(struct store_write *write, const struct store_response *response) {
	struct change *change = add(write, CHANGE_PUT_RESPONSE);
	if (!change) {
		return -1;
	}
	change->response = *response;
	return 0;
}

int store_expect_thread(struct store_write *write, const struct store_thread *thread) {
	struct change *change = add(write, CHANGE_EXPECT_THREAD);
	if (!change) {
		return -1;
	}
	change->thread = (struct change_thread){*thread, thread->last_number};
	return 0;
}

static int put_sealed(struct store_write *write, enum change_kind kind, struct store_record *record) {
	if (record->sealed.failed) {
		write->failed = true;
		return -1;
	}
	struct change *change = add(write, kind);
	if (!change) {
		return -1;
	}
	change->record = *record;
	record->sealed = BUF_INIT;
	write->bytes += change->record.sealed.length;
	return 0;
}

int store_put_record(struct store_write *write, struct store_record *record) {
	return put_sealed(write, CHANGE_PUT_RECORD, record);
}

int store_delete_record(struct store_write *write, const char *thread, uint32_t number) {
	struct change *change = add(write, CHANGE_DELETE_RECORD);
	if (!change) {
		return -1;
	}
	write->deletes_data = true;
	str_copy(change->place.thread, sizeof change->place.thread, str_of(thread));
	change->place.number = number;
	return 0;
}

int store_put_waypoint(struct store_write *write, const char *thread, const struct store_waypoint *waypoint) {
	struct change *change = add(write, CHANGE_PUT_WAYPOINT);
	if (!change) {
		return -1;
	}
	str_copy(change->waypoint.thread, sizeof change->waypoint.thread, str_of(thread));
	change->waypoint.waypoint = *waypoint;
	return 0;
}

int store_delete_waypoints(struct store_write *write, const char *thread) {
	return add_name(write, CHANGE_DELETE_WAYPOINTS, "", thread);
}

int store_put_segment(struct store_write *write, struct store_record *segment) {
	return put_sealed(write, CHANGE_PUT_SEGMENT, segment);
}

int store_delete_segments(struct store_write *write, const char *response) {
	return add_name(write, CHANGE_DELETE_SEGMENTS, "", response);
}

int store_put_idempotency(struct store_write *write, const struct store_idempotency *idempotency, int64_t expired_ms) {
	struct change *change = add(write, CHANGE_PUT_IDEMPOTENCY);
	if (!change) {
		return -1;
	}
	change->idempotency = (struct change_idempotency){*idempotency, expired_ms};
	return 0;
}

int store_delete_idempotency(struct store_write *write, const char *response) {
	return add_name(write, CHANGE_DELETE_IDEMPOTENCY, "", response);
}

int store_delete_response(struct store_write *write, const char *owner, const char *id) {
	write->deletes_data = true;
	return add_name(write, CHANGE_DELETE_RESPONSE, owner, id);
}

int store_delete_thread(struct store_write *write, const char *owner, const char *id) {
	write->deletes_keys = true;
	write->deletes_data = true;
	return add_name(write, CHANGE_DELETE_THREAD, owner, id);
}

int store_put_user(struct store_write *write, const struct store_user *user) {
	struct change *change = add(write, CHANGE_PUT_USER);
	if (!change) {
		return -1;
	}
	change->user = *user;
	return 0;
}

int store_put_credential(struct store_write *write, const struct store_credential *credential) {
	struct change *change = add(write, CHANGE_PUT_CREDENTIAL);
	if (!change) {
		return -1;
	}
	change->credential = *credential;
	return 0;
}

int store_delete_credential(struct store_write *write, const char *id) {
	return add_name(write, CHANGE_DELETE_CREDENTIAL, "", id);
}

int store_consume_credential(struct store_write *write, const char *id) {
	return add_name(write, CHANGE_CONSUME_CREDENTIAL, "", id);
}

bool write_is_ill(const struct err *outcome) {
	switch (outcome->code) {
	case ERR_NONE:
	case ERR_INVALID:
	case ERR_NOT_FOUND:
	case ERR_CONFLICT:
	case ERR_LIMIT:
		return false;
	default:
		return true;
	}
}
