/* A file system for SQLite that fails when it is told to, and remembers which files were synced in which order. It lies
 * over the system's own, as the default one, for the whole program. */
#ifndef SLUICE_TEST_FAULT_VFS_H
#define SLUICE_TEST_FAULT_VFS_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FAULT_LOG 256
#define FAULT_NAME 32

/* All under the mutex; the test sets the first part. A file is meant when its name ends in `file`. */
struct fault {
	pthread_mutex_t mutex;
	char file[FAULT_NAME];
	int write_result; /* instead of a write, when not SQLITE_OK */
	int sync_result;  /* instead of a sync */
	int read_result;  /* instead of a read */
	unsigned after;   /* so many of them still go well */
	unsigned opens;
	unsigned hits;
	char synced[FAULT_LOG][FAULT_NAME];
	size_t sync_count;
};

static struct fault fault = {.mutex = PTHREAD_MUTEX_INITIALIZER};
static sqlite3_vfs *fault_below;

struct fault_file {
	sqlite3_file base;
	char name[FAULT_NAME]; /* without its folder */
	sqlite3_file *real;    /* behind this struct */
};

static inline sqlite3_file *fault_real(sqlite3_file *file) {
	return ((struct fault_file *)file)->real;
}

/* What to answer in place of an operation that should give `result` on this file. */
static inline int fault_answer(sqlite3_file *file, const int *result) {
	const struct fault_file *f = (const struct fault_file *)file;
	pthread_mutex_lock(&fault.mutex);
	int answer = SQLITE_OK;
	if (*result != SQLITE_OK && strcmp(f->name, fault.file) == 0) {
		if (fault.after > 0) {
			fault.after--;
		} else {
			fault.hits++;
			answer = *result;
		}
	}
	pthread_mutex_unlock(&fault.mutex);
	return answer;
}

static inline int fault_close(sqlite3_file *file) {
	return fault_real(file)->pMethods->xClose(fault_real(file));
}

static inline int fault_read(sqlite3_file *file, void *to, int size, sqlite3_int64 at) {
	int answer = fault_answer(file, &fault.read_result);
	return answer != SQLITE_OK ? answer : fault_real(file)->pMethods->xRead(fault_real(file), to, size, at);
}

static inline int fault_write(sqlite3_file *file, const void *from, int size, sqlite3_int64 at) {
	int answer = fault_answer(file, &fault.write_result);
	return answer != SQLITE_OK ? answer : fault_real(file)->pMethods->xWrite(fault_real(file), from, size, at);
}

static inline int fault_truncate(sqlite3_file *file, sqlite3_int64 size) {
	return fault_real(file)->pMethods->xTruncate(fault_real(file), size);
}

static inline int fault_sync(sqlite3_file *file, int flags) {
	int answer = fault_answer(file, &fault.sync_result);
	if (answer != SQLITE_OK) {
		return answer;
	}
	pthread_mutex_lock(&fault.mutex);
	if (fault.sync_count < FAULT_LOG) {
		strcpy(fault.synced[fault.sync_count++], ((struct fault_file *)file)->name);
	}
	pthread_mutex_unlock(&fault.mutex);
	return fault_real(file)->pMethods->xSync(fault_real(file), flags);
}

static inline int fault_size(sqlite3_file *file, sqlite3_int64 *size) {
	return fault_real(file)->pMethods->xFileSize(fault_real(file), size);
}

static inline int fault_lock(sqlite3_file *file, int level) {
	return fault_real(file)->pMethods->xLock(fault_real(file), level);
}

static inline int fault_unlock(sqlite3_file *file, int level) {
	return fault_real(file)->pMethods->xUnlock(fault_real(file), level);
}

static inline int fault_reserved(sqlite3_file *file, int *held) {
	return fault_real(file)->pMethods->xCheckReservedLock(fault_real(file), held);
}

static inline int fault_control(sqlite3_file *file, int op, void *argument) {
	return fault_real(file)->pMethods->xFileControl(fault_real(file), op, argument);
}

static inline int fault_sector(sqlite3_file *file) {
	return fault_real(file)->pMethods->xSectorSize(fault_real(file));
}

static inline int fault_traits(sqlite3_file *file) {
	return fault_real(file)->pMethods->xDeviceCharacteristics(fault_real(file));
}

static inline int fault_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **to) {
	return fault_real(file)->pMethods->xShmMap(fault_real(file), page, size, extend, to);
}

static inline int fault_shm_lock(sqlite3_file *file, int offset, int count, int flags) {
	return fault_real(file)->pMethods->xShmLock(fault_real(file), offset, count, flags);
}

static inline void fault_shm_barrier(sqlite3_file *file) {
	fault_real(file)->pMethods->xShmBarrier(fault_real(file));
}

static inline int fault_shm_unmap(sqlite3_file *file, int delete) {
	return fault_real(file)->pMethods->xShmUnmap(fault_real(file), delete);
}

static inline int fault_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out) {
	static const sqlite3_io_methods methods = {
		.iVersion = 2,
		.xClose = fault_close,
		.xRead = fault_read,
		.xWrite = fault_write,
		.xTruncate = fault_truncate,
		.xSync = fault_sync,
		.xFileSize = fault_size,
		.xLock = fault_lock,
		.xUnlock = fault_unlock,
		.xCheckReservedLock = fault_reserved,
		.xFileControl = fault_control,
		.xSectorSize = fault_sector,
		.xDeviceCharacteristics = fault_traits,
		.xShmMap = fault_shm_map,
		.xShmLock = fault_shm_lock,
		.xShmBarrier = fault_shm_barrier,
		.xShmUnmap = fault_shm_unmap,
	};
	struct fault_file *f = (struct fault_file *)file;
	(void)vfs;
	memset(f, 0, sizeof *f);
	f->real = (sqlite3_file *)(f + 1);
	const char *slash = path ? strrchr(path, '/') : NULL;
	if (slash && strlen(slash + 1) < sizeof f->name) {
		strcpy(f->name, slash + 1);
	}
	int status = fault_below->xOpen(fault_below, path, f->real, flags, out);
	if (status == SQLITE_OK) {
		f->base.pMethods = &methods;
		pthread_mutex_lock(&fault.mutex);
		fault.opens += strcmp(f->name, "sluice.db") == 0;
		pthread_mutex_unlock(&fault.mutex);
	}
	return status;
}

/* Once, at the start of the program. */
static inline int fault_install(void **state) {
	static sqlite3_vfs vfs;
	(void)state;
	fault_below = sqlite3_vfs_find(NULL);
	vfs = *fault_below;
	vfs.zName = "fault";
	vfs.szOsFile += (int)sizeof(struct fault_file);
	vfs.xOpen = fault_open;
	return sqlite3_vfs_register(&vfs, 1);
}

static inline void fault_reset(void) {
	pthread_mutex_lock(&fault.mutex);
	fault.file[0] = '\0';
	fault.write_result = fault.sync_result = fault.read_result = SQLITE_OK;
	fault.after = fault.opens = fault.hits = 0;
	fault.sync_count = 0;
	pthread_mutex_unlock(&fault.mutex);
}

enum fault_kind { FAULT_WRITE, FAULT_SYNC, FAULT_READ };

/* From here on, after `after` that go well, every operation of this kind on this file gives `result`. */
static inline void fault_set(enum fault_kind kind, const char *file, int result, unsigned after) {
	fault_reset();
	pthread_mutex_lock(&fault.mutex);
	strcpy(fault.file, file);
	fault.after = after;
	*(kind == FAULT_WRITE  ? &fault.write_result
	  : kind == FAULT_SYNC ? &fault.sync_result
			       : &fault.read_result) = result;
	pthread_mutex_unlock(&fault.mutex);
}

static inline unsigned fault_hits(void) {
	pthread_mutex_lock(&fault.mutex);
	unsigned hits = fault.hits;
	pthread_mutex_unlock(&fault.mutex);
	return hits;
}

/* The place of the first sync of a file, or SIZE_MAX. */
static inline size_t fault_first_sync(const char *file) {
	size_t found = SIZE_MAX;
	pthread_mutex_lock(&fault.mutex);
	for (size_t i = 0; i < fault.sync_count && found == SIZE_MAX; i++) {
		if (strcmp(fault.synced[i], file) == 0) {
			found = i;
		}
	}
	pthread_mutex_unlock(&fault.mutex);
	return found;
}

#endif
