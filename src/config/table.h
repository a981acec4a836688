/* The table of settings: one row a key. */
#ifndef SLUICE_CONFIG_TABLE_H
#define SLUICE_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_type {
	CONFIG_TEXT,    /* char *: anything printable */
	CONFIG_ADDRESS, /* char *: ADDRESS:PORT */
	CONFIG_URL,     /* char *: http:// or https:// */
	CONFIG_ORIGINS, /* char *: a list, which may be given in several lines */
	CONFIG_COUNT,   /* uint32_t */
	CONFIG_SIZE,    /* uint64_t, bytes */
	CONFIG_TIME,    /* int64_t, ms */
	CONFIG_LEVEL,   /* enum log_level */
	CONFIG_FORMAT,  /* enum log_format */
	CONFIG_YES_NO,  /* bool */
	CONFIG_PRICE,   /* double, negative for "" */
	CONFIG_MODELS,  /* char *: a list, which may be given in several lines */
	CONFIG_THINK,   /* enum config_think */
};

/* What a row is in a section with a name: [upstream NAME]. */
enum config_scope {
	CONFIG_OWN,       /* each section has its own, or the default */
	CONFIG_INHERITED, /* what it does not give itself it has from the section without a name */
	CONFIG_UNNAMED,   /* stands in the section without a name only */
};

struct config_row {
	const char *section;
	const char *key;
	enum config_type type;
	const char *fallback; /* the default, as it would be written in a file */
	int64_t min, max;     /* of numbers; of texts the shortest and longest length */
	size_t offset;        /* of the target in struct config */
	enum config_scope scope;
};

#define CONFIG_UPSTREAM "upstream" /* the section that may have a name */

extern const struct config_row config_rows[];
extern const size_t config_row_count;

#define CONFIG_VARIABLE_SIZE 64
/* The row's environment variable: SLUICE_LIMITS_BURST. */
void config_table_variable(const struct config_row *row, char name[static CONFIG_VARIABLE_SIZE]);

#endif
