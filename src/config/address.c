#include <arpa/inet.h>
#include <string.h>

#include "config/config.h"

static bool is_numeric(const char *host, bool bracketed) {
	unsigned char parsed[sizeof(struct in6_addr)];
	return inet_pton(bracketed ? AF_INET6 : AF_INET, host, parsed) == 1;
}

int config_address_split(const char *address, char host[static CONFIG_HOST_SIZE], uint16_t *port, struct err *err) {
	const char *form = "is not ADDRESS:PORT or [ADDRESS]:PORT with a numeric address";
	struct str rest = str_of(address);
	bool bracketed = str_starts(rest, "[");
	struct str name;
	if (bracketed) {
		rest = str_skip(rest, 1);
		size_t bracket;
		if (str_find_char(rest, ']', &bracket) || !str_starts(str_skip(rest, bracket + 1), ":")) {
			return err_set(err, ERR_INVALID, "'%s' %s, such as [::1]:8080", address, form);
		}
		name = str_cut(&rest, ']');
		rest = str_skip(rest, 1);
	} else {
		size_t colon;
		if (str_find_char(rest, ':', &colon)) {
			return err_set(err, ERR_INVALID, "'%s' %s, such as 127.0.0.1:8080", address, form);
		}
		name = str_cut(&rest, ':');
	}
	char found[CONFIG_HOST_SIZE];
	if (str_copy(found, sizeof found, name) || !is_numeric(found, bracketed)) {
		return err_set(err, ERR_INVALID, "'%s' %s, such as 127.0.0.1:8080, 0.0.0.0:80 or [::1]:8080", address,
			       form);
	}
	uint64_t number;
	if (str_to_u64(rest, &number) || number > UINT16_MAX) {
		return err_set(err, ERR_INVALID, "'%s': the port is not a whole number from 0 to 65535", address);
	}
	memcpy(host, found, sizeof found);
	*port = (uint16_t)number;
	return 0;
}

int config_base_url(const struct config *config, const char *listening, struct buf *out, struct err *err) {
	if (config->server.public_url[0]) {
		buf_append_text(out, config->server.public_url);
		return out->failed ? err_set(err, ERR_MEMORY, "out of memory") : 0;
	}
	char host[CONFIG_HOST_SIZE];
	uint16_t port = 0;
	if (config_address_split(listening ? listening : config->server.listen, host, &port, err)) {
		return -1;
	}
	if (port == 0) {
		return err_set(
			err, ERR_INVALID,
			"[server] listen leaves the port to the system, so it is known only while the server runs; "
			"set [server] public_url");
	}
	if (!strcmp(host, "0.0.0.0")) {
		buf_printf(out, "http://127.0.0.1:%u", port);
	} else if (!strcmp(host, "::")) {
		buf_printf(out, "http://[::1]:%u", port);
	} else {
		buf_printf(out, strchr(host, ':') ? "http://[%s]:%u" : "http://%s:%u", host, port);
	}
	return out->failed ? err_set(err, ERR_MEMORY, "out of memory") : 0;
}
