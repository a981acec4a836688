/* Durable turns: CONNECTIONS WebSockets, each asking one short question after the other, every one stored.
 *   turns PORT CONNECTIONS SECONDS PID KEY TOKENS [continue]
 * The upstream (upstream.c) stamps its tokens, the last of them right before the end of its answer. With `continue` the turns
 * of a connection are one conversation. Prints one line of JSON: turns a second, the time from the upstream's end to
 * response.completed, CPU of process PID and commits to disk apart. */
#include "bench.h"

struct client {
	int fd;
	bool ready;
	int64_t stamp; /* of the last token */
	size_t length;
	char previous[128]; /* response to continue */
	char bytes[65536];
};

#define MOST (INT64_C(4) << 20)

static long tokens, ended;
static bool goes_on;
static int64_t *delays, begun, until;

static double cpu_us(const char *pid) {
	char command[128];
	double total = 0;
	snprintf(command, sizeof command, "cat /proc/%s/task/*/schedstat", pid);
	FILE *pipe = popen(command, "r");
	unsigned long long run, wait, slices;
	while (pipe && fscanf(pipe, "%llu %llu %llu", &run, &wait, &slices) == 3) {
		total += (double)run / 1000;
	}
	if (pipe) {
		pclose(pipe);
	}
	return total;
}

static void send_frame(int fd, const char *text) {
	uint8_t frame[1024] = {0x81};
	size_t length = strlen(text), at = 2;
	frame[1] = (uint8_t)(0x80 | (length < 126 ? length : 126));
	if (length >= 126) {
		frame[at++] = (uint8_t)(length >> 8);
		frame[at++] = (uint8_t)length;
	}
	at += 4; /* a mask of zeros leaves the text as it is */
	memcpy(frame + at, text, length);
	if (send(fd, frame, at + length, MSG_NOSIGNAL) != (ssize_t)(at + length)) {
		die("send");
	}
}

static void ask(struct client *c) {
	char text[512];
	snprintf(text, sizeof text, "{\"type\":\"response.create\",\"model\":\"bench\",\"input\":\"go\"%s%s%s}",
		 c->previous[0] ? ",\"previous_response_id\":\"" : "", c->previous, c->previous[0] ? "\"" : "");
	send_frame(c->fd, text);
}

static void start(struct client *c, int port, const char *key) {
	char text[1024];
	c->fd = connect_to(port);
	snprintf(text, sizeof text,
		 "GET /v1/responses HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		 "Authorization: Bearer %s\r\n\r\n",
		 port, key);
	if (send(c->fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text)) {
		die("send");
	}
}

/* The stamp of the last token, wherever it first appears. */
static void find_stamp(struct client *c) {
	char wanted[32];
	int size = snprintf(wanted, sizeof wanted, "%ld:", tokens - 1);
	char *found = memmem(c->bytes, c->length, wanted, (size_t)size);
	if (found) {
		c->stamp = atoll(found + size);
	}
}

static void on_completed(struct client *c, char *end) {
	int64_t now = now_us();
	if (!c->stamp) {
		fprintf(stderr, "turns: an answer without its last token\n");
		exit(1);
	}
	if (ended < MOST) {
		delays[ended++] = now - c->stamp;
	}
	char *id = strstr(end, "\"id\":\"resp_");
	if (goes_on && id) {
		snprintf(c->previous, sizeof c->previous, "%.*s", (int)strcspn(id + 6, "\""), id + 6);
	}
	c->length = 0;
	c->stamp = 0;
	if (now < until) {
		ask(c);
	}
}

static void on_readable(struct client *c) {
	ssize_t got = recv(c->fd, c->bytes + c->length, sizeof c->bytes - c->length - 1, 0);
	if (got <= 0) {
		if (got < 0 && errno == EAGAIN) {
			return;
		}
		fprintf(stderr, "turns: a connection was closed\n");
		exit(1);
	}
	c->length += (size_t)got;
	c->bytes[c->length] = '\0';
	if (!c->ready) {
		if (strstr(c->bytes, "\r\n\r\n")) {
			c->ready = true;
			c->length = 0;
			ask(c);
		}
		return;
	}
	if (!c->stamp) {
		find_stamp(c);
	}
	/* Frames have bytes of 0 in them. */
	char *end = memmem(c->bytes, c->length, "\"response.completed\"", 20);
	if (end && c->bytes[c->length - 1] == '}') {
		on_completed(c, end);
	} else if (memmem(c->bytes, c->length, "\"type\":\"error\"", 14)) {
		fprintf(stderr, "turns: %.300s\n", (char *)memmem(c->bytes, c->length, "\"type\":\"error\"", 14));
		exit(1);
	}
}

static int compare(const void *a, const void *b) {
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

static long percentile(double share) {
	return ended ? (long)delays[(long)((double)(ended - 1) * share)] : -1;
}

int main(int argc, char **argv) {
	if (argc < 7) {
		fprintf(stderr, "usage: turns PORT CONNECTIONS SECONDS PID KEY TOKENS [continue]\n");
		return 2;
	}
	int port = atoi(argv[1]), epoll = epoll_create1(EPOLL_CLOEXEC);
	long connections = atol(argv[2]);
	tokens = atol(argv[6]);
	goes_on = argc > 7;
	delays = calloc(MOST, sizeof *delays);
	struct client *clients = calloc((size_t)connections, sizeof *clients);
	begun = now_us();
	until = begun + atol(argv[3]) * 1000000;
	double before = cpu_us(argv[4]);
	for (long i = 0; i < connections; i++) {
		start(&clients[i], port, argv[5]);
		watch(epoll, clients[i].fd, &clients[i]);
	}
	while (now_us() < until + 200000) {
		struct epoll_event events[256];
		int count = epoll_wait(epoll, events, 256, 100);
		for (int i = 0; i < count; i++) {
			on_readable(events[i].data.ptr);
		}
	}
	double cpu = cpu_us(argv[4]) - before;
	double seconds = (double)(until - begun) / 1e6;
	qsort(delays, (size_t)ended, sizeof *delays, compare);
	printf("{\"turns\":%ld,\"turns_per_second\":%.0f,\"commit_p50_us\":%ld,\"commit_p99_us\":%ld,\"commit_max_us\":%ld,"
	       "\"cpu_us_per_turn\":%.1f}\n",
	       ended, (double)ended / seconds, percentile(0.5), percentile(0.99), percentile(1),
	       cpu / (double)(ended ? ended : 1));
	return ended ? 0 : 1;
}
