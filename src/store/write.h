/* A write as the layer itself sees it: changes, sorted by kind, and the operation that carries them. */
#ifndef SLUICE_STORE_WRITE_H
#define SLUICE_STORE_WRITE_H

#include "base/list.h"
#include "op.h"
#include "store/store.h"

/* In the order in which the kinds of one write are applied: what goes makes room for what comes, and whatever another
 * row points at comes before it. The order in which a caller adds changes does not matter. */
enum change_kind {
	CHANGE_EXPECT_THREAD, /* changes nothing */
	CHANGE_DELETE_THREAD,
	CHANGE_DELETE_RESPONSE,
	CHANGE_DELETE_RECORD,
	CHANGE_DELETE_SEGMENTS,
	CHANGE_DELETE_IDEMPOTENCY,
	CHANGE_DELETE_WAYPOINTS,
	CHANGE_CONSUME_CREDENTIAL,
	CHANGE_DELETE_CREDENTIAL,
	CHANGE_PUT_DEK,
	CHANGE_PUT_THREAD,
	CHANGE_PUT_RESPONSE,
	CHANGE_PUT_RECORD,
	CHANGE_PUT_WAYPOINT,
	CHANGE_PUT_SEGMENT,
	CHANGE_PUT_IDEMPOTENCY,
	CHANGE_PUT_USER,
	CHANGE_PUT_CREDENTIAL,
	CHANGE_KINDS,
};

struct change_name {
	char owner[ID_SIZE]; /* "" for a credential */
	char id[ID_SIZE];
};

/* One record of a thread. */
struct change_place {
	char thread[ID_SIZE];
	uint32_t number;
};

struct change_thread {
	struct store_thread thread;
	uint32_t expected_last;
};

struct change_waypoint {
	char thread[ID_SIZE];
	struct store_waypoint waypoint;
};

struct change_idempotency {
	struct store_idempotency row;
	int64_t expired_ms;
};

struct change {
	struct list node;
	enum change_kind kind;
	union {
		struct change_name name;
		struct change_place place;
		struct store_dek dek;
		struct change_thread thread;
		struct store_response response;
		struct store_record record;
		struct change_idempotency idempotency;
		struct change_waypoint waypoint;
		struct store_user user;
		struct store_credential credential;
	};
};

struct store_write {
	struct store_op op;                /* its err is the outcome, set by the driver */
	struct list changes[CHANGE_KINDS]; /* struct change */
	size_t count;                      /* of them all */
	size_t bytes;                      /* roughly what they take on disk */
	bool puts_keys;
	bool deletes_keys;
	bool deletes_data;
	bool failed; /* a change did not fit in memory: the write must not happen */
};

/* Whether an outcome tells of the store's state and not of what was asked of it. */
bool write_is_ill(const struct err *outcome);

#endif
