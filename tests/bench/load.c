/* The load: STREAMS connections, one streamed answer each, every token checked for order and age.
 *   load raw PORT STREAMS TOKENS PID          the floor: the upstream's own bytes
 *   load ws PORT STREAMS TOKENS PID KEY       sluice: WebSocket, response.create
 *   load sse PORT STREAMS TOKENS PID KEY      sluice or a peer: POST /v1/responses, stream: true
 * Prints one line of JSON: CPU microseconds of process PID per token, and the age of tokens on arrival. */
#include "bench.h"

struct client {
	int fd;
	bool ready, done;
	long next; /* token expected */
	size_t length;
	char tail[256]; /* the end of the last read: a token may be cut in two */
};

enum mode { RAW, WS, SSE };

static enum mode mode;
static long streams, tokens;
static long finished, received, wrong;
static int64_t *ages;

/* CPU time of a process in microseconds, to the nanosecond the scheduler keeps: all threads. */
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

static void send_text(int fd, const char *text) {
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text)) {
		die("send");
	}
}

static void send_frame(int fd, const char *text) {
	uint8_t frame[512] = {0x81};
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

static void start(struct client *c, int port, const char *key) {
	char text[1024];
	static const char chat[] =
		"{\"model\":\"bench\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"go\"}]}";
	static const char create[] = "{\"model\":\"bench\",\"stream\":true,\"input\":\"go\"}";
	c->fd = connect_to(port);
	if (mode == WS) {
		snprintf(
			text, sizeof text,
			"GET /v1/responses HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
			"Authorization: Bearer %s\r\n\r\n",
			port, key);
	} else {
		const char *body = mode == RAW ? chat : create;
		snprintf(text, sizeof text,
			 "POST /v1/%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %s\r\n"
			 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
			 mode == RAW ? "chat/completions" : "responses", port, key, strlen(body), body);
	}
	send_text(c->fd, text);
}

/* Reads the tokens "N:MICROSECONDS " out of whatever framing they came in. A done event repeats all text: what has been
 * counted is not counted again, because its deltas came first. */
static void scan(struct client *c, char *text, size_t length) {
	int64_t now = now_us();
	char *at = text, *end = text + length;
	while (at < end && c->next < tokens) {
		char wanted[32];
		int size = snprintf(wanted, sizeof wanted, "%ld:", c->next);
		char *found = memmem(at, (size_t)(end - at), wanted, (size_t)size);
		char *stop = found ? memchr(found, ' ', (size_t)(end - found)) : NULL;
		if (!stop) {
			break;
		}
		if (found == text || (found[-1] != '"' && found[-1] != ' ')) {
			at = found + 1;
			continue;
		}
		int64_t age = now - atoll(found + size);
		ages[received++] = age;
		c->next++;
		at = stop;
	}
	size_t rest = (size_t)(end - at);
	c->length = rest < sizeof c->tail ? rest : sizeof c->tail;
	memmove(c->tail, end - c->length, c->length);
	if (c->next == tokens && !c->done) {
		bool over = mode == RAW ? memmem(text, length, "[DONE]", 6) != NULL
					: memmem(text, length, "response.completed", 18) != NULL;
		c->done = over;
		finished += over;
	}
}

static void on_readable(struct client *c) {
	static char bytes[1 << 20];
	memcpy(bytes, c->tail, c->length);
	ssize_t got = recv(c->fd, bytes + c->length, sizeof bytes - c->length - 1, 0);
	if (got <= 0) {
		if (got == 0 || errno != EAGAIN) {
			if (!c->done) {
				wrong++;
				finished++;
				c->done = true;
			}
			close(c->fd);
		}
		return;
	}
	size_t length = c->length + (size_t)got;
	bytes[length] = '\0';
	if (mode == WS && !c->ready) {
		if (strstr(bytes, "\r\n\r\n")) {
			if (strncmp(bytes, "HTTP/1.1 101", 12) != 0) {
				fprintf(stderr, "load: %.200s\n", bytes);
				exit(1);
			}
			c->ready = true;
			send_frame(c->fd, "{\"type\":\"response.create\",\"model\":\"bench\",\"input\":\"go\"}");
		}
		return;
	}
	scan(c, bytes, length);
}

static int compare(const void *a, const void *b) {
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

static long percentile(double share) {
	return received ? (long)ages[(long)((double)(received - 1) * share)] : -1;
}

int main(int argc, char **argv) {
	if (argc < 6) {
		fprintf(stderr, "usage: load raw|ws|sse PORT STREAMS TOKENS PID [KEY]\n");
		return 2;
	}
	mode = strcmp(argv[1], "raw") == 0 ? RAW : strcmp(argv[1], "ws") == 0 ? WS : SSE;
	int port = atoi(argv[2]), epoll = epoll_create1(EPOLL_CLOEXEC);
	streams = atol(argv[3]);
	tokens = atol(argv[4]);
	ages = calloc((size_t)(streams * tokens), sizeof *ages);
	struct client *clients = calloc((size_t)streams, sizeof *clients);
	double before = cpu_us(argv[5]);
	int64_t begun = now_us();
	for (long i = 0; i < streams; i++) {
		start(&clients[i], port, argc > 6 ? argv[6] : "-");
		watch(epoll, clients[i].fd, &clients[i]);
	}
	while (finished < streams && now_us() - begun < 120 * INT64_C(1000000)) {
		struct epoll_event events[256];
		int count = epoll_wait(epoll, events, 256, 1000);
		for (int i = 0; i < count; i++) {
			on_readable(events[i].data.ptr);
		}
	}
	double cpu = cpu_us(argv[5]) - before;
	qsort(ages, (size_t)received, sizeof *ages, compare);
	printf("{\"tokens\":%ld,\"expected\":%ld,\"failed\":%ld,\"cpu_us_per_token\":%.2f,\"p50_us\":%ld,\"p99_us\":%ld,"
	       "\"seconds\":%.1f}\n",
	       received, streams * tokens, wrong + (streams - finished), cpu / (double)(received ? received : 1),
	       percentile(0.5), percentile(0.99), (double)(now_us() - begun) / 1e6);
	return received == streams * tokens && finished == streams && wrong == 0 ? 0 : 1;
}
