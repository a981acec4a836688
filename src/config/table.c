#include "table.h"

#include <stdio.h>

#include "config/config.h"

/* Where `make install` puts the page; a build that is run from its own folder names it in the settings. */
#ifndef SLUICE_WWW
#define SLUICE_WWW ""
#endif

#define MS(n) (n)
#define SECONDS(n) ((int64_t)(n)*1000)
#define MINUTES(n) (SECONDS(n) * 60)
#define HOURS(n) (MINUTES(n) * 60)
#define DAYS(n) (HOURS(n) * 24)
#define KIB(n) ((int64_t)(n) << 10)
#define MIB(n) ((int64_t)(n) << 20)
#define TEXT_MAX 4095
#define MODEL_MAX (CONFIG_MODEL_SIZE - 1)

#define AT(member) offsetof(struct config, member), CONFIG_OWN
#define INHERITED(member) offsetof(struct config, member), CONFIG_INHERITED
#define UNNAMED(member) offsetof(struct config, member), CONFIG_UNNAMED

const struct config_row config_rows[] = {
	{"server", "listen", CONFIG_ADDRESS, "127.0.0.1:8080", 1, TEXT_MAX, AT(server.listen)},
	{"server", "www", CONFIG_TEXT, SLUICE_WWW, 0, TEXT_MAX, AT(server.www)},
	{"server", "public_url", CONFIG_URL, "", 0, TEXT_MAX, AT(server.public_url)},
	{"server", "origins", CONFIG_ORIGINS, "", 0, TEXT_MAX, AT(server.origins)},
	{"server", "drain_timeout", CONFIG_TIME, "30s", MS(0), HOURS(1), AT(server.drain_timeout_ms)},
	{"server", "max_connections", CONFIG_COUNT, "10000", 1, 1000000, AT(server.max_connections)},
	{"server", "loops", CONFIG_COUNT, "1", 1, 64, AT(server.loops)},
	{"server", "openai_event_names", CONFIG_YES_NO, "no", 0, 0, AT(server.openai_names)},

	{"store", "dir", CONFIG_TEXT, "/var/lib/sluice", 1, TEXT_MAX, AT(store.dir)},
	{"store", "busy_timeout", CONFIG_TIME, "5s", MS(0), MINUTES(5), AT(store.busy_timeout_ms)},

	{"seal", "key_file", CONFIG_TEXT, "/etc/sluice/kek", 1, TEXT_MAX, AT(seal.key_file)},

	{"upstream", "url", CONFIG_URL, "http://127.0.0.1:8081/v1", 1, TEXT_MAX, AT(upstream.url)},
	{"upstream", "api_key_file", CONFIG_TEXT, "", 0, TEXT_MAX, AT(upstream.api_key_file)},
	{"upstream", "model", CONFIG_TEXT, "", 0, MODEL_MAX, UNNAMED(upstream.model)},
	{"upstream", "models", CONFIG_MODELS, "", 0, CONFIG_MAX_MODELS *(MODEL_MAX + 1), AT(upstream.models)},
	{"upstream", "tools", CONFIG_YES_NO, "yes", 0, 0, AT(upstream.tools)},
	{"upstream", "images", CONFIG_YES_NO, "yes", 0, 0, AT(upstream.images)},
	{"upstream", "files", CONFIG_YES_NO, "no", 0, 0, AT(upstream.files)},
	{"upstream", "reasoning", CONFIG_YES_NO, "yes", 0, 0, AT(upstream.reasoning)},
	{"upstream", "think", CONFIG_THINK, "off", 0, 0, AT(upstream.think)},
	{"upstream", "context", CONFIG_COUNT, "0", 0, 1000000000, AT(upstream.context)},
	{"upstream", "input_price", CONFIG_PRICE, "", 0, 1000000, AT(upstream.input_price)},
	{"upstream", "output_price", CONFIG_PRICE, "", 0, 1000000, AT(upstream.output_price)},
	{"upstream", "order", CONFIG_COUNT, "0", 0, 1000000, AT(upstream.order)},
	{"upstream", "ca_file", CONFIG_TEXT, "", 0, TEXT_MAX, AT(upstream.ca_file)},
	{"upstream", "connect_timeout", CONFIG_TIME, "10s", MS(10), MINUTES(10),
	 INHERITED(upstream.connect_timeout_ms)},
	{"upstream", "first_token_timeout", CONFIG_TIME, "120s", MS(10), HOURS(24),
	 INHERITED(upstream.first_token_timeout_ms)},
	{"upstream", "silence_timeout", CONFIG_TIME, "60s", MS(10), HOURS(24), INHERITED(upstream.silence_timeout_ms)},
	{"upstream", "retries", CONFIG_COUNT, "2", 0, 10, INHERITED(upstream.retries)},
	{"upstream", "retry_base", CONFIG_TIME, "250ms", MS(1), MINUTES(1), INHERITED(upstream.retry_base_ms)},
	{"upstream", "retry_max", CONFIG_TIME, "10s", MS(1), MINUTES(10), INHERITED(upstream.retry_max_ms)},
	{"upstream", "breaker_failures", CONFIG_COUNT, "5", 1, 1000, INHERITED(upstream.breaker_failures)},
	{"upstream", "breaker_pause", CONFIG_TIME, "10s", MS(10), MINUTES(5), INHERITED(upstream.breaker_pause_ms)},

	{"limits", "requests_per_minute", CONFIG_COUNT, "100", 1, 1000000, AT(limits.requests_per_minute)},
	{"limits", "burst", CONFIG_COUNT, "20", 1, 100000, AT(limits.burst)},
	{"limits", "bytes_per_second", CONFIG_SIZE, "256KiB", KIB(1), MIB(1024), AT(limits.bytes_per_second)},
	{"limits", "bytes_burst", CONFIG_SIZE, "4MiB", KIB(1), MIB(1024), AT(limits.bytes_burst)},
	{"limits", "max_context", CONFIG_SIZE, "4MiB", KIB(16), MIB(256), AT(limits.max_context)},
	{"limits", "max_answer", CONFIG_SIZE, "4MiB", KIB(16), MIB(256), AT(limits.max_answer)},
	{"limits", "max_message", CONFIG_SIZE, "1MiB", KIB(1), MIB(256), AT(limits.max_message)},
	{"limits", "max_lanes", CONFIG_COUNT, "32", 1, 1024, AT(limits.max_lanes)},
	{"limits", "max_in_flight", CONFIG_COUNT, "16", 1, 1024, AT(limits.max_in_flight)},
	{"limits", "max_queued", CONFIG_COUNT, "32", 0, 4096, AT(limits.max_queued)},
	{"limits", "unwatched_time", CONFIG_TIME, "10m", MS(0), DAYS(30), AT(limits.unwatched_time_ms)},
	{"limits", "max_unwatched", CONFIG_COUNT, "16", 0, 1000000, AT(limits.max_unwatched)},
	{"limits", "abuse_refusals", CONFIG_COUNT, "100", 1, 1000000, AT(limits.abuse_refusals)},
	{"limits", "connections_per_address", CONFIG_COUNT, "32", 1, 1000000, AT(limits.connections_per_address)},
	{"limits", "header_timeout", CONFIG_TIME, "10s", MS(100), MINUTES(10), AT(limits.header_timeout_ms)},
	{"limits", "body_timeout", CONFIG_TIME, "30s", MS(100), HOURS(1), AT(limits.body_timeout_ms)},
	{"limits", "idle_timeout", CONFIG_TIME, "60s", MS(100), HOURS(24), AT(limits.idle_timeout_ms)},
	{"limits", "ping_interval", CONFIG_TIME, "25s", MS(100), HOURS(1), AT(limits.ping_interval_ms)},
	{"limits", "pong_timeout", CONFIG_TIME, "10s", MS(100), HOURS(1), AT(limits.pong_timeout_ms)},
	{"limits", "heartbeat_interval", CONFIG_TIME, "15s", MS(0), HOURS(1), AT(limits.heartbeat_interval_ms)},
	{"limits", "connection_lifetime", CONFIG_TIME, "60m", MS(100), DAYS(30), AT(limits.connection_lifetime_ms)},

	{"auth", "session_lifetime", CONFIG_TIME, "30d", MS(100), DAYS(3650), AT(auth.session_lifetime_ms)},
	{"auth", "signin_lifetime", CONFIG_TIME, "10m", MS(100), DAYS(7), AT(auth.signin_lifetime_ms)},

	{"log", "level", CONFIG_LEVEL, "info", 0, 0, AT(log.level)},
	{"log", "format", CONFIG_FORMAT, "text", 0, 0, AT(log.format)},
};
const size_t config_row_count = sizeof config_rows / sizeof config_rows[0];

static void append_upper(char *to, size_t size, const char *from) {
	size_t at = 0;
	while (to[at]) {
		at++;
	}
	for (; *from && at + 1 < size; from++) {
		to[at++] = (char)(*from >= 'a' && *from <= 'z' ? *from - 'a' + 'A' : *from);
	}
	to[at] = '\0';
}

void config_table_variable(const struct config_row *row, char name[static CONFIG_VARIABLE_SIZE]) {
	snprintf(name, CONFIG_VARIABLE_SIZE, "SLUICE_");
	append_upper(name, CONFIG_VARIABLE_SIZE, row->section);
	append_upper(name, CONFIG_VARIABLE_SIZE, "_");
	append_upper(name, CONFIG_VARIABLE_SIZE, row->key);
}
