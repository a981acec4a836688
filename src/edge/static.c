#include "static.h"

#include <stdio.h>

#include "headers.h"

/* The page runs its own scripts and styles and talks to its own server; nothing else (docs/security.md). */
#define PAGE_POLICY                                                                                                    \
	"content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "       \
	"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "                          \
	"require-trusted-types-for 'script'\r\n"

int static_admit(struct exchange *exchange, struct api_error *error) {
	if (!files_find(exchange->edge->files, str_of(exchange->path))) {
		return api_error_set(error, API_NOT_FOUND, NULL, NULL);
	}
	if (exchange->method != HTTP_GET && exchange->method != HTTP_HEAD) {
		exchange->match.allowed = 1u << HTTP_GET | 1u << HTTP_HEAD;
		return api_error_set(error, API_METHOD_NOT_ALLOWED, NULL, NULL);
	}
	return 0;
}

void static_serve(struct exchange *exchange) {
	const struct file *file = files_find(exchange->edge->files, str_of(exchange->path));
	char headers[512 + sizeof PAGE_POLICY], sent[1024];
	snprintf(headers, sizeof headers, "etag: %s\r\n" PAGE_POLICY, file->etag);
	struct str known = headers_get(exchange->connection->wsi, WSI_TOKEN_HTTP_IF_NONE_MATCH, sent, sizeof sent);
	if (known.length > 0 && http_etag_matches(known, file->etag)) {
		reply_send(exchange, &(struct reply){.status = 304, .headers = headers, .cacheable = true});
		return;
	}
	reply_send(exchange, &(struct reply){.status = 200,
					     .type = file->type,
					     .body = {file->data, file->length},
					     .headers = headers,
					     .cacheable = true});
}
