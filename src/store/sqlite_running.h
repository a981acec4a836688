/* What the writer knows of the responses that have rows in the table `checkpoint`: which run, and how many rows count for
 * nothing because their response has ended. It spares a search for each row; what is deleted is never decided by it alone.
 * Writer thread. */
#ifndef SLUICE_STORE_SQLITE_RUNNING_H
#define SLUICE_STORE_SQLITE_RUNNING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sqlite_running;

struct sqlite_running *sqlite_running_new(void); /* NULL when memory is out */
void sqlite_running_free(struct sqlite_running **running);

/* The key of the row of a response that surely is in progress; 0 when that has to be looked up. */
int64_t sqlite_running_key(const struct sqlite_running *running, const char *id);
/* A checkpoint of this response was written. */
void sqlite_running_add(struct sqlite_running *running, const char *id, int64_t key);
/* The response is not in progress any more; one that was not known is fine. */
void sqlite_running_end(struct sqlite_running *running, const char *id);
/* Something was rolled back: nothing is known for certain. */
void sqlite_running_forget(struct sqlite_running *running);

/* Whether rows may be there that count for nothing. */
bool sqlite_running_has_dead(const struct sqlite_running *running);
/* Whether they should go with the write that is under way, because none but they may be left. */
bool sqlite_running_is_over(const struct sqlite_running *running);
/* Whether they have become so many that they should go for that alone. */
bool sqlite_running_is_crowded(const struct sqlite_running *running);
/* They are gone; `empty`: and with them all rows that there were. */
void sqlite_running_purged(struct sqlite_running *running, bool empty);

#endif
