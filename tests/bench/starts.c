/* What one more connection, and one more answer, costs a server that has many: for each level so many clients are connected
 * (--live: with an answer under way that is silent after its first token), then probes connect one after the other, then
 * they ask, one after the other, each until its first token. Prints lines of JSON, the result last:
 *   {"levels":[{"level":100,"connect":{"cpu_us":…,"idle_us":…,"latency":{…}},"first":{…}},…]}
 * cpu_us: of the watched process for each probe, less what it uses in the same time without any (idle_us, of a second).
 * With --busy the server has other work, and is not waited for to have none: then only latencies are of use.
 * Over raw and sse a connection asks at once, so that there is only "first". */
#include <getopt.h>

#include "client.h"
#include "sample.h"

enum { MAX_LEVELS = 8, SETTLE_MS = 300, SETTLE_TRIES = 60 };

static const char silent[] = "bench tokens=2 now=1 gap=36000000";

static struct client_plan plan = {.key = "-", .input = silent, .sources = 1};
static long levels[MAX_LEVELS], probes = 200, window = 64;
static int level_count, pid;
static bool live, busy;

static struct client *background, *probe;
static long opened, begun, broken, under_way;
static struct durations latencies;

static bool is_probe(const struct client *c) {
	return c->user != NULL;
}

static void on_open(struct client *c) {
	opened++;
	if (is_probe(c)) {
		durations_add(&latencies, c->open_us - c->connect_us);
	} else if (live) {
		client_ask(c, 2);
	} else {
		under_way--;
	}
}

static void on_token(struct client *c, int64_t age_us) {
	(void)age_us;
	begun++;
	if (is_probe(c)) {
		durations_add(&latencies, c->first_us - c->ask_us);
	} else {
		under_way--;
	}
}

static void on_end(struct client *c, enum client_end end) {
	(void)c;
	(void)end;
	broken++;
}

static void step(int64_t until_us) {
	struct epoll_event events[256];
	int got = wait_until(plan.epoll, events, 256, until_us);
	for (int i = 0; i < got; i++) {
		client_on_ready(events[i].data.ptr);
	}
}

static void check(void) {
	if (broken > 0) {
		fprintf(stderr, "starts: a connection broke: %s\n", client_complaint);
		exit(1);
	}
}

/* Waits, a minute at most, for *counter to reach `wanted`. */
static void wait_for(const long *counter, long wanted) {
	for (int64_t until = now_us() + 60 * INT64_C(1000000); *counter < wanted;) {
		step(now_us() + 100000);
		check();
		if (now_us() > until) {
			fprintf(stderr, "starts: the server does not answer\n");
			exit(1);
		}
	}
}

static void rest(long ms) {
	for (int64_t until = now_us() + (int64_t)ms * 1000; now_us() < until;) {
		step(until);
	}
}

/* Waits until the server has nothing left to do; gives what it uses then, in microseconds of a second. */
static double settle(void) {
	double least = busy ? 0 : 1e9;
	for (int i = 0; i < SETTLE_TRIES && !busy; i++) {
		double before = cpu_of(pid).total;
		rest(SETTLE_MS);
		double used = (cpu_of(pid).total - before) * 1000 / SETTLE_MS;
		if (i > 0 && used < 5000) {
			return used;
		}
		least = used < least ? used : least;
	}
	return least;
}

static void raise_background(long from, long to) {
	long wanted = begun + to - from;
	for (long next = from; next < to;) {
		while (under_way < window && next < to) {
			under_way++;
			background[next].tokens = 2;
			client_connect(&background[next], &plan, (int)next);
			next++;
		}
		step(now_us() + 100000);
		check();
	}
	if (live) {
		wait_for(&begun, wanted);
	} else {
		wait_for(&opened, to);
	}
}

struct cost {
	double cpu_us, idle_us;
};

static void print_cost(const char *name, struct cost cost) {
	printf("\"%s\":{\"cpu_us\":%.2f,\"idle_us\":%.0f,", name, cost.cpu_us, cost.idle_us);
	durations_print("latency", &latencies);
	printf("}");
	latencies.count = 0;
}

static struct cost measure(void (*one)(long)) {
	struct cost cost = {.idle_us = settle()};
	latencies.count = 0;
	double before = cpu_of(pid).total;
	int64_t from = now_us();
	for (long i = 0; i < probes; i++) {
		one(i);
	}
	double seconds = (double)(now_us() - from) / 1e6;
	cost.cpu_us = (cpu_of(pid).total - before - cost.idle_us * seconds) / (double)probes;
	return cost;
}

static void connect_one(long i) {
	long wanted = opened + 1;
	client_connect(&probe[i], &plan, (int)i);
	wait_for(&opened, wanted);
}

static void ask_one(long i) {
	long wanted = begun + 1;
	if (plan.mode == CLIENT_WS) {
		client_ask(&probe[i], 2);
	} else {
		client_connect(&probe[i], &plan, (int)i);
	}
	wait_for(&begun, wanted);
}

static void measure_level(long level) {
	printf("{\"level\":%ld", level);
	for (long i = 0; i < probes; i++) {
		probe[i] = (struct client){.user = &plan, .tokens = 2};
	}
	if (plan.mode == CLIENT_WS) {
		struct cost cost = measure(connect_one);
		printf(",");
		print_cost("connect", cost);
	}
	struct cost cost = measure(ask_one);
	printf(",");
	print_cost("first", cost);
	printf("}");
	for (long i = 0; i < probes; i++) {
		client_close(&probe[i]);
	}
	opened -= plan.mode == CLIENT_WS ? probes : 0;
}

static void read_levels(char *text) {
	for (char *part = strtok(text, ","); part && level_count < MAX_LEVELS; part = strtok(NULL, ",")) {
		levels[level_count++] = atol(part);
	}
}

static void read_options(int argc, char **argv) {
	static const struct option options[] = {{"mode", 1, 0, 'm'},     {"port", 1, 0, 'p'},   {"key", 1, 0, 'k'},
						{"levels", 1, 0, 'l'},   {"probes", 1, 0, 'n'}, {"pid", 1, 0, 'P'},
						{"live", 0, 0, 'L'},     {"busy", 0, 0, 'b'},   {"sources", 1, 0, 'o'},
						{"unstored", 0, 0, 'u'}, {"window", 1, 0, 'w'}, {0, 0, 0, 0}};
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (option) {
		case 'm':
			plan.mode = strcmp(optarg, "raw") == 0  ? CLIENT_RAW
				    : strcmp(optarg, "ws") == 0 ? CLIENT_WS
								: CLIENT_SSE;
			break;
		case 'p':
			plan.port = atoi(optarg);
			break;
		case 'k':
			plan.key = optarg;
			break;
		case 'l':
			read_levels(optarg);
			break;
		case 'n':
			probes = atol(optarg);
			break;
		case 'P':
			pid = atoi(optarg);
			break;
		case 'L':
			live = true;
			break;
		case 'b':
			busy = true;
			break;
		case 'o':
			plan.sources = atoi(optarg);
			break;
		case 'u':
			plan.unstored = true;
			break;
		case 'w':
			window = atol(optarg);
			break;
		default:
			level_count = 0;
			plan.port = 0;
			break;
		}
	}
	if (!plan.port || !level_count || !pid) {
		fprintf(stderr,
			"usage: starts --mode raw|ws|sse --port PORT --pid PID --levels N,N… [--live] [--busy] [--probes N]\n"
			"              [--key KEY] [--sources N] [--window N] [--unstored]\n");
		exit(2);
	}
}

int main(int argc, char **argv) {
	read_options(argc, argv);
	exact_timers();
	plan.epoll = epoll_create1(EPOLL_CLOEXEC);
	plan.on_open = on_open;
	plan.on_token = on_token;
	plan.on_end = on_end;
	live = live || plan.mode != CLIENT_WS;
	background = need(calloc((size_t)levels[level_count - 1] + 1, sizeof *background));
	probe = need(calloc((size_t)probes, sizeof *probe));
	printf("{\"levels\":[");
	for (int i = 0; i < level_count; i++) {
		raise_background(i ? levels[i - 1] : 0, levels[i]);
		printf("%s", i ? "," : "");
		measure_level(levels[i]);
	}
	printf("]}\n");
	return 0;
}
