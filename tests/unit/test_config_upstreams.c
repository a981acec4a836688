/* [upstream] and [upstream NAME]: which there are, in what order, and what they have from each other. */
#include "config_test.h"

#include "table.h"

static const char two[] = "[upstream]\nurl = http://one/v1\n[upstream fast-2]\nurl = https://two.example/v1/\n";

/* The names in order, separated by spaces. */
static void assert_upstreams(const struct config *config, const char *names) {
	const struct config_upstream *sorted[CONFIG_MAX_UPSTREAMS];
	size_t count = config_upstreams(config, sorted);
	char text[1024] = "";
	for (size_t i = 0; i < count; i++) {
		strcat(text, i ? " " : "");
		strcat(text, sorted[i]->name);
	}
	assert_string_equal(text, names);
}

static void one_is_there_without_a_setting(void **state) {
	(void)state;
	struct loaded *l = load_good("");
	assert_upstreams(&l->config, "default");
	const struct config_upstream *u = &l->config.upstream;
	assert_string_equal(u->models, "");
	assert_true(u->tools);
	assert_true(u->images);
	assert_false(u->files);
	assert_true(u->reasoning);
	assert_int_equal(u->context, 0);
	assert_true(u->input_price < 0);
	assert_true(u->output_price < 0);
	assert_int_equal(u->think, CONFIG_THINK_OFF);
	assert_int_equal(u->breaker_failures, 5);
	assert_int_equal(u->breaker_pause_ms, 10000);
	unload(&l);
}

static void named_ones_have_their_own(void **state) {
	(void)state;
	struct loaded *l = load_good("[upstream]\n"
				     "url = http://one/v1\n"
				     "tools = no\n"
				     "context = 4096\n"
				     "retries = 7\n"
				     "silence_timeout = 5s\n"
				     "breaker_pause = 1s\n"
				     "[upstream big]\n"
				     "url = https://two.example/v1/\n"
				     "models = a, b/c\td\n"
				     "models = e\n"
				     "images = no\n"
				     "files = yes\n"
				     "think = open\n"
				     "context = 131072\n"
				     "input_price = 0.15\n"
				     "output_price = 2\n"
				     "retries = 0\n");
	const struct config_upstream *u = &l->config.named[0];
	assert_upstreams(&l->config, "default big");
	assert_string_equal(u->url, "https://two.example/v1");
	assert_string_equal(u->models, "a b/c d e");
	assert_true(u->tools); /* what speaks of the server itself is not inherited */
	assert_false(u->images);
	assert_true(u->files);
	assert_int_equal(u->think, CONFIG_THINK_OPEN);
	assert_int_equal(u->context, 131072);
	assert_true(u->input_price > 0.1499 && u->input_price < 0.1501);
	assert_true(u->output_price > 1.99 && u->output_price < 2.01);
	assert_int_equal(u->retries, 0);
	assert_int_equal(u->silence_timeout_ms, 5000);
	assert_int_equal(u->breaker_pause_ms, 1000);
	assert_int_equal(u->connect_timeout_ms, 10000);
	assert_int_equal(l->config.upstream.retries, 7);
	assert_false(l->config.upstream.tools);
	unload(&l);
}

static void the_order_can_be_said(void **state) {
	(void)state;
	struct loaded *l = load_good("[upstream c]\nurl = http://c\n[upstream a]\nurl = http://a\n"
				     "[upstream b]\nurl = http://b\n[upstream c]\nretries = 1\n");
	assert_upstreams(&l->config, "c a b");
	unload(&l);
	l = load_good("[upstream x]\nurl = http://x\norder = 9\n[upstream]\nurl = http://d\norder = 8\n"
		      "[upstream y]\nurl = http://y\norder = 3\n[upstream z]\nurl = http://z\n");
	assert_upstreams(&l->config, "y z default x");
	unload(&l);
	/* Without an order of its own [upstream] is the first, wherever it stands. */
	l = load_good("[upstream x]\nurl = http://x\n[upstream]\nurl = http://d\n");
	assert_upstreams(&l->config, "default x");
	unload(&l);
}

static void without_its_url_the_unnamed_one_only_gives(void **state) {
	(void)state;
	struct loaded *l = load_good("[upstream]\nmodel = m\nretries = 1\n[upstream a]\nurl = http://a\n");
	assert_upstreams(&l->config, "a");
	assert_string_equal(l->config.upstream.model, "m");
	assert_int_equal(l->config.named[0].retries, 1);
	unload(&l);
	assert_refused("[upstream]\napi_key_file = /k\n[upstream a]\nurl = http://a\n",
		       "[upstream] api_key_file has no effect without a url: beside upstreams with a name, [upstream] "
		       "is one only if it says where its server is");
}

static void the_environment_names_them(void **state) {
	(void)state;
	struct loaded *l = load_with(two, "SLUICE_UPSTREAM_FAST_2_FIRST_TOKEN_TIMEOUT=3s");
	assert_int_equal(l->result, 0);
	assert_int_equal(l->config.named[0].first_token_timeout_ms, 3000);
	assert_int_equal(l->config.upstream.first_token_timeout_ms, 120000);
	unload(&l);
	l = load_with(two, "SLUICE_UPSTREAM_URL=http://three/v1");
	assert_string_equal(l->config.upstream.url, "http://three/v1");
	assert_upstreams(&l->config, "default fast-2");
	unload(&l);
	/* One that no file knows; the unnamed one then has no url. */
	l = load_with("", "SLUICE_UPSTREAM_NEW_ONE_URL=http://new/v1");
	assert_int_equal(l->result, 0);
	assert_upstreams(&l->config, "new-one");
	assert_string_equal(l->config.named[0].url, "http://new/v1");
	unload(&l);
	l = load_with("", "SLUICE_UPSTREAM_NEW_RETRIES=1");
	assert_int_equal(l->count, 1);
	assert_string_equal(l->complaints[0], "[upstream new] has no url; it says where the server is, such as "
					      "http://127.0.0.1:8081/v1");
	unload(&l);
	l = load_with(two, "SLUICE_UPSTREAM_FAST_2_MODEL=m");
	assert_int_equal(l->count, 1);
	assert_string_equal(l->complaints[0], "SLUICE_UPSTREAM_FAST_2_MODEL: [upstream fast-2] has no key model; it "
					      "belongs to [upstream]: SLUICE_UPSTREAM_MODEL");
	unload(&l);
	l = load_with(two, "SLUICE_UPSTREAM_FAST_2_TOOLS=maybe");
	assert_int_equal(l->count, 1);
	assert_string_equal(l->complaints[0], "SLUICE_UPSTREAM_FAST_2_TOOLS: 'maybe' is not yes or no");
	unload(&l);
	l = load_with(two, "SLUICE_UPSTREAM_DEFAULT_URL=http://x");
	assert_int_equal(l->count, 1);
	assert_string_equal(l->complaints[0], "SLUICE_UPSTREAM_DEFAULT_URL: [upstream default]: the name default is "
					      "that of [upstream] itself");
	unload(&l);
	l = load_with(two, "SLUICE_UPSTREAM_RETRY_BAS=1s");
	assert_int_equal(l->count, 1);
	assert_string_equal(l->complaints[0], "SLUICE_UPSTREAM_RETRY_BAS: an environment variable that names no "
					      "setting; did you mean SLUICE_UPSTREAM_RETRY_BASE?");
	unload(&l);
	l = load_with(two, "SLUICE_UPSTREAM_fast_2_retries=1");
	assert_int_equal(l->count, 1);
	unload(&l);
}

/* Otherwise SLUICE_UPSTREAM_<NAME>_<KEY> could be read in two ways. */
static void no_key_ends_as_another_one(void **state) {
	(void)state;
	for (size_t i = 0; i < config_row_count; i++) {
		for (size_t j = 0; j < config_row_count; j++) {
			const char *a = config_rows[i].key;
			const char *b = config_rows[j].key;
			size_t shorter = strlen(b);
			if (strcmp(config_rows[i].section, "upstream") || strcmp(config_rows[j].section, "upstream") ||
			    strlen(a) <= shorter) {
				continue;
			}
			const char *tail = a + strlen(a) - shorter;
			assert_false(strcmp(tail, b) == 0 && tail[-1] == '_');
		}
	}
}

static void mistakes_are_named(void **state) {
	(void)state;
	assert_refused("[upstream a]\nurl = http://a\nretry = 1\n", ":3: [upstream a] has no key retry");
	assert_refused("[upstream a]\nurl = http://a\nmodles = x\n",
		       ":3: [upstream a] has no key modles; did you mean models?");
	assert_refused("[upstream a]\nurl = http://a\nburst = 1\n",
		       ":3: [upstream a] has no key burst; it belongs to [limits]");
	assert_refused("[upstream a]\nurl = http://a\nmodel = m\n",
		       ":3: [upstream a] has no key model; it belongs to [upstream]");
	assert_refused("[upstream a]\nurl = http://a\nurl = http://b\n",
		       ":3: [upstream a] url is set already in line 2");
	assert_refused("\n[upstream a]\nretries = 1\n", ":2: [upstream a] has no url; it says where the server is, "
							"such as http://127.0.0.1:8081/v1");
	assert_refused("\n[upstream a]\n", ":2: [upstream a] has no url; it says where the server is, such as "
					   "http://127.0.0.1:8081/v1");
	assert_refused("[upstream a]\nurl =\n", ":2: [upstream a] url: must not be empty");
	assert_refused("[upstream A]\nurl = http://a\n", ":1: [upstream A]: a name has 1 to 32 of a-z, 0-9 and -");
	assert_refused("[upstream ]\nurl = http://a\n", ":1: [upstream ]: a name has 1 to 32 of a-z, 0-9 and -");
	assert_refused("[upstream abcdefghijklmnopqrstuvwxyz0123456]\nurl = http://a\n",
		       ":1: [upstream abcdefghijklmnopqrstuvwxyz0123456]: a name has 1 to 32 of a-z, 0-9 and -");
	assert_refused("[upstream default]\nurl = http://a\n",
		       ":1: [upstream default]: the name default is that of [upstream] itself");
	assert_refused("[upstraem a]\nurl = http://a\n",
		       ":2: there is no section [upstraem a]; did you mean [upstream a]?");
	assert_refused("[limits a]\nburst = 1\n", ":2: there is no section [limits a]");
	assert_refused("[upstream a]\nurl = http://a\nretry_base = 20s\n",
		       "[upstream a] retry_base must not be above retry_max");
	assert_refused("[upstream]\ntools = true\n", ":2: [upstream] tools: 'true' is not yes or no");
	assert_refused("[upstream]\nthink = on\n", ":2: [upstream] think: 'on' is not one of off, tags, open");
	assert_refused("[upstream]\nmodels = a, b, a\n", ":2: [upstream] models: 'a' is named twice");
	static const char *const prices[] = {"-1", "1e3", "1.", ".5", "0,5", "1.2.3", "1000001", "x", "$1"};
	for (size_t i = 0; i < sizeof prices / sizeof prices[0]; i++) {
		char text[64];
		char complaint[160];
		snprintf(text, sizeof text, "[upstream]\ninput_price = %s\n", prices[i]);
		snprintf(complaint, sizeof complaint,
			 ":2: [upstream] input_price: '%s' is not a price per million tokens from 0 to 1000000, such "
			 "as 2 or 0.15",
			 prices[i]);
		assert_refused(text, complaint);
	}
}

static void sixteen_and_no_more(void **state) {
	(void)state;
	char text[2048] = "[upstream]\nurl = http://d\n";
	char line[64];
	for (int i = 1; i <= 16; i++) {
		snprintf(line, sizeof line, "[upstream n%d]\nurl = http://n%d\n", i, i);
		strcat(text, line);
	}
	struct loaded *l = load_good(text);
	const struct config_upstream *sorted[CONFIG_MAX_UPSTREAMS];
	assert_int_equal(config_upstreams(&l->config, sorted), 17);
	assert_string_equal(sorted[16]->name, "n16");
	assert_string_equal(sorted[16]->url, "http://n16");
	unload(&l);
	strcat(text, "[upstream n17]\nurl = http://n17\nretries = 1\n");
	assert_refused(text, ":35: [upstream n17]: there are more than 16 upstreams with a name");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_is_there_without_a_setting),
		cmocka_unit_test(named_ones_have_their_own),
		cmocka_unit_test(the_order_can_be_said),
		cmocka_unit_test(without_its_url_the_unnamed_one_only_gives),
		cmocka_unit_test(the_environment_names_them),
		cmocka_unit_test(no_key_ends_as_another_one),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(sixteen_and_no_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
