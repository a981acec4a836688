/* A Chat Completions server that streams at a steady pace: upstream RATE TOKENS PER_WRITE
 * Every token carries the microsecond at which it was written, so that a reader knows its age. Prints its port. */
#include "bench.h"

#include <sys/timerfd.h>

struct stream {
	int fd;
	bool streaming;
	long sent;
	int64_t due_us;
	size_t received;
	char request[65536];
};

static long rate, tokens, per_write;
static struct stream *streams[65536];
static size_t stream_count;

static void drop(size_t i) {
	close(streams[i]->fd);
	free(streams[i]);
	streams[i] = streams[--stream_count];
}

/* A blocking write would hide how the relay keeps up; a full socket is a failed run. */
static void send_all(struct stream *s, const char *text, size_t length) {
	if (send(s->fd, text, length, MSG_NOSIGNAL) != (ssize_t)length) {
		s->due_us = -1;
	}
}

static void send_tokens(struct stream *s) {
	char text[8192];
	int length = 0;
	for (long i = 0; i < per_write && s->sent < tokens; i++, s->sent++) {
		length += snprintf(
			text + length, sizeof text - (size_t)length,
			"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"bench\","
			"\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%ld:%lld \"},\"logprobs\":null,"
			"\"finish_reason\":null}]}\n\n",
			s->sent, (long long)now_us());
	}
	send_all(s, text, (size_t)length);
	if (s->sent == tokens) {
		static const char end[] =
			"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"bench\","
			"\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
		send_all(s, end, sizeof end - 1);
		s->due_us = -1;
	}
}

static void answer(struct stream *s) {
	static const char models[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 60\r\n\r\n"
				     "{\"object\":\"list\",\"data\":[{\"id\":\"bench\",\"object\":\"model\"}]}   ";
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
	if (strncmp(s->request, "GET ", 4) == 0) {
		send_all(s, models, sizeof models - 1);
		s->received = 0;
		return;
	}
	send_all(s, head, sizeof head - 1);
	s->streaming = true;
	/* Spread over the period, as independent streams are. */
	s->due_us = now_us() + rand() % (1000000 * per_write / rate);
}

static void on_readable(struct stream *s) {
	ssize_t got = recv(s->fd, s->request + s->received, sizeof s->request - 1 - s->received, 0);
	if (got <= 0) {
		s->due_us = -1;
		s->streaming = true;
		return;
	}
	s->received += (size_t)got;
	s->request[s->received] = '\0';
	const char *body = strstr(s->request, "\r\n\r\n");
	const char *length = strcasestr(s->request, "content-length:");
	if (!s->streaming && body &&
	    s->received >= (size_t)(body + 4 - s->request) + (length ? strtoul(length + 15, NULL, 10) : 0)) {
		answer(s);
	}
}

int main(int argc, char **argv) {
	if (argc != 4) {
		fprintf(stderr, "usage: upstream RATE TOKENS PER_WRITE\n");
		return 2;
	}
	rate = atol(argv[1]);
	tokens = atol(argv[2]);
	per_write = atol(argv[3]);
	int listener = listen_and_tell(), epoll = epoll_create1(EPOLL_CLOEXEC);
	watch(epoll, listener, NULL);
	for (;;) {
		struct epoll_event events[256];
		int count = epoll_wait(epoll, events, 256, 1);
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr) {
				on_readable(events[i].data.ptr);
				continue;
			}
			int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
			if (fd >= 0) {
				struct stream *s = calloc(1, sizeof *s);
				s->fd = fd;
				set_nodelay(fd);
				streams[stream_count++] = s;
				watch(epoll, fd, s);
			}
		}
		int64_t now = now_us();
		for (size_t i = 0; i < stream_count;) {
			struct stream *s = streams[i];
			if (s->streaming && s->due_us >= 0 && s->due_us <= now) {
				send_tokens(s);
				s->due_us = s->due_us < 0 ? -1 : s->due_us + 1000000 * per_write / rate;
			}
			if (s->streaming && s->due_us < 0) {
				drop(i);
			} else {
				i++;
			}
		}
	}
}
