#include "address.h"

#include <netdb.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <uv.h>

static bool is_localhost(const char *host) {
	size_t length = strlen(host);
	return strcasecmp(host, "localhost") == 0 || (length > 10 && strcasecmp(host + length - 10, ".localhost") == 0);
}

static void add_literal(struct addresses *addresses, const char *host, uint16_t port) {
	struct address *address = &addresses->list[addresses->count];
	if (uv_ip4_addr(host, port, &address->v4) == 0 || uv_ip6_addr(host, port, &address->v6) == 0) {
		addresses->count++;
	}
}

void addresses_of_literal(const char *host, uint16_t port, struct addresses *addresses) {
	*addresses = (struct addresses){0};
	if (is_localhost(host)) {
		add_literal(addresses, "::1", port);
		add_literal(addresses, "127.0.0.1", port);
	} else {
		add_literal(addresses, host, port);
	}
}

static bool is_kind(const struct addrinfo *answer, int family) {
	size_t size = family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	return answer->ai_family == family && answer->ai_addrlen == size;
}

/* The next one of this kind from *at on. */
static const struct addrinfo *next_of(const struct addrinfo **at, int family) {
	while (*at && !is_kind(*at, family)) {
		*at = (*at)->ai_next;
	}
	const struct addrinfo *found = *at;
	*at = found ? found->ai_next : NULL;
	return found;
}

static void add(struct addresses *addresses, const struct addrinfo *answer, uint16_t port) {
	if (answer && addresses->count < ADDRESS_MAX) {
		struct address *address = &addresses->list[addresses->count++];
		memcpy(address, answer->ai_addr, answer->ai_addrlen);
		if (answer->ai_family == AF_INET6) {
			address->v6.sin6_port = htons(port);
		} else {
			address->v4.sin_port = htons(port);
		}
	}
}

void addresses_of_answer(const struct addrinfo *answer, uint16_t port, struct addresses *addresses) {
	int first = answer && answer->ai_family == AF_INET6 ? AF_INET6 : AF_INET;
	int second = first == AF_INET ? AF_INET6 : AF_INET;
	const struct addrinfo *of_first = answer;
	const struct addrinfo *of_second = answer;
	*addresses = (struct addresses){0};
	while (of_first || of_second) {
		add(addresses, next_of(&of_first, first), port);
		add(addresses, next_of(&of_second, second), port);
	}
}
