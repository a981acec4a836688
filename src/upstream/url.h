/* The parts of an http:// address. Pure. */
#ifndef SLUICE_UPSTREAM_URL_H
#define SLUICE_UPSTREAM_URL_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define URL_HOST_SIZE 256

struct url {
	char host[URL_HOST_SIZE];      /* for the resolver: IPv6 without brackets, with its zone */
	char authority[URL_HOST_SIZE]; /* for the Host header: without the zone, with a port other than 80 */
	uint16_t port;
	struct str path; /* a view into the text: "" or from its first slash on */
};

/* -1 with ERR_INVALID for what is no http:// address, for one with a user name in it, and for one that holds what a request
 * line must not. */
int url_parse(struct url *url, struct str text, struct err *err);

#endif
