/* The settings as each module wants them. */
#ifndef SLUICE_SERVE_OPTIONS_H
#define SLUICE_SERVE_OPTIONS_H

#include "base/err.h"
#include "config/config.h"
#include "edge/server.h"
#include "upstream/client.h"

/* The options of the edge and what they borrow. */
struct edge_settings {
	struct edge_options options;
	struct edge_door door; /* without inherited sockets */
	char address[CONFIG_HOST_SIZE];
	char *origin_text; /* owned: the settings' list, cut at its spaces */
	const char *origins[CONFIG_MAX_ORIGINS];
};

int edge_settings_make(struct edge_settings *settings, const struct config *config, struct err *err);
void edge_settings_free(struct edge_settings *settings);

/* What the options of the upstreams borrow, beside the configuration. */
struct upstream_settings {
	struct upstream_options options[CONFIG_MAX_UPSTREAMS];
	size_t count;
	char *api_keys[CONFIG_MAX_UPSTREAMS]; /* owned; NULL: none */
};

/* Reads the key files. */
int upstream_settings_make(struct upstream_settings *settings, const struct config *config, struct err *err);
/* Wipes the keys. */
void upstream_settings_free(struct upstream_settings *settings);

#endif
