#include "fault.h"

static const struct {
	const char *name;
	const char *label;
	const char *text;
} faults[] = {
#define FAULT(kind, text)                                                                                              \
	{ "upstream_" kind, "kind=\"" kind "\"", (text) }
	[UPSTREAM_OK] = {"ok", "kind=\"none\"", "the model server answered"},
	[UPSTREAM_REFUSED] = FAULT("refused", "the model server could not be reached"),
	[UPSTREAM_UNKNOWN_HOST] = FAULT("unknown_host", "the model server's name could not be resolved"),
	[UPSTREAM_TLS] = FAULT("tls", "no secure connection to the model server could be made"),
	[UPSTREAM_UNAUTHORIZED] = FAULT("unauthorized", "the model server did not accept this server's key"),
	[UPSTREAM_REJECTED] = FAULT("rejected", "the model server rejected the request"),
	[UPSTREAM_RATE_LIMITED] = FAULT("rate_limited", "the model server has too many requests"),
	[UPSTREAM_SERVER] = FAULT("server", "the model server failed"),
	[UPSTREAM_TIMEOUT] = FAULT("timeout", "the model server did not answer in time"),
	[UPSTREAM_STALLED] = FAULT("stalled", "the model server fell silent in the middle of its answer"),
	[UPSTREAM_CUT] = FAULT("cut", "the model server's answer ended before it was complete"),
	[UPSTREAM_PROTOCOL] = FAULT("protocol", "the model server's answer could not be understood"),
	[UPSTREAM_REPORTED] = FAULT("reported", "the model server reported an error"),
	[UPSTREAM_MEMORY] = FAULT("memory", "memory ran out"),
#undef FAULT
};

const char *upstream_error_name(enum upstream_error error) {
	return faults[error].name;
}

const char *fault_label(enum upstream_error error) {
	return faults[error].label;
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
