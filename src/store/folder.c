#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const char *dir, const char *file, struct err *err) {
	enum err_code code = errno == ENOENT || errno == ENOTDIR  ? ERR_NOT_FOUND
			     : errno == EACCES || errno == EPERM  ? ERR_DENIED
			     : errno == ENOSPC || errno == EDQUOT ? ERR_FULL
								  : ERR_IO;
	return err_set(err, code, "%s%s%s: %s", dir, *file ? "/" : "", file, strerror(errno));
}

/* Opens or makes DIR/file; a link in its place is refused. */
static int open_in(const char *dir, const char *file) {
	char path[PATH_MAX];
	int length = snprintf(path, sizeof path, "%s/%s", dir, file);
	if (length < 0 || (size_t)length >= sizeof path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

int folder_make(const char *dir, struct err *err) {
	return mkdir(dir, 0700) == 0 || errno == EEXIST ? 0 : fail(dir, "", err);
}

/* Whoever else may write in the folder could put files and a socket of his own in place of ours. */
static int refuse_strangers(const char *dir, struct err *err) {
	struct stat status;
	if (stat(dir, &status) != 0) {
		return fail(dir, "", err);
	}
	if (status.st_mode & (S_IWGRP | S_IWOTH)) {
		return err_set(err, ERR_DENIED, "%s: others may write there; chmod 700 it", dir);
	}
	if (geteuid() != 0 && status.st_uid != geteuid() && status.st_uid != 0) {
		return err_set(err, ERR_DENIED, "%s belongs to user %u", dir, (unsigned)status.st_uid);
	}
	return 0;
}

int folder_lock(const char *dir, struct err *err) {
	if (refuse_strangers(dir, err)) {
		return -1;
	}
	int fd = open_in(dir, "lock");
	if (fd < 0) {
		return fail(dir, "lock", err);
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno == EWOULDBLOCK) {
			err_set(err, ERR_CONFLICT, "%s is in use by another process", dir);
		} else {
			fail(dir, "lock", err);
		}
		close(fd);
		return -1;
	}
	return fd;
}

int folder_touch(const char *dir, const char *file, struct err *err) {
	int fd = open_in(dir, file);
	if (fd < 0) {
		return fail(dir, file, err);
	}
	close(fd);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		return fail(dir, "", err);
	}
	int result = fsync(fd) == 0 ? 0 : fail(dir, "", err);
	close(fd);
	return result;
}
