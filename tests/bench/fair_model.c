/* The model server of the fairness benchmark: fair_model RATE. What it says depends on the model that is asked for:
 *   steady   tokens "N:MICROSECONDS " at RATE a second, for ever
 *   long     20,000 tokens in a few writes
 *   others   one token, at once
 * Reads requests of any size and keeps connections alive. Prints its port. */
#include "bench.h"

#define LONG_TOKENS 20000
#define STEADY 1
#define LONG 2

struct stream {
	int fd, kind;
	bool gone;
	long sent;
	int64_t due_us;
	size_t received, wanted; /* wanted: of head and body; 0 while the head is not complete */
	char head[16384];
	size_t written, length;
	char *out;
};

static long rate;
static struct stream *streams[65536];
static size_t stream_count;

static void flush(struct stream *s) {
	while (s->written < s->length) {
		ssize_t sent = send(s->fd, s->out + s->written, s->length - s->written, MSG_NOSIGNAL);
		if (sent < 0) {
			s->gone |= errno != EAGAIN;
			return;
		}
		s->written += (size_t)sent;
	}
	s->written = s->length = 0;
}

static void say(struct stream *s, const char *text, size_t length) {
	s->out = realloc(s->out, s->length + length);
	memcpy(s->out + s->length, text, length);
	s->length += length;
}

static void say_chunk(struct stream *s, const char *data) {
	char text[1024];
	int length = snprintf(text, sizeof text, "%zx\r\n%s\r\n", strlen(data), data);
	say(s, text, (size_t)length);
}

static void say_token(struct stream *s) {
	char text[512];
	snprintf(text, sizeof text,
		 "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","
		 "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%ld:%lld \"},\"finish_reason\":null}]}\n\n",
		 s->sent++, (long long)now_us());
	say_chunk(s, text);
}

static void answer(struct stream *s) {
	static const char list[] = "{\"object\":\"list\",\"data\":[{\"id\":\"steady\",\"object\":\"model\"},"
				   "{\"id\":\"long\",\"object\":\"model\"},{\"id\":\"short\",\"object\":\"model\"}]}";
	char text[512];
	if (strncmp(s->head, "GET ", 4) == 0) {
		snprintf(text, sizeof text,
			 "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
			 sizeof list - 1, list);
		say(s, text, strlen(text));
		flush(s);
		return;
	}
	static const char head[] =
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
	say(s, head, sizeof head - 1);
	s->kind = strstr(s->head, "\"model\":\"steady\"") ? STEADY : strstr(s->head, "\"model\":\"long\"") ? LONG : 0;
	s->sent = 0;
	if (s->kind == STEADY) {
		/* Spread over the period, as independent streams are. */
		s->due_us = now_us() + rand() % (1000000 / rate);
		flush(s);
		return;
	}
	for (long i = 0; i < (s->kind == LONG ? LONG_TOKENS : 1); i++) {
		say_token(s);
	}
	say_chunk(s, "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","
		     "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
	say(s, "0\r\n\r\n", 5);
	flush(s);
}

static void on_readable(struct stream *s) {
	static char rest[1 << 18];
	bool in_head = s->received < sizeof s->head - 1;
	char *to = in_head ? s->head + s->received : rest;
	ssize_t got = recv(s->fd, to, in_head ? sizeof s->head - 1 - s->received : sizeof rest, 0);
	if (got <= 0) {
		s->gone |= got == 0 || errno != EAGAIN;
		return;
	}
	s->received += (size_t)got;
	if (in_head) {
		s->head[s->received] = '\0';
		const char *body = strstr(s->head, "\r\n\r\n"), *length = strcasestr(s->head, "content-length:");
		if (!s->wanted && body) {
			s->wanted = (size_t)(body + 4 - s->head) + (length ? strtoul(length + 15, NULL, 10) : 0);
		}
	}
	if (s->wanted && s->received >= s->wanted) {
		answer(s);
		s->received = s->wanted = 0;
	}
}

static void accept_all(int listener, int epoll) {
	int fd;
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct stream *s = calloc(1, sizeof *s);
		s->fd = fd;
		set_nodelay(fd);
		streams[stream_count++] = s;
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	}
}

int main(int argc, char **argv) {
	rate = argc > 1 ? atol(argv[1]) : 20;
	int listener = listen_and_tell(), epoll = epoll_create1(EPOLL_CLOEXEC);
	watch(epoll, listener, NULL);
	for (;;) {
		struct epoll_event events[256];
		int count = epoll_wait(epoll, events, 256, 1);
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr) {
				on_readable(events[i].data.ptr);
			} else {
				accept_all(listener, epoll);
			}
		}
		int64_t now = now_us();
		for (size_t i = 0; i < stream_count;) {
			struct stream *s = streams[i];
			if (s->kind == STEADY && s->due_us <= now) {
				say_token(s);
				s->due_us += 1000000 / rate;
			}
			if (s->length > 0) {
				flush(s);
			}
			if (s->gone) {
				close(s->fd);
				free(s->out);
				free(s);
				streams[i] = streams[--stream_count];
			} else {
				i++;
			}
		}
	}
}
