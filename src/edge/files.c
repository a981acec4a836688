#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/map.h"
#include "base/mem.h"
#include "http/route.h"

#define MAX_DEPTH 4

struct files {
	struct map *by_path;
};

/* FNV-1a, 64 bits: an ETag must tell contents apart, not withstand an attacker. */
static uint64_t fingerprint(const char *data, size_t length) {
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < length; i++) {
		hash = (hash ^ (uint8_t)data[i]) * UINT64_C(0x100000001b3);
	}
	return hash;
}

static void file_free(struct file *file) {
	mem_free(file->path);
	mem_free(file->data);
	mem_free(file);
}

static int read_content(struct file *file, const char *name, struct err *err) {
	FILE *in = fopen(name, "rb");
	if (!in) {
		return err_set(err, ERR_IO, "%s: %s", name, strerror(errno));
	}
	file->length = fread(file->data, 1, file->length, in);
	int failed = ferror(in);
	fclose(in);
	return failed ? err_set(err, ERR_IO, "%s: can't be read", name) : 0;
}

static int add_file(struct files *files, const char *name, const char *path, size_t size, struct err *err) {
	if (size > FILES_MAX_BYTES) {
		return err_set(err, ERR_LIMIT, "%s: larger than %u bytes", name, FILES_MAX_BYTES);
	}
	if (map_count(files->by_path) >= FILES_MAX_COUNT) {
		return err_set(err, ERR_LIMIT, "%s: more than %d files", name, FILES_MAX_COUNT);
	}
	struct file *file = mem_zalloc(sizeof *file);
	if (!file) {
		return err_set(err, ERR_MEMORY, "no memory for %s", name);
	}
	file->path = mem_strdup(path);
	file->data = mem_alloc(size + 1);
	file->length = size;
	file->type = http_media_type(path);
	if (!file->path || !file->data) {
		err_set(err, ERR_MEMORY, "no memory for %s", name);
		goto fail;
	}
	if (read_content(file, name, err)) {
		goto fail;
	}
	snprintf(file->etag, sizeof file->etag, "\"%016llx\"",
		 (unsigned long long)fingerprint(file->data, file->length));
	if (map_put(files->by_path, str_of(file->path), file)) {
		err_set(err, ERR_MEMORY, "no memory for %s", name);
		goto fail;
	}
	return 0;
fail:
	file_free(file);
	return -1;
}

static int add_folder(struct files *files, const char *folder, const char *path, int depth, struct err *err);

static int add_entry(struct files *files, const char *name, const char *path, int depth, struct err *err) {
	struct stat info;
	if (stat(name, &info)) {
		return err_set(err, ERR_IO, "%s: %s", name, strerror(errno));
	}
	if (S_ISDIR(info.st_mode)) {
		return depth < MAX_DEPTH ? add_folder(files, name, path, depth + 1, err)
					 : err_set(err, ERR_LIMIT, "%s: folders too deep", name);
	}
	return S_ISREG(info.st_mode) ? add_file(files, name, path, (size_t)info.st_size, err) : 0;
}

static int add_folder(struct files *files, const char *folder, const char *path, int depth, struct err *err) {
	DIR *dir = opendir(folder);
	if (!dir) {
		return err_set(err, ERR_IO, "%s: %s", folder, strerror(errno));
	}
	int result = 0;
	for (struct dirent *entry = readdir(dir); entry && result == 0; entry = readdir(dir)) {
		char below[1024], wanted[1024];
		if (entry->d_name[0] == '.') {
			continue;
		}
		int name_length = snprintf(below, sizeof below, "%s/%s", folder, entry->d_name);
		int path_length = snprintf(wanted, sizeof wanted, "%s/%s", path, entry->d_name);
		if (name_length >= (int)sizeof below || path_length >= (int)sizeof wanted) {
			result = err_set(err, ERR_LIMIT, "%s: name too long", folder);
		} else {
			result = add_entry(files, below, wanted, depth, err);
		}
	}
	closedir(dir);
	return result;
}

struct files *files_load(const char *folder, struct err *err) {
	struct files *files = mem_zalloc(sizeof *files);
	if (!files) {
		err_set(err, ERR_MEMORY, "no memory for the page");
		return NULL;
	}
	files->by_path = map_new();
	if (!files->by_path) {
		err_set(err, ERR_MEMORY, "no memory for the page");
		files_free(&files);
		return NULL;
	}
	if (folder && folder[0] && add_folder(files, folder, "", 0, err)) {
		err_wrap(err, "the page");
		files_free(&files);
		return NULL;
	}
	return files;
}

void files_free(struct files **files) {
	if (!*files) {
		return;
	}
	size_t position = 0;
	void *file;
	while ((*files)->by_path && map_next((*files)->by_path, &position, NULL, &file)) {
		file_free(file);
	}
	map_free(&(*files)->by_path);
	mem_free(*files);
	*files = NULL;
}

const struct file *files_find(const struct files *files, struct str path) {
	return map_get(files->by_path, str_is(path, "/") ? STR("/index.html") : path);
}

size_t files_count(const struct files *files) {
	return map_count(files->by_path);
}
