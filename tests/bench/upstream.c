/* A Chat Completions server that streams at a steady pace: upstream [RATE TOKENS PER_WRITE] [--tick US] [--close]
 * Every token is "NUMBER:MICROSECOND ", when it was made, so that a reader knows its age. Prints its port.
 *
 * A request may ask for other figures than the command line: what follows the last "bench " in its body, such as
 * "bench rate=50 tokens=500 burst=1 now=1 pad=0 gap=0 halt=0". `burst`: tokens in one write; `now`: the first token comes at
 * once, and not at a random moment of the period, as it does so that streams are spread as independent ones are; `pad`: so
 * many bytes are added to each token; `gap`: milliseconds between two writes in place of what rate and burst give; `halt`:
 * behind so many tokens nothing comes for an hour.
 *
 * --tick US lets tokens come only at multiples of so many microseconds: those of all streams together.
 * Answers are chunked on a connection that is kept, as today's model servers have them; with --close they end with it. */
#include "bench.h"

#define HOUR_US (3600 * (int64_t)1000000)

struct pace {
	long rate, tokens, burst, now, pad, gap, halt;
};

struct text {
	char *bytes;
	size_t length, capacity;
};

struct stream {
	int fd;
	bool streaming, closing;
	bool blocked; /* the socket took no more: it is watched for writing */
	struct pace pace;
	long sent;
	int64_t due_us;
	size_t place; /* in the heap, while it streams */
	struct text in, out;
	size_t out_done;
};

static struct pace standard = {50, 500, 1, 0, 0, 0, 0};
static int64_t tick_us;
static bool close_after;
static int epoll;

/* --- streams by the moment of their next token: a binary heap --------------------------------------------------------- */

static struct stream **heap;
static size_t heap_count, heap_capacity;

static void put(struct stream *s, size_t place) {
	heap[place] = s;
	s->place = place;
}

static void settle(struct stream *s, size_t place) {
	while (place > 0 && heap[(place - 1) / 2]->due_us > s->due_us) {
		put(heap[(place - 1) / 2], place);
		place = (place - 1) / 2;
	}
	for (;;) {
		size_t child = 2 * place + 1;
		if (child + 1 < heap_count && heap[child + 1]->due_us < heap[child]->due_us) {
			child++;
		}
		if (child >= heap_count || heap[child]->due_us >= s->due_us) {
			break;
		}
		put(heap[child], place);
		place = child;
	}
	put(s, place);
}

static void heap_add(struct stream *s) {
	if (heap_count == heap_capacity) {
		heap_capacity = heap_capacity ? 2 * heap_capacity : 64;
		heap = need(realloc(heap, heap_capacity * sizeof(struct stream *)));
	}
	settle(s, heap_count++);
}

static void heap_remove(struct stream *s) {
	struct stream *last = heap[--heap_count];
	if (last != s) {
		settle(last, s->place);
	}
}

/* --- writing ------------------------------------------------------------------------------------------------------------ */

static void add(struct text *t, const char *bytes, size_t length) {
	if (t->length + length + 1 > t->capacity) {
		t->capacity = 2 * (t->length + length + 1);
		t->bytes = need(realloc(t->bytes, t->capacity));
	}
	memcpy(t->bytes + t->length, bytes, length);
	t->length += length;
	t->bytes[t->length] = '\0';
}

static void drop_text(struct text *t) {
	free(t->bytes);
	*t = (struct text){0};
}

static void drop(struct stream *s) {
	if (s->streaming) {
		heap_remove(s);
	}
	close(s->fd);
	drop_text(&s->in);
	drop_text(&s->out);
	free(s);
}

static void want(struct stream *s, uint32_t events) {
	struct epoll_event event = {.events = events, .data.ptr = s};
	epoll_ctl(epoll, EPOLL_CTL_MOD, s->fd, &event);
}

/* Writes what the socket takes. What it does not take waits, and the stream goes on making tokens: a relay that lags
 * lags, and the ages tell. False when the other side is gone. */
static bool flush(struct stream *s) {
	while (s->out_done < s->out.length) {
		ssize_t sent = send(s->fd, s->out.bytes + s->out_done, s->out.length - s->out_done, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN) {
			return false;
		}
		if (sent < 0) {
			if (!s->blocked) {
				want(s, EPOLLIN | EPOLLOUT);
			}
			s->blocked = true;
			return true;
		}
		s->out_done += (size_t)sent;
	}
	s->out.length = s->out_done = 0;
	if (s->blocked) {
		want(s, EPOLLIN);
	}
	s->blocked = false;
	return !s->closing;
}

/* One piece of an answer, as a chunk of its own unless the answer ends with the connection. */
static void add_piece(struct stream *s, const char *bytes, size_t length) {
	char head[32];
	if (close_after) {
		add(&s->out, bytes, length);
		return;
	}
	add(&s->out, head, (size_t)snprintf(head, sizeof head, "%zx\r\n", length));
	add(&s->out, bytes, length);
	add(&s->out, "\r\n", 2);
}

/* --- answers ------------------------------------------------------------------------------------------------------------ */

static void schedule(struct stream *s, int64_t due_us) {
	s->due_us = tick_us ? (due_us + tick_us - 1) / tick_us * tick_us : due_us;
}

static int64_t period_us(const struct pace *p) {
	return p->gap > 0 ? (int64_t)p->gap * 1000 : 1000000 * p->burst / p->rate;
}

static void add_tokens(struct stream *s) {
	static struct text text;
	text.length = 0;
	for (long i = 0; i < s->pace.burst && s->sent < s->pace.tokens; i++, s->sent++) {
		char piece[400];
		add(&text, piece,
		    (size_t)snprintf(
			    piece, sizeof piece,
			    "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"bench\","
			    "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%ld:%lld ",
			    s->sent, (long long)now_us()));
		for (long pad = s->pace.pad; pad > 0; pad -= 64) {
			add(&text, "................................................................",
			    (size_t)(pad < 64 ? pad : 64));
		}
		static const char rest[] = "\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n";
		add(&text, rest, sizeof rest - 1);
	}
	add_piece(s, text.bytes, text.length);
}

/* The stream's next tokens, and the end behind the last. False when the connection is over. */
static bool go_on(struct stream *s) {
	static const char end[] =
		"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"bench\","
		"\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
	add_tokens(s);
	if (s->sent < s->pace.tokens) {
		schedule(s, s->due_us + (s->sent == s->pace.halt ? HOUR_US : period_us(&s->pace)));
		settle(s, s->place);
		return flush(s);
	}
	heap_remove(s);
	s->streaming = false;
	add_piece(s, end, sizeof end - 1);
	if (!close_after) {
		add(&s->out, "0\r\n\r\n", 5);
	}
	s->closing = close_after;
	return flush(s);
}

/* What the body asks for: "bench key=value key=value". */
static struct pace asked(const char *body) {
	struct pace pace = standard;
	const char *found = NULL;
	for (const char *at = strstr(body, "bench "); at; at = strstr(at + 6, "bench ")) {
		found = at;
	}
	struct {
		const char *key;
		long *value;
	} const keys[] = {
		{" rate=", &pace.rate}, {" tokens=", &pace.tokens}, {" burst=", &pace.burst}, {" now=", &pace.now},
		{" pad=", &pace.pad},   {" gap=", &pace.gap},       {" halt=", &pace.halt},
	};
	for (size_t i = 0; found && i < sizeof keys / sizeof *keys; i++) {
		const char *value = strstr(found, keys[i].key);
		if (value) {
			*keys[i].value = atol(value + strlen(keys[i].key));
		}
	}
	pace.rate = pace.rate > 0 ? pace.rate : 1;
	pace.burst = pace.burst > 0 ? pace.burst : 1;
	return pace;
}

static bool answer(struct stream *s, const char *body) {
	static const char models[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 58\r\n\r\n"
				     "{\"object\":\"list\",\"data\":[{\"id\":\"bench\",\"object\":\"model\"}]}";
	static const char kept[] =
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
	static const char once[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
	if (strncmp(s->in.bytes, "GET ", 4) == 0) {
		add(&s->out, models, sizeof models - 1);
		return flush(s);
	}
	s->pace = asked(body);
	s->sent = 0;
	add(&s->out, close_after ? once : kept, close_after ? sizeof once - 1 : sizeof kept - 1);
	s->streaming = true;
	double part = s->pace.now ? 0 : (double)rand() / RAND_MAX;
	schedule(s, now_us() + (int64_t)(part * (double)period_us(&s->pace)));
	heap_add(s);
	return flush(s);
}

static bool on_readable(struct stream *s) {
	char bytes[65536];
	ssize_t got = recv(s->fd, bytes, sizeof bytes, 0);
	if (got <= 0) {
		return got < 0 && errno == EAGAIN;
	}
	add(&s->in, bytes, (size_t)got);
	char *body = strstr(s->in.bytes, "\r\n\r\n");
	if (s->streaming || !body) {
		return true;
	}
	body += 4;
	size_t head = (size_t)(body - s->in.bytes);
	const char *length = strcasestr(s->in.bytes, "content-length:");
	const char *chunked = strcasestr(s->in.bytes, "transfer-encoding: chunked");
	if (chunked && chunked < body) {
		if (!strstr(body, "\r\n0\r\n\r\n")) {
			return true;
		}
	} else if (length && length < body && s->in.length < head + strtoul(length + 15, NULL, 10)) {
		return true;
	}
	bool alive = answer(s, body);
	if (alive) {
		drop_text(&s->in);
	}
	return alive;
}

/* --- the loop ----------------------------------------------------------------------------------------------------------- */

static void accept_all(int listener) {
	int fd;
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct stream *s = need(calloc(1, sizeof *s));
		s->fd = fd;
		set_nodelay(fd);
		watch(epoll, fd, s);
	}
}

static void read_options(int argc, char **argv) {
	long *const figures[] = {&standard.rate, &standard.tokens, &standard.burst};
	size_t given = 0;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--close") == 0) {
			close_after = true;
		} else if (strcmp(argv[i], "--tick") == 0 && i + 1 < argc) {
			tick_us = atol(argv[++i]);
		} else if (given < 3 && atol(argv[i]) > 0) {
			*figures[given++] = atol(argv[i]);
		} else {
			fprintf(stderr, "usage: upstream [RATE TOKENS PER_WRITE] [--tick US] [--close]\n");
			exit(2);
		}
	}
}

int main(int argc, char **argv) {
	read_options(argc, argv);
	exact_timers();
	int listener = listen_and_tell();
	epoll = epoll_create1(EPOLL_CLOEXEC);
	watch(epoll, listener, NULL);
	for (;;) {
		struct epoll_event events[256];
		int count = wait_until(epoll, events, 256, heap_count > 0 ? heap[0]->due_us : -1);
		for (int i = 0; i < count; i++) {
			struct stream *s = events[i].data.ptr;
			if (!s) {
				accept_all(listener);
			} else if (((events[i].events & EPOLLOUT) && !flush(s)) ||
				   ((events[i].events & ~(uint32_t)EPOLLOUT) && !on_readable(s))) {
				drop(s);
			}
		}
		for (int64_t now = now_us(); heap_count > 0 && heap[0]->due_us <= now;) {
			struct stream *s = heap[0];
			if (!go_on(s)) {
				drop(s);
			}
		}
	}
}
