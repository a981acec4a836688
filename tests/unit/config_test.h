/* What the tests of config share: settings from a text and an environment, and the complaints they earn. */
#ifndef SLUICE_TESTS_CONFIG_TEST_H
#define SLUICE_TESTS_CONFIG_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"

#define COMPLAINTS_MAX 64

struct loaded {
	int result;
	struct config config;
	struct err err;
	size_t count;
	char complaints[COMPLAINTS_MAX][512]; /* without the folder in front of the file's name */
	char path[64];
};

static inline void take_complaint(void *owner, const char *text) {
	struct loaded *loaded = owner;
	assert_true(loaded->count < COMPLAINTS_MAX);
	size_t prefix = strlen(loaded->path);
	bool names_file = !strncmp(text, loaded->path, prefix);
	snprintf(loaded->complaints[loaded->count++], sizeof loaded->complaints[0], "%s",
		 text + (names_file ? prefix : 0));
}

/* `environment` ends with NULL. Free with unload. */
static inline struct loaded *load_bytes(const char *bytes, size_t length, char *const *environment) {
	struct loaded *loaded = calloc(1, sizeof *loaded);
	assert_non_null(loaded);
	strcpy(loaded->path, "/tmp/sluice-conf-XXXXXX");
	int fd = mkstemp(loaded->path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, length), length);
	close(fd);
	loaded->result = config_load(&loaded->config, loaded->path, environment, take_complaint, loaded, &loaded->err);
	assert_true((loaded->result == 0) == (loaded->count == 0));
	unlink(loaded->path);
	return loaded;
}

static inline struct loaded *load(const char *text) {
	return load_bytes(text, strlen(text), NULL);
}

static inline struct loaded *load_with(const char *text, const char *variable) {
	char *copy = strdup(variable);
	char *environment[] = {"PATH=/bin", copy, NULL};
	struct loaded *loaded = load_bytes(text, strlen(text), environment);
	free(copy);
	return loaded;
}

static inline void unload(struct loaded **loaded) {
	if ((*loaded)->result == 0) {
		config_free(&(*loaded)->config);
	}
	free(*loaded);
	*loaded = NULL;
}

/* The text earns this one complaint. */
static inline void assert_refused(const char *text, const char *complaint) {
	struct loaded *loaded = load(text);
	if (loaded->count != 1 || strcmp(loaded->complaints[0], complaint) != 0) {
		fail_msg("%zu complaints about %s\n first: %s\n  want: %s", loaded->count, text, loaded->complaints[0],
			 complaint);
	}
	unload(&loaded);
}

static inline struct loaded *load_good(const char *text) {
	struct loaded *loaded = load(text);
	if (loaded->result) {
		fail_msg("refused: %s", loaded->err.text);
	}
	return loaded;
}

#endif
