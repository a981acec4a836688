#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/types.h>

void random_bytes(void *to, size_t length) {
	ssize_t got;
	do {
		got = getrandom(to, length, 0);
	} while (got < 0 && errno == EINTR);
	/* Up to 256 bytes come whole or not at all, getrandom(2). */
	if (got != (ssize_t)length) {
		abort();
	}
}
