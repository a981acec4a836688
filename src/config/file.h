/* Reads an INI file line by line: [section], key = value, comments with # or ;. */
#ifndef SLUICE_CONFIG_FILE_H
#define SLUICE_CONFIG_FILE_H

#include "base/err.h"

struct config_file_sink {
	/* A section begins; it may have no setting. */
	void (*section)(void *owner, int line, const char *name);
	/* One setting; `section` is "" before the first one. */
	void (*setting)(void *owner, int line, const char *section, const char *key, const char *value);
	/* A line that is none: what would be right. */
	void (*fault)(void *owner, int line, const char *text);
	void *owner;
};

/* Calls the sink in the order of the lines, during this call. -1 when the file can't be read; then it was not called. */
int config_file_read(const char *path, const struct config_file_sink *sink, struct err *err);

#endif
