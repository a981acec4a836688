#include "client.h"

char client_complaint[400];

static void say_end(struct client *c, enum client_end end) {
	if (c->ended) {
		return;
	}
	c->ended = true;
	if (end == CLIENT_COMPLETED && c->state == CLIENT_STREAMING) {
		c->state = CLIENT_OPEN;
	}
	c->plan->on_end(c, end);
}

void client_close(struct client *c) {
	if (c->state != CLIENT_CLOSED) {
		c->state = CLIENT_CLOSED;
		close(c->fd);
	}
}

static void lose(struct client *c, enum client_end end) {
	client_close(c);
	say_end(c, end);
}

static void complain(const char *bytes, size_t length) {
	if (!client_complaint[0]) {
		snprintf(client_complaint, sizeof client_complaint, "%.*s", (int)(length < 350 ? length : 350), bytes);
	}
}

/* --- writing ------------------------------------------------------------------------------------------------------------ */

static void send_bytes(struct client *c, const void *bytes, size_t length) {
	if (send(c->fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length) {
		c->unreadable = true; /* the next read says why */
	}
}

static void send_frame(struct client *c, int opcode, const char *text, size_t length) {
	uint8_t frame[1024] = {(uint8_t)(0x80 | opcode)};
	size_t at = 2;
	frame[1] = (uint8_t)(0x80 | (length < 126 ? length : 126));
	if (length >= 126) {
		frame[at++] = (uint8_t)(length >> 8);
		frame[at++] = (uint8_t)length;
	}
	at += 4; /* a mask of zeros leaves the text as it is */
	memcpy(frame + at, text, length);
	send_bytes(c, frame, at + length);
}

static void send_upgrade(struct client *c) {
	char text[512];
	int length = snprintf(text, sizeof text,
			      "GET /v1/responses HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
			      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
			      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer %s\r\n\r\n",
			      c->plan->port, c->plan->key);
	send_bytes(c, text, (size_t)length);
}

static void send_post(struct client *c) {
	char text[1200], body[600];
	bool raw = c->plan->mode == CLIENT_RAW;
	int size =
		raw ? snprintf(
			      body, sizeof body,
			      "{\"model\":\"bench\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}",
			      c->plan->input)
		    : snprintf(body, sizeof body, "{\"model\":\"bench\",\"stream\":true,\"store\":%s,\"input\":\"%s\"}",
			       c->plan->unstored ? "false" : "true", c->plan->input);
	int length = snprintf(text, sizeof text,
			      "POST /v1/%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %s\r\n"
			      "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			      raw ? "chat/completions" : "responses", c->plan->port, c->plan->key, size, body);
	send_bytes(c, text, (size_t)length);
}

void client_ask(struct client *c, long tokens) {
	char text[700];
	c->tokens = tokens;
	c->next = c->text = 0;
	c->ended = c->in_stamp = false;
	c->token = c->stamp = 0;
	c->state = CLIENT_ASKED;
	c->ask_us = now_us();
	if (c->plan->mode == CLIENT_WS) {
		int length =
			snprintf(text, sizeof text,
				 "{\"type\":\"response.create\",\"model\":\"bench\",\"store\":%s,\"input\":\"%s\"}",
				 c->plan->unstored ? "false" : "true", c->plan->input);
		send_frame(c, 1, text, (size_t)length);
	} else {
		send_post(c);
	}
}

void client_connect(struct client *c, const struct client_plan *plan, int number) {
	long tokens = c->tokens;
	void *user = c->user;
	*c = (struct client){.plan = plan, .number = number, .tokens = tokens, .user = user};
	struct sockaddr_in address = loopback(plan->port), from = loopback(0);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		die("socket");
	}
	set_nodelay(c->fd);
	if (plan->sources > 1) {
		int one = 1;
		setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
		from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(number % plan->sources));
		if (bind(c->fd, (struct sockaddr *)&from, sizeof from)) {
			die("bind");
		}
	}
	c->state = CLIENT_CONNECTING;
	c->connect_us = now_us();
	if (connect(c->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) {
		complain(strerror(errno), strlen(strerror(errno)));
		lose(c, CLIENT_REFUSED);
		return;
	}
	struct epoll_event event = {.events = EPOLLOUT, .data.ptr = c};
	if (epoll_ctl(plan->epoll, EPOLL_CTL_ADD, c->fd, &event)) {
		die("epoll_ctl");
	}
}

static void on_connected(struct client *c) {
	int error = 0;
	socklen_t size = sizeof error;
	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error) {
		complain(strerror(error), strlen(strerror(error)));
		lose(c, CLIENT_REFUSED);
		return;
	}
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
	epoll_ctl(c->plan->epoll, EPOLL_CTL_MOD, c->fd, &event);
	if (c->plan->mode == CLIENT_WS) {
		c->state = CLIENT_OPENING;
		send_upgrade(c);
	} else {
		c->open_us = now_us();
		client_ask(c, c->tokens);
	}
}

/* --- the text of events ------------------------------------------------------------------------------------------------- */

/* Whether `key` has just ended. Of our keys only the first byte, a quote, can begin another. */
static bool match(int *matched, const char *key, char byte) {
	if (byte != key[*matched]) {
		*matched = byte == key[0];
		return false;
	}
	(*matched)++;
	if (key[*matched]) {
		return false;
	}
	*matched = 0;
	return true;
}

static void on_token(struct client *c, int64_t now) {
	if (c->token != c->next) {
		complain("a token is out of order", 23);
		lose(c, CLIENT_FAILED);
		return;
	}
	if (c->next++ == 0) {
		c->first_us = now;
		c->state = CLIENT_STREAMING;
	}
	c->plan->on_token(c, now - c->stamp);
}

static void on_type(struct client *c) {
	c->type[c->type_length] = '\0';
	if (strcmp(c->type, "response.completed") == 0) {
		say_end(c, c->next == c->tokens ? CLIENT_COMPLETED : CLIENT_FAILED);
	} else if (strcmp(c->type, "error") == 0 || strcmp(c->type, "response.failed") == 0 ||
		   strcmp(c->type, "response.incomplete") == 0) {
		complain(c->type, c->type_length);
		say_end(c, CLIENT_FAILED);
	}
}

static void on_delta_byte(struct client *c, char byte, int64_t now) {
	if (byte == '"') {
		c->in_delta = false; /* what is begun of a token goes on in the next delta */
		return;
	}
	c->text++;
	if (byte >= '0' && byte <= '9') {
		long long *value = c->in_stamp ? &c->stamp : &c->token;
		*value = *value * 10 + (byte - '0');
	} else if (byte == ':') {
		c->in_stamp = true;
	} else if (byte == ' ') {
		on_token(c, now);
		c->in_stamp = false;
		c->token = c->stamp = 0;
	}
}

static void on_text(struct client *c, const char *bytes, size_t length, int64_t now) {
	const char *delta = c->plan->mode == CLIENT_RAW ? "\"content\":\"" : "\"delta\":\"";
	for (size_t i = 0; i < length && c->state != CLIENT_CLOSED; i++) {
		char byte = bytes[i];
		if (c->in_delta) {
			on_delta_byte(c, byte, now);
		} else if (c->in_type) {
			if (byte == '"') {
				c->in_type = false;
				on_type(c);
			} else if (c->type_length < sizeof c->type - 1) {
				c->type[c->type_length++] = byte;
			}
		} else if (c->plan->mode == CLIENT_RAW && match(&c->matched[MATCH_DONE], "[DONE]", byte)) {
			say_end(c, c->next == c->tokens ? CLIENT_COMPLETED : CLIENT_FAILED);
		} else {
			c->in_delta = match(&c->matched[MATCH_DELTA], delta, byte);
			c->in_type = match(&c->matched[MATCH_TYPE], "\"type\":\"", byte);
			c->type_length = 0;
		}
	}
}

/* --- framing ------------------------------------------------------------------------------------------------------------ */

static size_t frame_head_length(const struct client *c) {
	if (c->head_length < 2) {
		return 2;
	}
	int size = c->head[1] & 0x7f;
	return size == 126 ? 4 : size == 127 ? 10 : 2;
}

static void on_frame_head(struct client *c) {
	size_t length = c->head_length;
	c->left = c->head[1] & 0x7f;
	if (length > 2) {
		c->left = 0;
		for (size_t i = 2; i < length; i++) {
			c->left = c->left << 8 | c->head[i];
		}
	}
	c->control_length = 0;
}

static void on_frame_end(struct client *c) {
	int opcode = c->head[0] & 0x0f;
	c->head_length = 0;
	if (opcode == 9) {
		send_frame(c, 10, (const char *)c->control, c->control_length);
	} else if (opcode == 8) {
		complain("the server closed the WebSocket", 31);
		lose(c, CLIENT_FAILED);
	}
}

static void on_frames(struct client *c, const char *bytes, size_t length, int64_t now) {
	size_t at = 0;
	while (at < length && c->state != CLIENT_CLOSED) {
		if (c->left == 0) {
			c->head[c->head_length++] = (uint8_t)bytes[at++];
			if (c->head_length < frame_head_length(c)) {
				continue;
			}
			on_frame_head(c);
		} else {
			size_t part = length - at < c->left ? length - at : (size_t)c->left;
			if ((c->head[0] & 0x0f) < 3) {
				on_text(c, bytes + at, part, now);
			} else if (c->control_length + part <= sizeof c->control) {
				memcpy(c->control + c->control_length, bytes + at, part);
				c->control_length += part;
			}
			at += part;
			c->left -= part;
		}
		if (c->left == 0 && c->state != CLIENT_CLOSED) {
			on_frame_end(c);
		}
	}
}

/* A chunk's size stands in a line of its own; an empty line ends the chunk before. */
static void on_size_byte(struct client *c, char byte) {
	if (byte == '\n') {
		c->left = c->line > 0 ? c->size : 0;
		c->line = 0;
		c->size = 0;
	} else if (byte != '\r') {
		c->size = c->size * 16 + (uint64_t)(byte <= '9' ? byte - '0' : (byte | 32) - 'a' + 10);
		c->line++;
	}
}

static void on_chunks(struct client *c, const char *bytes, size_t length, int64_t now) {
	size_t at = 0;
	while (at < length && c->state != CLIENT_CLOSED) {
		if (c->left == 0) {
			on_size_byte(c, bytes[at++]);
			continue;
		}
		size_t part = length - at < c->left ? length - at : (size_t)c->left;
		on_text(c, bytes + at, part, now);
		at += part;
		c->left -= part;
	}
}

/* Takes the header; gives how many bytes of it there were. */
static size_t on_header(struct client *c, const char *bytes, size_t length) {
	static const char chunked[] = "chunked";
	size_t at = 0;
	while (at < length && !c->headers_done) {
		char byte = bytes[at++];
		if (c->head_length < 12) {
			c->head[c->head_length++] = (uint8_t)byte;
			c->status = c->head_length == 12
					    ? atoi((char[]){(char)c->head[9], (char)c->head[10], byte, '\0'})
					    : 0;
		}
		if (match(&c->matched_chunked, chunked, byte)) {
			c->chunked = true;
		}
		if (byte == '\n') {
			c->headers_done = c->line == 0;
			c->line = 0;
		} else if (byte != '\r') {
			c->line++;
		}
	}
	if (!c->headers_done) {
		return at;
	}
	c->head_length = 0;
	if (c->status != (c->plan->mode == CLIENT_WS ? 101 : 200)) {
		complain(bytes, length);
		lose(c, CLIENT_REFUSED);
	} else if (c->plan->mode == CLIENT_WS) {
		c->open_us = now_us();
		c->state = CLIENT_OPEN;
		c->plan->on_open(c);
	}
	return at;
}

static void on_bytes(struct client *c, const char *bytes, size_t length) {
	int64_t now = now_us();
	if (!c->headers_done) {
		size_t taken = on_header(c, bytes, length);
		bytes += taken;
		length -= taken;
	}
	if (length == 0 || c->state == CLIENT_CLOSED) {
		return;
	}
	if (c->plan->mode == CLIENT_WS) {
		on_frames(c, bytes, length, now);
	} else if (c->chunked) {
		on_chunks(c, bytes, length, now);
	} else {
		on_text(c, bytes, length, now);
	}
}

void client_on_ready(struct client *c) {
	static char bytes[1 << 18];
	if (c->state == CLIENT_CONNECTING) {
		on_connected(c);
		return;
	}
	if (c->state == CLIENT_CLOSED) {
		return;
	}
	ssize_t got = recv(c->fd, bytes, sizeof bytes, 0);
	if (got > 0) {
		on_bytes(c, bytes, (size_t)got);
	} else if (got == 0 || errno != EAGAIN) {
		bool opening = c->state == CLIENT_OPENING || (c->state == CLIENT_ASKED && !c->headers_done);
		complain(got == 0 ? "the server closed" : strerror(errno), got == 0 ? 17 : strlen(strerror(errno)));
		lose(c, opening ? CLIENT_REFUSED : CLIENT_FAILED);
	}
}
