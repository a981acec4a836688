#include "upstream.h"

#include <string.h>

#include "value.h"

#define SECTION_PREFIX CONFIG_UPSTREAM " "
#define VARIABLE_PREFIX "SLUICE_UPSTREAM_"
#define UNNAMED_NAME "default"

static bool is_row(const struct config_row *row) {
	return strcmp(row->section, CONFIG_UPSTREAM) == 0;
}

static bool is_name(struct str name) {
	if (name.length == 0 || name.length >= CONFIG_NAME_SIZE) {
		return false;
	}
	for (size_t i = 0; i < name.length; i++) {
		char c = name.data[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-') {
			return false;
		}
	}
	return true;
}

bool config_upstream_is(const char *section, struct str *name) {
	if (!str_starts(str_of(section), SECTION_PREFIX)) {
		return false;
	}
	*name = str_trim(str_skip(str_of(section), strlen(SECTION_PREFIX)));
	return true;
}

void *config_upstream_target(struct config *config, const struct config_row *row, size_t slot) {
	if (slot == 0) {
		return (char *)config + row->offset;
	}
	return (char *)&config->named[slot - 1] + (row->offset - offsetof(struct config, upstream));
}

/* What is inherited is so at the end of loading. */
static int begin(struct config *config, size_t slot, struct err *err) {
	for (size_t i = 0; i < config_row_count; i++) {
		const struct config_row *row = &config_rows[i];
		if (!is_row(row) || row->scope == CONFIG_INHERITED) {
			continue;
		}
		/* Only the one without a name has an address that it may mean by itself. */
		bool bare = row->type == CONFIG_URL;
		const struct config_row empty = {.type = CONFIG_TEXT, .max = 0};
		if (config_value_set(config_upstream_target(config, row, slot), bare ? &empty : row,
				     bare ? STR_NONE : str_of(row->fallback), err)) {
			return -1;
		}
	}
	return 0;
}

int config_upstream_slot(struct config *config, struct str name, size_t *slot, struct err *err) {
	if (str_is(name, UNNAMED_NAME)) {
		return err_set(err, ERR_INVALID, "the name " UNNAMED_NAME " is that of [upstream] itself");
	}
	if (!is_name(name)) {
		return err_set(err, ERR_INVALID, "a name has 1 to %d of a-z, 0-9 and -", CONFIG_NAME_SIZE - 1);
	}
	for (size_t i = 0; i < config->named_count; i++) {
		if (str_is(name, config->named[i].name)) {
			*slot = i + 1;
			return 0;
		}
	}
	if (config->named_count == CONFIG_MAX_NAMED) {
		return err_set(err, ERR_LIMIT, "there are more than %d upstreams with a name", CONFIG_MAX_NAMED);
	}
	struct config_upstream *begun = &config->named[config->named_count++];
	str_copy(begun->name, sizeof begun->name, name);
	begun->used = true;
	*slot = config->named_count;
	return begin(config, *slot, err);
}

/* The name in front of "_KEY", as sections write it; -1 when the variable does not end so. */
static int name_before(struct str rest, const char *key, char name[static CONFIG_NAME_SIZE]) {
	size_t length = strlen(key);
	if (rest.length < length + 2 || rest.length - length - 1 >= CONFIG_NAME_SIZE) {
		return -1;
	}
	struct str tail = str_skip(rest, rest.length - length);
	struct str head = {rest.data, rest.length - length - 1};
	for (size_t i = 0; i < tail.length; i++) {
		if (tail.data[i] >= 'a' && tail.data[i] <= 'z') {
			return -1;
		}
	}
	if (!str_equal_nocase(tail, str_of(key)) || rest.data[head.length] != '_') {
		return -1;
	}
	str_copy(name, CONFIG_NAME_SIZE, head);
	for (char *c = name; *c; c++) {
		if (*c == '_') {
			*c = '-';
		} else if (*c >= 'A' && *c <= 'Z') {
			*c = (char)(*c - 'A' + 'a');
		}
	}
	return 0;
}

const struct config_row *config_upstream_variable(const char *variable, char name[static CONFIG_NAME_SIZE]) {
	struct str rest = str_of(variable);
	if (!str_starts(rest, VARIABLE_PREFIX)) {
		return NULL;
	}
	rest = str_skip(rest, strlen(VARIABLE_PREFIX));
	for (size_t i = 0; i < config_row_count; i++) {
		if (is_row(&config_rows[i]) && name_before(rest, config_rows[i].key, name) == 0) {
			return &config_rows[i];
		}
	}
	return NULL;
}

size_t config_upstreams(const struct config *config,
			const struct config_upstream *sorted[static CONFIG_MAX_UPSTREAMS]) {
	size_t count = 0;
	for (size_t slot = 0; slot <= config->named_count; slot++) {
		const struct config_upstream *upstream = slot ? &config->named[slot - 1] : &config->upstream;
		if (!upstream->used) {
			continue;
		}
		/* Of the same order, as they appeared. */
		size_t at = count++;
		for (; at > 0 && sorted[at - 1]->order > upstream->order; at--) {
			sorted[at] = sorted[at - 1];
		}
		sorted[at] = upstream;
	}
	return count;
}
