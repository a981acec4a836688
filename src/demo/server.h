/* The demo's HTTP server: GET /v1/models and POST /v1/chat/completions, on libwebsockets' own loop. One thread. */
#ifndef SLUICE_DEMO_SERVER_H
#define SLUICE_DEMO_SERVER_H

#include "base/err.h"

struct server_options {
	const char *address; /* a numeric address to listen on */
	int port;            /* 0 takes a free one */
	int words_per_second;
};

struct server;

/* NULL on failure. Blocks SIGINT and SIGTERM, which end server_run from now on. */
struct server *server_new(const struct server_options *options, struct err *err);
int server_port(const struct server *server);
/* Serves until SIGINT or SIGTERM. */
void server_run(struct server *server);
void server_free(struct server **server);

#endif
