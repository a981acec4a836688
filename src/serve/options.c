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
	if (config_address_split(config->server.listen, settings->address, &settings->door.port, err) ||
	    split_origins(settings, config->server.origins, err)) {
		edge_settings_free(settings);
		return -1;
	}
	settings->door.address = settings->address;
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

static void free_api_key(char **api_key) {
	if (*api_key) {
		seal_wipe(*api_key, API_KEY_MAX + 1);
		mem_free(*api_key);
		*api_key = NULL;
	}
}

static int refuse_api_key(const struct config_upstream *upstream, char **api_key, const char *why, struct err *err) {
	free_api_key(api_key);
	return err_set(err, ERR_IO, "upstream %s: api_key_file: %s: %s", upstream->name, upstream->api_key_file, why);
}

static int read_api_key(const struct config_upstream *upstream, char **api_key, struct err *err) {
	int fd = open(upstream->api_key_file, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return refuse_api_key(upstream, api_key, strerror(errno), err);
	}
	*api_key = mem_zalloc(API_KEY_MAX + 1);
	ssize_t got = *api_key ? read(fd, *api_key, API_KEY_MAX) : -1;
	int error = *api_key ? errno : ENOMEM;
	close(fd);
	if (got < 0) {
		return refuse_api_key(upstream, api_key, strerror(error), err);
	}
	(*api_key)[strcspn(*api_key, "\r\n")] = '\0';
	return (*api_key)[0] ? 0 : refuse_api_key(upstream, api_key, "its first line is empty", err);
}

static uint32_t abilities_of(const struct config_upstream *upstream) {
	uint32_t can = 0;
	can |= upstream->tools ? UPSTREAM_CAN_TOOLS : 0;
	can |= upstream->images ? UPSTREAM_CAN_IMAGES : 0;
	can |= upstream->files ? UPSTREAM_CAN_FILES : 0;
	can |= upstream->reasoning ? UPSTREAM_CAN_REASONING : 0;
	return can;
}

static void fill_upstream(struct upstream_options *options, const struct config_upstream *upstream,
			  const char *api_key) {
	static const enum chat_think thinks[] = {
		[CONFIG_THINK_OFF] = CHAT_THINK_OFF,
		[CONFIG_THINK_TAGS] = CHAT_THINK_TAGS,
		[CONFIG_THINK_OPEN] = CHAT_THINK_OPEN,
	};
	*options = (struct upstream_options){
		.name = upstream->name,
		.url = upstream->url,
		.api_key = api_key,
		.ca_file = upstream->ca_file[0] ? upstream->ca_file : NULL,
		.models = upstream->models,
		.can = abilities_of(upstream),
		.context = upstream->context,
		.input_price = upstream->input_price,
		.output_price = upstream->output_price,
		.think = thinks[upstream->think],
		.connect_timeout_ms = upstream->connect_timeout_ms,
		.first_token_timeout_ms = upstream->first_token_timeout_ms,
		.silence_timeout_ms = upstream->silence_timeout_ms,
		.retries = upstream->retries,
		.retry_base_ms = upstream->retry_base_ms,
		.retry_max_ms = upstream->retry_max_ms,
		.breaker_failures = upstream->breaker_failures,
		.breaker_pause_ms = upstream->breaker_pause_ms,
		.max_event = EVENT_MAX,
	};
}

int upstream_settings_make(struct upstream_settings *settings, const struct config *config, struct err *err) {
	const struct config_upstream *upstreams[CONFIG_MAX_UPSTREAMS];
	*settings = (struct upstream_settings){0};
	size_t count = config_upstreams(config, upstreams);
	for (size_t i = 0; i < count; i++) {
		if (upstreams[i]->api_key_file[0] && read_api_key(upstreams[i], &settings->api_keys[i], err)) {
			upstream_settings_free(settings);
			return -1;
		}
		fill_upstream(&settings->options[i], upstreams[i], settings->api_keys[i]);
	}
	settings->count = count;
	return 0;
}

void upstream_settings_free(struct upstream_settings *settings) {
	for (size_t i = 0; i < CONFIG_MAX_UPSTREAMS; i++) {
		free_api_key(&settings->api_keys[i]);
	}
}
