/* The settings as each module wants them. */
#ifndef SLUICE_SERVE_OPTIONS_H
#define SLUICE_SERVE_OPTIONS_H

#include "base/err.h"
#include "config/config.h"
#include "edge/server.h"
#include "upstream/client.h"

/* What the options of the edge borrow. */
struct edge_settings {
	struct edge_options options;
	char address[CONFIG_HOST_SIZE];
	char *origin_text; /* owned: the settings' list, cut at its spaces */
	const char *origins[CONFIG_MAX_ORIGINS];
};

int edge_settings_make(struct edge_settings *settings, const struct config *config, struct err *err);
void edge_settings_free(struct edge_settings *settings);

/* Reads the key file, if one is set, into *api_key, which the caller wipes and frees: mem_alloc'ed, `*length` long. */
int upstream_options_make(struct upstream_options *options, const struct config *config, char **api_key, size_t *length,
			  struct err *err);

#endif
