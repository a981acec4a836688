#include "descriptors.h"

#include <sys/resource.h>

/* For the store and the rest. */
#define RESERVE 32

/* INT32_MAX: as many as one likes. */
static int all(void) {
	struct rlimit limit;
	return getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= INT32_MAX ? INT32_MAX : (int)limit.rlim_cur;
}

int descriptors_usable(void) {
	int most = all();
	return most == INT32_MAX ? most : most > 2 * RESERVE ? most - RESERVE : most / 2;
}

uint32_t descriptors_for_clients(void) {
	int usable = descriptors_usable();
	return (uint32_t)(usable == INT32_MAX ? usable : usable - all() / 4);
}
