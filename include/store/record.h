/* The rows that a store keeps. It never sees plaintext or keys: texts are sealed records, data keys are wrapped.
 * What stays readable: owner, thread, times, counts, model, status, token usage (SECURITY.md). */
#ifndef SLUICE_STORE_RECORD_H
#define SLUICE_STORE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"

#define STORE_MODEL_SIZE 128
#define STORE_CODE_SIZE 64
#define STORE_NAME_SIZE 65
#define STORE_DEK_SIZE 116
#define STORE_HASH_SIZE 32

/* A conversation: the tree of responses that grew from one first turn. */
struct store_thread {
	char id[ID_SIZE]; /* conv_… */
	char owner[ID_SIZE];
	int64_t created_ms;
	int64_t updated_ms;
	char last_response[ID_SIZE]; /* the newest one; "" while there is none */
	uint32_t last_number;        /* of its records, ever given out */
	uint32_t count;              /* of its records now */
	uint8_t chain[32];           /* seal_head.chain */
	uint8_t head[32];            /* seal_head_mac */
};

struct store_dek {
	char thread[ID_SIZE];
	char owner[ID_SIZE];
	uint32_t epoch;
	uint8_t wrapped[STORE_DEK_SIZE];
};

struct store_response {
	char id[ID_SIZE];
	char thread[ID_SIZE];
	char owner[ID_SIZE];
	char parent[ID_SIZE]; /* "" for a first turn */
	char model[STORE_MODEL_SIZE];
	char status[16];              /* as the API names it: in_progress, completed, … */
	char reason[STORE_CODE_SIZE]; /* incomplete_details.reason or error.code; "" if none */
	int64_t created_ms;
	int64_t completed_ms;                                                 /* 0 while in progress */
	int64_t input_tokens, cached_tokens, output_tokens, reasoning_tokens; /* -1 when unknown */
};

/* One sealed text. `kind` is the conversation layer's number. */
struct store_record {
	char thread[ID_SIZE];
	char response[ID_SIZE]; /* "" for a record of the thread's own */
	char item[ID_SIZE];     /* the id of the item that is sealed in it; "" if it is none, or of a segment */
	uint32_t number;        /* within the thread, from 1, never reused */
	uint32_t kind;
	int64_t created_ms;
	struct buf sealed; /* owned by whoever owns this struct */
};

/* Number and commitment of one record of a thread: what the chain is verified over. */
struct store_link {
	uint32_t number;
	uint8_t commitment[32];
};

/* The chain of a thread behind the record of this number: from there on it can be verified without what was before. */
struct store_waypoint {
	uint32_t number; /* 0: the beginning, where the chain is all zeros */
	uint8_t chain[32];
};

/* That a request with an idempotency key began a response. Both are keyed hashes; the key's covers the owner too. */
struct store_idempotency {
	char response[ID_SIZE];
	uint8_t key[STORE_HASH_SIZE];
	uint8_t body[STORE_HASH_SIZE];
	int64_t created_ms;
};

struct store_user {
	char id[ID_SIZE]; /* user_… */
	char name[STORE_NAME_SIZE];
	int64_t created_ms;
};

enum store_credential_kind { STORE_API_KEY = 1, STORE_SESSION = 2, STORE_SIGNIN = 3 };

/* Something that proves a user: an API key, a session cookie, a one-time sign-in token. */
struct store_credential {
	char id[ID_SIZE]; /* the token's public part */
	enum store_credential_kind kind;
	char user[ID_SIZE];
	char name[STORE_NAME_SIZE]; /* of an API key, for people; may be "" */
	uint8_t hash[STORE_HASH_SIZE];
	int64_t created_ms;
	int64_t expires_ms; /* 0: never */
	int64_t revoked_ms; /* 0: valid */
};

/* What a read gives back; which parts are filled depends on the read. All owned by the snapshot. */
struct store_snapshot {
	struct store_thread *threads;
	size_t thread_count;
	struct store_dek *deks;
	size_t dek_count;
	struct store_response *responses;
	size_t response_count;
	struct store_record *records;
	size_t record_count;
	struct store_waypoint from; /* behind which the links begin */
	struct store_link *links;
	size_t link_count;
	struct store_idempotency *idempotency;
	size_t idempotency_count;
	struct store_user *users;
	size_t user_count;
	struct store_credential *credentials;
	size_t credential_count;
	bool more; /* a list was cut at its limit, a context at its bound */
};

void store_snapshot_free(struct store_snapshot **snapshot);

#endif
