/* Where settings come from, and what is said about those that are wrong. */
#include "config_test.h"

#include <sys/stat.h>

#include "base/mem.h"
#include "table.h"

static void defaults_are_the_documented_ones(void **state) {
	(void)state;
	struct config c;
	assert_int_equal(config_load(&c, NULL, NULL, NULL, NULL, NULL), 0);
	assert_string_equal(c.server.listen, "127.0.0.1:8080");
	assert_string_equal(c.server.www, "");
	assert_string_equal(c.server.public_url, "");
	assert_string_equal(c.server.origins, "");
	assert_int_equal(c.server.drain_timeout_ms, 30000);
	assert_int_equal(c.server.max_connections, 10000);
	assert_int_equal(c.server.loops, 1);
	assert_string_equal(c.store.dir, "/var/lib/sluice");
	assert_int_equal(c.store.busy_timeout_ms, 5000);
	assert_string_equal(c.seal.key_file, "/etc/sluice/kek");
	assert_string_equal(c.upstream.url, "http://127.0.0.1:8081/v1");
	assert_int_equal(c.upstream.connect_timeout_ms, 10000);
	assert_int_equal(c.upstream.first_token_timeout_ms, 120000);
	assert_int_equal(c.upstream.silence_timeout_ms, 60000);
	assert_int_equal(c.upstream.retries, 2);
	assert_int_equal(c.upstream.retry_base_ms, 250);
	assert_int_equal(c.upstream.retry_max_ms, 10000);
	assert_int_equal(c.limits.requests_per_minute, 100);
	assert_int_equal(c.limits.burst, 20);
	assert_int_equal(c.limits.max_message, 1 << 20);
	assert_int_equal(c.limits.max_in_flight, 16);
	assert_int_equal(c.limits.connections_per_address, 32);
	assert_int_equal(c.limits.header_timeout_ms, 10000);
	assert_int_equal(c.limits.body_timeout_ms, 30000);
	assert_int_equal(c.limits.idle_timeout_ms, 60000);
	assert_int_equal(c.limits.ping_interval_ms, 25000);
	assert_int_equal(c.limits.heartbeat_interval_ms, 15000);
	assert_int_equal(c.limits.pong_timeout_ms, 10000);
	assert_int_equal(c.limits.connection_lifetime_ms, 3600000);
	assert_int_equal(c.auth.session_lifetime_ms, INT64_C(30) * 86400000);
	assert_int_equal(c.auth.signin_lifetime_ms, 600000);
	assert_int_equal(c.log.level, LOG_INFO);
	assert_int_equal(c.log.format, LOG_FORMAT_TEXT);
	config_free(&c);
	assert_null(c.server.listen);
}

static void a_file_is_read(void **state) {
	(void)state;
	struct loaded *l = load_good("\xEF\xBB\xBF# settings\r\n"
				     "[server]\r\n"
				     "  listen = [::1]:9000   # indented, and a comment\r\n"
				     "  www=/srv/www ; another\n"
				     "\n"
				     "[upstream] # a section with a comment\n"
				     "url: https://models.example/v1/\n"
				     "model = a#b;c\n"
				     "api_key_file =    # none\n"
				     "[log]\n"
				     "level = debug"); /* no newline at the end */
	assert_string_equal(l->config.server.listen, "[::1]:9000");
	assert_string_equal(l->config.server.www, "/srv/www");
	assert_string_equal(l->config.upstream.url, "https://models.example/v1");
	assert_string_equal(l->config.upstream.model, "a#b;c");
	assert_string_equal(l->config.upstream.api_key_file, "");
	assert_int_equal(l->config.log.level, LOG_DEBUG);
	assert_int_equal(l->config.limits.burst, 20);
	unload(&l);
}

static void the_environment_wins(void **state) {
	(void)state;
	struct loaded *l = load_with("[limits]\nburst = 5\n", "SLUICE_LIMITS_BURST=7");
	assert_int_equal(l->result, 0);
	assert_int_equal(l->config.limits.burst, 7);
	unload(&l);
	l = load_with("[upstream]\nmodel = m\n", "SLUICE_UPSTREAM_MODEL=");
	assert_int_equal(l->result, 0);
	assert_string_equal(l->config.upstream.model, "");
	unload(&l);
	l = load_with("", "SLUICE_TEST_SEED=1");
	assert_int_equal(l->result, 0);
	unload(&l);
	l = load_with("", "SLUICE_LIMITS_BURST=x");
	assert_int_equal(l->count, 1);
	assert_string_equal(l->complaints[0], "SLUICE_LIMITS_BURST: 'x' is not a whole number from 1 to 100000");
	unload(&l);
	l = load_with("", "SLUICE_LIMIT_BURST=1");
	assert_int_equal(l->count, 1);
	assert_string_equal(l->complaints[0],
			    "SLUICE_LIMIT_BURST: an environment variable that names no setting; did you "
			    "mean SLUICE_LIMITS_BURST?");
	unload(&l);
	l = load_with("", "SLUICE_QUIET=1");
	assert_int_equal(l->count, 1);
	assert_string_equal(l->complaints[0], "SLUICE_QUIET: an environment variable that names no setting");
	unload(&l);
}

static void every_key_is_a_variable(void **state) {
	(void)state;
	for (size_t i = 0; i < config_row_count; i++) {
		char name[CONFIG_VARIABLE_SIZE];
		char variable[128];
		config_table_variable(&config_rows[i], name);
		snprintf(variable, sizeof variable, "%s=\x01", name);
		struct loaded *l = load_with("", variable);
		assert_int_equal(l->count, 1);
		assert_memory_equal(l->complaints[0], name, strlen(name));
		assert_null(strstr(l->complaints[0], "names no setting"));
		unload(&l);
	}
}

static void mistakes_are_named_with_their_line(void **state) {
	(void)state;
	assert_refused("burst = 1\n", ":1: burst stands before the first [section]");
	assert_refused("\n\n[limits]\nbrust = 1\n", ":4: [limits] has no key brust; did you mean burst?");
	assert_refused("[limits]\ncolour = 1\n", ":2: [limits] has no key colour");
	assert_refused("[limits]\nmodel = m\n", ":2: [limits] has no key model; it belongs to [upstream]");
	assert_refused("[limit]\nburst = 1\nburst = 2\n", ":2: there is no section [limit]; did you mean [limits]?");
	assert_refused("[frob]\nburst = 1\n", ":2: there is no section [frob]");
	assert_refused("[limits]\nburst = 1\n\nburst = 1\n", ":4: [limits] burst is set already in line 2");
	assert_refused("[limits]\nburst = 1\n[log]\nlevel = info\n[limits]\nburst = 2\n",
		       ":6: [limits] burst is set already in line 2");
	assert_refused("[limits]\nburst\n", ":2: is neither a [section] nor key = value");
	assert_refused("[limits\n", ":1: a section lacks its closing ']'");
	assert_refused("[limits]\nburst = x\n", ":2: [limits] burst: 'x' is not a whole number from 1 to 100000");
	assert_refused("[upstream]\nretry_base = 20s\n", "[upstream] retry_base must not be above retry_max");
	assert_refused("[limits]\nmax_message = 8MiB\n",
		       "[limits] bytes_burst must not be below max_message: the largest message would never pass");
}

static void all_mistakes_are_named(void **state) {
	(void)state;
	struct loaded *l = load("[limits]\nburst = x\nfoo = 1\nbar\n[log]\nlevel = loud\n");
	assert_int_equal(l->count, 4);
	assert_true(str_starts(str_of(l->complaints[0]), ":2: "));
	assert_true(str_starts(str_of(l->complaints[1]), ":3: "));
	assert_true(str_starts(str_of(l->complaints[2]), ":4: "));
	assert_true(str_starts(str_of(l->complaints[3]), ":6: "));
	assert_non_null(strstr(l->err.text, "'x' is not a whole number"));
	assert_non_null(strstr(l->err.text, "(and 3 more)"));
	assert_int_equal(l->err.code, ERR_INVALID);
	unload(&l);
}

static void strange_files_are_refused(void **state) {
	(void)state;
	struct err err;
	struct config untouched;
	struct config config;
	memset(&config, 0x5a, sizeof config);
	untouched = config;
	assert_int_equal(config_load(&config, "/nonexistent/sluice.conf", NULL, NULL, NULL, &err), -1);
	assert_string_equal(err.text, "/nonexistent/sluice.conf: No such file or directory");
	assert_int_equal(config_load(&config, "/tmp", NULL, NULL, NULL, &err), -1);
	assert_non_null(strstr(err.text, "Is a directory"));
	assert_memory_equal(&config, &untouched, sizeof config);

	struct loaded *l = load_bytes("[log]\nlevel = in\0fo\n", 20, NULL);
	assert_int_equal(l->count, 1);
	assert_string_equal(l->complaints[0], ":2: holds a NUL byte: this is no text file");
	unload(&l);

	/* Long enough for libinih to cut in two. */
	char text[600] = "[upstream]\nca_file = /";
	memset(text + strlen(text), 'x', 300);
	strcat(text, "\nmodel = y\n");
	l = load(text);
	assert_int_equal(l->count, 1);
	assert_string_equal(l->complaints[0], ":2: is too long");
	unload(&l);

	size_t size = (1 << 20) + 1;
	char *big = malloc(size);
	memset(big, '\n', size);
	l = load_bytes(big, size, NULL);
	assert_int_equal(l->count, 1);
	assert_non_null(strstr(l->complaints[0], "longer than"));
	unload(&l);
	free(big);
}

static void a_line_may_be_as_long_as_said(void **state) {
	(void)state;
	char text[400] = "[upstream]\nca_file = /";
	memset(text + strlen(text), 'x', 198 - strlen("ca_file = /"));
	struct loaded *l = load_good(text);
	assert_int_equal(strlen(l->config.upstream.ca_file), 198 - strlen("ca_file = "));
	unload(&l);
	strcat(text, "x");
	assert_refused(text, ":2: is too long");
}

/* The same text cut off at every byte: an answer every time, and never a crash. */
static void cut_anywhere_it_still_answers(void **state) {
	(void)state;
	const char text[] = "# c\n[server]\nlisten = [::1]:80 # x\norigins = https://a https://b\n[limits\nburst = 4\n"
			    "[limits]\nmax_message = 2MiB\n=\n[]\n: x\n=y\n[log]level=info\nformat = json";
	for (size_t length = 0; length < sizeof text; length++) {
		struct loaded *l = load_bytes(text, length, NULL);
		unload(&l);
	}
}

static void the_sample_shows_every_key_with_its_default(void **state) {
	(void)state;
	FILE *file = fopen("systemd/sluice.conf", "r");
	assert_non_null(file); /* run from the top of the source */
	char text[32768] = "";
	char line[512];
	while (fgets(line, sizeof line, file)) {
		/* "#key = value" is a setting that is switched off; "# words" is a comment. */
		bool off = line[0] == '#' && line[1] >= 'a' && line[1] <= 'z';
		if (!strncmp(line, "www = ", 6)) {
			strcpy(line, "www =\n");
		}
		assert_true(strlen(text) + strlen(line) < sizeof text);
		strcat(text, line + (off ? 1 : 0));
	}
	fclose(file);
	struct loaded *shown = load_good(text);
	struct config c;
	assert_int_equal(config_load(&c, NULL, NULL, NULL, NULL, NULL), 0);
	for (size_t i = 0; i < config_row_count; i++) {
		const struct config_row *row = &config_rows[i];
		const char *a = (const char *)&shown->config + row->offset;
		const char *b = (const char *)&c + row->offset;
		char key[80];
		snprintf(key, sizeof key, "\n%s =", row->key);
		const char *section = strstr(text, row->section);
		assert_non_null(section);
		if (!strstr(section, key)) {
			fail_msg("[%s] %s is missing", row->section, row->key);
		}
		bool same = false;
		switch (row->type) {
		case CONFIG_TEXT:
		case CONFIG_ADDRESS:
		case CONFIG_URL:
		case CONFIG_ORIGINS:
		case CONFIG_MODELS:
			same = !strcmp(*(char *const *)(const void *)a, *(char *const *)(const void *)b);
			break;
		case CONFIG_SIZE:
		case CONFIG_TIME:
		case CONFIG_PRICE:
			same = !memcmp(a, b, 8);
			break;
		case CONFIG_COUNT:
		case CONFIG_LEVEL:
		case CONFIG_FORMAT:
		case CONFIG_THINK:
			same = !memcmp(a, b, 4);
			break;
		case CONFIG_YES_NO:
			same = *(const bool *)a == *(const bool *)b;
			break;
		}
		if (!same) {
			fail_msg("[%s] %s: the sample shows another default", row->section, row->key);
		}
	}
	config_free(&c);
	unload(&shown);
}

static void under_the_journal_the_log_is_for_it(void **state) {
	(void)state;
	struct stat status;
	char variable[80];
	assert_int_equal(fstat(STDERR_FILENO, &status), 0);
	snprintf(variable, sizeof variable, "JOURNAL_STREAM=%llu:%llu", (unsigned long long)status.st_dev,
		 (unsigned long long)status.st_ino);
	struct loaded *l = load_with("", variable);
	assert_int_equal(l->config.log.format, LOG_FORMAT_JOURNAL);
	unload(&l);
	l = load_with("[log]\nformat = json\n", variable);
	assert_int_equal(l->config.log.format, LOG_FORMAT_JSON);
	unload(&l);
	/* Inherited by a program whose standard error is another one. */
	l = load_with("", "JOURNAL_STREAM=1:1");
	assert_int_equal(l->config.log.format, LOG_FORMAT_TEXT);
	unload(&l);
}

static void memory_runs_out_at_every_point(void **state) {
	(void)state;
	char *const environment[] = {"SLUICE_UPSTREAM_MODEL=m", NULL};
	bool done = false;
	for (uint64_t nth = 1; !done; nth++) {
		struct config config;
		struct err err;
		assert_true(nth < 1000);
		mem_fail_after(nth, false);
		done = config_load(&config, "systemd/sluice.conf", environment, NULL, NULL, &err) == 0;
		mem_fail_after(0, false);
		if (done) {
			config_free(&config);
		}
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_the_documented_ones),
		cmocka_unit_test(a_file_is_read),
		cmocka_unit_test(the_environment_wins),
		cmocka_unit_test(every_key_is_a_variable),
		cmocka_unit_test(mistakes_are_named_with_their_line),
		cmocka_unit_test(all_mistakes_are_named),
		cmocka_unit_test(strange_files_are_refused),
		cmocka_unit_test(a_line_may_be_as_long_as_said),
		cmocka_unit_test(cut_anywhere_it_still_answers),
		cmocka_unit_test(the_sample_shows_every_key_with_its_default),
		cmocka_unit_test(under_the_journal_the_log_is_for_it),
		cmocka_unit_test(memory_runs_out_at_every_point),
	};
	return cmocka_run_group_tests_name("config_load", tests, NULL, NULL);
}
