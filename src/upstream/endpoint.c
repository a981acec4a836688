#include "endpoint.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define KEY_HEADER "Authorization: Bearer "
/* One read takes what a few hundred tokens need; libcurl holds a buffer of this size per transfer. */
#define READ_SIZE 2048L
#define MODELS_TIMEOUT_MS 15000L

struct endpoint {
	char *chat_url;
	char *models_url;
	char *ca_file;
	struct curl_slist *headers; /* of both requests; the key is in one of them */
	const char *key;            /* within `headers`; NULL: none */
	CURLSH *share;              /* names and TLS sessions, for all shards */
	long connect_timeout_ms;
	bool tls;
};

static int add_header(struct endpoint *endpoint, const char *line, struct err *err) {
	struct curl_slist *grown = curl_slist_append(endpoint->headers, line);
	if (!grown) {
		return err_set(err, ERR_MEMORY, "no memory for request headers");
	}
	endpoint->headers = grown;
	return 0;
}

static int add_key(struct endpoint *endpoint, const char *key, struct err *err) {
	for (const char *c = key; *c; c++) {
		if (*c < 0x21 || *c > 0x7E) {
			return err_set(err, ERR_INVALID, "the upstream's API key holds a character that no header may");
		}
	}
	size_t size = sizeof KEY_HEADER + strlen(key);
	char *line = mem_alloc(size);
	if (!line) {
		return err_set(err, ERR_MEMORY, "no memory for request headers");
	}
	snprintf(line, size, KEY_HEADER "%s", key);
	int failed = add_header(endpoint, line, err);
	explicit_bzero(line, size);
	mem_free(line);
	if (failed) {
		return -1;
	}
	struct curl_slist *last = endpoint->headers;
	while (last->next) {
		last = last->next;
	}
	endpoint->key = last->data + strlen(KEY_HEADER);
	return 0;
}

static char *join(const char *base, const char *path) {
	struct buf url = BUF_INIT;
	buf_append_text(&url, base);
	buf_append_text(&url, path);
	return buf_take_text(&url);
}

static int fill(struct endpoint *endpoint, const struct upstream_options *options, struct err *err) {
	endpoint->tls = str_starts(str_of(options->url), "https://");
	if (!endpoint->tls && !str_starts(str_of(options->url), "http://")) {
		return err_set(err, ERR_INVALID, "the upstream's URL is neither http:// nor https://");
	}
	endpoint->connect_timeout_ms = (long)options->connect_timeout_ms;
	endpoint->chat_url = join(options->url, "/chat/completions");
	endpoint->models_url = join(options->url, "/models");
	endpoint->ca_file = options->ca_file ? mem_strdup(options->ca_file) : NULL;
	endpoint->share = curl_share_init();
	if (!endpoint->chat_url || !endpoint->models_url || (options->ca_file && !endpoint->ca_file) ||
	    !endpoint->share) {
		return err_set(err, ERR_MEMORY, "no memory for the upstream's address");
	}
	curl_share_setopt(endpoint->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
	curl_share_setopt(endpoint->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	/* An empty Expect keeps libcurl from asking for leave before it sends a large body. */
	if (add_header(endpoint, "Content-Type: application/json", err) ||
	    add_header(endpoint, "Accept: text/event-stream, application/json", err) ||
	    add_header(endpoint, "Expect:", err)) {
		return -1;
	}
	return options->api_key ? add_key(endpoint, options->api_key, err) : 0;
}

struct endpoint *endpoint_new(const struct upstream_options *options, struct err *err) {
	struct endpoint *endpoint = mem_zalloc(sizeof *endpoint);
	if (!endpoint) {
		err_set(err, ERR_MEMORY, "no memory for the upstream's address");
		return NULL;
	}
	if (fill(endpoint, options, err)) {
		endpoint_free(&endpoint);
	}
	return endpoint;
}

void endpoint_free(struct endpoint **endpoint) {
	struct endpoint *old = *endpoint;
	if (!old) {
		return;
	}
	*endpoint = NULL;
	for (struct curl_slist *header = old->headers; header; header = header->next) {
		explicit_bzero(header->data, strlen(header->data));
	}
	curl_slist_free_all(old->headers);
	curl_share_cleanup(old->share);
	mem_free(old->ca_file);
	mem_free(old->models_url);
	mem_free(old->chat_url);
	mem_free(old);
}

bool endpoint_is_tls(const struct endpoint *endpoint) {
	return endpoint->tls;
}

bool endpoint_key_in(const struct endpoint *endpoint, struct str text) {
	return endpoint->key && text.length > 0 && memmem(text.data, text.length, endpoint->key, strlen(endpoint->key));
}

/* Redirects, netrc, cookies and HTTP/0.9 are off unless asked for. */
static int set_options(CURL *easy, const struct endpoint *endpoint) {
	CURLcode failed = CURLE_OK;
	failed |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	failed |= curl_easy_setopt(easy, CURLOPT_PROXY, "");
	failed |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
	failed |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, endpoint->headers);
	failed |= curl_easy_setopt(easy, CURLOPT_SHARE, endpoint->share);
	failed |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	failed |= curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
	failed |= curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, READ_SIZE);
	failed |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, endpoint->connect_timeout_ms);
	/* Without it, stopping a transfer that still waits for a name makes the loop wait for the resolver's thread. */
	failed |= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	if (endpoint->tls) {
		failed |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
		failed |= curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
		failed |= curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
		if (endpoint->ca_file) {
			failed |= curl_easy_setopt(easy, CURLOPT_CAINFO, endpoint->ca_file);
		}
	} else {
		/* HTTP/2 without TLS is broken before libcurl 8.0. */
		failed |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	}
	return failed == CURLE_OK ? 0 : -1;
}

static CURL *make(const struct endpoint *endpoint, const char *url) {
	CURL *easy = curl_easy_init();
	if (!easy) {
		return NULL;
	}
	if (set_options(easy, endpoint) || curl_easy_setopt(easy, CURLOPT_URL, url) != CURLE_OK) {
		curl_easy_cleanup(easy);
		return NULL;
	}
	return easy;
}

CURL *endpoint_post_chat(const struct endpoint *endpoint, struct str body) {
	CURL *easy = make(endpoint, endpoint->chat_url);
	if (easy) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.length);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.data);
	}
	return easy;
}

CURL *endpoint_get_models(const struct endpoint *endpoint) {
	CURL *easy = make(endpoint, endpoint->models_url);
	if (easy) {
		curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, MODELS_TIMEOUT_MS);
	}
	return easy;
}
