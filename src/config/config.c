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
#include "upstream.h"
#include "value.h"

#define COMPLAINT_SIZE 512
#define VARIABLE_PREFIX "SLUICE_"
#define TEST_PREFIX "SLUICE_TEST_" /* the tests' own variables */
#define DEFAULT_PATH "/etc/sluice/sluice.conf"
#define IN_ENVIRONMENT (-1) /* instead of a line */

struct loader {
	struct config config;
	const char *path;
	int *lines;              /* where each row of each slot was set; 0: nowhere yet */
	int begun[CONFIG_SLOTS]; /* the line where an [upstream NAME] began */
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
	struct str name = str_of(section);
	struct str first = str_cut(&name, ' ');
	char word[64];
	str_copy_cut(word, sizeof word, first);
	struct config_suggest suggest = {.typed = word};
	for (size_t i = 0; i < config_row_count; i++) {
		/* Of a section with a name only one can be meant. */
		if (name.length == 0 || !strcmp(config_rows[i].section, CONFIG_UPSTREAM)) {
			config_suggest_offer(&suggest, config_rows[i].section);
		}
	}
	if (suggest.best) {
		complain(loader, "%s:%d: there is no section [%s]; did you mean [%s%s%.*s]?", loader->path, line,
			 section, suggest.best, name.length ? " " : "", STR_ARG(name));
	} else {
		complain(loader, "%s:%d: there is no section [%s]", loader->path, line, section);
	}
}

/* `section` as it is written, `plain` without its name. */
static void complain_key(struct loader *loader, int line, const char *section, const char *plain, const char *key) {
	struct config_suggest suggest = {.typed = key};
	const char *elsewhere = NULL;
	for (size_t i = 0; i < config_row_count; i++) {
		if (!strcmp(config_rows[i].section, plain)) {
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

static int *line_of(struct loader *loader, const struct config_row *row, size_t slot) {
	return &loader->lines[slot * config_row_count + (size_t)(row - config_rows)];
}

/* The slot of a section, or -1 when it was complained about. */
static int find_slot(struct loader *loader, int line, const char *section, size_t *slot) {
	struct str name;
	struct err err;
	*slot = 0;
	if (is_section(section)) {
		return 0;
	}
	if (!config_upstream_is(section, &name)) {
		complain_section(loader, line, section);
		return -1;
	}
	if (config_upstream_slot(&loader->config, name, slot, &err) == 0) {
		if (loader->begun[*slot] == 0) {
			loader->begun[*slot] = line;
		}
		return 0;
	}
	if (strcmp(loader->unknown_section, section) != 0) {
		snprintf(loader->unknown_section, sizeof loader->unknown_section, "%s", section);
		complain(loader, "%s:%d: [%s]: %s", loader->path, line, section, err.text);
	}
	return -1;
}

/* Other sections are of interest with their first setting. */
static void take_section(void *owner, int line, const char *section) {
	struct str name;
	size_t slot;
	if (config_upstream_is(section, &name)) {
		(void)find_slot(owner, line, section, &slot);
	}
}

static void take_setting(void *owner, int line, const char *section, const char *key, const char *value) {
	struct loader *loader = owner;
	size_t slot;
	if (section[0] == '\0') {
		complain(loader, "%s:%d: %s stands before the first [section]", loader->path, line, key);
		return;
	}
	if (find_slot(loader, line, section, &slot)) {
		return;
	}
	const char *plain = slot ? CONFIG_UPSTREAM : section;
	const struct config_row *row = find_row(plain, key);
	if (!row) {
		complain_key(loader, line, section, plain, key);
		return;
	}
	if (slot && row->scope == CONFIG_UNNAMED) {
		complain(loader, "%s:%d: [%s] has no key %s; it belongs to [%s]", loader->path, line, section, key,
			 plain);
		return;
	}
	int *set_at = line_of(loader, row, slot);
	if (*set_at && !config_value_is_list(row)) {
		complain(loader, "%s:%d: [%s] %s is set already in line %d", loader->path, line, section, key, *set_at);
		return;
	}
	struct err err;
	void *to = config_upstream_target(&loader->config, row, slot);
	int failed = *set_at ? config_value_add(to, row, str_of(value), &err)
			     : config_value_set(to, row, str_of(value), &err);
	*set_at = line;
	if (failed) {
		complain(loader, "%s:%d: [%s] %s: %s", loader->path, line, section, key, err.text);
	}
}

static void take_fault(void *owner, int line, const char *text) {
	struct loader *loader = owner;
	complain(loader, "%s:%d: %s", loader->path, line, text);
}

static void set_variable(struct loader *loader, const char *name, const struct config_row *row, size_t slot,
			 const char *value) {
	struct err err;
	if (config_value_set(config_upstream_target(&loader->config, row, slot), row, str_of(value), &err)) {
		complain(loader, "%s: %s", name, err.text);
	}
	*line_of(loader, row, slot) = IN_ENVIRONMENT;
}

/* SLUICE_UPSTREAM_<NAME>_<KEY>; false when it is none. */
static bool take_named_variable(struct loader *loader, const char *name, const char *value) {
	char section[CONFIG_NAME_SIZE];
	struct err err;
	size_t slot;
	const struct config_row *row = config_upstream_variable(name, section);
	if (!row) {
		return false;
	}
	if (row->scope == CONFIG_UNNAMED) {
		char variable[CONFIG_VARIABLE_SIZE];
		config_table_variable(row, variable);
		complain(loader, "%s: [upstream %s] has no key %s; it belongs to [upstream]: %s", name, section,
			 row->key, variable);
	} else if (config_upstream_slot(&loader->config, str_of(section), &slot, &err)) {
		complain(loader, "%s: [upstream %s]: %s", name, section, err.text);
	} else {
		set_variable(loader, name, row, slot, value);
	}
	return true;
}

static void take_variable(struct loader *loader, const char *name, const char *value) {
	struct config_suggest suggest = {.typed = name};
	/* The suggestion outlives the loop that made the names. */
	char nearest[CONFIG_VARIABLE_SIZE] = "";
	for (size_t i = 0; i < config_row_count; i++) {
		char variable[CONFIG_VARIABLE_SIZE];
		config_table_variable(&config_rows[i], variable);
		if (!strcmp(variable, name)) {
			set_variable(loader, name, &config_rows[i], 0, value);
			return;
		}
		config_suggest_offer(&suggest, variable);
		if (suggest.best == variable) {
			memcpy(nearest, variable, sizeof nearest);
			suggest.best = nearest;
		}
	}
	if (take_named_variable(loader, name, value)) {
		return;
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
		if (config_value_set(config_upstream_target(&loader->config, row, 0), row, str_of(row->fallback),
				     &err)) {
			complain(loader, "[%s] %s: default: %s", row->section, row->key, err.text);
		}
	}
	if (stderr_is_journal(environment)) {
		loader->config.log.format = LOG_FORMAT_JOURNAL;
	}
}

/* Without an address of its own [upstream] means the default one, unless there are others: then it gives them what they
 * don't have, and a key that would be its server's has no server. */
static void settle_unnamed(struct loader *loader) {
	struct config *config = &loader->config;
	str_copy(config->upstream.name, sizeof config->upstream.name, str_of("default"));
	config->upstream.used = config->named_count == 0 || *line_of(loader, find_row(CONFIG_UPSTREAM, "url"), 0);
	for (size_t i = 0; !config->upstream.used && i < config_row_count; i++) {
		const struct config_row *row = &config_rows[i];
		if (!strcmp(row->section, CONFIG_UPSTREAM) && row->scope == CONFIG_OWN && *line_of(loader, row, 0)) {
			complain(loader,
				 "[upstream] %s has no effect without a url: beside upstreams with a name, [upstream] "
				 "is one only if it says where its server is",
				 row->key);
		}
	}
}

static void settle_named(struct loader *loader, size_t slot) {
	struct config *config = &loader->config;
	struct config_upstream *named = &config->named[slot - 1];
	for (size_t i = 0; i < config_row_count; i++) {
		const struct config_row *row = &config_rows[i];
		if (row->scope == CONFIG_INHERITED && !*line_of(loader, row, slot)) {
			config_value_copy(config_upstream_target(config, row, slot),
					  config_upstream_target(config, row, 0), row);
		}
	}
	if (!*line_of(loader, find_row(CONFIG_UPSTREAM, "order"), slot)) {
		named->order = (uint32_t)slot;
	}
	if (!*line_of(loader, find_row(CONFIG_UPSTREAM, "url"), slot)) {
		char place[COMPLAINT_SIZE / 2] = "";
		if (loader->begun[slot]) {
			snprintf(place, sizeof place, "%s:%d: ", loader->path, loader->begun[slot]);
		}
		complain(loader,
			 "%s[upstream %s] has no url; it says where the server is, such as "
			 "http://127.0.0.1:8081/v1",
			 place, named->name);
	}
}

static void check_upstream(struct loader *loader, const struct config_upstream *upstream) {
	if (upstream->retry_base_ms > upstream->retry_max_ms) {
		bool named = upstream != &loader->config.upstream;
		complain(loader, "[upstream%s%s] retry_base must not be above retry_max", named ? " " : "",
			 named ? upstream->name : "");
	}
}

/* Values that are right by themselves and wrong together. */
static void check_together(struct loader *loader) {
	const struct config *config = &loader->config;
	check_upstream(loader, &config->upstream);
	for (size_t i = 0; i < config->named_count && !loader->complaints; i++) {
		check_upstream(loader, &config->named[i]);
	}
	if (config->limits.bytes_burst < config->limits.max_message) {
		complain(loader,
			 "[limits] bytes_burst must not be below max_message: the largest message would never pass");
	}
}

static int load(struct loader *loader, char *const *environment, struct err *err) {
	load_defaults(loader, environment);
	if (loader->path) {
		const struct config_file_sink sink = {
			.section = take_section, .setting = take_setting, .fault = take_fault, .owner = loader};
		struct err unread;
		if (config_file_read(loader->path, &sink, &unread)) {
			complain(loader, "%s", unread.text);
		}
	}
	load_environment(loader, environment);
	settle_unnamed(loader);
	for (size_t slot = 1; slot <= loader->config.named_count; slot++) {
		settle_named(loader, slot);
	}
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
	loader.lines = mem_zarray(config_row_count * CONFIG_SLOTS, sizeof *loader.lines);
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
		const struct config_row *row = &config_rows[i];
		size_t slots = strcmp(row->section, CONFIG_UPSTREAM) == 0 ? config->named_count + 1 : 1;
		for (size_t slot = 0; slot < slots; slot++) {
			config_value_clear(config_upstream_target(config, row, slot), row);
		}
	}
	memset(config, 0, sizeof *config);
}

const char *config_default_path(void) {
	return access(DEFAULT_PATH, F_OK) == 0 ? DEFAULT_PATH : NULL;
}
