/* Each type of setting: what it takes, what it refuses, and what it says then. */
#include "config_test.h"

#include "suggest.h"

#define TIME_FORM " is not a time with its unit (ms, s, m, h, d) from "

static void times(void **state) {
	(void)state;
	const struct {
		const char *text;
		int64_t ms;
	} good[] = {{"0", 0},       {"0s", 0},       {"1ms", 1},     {"1500ms", 1500},
		    {"30s", 30000}, {"5 m", 300000}, {"1h", 3600000}};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		char text[64];
		snprintf(text, sizeof text, "[server]\ndrain_timeout = %s\n", good[i].text);
		struct loaded *l = load_good(text);
		assert_int_equal(l->config.server.drain_timeout_ms, good[i].ms);
		unload(&l);
	}
	struct loaded *l = load_good("[auth]\nsession_lifetime = 7d\n");
	assert_int_equal(l->config.auth.session_lifetime_ms, 604800000);
	unload(&l);
	const char *bad[] = {"",
			     "30",
			     "s",
			     "-1s",
			     "1.5s",
			     "3601s",
			     "61m",
			     "2h",
			     "1d",
			     "9223372036854775807d",
			     "1S",
			     "1min",
			     "99999999999999999999s",
			     "1s2",
			     "+1s",
			     "0x1s"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		char text[96];
		char complaint[160];
		snprintf(text, sizeof text, "[server]\ndrain_timeout = %s\n", bad[i]);
		snprintf(complaint, sizeof complaint, ":2: [server] drain_timeout: '%s'" TIME_FORM "0ms to 1h", bad[i]);
		assert_refused(text, complaint);
	}
	assert_refused("[upstream]\nretry_base = 61s\n", ":2: [upstream] retry_base: '61s'" TIME_FORM "1ms to 1m");
}

static void sizes(void **state) {
	(void)state;
	struct loaded *l = load_good("[limits]\nmax_message = 64KiB\nbytes_per_second = 2048B\nbytes_burst = 1 GiB\n");
	assert_int_equal(l->config.limits.max_message, 65536);
	assert_int_equal(l->config.limits.bytes_per_second, 2048);
	assert_int_equal(l->config.limits.bytes_burst, 1 << 30);
	unload(&l);
	const char *bad[] = {"1", "1MB", "1023B", "257MiB", "1GiB", "0", "64K", "18446744073709551615GiB"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		char text[96];
		char complaint[200];
		snprintf(text, sizeof text, "[limits]\nmax_message = %s\n", bad[i]);
		snprintf(
			complaint, sizeof complaint,
			":2: [limits] max_message: '%s' is not a size with its unit (B, KiB, MiB, GiB) from 1KiB to 256MiB",
			bad[i]);
		assert_refused(text, complaint);
	}
}

static void counts(void **state) {
	(void)state;
	struct loaded *l = load_good("[limits]\nburst = 100000\nmax_queued = 0\n");
	assert_int_equal(l->config.limits.burst, 100000);
	assert_int_equal(l->config.limits.max_queued, 0);
	unload(&l);
	const char *bad[] = {"",   "0", "-1", "100001", "1.0", "1e3", "0x10", "4294967297", "18446744073709551617",
			     "1 2"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		char text[96];
		char complaint[160];
		snprintf(text, sizeof text, "[limits]\nburst = %s\n", bad[i]);
		snprintf(complaint, sizeof complaint, ":2: [limits] burst: '%s' is not a whole number from 1 to 100000",
			 bad[i]);
		assert_refused(text, complaint);
	}
}

static void addresses(void **state) {
	(void)state;
	const struct {
		const char *text;
		const char *host;
		uint16_t port;
	} good[] = {{"127.0.0.1:8080", "127.0.0.1", 8080},
		    {"0.0.0.0:0", "0.0.0.0", 0},
		    {"[::]:65535", "::", 65535},
		    {"[2001:db8::1]:1", "2001:db8::1", 1}};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		char host[CONFIG_HOST_SIZE];
		uint16_t port;
		assert_int_equal(config_address_split(good[i].text, host, &port, NULL), 0);
		assert_string_equal(host, good[i].host);
		assert_int_equal(port, good[i].port);
	}
	const char *bad[] = {"",        "8080",      ":8080",    "localhost:80",  "127.0.0.1",   "127.0.0.1:",
			     "1.2.3:4", "::1:80",    "[::1]",    "[::1]80",       "[::1",        "[127.0.0.1]:80",
			     "[]:80",   "1.2.3.4:x", "[::1]:-1", "1.2.3.4:65536", "1.2.3.4: 80", "[fe80::1%eth0]:80"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		char host[CONFIG_HOST_SIZE] = "untouched";
		uint16_t port = 7;
		struct err err = {0};
		assert_int_equal(config_address_split(bad[i], host, &port, &err), -1);
		assert_int_equal(err.code, ERR_INVALID);
		assert_string_equal(host, "untouched");
		assert_int_equal(port, 7);
	}
	assert_refused("[server]\nlisten = 1.2.3.4:65536\n",
		       ":2: [server] listen: '1.2.3.4:65536': the port is not a whole number from 0 to 65535");
}

static void urls(void **state) {
	(void)state;
	struct loaded *l =
		load_good("[upstream]\nurl = https://host.example:8443/a/b//\n[server]\npublic_url = http://x/\n");
	assert_string_equal(l->config.upstream.url, "https://host.example:8443/a/b");
	assert_string_equal(l->config.server.public_url, "http://x");
	unload(&l);
	const char *bad[] = {"ftp://x", "x", "http://", "http:///v1", "HTTP://x", "http:/x"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		char text[96];
		snprintf(text, sizeof text, "[upstream]\nurl = %s\n", bad[i]);
		l = load(text);
		assert_int_equal(l->count, 1);
		assert_non_null(strstr(l->complaints[0], "is not an address such as http://127.0.0.1:8081/v1"));
		unload(&l);
	}
	assert_refused("[upstream]\nurl =\n", ":2: [upstream] url: must not be empty");
	assert_refused("[upstream]\nurl = http://x/?a\n",
		       ":2: [upstream] url: 'http://x/?a' is not an address without spaces, '?' and '#'");
	/* A password is not repeated. */
	assert_refused("[upstream]\nurl = http://me:secret@x/v1\n",
		       ":2: [upstream] url: an address must not hold a user name or password");
}

static void origins(void **state) {
	(void)state;
	struct loaded *l = load_good("[server]\norigins =  https://A.example   http://localhost:3000\n"
				     "origins = http://[::1]:81\norigins =\n");
	assert_string_equal(l->config.server.origins, "https://a.example http://localhost:3000 http://[::1]:81");
	unload(&l);
	const char *bad[] = {
		"a.example", "https://a.example/",    "https://",    "https://a,https://b", "null",
		"*",         "https://a.example:443", "http://a:80", "https://a ws://b",    "https://me@a"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		char text[96];
		snprintf(text, sizeof text, "[server]\norigins = %s\n", bad[i]);
		l = load(text);
		assert_int_equal(l->count, 1);
		assert_non_null(strstr(l->complaints[0], "origins: '"));
		unload(&l);
	}
	char text[1024] = "[server]\n";
	for (int i = 0; i < CONFIG_MAX_ORIGINS; i++) {
		sprintf(text + strlen(text), "origins = http://h%d\n", i);
	}
	l = load_good(text);
	unload(&l);
	strcat(text, "origins = http://more\n");
	assert_refused(text, ":18: [server] origins: more than 16 origins");
}

static void texts(void **state) {
	(void)state;
	assert_refused("[store]\ndir =\n", ":2: [store] dir: must not be empty");
	assert_refused("[store]\ndir = a\x01z\n", ":2: [store] dir: holds a control character");
	assert_refused("[store]\ndir = a\xffz\n", ":2: [store] dir: is not UTF-8");
	char text[200] = "[upstream]\nmodel = ";
	memset(text + strlen(text), 'm', 128);
	assert_refused(text, ":2: [upstream] model: is longer than 127 bytes");
	assert_refused("[log]\nlevel = Info\n", ":2: [log] level: 'Info' is not one of error, warn, info, debug");
	assert_refused("[log]\nformat = xml\n", ":2: [log] format: 'xml' is not one of text, json, journal");
	/* A long value is cut, between two characters. */
	char wrong[200] = "[log]\nlevel = ";
	for (int i = 0; i < 50; i++) {
		strcat(wrong, "ä");
	}
	struct loaded *l = load(wrong);
	assert_int_equal(l->count, 1);
	assert_true(str_is_utf8(str_of(l->complaints[0])));
	assert_non_null(strstr(l->complaints[0], "ää…' is not one of"));
	unload(&l);
}

static void assert_base_url(const char *text, const char *listening, const char *expected) {
	struct loaded *l = load_good(text);
	struct buf url = BUF_INIT;
	struct err err = {0};
	if (expected) {
		assert_int_equal(config_base_url(&l->config, listening, &url, &err), 0);
		assert_string_equal(buf_text(&url), expected);
	} else {
		assert_int_equal(config_base_url(&l->config, listening, &url, &err), -1);
		assert_int_equal(err.code, ERR_INVALID);
	}
	buf_free(&url);
	unload(&l);
}

static void the_base_url(void **state) {
	(void)state;
	assert_base_url("", NULL, "http://127.0.0.1:8080");
	assert_base_url("[server]\nlisten = 0.0.0.0:81\n", NULL, "http://127.0.0.1:81");
	assert_base_url("[server]\nlisten = [::]:81\n", NULL, "http://[::1]:81");
	assert_base_url("[server]\nlisten = [2001:db8::1]:81\n", NULL, "http://[2001:db8::1]:81");
	assert_base_url("[server]\nlisten = 127.0.0.1:0\n", NULL, NULL);
	assert_base_url("[server]\nlisten = 127.0.0.1:0\n", "127.0.0.1:4711", "http://127.0.0.1:4711");
	assert_base_url("[server]\npublic_url = https://chat.example/\n", "127.0.0.1:4711", "https://chat.example");
}

static void distances(void **state) {
	(void)state;
	assert_int_equal(config_suggest_distance("burst", "burst"), 0);
	assert_int_equal(config_suggest_distance("Burst", "bURST"), 0);
	assert_int_equal(config_suggest_distance("brust", "burst"), 1); /* a swap */
	assert_int_equal(config_suggest_distance("burts", "burst"), 1);
	assert_int_equal(config_suggest_distance("bust", "burst"), 1);
	assert_int_equal(config_suggest_distance("bursts", "burst"), 1);
	assert_int_equal(config_suggest_distance("bunst", "burst"), 1);
	assert_int_equal(config_suggest_distance("", "burst"), 5);
	assert_int_equal(config_suggest_distance("burst", ""), 5);
	assert_int_equal(config_suggest_distance("kitten", "sitting"), 3);
	char longest[CONFIG_SUGGEST_LENGTH + 2];
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	assert_true(config_suggest_distance(longest, "x") == SIZE_MAX);
	assert_int_equal(config_suggest_distance(longest + 1, longest + 1), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times),     cmocka_unit_test(sizes),        cmocka_unit_test(counts),
		cmocka_unit_test(addresses), cmocka_unit_test(urls),         cmocka_unit_test(origins),
		cmocka_unit_test(texts),     cmocka_unit_test(the_base_url), cmocka_unit_test(distances),
	};
	return cmocka_run_group_tests_name("config_values", tests, NULL, NULL);
}
