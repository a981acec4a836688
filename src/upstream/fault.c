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

enum upstream_error fault_of_transfer(CURLcode code) {
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_URL_MALFORMAT:
		return UPSTREAM_UNKNOWN_HOST;
	case CURLE_OPERATION_TIMEDOUT:
		return UPSTREAM_TIMEOUT;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CRL_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_CLIENTCERT:
	case CURLE_SSL_ENGINE_INITFAILED:
	case CURLE_USE_SSL_FAILED:
		return UPSTREAM_TLS;
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_HTTP2:
	case CURLE_BAD_CONTENT_ENCODING:
		return UPSTREAM_PROTOCOL;
	case CURLE_OUT_OF_MEMORY:
	case CURLE_WRITE_ERROR: /* our write callback refuses only when memory is out */
		return UPSTREAM_MEMORY;
	default:
		return UPSTREAM_REFUSED;
	}
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
