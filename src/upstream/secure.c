#include "secure.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

#define KEY_HEADER "Authorization: Bearer "
/* One read takes what a few hundred tokens need; libcurl holds a buffer of this size per transfer. */
#define READ_SIZE 2048L

struct secure {
	struct multi *multi;
	char *chat_url;
	char *models_url;
	char *ca_file;
	struct curl_slist *headers; /* of both requests; the key is in one of them */
	CURLSH *share;              /* names and TLS sessions, for all shards */
	long connect_timeout_ms;
};

static int add_header(struct secure *secure, const char *line) {
	struct curl_slist *grown = curl_slist_append(secure->headers, line);
	if (!grown) {
		return -1;
	}
	secure->headers = grown;
	return 0;
}

static int add_key(struct secure *secure, const char *key) {
	size_t size = sizeof KEY_HEADER + strlen(key);
	char *line = mem_alloc(size);
	if (!line) {
		return -1;
	}
	snprintf(line, size, KEY_HEADER "%s", key);
	int failed = add_header(secure, line);
	explicit_bzero(line, size);
	mem_free(line);
	return failed;
}

static char *join(const char *base, const char *path) {
	struct buf url = BUF_INIT;
	buf_append_text(&url, base);
	buf_append_text(&url, path);
	return buf_take_text(&url);
}

static int fill(struct secure *secure, const struct upstream_options *options) {
	secure->connect_timeout_ms = (long)options->connect_timeout_ms;
	secure->chat_url = join(options->url, "/chat/completions");
	secure->models_url = join(options->url, "/models");
	secure->ca_file = options->ca_file ? mem_strdup(options->ca_file) : NULL;
	secure->share = curl_share_init();
	if (!secure->chat_url || !secure->models_url || (options->ca_file && !secure->ca_file) || !secure->share) {
		return -1;
	}
	curl_share_setopt(secure->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
	curl_share_setopt(secure->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	/* An empty Expect keeps libcurl from asking for leave before it sends a large body. */
	if (add_header(secure, "Content-Type: application/json") ||
	    add_header(secure, "Accept: text/event-stream, application/json") || add_header(secure, "Expect:")) {
		return -1;
	}
	return options->api_key ? add_key(secure, options->api_key) : 0;
}

struct secure *secure_new(const struct upstream_options *options, struct multi *multi, struct err *err) {
	struct secure *secure = mem_zalloc(sizeof *secure);
	if (secure) {
		secure->multi = multi;
	}
	if (!secure || fill(secure, options)) {
		err_set(err, ERR_MEMORY, "no memory for the upstream's address");
		secure_free(&secure);
	}
	return secure;
}

void secure_free(struct secure **secure) {
	struct secure *old = *secure;
	if (!old) {
		return;
	}
	*secure = NULL;
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

/* Redirects, netrc, cookies and HTTP/0.9 are off unless asked for. */
static int set_options(CURL *easy, const struct secure *secure) {
	CURLcode failed = CURLE_OK;
	failed |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
	failed |= curl_easy_setopt(easy, CURLOPT_PROXY, "");
	failed |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
	failed |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, secure->headers);
	failed |= curl_easy_setopt(easy, CURLOPT_SHARE, secure->share);
	failed |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	failed |= curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
	failed |= curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, READ_SIZE);
	failed |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, secure->connect_timeout_ms);
	/* Without it, stopping a transfer that still waits for a name makes the loop wait for the resolver's thread. */
	failed |= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	failed |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	failed |= curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
	failed |= curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (secure->ca_file) {
		failed |= curl_easy_setopt(easy, CURLOPT_CAINFO, secure->ca_file);
	}
	return failed == CURLE_OK ? 0 : -1;
}

static CURL *make(const struct secure *secure, const char *url, struct err *err) {
	CURL *easy = curl_easy_init();
	if (easy && (set_options(easy, secure) || curl_easy_setopt(easy, CURLOPT_URL, url) != CURLE_OK)) {
		curl_easy_cleanup(easy);
		easy = NULL;
	}
	if (!easy) {
		err_set(err, ERR_MEMORY, "no memory for an upstream request");
	}
	return easy;
}

int secure_post(const struct secure *secure, struct transfer *transfer, struct str body, struct err *err) {
	CURL *easy = make(secure, secure->chat_url, err);
	if (!easy) {
		return -1;
	}
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.length);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.data);
	return multi_start(secure->multi, transfer, easy, err);
}

int secure_get(const struct secure *secure, struct transfer *transfer, int64_t timeout_ms, struct err *err) {
	CURL *easy = make(secure, secure->models_url, err);
	if (!easy) {
		return -1;
	}
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	return multi_start(secure->multi, transfer, easy, err);
}
