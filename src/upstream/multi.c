#include "multi.h"

#include "base/mem.h"

/* Idle connections that one shard keeps for the next transfer; libcurl counts the busy ones in. */
#define INPUT_MAX (8 * 1024 * 1024)
#define SHARD_CONNECTIONS 8L
#define SHARD_IDLE_MS 60000

struct multi {
	uv_loop_t *loop;
	struct list shards;
	unsigned shard_size;
};

struct shard {
	struct list link;
	struct multi *multi;
	CURLM *curl;
	uv_timer_t timer;  /* libcurl's next timeout */
	uv_timer_t idle;   /* runs while no transfer does */
	struct list ready; /* transfers with new input, or starved */
	unsigned live;
	unsigned open_handles;
};

/* A socket of libcurl's in the loop. */
struct watch {
	uv_poll_t poll;
	struct shard *shard;
	curl_socket_t fd;
	int events;
};

/* --- what rises from libcurl ------------------------------------------------------------------------------------ */

static void mark_ready(struct transfer *transfer) {
	if (!list_linked(&transfer->ready)) {
		list_append(&transfer->shard->ready, &transfer->ready);
	}
}

static void on_idle(uv_timer_t *timer);

static void release(struct transfer *transfer) {
	struct shard *shard = transfer->shard;
	curl_multi_remove_handle(shard->curl, transfer->easy);
	list_remove(&transfer->ready);
	transfer->shard = NULL;
	if (--shard->live == 0) {
		uv_timer_start(&shard->idle, on_idle, SHARD_IDLE_MS, 0);
	}
}

/* libcurl has returned: its callbacks' harvest goes to the transfers. */
static void settle(struct shard *shard) {
	while (!list_empty(&shard->ready)) {
		struct transfer *transfer = container_of(shard->ready.next, struct transfer, ready);
		list_remove(&transfer->ready);
		if (transfer->starved) {
			release(transfer);
			transfer->events->done(transfer, CURLE_OUT_OF_MEMORY);
		} else {
			transfer->events->readable(transfer);
		}
	}
	CURLMsg *message;
	int left;
	while ((message = curl_multi_info_read(shard->curl, &left))) {
		if (message->msg != CURLMSG_DONE) {
			continue;
		}
		CURLcode code = message->data.result;
		struct transfer *transfer = NULL;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
		release(transfer);
		transfer->events->done(transfer, code);
	}
}

/* The owner takes its input out once per wake-up, and one wake-up brings what a socket holds; more comes only out of a
 * transfer coding that unpacks to very much. */
static size_t on_bytes(char *bytes, size_t size, size_t count, void *owner) {
	struct transfer *transfer = owner;
	if (transfer->input.length + size * count > INPUT_MAX) {
		return CURL_WRITEFUNC_ERROR;
	}
	buf_append(&transfer->input, bytes, size * count);
	if (transfer->input.failed) {
		transfer->starved = true;
	}
	mark_ready(transfer);
	return transfer->starved ? CURL_WRITEFUNC_ERROR : size * count;
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
			struct transfer *transfer = NULL;
			curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&transfer);
			transfer->starved = true;
			mark_ready(transfer);
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

int multi_start(struct multi *multi, struct transfer *transfer, struct err *err) {
	struct shard *shard = shard_with_room(multi);
	if (!shard) {
		return err_set(err, ERR_MEMORY, "no memory for a transfer");
	}
	buf_clear(&transfer->input);
	transfer->starved = false;
	curl_easy_setopt(transfer->easy, CURLOPT_PRIVATE, transfer);
	curl_easy_setopt(transfer->easy, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(transfer->easy, CURLOPT_WRITEDATA, transfer);
	CURLMcode code = curl_multi_add_handle(shard->curl, transfer->easy);
	if (code != CURLM_OK) {
		return err_set(err, ERR_MEMORY, "a transfer could not start: %s", curl_multi_strerror(code));
	}
	uv_timer_stop(&shard->idle);
	transfer->shard = shard;
	shard->live++;
	return 0;
}

void multi_stop(struct transfer *transfer) {
	if (transfer->shard) {
		release(transfer);
	}
}
