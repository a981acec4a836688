#include "fault.h"

#include <string.h>

static const struct {
	const char *name;
	const char *text;
	bool servers; /* speaks against the server */
} faults[] = {
	[UPSTREAM_OK] = {"ok", "the model server answered", false},
	[UPSTREAM_REFUSED] = {"upstream_refused", "the model server could not be reached", true},
	[UPSTREAM_UNKNOWN_HOST] = {"upstream_unknown_host", "the model server's name could not be resolved", true},
	[UPSTREAM_TLS] = {"upstream_tls", "no secure connection to the model server could be made", true},
	[UPSTREAM_UNAUTHORIZED] = {"upstream_unauthorized", "the model server did not accept this server's key", true},
	[UPSTREAM_REJECTED] = {"upstream_rejected", "the model server rejected the request", false},
	[UPSTREAM_RATE_LIMITED] = {"upstream_rate_limited", "the model server has too many requests", true},
	[UPSTREAM_SERVER] = {"upstream_server", "the model server failed", true},
	[UPSTREAM_TIMEOUT] = {"upstream_timeout", "the model server did not answer in time", true},
	[UPSTREAM_STALLED] = {"upstream_stalled", "the model server fell silent in the middle of its answer", true},
	[UPSTREAM_CUT] = {"upstream_cut", "the model server's answer ended before it was complete", true},
	[UPSTREAM_PROTOCOL] = {"upstream_protocol", "the model server's answer could not be understood", true},
	[UPSTREAM_REPORTED] = {"upstream_reported", "the model server reported an error", false},
	[UPSTREAM_MEMORY] = {"upstream_memory", "memory ran out", false},
	[UPSTREAM_UNAVAILABLE] =
		{"upstream_unavailable",
		 "every model server that has this model has failed several times and is not asked for a "
		 "while",
		 false},
	[UPSTREAM_UNABLE] = {"upstream_unable", "no model server that has this model can do all that the request needs",
			     false},
};

const char *upstream_error_name(enum upstream_error error) {
	return faults[error].name;
}

const char *fault_kind(enum upstream_error error) {
	return error == UPSTREAM_OK ? "none" : faults[error].name + strlen("upstream_");
}

const char *fault_text(enum upstream_error error) {
	return faults[error].text;
}

enum upstream_error fault_of_transfer(enum transfer_result result) {
	static const enum upstream_error errors[] = {
		[TRANSFER_OK] = UPSTREAM_REFUSED, /* an end without an answer */
		[TRANSFER_UNKNOWN_HOST] = UPSTREAM_UNKNOWN_HOST,
		[TRANSFER_UNCONNECTED] = UPSTREAM_REFUSED,
		[TRANSFER_BROKEN] = UPSTREAM_REFUSED,
		[TRANSFER_TLS] = UPSTREAM_TLS,
		[TRANSFER_TIMEOUT] = UPSTREAM_TIMEOUT,
		[TRANSFER_MALFORMED] = UPSTREAM_PROTOCOL,
		[TRANSFER_MEMORY] = UPSTREAM_MEMORY,
	};
	return errors[result];
}

enum upstream_error fault_of_status(int status) {
	if (status == 401 || status == 403) {
		return UPSTREAM_UNAUTHORIZED;
	}
	if (status == 429) {
		return UPSTREAM_RATE_LIMITED;
	}
	if (status >= 500) {
		return UPSTREAM_SERVER;
	}
	return status >= 400 ? UPSTREAM_REJECTED : UPSTREAM_PROTOCOL;
}

bool fault_is_passing(enum upstream_error error, int status) {
	switch (error) {
	case UPSTREAM_REFUSED:
	case UPSTREAM_RATE_LIMITED:
		return true;
	case UPSTREAM_TIMEOUT:
		return status == 0;
	case UPSTREAM_SERVER:
		return status == 500 || status == 502 || status == 503 || status == 504;
	default:
		return false;
	}
}

bool fault_is_elsewhere(enum upstream_error error, int status) {
	/* 404: the model is unknown there. */
	return faults[error].servers || (error == UPSTREAM_REJECTED && status == 404);
}

bool fault_is_servers(enum upstream_error error) {
	return faults[error].servers;
}

bool fault_is_harmless(enum upstream_error error, enum transfer_result result) {
	switch (error) {
	case UPSTREAM_UNKNOWN_HOST:
	case UPSTREAM_TLS:
	case UPSTREAM_UNAUTHORIZED:
	case UPSTREAM_RATE_LIMITED:
	case UPSTREAM_UNAVAILABLE:
	case UPSTREAM_UNABLE:
		return true;
	case UPSTREAM_REFUSED:
		return result == TRANSFER_UNCONNECTED; /* and not a connection that broke behind the request */
	default:
		return false;
	}
}
