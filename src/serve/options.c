#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "seal/token.h"

#define MINUTE_US (INT64_C(60) * 1000000)
#define SECOND_US INT64_C(1000000)
#define API_KEY_MAX 4096
#define EVENT_MAX (1024 * 1024)

static uint32_t clamp_u32(uint64_t value) {
	return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static int split_origins(struct edge_settings *settings, const char *text, struct err *err) {
	settings->origin_text = mem_strdup(text);
	if (text && !settings->origin_text) {
		return err_set(err, ERR_MEMORY, "no memory for the allowed origins");
	}
	char *rest = NULL;
	for (char *origin = text ? strtok_r(settings->origin_text, " ", &rest) : NULL; origin;
	     origin = strtok_r(NULL, " ", &rest)) {
		if (settings->options.origin_count == CONFIG_MAX_ORIGINS) {
			return err_set(err, ERR_LIMIT, "more than %d allowed origins", CONFIG_MAX_ORIGINS);
		}
		settings->origins[settings->options.origin_count++] = origin;
	}
	settings->options.origins = settings->origins;
	return 0;
}

int edge_settings_make(struct edge_settings *settings, const struct config *config, struct err *err) {
	*settings = (struct edge_settings){0};
	struct edge_options *o = &settings->options;
	if (config_address_split(config->server.listen, settings->address, &o->port, err) ||
	    split_origins(settings, config->server.origins, err)) {
		edge_settings_free(settings);
		return -1;
	}
	o->address = settings->address;
	o->public_url = config->server.public_url;
	o->www = config->server.www;
	o->max_connections = config->server.max_connections;
	o->max_connections_per_address = config->limits.connections_per_address;
	o->max_message = (size_t)config->limits.max_message;
	o->requests = gcra_rate(config->limits.requests_per_minute, MINUTE_US, config->limits.burst);
	o->http_requests = o->requests;
	o->bytes =
		gcra_rate(clamp_u32(config->limits.bytes_per_second), SECOND_US, clamp_u32(config->limits.bytes_burst));
	o->max_lanes = config->limits.max_lanes;
	o->max_in_flight = config->limits.max_in_flight;
	o->max_queued = config->limits.max_queued;
	o->abuse_refusals = config->limits.abuse_refusals;
	o->header_timeout_ms = config->limits.header_timeout_ms;
	o->body_timeout_ms = config->limits.body_timeout_ms;
	o->idle_timeout_ms = config->limits.idle_timeout_ms;
	o->ping_interval_ms = config->limits.ping_interval_ms;
	o->pong_timeout_ms = config->limits.pong_timeout_ms;
	o->heartbeat_interval_ms = config->limits.heartbeat_interval_ms;
	o->connection_lifetime_ms = config->limits.connection_lifetime_ms;
	return 0;
}

void edge_settings_free(struct edge_settings *settings) {
	mem_free(settings->origin_text);
	*settings = (struct edge_settings){0};
}

static int read_api_key(const char *path, char **api_key, size_t *length, struct err *err) {
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return err_set(err, ERR_IO, "[upstream] api_key_file: %s: %s", path, strerror(errno));
	}
	char *text = mem_zalloc(API_KEY_MAX + 1);
	ssize_t got = text ? read(fd, text, API_KEY_MAX) : -1;
	close(fd);
	if (got < 0) {
		mem_free(text);
		return err_set(err, ERR_IO, "[upstream] api_key_file: %s: %s", path, strerror(errno));
	}
	text[strcspn(text, "\r\n")] = '\0';
	if (!text[0]) {
		mem_free(text);
		return err_set(err, ERR_INVALID, "[upstream] api_key_file: the first line of %s is empty", path);
	}
	*api_key = text;
	*length = API_KEY_MAX + 1;
	return 0;
}

int upstream_options_make(struct upstream_options *options, const struct config *config, char **api_key, size_t *length,
			  struct err *err) {
	const char *file = config->upstream.api_key_file;
	*api_key = NULL;
	*length = 0;
	if (file && file[0] && read_api_key(file, api_key, length, err)) {
		return -1;
	}
	const char *ca_file = config->upstream.ca_file;
	*options = (struct upstream_options){
		.url = config->upstream.url,
		.api_key = *api_key,
		.ca_file = ca_file && ca_file[0] ? ca_file : NULL,
		.connect_timeout_ms = config->upstream.connect_timeout_ms,
		.first_token_timeout_ms = config->upstream.first_token_timeout_ms,
		.silence_timeout_ms = config->upstream.silence_timeout_ms,
		.retries = config->upstream.retries,
		.retry_base_ms = config->upstream.retry_base_ms,
		.retry_max_ms = config->upstream.retry_max_ms,
		.max_event = EVENT_MAX,
	};
	return 0;
}
