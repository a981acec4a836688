/* The load: connections that stream, connections that only stay, and connections that ask one short turn after the other.
 * Every token is checked for its place; its age on arrival is kept. See usage() for the options.
 *
 * Phases: connect all; begin the streams, spread over --ramp; when each has had a token, measure for --seconds; wait for
 * every stream's end (--cut: do not). Prints lines of JSON: {"mark":…} when a phase begins, and the result last.
 * With --hold it waits for a line on standard input after "connected", after "streaming" and, with --until N, after "grown":
 * when every stream has had N tokens. */
#include <getopt.h>

#include "client.h"
#include "sample.h"

enum { WATCHED = 4, MAX_STATUS = 600 };

struct options {
	struct client_plan plan, asker_plan;
	long streams, idle, askers, tokens, asker_tokens, until, seconds, ramp_ms, window, deadline, refusable;
	bool hold, cut;
	int pids[WATCHED];
	const char *names[WATCHED];
	int watched;
};

static struct options o = {.plan = {.key = "-", .input = "bench now=0", .sources = 1},
			   .streams = 200,
			   .tokens = 500,
			   .asker_tokens = 5,
			   .seconds = 5,
			   .ramp_ms = 200,
			   .window = 64,
			   .deadline = 60};

static struct client *clients;
static long count; /* streams, then askers, then idle ones */

static long opened, streaming, grown, completed, failed, refused, lost, connecting, next_connect;
static long tokens, measured_tokens, turns;
static long refusals[MAX_STATUS];
static bool measuring, asking;
static struct durations ages, firsts, turn_firsts, opens, refusal_times;

static bool is_stream(const struct client *c) {
	return c->number < o.streams;
}
static bool is_asker(const struct client *c) {
	return c->number >= o.streams && c->number < o.streams + o.askers;
}

/* --- what clients report ------------------------------------------------------------------------------------------------ */

static void on_open(struct client *c) {
	connecting--;
	opened++;
	durations_add(&opens, c->open_us - c->connect_us);
}

static void on_token(struct client *c, int64_t age_us) {
	tokens++;
	if (c->next == 1) {
		durations_add(is_stream(c) ? &firsts : &turn_firsts, c->first_us - c->ask_us);
		streaming += is_stream(c);
	}
	grown += is_stream(c) && c->next == o.until;
	if (measuring && is_stream(c)) {
		measured_tokens++;
		durations_add(&ages, age_us);
	}
}

static void on_end(struct client *c, enum client_end end) {
	if (end == CLIENT_REFUSED) {
		connecting -= o.plan.mode == CLIENT_WS;
		refused++;
		refusals[c->status > 0 && c->status < MAX_STATUS ? c->status : 0]++;
		durations_add(&refusal_times, now_us() - c->connect_us);
		return;
	}
	if (end == CLIENT_FAILED) {
		failed++;
		lost += is_stream(c) ? o.tokens - c->next : 0;
		client_close(c);
	} else if (is_asker(c)) {
		turns++;
		if (asking) {
			client_ask(c, o.asker_tokens);
		}
	} else {
		completed++;
	}
}

/* --- phases --------------------------------------------------------------------------------------------------------------- */

static bool step(int64_t until_us) {
	struct epoll_event events[256];
	int got = wait_until(o.plan.epoll, events, 256, until_us);
	for (int i = 0; i < got; i++) {
		client_on_ready(events[i].data.ptr);
	}
	return now_us() < until_us;
}

static int64_t after(long ms) {
	return now_us() + (int64_t)ms * 1000;
}

static void mark(const char *name) {
	printf("{\"mark\":\"%s\"}\n", name);
	fflush(stdout);
}

static void hold(const char *name) {
	mark(name);
	if (!o.hold) {
		return;
	}
	fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	int both = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(both, EPOLL_CTL_ADD, STDIN_FILENO, &event);
	for (char line[64]; read(STDIN_FILENO, line, sizeof line) < 0 && errno == EAGAIN;) {
		step(after(20));
	}
	close(both);
}

static void connect_all(void) {
	int64_t until = after(o.deadline * 1000);
	while (opened + refused + failed < count && now_us() < until) {
		while (connecting < o.window && next_connect < count) {
			struct client *c = &clients[next_connect];
			connecting++;
			client_connect(c, is_asker(c) || next_connect >= o.streams ? &o.asker_plan : &o.plan,
				       (int)next_connect);
			next_connect++;
		}
		step(after(100));
	}
}

static void begin_streams(void) {
	int64_t begun = now_us(), until = after(o.deadline * 1000 + o.ramp_ms);
	long asked = 0;
	while (streaming + failed + refused < o.streams && now_us() < until) {
		int64_t now = now_us(), due = begun;
		for (; asked < o.streams; asked++) {
			due = begun + (int64_t)o.ramp_ms * 1000 * asked / o.streams;
			if (due > now) {
				break;
			}
			struct client *c = &clients[asked];
			if (o.plan.mode == CLIENT_WS && c->state == CLIENT_OPEN) {
				client_ask(c, o.tokens);
			} else if (o.plan.mode != CLIENT_WS) {
				c->tokens = o.tokens;
				client_connect(c, &o.plan, (int)asked);
			}
		}
		step(asked < o.streams ? due : after(100));
	}
}

static void grow_streams(void) {
	int64_t until = after(o.deadline * 1000);
	while (grown + failed + refused < o.streams && now_us() < until) {
		step(after(100));
	}
}

static void begin_askers(void) {
	asking = true;
	for (long i = o.streams; i < o.streams + o.askers; i++) {
		if (clients[i].state == CLIENT_OPEN) {
			client_ask(&clients[i], o.asker_tokens);
		}
	}
}

static void run_until(int64_t until) {
	while (step(until)) {
	}
}

struct use {
	struct cpu of[WATCHED];
	double self;
};

static struct use used(void) {
	struct use use = {.self = cpu_of_self()};
	for (int i = 0; i < o.watched; i++) {
		use.of[i] = cpu_of(o.pids[i]);
	}
	return use;
}

static long text_of_streams(void) {
	long text = 0;
	for (long i = 0; i < o.streams; i++) {
		text += clients[i].text;
	}
	return text;
}

static void print_result(const struct use *before, const struct use *end, double seconds, const struct use *begin) {
	printf("{\"result\":true,\"streams\":%ld,\"idle\":%ld,\"tokens\":%ld,\"expected\":%ld,\"lost\":%ld,\"completed\":%ld,"
	       "\"failed\":%ld,\"refused\":%ld,\"opened\":%ld,\"turns\":%ld,\"measured\":%ld,\"text\":%ld,\"seconds\":%.3f,",
	       o.streams, o.idle, tokens, o.streams * o.tokens, lost, completed, failed, refused, opened, turns,
	       measured_tokens, text_of_streams(), seconds);
	durations_print("age", &ages);
	printf(",");
	durations_print("first", &firsts);
	printf(",");
	durations_print("turn_first", &turn_firsts);
	printf(",");
	durations_print("open", &opens);
	printf(",");
	durations_print("refusal", &refusal_times);
	printf(",\"statuses\":{");
	for (int i = 0, some = 0; i < MAX_STATUS; i++) {
		if (refusals[i]) {
			printf("%s\"%d\":%ld", some++ ? "," : "", i, refusals[i]);
		}
	}
	printf("},\"cpu\":{\"load\":{\"us\":%.0f}", end->self - before->self);
	for (int i = 0; i < o.watched; i++) {
		printf(",");
		cpu_print(o.names[i], &before->of[i], &end->of[i]);
	}
	struct use whole = used();
	printf("},\"whole_cpu\":{\"load\":{\"us\":%.0f}", whole.self - begin->self);
	for (int i = 0; i < o.watched; i++) {
		printf(",");
		cpu_print(o.names[i], &begin->of[i], &whole.of[i]);
	}
	printf("}}\n");
}

/* --- options -------------------------------------------------------------------------------------------------------------- */

static void usage(void) {
	fprintf(stderr,
		"usage: load --mode raw|ws|sse --port PORT [--key KEY] [--input TEXT] [--unstored]\n"
		"            [--streams N --tokens N --seconds N] [--ramp MS] [--cut] [--until N]\n"
		"            [--askers N --asker-tokens N --asker-input TEXT] [--idle N] [--sources N] [--window N]\n"
		"            [--deadline S] [--hold] [--watch NAME=PID]... [--refusable]\n");
	exit(2);
}

static void add_watched(char *text) {
	char *equals = strchr(text, '=');
	if (!equals || o.watched == WATCHED) {
		usage();
	}
	*equals = '\0';
	o.names[o.watched] = text;
	o.pids[o.watched++] = atoi(equals + 1);
}

static enum client_mode mode_of(const char *name) {
	if (strcmp(name, "raw") == 0) {
		return CLIENT_RAW;
	}
	return strcmp(name, "ws") == 0 ? CLIENT_WS : CLIENT_SSE;
}

static void read_options(int argc, char **argv) {
	static const struct option long_options[] = {{"mode", 1, 0, 'm'},        {"port", 1, 0, 'p'},
						     {"key", 1, 0, 'k'},         {"input", 1, 0, 'i'},
						     {"unstored", 0, 0, 'u'},    {"streams", 1, 0, 's'},
						     {"tokens", 1, 0, 't'},      {"seconds", 1, 0, 'S'},
						     {"ramp", 1, 0, 'r'},        {"cut", 0, 0, 'c'},
						     {"askers", 1, 0, 'a'},      {"asker-tokens", 1, 0, 'A'},
						     {"idle", 1, 0, 'I'},        {"sources", 1, 0, 'o'},
						     {"window", 1, 0, 'w'},      {"deadline", 1, 0, 'd'},
						     {"hold", 0, 0, 'h'},        {"watch", 1, 0, 'W'},
						     {"asker-input", 1, 0, 'j'}, {"refusable", 0, 0, 'R'},
						     {"until", 1, 0, 'U'},       {0, 0, 0, 0}};
	struct {
		int option;
		long *value;
	} const figures[] = {{'s', &o.streams},  {'t', &o.tokens},       {'S', &o.seconds}, {'r', &o.ramp_ms},
			     {'a', &o.askers},   {'A', &o.asker_tokens}, {'I', &o.idle},    {'w', &o.window},
			     {'d', &o.deadline}, {'U', &o.until}};
	for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
		for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
			if (figures[i].option == option) {
				*figures[i].value = atol(optarg);
			}
		}
		switch (option) {
		case 'm':
			o.plan.mode = mode_of(optarg);
			break;
		case 'p':
			o.plan.port = atoi(optarg);
			break;
		case 'k':
			o.plan.key = optarg;
			break;
		case 'i':
			o.plan.input = optarg;
			break;
		case 'j':
			o.asker_plan.input = optarg;
			break;
		case 'u':
			o.plan.unstored = true;
			break;
		case 'o':
			o.plan.sources = atoi(optarg);
			break;
		case 'c':
			o.cut = true;
			break;
		case 'h':
			o.hold = true;
			break;
		case 'R':
			o.refusable = true;
			break;
		case 'W':
			add_watched(optarg);
			break;
		case '?':
			usage();
			break;
		default:
			break;
		}
	}
	if (o.plan.port == 0) {
		usage();
	}
	o.plan.epoll = epoll_create1(EPOLL_CLOEXEC);
	o.plan.on_open = on_open;
	o.plan.on_token = on_token;
	o.plan.on_end = on_end;
	const char *input = o.asker_plan.input ? o.asker_plan.input : o.plan.input;
	o.asker_plan = o.plan;
	o.asker_plan.input = input;
}

int main(int argc, char **argv) {
	read_options(argc, argv);
	exact_timers();
	count = o.streams + o.askers + o.idle;
	clients = need(calloc((size_t)count + 1, sizeof *clients));
	struct use begin = used();
	if (o.plan.mode == CLIENT_WS) {
		connect_all();
	}
	hold("connected");
	begin_streams();
	begin_askers();
	hold("streaming");
	if (o.until > 0) {
		grow_streams();
		hold("grown");
	}
	run_until(after(o.streams > 0 ? 500 : 0));
	mark("measure");
	struct use before = used();
	int64_t from = now_us();
	measuring = true;
	run_until(after(o.seconds * 1000));
	measuring = asking = false;
	double seconds = (double)(now_us() - from) / 1e6;
	struct use end = used();
	mark("measured");
	int64_t until = after(o.deadline * 1000);
	while (!o.cut && completed + failed + (o.plan.mode == CLIENT_WS ? 0 : refused) < o.streams &&
	       now_us() < until) {
		step(after(100));
	}
	print_result(&before, &end, seconds, &begin);
	if (client_complaint[0]) {
		fprintf(stderr, "load: %s\n", client_complaint);
	}
	bool whole = o.cut ? failed == 0 : completed == o.streams && failed == 0;
	return whole && (o.refusable || refused == 0) ? 0 : 1;
}
