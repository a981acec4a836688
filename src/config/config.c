#include "config/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "file.h"
#include "suggest.h"
#include "table.h"
#include "value.h"

#define COMPLAINT_SIZE 512
#define VARIABLE_PREFIX "SLUICE_"
#define TEST_PREFIX "SLUICE_TEST_" /* the tests' own variables */
#define DEFAULT_PATH "/etc/sluice/sluice.conf"

struct loader {
	struct config config;
	const char *path;
	int *lines; /* where each row was set; 0: nowhere yet */
	void (*complain)(void *owner, const char *text);
	void *owner;
	size_t complaints;
	char first[COMPLAINT_SIZE];
	char unknown_section[64]; /* the last one complained about: once is enough */
};

__attribute__((format(printf, 2, 3))) static void complain(struct loader *loader, const char *format, ...) {
	char text[COMPLAINT_SIZE];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	if (loader->complaints++ == 0) {
		memcpy(loader->first, text, sizeof text);
	}
	if (loader->complain) {
		loader->complain(loader->owner, text);
	}
}

static const struct config_row *find_row(const char *section, const char *key) {
	for (size_t i = 0; i < config_row_count; i++) {
		if (!strcmp(config_rows[i].section, section) && !strcmp(config_rows[i].key, key)) {
			return &config_rows[i];
		}
	}
	return NULL;
}

static bool is_section(const char *name) {
	for (size_t i = 0; i < config_row_count; i++) {
		if (!strcmp(config_rows[i].section, name)) {
			return true;
		}
	}
	return false;
}

static void complain_section(struct loader *loader, int line, const char *section) {
	if (!strcmp(loader->unknown_section, section)) {
		return;
	}
	snprintf(loader->unknown_section, sizeof loader->unknown_section, "%s", section);
	struct config_suggest suggest = {.typed = section};
	for (size_t i = 0; i < config_row_count; i++) {
		config_suggest_offer(&suggest, config_rows[i].section);
	}
	if (suggest.best) {
		complain(loader, "%s:%d: there is no section [%s]; did you mean [%s]?", loader->path, line, section,
			 suggest.best);
	} else {
		complain(loader, "%s:%d: there is no section [%s]", loader->path, line, section);
	}
}

static void complain_key(struct loader *loader, int line, const char *section, const char *key) {
	struct config_suggest suggest = {.typed = key};
	const char *elsewhere = NULL;
	for (size_t i = 0; i < config_row_count; i++) {
		if (!strcmp(config_rows[i].section, section)) {
			config_suggest_offer(&suggest, config_rows[i].key);
		} else if (!strcmp(config_rows[i].key, key)) {
			elsewhere = config_rows[i].section;
		}
	}
	if (elsewhere) {
		complain(loader, "%s:%d: [%s] has no key %s; it belongs to [%s]", loader->path, line, section, key,
			 elsewhere);
	} else if (suggest.best) {
		complain(loader, "%s:%d: [%s] has no key %s; did you mean %s?", loader->path, line, section, key,
			 suggest.best);
	} else {
		complain(loader, "%s:%d: [%s] has no key %s", loader->path, line, section, key);
	}
}

static void take_setting(void *owner, int line, const char *section, const char *key, const char *value) {
	struct loader *loader = owner;
	if (section[0] == '\0') {
		complain(loader, "%s:%d: %s stands before the first [section]", loader->path, line, key);
		return;
	}
	if (!is_section(section)) {
		complain_section(loader, line, section);
		return;
	}
	const struct config_row *row = find_row(section, key);
	if (!row) {
		complain_key(loader, line, section, key);
		return;
	}
	int *set_at = &loader->lines[row - config_rows];
	if (*set_at && row->type != CONFIG_ORIGINS) {
		complain(loader, "%s:%d: [%s] %s is set already in line %d", loader->path, line, section, key, *set_at);
		return;
	}
	struct err err;
	int failed = *set_at ? config_value_add(&loader->config, row, str_of(value), &err)
			     : config_value_set(&loader->config, row, str_of(value), &err);
	*set_at = line;
	if (failed) {
		complain(loader, "%s:%d: [%s] %s: %s", loader->path, line, section, key, err.text);
	}
}

static void take_fault(void *owner, int line, const char *text) {
	struct loader *loader = owner;
	complain(loader, "%s:%d: %s", loader->path, line, text);
}

static void take_variable(struct loader *loader, const char *name, const char *value) {
	struct config_suggest suggest = {.typed = name};
	/* The suggestion outlives the loop that made the names. */
	char nearest[CONFIG_VARIABLE_SIZE] = "";
	for (size_t i = 0; i < config_row_count; i++) {
		char variable[CONFIG_VARIABLE_SIZE];
		config_table_variable(&config_rows[i], variable);
		struct err err;
		if (!strcmp(variable, name)) {
			if (config_value_set(&loader->config, &config_rows[i], str_of(value), &err)) {
				complain(loader, "%s: %s", name, err.text);
			}
			return;
		}
		config_suggest_offer(&suggest, variable);
		if (suggest.best == variable) {
			memcpy(nearest, variable, sizeof nearest);
			suggest.best = nearest;
		}
	}
	if (suggest.best) {
		complain(loader, "%s: an environment variable that names no setting; did you mean %s?", name,
			 suggest.best);
	} else {
		complain(loader, "%s: an environment variable that names no setting", name);
	}
}

static void load_environment(struct loader *loader, char *const *environment) {
	for (; environment && *environment; environment++) {
		struct str rest = str_of(*environment);
		if (!str_starts(rest, VARIABLE_PREFIX) || str_starts(rest, TEST_PREFIX)) {
			continue;
		}
		struct str name = str_cut(&rest, '=');
		char copy[256];
		str_copy_cut(copy, sizeof copy, name);
		take_variable(loader, copy, rest.data ? rest.data : "");
	}
}

/* systemd.exec(5): JOURNAL_STREAM names the device and inode of the journal's socket, so that a program can tell whether
 * its standard error is that socket or was redirected. */
static bool stderr_is_journal(char *const *environment) {
	struct stat status;
	for (; environment && *environment; environment++) {
		struct str rest = str_of(*environment);
		if (!str_is(str_cut(&rest, '='), "JOURNAL_STREAM")) {
			continue;
		}
		uint64_t device;
		uint64_t inode;
		return !str_to_u64(str_cut(&rest, ':'), &device) && !str_to_u64(rest, &inode) &&
		       !fstat(STDERR_FILENO, &status) && status.st_dev == device && status.st_ino == inode;
	}
	return false;
}

static void load_defaults(struct loader *loader, char *const *environment) {
	for (size_t i = 0; i < config_row_count; i++) {
		const struct config_row *row = &config_rows[i];
		struct err err;
		if (config_value_set(&loader->config, row, str_of(row->fallback), &err)) {
			complain(loader, "[%s] %s: default: %s", row->section, row->key, err.text);
		}
	}
	if (stderr_is_journal(environment)) {
		loader->config.log.format = LOG_FORMAT_JOURNAL;
	}
}

/* Values that are right by themselves and wrong together. */
static void check_together(struct loader *loader) {
	const struct config *config = &loader->config;
	if (config->upstream.retry_base_ms > config->upstream.retry_max_ms) {
		complain(loader, "[upstream] retry_base must not be above retry_max");
	}
	if (config->limits.bytes_burst < config->limits.max_message) {
		complain(loader,
			 "[limits] bytes_burst must not be below max_message: the largest message would never pass");
	}
}

static int load(struct loader *loader, char *const *environment, struct err *err) {
	load_defaults(loader, environment);
	if (loader->path) {
		const struct config_file_sink sink = {.setting = take_setting, .fault = take_fault, .owner = loader};
		struct err unread;
		if (config_file_read(loader->path, &sink, &unread)) {
			complain(loader, "%s", unread.text);
		}
	}
	load_environment(loader, environment);
	if (!loader->complaints) {
		check_together(loader);
	}
	if (!loader->complaints) {
		return 0;
	}
	if (loader->complaints > 1) {
		return err_set(err, ERR_INVALID, "%.200s (and %zu more)", loader->first, loader->complaints - 1);
	}
	return err_set(err, ERR_INVALID, "%s", loader->first);
}

int config_load(struct config *config, const char *path, char *const *environment,
		void (*complain_to)(void *owner, const char *text), void *owner, struct err *err) {
	struct loader loader = {.path = path, .complain = complain_to, .owner = owner};
	loader.lines = mem_zarray(config_row_count, sizeof *loader.lines);
	if (!loader.lines) {
		return err_set(err, ERR_MEMORY, "out of memory");
	}
	int result = load(&loader, environment, err);
	mem_free(loader.lines);
	if (result) {
		config_free(&loader.config);
		return -1;
	}
	*config = loader.config;
	return 0;
}

void config_free(struct config *config) {
	for (size_t i = 0; i < config_row_count; i++) {
		config_value_clear(config, &config_rows[i]);
	}
	memset(config, 0, sizeof *config);
}

const char *config_default_path(void) {
	return access(DEFAULT_PATH, F_OK) == 0 ? DEFAULT_PATH : NULL;
}
