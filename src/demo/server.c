#include "server.h"

#include <libwebsockets.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"

#include "completion.h"

#define BODY_MAX (4u << 20)
#define HEADERS_MAX 1024

struct server {
	struct lws_context *context;
	struct lws_vhost *vhost;
	int64_t pace_us; /* between two words */
	bool stopping;
};

/* One request and its answer; libwebsockets allocates it, zeroed. */
struct exchange {
	struct buf body;
	struct buf out; /* LWS_PRE bytes of room, then what is to be written */
	struct completion *completion;
	int64_t due_us; /* when the next word is to come */
	bool headed;    /* the head of the answer is out */
};

static void exchange_clear(struct exchange *x) {
	buf_free(&x->body);
	buf_free(&x->out);
	completion_free(&x->completion);
	*x = (struct exchange){0};
}

static void out_start(struct buf *out) {
	static const char room[LWS_PRE];
	buf_clear(out);
	buf_append(out, room, sizeof room);
}

static int write_head(struct lws *wsi, unsigned int status, const char *type, lws_filepos_t length) {
	unsigned char head[LWS_PRE + HEADERS_MAX];
	unsigned char *start = head + LWS_PRE;
	unsigned char *at = start;
	unsigned char *end = head + sizeof head;
	if (lws_add_http_common_headers(wsi, status, type, length, &at, end) ||
	    lws_finalize_write_http_header(wsi, start, &at, end)) {
		return -1;
	}
	return 0;
}

/* Sends the head; the body, already in x->out, follows when the socket can take it. */
static int respond(struct lws *wsi, struct exchange *x, unsigned int status) {
	if (x->out.failed || write_head(wsi, status, "application/json", x->out.length - LWS_PRE) != 0) {
		return -1;
	}
	x->headed = true;
	lws_callback_on_writable(wsi);
	return 0;
}

static int respond_error(struct lws *wsi, struct exchange *x, unsigned int status, const char *message) {
	out_start(&x->out);
	struct json_writer w = json_writer(&x->out);
	jw_object(&w);
	jw_key(&w, "error");
	jw_object(&w);
	jw_key(&w, "message");
	jw_text(&w, message);
	jw_key(&w, "type");
	jw_text(&w, status < 500 ? "invalid_request_error" : "server_error");
	jw_key(&w, "param");
	jw_null(&w);
	jw_key(&w, "code");
	jw_null(&w);
	jw_object_end(&w);
	jw_object_end(&w);
	return respond(wsi, x, status);
}

static int respond_models(struct lws *wsi, struct exchange *x) {
	out_start(&x->out);
	buf_append_text(&x->out, "{\"object\":\"list\",\"data\":[{\"id\":\"" DEMO_MODEL "\",\"object\":\"model\","
				 "\"created\":1767225600,\"owned_by\":\"sluice (a demo, not a language model)\"}]}");
	return respond(wsi, x, HTTP_STATUS_OK);
}

static int on_request(struct lws *wsi, struct exchange *x, const char *path) {
	bool get = lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0;
	bool post = lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0;
	exchange_clear(x);
	if (strcmp(path, "/v1/models") == 0) {
		return get ? respond_models(wsi, x) : respond_error(wsi, x, HTTP_STATUS_METHOD_NOT_ALLOWED, "use GET");
	}
	if (strcmp(path, "/v1/chat/completions") == 0) {
		return post ? 0 : respond_error(wsi, x, HTTP_STATUS_METHOD_NOT_ALLOWED, "use POST");
	}
	return respond_error(wsi, x, HTTP_STATUS_NOT_FOUND, "this demo has /v1/models and /v1/chat/completions only");
}

static int on_body(struct lws *wsi, struct exchange *x, const void *bytes, size_t length) {
	if (x->headed) {
		return 0;
	}
	if (x->body.length + length > BODY_MAX) {
		return respond_error(wsi, x, HTTP_STATUS_REQ_ENTITY_TOO_LARGE, "the request is too large");
	}
	buf_append(&x->body, bytes, length);
	return x->body.failed ? -1 : 0;
}

static int on_whole_body(struct lws *wsi, struct exchange *x) {
	if (x->headed) {
		return 0;
	}
	struct err err = {0};
	x->completion = completion_new(buf_str(&x->body), clock_wall_ms(clock_system()), &err);
	buf_free(&x->body);
	if (!x->completion) {
		bool theirs = err.code == ERR_INVALID;
		return respond_error(wsi, x, theirs ? HTTP_STATUS_BAD_REQUEST : HTTP_STATUS_INTERNAL_SERVER_ERROR,
				     err.text);
	}
	if (!completion_streams(x->completion)) {
		out_start(&x->out);
		completion_write(x->completion, &x->out);
		completion_free(&x->completion);
		return respond(wsi, x, HTTP_STATUS_OK);
	}
	if (write_head(wsi, HTTP_STATUS_OK, "text/event-stream", LWS_ILLEGAL_HTTP_CONTENT_LEN) != 0) {
		return -1;
	}
	x->headed = true;
	x->due_us = clock_monotonic_us(clock_system());
	/* A slow answer is not a hung connection. */
	lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
	lws_callback_on_writable(wsi);
	return 0;
}

static int write_out(struct lws *wsi, struct exchange *x, enum lws_write_protocol kind) {
	size_t length = x->out.length - LWS_PRE;
	return lws_write(wsi, (unsigned char *)x->out.data + LWS_PRE, length, kind) < (int)length ? -1 : 0;
}

static int finish(struct lws *wsi, struct exchange *x) {
	exchange_clear(x);
	return lws_http_transaction_completed(wsi) ? -1 : 0;
}

/* Asks to be called when the next event of the stream is due. */
static void schedule(struct lws *wsi, const struct server *server, struct exchange *x) {
	if (!completion_speaks(x->completion)) {
		lws_callback_on_writable(wsi);
		return;
	}
	int64_t now = clock_monotonic_us(clock_system());
	x->due_us += server->pace_us;
	if (x->due_us <= now) {
		lws_callback_on_writable(wsi);
		return;
	}
	lws_set_timer_usecs(wsi, x->due_us - now);
}

static int on_writable(struct lws *wsi, const struct server *server, struct exchange *x) {
	if (!x->headed) {
		return 0;
	}
	if (!x->completion) {
		return write_out(wsi, x, LWS_WRITE_HTTP_FINAL) != 0 ? -1 : finish(wsi, x);
	}
	out_start(&x->out);
	if (!completion_next(x->completion, &x->out)) {
		return finish(wsi, x);
	}
	if (x->out.failed || write_out(wsi, x, LWS_WRITE_HTTP) != 0) {
		return -1;
	}
	schedule(wsi, server, x);
	return 0;
}

static int http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length) {
	struct exchange *x = user;
	switch (reason) {
	case LWS_CALLBACK_HTTP:
		return on_request(wsi, x, in);
	case LWS_CALLBACK_HTTP_BODY:
		return on_body(wsi, x, in, length);
	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
		return on_whole_body(wsi, x);
	case LWS_CALLBACK_TIMER:
		lws_callback_on_writable(wsi);
		return 0;
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return on_writable(wsi, lws_context_user(lws_get_context(wsi)), x);
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		return -1;
	case LWS_CALLBACK_CLOSED_HTTP:
	case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
		if (x) {
			exchange_clear(x);
		}
		return 0;
	default:
		return 0;
	}
}

static int signal_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length) {
	(void)user;
	(void)in;
	(void)length;
	if (reason == LWS_CALLBACK_RAW_RX_FILE) {
		struct server *server = lws_context_user(lws_get_context(wsi));
		server->stopping = true;
		return -1;
	}
	return 0;
}

static const struct lws_protocols protocols[] = {
	{.name = "http", .callback = http_callback, .per_session_data_size = sizeof(struct exchange)},
	{.name = "signals", .callback = signal_callback},
	{0},
};

static int listen_to_signals(struct server *server, struct err *err) {
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0) {
		return err_set(err, ERR_IO, "sigprocmask: %s", strerror(errno));
	}
	lws_sock_file_fd_type descriptor = {.filefd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC)};
	if (descriptor.filefd < 0) {
		return err_set(err, ERR_IO, "signalfd: %s", strerror(errno));
	}
	if (!lws_adopt_descriptor_vhost(server->vhost, LWS_ADOPT_RAW_FILE_DESC, descriptor, "signals", NULL)) {
		close(descriptor.filefd);
		return err_set(err, ERR_MEMORY, "the signals can't be watched");
	}
	return 0;
}

struct server *server_new(const struct server_options *options, struct err *err) {
	struct server *server = mem_zalloc(sizeof *server);
	if (!server) {
		err_set(err, ERR_MEMORY, "out of memory");
		return NULL;
	}
	server->pace_us = 1000000 / options->words_per_second;
	lws_set_log_level(LLL_ERR, NULL);
	struct lws_context_creation_info info = {
		.port = options->port,
		.iface = options->address,
		.protocols = protocols,
		.user = server,
		.alpn = "http/1.1",
		.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND,
	};
	server->context = lws_create_context(&info);
	server->vhost = server->context ? lws_create_vhost(server->context, &info) : NULL;
	if (!server->vhost) {
		err_set(err, ERR_IO, "can't listen on %s:%d", options->address, options->port);
		goto server;
	}
	if (listen_to_signals(server, err) != 0) {
		goto server;
	}
	return server;
server:
	server_free(&server);
	return NULL;
}

int server_port(const struct server *server) {
	return lws_get_vhost_listen_port(server->vhost);
}

void server_run(struct server *server) {
	while (!server->stopping && lws_service(server->context, 0) >= 0) {
	}
}

void server_free(struct server **server) {
	if (*server) {
		if ((*server)->context) {
			lws_context_destroy((*server)->context);
		}
		mem_free(*server);
		*server = NULL;
	}
}
