#include "sqlite.h"

#include <unistd.h>

#include "base/mem.h"
#include "folder.h"
#include "sqlite_migrate.h"
#include "sqlite_read.h"
#include "sqlite_running.h"
#include "sqlite_write.h"

#define DEFAULT_BUSY_TIMEOUT_MS 5000

static const struct sqlite_schema DATA_SCHEMA = {.name = "sluice", .application_id = 0x736c6462}; /* "sldb" */
static const struct sqlite_schema KEYS_SCHEMA = {.name = "keys", .application_id = 0x736c6b79};   /* "slky" */

struct store_backend {
	char *dir;
	int lock; /* -1 when reading only */
	struct sqlite_writer writer;
	struct sqlite_reader reader;
};

/* Nothing is changed in either file before both have been found ours. */
static int migrate(struct sqlite_files *files, struct err *err) {
	if (sqlite_migrate_check(&files->data, &DATA_SCHEMA, err) != 0 ||
	    sqlite_migrate_check(&files->keys, &KEYS_SCHEMA, err) != 0) {
		return -1;
	}
	if (sqlite_conn_use_wal(&files->data, err) != 0 || sqlite_conn_use_wal(&files->keys, err) != 0) {
		return -1;
	}
	return sqlite_migrate(&files->data, &DATA_SCHEMA, err) != 0 ||
			       sqlite_migrate(&files->keys, &KEYS_SCHEMA, err) != 0
		       ? -1
		       : 0;
}

static int open_writer(struct store_backend *backend, const struct store_deps *deps, struct err *err) {
	struct sqlite_writer *writer = &backend->writer;
	if (folder_touch(backend->dir, sqlite_data_writer.file, err) != 0 ||
	    folder_touch(backend->dir, sqlite_keys_writer.file, err) != 0) {
		return -1;
	}
	if (sqlite_writer_open(writer, err) != 0) {
		sqlite_running_free(&writer->files.running);
		return -1;
	}
	int swept = -1;
	if (migrate(&writer->files, err) != 0 ||
	    (swept = sqlite_change_sweep(&writer->files, clock_wall_ms(deps->clock), err)) < 0) {
		sqlite_writer_close(writer);
		return -1;
	}
	if (swept > 0) {
		log_warn(deps->log, "responses cut off by the last stop", LOG_I("responses", swept));
	}
	return 0;
}

/* Readers check too: `read_only` opens without a writer before them. */
static int open_reader(struct store_backend *backend, const struct store_options *options, struct err *err) {
	struct sqlite_reader *reader = &backend->reader;
	if (sqlite_reader_open(reader, options, err) != 0) {
		return -1;
	}
	if (sqlite_migrate_check(&reader->data, &DATA_SCHEMA, err) != 0 ||
	    sqlite_migrate_check(&reader->keys, &KEYS_SCHEMA, err) != 0) {
		sqlite_reader_close(reader);
		return -1;
	}
	return 0;
}

static struct store_backend *sqlite_open(const struct store_options *given, const struct store_deps *deps,
					 struct err *err) {
	struct store_options options = *given;
	struct store_backend *backend = mem_zalloc(sizeof *backend);
	if (!backend || !(backend->dir = mem_strdup(given->dir))) {
		err_set(err, ERR_MEMORY, "no memory for the store");
		goto fail_backend;
	}
	if (options.busy_timeout_ms <= 0) {
		options.busy_timeout_ms = DEFAULT_BUSY_TIMEOUT_MS;
	}
	backend->lock = -1;
	backend->writer = (struct sqlite_writer){.dir = backend->dir,
						 .busy_timeout_ms = options.busy_timeout_ms,
						 .clock = deps->clock,
						 .log = deps->log};
	if (!options.read_only) {
		if (folder_make(backend->dir, err) != 0 || (backend->lock = folder_lock(backend->dir, err)) < 0) {
			goto fail_backend;
		}
		if (open_writer(backend, deps, err) != 0) {
			goto fail_lock;
		}
	}
	if (open_reader(backend, &options, err) != 0) {
		goto fail_writer;
	}
	return backend;

fail_writer:
	if (!options.read_only) {
		sqlite_writer_close(&backend->writer);
	}
fail_lock:
	if (backend->lock >= 0) {
		close(backend->lock);
	}
fail_backend:
	if (backend) {
		mem_free(backend->dir);
	}
	mem_free(backend);
	return NULL;
}

static void sqlite_close(struct store_backend **backend) {
	struct store_backend *closing = *backend;
	/* Readers first, so that the writer can empty the WALs. */
	sqlite_reader_close(&closing->reader);
	if (closing->lock >= 0) {
		sqlite_writer_close(&closing->writer);
		close(closing->lock);
	}
	mem_free(closing->dir);
	mem_free(closing);
	*backend = NULL;
}

static bool sqlite_is_empty(struct store_backend *backend, struct store_dek *sample) {
	/* What can't be read may hold something. */
	return sqlite_reader_is_empty(&backend->reader, sample, NULL) == 1;
}

static int sqlite_write(struct store_backend *backend, struct store_write *const *writes, size_t count) {
	return sqlite_writer_write(&backend->writer, writes, count);
}

static int sqlite_probe(struct store_backend *backend, struct err *err) {
	return sqlite_writer_probe(&backend->writer, err);
}

static bool sqlite_upkeep(struct store_backend *backend) {
	return sqlite_writer_upkeep(&backend->writer);
}

static struct store_snapshot *sqlite_read(struct store_backend *backend, const struct store_query *query,
					  struct err *err) {
	return sqlite_reader_read(&backend->reader, query, err);
}

const struct store_driver sqlite_driver = {
	.open = sqlite_open,
	.close = sqlite_close,
	.is_empty = sqlite_is_empty,
	.write = sqlite_write,
	.probe = sqlite_probe,
	.upkeep = sqlite_upkeep,
	.read = sqlite_read,
};
