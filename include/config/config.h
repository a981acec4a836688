/* Settings: INI, one table row a key; any key is also an environment variable SLUICE_<SECTION>_<KEY>, which wins; of
 * [upstream NAME] it is SLUICE_UPSTREAM_<NAME>_<KEY>. The only place that knows every module's options; each module gets
 * its own. Pure but for reading the file. */
#ifndef SLUICE_CONFIG_CONFIG_H
#define SLUICE_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"

#define CONFIG_MAX_ORIGINS 16
#define CONFIG_HOST_SIZE 46 /* a numeric IPv6 address and a NUL */
#define CONFIG_MAX_NAMED 16 /* sections [upstream NAME] */
#define CONFIG_MAX_UPSTREAMS (CONFIG_MAX_NAMED + 1)
#define CONFIG_NAME_SIZE 33 /* of an upstream, with its NUL */
#define CONFIG_MAX_MODELS 256
#define CONFIG_MODEL_SIZE 128 /* the name of a model, with its NUL */

/* Where a model's text holds its reasoning. */
enum config_think { CONFIG_THINK_OFF, CONFIG_THINK_TAGS, CONFIG_THINK_OPEN };

/* One [upstream] or [upstream NAME]. */
struct config_upstream {
	char name[CONFIG_NAME_SIZE]; /* of a-z, 0-9 and '-'; "default" without one */
	bool used;                   /* false: [upstream] has no url of its own, and there are others */
	char *url;                   /* without a slash at its end */
	char *api_key_file;
	char *ca_file;
	char *models; /* names separated by single spaces; "" asks its GET /models */
	bool tools, images, files, reasoning;
	uint32_t context;                 /* tokens; 0: not declared */
	double input_price, output_price; /* per million tokens; negative: not declared */
	uint32_t order;                   /* lower ones are asked first */
	enum config_think think;
	int64_t connect_timeout_ms, first_token_timeout_ms, silence_timeout_ms;
	uint32_t retries;
	int64_t retry_base_ms, retry_max_ms;
	uint32_t breaker_failures;
	int64_t breaker_pause_ms;
	char *model; /* what a request gets that names none; only of the section without a name */
};

/* Times are written with a unit (250ms, 30s, 5m, 2h, 7d), sizes too (64KiB, 1MiB); they are kept in ms and bytes. */
struct config {
	struct {
		char *listen;     /* ADDRESS:PORT, [ADDRESS]:PORT; port 0 takes a free one */
		char *www;        /* folder of the page; "" serves none */
		char *public_url; /* for sign-in addresses, without a slash at its end; "" derives it from listen */
		char *origins;    /* further allowed Origins, separated by single spaces, in lower case */
		int64_t drain_timeout_ms;
		uint32_t max_connections;
		uint32_t loops;    /* threads that serve connections, each with a share of them */
		bool openai_names; /* of the events of reasoning */
	} server;
	struct {
		char *dir;
		int64_t busy_timeout_ms;
	} store;
	struct {
		char *key_file;
	} seal;
	struct config_upstream upstream;
	struct config_upstream named[CONFIG_MAX_NAMED];
	size_t named_count;
	struct {
		uint32_t requests_per_minute, burst;
		uint64_t bytes_per_second, bytes_burst;
		uint64_t max_context;      /* bytes of text that one turn may show the model, earlier turns included */
		uint64_t max_answer;       /* bytes of text of one answer; a longer one ends incomplete there */
		uint64_t max_message;      /* bytes of one WebSocket message or HTTP body */
		uint32_t max_lanes;        /* of one WebSocket */
		uint32_t max_in_flight;    /* turns that run on one WebSocket at once */
		uint32_t max_queued;       /* turns that wait behind them */
		int64_t unwatched_time_ms; /* how long a stored response runs on without a watcher */
		uint32_t max_unwatched;    /* how many of one user may */
		uint32_t abuse_refusals;   /* refused requests in a minute before a connection is closed with 1008 */
		uint32_t connections_per_address;
		int64_t header_timeout_ms, body_timeout_ms, idle_timeout_ms;
		int64_t ping_interval_ms, pong_timeout_ms;
		int64_t heartbeat_interval_ms; /* 0: none */
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

/* Defaults, then the file (NULL: none), then the environment. On failure `config` is untouched and `err` holds the first
 * complaint and how many more there are; `complain` (may be NULL) gets every one, one a call, during this call:
 * "sluice.conf:12: [limits] burst: 'x' is not a whole number from 1 to 100000". `environment` is environ, or a test's own. */
int config_load(struct config *config, const char *path, char *const *environment,
		void (*complain)(void *owner, const char *text), void *owner, struct err *err);
void config_free(struct config *config); /* and zeroes it */
/* The default file: /etc/sluice/sluice.conf when it is there, else none (NULL). */
const char *config_default_path(void);

/* Those that are used, in the order in which they are asked. Returns how many: at least one. Borrowed. */
size_t config_upstreams(const struct config *config, const struct config_upstream *sorted[static CONFIG_MAX_UPSTREAMS]);

/* Takes ADDRESS:PORT or [ADDRESS]:PORT apart; the address is numeric. ERR_INVALID with a text that says what is wrong. */
int config_address_split(const char *address, char host[static CONFIG_HOST_SIZE], uint16_t *port, struct err *err);
/* Appends the address under which people reach the server: public_url, or http:// and `listening` (ADDRESS:PORT as bound;
 * NULL: server.listen), with a wildcard address replaced by loopback. ERR_INVALID when the port is not known (0). */
int config_base_url(const struct config *config, const char *listening, struct buf *out, struct err *err);

#endif
