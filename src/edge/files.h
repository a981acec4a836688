/* The page's files, read whole at start: nothing is opened while the loop runs, and a request can name no file that was
 * not there. Pure after loading. */
#ifndef SLUICE_EDGE_FILES_H
#define SLUICE_EDGE_FILES_H

#include "base/err.h"
#include "base/str.h"

#define FILES_MAX_BYTES (8u << 20) /* of one file */
#define FILES_MAX_COUNT 512

struct files;

struct file {
	char *path;    /* as requested: "/page.js" */
	char etag[24]; /* quoted; the same for the same content, across restarts */
	const char *type;
	char *data;
	size_t length;
};

/* Reads every regular file below `folder`; names that start with a dot are left out. "" or NULL: no files at all. */
struct files *files_load(const char *folder, struct err *err);
void files_free(struct files **files);
/* NULL when there is none. "/" is "/index.html". */
const struct file *files_find(const struct files *files, struct str path);
size_t files_count(const struct files *files);

#endif
