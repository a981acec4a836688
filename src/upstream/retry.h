/* How long to wait before another try: exponential backoff with full jitter. Pure. */
#ifndef SLUICE_UPSTREAM_RETRY_H
#define SLUICE_UPSTREAM_RETRY_H

#include <stdint.h>

struct retry_policy {
	uint32_t retries;
	int64_t base_ms;
	int64_t max_ms;
};

/* `tries` were made, all in vain. `retry_after_ms` is what the last answer asked for, -1 when it did not say; `random`
 * is uniform over all its values. Returns the pause in milliseconds, or -1 to give up. */
int64_t retry_pause_ms(const struct retry_policy *policy, uint32_t tries, int64_t retry_after_ms, uint64_t random);

#endif
