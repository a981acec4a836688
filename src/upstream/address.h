/* Where a server may be reached. Pure. */
#ifndef SLUICE_UPSTREAM_ADDRESS_H
#define SLUICE_UPSTREAM_ADDRESS_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDRESS_MAX 8 /* of one name; more are not tried */

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
};

struct addresses {
	size_t count;
	struct address list[ADDRESS_MAX];
};

/* What needs no resolver: an address in digits (IPv6 without brackets, with its zone), and localhost, which is the loopback
 * of both kinds (RFC 6761). `count` is 0 for any other host. */
void addresses_of_literal(const char *host, uint16_t port, struct addresses *addresses);

struct addrinfo;
/* A resolver's answer in the order in which it is tried: the resolver's, but the two kinds take turns (RFC 8305, 4). */
void addresses_of_answer(const struct addrinfo *answer, uint16_t port, struct addresses *addresses);

#endif
