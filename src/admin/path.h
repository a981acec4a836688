/* The address of a Unix socket. */
#ifndef SLUICE_ADMIN_PATH_H
#define SLUICE_ADMIN_PATH_H

#include <string.h>
#include <sys/un.h>

#include "base/err.h"

static inline int admin_path_address(struct sockaddr_un *address, const char *path, struct err *err) {
	size_t length = strlen(path);
	if (length >= sizeof address->sun_path) {
		return err_set(err, ERR_INVALID,
			       "%.100s…: a socket's path has at most %zu bytes; choose a shorter [store] dir", path,
			       sizeof address->sun_path - 1);
	}
	memset(address, 0, sizeof *address);
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, path, length + 1);
	return 0;
}

#endif
