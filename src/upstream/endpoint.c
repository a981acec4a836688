#include "endpoint.h"

#include <string.h>

#include "base/mem.h"
#include "plain.h"
#include "secure.h"
#include "url.h"

#define MODELS_TIMEOUT_MS 15000

/* Of the two clients only the one that the address asks for is there. */
struct endpoint {
	char *key; /* NULL: none */
	struct plain *plain;
	char *chat_head, *models_head; /* of requests over `plain` */
	struct secure *secure;
};

static char *copy_key(const char *key, struct err *err) {
	for (const char *c = key; *c; c++) {
		if (*c < 0x21 || *c > 0x7E) {
			err_set(err, ERR_INVALID, "the upstream's API key holds a character that no header may");
			return NULL;
		}
	}
	char *copy = mem_strdup(key);
	if (!copy) {
		err_set(err, ERR_MEMORY, "no memory for the upstream's API key");
	}
	return copy;
}

/* Its text lives in one allocation from the start, so that no copy of the key stays behind. */
static char *write_head(const char *method, const char *path, const struct url *url, const char *key) {
	struct buf head = BUF_INIT;
	buf_reserve(&head, 512 + url->path.length + strlen(url->authority) + (key ? strlen(key) : 0));
	buf_append_text(&head, method);
	buf_append_char(&head, ' ');
	buf_append_str(&head, url->path);
	buf_append_text(&head, path);
	buf_append_text(&head, " HTTP/1.1\r\nHost: ");
	buf_append_text(&head, url->authority);
	buf_append_text(&head, "\r\nUser-Agent: sluice/" SLUICE_VERSION "\r\nContent-Type: application/json\r\n"
			       "Accept: text/event-stream, application/json\r\n");
	if (key) {
		buf_append_text(&head, "Authorization: Bearer ");
		buf_append_text(&head, key);
		buf_append_text(&head, "\r\n");
	}
	return buf_take_text(&head);
}

static int fill_plain(struct endpoint *endpoint, const struct upstream_options *options,
		      const struct endpoint_deps *deps, struct err *err) {
	struct url url;
	if (url_parse(&url, str_of(options->url), err)) {
		return -1;
	}
	endpoint->chat_head = write_head("POST", "/chat/completions", &url, endpoint->key);
	endpoint->models_head = write_head("GET", "/models", &url, endpoint->key);
	if (!endpoint->chat_head || !endpoint->models_head) {
		return err_set(err, ERR_MEMORY, "no memory for request headers");
	}
	const struct plain_deps plain_deps = {deps->loop, deps->clock};
	endpoint->plain = plain_new(&plain_deps, url.host, url.port, options->connect_timeout_ms, err);
	return endpoint->plain ? 0 : -1;
}

static int fill(struct endpoint *endpoint, const struct upstream_options *options, const struct endpoint_deps *deps,
		struct err *err) {
	if (options->api_key) {
		endpoint->key = copy_key(options->api_key, err);
		if (!endpoint->key) {
			return -1;
		}
	}
	if (str_starts(str_of(options->url), "https://")) {
		endpoint->secure = secure_new(options, deps->multi, err);
		return endpoint->secure ? 0 : -1;
	}
	return fill_plain(endpoint, options, deps, err);
}

struct endpoint *endpoint_new(const struct upstream_options *options, const struct endpoint_deps *deps,
			      struct err *err) {
	struct endpoint *endpoint = mem_zalloc(sizeof *endpoint);
	if (!endpoint) {
		err_set(err, ERR_MEMORY, "no memory for the upstream's address");
		return NULL;
	}
	if (fill(endpoint, options, deps, err)) {
		endpoint_free(&endpoint);
	}
	return endpoint;
}

static void wipe(char *text) {
	if (text) {
		explicit_bzero(text, strlen(text));
		mem_free(text);
	}
}

void endpoint_free(struct endpoint **endpoint) {
	struct endpoint *old = *endpoint;
	if (!old) {
		return;
	}
	*endpoint = NULL;
	plain_free(&old->plain);
	secure_free(&old->secure);
	wipe(old->chat_head);
	wipe(old->models_head);
	wipe(old->key);
	mem_free(old);
}

bool endpoint_key_in(const struct endpoint *endpoint, struct str text) {
	return endpoint->key && text.length > 0 && memmem(text.data, text.length, endpoint->key, strlen(endpoint->key));
}

int endpoint_post_chat(const struct endpoint *endpoint, struct transfer *transfer, struct str body, struct err *err) {
	if (endpoint->secure) {
		return secure_post(endpoint->secure, transfer, body, err);
	}
	const struct plain_request request = {.head = str_of(endpoint->chat_head), .body = body};
	return plain_start(endpoint->plain, transfer, &request, err);
}

int endpoint_get_models(const struct endpoint *endpoint, struct transfer *transfer, struct err *err) {
	if (endpoint->secure) {
		return secure_get(endpoint->secure, transfer, MODELS_TIMEOUT_MS, err);
	}
	const struct plain_request request = {.head = str_of(endpoint->models_head), .timeout_ms = MODELS_TIMEOUT_MS};
	return plain_start(endpoint->plain, transfer, &request, err);
}
