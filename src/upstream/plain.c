#include "plain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "dial.h"
#include "http_reader.h"
#include "idle.h"

/* One read takes what a few hundred tokens need. */
#define READ_SIZE 65536

enum { QUEUE_DIAL, QUEUE_CONNECT, QUEUE_ALL, QUEUE_IDLE, QUEUE_COUNT };

struct job;

struct plain {
	struct plain_deps deps;
	struct names *names;
	struct deadlines *deadlines;
	struct idle *idle;
	int64_t connect_timeout_ms;
	struct job *reading;    /* whose owner is being told; NULL: none, or it has been stopped meanwhile */
	char buffer[READ_SIZE]; /* of the read under way */
};

/* A transfer under way. */
struct job {
	struct plain *plain;
	struct transfer *transfer;
	struct plain_request request;
	struct dial *dial; /* while it connects */
	struct sock *sock; /* when it has */
	struct deadline deadline;
	struct http_reader reader;
	char length[48];  /* what ends the head */
	uint64_t written; /* of head, its end, and body */
	int64_t due_ms;   /* of the whole; 0: never */
	bool reused;      /* the connection had a request before */
	bool heard;       /* a byte of the answer has come */
	bool mute;        /* nothing can be written any more: what was answered decides */
	bool complete;    /* the answer has been read to its end */
};

/* --- life of a job ------------------------------------------------------------------------------------------------ */

static void job_finish(struct job *job, enum transfer_result result, const char *reason) {
	transfer_finish(job->transfer, result, reason);
}

static void job_close(struct job *job) {
	dial_cancel(&job->dial);
	deadline_clear(&job->deadline);
	sock_free(&job->sock);
}

static void job_stop(void *stopped) {
	struct job *job = stopped;
	if (job->complete && job->transfer->sent && job->reader.keeps_alive) {
		idle_put(job->plain->idle, job->sock);
		job->sock = NULL;
	}
	job_close(job);
	http_reader_free(&job->reader);
	if (job->plain->reading == job) {
		job->plain->reading = NULL;
	}
	mem_free(job);
}

static const struct transfer_driver driver = {.stop = job_stop};

static void on_deadline(struct deadline *deadline) {
	struct job *job = container_of(deadline, struct job, deadline);
	job_finish(job, TRANSFER_TIMEOUT, job->sock ? "no answer in time" : "no connection in time");
}

/* --- the request -------------------------------------------------------------------------------------------------- */

/* The part of `piece` that is not written yet, when `*written` bytes are of all that begins with it. */
static struct iovec part(struct str piece, uint64_t *written) {
	size_t skipped = *written < piece.length ? (size_t)*written : piece.length;
	*written -= skipped;
	struct str left = str_skip(piece, skipped);
	return (struct iovec){(char *)(uintptr_t)left.data, left.length};
}

static void job_write(struct job *job) {
	uint64_t written = job->written;
	struct iovec parts[3];
	parts[0] = part(job->request.head, &written);
	parts[1] = part(str_of(job->length), &written);
	parts[2] = part(job->request.body, &written);
	size_t left = parts[0].iov_len + parts[1].iov_len + parts[2].iov_len;
	const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
	ssize_t count = sendmsg(job->sock->fd, &message, MSG_NOSIGNAL);
	if (count >= 0) {
		job->written += (uint64_t)count;
		job->transfer->sent = (size_t)count == left;
	} else if (errno != EAGAIN && errno != EINTR) {
		job->mute = true;
	}
	bool goes_on = !job->transfer->sent && !job->mute;
	sock_watch(job->sock, goes_on ? UV_READABLE | UV_WRITABLE : UV_READABLE);
}

static void on_ready(struct sock *sock, int events);

/* There is a connection. */
static void job_send(struct job *job, struct sock *sock) {
	job->sock = sock;
	sock->owner = job;
	sock->ready = on_ready;
	deadline_clear(&job->deadline);
	if (job->due_ms) {
		deadline_set(job->plain->deadlines, &job->deadline, QUEUE_ALL, job->due_ms);
	}
	job_write(job);
}

static void on_dialled(void *owner, struct sock *sock, enum transfer_result result, const char *reason) {
	struct job *job = owner;
	job->dial = NULL;
	if (sock) {
		job_send(job, sock);
	} else {
		job_finish(job, result, reason);
	}
}

static int job_dial(struct job *job, struct err *err) {
	struct plain *plain = job->plain;
	const struct dial_deps deps = {plain->deps.loop, plain->names, plain->deadlines, QUEUE_DIAL};
	job->dial = dial_start(&deps, on_dialled, job, err);
	if (!job->dial) {
		return -1;
	}
	int64_t due_ms = deadlines_now_ms(plain->deadlines) + plain->connect_timeout_ms;
	if (job->due_ms && job->due_ms < due_ms) {
		due_ms = job->due_ms;
	}
	deadline_set(plain->deadlines, &job->deadline, QUEUE_CONNECT, due_ms);
	return 0;
}

/* A connection that was kept was closed by its server before it brought a byte of the answer: the server closes idle
 * connections too, and has not seen this request. On a new one it is sent again, once. */
static void job_repeat(struct job *job) {
	struct transfer *transfer = job->transfer;
	job_close(job);
	job->reused = false;
	job->mute = false;
	job->written = 0;
	transfer->sent = false;
	if (transfer->events->repeated) {
		transfer->events->repeated(transfer);
	}
	if (job_dial(job, NULL)) {
		job_finish(job, TRANSFER_MEMORY, "no memory for a connection");
	}
}

/* --- the answer --------------------------------------------------------------------------------------------------- */

static void take_head(const struct job *job) {
	struct transfer_head *head = &job->transfer->head;
	head->status = job->reader.status;
	head->type = job->reader.type;
	head->retry_after_s = job->reader.retry_after_s;
	if (job->reader.retry_at_s) {
		int64_t wait_s = job->reader.retry_at_s - clock_wall_ms(job->plain->deps.clock) / 1000;
		head->retry_after_s = wait_s > 0 ? wait_s : 0;
	}
}

/* The body's pieces of one read are moved together, over the framing between them: usually there is only one. */
static void join(struct str *body, struct str piece) {
	if (body->length == 0) {
		*body = piece;
	} else {
		memmove((char *)(uintptr_t)body->data + body->length, piece.data, piece.length);
		body->length += piece.length;
	}
}

/* What one read brought. HTTP_READ_MORE, _END, _BAD or _MEMORY; *body is what it held of the body. */
static enum http_read job_parse(struct job *job, struct str bytes, struct str *body) {
	for (;;) {
		struct str piece;
		enum http_read read = http_reader_next(&job->reader, &bytes, &piece);
		if (read == HTTP_READ_BODY) {
			join(body, piece);
		} else if (read == HTTP_READ_HEAD) {
			take_head(job);
		} else {
			if (read == HTTP_READ_END && bytes.length > 0) {
				job->reader.keeps_alive = false; /* nobody asked for more */
			}
			return read;
		}
	}
}

/* Hands the body on. false: the owner has stopped the transfer. */
static bool job_hand_on(struct job *job, struct str body) {
	if (body.length == 0) {
		return true;
	}
	struct plain *plain = job->plain;
	plain->reading = job;
	job->transfer->events->readable(job->transfer, body);
	bool goes_on = plain->reading == job;
	plain->reading = NULL;
	return goes_on;
}

static void job_take(struct job *job, struct str bytes) {
	struct str body = STR_NONE;
	job->heard = true;
	enum http_read read = job_parse(job, bytes, &body);
	job->complete = read == HTTP_READ_END;
	if (!job_hand_on(job, body)) {
		return;
	}
	switch (read) {
	case HTTP_READ_END:
		job_finish(job, TRANSFER_OK, "");
		break;
	case HTTP_READ_BAD:
		job_finish(job, TRANSFER_MALFORMED, "not an HTTP answer");
		break;
	case HTTP_READ_MEMORY:
		job_finish(job, TRANSFER_MEMORY, "no memory for an answer");
		break;
	default:
		break;
	}
}

/* The connection has ended; `failure` is how, 0: as it should. */
static void job_end(struct job *job, int failure) {
	if (failure == 0 && http_reader_ends(&job->reader)) {
		job_finish(job, TRANSFER_OK, "");
	} else if (job->reused && !job->heard) {
		job_repeat(job);
	} else {
		job_finish(job, TRANSFER_BROKEN,
			   failure ? uv_strerror(uv_translate_sys_error(failure))
				   : "closed before its answer was whole");
	}
}

static void job_read(struct job *job) {
	char *buffer = job->plain->buffer;
	ssize_t count = recv(job->sock->fd, buffer, READ_SIZE, 0);
	if (count > 0) {
		job_take(job, (struct str){buffer, (size_t)count});
	} else if (count == 0) {
		job_end(job, 0);
	} else if (errno != EAGAIN && errno != EINTR) {
		job_end(job, errno);
	}
}

static void on_ready(struct sock *sock, int events) {
	struct job *job = sock->owner;
	if (events & UV_WRITABLE && !job->transfer->sent && !job->mute) {
		job_write(job);
	}
	if (events & UV_READABLE) {
		job_read(job);
	}
}

/* --- the interface ------------------------------------------------------------------------------------------------ */

int plain_start(struct plain *plain, struct transfer *transfer, const struct plain_request *request, struct err *err) {
	struct job *job = mem_zalloc(sizeof *job);
	if (!job) {
		return err_set(err, ERR_MEMORY, "no memory for a transfer");
	}
	job->plain = plain;
	job->transfer = transfer;
	job->request = *request;
	job->deadline.passed = on_deadline;
	if (request->timeout_ms) {
		job->due_ms = deadlines_now_ms(plain->deadlines) + request->timeout_ms;
	}
	if (request->body.data) {
		snprintf(job->length, sizeof job->length, "Content-Length: %zu\r\n\r\n", request->body.length);
	} else {
		snprintf(job->length, sizeof job->length, "\r\n");
	}
	transfer_begin(transfer, &driver, job);
	struct sock *kept = idle_take(plain->idle);
	if (kept) {
		job->reused = true;
		job_send(job, kept);
	} else if (job_dial(job, err)) {
		transfer_stop(transfer);
		return -1;
	}
	return 0;
}

struct plain *plain_new(const struct plain_deps *deps, const char *host, uint16_t port, int64_t connect_timeout_ms,
			struct err *err) {
	struct plain *plain = mem_zalloc(sizeof *plain);
	if (!plain) {
		err_set(err, ERR_MEMORY, "no memory for an upstream's connections");
		return NULL;
	}
	plain->deps = *deps;
	plain->connect_timeout_ms = connect_timeout_ms;
	plain->names = names_new(deps->loop, deps->clock, host, port, err);
	plain->deadlines = deadlines_new(deps->loop, deps->clock, QUEUE_COUNT, err);
	plain->idle = plain->deadlines ? idle_new(plain->deadlines, QUEUE_IDLE) : NULL;
	if (!plain->names || !plain->idle) {
		err_set(err, ERR_MEMORY, "no memory for an upstream's connections");
		plain_free(&plain);
	}
	return plain;
}

void plain_free(struct plain **plain) {
	struct plain *old = *plain;
	if (!old) {
		return;
	}
	*plain = NULL;
	idle_free(&old->idle);
	names_free(&old->names);
	deadlines_free(&old->deadlines);
	mem_free(old);
}
