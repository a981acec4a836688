#include "refusal.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/id.h"
#include "proto/error.h"

#define RETRY_AFTER_MS 5000
/* A request that is there already, and would reset the connection if it was closed unread: the client might lose the answer. */
#define REQUEST_BYTES 8192

static int make(struct refusal *refusal, const struct api_error *error, const char *reason) {
	struct buf body = BUF_INIT, *out = &refusal->answer;
	struct api_header headers[API_ERROR_HEADERS];
	char id[ID_SIZE];
	api_error_write_body(&body, error);
	buf_printf(out, "HTTP/1.1 %d %s\r\nx-request-id: ", api_error_row(error->code)->status, reason);
	refusal->id_at = out->length;
	id_make(id, "req", 0);
	buf_printf(out, "%s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\nconnection: close\r\n", id,
		   body.length);
	size_t count = api_error_headers(error, headers);
	for (size_t i = 0; i < count; i++) {
		buf_printf(out, "%s: %s\r\n", headers[i].name, headers[i].value);
	}
	buf_append_text(out, "\r\n");
	buf_append_str(out, buf_str(&body));
	int result = out->failed || body.failed ? -1 : 0;
	buf_free(&body);
	return result;
}

int refusals_make(struct refusals *refusals) {
	struct api_error full, crowded;
	api_error_set(&full, API_OVERLOADED, NULL,
		      "As many connections are open as may be ([server] max_connections).");
	api_error_set(&crowded, API_RATE_LIMITED, NULL,
		      "As many connections are open from this address as may be: close one, or wait "
		      "([limits] connections_per_address).");
	full.retry_after_ms = crowded.retry_after_ms = RETRY_AFTER_MS;
	*refusals = (struct refusals){0};
	return make(&refusals->full, &full, "Service Unavailable") ||
			       make(&refusals->crowded, &crowded, "Too Many Requests")
		       ? -1
		       : 0;
}

void refusals_free(struct refusals *refusals) {
	buf_free(&refusals->full.answer);
	buf_free(&refusals->crowded.answer);
}

void refusal_send(const struct refusal *refusal, int descriptor, int64_t wall_ms) {
	char request[REQUEST_BYTES], id[ID_SIZE];
	const struct buf *answer = &refusal->answer;
	id_make(id, "req", wall_ms);
	memcpy(answer->data + refusal->id_at, id, strlen(id));
	if (send(descriptor, answer->data, answer->length, MSG_DONTWAIT | MSG_NOSIGNAL) > 0 &&
	    shutdown(descriptor, SHUT_WR) == 0) {
		(void)!recv(descriptor, request, sizeof request, MSG_DONTWAIT);
	}
	close(descriptor);
}
