/* Settings: INI, one table row a key; any key is also an environment variable SLUICE_<SECTION>_<KEY>, which wins. The only
 * place that knows every module's options; each module gets its own. */
#ifndef SLUICE_SERVE_CONFIG_H
#define SLUICE_SERVE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/log.h"

#define CONFIG_MAX_ORIGINS 16

/* Times are written with a unit (250ms, 30s, 5m, 2h, 7d), sizes too (64KiB, 1MiB); they are kept in ms and bytes. */
struct config {
	struct {
		char *listen;     /* ADDRESS:PORT, [ADDRESS]:PORT; port 0 takes a free one */
		char *www;        /* folder of the page; "" serves none */
		char *public_url; /* for sign-in addresses; "" derives it from listen */
		char *origins;    /* further allowed Origins, separated by spaces */
		int64_t drain_timeout_ms;
		uint32_t max_connections;
	} server;
	struct {
		char *dir;
		int64_t busy_timeout_ms;
	} store;
	struct {
		char *key_file;
	} seal;
	struct {
		char *url;
		char *api_key_file;
		char *model;
		char *ca_file;
		int64_t connect_timeout_ms, first_token_timeout_ms, silence_timeout_ms;
		uint32_t retries;
		int64_t retry_base_ms, retry_max_ms;
	} upstream;
	struct {
		uint32_t requests_per_minute, burst;
		uint64_t bytes_per_second, bytes_burst;
		uint64_t max_message;    /* bytes of one WebSocket message or HTTP body */
		uint32_t max_in_flight;  /* responses of one connection */
		uint32_t max_queued;     /* turns that wait behind it */
		uint32_t abuse_refusals; /* refused requests in a minute before a connection is closed with 1008 */
		uint32_t connections_per_address;
		int64_t header_timeout_ms, body_timeout_ms, idle_timeout_ms;
		int64_t ping_interval_ms, pong_timeout_ms;
		int64_t connection_lifetime_ms;
	} limits;
	struct {
		int64_t session_lifetime_ms, signin_lifetime_ms;
	} auth;
	struct {
		enum log_level level;
		enum log_format format;
	} log;
};

/* Defaults, then the file (NULL: none), then the environment. -1 with every complaint in `err`'s text as far as it fits,
 * and all of them handed to `complain` (may be NULL), one a call: "sluice.conf:12: [limits] burst: 'x' is not a whole
 * number from 1 to 100000". `environment` is environ, or a test's own. */
int config_load(struct config *config, const char *path, char *const *environment,
                void (*complain)(void *owner, const char *text), void *owner, struct err *err);
void config_free(struct config *config);
/* The default file: /etc/sluice/sluice.conf when it is there, else none (NULL). */
const char *config_default_path(void);

#endif
