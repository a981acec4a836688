#include "multi.h"

#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"

#define INPUT_MAX (8 * 1024 * 1024)
/* Idle connections that one shard keeps for the next transfer; libcurl counts the busy ones in. */
#define SHARD_CONNECTIONS 8L
#define SHARD_IDLE_MS 60000

struct multi {
	uv_loop_t *loop;
	struct list shards;
	unsigned shard_size;
};

struct job;

struct shard {
	struct list link;
	struct multi *multi;
	CURLM *curl;
	uv_timer_t timer;    /* libcurl's next timeout */
	uv_timer_t idle;     /* runs while no transfer does */
	struct list ready;   /* jobs with new input, or starved */
	struct job *reading; /* whose owner is being told; NULL: none, or it has been stopped meanwhile */
	unsigned live;
	unsigned open_handles;
};

/* A transfer under way. */
struct job {
	struct shard *shard;
	struct transfer *transfer;
	CURL *easy;
	struct list ready;
	struct buf input; /* since libcurl was called */
	bool starved;     /* memory ran out inside libcurl */
	bool over;        /* libcurl is through with it */
};

/* A socket of libcurl's in the loop. */
struct watch {
	uv_poll_t poll;
	struct shard *shard;
	curl_socket_t fd;
	int events;
};

/* --- what rises from libcurl ------------------------------------------------------------------------------------ */

static void mark_ready(struct job *job) {
	if (!list_linked(&job->ready)) {
		list_append(&job->shard->ready, &job->ready);
	}
}

static struct job *job_of(CURL *easy) {
	char *job = NULL;
	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &job);
	return (struct job *)(void *)job;
}

static void on_idle(uv_timer_t *timer);

static void job_stop(void *stopped) {
	struct job *job = stopped;
	struct shard *shard = job->shard;
	if (!job->over) {
		/* libcurl 7.88 leaves the reset of an HTTP/2 stream unsent until something else moves on its connection.
		 * When nothing else is on it, it is closed this way. */
		curl_easy_setopt(job->easy, CURLOPT_FORBID_REUSE, 1L);
	}
	curl_multi_remove_handle(shard->curl, job->easy);
	curl_easy_cleanup(job->easy);
	list_remove(&job->ready);
	buf_free(&job->input);
	if (shard->reading == job) {
		shard->reading = NULL;
	}
	mem_free(job);
	if (--shard->live == 0) {
		uv_timer_start(&shard->idle, on_idle, SHARD_IDLE_MS, 0);
	}
}

static const struct transfer_driver driver = {.stop = job_stop};

static void take_head(const struct job *job) {
	long status = 0;
	char *type = NULL;
	curl_off_t retry_after_s = 0;
	curl_easy_getinfo(job->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(job->easy, CURLINFO_CONTENT_TYPE, &type);
	curl_easy_getinfo(job->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
	job->transfer->head = (struct transfer_head){
		.status = (int)status,
		.type = transfer_type_of(str_of(type)),
		.retry_after_s = retry_after_s,
	};
}

static enum transfer_result result_of(CURLcode code) {
	switch (code) {
	case CURLE_OK:
		return TRANSFER_OK;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_URL_MALFORMAT:
		return TRANSFER_UNKNOWN_HOST;
	case CURLE_COULDNT_CONNECT:
		return TRANSFER_UNCONNECTED;
	case CURLE_OPERATION_TIMEDOUT:
		return TRANSFER_TIMEOUT;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CRL_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_CLIENTCERT:
	case CURLE_SSL_ENGINE_INITFAILED:
	case CURLE_USE_SSL_FAILED:
		return TRANSFER_TLS;
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_HTTP2:
	case CURLE_BAD_CONTENT_ENCODING:
		return TRANSFER_MALFORMED;
	case CURLE_OUT_OF_MEMORY:
	case CURLE_WRITE_ERROR: /* our write callback refuses only when memory is out */
		return TRANSFER_MEMORY;
	default:
		return TRANSFER_BROKEN;
	}
}

static void hand_on(struct job *job) {
	struct shard *shard = job->shard;
	take_head(job);
	shard->reading = job;
	job->transfer->events->readable(job->transfer, buf_str(&job->input));
	if (shard->reading == job) {
		buf_clear(&job->input);
	}
	shard->reading = NULL;
}

/* libcurl has returned: its callbacks' harvest goes to the transfers. */
static void settle(struct shard *shard) {
	while (!list_empty(&shard->ready)) {
		struct job *job = container_of(shard->ready.next, struct job, ready);
		list_remove(&job->ready);
		if (job->starved) {
			transfer_finish(job->transfer, TRANSFER_MEMORY, curl_easy_strerror(CURLE_OUT_OF_MEMORY));
		} else {
			hand_on(job);
		}
	}
	CURLMsg *message;
	int left;
	while ((message = curl_multi_info_read(shard->curl, &left))) {
		if (message->msg == CURLMSG_DONE) {
			CURLcode code = message->data.result;
			struct job *job = job_of(message->easy_handle);
			job->over = true;
			take_head(job);
			transfer_finish(job->transfer, result_of(code),
					code == CURLE_OK ? "" : curl_easy_strerror(code));
		}
	}
}

/* It is handed on once per wake-up, and one wake-up brings what a socket holds; more comes only out of a transfer coding
 * that unpacks to very much. */
static size_t on_bytes(char *bytes, size_t size, size_t count, void *owner) {
	struct job *job = owner;
	if (job->input.length + size * count > INPUT_MAX) {
		return CURL_WRITEFUNC_ERROR;
	}
	buf_append(&job->input, bytes, size * count);
	if (job->input.failed) {
		job->starved = true;
	}
	mark_ready(job);
	return job->starved ? CURL_WRITEFUNC_ERROR : size * count;
}

static void on_poll(uv_poll_t *poll, int status, int events) {
	struct watch *watch = poll->data;
	struct shard *shard = watch->shard;
	if (status < 0) {
		/* libuv stops at an error. There may be data before it: libcurl reads on until it meets it itself. */
		events = UV_READABLE | UV_WRITABLE;
		uv_poll_start(poll, watch->events, on_poll);
	}
	int bits = events & UV_READABLE ? CURL_CSELECT_IN : 0;
	bits |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
	int running;
	curl_multi_socket_action(shard->curl, watch->fd, bits, &running);
	settle(shard);
}

static void on_watch_closed(uv_handle_t *handle) {
	mem_free(handle->data);
}

static struct watch *watch_new(struct shard *shard, curl_socket_t fd) {
	struct watch *watch = mem_zalloc(sizeof *watch);
	if (!watch) {
		return NULL;
	}
	if (uv_poll_init_socket(shard->multi->loop, &watch->poll, fd) != 0) {
		mem_free(watch);
		return NULL;
	}
	watch->poll.data = watch;
	watch->shard = shard;
	watch->fd = fd;
	return watch;
}

/* Only when libcurl's interest in a socket changes, which is not per token. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *owner, void *assigned) {
	struct shard *shard = owner;
	struct watch *watch = assigned;
	if (what == CURL_POLL_REMOVE) {
		if (watch) {
			curl_multi_assign(shard->curl, fd, NULL);
			uv_poll_stop(&watch->poll);
			uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
		}
		return 0;
	}
	if (!watch) {
		watch = watch_new(shard, fd);
		if (!watch) {
			/* An error from here would make the whole handle unusable: only the one transfer fails. */
			struct job *job = job_of(easy);
			job->starved = true;
			mark_ready(job);
			return 0;
		}
		curl_multi_assign(shard->curl, fd, watch);
	}
	watch->events = what & CURL_POLL_IN ? UV_READABLE : 0;
	watch->events |= what & CURL_POLL_OUT ? UV_WRITABLE : 0;
	uv_poll_start(&watch->poll, watch->events, on_poll);
	return 0;
}

static void on_timeout(uv_timer_t *timer) {
	struct shard *shard = timer->data;
	int running;
	curl_multi_socket_action(shard->curl, CURL_SOCKET_TIMEOUT, 0, &running);
	settle(shard);
}

static int on_timer_wanted(CURLM *curl, long wait_ms, void *owner) {
	(void)curl;
	struct shard *shard = owner;
	if (wait_ms < 0) {
		uv_timer_stop(&shard->timer);
	} else {
		uv_timer_start(&shard->timer, on_timeout, (uint64_t)wait_ms, 0);
	}
	return 0;
}

/* --- shards ----------------------------------------------------------------------------------------------------- */

static void on_shard_closed(uv_handle_t *handle) {
	struct shard *shard = handle->data;
	if (--shard->open_handles == 0) {
		mem_free(shard);
	}
}

static void shard_free(struct shard *shard) {
	list_remove(&shard->link);
	curl_multi_cleanup(shard->curl);
	uv_close((uv_handle_t *)&shard->timer, on_shard_closed);
	uv_close((uv_handle_t *)&shard->idle, on_shard_closed);
}

static void on_idle(uv_timer_t *timer) {
	shard_free(timer->data);
}

static struct shard *shard_new(struct multi *multi) {
	struct shard *shard = mem_zalloc(sizeof *shard);
	if (!shard) {
		return NULL;
	}
	shard->curl = curl_multi_init();
	if (!shard->curl) {
		mem_free(shard);
		return NULL;
	}
	shard->multi = multi;
	list_init(&shard->ready);
	uv_timer_init(multi->loop, &shard->timer);
	uv_timer_init(multi->loop, &shard->idle);
	shard->timer.data = shard;
	shard->idle.data = shard;
	shard->open_handles = 2;
	curl_multi_setopt(shard->curl, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(shard->curl, CURLMOPT_SOCKETDATA, shard);
	curl_multi_setopt(shard->curl, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
	curl_multi_setopt(shard->curl, CURLMOPT_TIMERDATA, shard);
	curl_multi_setopt(shard->curl, CURLMOPT_MAXCONNECTS, SHARD_CONNECTIONS);
	list_append(&multi->shards, &shard->link);
	return shard;
}

/* The oldest with room: the younger ones run empty when the load goes down. */
static struct shard *shard_with_room(struct multi *multi) {
	list_each(node, after, &multi->shards) {
		struct shard *shard = container_of(node, struct shard, link);
		if (shard->live < multi->shard_size) {
			return shard;
		}
	}
	return shard_new(multi);
}

struct multi *multi_new(uv_loop_t *loop, unsigned shard_size, struct err *err) {
	struct multi *multi = mem_zalloc(sizeof *multi);
	if (!multi) {
		err_set(err, ERR_MEMORY, "no memory for transfers");
		return NULL;
	}
	multi->loop = loop;
	multi->shard_size = shard_size;
	list_init(&multi->shards);
	return multi;
}

void multi_free(struct multi **multi) {
	if (!*multi) {
		return;
	}
	list_each(node, after, &(*multi)->shards) {
		shard_free(container_of(node, struct shard, link));
	}
	mem_free(*multi);
	*multi = NULL;
}

int multi_start(struct multi *multi, struct transfer *transfer, CURL *easy, struct err *err) {
	struct shard *shard = shard_with_room(multi);
	struct job *job = shard ? mem_zalloc(sizeof *job) : NULL;
	if (!job) {
		err_set(err, ERR_MEMORY, "no memory for a transfer");
		goto fail;
	}
	*job = (struct job){.shard = shard, .transfer = transfer, .easy = easy};
	curl_easy_setopt(easy, CURLOPT_PRIVATE, job);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, job);
	CURLMcode code = curl_multi_add_handle(shard->curl, easy);
	if (code != CURLM_OK) {
		err_set(err, ERR_MEMORY, "a transfer could not start: %s", curl_multi_strerror(code));
		goto fail;
	}
	uv_timer_stop(&shard->idle);
	shard->live++;
	transfer_begin(transfer, &driver, job);
	return 0;
fail:
	mem_free(job);
	curl_easy_cleanup(easy);
	return -1;
}
