/* Sealed records and the chain over them. SECURITY.md "Sealing". Pure but for the random nonce; any thread. */
#ifndef SLUICE_SEAL_RECORD_H
#define SLUICE_SEAL_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "seal/keyring.h"

#define SEAL_COMMITMENT_SIZE 32
#define SEAL_HEAD_SIZE 32
#define SEAL_RECORD_OVERHEAD 80 /* bytes beyond the padded text */

/* What a record is bound to; a record read under any other binding does not open. */
struct seal_record_binding {
	char owner[ID_SIZE];
	char thread[ID_SIZE];
	char response[ID_SIZE];
	uint32_t number; /* of the record within its thread, from 1 */
	uint32_t kind;   /* what the caller stores: a number of its own */
	uint32_t schema; /* version of the text's form */
	int64_t created_ms;
};

/* Appends the sealed record to `out`: 'M' ver alg flags, epoch, nonce, commitment, ciphertext, tag. The text is padded
 * first (256-byte steps to 4 KiB, PADMÉ above). */
int seal_record(const struct seal_dek *dek, uint32_t epoch, const struct seal_record_binding *binding, struct str text,
		struct buf *out, struct err *err);
/* Appends the text to `out`. ERR_CORRUPT when it does not open. */
int seal_record_open(const struct seal_dek *dek, const struct seal_record_binding *binding, struct str sealed,
		     struct buf *out, struct err *err);
/* The epoch a sealed record names, before it is opened. ERR_CORRUPT on anything that is no record. */
int seal_record_epoch(struct str sealed, uint32_t *epoch, struct err *err);
/* Copies the commitment out of a sealed record: what the chain runs over. */
int seal_record_commitment(struct str sealed, uint8_t commitment[static SEAL_COMMITMENT_SIZE], struct err *err);

/* The thread head: a keyed hash over the last number, the count and the chain so far, so that a row that was cut off or
 * taken out shows. A new thread starts with a zeroed head. Keyed with a key derived from the first epoch's DEK. */
struct seal_head {
	uint8_t chain[SEAL_HEAD_SIZE];
	uint32_t last_number;
	uint32_t count;
};

/* Puts one more record on the chain; number must be above last_number (else ERR_INVALID). */
int seal_head_extend(struct seal_head *head, const struct seal_dek *dek, uint32_t number,
		     const uint8_t commitment[static SEAL_COMMITMENT_SIZE], struct err *err);
struct seal_link {
	uint32_t number;
	uint8_t commitment[SEAL_COMMITMENT_SIZE];
};
/* The same of many, in their order, for the cost of one derived key. */
int seal_head_extend_many(struct seal_head *head, const struct seal_dek *dek, const struct seal_link *links,
			  size_t count, struct err *err);
/* The 32 bytes to store, over all of head, bound to the thread. */
void seal_head_mac(const struct seal_head *head, const struct seal_dek *dek, const char *thread,
		   uint8_t mac[static SEAL_HEAD_SIZE]);
/* Constant-time comparison of 32 bytes; 0 when equal, -1 otherwise. */
int seal_equal32(const uint8_t a[static 32], const uint8_t b[static 32]);

#endif
