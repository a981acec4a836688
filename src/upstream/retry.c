#include "retry.h"

int64_t retry_pause_ms(const struct retry_policy *policy, uint32_t tries, int64_t retry_after_ms, uint64_t random) {
	if (tries > policy->retries || retry_after_ms > policy->max_ms) {
		return -1;
	}
	int64_t bound_ms = policy->base_ms < policy->max_ms ? policy->base_ms : policy->max_ms;
	for (uint32_t i = 1; i < tries && bound_ms > 0 && bound_ms < policy->max_ms; i++) {
		bound_ms = bound_ms > policy->max_ms / 2 ? policy->max_ms : bound_ms * 2;
	}
	int64_t pause_ms = bound_ms > 0 ? (int64_t)(random % ((uint64_t)bound_ms + 1)) : 0;
	return pause_ms > retry_after_ms ? pause_ms : retry_after_ms;
}
