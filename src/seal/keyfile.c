#include "keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

#define HEX_SIZE (2 * SEAL_KEY_SIZE)
/* One byte beyond the longest valid file, so that a longer one shows. */
#define READ_SIZE (HEX_SIZE + 2)

bool seal_key_file_exists(const char *path) {
	struct stat st;
	/* A path that can't be looked at is no proof of absence: opening it will say what is wrong. */
	return stat(path, &st) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

static int write_all(int fd, const char *bytes, size_t length) {
	while (length > 0) {
		ssize_t n = write(fd, bytes, length);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return -1;
		}
		bytes += n;
		length -= (size_t)n;
	}
	return 0;
}

static int sync_folder_of(const char *path) {
	char copy[PATH_MAX];
	if (str_copy(copy, sizeof copy, str_of(path)) != 0) {
		errno = ENAMETOOLONG;
		return -1;
	}
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		return -1;
	}
	int result = fsync(fd);
	close(fd);
	return result;
}

/* A new key as text, in guarded memory of HEX_SIZE + 2 bytes. */
static char *random_key_text(void) {
	uint8_t *key = sodium_malloc(SEAL_KEY_SIZE);
	char *text = sodium_malloc(HEX_SIZE + 2);
	if (key && text) {
		randombytes_buf(key, SEAL_KEY_SIZE);
		str_to_hex(text, key, SEAL_KEY_SIZE);
		memcpy(text + HEX_SIZE, "\n", 2);
	} else {
		sodium_free(text);
		text = NULL;
	}
	sodium_free(key);
	return text;
}

int seal_key_file_make(const char *path, struct err *err) {
	char *text = random_key_text();
	if (!text) {
		return err_set(err, ERR_MEMORY, "no guarded memory for a new key");
	}
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		err_set(err, errno == EEXIST ? ERR_CONFLICT : ERR_IO, "%s: %s", path, strerror(errno));
		goto fail_text;
	}
	if (fchmod(fd, 0600) != 0 || write_all(fd, text, HEX_SIZE + 1) != 0 || fsync(fd) != 0 ||
	    sync_folder_of(path) != 0) {
		err_set(err, errno == ENOSPC ? ERR_FULL : ERR_IO, "%s: %s", path, strerror(errno));
		goto fail_file;
	}
	close(fd);
	sodium_free(text);
	return 0;

fail_file:
	close(fd);
	unlink(path);
fail_text:
	sodium_free(text);
	return -1;
}

/* Opens a regular file that nobody but its owner can reach, or a credential of any mode. */
static int keyfile_open(const char *path, bool credential, struct err *err) {
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		enum err_code code = errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND
				     : errno == EACCES || errno == EPERM ? ERR_DENIED
									 : ERR_IO;
		return err_set(err, code, "%s: %s", path, strerror(errno));
	}
	if (fstat(fd, &st) != 0) {
		err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
		goto fail;
	}
	if (!S_ISREG(st.st_mode)) {
		err_set(err, ERR_INVALID, "%s is not a regular file", path);
		goto fail;
	}
	if (!credential && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
		err_set(err, ERR_DENIED, "%s is open to group or others (mode %03o); it must be 0600", path,
			(unsigned)st.st_mode & 0777U);
		goto fail;
	}
	return fd;

fail:
	close(fd);
	return -1;
}

/* Reads to the end or until `size` bytes; -1 on error. */
static ssize_t read_up_to(int fd, char *bytes, size_t size) {
	size_t length = 0;
	while (length < size) {
		ssize_t n = read(fd, bytes + length, size - length);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -1;
		}
		if (n == 0) {
			break;
		}
		length += (size_t)n;
	}
	return (ssize_t)length;
}

static int keyfile_parse(struct str text, uint8_t key[static SEAL_KEY_SIZE]) {
	if (text.length == SEAL_KEY_SIZE) {
		memcpy(key, text.data, SEAL_KEY_SIZE);
	} else {
		if (text.length == HEX_SIZE + 1 && text.data[HEX_SIZE] == '\n') {
			text.length = HEX_SIZE;
		}
		if (str_from_hex(key, SEAL_KEY_SIZE, text) != 0) {
			return -1;
		}
	}
	return sodium_is_zero(key, SEAL_KEY_SIZE) ? -1 : 0;
}

int keyfile_read(const char *path, bool credential, uint8_t key[static SEAL_KEY_SIZE], struct err *err) {
	int result = -1;
	int fd = keyfile_open(path, credential, err);
	if (fd < 0) {
		return -1;
	}
	char *text = sodium_malloc(READ_SIZE);
	if (!text) {
		err_set(err, ERR_MEMORY, "no guarded memory for the key");
		goto close_file;
	}
	ssize_t length = read_up_to(fd, text, READ_SIZE);
	if (length < 0) {
		err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
	} else if (keyfile_parse((struct str){text, (size_t)length}, key) != 0) {
		err_set(err, ERR_INVALID, "%s does not hold a key: 64 hex digits or 32 bytes, not all zero", path);
	} else {
		result = 0;
	}
	sodium_free(text);
close_file:
	close(fd);
	return result;
}
