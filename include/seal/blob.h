/* Texts that a client keeps and hands back, which only this server opens, for whom it was made and for what: reasoning that
 * is not to be shown, a compacted context. Pure but for the random nonce; any thread. */
#ifndef SLUICE_SEAL_BLOB_H
#define SLUICE_SEAL_BLOB_H

#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "seal/keyring.h"

#define SEAL_BLOB_PURPOSE_SIZE 16

/* What a blob is bound to; under any other binding it does not open. */
struct seal_blob_binding {
	char owner[ID_SIZE];
	char purpose[SEAL_BLOB_PURPOSE_SIZE]; /* "reasoning", "compaction" */
};

/* Appends the base64url text, without padding characters, of: 'B' ver alg 0, kek_id, nonce, commitment, ciphertext, tag. Sealed
 * under a key derived from the KEK for blobs alone. The text is padded first, as that of a record is. */
int seal_blob(const struct seal_keyring *keyring, const struct seal_blob_binding *binding, struct str text,
	      struct buf *out, struct err *err);
/* Appends the text to `out`. ERR_CORRUPT when it is no blob or does not open under this binding, ERR_NOT_FOUND when it was
 * sealed under another KEK. */
int seal_blob_open(const struct seal_keyring *keyring, const struct seal_blob_binding *binding, struct str blob,
		   struct buf *out, struct err *err);

#endif
