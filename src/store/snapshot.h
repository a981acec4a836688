/* How a driver fills a snapshot. Each returns a new, zeroed last row, valid until the next one of its kind is added, or
 * NULL when memory is out. */
#ifndef SLUICE_STORE_SNAPSHOT_H
#define SLUICE_STORE_SNAPSHOT_H

#include "store/record.h"

struct store_snapshot *snapshot_new(void);
struct store_thread *snapshot_add_thread(struct store_snapshot *snapshot);
struct store_dek *snapshot_add_dek(struct store_snapshot *snapshot);
struct store_response *snapshot_add_response(struct store_snapshot *snapshot);
struct store_record *snapshot_add_record(struct store_snapshot *snapshot);
struct store_link *snapshot_add_link(struct store_snapshot *snapshot);
struct store_idempotency *snapshot_add_idempotency(struct store_snapshot *snapshot);
struct store_user *snapshot_add_user(struct store_snapshot *snapshot);
struct store_credential *snapshot_add_credential(struct store_snapshot *snapshot);

/* Takes the response that came last out again, with its records, which came last too. */
void snapshot_drop_response(struct store_snapshot *snapshot);

#endif
