/* Whether one who asks for everything harms the others:
 *   fair PORT KEY STREAMS KIND GREEDY_KEY ROUNDS ROUND_MS [PREPARED]
 * STREAMS WebSockets with a steady answer each, and one that starts a short turn every 50 ms. A child process is the greedy
 * one; it is stopped and continued in turns, and every age is booked on the side on which it was seen. One line of JSON.
 * PREPARED: an id or path that the kind needs (see fairness.mjs). */
#include "bench.h"

#include <poll.h>
#include <sys/wait.h>

#define PROBE_MS 50
#define PROBE_LANES 16
#define SETTLE_US 300000
#define MOST (1 << 20)

struct client {
	int fd;
	bool ready, probe;
	size_t length;
	char tail[512];
};

static struct samples {
	int64_t *ages;
	long count;
} tokens[2], turns[2];
static int side = -1; /* 0 without, 1 with; -1 nothing is booked */
static int64_t asked_us[PROBE_LANES];
static long unanswered;

static void book(struct samples *samples, int64_t age) {
	if (side >= 0 && samples[side].count < MOST) {
		samples[side].ages[samples[side].count++] = age;
	}
}

/* --- a client's frames ---------------------------------------------------------------------------------------------- */

static size_t frame(char *to, const char *text, size_t length) {
	uint8_t *at = (uint8_t *)to;
	*at++ = 0x81;
	if (length < 126) {
		*at++ = (uint8_t)(0x80 | length);
	} else if (length < 65536) {
		*at++ = 0x80 | 126;
		*at++ = (uint8_t)(length >> 8);
		*at++ = (uint8_t)length;
	} else {
		*at++ = 0x80 | 127;
		for (int shift = 56; shift >= 0; shift -= 8) {
			*at++ = (uint8_t)((uint64_t)length >> shift);
		}
	}
	memset(at, 0, 4); /* a mask of zeros leaves the text as it is */
	memcpy(at + 4, text, length);
	return (size_t)((char *)at + 4 - to) + length;
}

static void send_frame(int fd, const char *text) {
	char bytes[1024];
	size_t length = frame(bytes, text, strlen(text));
	if (send(fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length) {
		die("send");
	}
}

static int open_websocket(int port, const char *key) {
	char text[1024];
	int fd = connect_to(port);
	snprintf(text, sizeof text,
		 "GET /v1/responses HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		 "Authorization: Bearer %s\r\n\r\n",
		 port, key);
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0) {
		die("send");
	}
	return fd;
}

/* --- those who watch ------------------------------------------------------------------------------------------------ */

/* Deltas say "N:MICROSECONDS ". */
static void on_delta(struct client *c, char *line, char *end, int64_t now) {
	static const char key[] = "\"delta\":\"";
	char *found = memmem(line, (size_t)(end - line), key, sizeof key - 1);
	char *colon = found ? memchr(found + sizeof key - 1, ':', (size_t)(end - found) - sizeof key + 1) : NULL;
	if (!colon) {
		return;
	}
	if (!c->probe) {
		book(tokens, now - atoll(colon + 1));
		return;
	}
	char *lane = memmem(line, (size_t)(end - line), "\"stream_id\":\"p", 14);
	int number = lane ? atoi(lane + 14) : 0;
	if (asked_us[number]) {
		book(turns, now - asked_us[number]);
		asked_us[number] = 0;
	}
}

static void on_readable(struct client *c) {
	static char bytes[1 << 18];
	memcpy(bytes, c->tail, c->length);
	ssize_t got = recv(c->fd, bytes + c->length, sizeof bytes - c->length - 1, 0);
	int64_t now = now_us();
	if (got <= 0) {
		if (got == 0 || errno != EAGAIN) {
			fprintf(stderr, "fair: a watcher's connection ended\n");
			exit(1);
		}
		return;
	}
	char *end = bytes + c->length + got, *at = bytes;
	*end = '\0';
	if (!c->ready) {
		if (strncmp(bytes, "HTTP/1.1 101", 12) != 0) {
			fprintf(stderr, "fair: %.300s\n", bytes);
			exit(1);
		}
		c->ready = true;
		if (!c->probe) {
			send_frame(c->fd, "{\"type\":\"response.create\",\"model\":\"steady\",\"input\":\"go\"}");
		}
		return;
	}
	static const char type[] = "\"type\":\"response.output_text.delta\"";
	char *found;
	while ((found = memmem(at, (size_t)(end - at), type, sizeof type - 1))) {
		char *close = memchr(found, '}', (size_t)(end - found));
		if (!close) {
			at = found;
			break;
		}
		on_delta(c, found, close, now);
		at = close;
	}
	size_t rest = (size_t)(end - at);
	c->length = rest < sizeof c->tail ? rest : sizeof c->tail;
	memmove(c->tail, end - c->length, c->length);
}

static void start_turn(const struct client *probe, int number, int64_t now) {
	char text[256];
	unanswered += asked_us[number] != 0 && side >= 0;
	snprintf(
		text, sizeof text,
		"{\"type\":\"response.create\",\"model\":\"short\",\"input\":\"go\",\"store\":false,\"stream_id\":\"p%d\"}",
		number);
	asked_us[number] = now;
	send_frame(probe->fd, text);
}

/* --- the greedy one ------------------------------------------------------------------------------------------------- */

struct greedy {
	const char *kind, *key, *prepared;
	int port, fd;
	bool http, reads;
	char *text[64]; /* framed requests, sent in turn */
	size_t length[64];
	int count;
	int window; /* requests under way at most; 0: as many as the socket takes */
};

static void add(struct greedy *g, const char *json) {
	size_t length = strlen(json);
	g->text[g->count] = malloc(length + 64);
	g->length[g->count] = frame(g->text[g->count], json, length);
	g->count++;
}

static char *repeat(const char *head, const char *unit, size_t times, const char *tail) {
	size_t size = strlen(unit);
	char *text = malloc(strlen(head) + size * times + strlen(tail) + 1);
	char *at = stpcpy(text, head);
	for (size_t i = 0; i < times; i++) {
		at = stpcpy(at, unit);
	}
	strcpy(at, tail);
	return text;
}

static void add_lanes(struct greedy *g, const char *format) {
	for (int lane = 0; lane < 32; lane++) {
		char text[512];
		snprintf(text, sizeof text, format, lane);
		add(g, text);
	}
}

#define CREATE "{\"type\":\"response.create\",\"model\":\"short\",\"store\":false,\"input\":"

static void prepare(struct greedy *g) {
	char text[512];
	if (strcmp(g->kind, "message") == 0) {
		add(g, repeat(CREATE "\"", "x", 1000000, "\"}"));
	} else if (strcmp(g->kind, "escapes") == 0) {
		add(g, repeat(CREATE "\"", "\\n", 500000, "\"}"));
	} else if (strcmp(g->kind, "medium") == 0) {
		add(g, repeat(CREATE "\"", "x", 60000, "\"}"));
	} else if (strcmp(g->kind, "items") == 0) {
		add(g, repeat(CREATE "[{\"role\":\"user\",\"content\":\"a\"}",
			      ",{\"role\":\"user\",\"content\":\"bb\"}", 1500, "]}"));
	} else if (strcmp(g->kind, "pings") == 0) {
		add(g, "{\"type\":\"sluice:ping\"}");
	} else if (strcmp(g->kind, "lanes") == 0) {
		add_lanes(g,
			  "{\"type\":\"response.create\",\"model\":\"short\",\"input\":\"go\",\"stream_id\":\"g%d\"}");
		g->window = 32;
	} else if (strcmp(g->kind, "unread") == 0) {
		add_lanes(g,
			  "{\"type\":\"response.create\",\"model\":\"long\",\"input\":\"go\",\"stream_id\":\"g%d\"}");
		g->reads = false;
	} else if (strcmp(g->kind, "resume") == 0) {
		snprintf(text, sizeof text, "{\"type\":\"sluice:response.resume\",\"response_id\":\"%s\"}",
			 g->prepared);
		add(g, text);
		g->window = 2;
	} else if (strcmp(g->kind, "context") == 0) {
		snprintf(text, sizeof text, CREATE "\"go\",\"previous_response_id\":\"%s\"}", g->prepared);
		add(g, text);
		g->window = 2;
	} else if (strncmp(g->kind, "http-", 5) == 0) {
		g->http = true;
		g->window = 1;
		char *body = strcmp(g->kind, "http-post") == 0
				     ? repeat("{\"model\":\"short\",\"store\":false,\"input\":\"", "x", 1000000, "\"}")
				     : NULL;
		g->text[0] = malloc((body ? strlen(body) : 0) + 1024);
		g->length[0] = (size_t)sprintf(g->text[0],
					       "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
					       "Content-Type: application/json\r\n",
					       body ? "POST" : "GET", body ? "/v1/responses" : g->prepared, g->key);
		g->length[0] +=
			(size_t)sprintf(g->text[0] + g->length[0], body ? "Content-Length: %zu\r\n\r\n%s" : "\r\n",
					body ? strlen(body) : 0, body);
		g->count = 1;
	} else {
		fprintf(stderr, "fair: no kind %s\n", g->kind);
		exit(2);
	}
}

/* How many requests these bytes answer. What is cut in two is missed; an error too, and both are made up for by time. */
static int answered(const struct greedy *g, const char *bytes, size_t length) {
	static const char *const ends[] = {"\"type\":\"response.completed\"", "\"type\":\"error\""};
	int count = 0;
	for (int i = 0; i < 2; i++) {
		const char *at = bytes, *found;
		while (!g->http && (found = memmem(at, length - (size_t)(at - bytes), ends[i], strlen(ends[i])))) {
			at = found + 10;
			count++;
		}
	}
	return count;
}

/* Sends and reads for ever; reports on standard error when it can't. */
static void be_greedy(struct greedy *g) {
	static char bytes[1 << 20];
	g->reads = true;
	prepare(g);
	g->fd = g->http ? connect_to(g->port) : open_websocket(g->port, g->key);
	int turn = 0, under_way = 0;
	size_t sent = 0, left = 0;
	bool ready = g->http;
	int64_t heard_us = now_us();
	for (;;) {
		bool wants = ready && (sent > 0 || !g->window || under_way < g->window);
		struct pollfd p = {.fd = g->fd,
				   .events = (short)((g->reads || !ready ? POLLIN : 0) | (wants ? POLLOUT : 0))};
		poll(&p, 1, 20);
		if (p.revents & POLLIN) {
			ssize_t got = recv(g->fd, bytes, sizeof bytes - 1, 0);
			if (got == 0 || (got < 0 && errno != EAGAIN)) {
				close(g->fd);
				g->fd = g->http ? connect_to(g->port) : open_websocket(g->port, g->key);
				ready = g->http;
				sent = left = 0;
				under_way = 0;
				continue;
			}
			if (got > 0) {
				bytes[got] = '\0';
				heard_us = now_us();
				if (g->http) {
					const char *length = left ? NULL : strcasestr(bytes, "content-length:");
					const char *body = length ? strstr(length, "\r\n\r\n") : NULL;
					left += body ? (size_t)(body + 4 - bytes) + strtoul(length + 15, NULL, 10) : 0;
					left -= (size_t)got < left ? (size_t)got : left;
					under_way -= left == 0 && under_way > 0;
				} else if (!ready) {
					ready = true;
				} else {
					under_way -= answered(g, bytes, (size_t)got);
				}
			}
		}
		if (under_way < 0 || now_us() - heard_us > 500000) {
			under_way = 0;
			heard_us = now_us();
		}
		if (wants && (p.revents & POLLOUT)) {
			ssize_t did = send(g->fd, g->text[turn] + sent, g->length[turn] - sent, MSG_NOSIGNAL);
			sent += did > 0 ? (size_t)did : 0;
			if (sent == g->length[turn]) {
				sent = 0;
				turn = (turn + 1) % g->count;
				under_way++;
			}
		}
	}
}

/* --- the whole ------------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b) {
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

static long percentile(const struct samples *s, double share) {
	return s->count ? (long)s->ages[(long)((double)(s->count - 1) * share)] : -1;
}

static void tell(const char *name, struct samples *both) {
	qsort(both[0].ages, (size_t)both[0].count, sizeof(int64_t), compare);
	qsort(both[1].ages, (size_t)both[1].count, sizeof(int64_t), compare);
	long without = percentile(&both[0], 0.99), with = percentile(&both[1], 0.99);
	printf("\"%s\":{\"samples\":[%ld,%ld],\"p50_us\":[%ld,%ld],\"p99_us\":[%ld,%ld],\"max_us\":[%ld,%ld],\"ratio\":%.2f}",
	       name, both[0].count, both[1].count, percentile(&both[0], 0.5), percentile(&both[1], 0.5), without, with,
	       percentile(&both[0], 1), percentile(&both[1], 1), (double)with / (double)without);
}

int main(int argc, char **argv) {
	if (argc < 8) {
		fprintf(stderr, "usage: fair PORT KEY STREAMS KIND GREEDY_KEY ROUNDS ROUND_MS [PREPARED]\n");
		return 2;
	}
	int port = atoi(argv[1]), epoll = epoll_create1(EPOLL_CLOEXEC);
	long count = atol(argv[3]), rounds = atol(argv[6]);
	int64_t round_us = atoll(argv[7]) * 1000;
	struct greedy greedy = {.kind = argv[4], .key = argv[5], .port = port, .prepared = argc > 8 ? argv[8] : ""};
	pid_t child = fork();
	if (child == 0) {
		/* What it takes of the processors is not the server's fault. */
		if (nice(19) == -1) {
			perror("nice");
		}
		raise(SIGSTOP);
		be_greedy(&greedy);
	}
	struct client *clients = calloc((size_t)count + 1, sizeof *clients);
	for (int i = 0; i < 2; i++) {
		tokens[i].ages = malloc(MOST * sizeof(int64_t));
		turns[i].ages = malloc(MOST * sizeof(int64_t));
	}
	for (long i = 0; i <= count; i++) {
		clients[i].probe = i == count;
		clients[i].fd = open_websocket(port, argv[2]);
		watch(epoll, clients[i].fd, &clients[i]);
	}
	int64_t begun = now_us() + 2000000, probe_at = begun;
	int lane = 0, running = 0;
	for (int64_t now = now_us(); now < begun + 2 * rounds * round_us; now = now_us()) {
		struct epoll_event events[256];
		int ready = epoll_wait(epoll, events, 256, 1);
		for (int i = 0; i < ready; i++) {
			on_readable(events[i].data.ptr);
		}
		if (now < begun) {
			continue;
		}
		int phase = (int)((now - begun) / round_us) % 2;
		if (phase != running) {
			kill(child, phase ? SIGCONT : SIGSTOP);
			running = phase;
		}
		side = (now - begun) % round_us < SETTLE_US ? -1 : phase;
		if (now >= probe_at) {
			start_turn(&clients[count], lane, now);
			lane = (lane + 1) % PROBE_LANES;
			probe_at += PROBE_MS * 1000;
		}
	}
	int status;
	bool alive = waitpid(child, &status, WNOHANG) == 0;
	kill(child, SIGKILL);
	printf("{\"kind\":\"%s\",", argv[4]);
	tell("token", tokens);
	printf(",");
	tell("turn", turns);
	printf(",\"unanswered\":%ld,\"alive\":%s}\n", unanswered, alive ? "true" : "false");
	return alive ? 0 : 1;
}
